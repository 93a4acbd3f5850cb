"""Acceptable use policies: versions, who signed which, and what happens to those who did not.

A new version gives every member some days to sign. Who did not is suspended, and signing ends that suspension and no
other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Actor
from vomsdb import lifetimes, members, suspensions, vos
from vomsdb.ledger import CLOCK, actor, iso, revision
from vomsdb.models import Aup, Member, Vo

REMINDED = (7, 3, 1)
"""Days before the last day to sign on which members are told."""


def in_force(session: Session, vo: str) -> Aup:
    """The version in force; raises NotFound."""
    return session.get_one(Aup, (vo, vos.found(session, vo).aup_version))


def version(session: Session, vo: str, number: int) -> Aup:
    """One version of the VO's AUP; raises NotFound."""
    aup = session.get(Aup, (vo, number))
    if aup is None:
        raise NotFound(f"{vo} has no AUP version {number}.")
    return aup


def all_in_force(session: Session) -> list[Aup]:
    """The version in force of every VO, by VO."""
    return list(
        session.scalars(
            select(Aup).join(Vo, (Vo.name == Aup.vo) & (Vo.aup_version == Aup.version)).order_by(Aup.vo)
        )
    )


def publish(session: Session, vo: str, text: str, days_to_sign: int, by: Principal) -> Aup:
    """A new version in force from now; members have `days_to_sign` days. Raises Refused, NotFound."""
    if not text.strip():
        raise Refused("The AUP cannot be published.", FieldFault("text", "must not be empty"))
    row = _vo_held(session, vo)
    row.aup_version += 1
    aup = Aup(vo=vo, version=row.aup_version, text=text, days_to_sign=days_to_sign, published_by=by.name)
    session.add(aup)
    # who has an older version to sign keeps that date: publishing often must not put it off
    _ask(session, vo, days_to_sign, Member.aup_due.is_(None))
    with revision(session, actor(by), f"AUP version {aup.version} of {vo} published") as ledger:
        vos.put_vo(ledger, row)
        ledger.sites_differ(vo)
    return aup


def _vo_held(session: Session, vo: str) -> Vo:
    vos.found(session, vo)
    row = session.scalars(select(Vo).where(Vo.name == vo).with_for_update(key_share=True)).one()
    session.refresh(row)
    return row


def _ask(session: Session, vo: str, days: int, *which: ColumnElement[bool]) -> int:
    due = datetime.now(UTC) + timedelta(days=days)
    living = Member.state.in_(("active", "suspended", "expired"))
    asked = update(Member).where(Member.vo == vo, living, *which).values(aup_due=due, aup_reminded=None)
    return session.execute(asked).rowcount  # type: ignore[attr-defined, no-any-return]


def ask_again(session: Session, vo: str, member_id: int | None, days: int, by: Principal) -> int:
    """Asks one member, or all, to sign the version in force again within days; how many. Raises NotFound, Conflict."""
    _vo_held(session, vo)
    which: list[ColumnElement[bool]] = [Member.aup_due.is_(None)]
    if member_id is not None:
        member = members.locked(session, member_id)
        if member.vo != vo:
            raise NotFound(f"{vo} has no member {member_id}.")
        if member.aup_due is not None:
            raise Conflict(f"The member has until {member.aup_due:%d %b %Y, %H:%M} UTC to sign already.")
        which.append(Member.id == member_id)
    asked = _ask(session, vo, days, *which)
    with revision(session, actor(by), f"{asked} asked to sign the AUP again within {days} days") as ledger:
        ledger.put(
            "aup_request", vo, {"vo": vo, "member": member_id, "days": days, "at": iso(datetime.now(UTC))}
        )
        ledger.sites_differ(vo)
    return asked


def sign(session: Session, vo: str, number: int, by: Principal) -> Member:
    """The caller, a member, signs the version in force, also early, and for the robots that are theirs.

    Raises NotFound, Conflict.
    """
    own = [p.member for p in members.of_keys(session, by.keys | {by.key}) if p.member.vo == vo]
    if not own:
        raise NotFound(f"You are not a member of {vo}.")
    _check_in_force(session, vo, number)
    member = members.locked(session, own[0].id)
    owned = select(Member).where(Member.owner_id == member.id, Member.state != "removed").order_by(Member.id)
    robots = list(session.scalars(owned.with_for_update().execution_options(populate_existing=True)))
    _signed(session, [member], number, actor(by), None)
    if member.state != "active":  # what has stopped needs an active owner to go on
        robots = [one for one in robots if one.suspension_code != "FAILED_TO_SIGN_AUP"]
    if robots:
        _signed(session, robots, number, actor(by), f"{by.name}, its owner")
    return member


