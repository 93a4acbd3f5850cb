"""Contacts of a site as GOCDB has them (lists of addresses by purpose) and as we have them (persons with a purpose)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from registry.importing.gocdb_words import addresses
from registry.models import Site
from registry.schemas.fields import Email, Telephone

# the field there, the purposes here that it tells of, and what a contact without a name is called
_LISTS: Final = (
    ("contact_email", ("admin", "operations"), "Site contact"),
    ("csirt_email", ("security",), "Security contact"),
    ("alarm_email", ("alarm",), "Alarm contact"),
)
CSIRT_TELEPHONE: Final = "csirt_tel"
CONTACT_FIELDS: Final = (*(name for name, _, _ in _LISTS), CSIRT_TELEPHONE)
_EMAIL: Final = TypeAdapter(Email)
_TELEPHONE: Final = TypeAdapter(Telephone)


def contacts_of(values: Mapping[str, Any], notes: list[str]) -> dict[str, str]:
    """The contact fields of a record with what can stand here; what cannot is noted."""
    found = {}
    for name, _, _ in _LISTS:
        good = [one for one in addresses(str(values.get(name, ""))) if _good(_EMAIL, one, name, notes)]
        if good:
            found[name] = ";".join(good)
    telephone = str(values.get(CSIRT_TELEPHONE, ""))
    if telephone and _good(_TELEPHONE, telephone, CSIRT_TELEPHONE, notes):
        found[CSIRT_TELEPHONE] = str(_TELEPHONE.validate_python(telephone))
    return found


def _good(adapter: TypeAdapter[str], text: str, name: str, notes: list[str]) -> bool:
    try:
        adapter.validate_python(text)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        notes.append(f"{name} left out: {reason} ({text[:60]})")
        return False
    return True


def with_contacts(site: Site) -> dict[str, str]:
    """The contact fields of a site here, as GOCDB's interface would tell them; only those that there are."""
    found = {}
    for name, kinds, _ in _LISTS:
        emails = [one.email for kind in kinds for one in site.contacts if one.kind == kind and one.email]
        if emails:
            found[name] = ";".join(dict.fromkeys(emails))
    telephone = next(
        (one.telephone for one in site.contacts if one.kind == "security" and one.telephone), None
    )
    return {**found, **({CSIRT_TELEPHONE: telephone} if telephone else {})}


def contacts_list(site: Site, wanted: Mapping[str, str]) -> list[dict[str, str | None]]:
    """All contacts of a site when these fields are so: who is known keeps name and purpose, the others stay."""
    rows = [
        {"kind": one.kind, "name": one.name, "email": one.email, "telephone": one.telephone}
        for one in site.contacts
    ]
    told = {kind for _, kinds, _ in _LISTS for kind in kinds}
    result: list[dict[str, str | None]] = []
    for name, kinds, called in _LISTS:
        known = {str(row["email"]): row for row in reversed(rows) if row["kind"] in kinds and row["email"]}
        for email in addresses(wanted.get(name, "")):
            new = {"kind": kinds[0], "name": called, "email": email, "telephone": None}
            result.append(dict(known.get(email, new)))
    _set_telephone(result, wanted.get(CSIRT_TELEPHONE))
    return [*result, *(row for row in rows if row["kind"] not in told)]


def _set_telephone(rows: list[dict[str, str | None]], telephone: str | None) -> None:
    security = [row for row in rows if row["kind"] == "security"]
    if telephone is None or any(row["telephone"] == telephone for row in security):
        return
    if security:
        security[0]["telephone"] = telephone
    else:
        rows.append({"kind": "security", "name": "Security contact", "email": None, "telephone": telephone})
