"""The audit trail: who changed what, when and why, field by field; by site, NGI, person, entity, kind and time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, case, false, func, select, true, union
from sqlalchemy.orm import Mapped, Session, aliased

from hanse.revisions import Body, History, Revision, number_at_time
from registry.differences import changes
from registry.models import TrailEntity
from registry.older import filled
from registry.states import called, site_of, text_of

CLOCK = "clock"
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


def entities_of(which: Wanted) -> Select[str, str] | None:
    """The entities that the trail is of, of which one state fits: a removal has no body to be asked."""
    places = []
    if which.site is not None:
        places.append(TrailEntity.place == f"site:{which.site}")
    if which.ngi is not None:
        places += [TrailEntity.place == f"ngi:{which.ngi}", TrailEntity.place.in_(_sites_of(which.ngi))]
    if not places:
        return None
    # one place at a time: for an "or" the planner would read everything
    found = union(*(select(TrailEntity.kind, TrailEntity.entity_id).where(one) for one in places)).subquery()
    return select(found.c.kind, found.c.entity_id)


def _sites_of(ngi: str) -> Select[str]:
    """The places of all sites that ever were of the NGI, under every name that they had."""
    sites = select(TrailEntity.entity_id).where(TrailEntity.place == f"ngi:{ngi}", TrailEntity.kind == "site")
    return select(TrailEntity.place).where(
        TrailEntity.kind == "site", TrailEntity.entity_id.in_(sites), TrailEntity.place.like("site:%")
    )


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
    entities = entities_of(which)
    if entities is None:
        page = select(History.id).where(*conditions).order_by(History.id.desc()).limit(limit)
    else:
        page = _newest_of(entities, conditions, limit)
    rows = session.execute(
        select(History, Revision, _body_before())
        .join(Revision, Revision.number == History.from_revision)
        .where(History.id.in_(page))
        .order_by(History.id.desc())
    )
    return [_event(row, revision, earlier) for row, revision, earlier in rows]


def _newest_of(
    entities: Select[str, str], conditions: Sequence[ColumnElement[bool]], limit: int
) -> Select[int]:
    """The newest changes of some entities: of each since a revision, then the newest of these.

    The revision is that of the entity which changed as the `limit`-th last: all that is wanted happened since. Spelt
    out, since the planner would rather read a million rows than believe that a site has few.
    """
    chosen = entities.cte("chosen").prefix_with("materialized", dialect="postgresql")
    own = [History.kind == chosen.c.kind, History.entity_id == chosen.c.entity_id, *conditions]

    def of_each(column: Mapped[int], most: int, *since: ColumnElement[bool]) -> Any:
        newest = select(column).where(*own, *since).order_by(History.from_revision.desc()).limit(most)
        return newest.correlate(chosen).lateral()

    last = of_each(History.from_revision, 1)
    lasts = (
        select(last.c.from_revision)
        .select_from(chosen.join(last, true()))
        .order_by(last.c.from_revision.desc())
        .limit(limit)
        .subquery()
    )
    since = select(case((func.count() < limit, 0), else_=func.min(lasts.c.from_revision))).scalar_subquery()
    found = of_each(History.id, limit, History.from_revision >= since)
    return select(found.c.id).select_from(chosen.join(found, true())).order_by(found.c.id.desc()).limit(limit)


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
