"""Steps of certification: the state machine's rules, each step with who took it and why (reference 2.1)."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FieldFault, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import entities, policy, states
from registry.models import CERTIFICATIONS, CertificationChange, Site
from registry.recording import check_unchanged, lock_site, recording
from registry.rights import CERTIFY_SITE, check_site, is_operator
from registry.rules import check_certification_step
from registry.schemas.records import CertificationChangeQuery
from registry.schemas.sites import CertificationIn


def certify(
    db: Database, principal: Principal, name: str, form: CertificationIn, expected: int | None = None
) -> None:
    """Move a site to another certification status. Raises Refused when the step needs an operator, or is none."""
    with recording(db, principal, form.reason) as (session, change):
        site = lock_site(session, name)
        check_site(principal, CERTIFY_SITE, site)
        check_unchanged(session, "site", site.id, expected)
        if site.certification == form.status:
            raise Refused(
                f"{name} is {form.status} already; nothing was changed.",
                FieldFault("status", "choose another one"),
            )
        check_certification_step(site.certification, form.status, operator=is_operator(principal))
        policy.check_alone(session, site.certification, form.status)
        take_step(session, change, principal, site, form.status, form.reason)


def take_step(
    session: Session, change: Change, principal: Principal, site: Site, status: str, reason: str
) -> None:
    """Change the status of a locked site inside the caller's revision: since when, by whom and why stands with it.

    The caller has checked rights and rules. Nothing happens when the site is so already.
    """
    if site.certification == status:
        return
    now = datetime.now(UTC)
    session.add(
        CertificationChange(
            site_id=site.id,
            at=now,
            old=site.certification,
            new=status,
            by_key=principal.key,
            by_name=principal.name,
            reason=reason,
        )
    )
    site.certification = status
    site.certification_since = now
    session.flush()
    entities.put_site(change, site)


def steps(
    session: Session, query: CertificationChangeQuery, limit: int | None = None
) -> list[tuple[CertificationChange, str]]:
    """Steps with the names of their sites, the newest first; at most `limit`."""
    asked = select(CertificationChange, Site.name).join(Site, Site.id == CertificationChange.site_id)
    if query.site is not None:
        asked = asked.where(Site.name == query.site)
    if query.status is not None:
        asked = asked.where(CertificationChange.new == query.status)
    if query.since is not None:
        asked = asked.where(CertificationChange.at >= query.since)
    if query.until is not None:
        asked = asked.where(CertificationChange.at < query.until)
    moment = states.moment(session, query.as_of)
    if moment is not None:
        asked = asked.where(CertificationChange.at <= moment.at)
    if query.cursor is not None:
        asked = asked.where(CertificationChange.id < int(query.cursor))
    rows = session.execute(asked.order_by(CertificationChange.id.desc()).limit(limit))
    return [(step, name) for step, name in rows]


def next_steps(status: str, *, operator: bool) -> list[str]:
    """The statuses that a site may be given next, in the order of the field."""
    found = []
    for wanted in CERTIFICATIONS:
        if wanted == status:
            continue
        try:
            check_certification_step(status, wanted, operator=operator)
        except Refused:
            continue
        found.append(wanted)
    return found
