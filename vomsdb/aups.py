"""Acceptable use policies: versions, who signed which, and what happens to those who did not.

A new version gives every member some days to sign. Who did not is suspended, and signing ends that suspension and no
other.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from vomsdb import members, vos
from vomsdb.ledger import CLOCK, actor, revision
from vomsdb.models import Aup, Member, Vo


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
    vos.found(session, vo)
    row = session.scalars(select(Vo).where(Vo.name == vo).with_for_update(key_share=True)).one()
    session.refresh(row)
    row.aup_version += 1
    aup = Aup(vo=vo, version=row.aup_version, text=text, days_to_sign=days_to_sign, published_by=by.name)
    session.add(aup)
    due = datetime.now(UTC) + timedelta(days=days_to_sign)
    session.execute(update(Member).where(Member.vo == vo, Member.aup_due.is_(None)).values(aup_due=due))
    with revision(session, actor(by), f"AUP version {aup.version} of {vo} published") as ledger:
        vos.put_vo(ledger, row)
        ledger.sites_differ(vo)
    return aup


def sign(session: Session, vo: str, number: int, by: Principal) -> Member:
    """The caller, a member, signs the version in force. Raises NotFound, Conflict."""
    own = [p.member for p in members.of_keys(session, by.keys | {by.key}) if p.member.vo == vo]
    if not own:
        raise NotFound(f"You are not a member of {vo}.")
    member = members.locked(session, own[0].id)
    if number != vos.found(session, vo).aup_version:
        raise Conflict(f"Version {number} is not in force; read the present one first.")
    member.aup_version, member.aup_signed_at, member.aup_due = number, datetime.now(UTC), None
    if member.state == "suspended" and member.suspension_code == "FAILED_TO_SIGN_AUP":
        members.restore_as(session, member, f"AUP version {number} signed", actor(by))
        return member
    with revision(session, actor(by), f"AUP version {number} signed") as ledger:
        members.put(session, ledger, member)
        ledger.sites_differ(vo)
    return member


def suspend_unsigned(session: Session, limit: int = 50) -> int:
    """Suspends active members whose days to sign are over; returns how many."""
    lapsed = (
        select(Member)
        .where(Member.state == "active", Member.aup_due <= func.now())
        .order_by(Member.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = list(session.scalars(lapsed))
    for member in rows:
        reason = "Sign the AUP in force to be a member again; nobody needs to approve."
        members.suspend_as(session, member, "FAILED_TO_SIGN_AUP", reason, CLOCK)
    return len(rows)


def signed_counts(session: Session, vo: str) -> tuple[int, int]:
    """(members who signed the version in force, members) of the VO, removed and expired ones left out."""
    current = select(Vo.aup_version).where(Vo.name == vo).scalar_subquery()
    query = select(func.count().filter(Member.aup_version == current), func.count()).where(
        Member.vo == vo, Member.state.in_(("active", "suspended"))
    )
    signed, everybody = session.execute(query).one()
    return signed, everybody
