"""The log of changes on the wire: the audit trail, differences between two moments, undo."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from registry.schemas.fields import AsOf, Line, NgiName, Query, Reason, SiteName, UtcTime, Wire

Kind = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
EntityKey = Annotated[str, Field(min_length=1, max_length=255)]
Act = Literal["added", "changed", "removed"]


class EventOut(Wire):
    """One change of one entity, by whom and why. `changes` holds [old, new] by field: `endpoints[main].url`."""

    number: int
    revision: int
    at: UtcTime
    actor: str
    actor_name: str
    reason: str
    kind: str
    id: str
    op: str
    act: Act
    name: str
    site: str
    changes: dict[str, list[Any]]


class EventPage(Wire):
    """Changes, the newest first; ask again with `before=next`."""

    items: list[EventOut]
    next: int | None


class EventQuery(Query):
    """Which changes. `person` is the id of who made them, `actor` the key of a principal, `by` a name; `as_of` leaves
    out what was changed after that moment.
    """

    as_of: AsOf | None = None
    site: SiteName | None = None
    ngi: NgiName | None = None
    kind: Kind | None = None
    id: EntityKey | None = None
    person: Annotated[str, Field(pattern=r"^[0-9]{1,15}$")] | None = None
    actor: Annotated[str, Field(max_length=100)] | None = None
    by: Line | None = None
    since: UtcTime | None = None
    until: UtcTime | None = None
    before: Annotated[int, Field(ge=1, le=2**62)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class LostOut(Wire):
    """A later change that undoing would lose: what the field is now, since when and by whom."""

    kind: str
    id: str
    name: str
    field: str
    now: Any
    then: Any
    revision: int
    at: UtcTime
    actor_name: str


class RevisionOut(Wire):
    """One revision with all that it changed. `undo`: possible, lost (only with `overwrite`), or refused, and why."""

    revision: int
    at: UtcTime
    actor: str
    actor_name: str
    reason: str
    items: list[EventOut]
    undo: Literal["possible", "lost", "refused"]
    sentence: str
    lost: list[LostOut]


class UndoIn(Wire):
    """With `overwrite` also where later changes of the same fields are lost."""

    reason: Reason = ""
    overwrite: bool = False


class UndoneOut(Wire):
    """The revision that undid."""

    revision: int
    undone: int
    reason: str


class DiffQuery(Query):
    """Between which moments (a time or a revision each; `until` is now unless given), and of what."""

    since: AsOf
    until: AsOf | None = None
    site: SiteName | None = None
    ngi: NgiName | None = None
    kind: Kind | None = None
    cursor: Annotated[str, Field(max_length=400)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class DifferenceOut(Wire):
    """One entity that is not what it was; `changes` holds [old, new] by field when it is there at both moments."""

    kind: str
    id: str
    name: str
    site: str
    act: Act
    changes: dict[str, list[Any]]


class DiffPage(Wire):
    """What differs between the two revisions, by kind and id; `next` is the cursor of the page after."""

    from_revision: int
    to_revision: int
    items: list[DifferenceOut]
    next: str | None
