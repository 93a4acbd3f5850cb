"""What a SCIM resource says of a member, read and checked; nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hanse.errors import Refused
from hanse.identity.nameparts import NameFault
from hanse.identity.names import parse
from hanse.identity.principals import Subject, X509Identity
from vomsdb.scim.faults import ScimRefused, bad_value
from vomsdb.scim.names import INDIGO_USER, MEMBERSHIP
from vomsdb.vos import identity_from_pem

WHY = "by SCIM"
_MOST = 50


@dataclass(frozen=True)
class Wanted:
    """What a resource says of a member; None = nothing is said, so it stays."""

    user_name: str | None
    external_id: str | None
    name: str | None
    email: str | None
    active: bool | None
    roles: frozenset[str] | None
    identities: tuple[X509Identity, ...] | None
    sign_ins: tuple[Subject, ...] | None
    until: datetime | None
    vo: str | None
    reason: str


def wanted(resource: Mapping[str, Any]) -> Wanted:
    """Reads a User. What is not known here, and what is not changed here, counts for nothing. Raises ScimRefused."""
    more, own = _object(resource, INDIGO_USER), _object(resource, MEMBERSHIP)
    roles = _list(resource, "roles")
    shown, subjects_shown = _list(more, "certificates"), _list(more, "oidcIds")
    return Wanted(
        user_name=_text(resource, "userName", 200),
        external_id=_text(resource, "externalId", 200),
        name=_name(resource),
        email=_email(resource),
        active=_active(resource),
        roles=None if roles is None else frozenset(_text(one, "value", 500) or "" for one in roles),
        identities=None if shown is None else tuple(_identity(one) for one in shown),
        sign_ins=None if subjects_shown is None else tuple(_subject(one) for one in subjects_shown),
        until=_time(more, "endTime"),
        vo=_text(own, "vo", 64),
        reason=_text(own, "suspensionReason", 512) or WHY,
    )


# --- reading ---


def _object(resource: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = _got(resource, name)
    if found is not None and not isinstance(found, dict):
        raise bad_value(f"{name} is an object.")
    return found or {}


def _got(resource: Mapping[str, Any], name: str) -> Any:
    """An attribute, whatever its capital letters."""
    if name in resource:
        return resource[name]
    return next((value for key, value in resource.items() if key.lower() == name.lower()), None)


def _list(resource: Mapping[str, Any], name: str) -> list[Mapping[str, Any]] | None:
    found = _got(resource, name)
    if found is None:
        return None
    if not isinstance(found, list) or len(found) > _MOST or not all(isinstance(one, dict) for one in found):
        raise bad_value(f"{name} is a list of at most {_MOST} objects.")
    return found


def _text(resource: Mapping[str, Any], name: str, longest: int) -> str | None:
    found = _got(resource, name)
    if found is None:
        return None
    if not isinstance(found, str) or len(found) > longest or not (found.isprintable()):
        raise bad_value(f"{name} is text of at most {longest} characters, without control characters.")
    return found.strip()


def _name(resource: Mapping[str, Any]) -> str | None:
    """The whole name: what `name` says, else `displayName`."""
    parts = _object(resource, "name")
    whole = _text(parts, "formatted", 200)
    if not whole:
        given, family = _text(parts, "givenName", 100), _text(parts, "familyName", 100)
        whole = " ".join(part for part in (given, family) if part)
    return whole or _text(resource, "displayName", 200) or None


def _email(resource: Mapping[str, Any]) -> str | None:
    """The primary address, or the first."""
    listed = _list(resource, "emails")
    if not listed:
        return None
    first = next((one for one in listed if one.get("primary") is True), listed[0])
    address = _text(first, "value", 200) or ""
    if address.count("@") != 1 or any(letter.isspace() for letter in address) or address.startswith("-"):
        raise bad_value("emails.value is one address, as anna@example.org.")
    return address


def _active(resource: Mapping[str, Any]) -> bool | None:
    found = _got(resource, "active")
    if isinstance(found, str) and found.lower() in ("true", "false"):  # some clients send it so
        return found.lower() == "true"
    if found is None or isinstance(found, bool):
        return found
    raise bad_value("active is true or false.")


def _identity(one: Mapping[str, Any]) -> X509Identity:
    pem = _got(one, "pemEncodedCertificate")
    try:
        if isinstance(pem, str) and len(pem) <= 20_000:
            return identity_from_pem(pem, "pemEncodedCertificate")
        names = [_text(one, field, 1000) or "" for field in ("subjectDn", "issuerDn")]
        if not all(names):
            raise bad_value("A certificate has pemEncodedCertificate, or subjectDn and issuerDn.")
        return X509Identity(parse(names[0]), parse(names[1]))
    except (NameFault, Refused) as fault:
        raise (
            fault if isinstance(fault, ScimRefused) else bad_value(f"The certificate cannot be read: {fault}")
        ) from None


def _subject(one: Mapping[str, Any]) -> Subject:
    issuer, subject = _text(one, "issuer", 255), _text(one, "subject", 255)
    if not issuer or not subject or not issuer.startswith(("https://", "http://")):
        raise bad_value("A sign-in has issuer, an address, and subject.")
    return Subject(issuer, subject)


def _time(resource: Mapping[str, Any], name: str) -> datetime | None:
    text = _text(resource, name, 40)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise bad_value(f"{name} reads 2026-11-25T12:00:00Z.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
