"""How a membership goes on and ends: warnings, the end, a time of grace, removal.

At its end a membership becomes `expired`: no attribute certificate, nothing at the sites. Groups and roles are kept
for some days of grace, in which a manager prolongs it as it was; then it is removed, and the row stays as a tombstone.
Who is suspended by a person stays suspended over the end, so that prolonging never ends a suspension.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Select, delete, func, or_, select
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Actor
from vomsdb import members, suspensions, vos
from vomsdb.ledger import CLOCK, Ledger, actor, revision
from vomsdb.models import AttributeValue, Member, MemberGroup, MemberRequest, MemberRole

WARNED = (15, 7, 1)
"""Days before the end on which members are told."""
LONGEST = timedelta(days=3660)
BATCH = 200


def remove(session: Session, member_id: int, reason: str, by: Principal) -> Member:
    """Ends a membership for good; the row stays as a tombstone. Raises Refused or NotFound."""
    members.need_reason(reason)
    member = members.locked(session, member_id)
    remove_as(session, [member], reason, actor(by))
    return member


def remove_as(session: Session, rows: Sequence[Member], reason: str, by: Actor) -> None:
    """Removes members that the caller holds locked, in one revision; what they asked for falls away."""
    ids = [member.id for member in rows]
    for member in rows:
        member.state = "removed"
        member.suspension_code = member.suspension_reason = None
    with revision(session, by, f"removed: {reason}") as ledger:
        let_go(session, ledger, ids)
        for member in rows:
            members.put(session, ledger, member)
            ledger.sites_differ(member.vo, urgent=True)
    suspensions.suspend_owned(session, rows, by)


def let_go(session: Session, ledger: Ledger, ids: Sequence[int]) -> None:
    """What the members hold and wait for falls away: groups, roles, their own attributes, requests."""
    for table in (MemberRole, MemberGroup):
        session.execute(delete(table).where(table.member_id.in_(ids)))
    values = delete(AttributeValue).where(AttributeValue.member_id.in_(ids)).returning(AttributeValue.id)
    for number in session.scalars(values):
        ledger.delete("attribute_value", str(number))
    waiting = MemberRequest.member_id.in_(ids), MemberRequest.state == "pending"
    for number in session.scalars(delete(MemberRequest).where(*waiting).returning(MemberRequest.id)):
        ledger.delete("member_request", str(number))


def prolong(session: Session, member_id: int, until: datetime | None, by: Principal) -> Member:
    """Moves the end of a membership, also of one that has ended and is not removed yet.

    Without `until` the VO's usual days are added to the present end, or to now when that is past. Raises Refused,
    Conflict, NotFound.
    """
    member = members.locked(session, member_id)
    now = datetime.now(UTC)
    usual = timedelta(days=vos.found(session, member.vo).membership_days)
    wanted = until if until is not None else min(max(member.until, now) + usual, now + LONGEST)
    if not now < wanted <= now + LONGEST:
        raise Refused(
            "The membership cannot end then.",
            FieldFault("until", "must lie ahead, at most ten years from now"),
        )
    members.check_owner(session, member)
    member.until, member.end_reminded = wanted, None
    if member.state == "expired":
        member.state = "active"
    members.tell(session, member, "prolonged")
    with revision(session, actor(by), f"prolonged until {wanted:%d %b %Y}") as ledger:
        members.put(session, ledger, member)
        ledger.sites_differ(member.vo)
    return member


# --- what time alone changes --------------------------------------------------------------------------------------


def due_reminder(ends: datetime, told: int | None, days: Sequence[int], now: datetime) -> int | None:
    """Which of the days before `ends` is to be told of now; None when that was told already, or it is early yet."""
    reached = [day for day in days if ends - now <= timedelta(days=day)]
    if not reached or (told is not None and told <= min(reached)):
        return None
    return min(reached)


def warn_of_end(session: Session, limit: int = BATCH) -> int:
    """Tells members whose membership ends soon, 15, 7 and 1 days before; how many mails."""
    now = datetime.now(UTC)
    reached = [
        (Member.until <= now + timedelta(days=day))
        & or_(Member.end_reminded.is_(None), Member.end_reminded > day)
        for day in WARNED
    ]
    soon = select(Member).where(Member.state == "active", Member.until > now, or_(*reached))
    rows = list(session.scalars(_held(soon, limit)))
    for member in rows:
        member.end_reminded = due_reminder(member.until, member.end_reminded, WARNED, now)
        managers = ", ".join(manager.name for manager in vos.managers_of(session, member.vo))
        members.tell(session, member, "ending", managers=managers)
    return len(rows)


def _held(query: Select[Member], limit: int) -> Select[Member]:
    """The rows, locked; what another process is at is left to it."""
    return query.order_by(Member.id).limit(limit).with_for_update(skip_locked=True)


def end_what_has_ended(session: Session, limit: int = BATCH) -> int:
    """Memberships whose end has come become expired, as one revision; returns how many."""
    by_the_clock = (Member.state == "active") | (Member.suspension_code == "FAILED_TO_SIGN_AUP")
    rows = list(session.scalars(_held(select(Member).where(by_the_clock, Member.until <= func.now()), limit)))
    for member in rows:
        member.state = "expired"
        member.suspension_code = member.suspension_reason = None
        members.tell(session, member, "ended")
    if rows:
        with revision(session, CLOCK, "membership ended") as ledger:
            for member in rows:
                members.put(session, ledger, member)
                ledger.sites_differ(member.vo)
        suspensions.suspend_owned(session, rows, CLOCK)
    return len(rows)


def clean_up(session: Session, grace: timedelta, limit: int = BATCH) -> int:
    """Removes memberships that ended longer than `grace` ago, as one revision; returns how many."""
    over = (Member.state.in_(("expired", "suspended")), Member.until <= datetime.now(UTC) - grace)
    rows = list(session.scalars(_held(select(Member).where(*over), limit)))
    if rows:
        remove_as(session, rows, f"the membership ended more than {grace.days} days ago", CLOCK)
    return len(rows)


# --- looking ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Week:
    """A week from its first day, with the number of memberships that end in it."""

    begins: datetime
    ending: int


def ending_by_week(session: Session, vo: str, weeks: int) -> list[Week]:
    """Memberships that end in each of the next weeks, from today."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    week = func.floor(func.extract("epoch", Member.until - today) / (7 * 86400))
    query = (
        select(week, func.count())
        .where(Member.vo == vo, Member.state.in_(("active", "suspended")))
        .where(Member.until >= today, Member.until < today + timedelta(weeks=weeks))
        .group_by(week)
    )
    found = {int(number): count for number, count in session.execute(query)}
    return [Week(today + timedelta(weeks=number), found.get(number, 0)) for number in range(weeks)]


def _ending_within(vo: str, days: int) -> tuple[ColumnElement[bool], ...]:
    return (
        Member.vo == vo,
        Member.state.in_(("active", "suspended", "expired")),
        Member.until <= datetime.now(UTC) + timedelta(days=days),
    )


def ending(session: Session, vo: str, days: int, limit: int = 100) -> list[members.Profile]:
    """Members whose membership ends within so many days, or has ended and is not removed yet, soonest first."""
    soonest = (
        select(Member.id).where(*_ending_within(vo, days)).order_by(Member.until, Member.id).limit(limit)
    )
    ids = list(session.scalars(soonest))
    found = {profile.member.id: profile for profile in members.of_ids(session, ids)}
    return [found[member_id] for member_id in ids]


def ending_count(session: Session, vo: str, days: int) -> int:
    """How many those are."""
    return session.scalar(select(func.count()).select_from(Member).where(*_ending_within(vo, days))) or 0
