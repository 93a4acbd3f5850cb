"""Declared against observed: where the registry and what a site publishes of its clouds differ.

Each difference is a fact with a name of its own, found anew at each look, so that it goes when the cause goes. A person
accepts it (the observed side goes into the registry, as that person's revision) or ignores it with a reason; it comes
back when either side changes, or when its time is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import bodies
from registry.drift_finding import differences
from registry.drifting.difference import Difference
from registry.models import CloudDocument, DriftDecision, Site
from registry.recording import lock_site, recording
from registry.rights import EDIT_SITE, READ_DRIFT, check_site, may_site
from registry.schemas.cloudinfo import AcceptIn, IgnoreIn


def of_site(session: Session, site: Site, now: datetime | None = None) -> list[Difference]:
    """The differences of a site with their decisions: open ones first, in the order of their kinds."""
    return _decided(session, [site], now or datetime.now(UTC))[site.id]


def _decided(session: Session, sites: Sequence[Site], now: datetime) -> dict[int, list[Difference]]:
    rows = select(DriftDecision).where(DriftDecision.site_id.in_([site.id for site in sites]))
    decisions = {(row.site_id, row.fact): row for row in session.scalars(rows)}
    decided = {}
    for number, found in differences(session, sites, now).items():
        with_decisions = [replace(one, decision=decisions.get((number, one.fact))) for one in found]
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


def of_all(session: Session, principal: Principal, now: datetime | None = None) -> list[Standing]:
    """Sites that publish and over which the principal may read this, those that differ most first."""
    now = now or datetime.now(UTC)
    newest = (
        select(CloudDocument.site_id, func.max(CloudDocument.valid_until))
        .where(CloudDocument.current)
        .group_by(CloudDocument.site_id)
    )
    until: dict[int, datetime] = {site_id: moment for site_id, moment in session.execute(newest)}
    published = session.scalars(select(Site).where(Site.id.in_(list(until))))
    sites = [site for site in published if may_site(principal, READ_DRIFT, site)]
    found = []
    for site, seen in zip(sites, _decided(session, sites, now).values(), strict=True) if sites else ():
        ignored = sum(one.ignored for one in seen)
        found.append(Standing(site.name, len(seen) - ignored, ignored, until.get(site.id)))
    return sorted(found, key=lambda one: (-one.open, one.site))
