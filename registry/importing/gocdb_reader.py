"""From the XML of GOCDB's interface to records. Every method adds what it knows; the order of the files is no matter.

Shapes: reference section 4.5. A page of a paged answer is a document like any other; what stands in two is read once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from registry.importing.gocdb_records import Bundle, Record, Values
from registry.importing.gocdb_sites import SITE_READERS
from registry.importing.gocdb_things import THING_READERS
from registry.importing.gocdb_words import Gathered
from registry.importing.hostile_xml import Element, read

READERS: Final = {**SITE_READERS, **THING_READERS}
# the fuller answer of two first: what is read first stays
ORDER: Final = (
    "get_service_types",
    "get_ngi",
    "get_roc_contacts",
    "get_roc_list",
    "get_user",
    "get_project_contacts",
    "get_site",
    "get_site_security_info",
    "get_cert_status_date",
    "get_site_contacts",
    "get_site_list",
    "get_cert_status_changes",
    "get_service_endpoint",
    "get_service",
    "get_service_group",
    "get_service_group_role",
    "get_downtime_nested_services",
    "get_downtime",
)
Documents = Mapping[str, Sequence[bytes]]


def method_of(name: str) -> str | None:
    """The method whose answer a file holds, by its name: `get_site.xml`, `get_site_page2.xml`, `get_site.2.xml`."""
    stem = name.removesuffix(".xml")
    for method in sorted(READERS, key=len, reverse=True):
        if re.fullmatch(rf"{method}(?:[._-]?(?:page)?[._-]?(?:[0-9]+|past_end))?", stem):
            return method
    return None


def bundle_of(
    documents: Documents,
    source: str,
    unread: Sequence[tuple[str, str]] = (),
    sites: Mapping[str, Values] | None = None,
) -> Bundle:
    """Everything that the documents say. A document that is no answer of GOCDB is named in `unread`.

    `sites` is what is known of sites besides, by key; the documents go before it.
    Raises TooLarge and Refused for XML that is hostile or broken: half an answer is never imported.
    """
    gathered, refused = Gathered(), list(unread)
    for method in ORDER:
        for at, document in enumerate(documents.get(method, ()), start=1):
            name = method if len(documents[method]) == 1 else f"{method}, page {at}"
            if (why := not_an_answer(document)) is not None:
                refused.append((name, why))
                continue
            root = read(document, name)
            if root.tag != "results":
                refused.append((name, root.text[:200] or f"answers <{root.tag}> instead of <results>"))
                continue
            tag, reader = READERS[method]
            for element in root.all(tag):
                reader(gathered, element)
    for key, values in (sites or {}).items():
        if key in gathered.sites:
            gathered.sites[key].values = {**values, **gathered.sites[key].values}
    refused += [(name, "is no method that is imported") for name in sorted(documents.keys() - READERS.keys())]
    return _bundle(gathered, source, refused)


def not_an_answer(document: bytes) -> str | None:
    """GOCDB tells its faults as plain text with status 200: that text, or None for XML."""
    text = document.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<") or text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None
    return text[:200].decode(errors="replace").strip() or "is empty"


def next_page(root: Element) -> str | None:
    """The address of the page after, from `meta`; None on the page past the end, and where there are no pages."""
    meta = root.first("meta")
    if meta is None or meta.get("count") in ("", "0"):
        return None
    return next(
        (one.attributes.get("href") for one in meta.all("link") if one.attributes.get("rel") == "next"), None
    )


def _bundle(found: Gathered, source: str, unread: Sequence[tuple[str, str]]) -> Bundle:
    named = {site.values["ngi"] for site in found.sites.values() if site.values.get("ngi")}
    for name in named - found.ngis.keys():
        found.ngis[name] = Record(name, None, name)
    for endpoint in (each for one in found.services.values() for each in one.values["endpoints"]):
        if email := found.endpoint_emails.get(endpoint.get("number", 0)):
            endpoint["email"] = email
    return Bundle(
        source=source,
        service_types=_sorted(found.service_types),
        projects=_sorted(found.projects),
        ngis=_sorted(found.ngis),
        sites=_sorted(found.sites),
        services=_sorted(found.services),
        groups=_sorted(found.groups),
        downtimes=_sorted(found.downtimes),
        certifications=sorted(found.certifications.values(), key=lambda one: (one.at, one.site)),
        users=sorted(found.users.values(), key=lambda one: one.key),
        unread=list(unread),
    )


def _sorted(records: Mapping[str, Record]) -> list[Record]:
    return sorted(records.values(), key=lambda one: (one.number or 0, one.key))
