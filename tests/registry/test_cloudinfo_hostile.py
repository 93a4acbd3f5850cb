"""Whatever a machine sends as a cloud-info document: it is taken, or refused in words; nothing else happens."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from hanse.errors import Refused
from registry.cloudinfo_reading import read, sites_named
from registry.ldif import name_of
from registry.ldif import read as read_ldif
from registry.observed import facts_of
from registry.renderings import glue2_ldif, glue2_xml, glue20

from .clouds import Document, cloud_document

TEXT = st.text(max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
SITE = {
    "name": "CESNET",
    "official_name": "CESNET",
    "ngi": "NGI_CZ",
    "certification": "Certified",
    "scopes": ["EGI"],
    "description": "",
    "home_url": None,
    "location": None,
    "country": "Czech Republic",
    "latitude": None,
    "longitude": None,
}


def taken_or_refused(content: bytes) -> None:
    """What is taken can be searched, and rendered as LDIF and XML that can be read; what is not names its faults."""
    sites_named(content)
    try:
        reading = read(content, datetime.now(UTC))
    except Refused as refusal:
        faults = refusal.fields
    else:
        usable(reading.document)
        return
    assert faults
    assert all(fault.field and fault.reason for fault in faults)


def usable(document: Document) -> None:
    """It can be searched, and rendered as LDIF and XML that can be read."""
    facts_of(document)
    found = glue20.entities(glue20.Site(SITE, [document]))
    entries = read_ldif("".join(glue2_ldif.render(found)))
    names = [name_of(entry.dn) for entry in entries]
    assert all(name[1:] in names for name in names[1:])
    etree.fromstring("".join(glue2_xml.render(found)).encode())


@given(JSON)
def test_any_json(value: Any) -> None:
    taken_or_refused(json.dumps(value).encode())


@given(st.binary(max_size=300))
def test_any_bytes(content: bytes) -> None:
    taken_or_refused(content)


@given(
    st.lists(st.sampled_from(["dn", "objectClass", "GLUE2ServiceID", "version", "#", ""]), max_size=8), TEXT
)
def test_any_ldif(keys: list[str], value: str) -> None:
    lines = "\n".join(f"{key}: {value}" if key not in ("#", "") else key for key in keys)
    taken_or_refused(f"dn: o=glue\nobjectClass: GLUE2ComputingService\n{lines}\n".encode())


@settings(max_examples=200)
@given(st.data())
def test_a_good_document_with_one_thing_put_wrong(data: st.DataObject) -> None:
    document: dict[str, Any] = cloud_document()
    kind = data.draw(st.sampled_from(sorted(document)))
    whole = data.draw(st.integers(0, 9))
    if whole == 0:
        document[kind] = data.draw(JSON)
    else:
        one = data.draw(st.sampled_from(document[kind]))
        field = data.draw(st.sampled_from([*sorted(one), "Extra"]))
        if data.draw(st.booleans()) and field in one:
            del one[field]
        else:
            one[field] = data.draw(JSON | TEXT)
    taken_or_refused(json.dumps(document).encode())
