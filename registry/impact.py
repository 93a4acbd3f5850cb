"""Whom a downtime hits: the VOs of the site, what stays for them elsewhere, and which other sites are away then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.errors import FieldFault
from registry import downtimes
from registry.models import Downtime, Site, VoShare
from registry.rules import NOTICE, classification


@dataclass(frozen=True)
class VoImpact:
    """A VO at the site: what it loses of all that is declared for it (vCPU), and the sites that stay."""

    vo: str
    lost: int | None
    declared: int
    elsewhere: list[str]

    @property
    def share(self) -> float:
        """The part of the VO's declared capacity that goes, 0 to 1."""
        return (self.lost or 0) / self.declared if self.declared else 0.0


@dataclass(frozen=True)
class Impact:
    """Before anything is saved: VOs that are hit, and other downtimes at the same time at sites that share a VO."""

    vos: list[VoImpact]
    others: list[Downtime]

    @property
    def left_alone(self) -> list[VoImpact]:
        """VOs for which no other site stays."""
        return [one for one in self.vos if not one.elsewhere]


def of(session: Session, site: Site, start: datetime, end: datetime) -> Impact:
    """What a downtime of the whole site from `start` to `end` would do."""
    meanwhile = [one for one in downtimes.overlapping(session, start, end) if one.site_id != site.id]
    away = {one.site.name for one in meanwhile if one.severity == "OUTAGE"}
    vos = [_vo(session, share, site, away) for share in sorted(site.shares, key=lambda share: share.vo)]
    sharing = {name for one in vos for name in (*one.elsewhere, *away)}
    return Impact(vos, [one for one in meanwhile if one.site.name in sharing])


def _vo(session: Session, share: VoShare, site: Site, away: set[str]) -> VoImpact:
    declared = session.scalar(select(func.sum(VoShare.vcpu)).where(VoShare.vo == share.vo)) or 0
    names = session.scalars(
        select(Site.name).join(VoShare).where(VoShare.vo == share.vo, Site.id != site.id).order_by(Site.name)
    )
    return VoImpact(share.vo, share.vcpu, int(declared), [name for name in names if name not in away])


@dataclass(frozen=True)
class Rule:
    """One rule and whether it is kept; None = nothing to decide, only to know."""

    words: str
    kept: bool | None


def rules(start: datetime, end: datetime, site: str, faults: Sequence[FieldFault]) -> list[Rule]:
    """What the rules say of a downtime, the broken ones first (reference: GOCDB's rules for downtimes)."""
    now = datetime.now(UTC)
    broken = [Rule(f"{fault.field.capitalize()}: {fault.reason}", False) for fault in faults]
    kind = classification(start, now)
    if kind == "SCHEDULED":
        notice = Rule("Scheduled: begins more than 24 h ahead", True)
        fixed = Rule(f"Can be changed until {start - NOTICE:%d %b, %H:%M}, then it is fixed", True)
    else:
        notice = Rule("Unscheduled: less than 24 h of notice", None)
        fixed = Rule("Can be changed until it ends", True)
    return [
        *broken,
        notice,
        Rule(
            f"Everything named belongs to {site}",
            not any(fault.field in ("services", "endpoints") for fault in faults),
        ),
        fixed,
        Rule("Can be ended early; cannot be made longer", True),
        Rule("Monitoring goes on measuring and sends no alert", None),
    ] + ([Rule("Lasts more than a week: is this meant?", None)] if end - start > timedelta(days=7) else [])
