"""Robots and services of a VO: accounts that a program uses and a member answers for.

The owner reads their mails and signs the AUP for them; they stop when the owner leaves, until they have another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, Refused
from hanse.identity.principals import Principal, X509Identity
from vomsdb import certificates, members, vos
from vomsdb.ledger import actor, revision
from vomsdb.models import Member, Person


@dataclass(frozen=True)
class Account:
    """What a new account is: its certificate, what it is for, and the number of the member who owns it."""

    kind: Literal["robot", "service"]
    name: str
    purpose: str
    owner: int
    identity: X509Identity


def create(session: Session, vo: str, account: Account, by: Principal) -> Member:
    """A robot or a service, with its owner's signature of the AUP. Raises Refused, Conflict, NotFound."""
    days = vos.held(session, vo).membership_days
    owner = _owner(session, vo, account.owner)
    person = Person(name=account.name, email="")
    session.add(person)
    session.flush()
    member = Member(
        vo=vo,
        person_id=person.id,
        kind=account.kind,
        owner_id=owner.id,
        purpose=account.purpose,
        until=datetime.now(UTC) + timedelta(days=days),
        aup_version=owner.aup_version,
        aup_signed_at=owner.aup_signed_at,
        aup_due=owner.aup_due,
        aup_signed_by=f"{session.get_one(Person, owner.person_id).name}, its owner",
    )
    session.add(member)
    session.flush()
    certificates.attach(session, member, account.identity)
    members.tell(session, member, "robot_owned")
    with revision(session, actor(by), f"{account.kind} {account.name} created: {account.purpose}") as ledger:
        members.put(session, ledger, member)
        ledger.sites_differ(vo)
    return member


def hand_over(session: Session, member_id: int, owner_id: int, reason: str, by: Principal) -> Member:
    """Another member answers for a robot or a service from now on. Raises Refused, NotFound."""
    members.need_reason(reason)
    member = members.locked(session, member_id)
    if member.kind == "person":
        raise Refused("Only robots and services have an owner.", FieldFault("owner", "does not apply here"))
    member.owner_id = _owner(session, member.vo, owner_id).id
    members.tell(session, member, "robot_owned")
    with revision(session, actor(by), f"another owner: {reason}") as ledger:
        members.put(session, ledger, member)
    return member


def _owner(session: Session, vo: str, member_id: int) -> Member:
    owner = session.get(Member, member_id)
    if owner is None or owner.vo != vo or owner.kind != "person" or owner.state != "active":
        fault = FieldFault("owner", f"must be the number of a person who is an active member of {vo}")
        raise Refused("Nobody would answer for it.", fault)
    return owner


# --- looking ------------------------------------------------------------------------------------------------------


def owned(session: Session, member_id: int) -> list[members.Profile]:
    """The robots and services that a member answers for."""
    mine = (
        select(Member.id).where(Member.owner_id == member_id, Member.state != "removed").order_by(Member.id)
    )
    return members.of_ids(session, list(session.scalars(mine)))


def owner_of(session: Session, member: Member) -> members.Profile | None:
    """Who answers for a robot or a service; None of a person."""
    return None if member.owner_id is None else members.profile(session, member.owner_id)