def sign_for(session: Session, member_id: int, number: int, reason: str, by: Principal) -> Member:
    """Somebody who may signs for a robot or a service, on behalf of its owner. Raises Refused, Conflict, NotFound."""
    members.need_reason(reason)
    _check_in_force(session, members.profile(session, member_id).member.vo, number)
    member = members.locked(session, member_id)
    if member.kind == "person":
        raise Conflict("A person signs for themselves; only for robots and services others sign.")
    if member.owner_id is not None and session.get_one(Member, member.owner_id).state == "removed":
        raise Conflict("The owner is no longer a member; name another owner first.")
    _signed(session, [member], number, actor(by), f"{by.name}, on behalf of its owner: {reason}")
    return member


def _check_in_force(session: Session, vo: str, number: int) -> None:
    if number != vos.held(session, vo).aup_version:
        raise Conflict(f"Version {number} is not in force; read the present one first.")


def _signed(session: Session, rows: list[Member], number: int, by: Actor, signer: str | None) -> None:
    """Signs for members held locked; a suspension for not having signed ends, and no other."""
    words = f"AUP version {number} signed" + (f" by {signer}" if signer else "")
    lapsed = [m for m in rows if m.state == "suspended" and m.suspension_code == "FAILED_TO_SIGN_AUP"]
    for member in rows:
        member.aup_version, member.aup_signed_at, member.aup_due = number, datetime.now(UTC), None
        member.aup_signed_by, member.aup_reminded = signer, None
    for member in lapsed:
        suspensions.restore_as(session, member, words, by)
    with revision(session, by, words) as ledger:
        for member in rows:
            members.put(session, ledger, member)
            ledger.sites_differ(member.vo)


# --- what time alone changes --------------------------------------------------------------------------------------


def remind(session: Session, limit: int = 200) -> int:
    """Tells members who have not signed, 7, 3 and 1 days before their last day; how many mails."""
    now = datetime.now(UTC)
    reached = [
        (Member.aup_due <= now + timedelta(days=day))
        & or_(Member.aup_reminded.is_(None), Member.aup_reminded > day)
        for day in REMINDED
    ]
    soon = (
        select(Member)
        .where(Member.state == "active", Member.aup_due > now, or_(*reached))
        .order_by(Member.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = list(session.scalars(soon))
    for member in rows:
        assert member.aup_due is not None
        member.aup_reminded = lifetimes.due_reminder(member.aup_due, member.aup_reminded, REMINDED, now)
        version = vos.found(session, member.vo).aup_version
        members.tell(session, member, "aup_reminder", version=version)
    return len(rows)


def suspend_unsigned(session: Session, limit: int = 200) -> int:
    """Suspends active members whose days to sign are over, as one revision; returns how many."""
    lapsed = (
        select(Member)
        .where(Member.state == "active", Member.aup_due <= func.now())
        .order_by(Member.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = list(session.scalars(lapsed))
    if rows:
        reason = "Sign the AUP in force to be a member again; nobody needs to approve."
        suspensions.suspend_all(session, rows, "FAILED_TO_SIGN_AUP", reason, CLOCK)
    return len(rows)


# --- looking ------------------------------------------------------------------------------------------------------


def signed_counts(session: Session, vo: str) -> tuple[int, int]:
    """(members who signed the version in force, members) of the VO, removed and expired ones left out."""
    query = select(func.count().filter(Member.aup_due.is_(None)), func.count()).where(
        Member.vo == vo, Member.state.in_(("active", "suspended"))
    )
    signed, everybody = session.execute(query).one()
    return signed, everybody


@dataclass(frozen=True)
class Unsigned:
    """What waits for signatures: the first and the last day to sign, and how many were told of how many days."""

    first: datetime | None
    last: datetime | None
    told: dict[int, int]


def unsigned(session: Session, vo: str) -> Unsigned:
    """How far the reminders of a VO are."""
    waiting = (Member.vo == vo, Member.state.in_(("active", "suspended")), Member.aup_due.is_not(None))
    first, last = session.execute(
        select(func.min(Member.aup_due), func.max(Member.aup_due)).where(*waiting)
    ).one()
    told = session.execute(
        select(Member.aup_reminded, func.count()).where(*waiting).group_by(Member.aup_reminded)
    )
    return Unsigned(first, last, {days: count for days, count in told if days is not None})


def versions(session: Session, vo: str) -> list[Aup]:
    """All versions of a VO's AUP, newest first."""
    return list(session.scalars(select(Aup).where(Aup.vo == vo).order_by(Aup.version.desc())))
