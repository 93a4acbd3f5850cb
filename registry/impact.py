"""Whom a downtime hits: the VOs of its sites, what stays for them elsewhere, and which other downtimes it meets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FieldFault
from hanse.identity.principals import Principal
from registry import downtimes, neighbours
from registry.downtime_parts import Affected
from registry.models import Downtime, Service, Site, VoShare
from registry.neighbours import Heard
from registry.rules import NOTICE, classification
from registry.schemas.downtimes import DowntimeIn
from registry.settings import RegistrySettings

COMPUTE: Final = frozenset(
    {"eu.egi.cloud.vm-management.occi", "org.openstack.nova", "org.opennebula.compute"}
)
QUIET_DAYS: Final = 14


@dataclass(frozen=True)
class Used:
    """What a VO has at the affected sites, as other services tell: None where they do not answer."""

    members: int | None = None
    vms: int | None = None
    cpu_hours: float | None = None


@dataclass(frozen=True)
class VoImpact:
    """A VO at the affected sites: the vCPU it loses of all that is declared for it, and the sites that stay.

    `away` are other sites of the VO that are in an outage meanwhile.
    """

    vo: str
    lost: int
    declared: int
    elsewhere: list[str]
    away: list[str]
    used: Used = Used()

    @property
    def share(self) -> float:
        """The part of the VO's declared capacity that goes, 0 to 1."""
        return self.lost / self.declared if self.declared else 0.0


@dataclass(frozen=True)
class Meeting:
    """Another downtime at the same time: at one of the same sites, or at a site of the same VOs."""

    number: int
    sites: list[str]
    start: datetime
    end: datetime
    description: str
    severity: str
    same: list[str]
    vos: list[str]


@dataclass(frozen=True)
class Impact:
    """Before anything is saved: VOs that are hit, and the downtimes that are met."""

    vos: list[VoImpact]
    meetings: list[Meeting]

    @property
    def left_alone(self) -> list[VoImpact]:
        """VOs for which no other site stays."""
        return [one for one in self.vos if not one.elsewhere]

    @property
    def same_site(self) -> list[Meeting]:
        """Downtimes that take something of the same sites."""
        return [one for one in self.meetings if one.same]

    @property
    def elsewhere(self) -> list[Meeting]:
        """Downtimes of other sites that share a VO."""
        return [one for one in self.meetings if not one.same]


def of(
    session: Session,
    parts: Sequence[Affected],
    start: datetime,
    end: datetime,
    *,
    severity: str = "OUTAGE",
    used: Mapping[str, Used] | None = None,
) -> Impact:
    """What a downtime of `parts` from `start` to `end` would do. At risk takes nothing away."""
    here = {part.site.name for part in parts}
    supports = _supports(session, {share.vo for part in parts for share in part.site.shares})
    meanwhile = downtimes.overlapping(session, start, end)
    away = {
        name
        for one in meanwhile
        if one.severity == "OUTAGE"
        for name in _whole_sites_away(session, one, start, end)
    }
    gone = {part.site.name for part in parts if severity == "OUTAGE" and _takes_compute(session, part)}
    vos = [_vo(vo, supports[vo], here, gone, away, (used or {}).get(vo, Used())) for vo in sorted(supports)]
    meetings = [_meeting(one, here, supports) for one in meanwhile]
    return Impact(vos, [one for one in meetings if one.same or one.vos])


def _supports(session: Session, vos: Collection[str]) -> dict[str, dict[str, int]]:
    """Declared vCPU by VO and site, of the VOs that are asked for."""
    found: dict[str, dict[str, int]] = {vo: {} for vo in vos}
    rows = session.execute(
        select(VoShare.vo, Site.name, func.coalesce(VoShare.vcpu, 0)).join(Site).where(VoShare.vo.in_(vos))
    )
    for vo, name, vcpu in rows:
        found[vo][name] = int(vcpu)
    return found


def _takes_compute(session: Session, part: Affected) -> bool:
    """Whether no service that runs machines stays at the site."""
    stays = select(Service.id).where(
        Service.site_id == part.site.id, Service.service_type.in_(COMPUTE), Service.id.not_in(part.services)
    )
    takes = select(Service.id).where(Service.service_type.in_(COMPUTE), Service.id.in_(part.services))
    return session.scalar(takes.limit(1)) is not None and session.scalar(stays.limit(1)) is None


def _whole_sites_away(session: Session, downtime: Downtime, start: datetime, end: datetime) -> list[str]:
    """Sites of another downtime that keep no service for machines at some time between `start` and `end`."""
    covered = {link.service_id for link in downtimes.covered(downtime, start, end)}
    found = []
    for part in downtime.parts:
        affected = Affected(part.site, part.whole, dict.fromkeys(covered, True), frozenset())
        if covered and _takes_compute(session, affected) and _has_service(session, part.site_id, covered):
            found.append(part.site.name)
    return found


def _has_service(session: Session, site: int, services: Collection[int]) -> bool:
    own = select(Service.id).where(Service.site_id == site, Service.id.in_(services))
    return session.scalar(own.limit(1)) is not None


def _vo(
    vo: str,
    shares: Mapping[str, int],
    here: Collection[str],
    gone: Collection[str],
    away: Collection[str],
    used: Used,
) -> VoImpact:
    others = sorted(shares.keys() - set(here))
    stays = sorted(set(here) & shares.keys() - set(gone))
    return VoImpact(
        vo=vo,
        lost=sum(vcpu for name, vcpu in shares.items() if name in gone),
        declared=sum(shares.values()),
        elsewhere=[*(name for name in others if name not in away), *stays],
        away=[name for name in others if name in away],
        used=used,
    )


