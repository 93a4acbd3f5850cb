"""What people say about a finding: somebody is at it, it is in order, or neither any more."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from accounting import events
from accounting.crosschecks.listing import one
from accounting.models import Finding
from accounting.permissions import DECIDE_FINDING
from hanse.errors import Conflict, FieldFault, Refused
from hanse.identity.permissions import check
from hanse.identity.principals import Principal

LONGEST_REASON = 500


def acknowledge(session: Session, principal: Principal, number: int, reason: str, now: datetime) -> Finding:
    """Somebody is at it. Raises NotFound, Forbidden, and Conflict when it is gone."""
    return _decide(session, principal, number, "acknowledged", reason, now)


def accept(session: Session, principal: Principal, number: int, reason: str, now: datetime) -> Finding:
    """It is in order, and stays so when it is found again. Raises Refused without a reason, else as `acknowledge`."""
    if not reason.strip():
        raise Refused("Why is it in order?", FieldFault("reason", "say why, so that others need not ask"))
    return _decide(session, principal, number, "accepted", reason, now)


def take_back(session: Session, principal: Principal, number: int) -> Finding:
    """The decision no longer holds: the finding is open again. Raises NotFound, Forbidden, Conflict without one."""
    row = _own(session, principal, number)
    if not row.decision:
        raise Conflict("Nobody has decided about this finding, so there is nothing to take back.")
    said = f'Took back that it was {row.decision}: "{row.sentence}"'
    row.decision, row.reason, row.decided_at, row.decided_by = "", "", None, ""
    events.tell(session, "finding", said, by=principal.name, site=row.site, month=row.month, finding=row.id)
    return row


def _decide(
    session: Session, principal: Principal, number: int, decision: str, reason: str, now: datetime
) -> Finding:
    if len(reason) > LONGEST_REASON:
        raise Refused("The reason is too long.", FieldFault("reason", f"at most {LONGEST_REASON} characters"))
    row = _own(session, principal, number)
    if row.gone_at is not None:
        raise Conflict(
            f"It is so no longer since {row.gone_at:%d %B %Y, %H:%M} UTC: there is nothing to decide."
        )
    row.decision, row.reason = decision, reason.strip()
    row.decided_at, row.decided_by = now, principal.name
    why = f" Reason: {row.reason}" if row.reason else ""
    said = f'{decision.capitalize()}: "{row.sentence}"{why}'
    events.tell(session, "finding", said, by=principal.name, site=row.site, month=row.month, finding=row.id)
    return row


def _own(session: Session, principal: Principal, number: int) -> Finding:
    row = one(session, principal, number, lock=True)
    check(principal, DECIDE_FINDING, row.owner)
    return row
