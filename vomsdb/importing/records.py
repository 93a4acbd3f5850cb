"""What is read of another membership service, whatever it was written in: plain values, not yet judged by our rules."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hanse.errors import FieldFault, Refused
from hanse.identity.fqans import VomsError, split_fqan

MOST_PEOPLE = 200_000
_FORMS = (
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d",
)


@dataclass(frozen=True)
class Unread:
    """A record or a field of it that could not be used: which one, and why."""

    record: str
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.record}, {self.field}: {self.reason}"


@dataclass(frozen=True)
class CertificateRecord:
    """A certificate by its printed names; `suspended` says why, "" = it is not."""

    subject: str
    issuer: str
    suspended: str = ""


@dataclass(frozen=True)
class PersonRecord:
    """A member of the other service; `key` is its number there, `record` what to call the record in reports."""

    key: str
    record: str
    name: str
    email: str
    institution: str
    certificates: tuple[CertificateRecord, ...]
    fqans: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None
    code: str = ""
    """Why suspended, as the other service words it; "" = not suspended."""
    reason: str = ""
    signed_at: datetime | None = None
    signed: bool | None = None
    """Whether the AUP in force there was signed; None = the source does not tell."""


@dataclass
class Contents:
    """Everything that was read. Groups and roles with their descriptions; attributes with (description, distinct)."""

    source: str
    system: str
    """Whose numbers the keys are: those of VOMS-Admin and those of a table are kept apart."""
    people: list[PersonRecord] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, tuple[str, bool]] = field(default_factory=dict)
    shared: list[tuple[str, str, str]] = field(default_factory=list)
    """(FQAN, attribute, value) of groups and roles."""
    unread: list[Unread] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def name_what_people_hold(self) -> None:
        """Groups, roles and attributes of a source that lists none by themselves: those that people hold."""
        for person in self.people:
            for fqan in map(short_fqan, person.fqans):
                group, _, role = fqan.partition("/Role=")
                self.groups.setdefault(group, "")
                self.roles |= {role: ""} if role else {}
            self.attributes |= dict.fromkeys(person.attributes, ("", False))

    def note(self, record: str, name: str, reason: str) -> None:
        """Something could not be used."""
        self.unread.append(Unread(record, name, reason))


def short_fqan(fqan: str) -> str:
    """The group or role in short form; a text that is neither stays as it is, and is refused where it is given."""
    try:
        path, role = split_fqan(fqan)
    except VomsError:
        return fqan
    return f"{path}/Role={role}" if role else path


def moment(text: str) -> datetime | None:
    """A time as dumps, JSON and tables write it, in UTC unless it says its zone; None for none. Raises ValueError."""
    given = text.strip()
    if not given or given.startswith("0000-00-00"):
        return None
    for form in _FORMS:
        try:
            at = datetime.strptime(given.replace("Z", "+0000"), form)  # noqa: DTZ007 - the zone is set below
        except ValueError:
            continue
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    raise ValueError(f"{given[:40]!r} is no time; write 2027-01-31 or 2027-01-31T12:00:00Z")


def moment_or_note(contents: Contents, record: str, name: str, text: str) -> datetime | None:
    """The time, or None and a note of why it could not be read."""
    try:
        return moment(text)
    except (ValueError, OverflowError) as fault:
        contents.note(record, name, str(fault))
        return None


def enough(people: Sized) -> None:
    """Raises Refused for more people than any VO has."""
    if len(people) > MOST_PEOPLE:
        raise Refused("There are too many people.", FieldFault("people", f"{MOST_PEOPLE:,} are read at most"))
