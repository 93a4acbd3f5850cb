"""Where a member can work: the sites of the VO, what they offer, and whether they know the member yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.follow import followed
from vomsdb.models import Member, Replica, VoChange
from vomsdb.promise import IN_STEP, Pair

OCCI = "eu.egi.cloud.vm-management.occi"


@dataclass(frozen=True)
class Place:
    """A site of a VO. `vcpu` is what it declared for the VO; `state` is ok, working or downtime, with words."""

    site: str
    middleware: str
    url: str
    vcpu: int | None
    state: str
    words: str


def places(session: Session, pairs: Sequence[Pair], vo: str) -> list[Place]:
    """The sites that support the VO, those that are ready first."""
    sites = {str(body.get("name")): body for body in followed(session, "registry", "site").values()}
    endpoints = list(followed(session, "registry", "endpoint").values())
    downtimes = list(followed(session, "registry", "downtime").values())
    found = [_place(pair, sites.get(pair.site, {}), endpoints, downtimes, vo) for pair in pairs]
    return sorted(found, key=lambda place: (place.state != "ok", place.site))


def _place(
    pair: Pair,
    site: Mapping[str, Any],
    endpoints: Iterable[Mapping[str, Any]],
    downtimes: Iterable[Mapping[str, Any]],
    vo: str,
) -> Place:
    own = [e for e in endpoints if e.get("site") == pair.site]
    urls = [str(e.get("url") or "") for e in own if e.get("service_type") == OCCI]
    shares = [share.get("vcpu") for share in site.get("supports") or [] if share.get("vo") == vo]
    state, words = ("ok", "ready") if pair.state == IN_STEP else ("working", "on its way")
    if until := in_downtime(pair.site, {str(e.get("service_id")) for e in own}, downtimes):
        state, words = "downtime", f"after {until:%d %b, %H:%M}"
    return Place(
        site=pair.site,
        middleware=str(site.get("middleware") or ""),
        url=next(filter(None, urls), ""),
        vcpu=shares[0] if shares else None,
        state=state,
        words=words,
    )


def in_downtime(
    site: str, services: Collection[str], downtimes: Iterable[Mapping[str, Any]]
) -> datetime | None:
    """When the outage ends that the site is in now: the last of its own services to be back counts."""
    now = datetime.now(UTC)
    for body in downtimes:
        if site not in (body.get("sites") or [body.get("site")]) or body.get("severity") != "OUTAGE":
            continue
        start, end = (datetime.fromisoformat(str(body[name])) for name in ("start", "end"))
        early = body.get("service_ends") or {}
        ends = [early.get(one) for one in body.get("services") or () if one in services]
        if ends and all(ends):
            end = max(datetime.fromisoformat(str(one)) for one in ends)
        if start <= now < end:
            return end
    return None


@dataclass(frozen=True)
class Reached:
    """How many of the VO's sites hold a member's last change."""

    there: int
    sites: int


def reached(session: Session, member: Member) -> Reached:
    """Counts the sites that confirmed the VO's last change before now that concerned the member's admission."""
    admitted = select(func.min(VoChange.revision)).where(
        VoChange.vo == member.vo, VoChange.at >= member.since
    )
    revision = session.scalar(admitted) or 0
    there = func.count().filter(Replica.held_revision >= revision, Replica.held_sha256.is_not(None))
    known, sites = session.execute(select(there, func.count()).where(Replica.vo == member.vo)).one()
    return Reached(known, sites)
