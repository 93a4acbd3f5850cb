"""A record by our own rules: what of it can stand here, what is left out and why."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hanse.identity.names import parse
from hanse.identity.principals import X509Identity
from vomsdb.importing.records import CertificateRecord, PersonRecord, short_fqan
from vomsdb.ledger import iso
from vomsdb.lifetimes import LONGEST
from vomsdb.models.membership import SUSPENSIONS
from vomsdb.suspensions import WORDS

LONGEST_NAME = 200
LONGEST_REASON = 512


@dataclass(frozen=True)
class Shown:
    """A certificate that can be used here; `suspended` = the reason, "" for none."""

    identity: X509Identity
    suspended: str


@dataclass
class Judged:
    """A person as they could stand here."""

    record: PersonRecord
    name: str
    email: str
    institution: str
    certificates: list[Shown]
    code: str
    reason: str
    notes: list[str] = field(default_factory=list)

    def until(self, now: datetime, days: int) -> datetime:
        """The end: theirs, from now to ten years ahead; without one the VO's usual days from now."""
        return max(now, min(self.record.until or now + timedelta(days=days), now + LONGEST))

    def state(self, until: datetime, now: datetime) -> str:
        """The state of a new membership: what the clock ends anyway is expired at once."""
        if until <= now and self.code in ("", "MEMBERSHIP_EXPIRATION", "FAILED_TO_SIGN_AUP"):
            return "expired"
        return "suspended" if self.code else "active"

    def values(self) -> dict[str, Any]:
        """What is kept until the next import; personal words as digests."""
        signed = iso(self.record.signed_at) if self.record.signed is not False else "no"
        return {
            **{name: self.digest(getattr(self, name)) for name in ("name", "email", "institution")},
            "until": iso(self.record.until),
            "suspended": self.code,
            "signed": signed,
            "certificates": {one.identity.key: bool(one.suspended) for one in self.certificates},
            "fqans": list(self.record.fqans),
            "attributes": {name: self.digest(value) for name, value in self.record.attributes.items()},
        }

    def digest(self, value: str) -> str:
        """A short digest by which a value is known again, and not read."""
        return hashlib.sha256(f"{self.record.key}\0{value}".encode()).hexdigest()[:20]


def judged(record: PersonRecord) -> Judged:
    """The person by our rules; a person without a certificate that can be read has none in the answer."""
    notes: list[str] = []
    record = _printable(record, notes)
    shown = _certificates(record, notes)
    fallback = shown[0].identity.name if shown else record.record
    return Judged(
        record=record,
        name=_line(record.name, "name", notes) or fallback[:LONGEST_NAME],
        email=_email(record.email, notes),
        institution=_line(record.institution, "institution", notes),
        certificates=shown,
        code=_code(record.code, notes),
        reason=_line(record.reason, "reason", notes, LONGEST_REASON) or _words(record.code),
        notes=notes,
    )


def _printable(record: PersonRecord, notes: list[str]) -> PersonRecord:
    """Without groups and attributes whose names no database could keep."""
    good = (fqan for fqan in record.fqans if fqan.isprintable() and len(fqan) <= LONGEST_REASON)
    fqans = tuple(dict.fromkeys(short_fqan(fqan) for fqan in good))
    attributes = {name: value for name, value in record.attributes.items() if name.isprintable()}
    if not all(fqan.isprintable() for fqan in record.fqans) or len(attributes) < len(record.attributes):
        notes.append("groups or attributes left out, in whose names stand signs that cannot be printed")
    return replace(record, fqans=fqans, attributes=attributes)


def _certificates(record: PersonRecord, notes: list[str]) -> list[Shown]:
    found: dict[str, Shown] = {}
    for number, one in enumerate(record.certificates, 1):
        identity = _identity(one, number, notes)
        if identity is not None:
            reason = _line(one.suspended, f"certificate {number} reason", notes, LONGEST_REASON)
            found.setdefault(identity.key, Shown(identity, reason))
    return list(found.values())


def _identity(one: CertificateRecord, number: int, notes: list[str]) -> X509Identity | None:
    for field_name, text in (("subject", one.subject), ("issuer", one.issuer)):
        try:
            parse(text)
        except ValueError as fault:
            notes.append(f"certificate {number} left out, {field_name}: {fault}")
            return None
    return X509Identity(parse(one.subject), parse(one.issuer))


def _line(text: str, name: str, notes: list[str], longest: int = LONGEST_NAME) -> str:
    clean = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    if clean != " ".join(text.split()):
        notes.append(f"{name}: signs that cannot be printed were left out")
    if len(clean) > longest:
        notes.append(f"{name}: cut after {longest} characters")
    return clean[:longest]


def _email(text: str, notes: list[str]) -> str:
    good = text.count("@") == 1 and text.isprintable() and " " not in text and not text.startswith(("-", "@"))
    if good and len(text) <= LONGEST_NAME and not text.endswith("@"):
        return text
    notes.append(f"email left out: {text[:60]!r} is no address" if text else "email: there is none")
    return ""


def _code(code: str, notes: list[str]) -> str:
    given = code.strip().upper()
    if not given or given in SUSPENSIONS:
        return given
    notes.append(f"suspended: {code[:60]!r} is not known here, kept as OTHER")
    return "OTHER"


def _words(code: str) -> str:
    return WORDS.get(code.strip().upper(), "suspended there") if code else ""
