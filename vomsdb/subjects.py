"""Sign-ins of members: subjects of identity providers, added and taken by who may in every VO of the person."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import Conflict, NotFound
from hanse.identity.permissions import check
from hanse.identity.principals import Principal, Subject
from vomsdb import members, people
from vomsdb.ledger import actor, revision
from vomsdb.models import Member, ProviderSubject
from vomsdb.permissions import CERTIFY


def add(session: Session, member_id: int, subject: Subject, by: Principal) -> Member:
    """The member signs in by this subject too, in all VOs of the person. Raises Forbidden, Conflict, NotFound."""
    member, rows = _held(session, member_id, by)
    known = people.behind(session, subject.key)
    if known == member.person_id:
        raise Conflict("The member signs in by this subject already.")
    if known is not None:
        raise Conflict("This sign-in belongs to another person here; a manager can say that both are one.")
    people.note_subject(session, member.person_id, subject)
    _recorded(session, rows, by, f"sign-in added at {subject.issuer}")
    return member


def drop(session: Session, member_id: int, number: int, reason: str, by: Principal) -> Member:
    """The subject proves nothing any more; the last thing a person is known by stays.

    Raises Refused, Forbidden, Conflict, NotFound.
    """
    members.need_reason(reason)
    member, rows = _held(session, member_id, by)
    subject = session.get(ProviderSubject, number)
    if subject is None or subject.person_id != member.person_id:
        raise NotFound(f"Member {member.id} has no sign-in {number}.")
    if len(people.keys_of(session, member.person_id)) == 1:
        raise Conflict(
            "The member is known by this alone; add a certificate first, or remove the membership."
        )
    key, issuer = subject.key, subject.issuer
    session.delete(subject)
    session.flush()
    with revision(session, actor(by), f"sign-in taken at {issuer}: {reason}") as ledger:
        for row in rows:
            ledger.revoke(key, "vo_member", f"vo:{row.vo}")
            members.put(session, ledger, row)
    return member


def _held(session: Session, member_id: int, by: Principal) -> tuple[Member, list[Member]]:
    """The member and all memberships of the person, held, when `by` may in each of their VOs."""
    member = members.locked(session, member_id)
    if member.kind != "person":
        raise Conflict("A robot or a service signs in by its certificate alone.")
    theirs = select(Member).where(Member.person_id == member.person_id, Member.state != "removed")
    rows = list(session.scalars(theirs.order_by(Member.id).with_for_update()))
    for row in rows:
        check(by, CERTIFY, f"vo:{row.vo}")
    return member, rows


def _recorded(session: Session, rows: list[Member], by: Principal, reason: str) -> None:
    with revision(session, actor(by), reason) as ledger:
        for row in rows:
            members.put(session, ledger, row)
