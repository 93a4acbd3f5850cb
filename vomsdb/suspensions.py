"""Suspension of members and its end: at once in the attribute authority, first in what the sites are told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Actor
from vomsdb import members
from vomsdb.ledger import actor, revision
from vomsdb.models import Member
from vomsdb.models.membership import SUSPENSIONS

#: Codes a person may give; the others are the clock's.
BY_HAND = tuple(code for code in SUSPENSIONS if code not in ("FAILED_TO_SIGN_AUP", "MEMBERSHIP_EXPIRATION"))
WORDS = {
    "FAILED_TO_SIGN_AUP": "AUP not signed in time",
    "MEMBERSHIP_EXPIRATION": "membership has ended",
    "SECURITY_INCIDENT": "security incident",
    "HR_DB_VALIDATION": "not confirmed by the organisation",
    "OTHER": "other",
}


def suspend(session: Session, member_id: int, code: str, reason: str, by: Principal) -> Member:
    """Suspends a member everywhere at once; raises Refused, Conflict or NotFound."""
    if code not in BY_HAND:
        raise Refused(
            "The member cannot be suspended.", FieldFault("code", f"must be one of {', '.join(BY_HAND)}")
        )
    members.need_reason(reason)
    member = members.locked(session, member_id)
    if member.state == "suspended" and member.suspension_code in BY_HAND:
        raise Conflict(f"The member was suspended by {member.suspended_by} already.")
    if member.state == "expired":
        raise Conflict("The membership has ended; there is nothing to suspend.")
    suspend_as(session, member, code, reason, actor(by))
    return member


def suspend_as(session: Session, member: Member, code: str, reason: str, by: Actor) -> None:
    """Writes the suspension, the mail that tells of it, and the urgent change for the sites."""
    suspend_all(session, [member], code, reason, by)


def suspend_all(session: Session, rows: Sequence[Member], code: str, reason: str, by: Actor) -> None:
    """Suspends members that the caller holds locked, in one revision."""
    for member in rows:
        member.state = "suspended"
        member.suspension_code, member.suspension_reason = code, reason
        member.suspended_at, member.suspended_by = datetime.now(UTC), by.name
        members.tell(session, member, "suspended", why=WORDS[code], reason=reason)
    with revision(session, by, f"suspended: {WORDS[code]}: {reason}") as ledger:
        for member in rows:
            members.put(session, ledger, member)
            ledger.sites_differ(member.vo, urgent=True)


def suspend_owned(session: Session, owners: Sequence[Member], by: Actor) -> None:
    """Robots and services of members who leave stop until they have another owner."""
    orphaned = (
        select(Member)
        .where(Member.owner_id.in_([owner.id for owner in owners]))
        .where((Member.state == "active") | (Member.suspension_code == "FAILED_TO_SIGN_AUP"))
        .order_by(Member.id)
        .with_for_update()
    )
    rows = list(session.scalars(orphaned))
    if rows:
        suspend_all(session, rows, "OTHER", "Its owner is no longer a member; it needs another owner.", by)


def restore(session: Session, member_id: int, reason: str, by: Principal) -> Member:
    """Ends a suspension; raises Refused, Conflict or NotFound."""
    members.need_reason(reason)
    member = members.locked(session, member_id)
    if member.state != "suspended":
        raise Conflict(f"The member is {member.state}, not suspended.")
    if member.suspension_code == "FAILED_TO_SIGN_AUP":
        raise Conflict("The member is suspended until the AUP is signed; signing restores the membership.")
    restore_as(session, member, reason, actor(by))
    return member


def restore_as(session: Session, member: Member, reason: str, by: Actor) -> None:
    """Writes the end of the suspension, the mail and the change for the sites; Conflict where no owner answers."""
    members.check_owner(session, member)
    member.state = "expired" if member.until <= datetime.now(UTC) else "active"
    member.suspension_code = member.suspension_reason = None
    member.suspended_at = member.suspended_by = None
    members.tell(session, member, "restored", reason=reason)
    with revision(session, by, f"restored: {reason}") as ledger:
        members.put(session, ledger, member)
        ledger.sites_differ(member.vo)
