"""The numbers and primary keys that consumers know: kept where they are free here, and never given again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from registry.keys import Keys
from registry.models import (
    CertificationChange,
    Downtime,
    Endpoint,
    ExtensionProperty,
    Ngi,
    Project,
    Service,
    ServiceGroup,
    Site,
)

HIGHEST: Final = 10**9  # a number beyond this is a mistake, and would use the sequence up
_SEQUENCES: Final[Mapping[str, str]] = {
    "owned": "'owned_entity_id'",
    "service": "'service_id'",
    "downtime": "'downtime_id'",
    "endpoint": "pg_get_serial_sequence('endpoint', 'id')",
    "property": "pg_get_serial_sequence('extension_property', 'id')",
    "certification": "pg_get_serial_sequence('certification_change', 'id')",
}
_TABLES: Final[Mapping[str, tuple[Any, ...]]] = {
    "owned": (Site.id, Ngi.id, Project.id, ServiceGroup.id),
    "service": (Service.id,),
    "downtime": (Downtime.id,),
    "endpoint": (Endpoint.id,),
    "property": (ExtensionProperty.id,),
    "certification": (CertificationChange.id,),
}
_KEYS: Final[Mapping[str, tuple[Any, ...]]] = {
    "owned": (Site.primary_key, ServiceGroup.primary_key),
    "service": (Service.primary_key,),
    "downtime": (Downtime.primary_key,),
}


@dataclass
class Numbers:
    """Which numbers and keys are taken here, and those of extension properties that are to be given at the end."""

    session: Session
    taken: dict[str, set[int]] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=dict)
    properties: list[tuple[str, int, str, int]] = field(default_factory=list)

    @classmethod
    def of(cls, session: Session, wanted: Mapping[str, Iterable[int | None]]) -> Numbers:
        """Read what is taken, and move each sequence past the numbers that are wanted."""
        numbers = cls(session)
        for space, columns in _TABLES.items():
            numbers.taken[space] = {one for column in columns for one in session.scalars(select(column))}
            highest = max((one for one in wanted.get(space, ()) if one and one <= HIGHEST), default=0)
            if highest:
                _move_past(session, _SEQUENCES[space], highest)
        for space, columns in _KEYS.items():
            numbers.keys[space] = {one for column in columns for one in session.scalars(select(column))}
        return numbers

    def number(self, space: str, wanted: int | None) -> int | None:
        """The number, when it is free: it is taken from now on. None otherwise."""
        if wanted is None or not 0 < wanted <= HIGHEST or wanted in self.taken[space]:
            return None
        self.taken[space].add(wanted)
        return wanted

    def keep(self, space: str, wanted: int | None, primary_key: str | None) -> tuple[Keys, list[str]]:
        """The keys for a new thing, and a remark for each that somebody has already."""
        number = self.number(space, wanted)
        notes = [] if number == wanted else [f"number {wanted} is taken here: it gets another one"]
        if primary_key is not None and primary_key in self.keys[space]:
            notes.append(f"primary key {primary_key} is taken here: references to it lead elsewhere")
            primary_key = None
        elif primary_key is not None:
            self.keys[space].add(primary_key)
        return Keys(number, primary_key), notes

    def later(self, column: str, owner: int, numbers: Mapping[str, int]) -> None:
        """Give the properties of a new thing their numbers when everything is written."""
        self.properties += [
            (column, owner, key, number)
            for key, wanted in numbers.items()
            if (number := self.number("property", wanted)) is not None
        ]

    def give_properties(self) -> None:
        """Renumber the properties; no row of them may be used in this session after that."""
        if not self.properties:
            return
        self.session.flush()
        self.session.expunge_all()
        for column in ("site_id", "service_id", "endpoint_id", "service_group_id"):
            rows = [
                {"owner": owner, "key": key, "number": number}
                for named, owner, key, number in self.properties
                if named == column
            ]
            if rows:
                statement = (
                    f"update extension_property set id = :number where {column} = :owner and key = :key"  # noqa: S608
                )
                self.session.execute(text(statement), rows)


def _move_past(session: Session, sequence: str, highest: int) -> None:
    """The next number is above `highest`, whatever was given out before."""
    given = text(f"select setval({sequence}, greatest(nextval({sequence}), :highest))")
    session.execute(given, {"highest": highest})
