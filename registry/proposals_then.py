"""Proposed steps of certification as they stood at a moment, read from their rows.

Each row tells when it was made, when the first of two agreed, and when it was decided.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, case, select
from sqlalchemy.orm import Session

from registry.models import CertificationProposal, Site
from registry.policy_proposals import WAITING
from registry.schemas.policy import ProposalQuery


def listed(session: Session, query: ProposalQuery, limit: int, at: datetime) -> list[CertificationProposal]:
    """The proposals that had been made by a moment, as they were then, the newest first.

    They are copies that belong to no session: what was decided later is not in them.
    """
    state = _state(at)
    wanted = select(CertificationProposal, state).where(CertificationProposal.made_at <= at)
    if query.site is not None:
        wanted = wanted.join(Site).where(Site.name == query.site)
    if query.state == "waiting":
        wanted = wanted.where(state.in_(WAITING))
    elif query.state is not None:
        wanted = wanted.where(state == query.state)
    if query.cursor is not None:
        wanted = wanted.where(CertificationProposal.id < int(query.cursor))
    rows = session.execute(wanted.order_by(CertificationProposal.id.desc()).limit(limit)).all()
    return [_as_it_was(session, row, then, at) for row, then in rows]


def waiting(session: Session, site: Site, at: datetime) -> CertificationProposal | None:
    """The proposal of a site that was undecided then."""
    found = listed(session, ProposalQuery(site=site.name, state="waiting"), 1, at)
    return found[0] if found else None


def _state(at: datetime) -> ColumnElement[str]:
    return case(
        (CertificationProposal.decided_at <= at, CertificationProposal.state),
        (CertificationProposal.first_at <= at, "seconding"),
        else_="open",
    )


def _as_it_was(
    session: Session, row: CertificationProposal, state: str, at: datetime
) -> CertificationProposal:
    session.expunge(row)
    row.state = state
    if row.decided_at is not None and row.decided_at > at:
        row.decided_key = row.decided_name = row.decided_at = row.decided_reason = None
    if row.first_at is not None and row.first_at > at:
        row.first_key = row.first_person = row.first_name = row.first_at = row.first_reason = None
    return row
