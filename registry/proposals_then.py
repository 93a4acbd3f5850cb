"""Proposed steps of certification as they stood at a moment, read from their rows.

Each row tells when it was made, when the first of two agreed, and when it was decided; the log, what its site was
called then.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, case, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from hanse.revisions import History
from registry import states
from registry.models import CertificationProposal, Site
from registry.policy_proposals import WAITING
from registry.schemas.policy import ProposalQuery
from registry.states import Moment


def listed(session: Session, query: ProposalQuery, limit: int, moment: Moment) -> list[CertificationProposal]:
    """The proposals that had been made by a moment, as they were then, the newest first; sites have the names of then.

    They are copies that belong to no session: what was decided later is not in them.
    """
    at = moment.at
    state = _state(at)
    wanted = select(CertificationProposal, state).where(CertificationProposal.made_at <= at)
    if query.site is not None:
        called = states.by_name(
            session, "site", where=[states.name_of() == query.site], as_of=str(moment.number)
        )
        wanted = wanted.where(CertificationProposal.site_id.in_([int(one.id) for one in called]))
    if query.state == "waiting":
        wanted = wanted.where(state.in_(WAITING))
    elif query.state is not None:
        wanted = wanted.where(state == query.state)
    if query.cursor is not None:
        wanted = wanted.where(CertificationProposal.id < int(query.cursor))
    rows = session.execute(wanted.order_by(CertificationProposal.id.desc()).limit(limit)).all()
    about = [History.entity_id.in_([str(row.site_id) for row, _ in rows])]
    sites = states.by_id(session, "site", where=about, as_of=str(moment.number))
    names = {int(one.id): str(one.body["name"]) for one in sites}
    return [_as_it_was(session, row, then, at, names.get(row.site_id)) for row, then in rows]


def waiting(session: Session, site: str, moment: Moment) -> CertificationProposal | None:
    """The proposal of a site, by its name of then, that was undecided then."""
    found = listed(session, ProposalQuery(site=site, state="waiting"), 1, moment)
    return found[0] if found else None


def _state(at: datetime) -> ColumnElement[str]:
    return case(
        (CertificationProposal.decided_at <= at, CertificationProposal.state),
        (CertificationProposal.first_at <= at, "seconding"),
        else_="open",
    )


def _as_it_was(
    session: Session, row: CertificationProposal, state: str, at: datetime, site: str | None
) -> CertificationProposal:
    session.expunge(row)
    row.state = state
    if site is not None:
        set_committed_value(row, "site", Site(id=row.site_id, name=site))
    if row.decided_at is not None and row.decided_at > at:
        row.decided_key = row.decided_name = row.decided_at = row.decided_reason = None
    if row.first_at is not None and row.first_at > at:
        row.first_key = row.first_person = row.first_name = row.first_at = row.first_reason = None
    return row
