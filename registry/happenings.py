"""What happened after a revision, with whom it concerns: the one source of webhooks and subscriptions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from hanse.revisions import Body, History, Revision
from registry.differences import changes
from registry.models import Subscription
from registry.states import called, name_of, text_of

# What everybody who is signed in may read. People, their roles and how they sign in are nobody's news.
TOLD = (
    "site",
    "service",
    "endpoint",
    "downtime",
    "ngi",
    "project",
    "service_group",
    "scope",
    "service_type",
    "host_certificate",
)
REVISIONS_AT_ONCE = 500


@dataclass(frozen=True)
class Concern:
    """Whom a change concerns: sites and NGIs and services by id, VOs by name."""

    sites: frozenset[str] = frozenset()
    ngis: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    vos: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Happening:
    """One entity that a revision changed. `fields` are (old, new) by field, when it was there before and after."""

    kind: str
    id: str
    op: str
    act: str
    name: str
    body: Body | None
    fields: Mapping[str, tuple[Any, Any]]
    concern: Concern


@dataclass(frozen=True)
class News:
    """One revision with what it changed."""

    revision: int
    at: datetime
    actor_name: str
    reason: str
    happenings: Sequence[Happening]


@dataclass(frozen=True)
class Filter:
    """What somebody wants to hear of; empty = everything. Ids are text, as in the log."""

    kinds: frozenset[str] = frozenset()
    sites: frozenset[str] = frozenset()
    ngis: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    vos: frozenset[str] = frozenset()

    def lets(self, one: Happening) -> bool:
        """True when the change is of a wanted kind and concerns one of those that are named, if any is."""
        if self.kinds and one.kind not in self.kinds:
            return False
        named = (
            (self.sites, one.concern.sites),
            (self.ngis, one.concern.ngis),
            (self.services, one.concern.services),
            (self.vos, one.concern.vos),
        )
        return not any(wanted for wanted, _ in named) or any(wanted & met for wanted, met in named)


_SUBJECTS: Mapping[str, frozenset[str]] = {
    "downtimes": frozenset({"downtime"}),
    "changes": frozenset(TOLD) - {"downtime", "endpoint"},
    "all": frozenset(TOLD) - {"endpoint"},
}


def asked_by(row: Subscription) -> Filter:
    """What a subscription lets through."""
    one = frozenset({str(row.target_id)})
    return Filter(
        kinds=_SUBJECTS[row.subject],
        sites=one if row.target == "site" else frozenset(),
        ngis=one if row.target == "ngi" else frozenset(),
        services=one if row.target == "service" else frozenset(),
        vos=frozenset({row.vo or ""}) if row.target == "vo" else frozenset(),
    )


def after(session: Session, cursor: int, limit: int = REVISIONS_AT_ONCE) -> list[News]:
    """The revisions after `cursor`, in order, at most `limit`; of each what may be told, which may be nothing."""
    revisions = list(
        session.scalars(
            select(Revision).where(Revision.number > cursor).order_by(Revision.number).limit(limit)
        )
    )
    if not revisions:
        return []
    rows = _rows(session, cursor, revisions[-1].number)
    around = _Around(session, rows)
    told: dict[int, list[Happening]] = {}
    for row, earlier in rows:
        told.setdefault(row.from_revision, []).append(_happening(row, earlier, around))
    return [
        News(one.number, one.at, one.actor_name, one.reason, told.get(one.number, [])) for one in revisions
    ]


_Rows = list[tuple[History, Body | None]]


def _rows(session: Session, cursor: int, last: int) -> _Rows:
    earlier = aliased(History, name="earlier")
    before = (
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
    statement = (
        select(History, before)
        .where(History.from_revision > cursor, History.from_revision <= last, History.kind.in_(TOLD))
        .order_by(History.id)
    )
    return [(row, body) for row, body in session.execute(statement)]


def _happening(row: History, earlier: Body | None, around: _Around) -> Happening:
    bodies = [body for body in (earlier, row.body) if body]
    return Happening(
        kind=row.kind,
        id=row.entity_id,
        op=row.op,
        act="removed" if row.body is None else "changed" if earlier else "added",
        name=called(row.kind, row.body or earlier or {}),
        body=row.body,
        fields=changes(earlier, row.body) if earlier and row.body else {},
        concern=around.concern(row.kind, row.entity_id, bodies),
    )


@dataclass
class _Around:
    """The sites and NGIs that the rows name, so that a change finds all whom it concerns."""

    session: Session
    rows: _Rows
    sites: dict[str, list[tuple[str, Body]]] = field(default_factory=dict)
    ngis: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {name for row, earlier in self.rows for name in _names(row.kind, earlier, row.body)}
        services = {
            one
            for row, earlier in self.rows
            if row.kind == "service_group"
            for body in (earlier, row.body)
            for one in (body or {}).get("services", ())
        }
        self.of_service: dict[str, str] = dict(
            self._pairs("service", text_of("site"), History.entity_id.in_(services)) if services else []
        )
        names |= set(self.of_service.values())
        for state in self._named("site", names):
            self.sites.setdefault(state[1]["name"], []).append(state)
        ngis = {body["ngi"] for states in self.sites.values() for _, body in states}
        ngis |= {
            name
            for row, earlier in self.rows
            if row.kind in ("site", "project")
            for body in (earlier, row.body)
            for name in [*(body or {}).get("ngis", ()), (body or {}).get("ngi")]
            if name
        }
        for entity_id, body in self._named("ngi", ngis):
            self.ngis.setdefault(body["name"], set()).add(entity_id)

    def _pairs(self, kind: str, value: Any, where: Any) -> Iterable[tuple[str, str]]:
        rows = self.session.execute(select(History.entity_id, value).where(History.kind == kind, where))
        return [(entity_id, found) for entity_id, found in rows if found]

    def _named(self, kind: str, names: Collection[str]) -> Iterator[tuple[str, Body]]:
        """The last state of each entity of the names: what was removed is still spoken of."""
        if not names:
            return
        rows = self.session.execute(
            select(History.entity_id, History.body)
            .where(History.kind == kind, History.op == "put", name_of().in_(names))
            .order_by(History.from_revision)
        )
        yield from {entity_id: body or {} for entity_id, body in rows}.items()

    def concern(self, kind: str, entity_id: str, bodies: Sequence[Body]) -> Concern:
        sites, ngis = set(), set()
        services: set[str] = set()
        vos: set[str] = set()
        if kind == "site":
            sites.add(entity_id)
            vos |= {share["vo"] for body in bodies for share in body.get("supports", ())}
            ngis |= {one for body in bodies for one in self.ngis.get(body.get("ngi", ""), ())}
        if kind == "ngi":
            ngis.add(entity_id)
        if kind == "service":
            services.add(entity_id)
        for body in bodies:
            services |= {str(one) for one in body.get("services", ())}
            services |= {str(body["service_id"])} if body.get("service_id") else set()
            ngis |= {one for name in body.get("ngis", ()) for one in self.ngis.get(name, ())}
        named = {name for body in bodies for name in _names(kind, body)}
        if kind == "service_group":
            named |= {self.of_service[one] for one in services if one in self.of_service}
        for name in named:
            for number, site in self.sites.get(name, ()):
                sites.add(number)
                ngis |= self.ngis.get(site.get("ngi", ""), set())
                vos |= {share["vo"] for share in site.get("supports", ())}
        return Concern(frozenset(sites), frozenset(ngis), frozenset(services), frozenset(vos))


def _names(kind: str, *bodies: Body | None) -> set[str]:
    """The names of sites in bodies of things that hang on sites."""
    if kind in ("site", "ngi", "project", "scope", "service_type", "service_group"):
        return set()
    return {
        name
        for body in bodies
        for name in [(body or {}).get("site"), *((body or {}).get("sites") or ())]
        if name
    }