def _meeting(one: Downtime, here: Collection[str], supports: Mapping[str, Mapping[str, int]]) -> Meeting:
    names = one.site_names
    return Meeting(
        number=one.id,
        sites=names,
        start=one.start_at,
        end=one.end_at,
        description=one.description,
        severity=one.severity,
        same=[name for name in names if name in here],
        vos=sorted(vo for vo, shares in supports.items() if shares.keys() & set(names)),
    )


def before_declaring(
    db: Database, settings: RegistrySettings, principal: Principal, form: DowntimeIn
) -> Impact:
    """The impact of a downtime that keeps all rules. Raises as `downtimes.declare`; keeps nothing."""
    now = datetime.now(UTC)
    heard = neighbours.ask(db, settings, questions(now))
    with db.transaction() as session:
        made = downtimes.plan(session, principal, form, now)
        sites = {part.site.name for part in made.parts}
        known = used(heard, sites)
        return of(session, made.parts, made.start, made.end, severity=form.severity, used=known)


def quiet_day(
    session: Session, parts: Sequence[Affected], start: datetime, end: datetime, now: datetime
) -> int | None:
    """After how many days the same hours meet no downtime of these sites, or of sites of their VOs; None in two weeks.

    Days that would take the notice of a scheduled downtime away are no help.
    """
    here = {part.site.name for part in parts}
    supports = _supports(session, {share.vo for part in parts for share in part.site.shares})
    wanted = here | {name for shares in supports.values() for name in shares}
    until = end + timedelta(days=QUIET_DAYS)
    spans = [
        (one.start_at, one.end_at)
        for one in downtimes.overlapping(session, start, until)
        if wanted & set(one.site_names)
    ]
    for days in range(1, QUIET_DAYS + 1):
        first, last = start + timedelta(days=days), end + timedelta(days=days)
        if first > now and not any(begins < last and ends > first for begins, ends in spans):
            return days
    return None


def questions(now: datetime) -> dict[str, tuple[str, str]]:
    """What is asked of accounting and membership for `used`."""
    month = f"{now:%Y-%m}"
    return {
        "accounting": ("accounting", f"/api/v1/usage?by=site,vo&from={month}&to={month}"),
        "vomsdb": ("vomsdb", "/api/v1/vos?limit=500"),
    }


def used(heard: Mapping[str, Heard], sites: Collection[str]) -> dict[str, Used]:
    """What VOs have at these sites this month, by VO; a service that never answered leaves its figures None."""
    members = {
        str(one.get("name")): one.get("members")
        for one in heard["vomsdb"].body.get("items", ())
        if isinstance(one.get("members"), int)
    }
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in heard["accounting"].body.get("rows", ()):
        if row.get("site") in sites and row.get("vo"):
            rows.setdefault(str(row["vo"]), []).append(row)
    known = heard["accounting"].known
    return {
        vo: Used(
            members=members.get(vo),
            vms=sum(int(row.get("vms") or 0) for row in rows.get(vo, ())) if known else None,
            cpu_hours=sum(float(row.get("cpu_hours") or 0) for row in rows.get(vo, ())) if known else None,
        )
        for vo in members.keys() | rows.keys()
    }


def body_of(hit: Impact) -> dict[str, Any]:
    """An impact on the wire."""
    return {
        "vos": [
            {
                "vo": one.vo,
                "lost_vcpu": one.lost,
                "declared_vcpu": one.declared,
                "stays": one.elsewhere,
                "away": one.away,
                "members": one.used.members,
                "vms": one.used.vms,
                "cpu_hours": one.used.cpu_hours,
            }
            for one in hit.vos
        ],
        "meets": [
            {
                "id": str(one.number),
                "sites": one.sites,
                "start": one.start,
                "end": one.end,
                "severity": one.severity,
                "same_sites": one.same,
                "vos": one.vos,
            }
            for one in hit.meetings
        ],
    }


@dataclass(frozen=True)
class Rule:
    """One rule and whether it is kept; None = nothing to decide, only to know."""

    words: str
    kept: bool | None


def rules(start: datetime, end: datetime, where: str, faults: Sequence[FieldFault]) -> list[Rule]:
    """What the rules say of a downtime, the broken ones first (reference: GOCDB's rules for downtimes)."""
    now = datetime.now(UTC)
    broken = [
        Rule(f"{fault.field.replace('_', ' ').capitalize()}: {fault.reason}", False) for fault in faults
    ]
    kind = classification(start, now)
    if kind == "SCHEDULED":
        notice = Rule("Scheduled: begins more than 24 h ahead", True)
        fixed = Rule(f"Can be changed or deleted until {start - NOTICE:%d %b, %H:%M}, then it is fixed", True)
    else:
        notice = Rule("Unscheduled: less than 24 h of notice", None)
        fixed = Rule("Can be changed until it ends, deleted until it begins", True)
    named_wrong = any(fault.field in ("sites", "services", "endpoints") for fault in faults)
    return [
        *broken,
        notice,
        *([] if named_wrong else [Rule(f"Everything named belongs to {where}; you may declare there", True)]),
        fixed,
        Rule("Can be ended early, for each service; cannot be made longer", True),
        Rule("Monitoring goes on measuring and sends no alert", None),
        *([Rule("Lasts more than a week: is this meant?", None)] if end - start > timedelta(days=7) else []),
    ]
