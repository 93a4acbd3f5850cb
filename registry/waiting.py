"""What waits for somebody's decision: roles that were asked for, steps of certification, sites that want to join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.identity.permissions import allows
from hanse.identity.principals import Principal
from registry import role_requests
from registry.directory import Listed
from registry.models import CertificationProposal
from registry.rights import CERTIFY_SITE, may_site
from registry.schemas.fields import parse_time

JOINING = ("Candidate", "Uncertified")


@dataclass(frozen=True)
class Waiting:
    """A decision waited for since `since`; `url` is where it is made, `kind` role, certification or site."""

    kind: str
    title: str
    detail: str
    since: datetime
    url: str


def for_person(session: Session, principal: Principal, sites: Sequence[Listed]) -> list[Waiting]:
    """What the principal may decide, the oldest first. `sites` are those of the registry."""
    proposals = [one for one in _proposals(session) if may_site(principal, CERTIFY_SITE, one.site)]
    proposed = {one.site.name for one in proposals}
    joining = [
        site
        for site in sites
        if site.certification in JOINING
        and site.name not in proposed
        and allows(principal, CERTIFY_SITE, f"site:{site.name}", f"ngi:{site.ngi}")
    ]
    found = [
        *_roles(session, principal),
        *(_step(one) for one in proposals),
        *(_joining(site) for site in joining),
    ]
    return sorted(found, key=lambda one: one.since)


def _roles(session: Session, principal: Principal) -> list[Waiting]:
    return [
        Waiting(
            kind="role",
            title=f"Role request: {row.role.replace('_', ' ')}{_where(row.scope)}",
            detail=f"{row.person.name}: {row.request_reason}" if row.request_reason else row.person.name,
            since=row.requested_at,
            url="/roles",
        )
        for row in role_requests.for_me(session, principal)
    ]


def _where(scope: str) -> str:
    _, _, name = scope.partition(":")
    return f" of {name}" if name else ""


def _proposals(session: Session) -> list[CertificationProposal]:
    undecided = CertificationProposal.state.in_(["open", "seconding"])
    return list(session.scalars(select(CertificationProposal).where(undecided)))


def _step(proposal: CertificationProposal) -> Waiting:
    met = sum(item.get("state") == "met" for item in proposal.evidence)
    second = "; a second person must agree" if proposal.state == "seconding" else ""
    return Waiting(
        kind="certification",
        title=f"{proposal.site.name}: from {proposal.old} to {proposal.new}",
        detail=f"{met} of {len(proposal.evidence)} proofs met{second}",
        since=proposal.made_at,
        url=f"/sites/{quote(proposal.site.name)}#certification",
    )


def _joining(site: Listed) -> Waiting:
    return Waiting(
        kind="site",
        title=f"{site.name} is {site.certification.lower()}",
        detail="no step is proposed yet",
        since=parse_time(site.certification_since),
        url=f"/sites/{quote(site.name)}#certification",
    )
