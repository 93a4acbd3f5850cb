"""Requests to join that nobody confirmed or decided: warned of, expired, and in the end forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from vomsdb import applications, mails
from vomsdb.ledger import CLOCK, revision
from vomsdb.models import Application, MemberRequest

#: Closed requests that never led to a membership are forgotten after this time, with the personal data in them.
PURGED_AFTER = timedelta(days=90)


def warn(session: Session, within: timedelta, limit: int = 100) -> int:
    """Tells, once, those who have not confirmed and have less time than this left; how many.

    Only the hash of the token is kept, so the warning points back to the mail with the link.
    """
    due = (
        select(Application)
        .where(Application.state == "submitted", Application.warned_at.is_(None))
        .where(Application.expires_at > func.now(), Application.expires_at <= datetime.now(UTC) + within)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = list(session.scalars(due))
    for application in rows:
        application.warned_at = datetime.now(UTC)
        about = f"application:{application.id}"
        mails.write(session, application.email, "confirm_soon", about, application.vo, request=application)
    return len(rows)


def expire(session: Session, limit: int = 100) -> int:
    """Requests that nobody confirmed or decided in time expire, and their applicants are told; how many."""
    due = (
        select(Application)
        .where(Application.state.in_(applications.OPEN), Application.expires_at <= func.now())
        .order_by(Application.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = list(session.scalars(due))
    for application in rows:
        why = "nobody decided in time" if application.state == "pending" else "the address was not confirmed"
        application.state = "expired"
        application.decided_at = datetime.now(UTC)
        applications.tell_applicant(
            session, application, f"The request expired: {why}. You may send a new one.\n"
        )
    if rows:
        with revision(session, CLOCK, "requests expired") as ledger:
            for application in rows:
                applications.put(ledger, application)
    return len(rows)


def purge(session: Session) -> int:
    """Forgets closed requests that led to nothing after a while; returns how many."""
    old = datetime.now(UTC) - PURGED_AFTER
    gone = ("expired", "withdrawn", "rejected")
    count = 0
    for table in (Application, MemberRequest):
        closed = delete(table).where(table.state.in_(gone), table.decided_at < old)
        count += session.execute(closed).rowcount  # type: ignore[attr-defined]
    return count
