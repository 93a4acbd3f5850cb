"""What all methods of GOCDB's interface share: parameters, wildcards, scopes, pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

from sqlalchemy import BigInteger, ColumnElement, Select, any_, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session

from registry.models import ExtensionProperty, Service
from registry.renderings.gocdb_xml import Property

PAGE_SIZE: Final = 100
MOST_SCOPES: Final = 50
MOST_NAMES: Final = 1000
LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)  # a day more or less stays in the calendar
Condition = ColumnElement[bool]
Parameters = Mapping[str, str]
Wide = Select[*tuple[Any, ...]]  # more columns than the types of SQLAlchemy count
Column = ColumnElement[Any] | InstrumentedAttribute[Any]
Row = TypeVar("Row")


class BadValue(ValueError):
    """A parameter whose value cannot be used; the message says which."""


@dataclass(frozen=True)
class Page:
    """Which page: after `next` or before `prev`, by id. Both None = no paging."""

    next: int | None = None
    prev: int | None = None

    @property
    def asked(self) -> bool:
        """Whether paging was asked for."""
        return self.next is not None or self.prev is not None

    def cut(self, statement: Wide, key: InstrumentedAttribute[int]) -> Wide:
        """Only this page, in either direction."""
        if self.next is not None:
            return statement.where(key > self.next).order_by(key).limit(PAGE_SIZE)
        if self.prev is not None:
            return statement.where(key < self.prev).order_by(key.desc()).limit(PAGE_SIZE)
        return statement.order_by(key)


@dataclass(frozen=True)
class Asked:
    """A question without its form: parameters, page, the scopes that are meant when none is named, and the time."""

    parameters: Parameters
    page: Page
    default_scopes: Sequence[str]
    now: datetime


def like(column: Column, value: str) -> Condition:
    """GOCDB's name filters: `%` and `_` are wildcards, nothing else is special, and case tells nothing apart."""
    # the escape is a character that no value can hold, so a backslash is a backslash
    if column is Service.hostname:  # kept in small letters
        return column.like(value.lower(), escape="\x01")
    return column.ilike(value, escape="\x01")


def names(parameters: Parameters, columns: Mapping[str, Column]) -> list[Condition]:
    """A condition for each parameter that names something; an empty one names nothing, and finds nothing."""
    return [like(column, parameters[name]) for name, column in columns.items() if name in parameters]


def one_of(parameters: Parameters, columns: Mapping[str, Column]) -> list[Condition]:
    """A condition for each parameter that is a comma list of whole names, in any case. Raises BadValue for an endless
    one.
    """
    return [
        func.lower(column).in_([one.lower() for one in listed(name, parameters[name], MOST_NAMES)])
        for name, column in columns.items()
        if parameters.get(name)
    ]


def listed(name: str, value: str, most: int) -> list[str]:
    """The entries of a comma list. Raises BadValue when there are more than `most`."""
    entries = [one.strip() for one in value.split(",") if one.strip()]
    if len(entries) > most:
        raise BadValue(f"Invalid '{name}' parameter - must name no more than {most}")
    return entries


def scope_condition(
    column: InstrumentedAttribute[list[str]], parameters: Parameters, default: Sequence[str]
) -> Condition:
    """No `scope`: the default scopes. Empty: all. A list: all of them, or any with `scope_match=any`."""
    given = parameters.get("scope")
    if given is not None and not given.strip():
        return true()
    wanted = list(default) if given is None else listed("scope", given, MOST_SCOPES)
    if parameters.get("scope_match", "all").strip().lower() == "any":
        return cast(Condition, column.overlap(wanted))
    return column.contains(wanted)


def yes_no(parameters: Parameters, name: str, column: InstrumentedAttribute[bool]) -> list[Condition]:
    """Y or N in any case; other values are ignored, as GOCDB does."""
    value = parameters.get(name, "").strip().upper()
    return [column.is_(value == "Y")] if value in ("Y", "N") else []


def whole(name: str, value: str) -> int:
    """A whole number. Raises BadValue."""
    if not re.fullmatch(r"[0-9]{1,15}", value):
        raise BadValue(f"Invalid '{name}' parameter - must be a whole number greater than or equal to zero")
    return int(value)


def day(name: str, parameters: Parameters) -> datetime:
    """The start of a day, UTC; GOCDB's parser takes a year or a month alone as well. Raises BadValue."""
    found = re.fullmatch(r"([0-9]{4})(?:-([0-9]{1,2}))?(?:-([0-9]{1,2}))?", parameters[name].strip())
    try:
        if found is None:
            raise ValueError
        moment = datetime(int(found[1]), int(found[2] or 1), int(found[3] or 1), tzinfo=UTC)
        return min(moment, LATEST)
    except ValueError:
        raise BadValue(f"Invalid '{name}' parameter - must be a date in the form YYYY-MM-DD") from None


def among(column: Column, numbers: Sequence[int]) -> Condition:
    """The column holds one of the numbers, however many there are: one array, not a parameter for each."""
    return column == any_(literal(list(numbers), ARRAY(BigInteger)))


def in_order(rows: Iterable[Row], key: Callable[[Row], int]) -> list[Row]:
    """Rows of a page that was read backwards, forwards again."""
    return sorted(rows, key=key)


def properties_of(
    session: Session, column: InstrumentedAttribute[int | None], owners: Sequence[int]
) -> dict[int, list[Property]]:
    """The extension properties of many owners in one question, by owner."""
    found: dict[int, list[Property]] = {}
    wanted = select(column, ExtensionProperty.id, ExtensionProperty.key, ExtensionProperty.value)
    for owner, number, key, value in session.execute(
        wanted.where(among(column, owners)).order_by(ExtensionProperty.id)
    ):
        assert owner is not None
        found.setdefault(owner, []).append(Property(number, key, value))
    return found
