"""The audit trail: who changed what, when and why, field by field; by site, NGI, person, entity, kind and time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Boolean, ColumnElement, Select, and_, false, literal_column, select, true, union
from sqlalchemy.dialects.postgresql import JSONB, array
from sqlalchemy.orm import Session, aliased

from hanse.revisions import Body, History, Revision, number_at_time
from registry.differences import changes
from registry.older import filled
from registry.states import called, name_of, site_of, text_of

CLOCK = "clock"
OF_SITES = (
    "service",
    "endpoint",
    "downtime",
    "host_certificate",
    "identity",
    "api_credential",
    "certification_proposal",
    "contact_confirmation",
    "drift",
)
# Repeats what another entity of the same revision says, or what only machines read.
DERIVED = ("endpoint", "grant", "identity")


@dataclass(frozen=True)
class Event:
    """One change of one entity: who made it, when and why, and which fields went from what to what.

    `number` counts the changes of the log; a page of them ends before one.
    """

    number: int
    revision: int
    at: datetime
    actor: str
    actor_name: str
    reason: str
    kind: str
    id: str
    op: str
    act: Literal["added", "changed", "removed"]
    name: str
    site: str
    changes: Mapping[str, tuple[Any, Any]]

    @property
    def by_the_clock(self) -> bool:
        """True for what happened because its time had come."""
        return self.actor == CLOCK


@dataclass(frozen=True)
class Wanted:
    """Which part of the trail; what is None does not matter. Times are aware, `person` is an id, `actor` a key."""

    site: str | None = None
    ngi: str | None = None
    kind: str | None = None
    id: str | None = None
    person: str | None = None
    actor: str | None = None
    by: str | None = None
    revision: int | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERYTHING = Wanted()


def _conditions(session: Session, which: Wanted) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if which.kind is not None:
        where.append(History.kind == which.kind)
    if which.id is not None:
        where.append(History.entity_id == which.id)
    if which.person is not None:
        where.append(_revisions(Revision.actor.in_(keys_of(session, which.person))))
    if which.actor is not None:
        where.append(_revisions(Revision.actor == which.actor))
    if which.by is not None:
        where.append(_revisions(Revision.actor_name == which.by))
    if which.revision is not None:
        where.append(History.from_revision == which.revision)
    return where + _between(session, which.since, which.until)


def entities_of(session: Session, which: Wanted) -> Select[str, str] | None:
    """The entities that the trail is of, of which one state fits: a removal has no body to be asked."""
    conditions = []
    if which.site is not None:
        conditions += _names_site([which.site])
    if which.ngi is not None:
        conditions += _of_ngi(session, which.ngi)
    if not conditions:
        return None
    parts = [
        select(History.kind, History.entity_id).where(literal_column("history.op = 'put'", Boolean), one)
        for one in conditions
    ]
    both = union(*parts).subquery()
    return select(both.c.kind, both.c.entity_id)


def _revisions(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return History.from_revision.in_(select(Revision.number).where(condition))


def _between(session: Session, since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    # numbers run with the times, and the index of the feed is over numbers
    if since is not None:
        after = select(Revision.number).where(Revision.at >= since)
        first = session.scalar(after.order_by(Revision.at, Revision.number).limit(1))
        where.append(false() if first is None else History.from_revision >= first)
    if until is not None:
        where.append(History.from_revision <= number_at_time(session, until))
    return where


def keys_of(session: Session, person: str) -> list[str]:
    """Every key with which a person ever acted, from the identities that the log knows."""
    known = session.scalars(
        select(History.entity_id).where(History.kind == "identity", text_of("person") == person).distinct()
    )
    return [f"person:{person}", *known]


def _of_ngi(session: Session, ngi: str) -> list[ColumnElement[bool]]:
    sites = session.scalars(
        select(text_of("name")).where(History.kind == "site", text_of("ngi") == ngi).distinct()
    )
    itself = and_(History.kind == "ngi", name_of() == ngi)
    grants = and_(History.kind == "grant", text_of("scope") == f"ngi:{ngi}")
    return [*_names_site(list(sites)), itself, grants]


def _names_site(names: Sequence[str]) -> list[ColumnElement[bool]]:
    """A site and all that ever hung on it: machines' identities and people's roles too."""
    return [
        and_(History.kind == "site", name_of().in_(names)),
        # one kind at a time: together the planner takes them for too many and reads everything
        *(and_(History.kind == kind, text_of("site").in_(names)) for kind in OF_SITES),
        and_(
            History.kind.in_(("grant", "role_request")),
            text_of("scope").in_([f"site:{name}" for name in names]),
        ),
        _downtimes_of(names),
    ]


def _downtimes_of(names: Sequence[str]) -> ColumnElement[bool]:
    """Downtimes of several sites name the others in a list."""
    listed = literal_column("(history.body -> 'sites')", JSONB)
    return and_(
        History.kind == "downtime",
        literal_column("(history.body ? 'sites')", Boolean),
        listed.has_any(array(names)) if names else false(),
    )


def events(
    session: Session,
    which: Wanted = EVERYTHING,
    *,
    where: Iterable[ColumnElement[bool]] = (),
    before: int | None = None,
    limit: int = 50,
) -> list[Event]:
    """Changes, the newest first; only those whose number is below `before`."""
    conditions = [*_conditions(session, which), *where]
    if before is not None:
        conditions.append(History.id < before)
    entities = entities_of(session, which)
    if entities is None:
        page = select(History.id).where(*conditions).order_by(History.id.desc()).limit(limit)
    else:
        page = _newest_of(entities, conditions, limit)
    numbers = list(session.scalars(page))
    rows = session.execute(
        select(History, Revision, _body_before())
        .join(Revision, Revision.number == History.from_revision)
        .where(History.id.in_(numbers))
        .order_by(History.id.desc())
    )
    return [_event(row, revision, earlier) for row, revision, earlier in rows]


def _newest_of(
    entities: Select[str, str], conditions: Sequence[ColumnElement[bool]], limit: int
) -> Select[int]:
    """The newest changes of some entities: of each its newest, then the newest of these.

    Spelt out, since the planner would rather read a million rows than believe that a site has few.
    """
    chosen = entities.cte("chosen")
    of_one = (
        select(History.id)
        .where(History.kind == chosen.c.kind, History.entity_id == chosen.c.entity_id, *conditions)
        .order_by(History.from_revision.desc())
        .limit(limit)
        .correlate(chosen)
        .lateral("newest")
    )
    return (
        select(of_one.c.id).select_from(chosen.join(of_one, true())).order_by(of_one.c.id.desc()).limit(limit)
    )


def _body_before() -> Any:
    earlier = aliased(History, name="earlier")
    return (
        select(earlier.body)
        .where(
            earlier.kind == History.kind,
            earlier.entity_id == History.entity_id,
            earlier.from_revision < History.from_revision,
        )
        .order_by(earlier.from_revision.desc())
        .limit(1)
        .correlate(History)
        .scalar_subquery()
    )


def _event(row: History, revision: Revision, before: Body | None) -> Event:
    # a key that bodies were given later is no change that somebody made
    earlier = filled(row.kind, row.entity_id, before) if before else before
    became = filled(row.kind, row.entity_id, row.body) if row.body else row.body
    body = became or earlier or {}
    return Event(
        number=row.id,
        revision=revision.number,
        at=revision.at,
        actor=revision.actor,
        actor_name=revision.actor_name,
        reason=revision.reason,
        kind=row.kind,
        id=row.entity_id,
        op=row.op,
        act="removed" if row.body is None else "changed" if earlier else "added",
        name=called(row.kind, body),
        site=site_of(row.kind, body),
        changes=changes(earlier, became) if earlier and became else {},
    )
