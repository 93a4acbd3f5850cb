"""Declared against observed: where the registry and what a site publishes of its clouds differ.

Each difference is a fact with a name of its own, found anew at each look, so that it goes when the cause goes. A person
accepts it (the observed side goes into the registry, as that person's revision) or ignores it with a reason; it comes
back when either side changes, or when its time is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, lazyload, selectinload

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Change, feed_epoch, head
from registry import bodies, cloudinfo
from registry.drift_finding import differences
from registry.drifting.difference import Difference
from registry.lately import Lately
from registry.models import CloudDocument, DriftDecision, Site
from registry.recording import lock_site, recording
from registry.rights import EDIT_SITE, READ_DRIFT, check_site, may_site
from registry.schemas.cloudinfo import AcceptIn, IgnoreIn


def of_site(
    session: Session,
    site: Site,
    now: datetime | None = None,
    documents: Sequence[CloudDocument] | None = None,
) -> list[Difference]:
    """The differences of a site with their decisions: open ones first, in the order of their kinds.

    `documents` are those that it publishes now, where they have been read.
    """
    current = cloudinfo.current(session, site.name) if documents is None else documents
    if not current:  # nothing is published, so there is nothing to compare
        return []
    found = differences(session, [site], current, now or datetime.now(UTC))
    return _decided(found, _decisions(session, [site]))[site.id]


_Decisions = Mapping[tuple[int, str], DriftDecision]


def _decisions(session: Session, sites: Sequence[Site]) -> _Decisions:
    rows = select(DriftDecision).where(DriftDecision.site_id.in_([site.id for site in sites]))
    return {(row.site_id, row.fact): row for row in session.scalars(rows)}


def _decided(found: Mapping[int, Sequence[Difference]], decisions: _Decisions) -> dict[int, list[Difference]]:
    decided = {}
    for number, differing in found.items():
        with_decisions = [replace(one, decision=decisions.get((number, one.fact))) for one in differing]
        decided[number] = sorted(with_decisions, key=lambda one: one.ignored)
    return decided


def accept(db: Database, principal: Principal, site_name: str, form: AcceptIn) -> str:
    """Write the observed side of a difference into the registry, as one revision; returns what was done.

    Raises Conflict when it is no longer so, Refused when only people at the site can mend it.
    """
    reason = form.reason or f"As {site_name} publishes it"
    with recording(db, principal, reason) as (session, change):
        site = lock_site(session, site_name)
        check_site(principal, EDIT_SITE, site)
        one = _one(session, site, form.fact)
        if one.accept is None:
            raise Refused(
                f"{one.sentence} This cannot be accepted into the registry.",
                FieldFault("fact", "mend it at the site, or ignore it with a reason"),
            )
        one.accept(session, change, site)
        _forget(session, change, site, form.fact)
        return one.accepting


def _one(session: Session, site: Site, fact: str) -> Difference:
    one = next((one for one in of_site(session, site) if one.fact == fact), None)
    if one is None:
        raise Conflict(
            f"{site.name} does not differ in this any more: somebody mended it, or a newer document came. Read the"
            " list again."
        )
    return one


def ignore(db: Database, principal: Principal, site_name: str, form: IgnoreIn) -> None:
    """Find a difference to be in order, as it is now. Raises Conflict when it is gone, Refused for a past end."""
    now = datetime.now(UTC)
    if form.until is not None and form.until <= now:
        raise Refused("Until when?", FieldFault("until", "must lie in the future"))
    with recording(db, principal, form.reason) as (session, change):
        site = lock_site(session, site_name)
        check_site(principal, EDIT_SITE, site)
        one = _one(session, site, form.fact)
        row = one.decision or DriftDecision(site_id=site.id, fact=form.fact)
        row.seen, row.reason, row.until = one.seen, form.reason, form.until
        row.at, row.by_name = now, principal.name
        session.add(row)
        change.put("drift", bodies.drift_id(row), bodies.drift_body(row, site))


def notice(db: Database, principal: Principal, site_name: str, fact: str) -> None:
    """Take an ignored difference back into the open. Raises NotFound when nobody ignored it."""
    with recording(db, principal, "Looked at again") as (session, change):
        site = lock_site(session, site_name)
        check_site(principal, EDIT_SITE, site)
        if not _forget(session, change, site, fact):
            raise NotFound(f"Nobody ignores this at {site_name}.")


def _forget(session: Session, change: Change, site: Site, fact: str) -> bool:
    row = session.get(DriftDecision, (site.id, fact))
    if row is None:
        return False
    change.delete("drift", bodies.drift_id(row))
    session.delete(row)
    session.flush()
    return True


@dataclass(frozen=True)
class Standing:
    """How a site's registry entry and its documents stand to each other."""

    site: str
    open: int
    ignored: int
    valid_until: datetime | None


_kept: Lately[Mapping[int, list[Difference]]] = Lately(4)


def of_all(session: Session, principal: Principal, now: datetime | None = None) -> list[Standing]:
    """Sites that publish and over which the principal may read this, those that differ most first."""
    now = now or datetime.now(UTC)
    documents = cloudinfo.current(session)
    until: dict[int, datetime] = {}
    for one in documents:
        until[one.site_id] = max(one.valid_until, until.get(one.site_id, one.valid_until))
    brief = select(Site).where(Site.id.in_(list(until))).options(*_BRIEF)
    sites = [site for site in session.scalars(brief) if may_site(principal, READ_DRIFT, site)]
    every = _compared(session, list(until), documents, now)
    decided = _decided({site.id: every.get(site.id, []) for site in sites}, _decisions(session, sites))
    found = []
    for site in sites:
        ignored = sum(one.ignored for one in decided[site.id])
        found.append(Standing(site.name, len(decided[site.id]) - ignored, ignored, until.get(site.id)))
    return sorted(found, key=lambda one: (-one.open, one.site))


_BRIEF = tuple(lazyload(name) for name in (Site.contacts, Site.shares, Site.properties))


def _compared(
    session: Session, sites: Sequence[int], documents: Sequence[CloudDocument], now: datetime
) -> Mapping[int, list[Difference]]:
    """What differs at all sites that publish; compared anew when the log has grown or a document came or went."""
    published = tuple((one.id, one.valid_until, one.valid_until > now) for one in documents)

    def compare() -> Mapping[int, list[Difference]]:
        rows = session.scalars(
            select(Site).where(Site.id.in_(sites)).options(selectinload(Site.shares), *_BARE)
        )
        found = differences(session, rows.all(), documents, now)
        # what accepts a difference needs the rows of this very look
        return {number: [replace(one, accept=None) for one in some] for number, some in found.items()}

    return _kept.get((), (feed_epoch(session), head(session), published), compare)


_BARE = (lazyload(Site.contacts), lazyload(Site.properties))
