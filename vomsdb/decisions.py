"""Deciding about requests to join: once, by a manager who is somebody else, first come first served."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, Forbidden, NotFound, Refused
from hanse.identity.permissions import check
from hanse.identity.principals import Principal, Subject
from vomsdb import applications, member_decisions, members, people, vos
from vomsdb.ledger import actor, revision
from vomsdb.models import Application, Certificate, Member, MemberCertificate, MemberRequest, Person
from vomsdb.permissions import DECIDE


def decide(
    session: Session, vo: str, kind: str, number: int, decision: str, reason: str, by: Principal
) -> Application | MemberRequest:
    """Approves or rejects a request to join (`request`) or what a member asks for. Raises what those raise."""
    if kind != "request":
        act = member_decisions.approve if decision == "approve" else member_decisions.reject
        return act(session, vo, number, reason, by)
    check(by, DECIDE, f"vo:{vo}")
    return (approve if decision == "approve" else reject)(session, vo, number, reason, by)


def approve(session: Session, vo: str, application_id: int, reason: str, by: Principal) -> Application:
    """The applicant becomes a member. Raises Forbidden (own request), Conflict (decided already), NotFound."""
    application = _undecided(session, vo, application_id, by)
    member = _admit(session, application)
    _decided(application, "approved", reason or None, by)
    application.member_id = member.id
    applications.tell_applicant(
        session,
        application,
        f"You are a member of {vo} now, until {member.until:%d %b %Y}.\n"
        "Within a day the sites of the federation know you. Your page /me shows how to get a proxy.\n",
    )
    with revision(session, actor(by), f"request {application.id} approved") as ledger:
        members.put(session, ledger, member)
        applications.put(ledger, application)
        ledger.sites_differ(vo)
    return application


def reject(session: Session, vo: str, application_id: int, reason: str, by: Principal) -> Application:
    """The request ends, with a reason that the applicant reads. Raises Refused, Forbidden, Conflict, NotFound."""
    if not reason.strip():
        raise Refused("A reason is needed.", FieldFault("reason", "must say why, the applicant will read it"))
    application = _undecided(session, vo, application_id, by)
    _decided(application, "rejected", reason, by)
    applications.tell_applicant(session, application, f"The request was rejected: {reason}\n")
    with revision(session, actor(by), f"request {application.id} rejected: {reason}") as ledger:
        applications.put(ledger, application)
    return application


def _undecided(session: Session, vo: str, application_id: int, by: Principal) -> Application:
    application = applications.locked(session, application_id)
    if application.vo != vo:
        raise NotFound(f"{vo} has no request {application_id}.")
    if _keys_of(session, application) & (by.keys | {by.key}):
        raise Forbidden("Nobody decides about their own request; ask another manager of the VO.")
    if application.state in ("approved", "rejected"):
        raise Conflict(f"{application.decided_by_name} was quicker: the request is {application.state}.")
    if application.state != "pending":
        raise Conflict(f"The request is {application.state}; only pending ones can be decided.")
    if application.expires_at <= datetime.now(UTC):
        raise Conflict("The request has expired; the applicant must send a new one.")
    return application


def _keys_of(session: Session, application: Application) -> set[str]:
    """The keys of whoever applies, of all their certificates when the person is known already."""
    person = people.behind(session, application.key)
    return {application.key} if person is None else {application.key, *people.keys_of(session, person)}


def _decided(application: Application, state: str, reason: str | None, by: Principal) -> None:
    application.state, application.reason = state, reason
    application.decided_at, application.decided_by = datetime.now(UTC), by.key
    application.decided_by_name = by.name


def _admit(session: Session, application: Application) -> Member:
    vo = vos.held(session, application.vo)
    now = datetime.now(UTC)
    person = _person(session, application)
    certificate = _certificate(session, application, person)
    present = select(Member).where(Member.vo == vo.name, Member.person_id == person.id)
    if session.scalar(present.where(Member.state != "removed")) is not None:
        raise Conflict("Whoever applies is a member of this VO already.")
    member = Member(
        vo=vo.name,
        person_id=person.id,
        until=now + timedelta(days=vo.membership_days),
        aup_version=application.aup_version,
        aup_signed_at=application.created_at,
        aup_due=None if application.aup_version == vo.aup_version else now + timedelta(days=15),
    )
    session.add(member)
    session.flush()
    if certificate is not None:
        session.add(MemberCertificate(member_id=member.id, certificate_id=certificate.id))
        session.flush()
    return member


def _person(session: Session, application: Application) -> Person:
    """Who applies: the one who showed this certificate or sign-in before, or a new person."""
    known = people.behind(session, application.key)
    if known is None and application.subject_der is None:
        known = people.linked_to(session, application.key)
    if known is None:
        person = Person()
        session.add(person)
    else:
        person = session.get_one(Person, known)
    person.name, person.email = application.name, application.email
    person.institution = application.institution
    session.flush()
    return person


def _certificate(session: Session, application: Application, person: Person) -> Certificate | None:
    """The applicant's certificate; None for who signed in with an identity provider, which is noted instead."""
    if application.subject_der is None or application.issuer_der is None:
        people.note_subject(session, person.id, Subject(application.issuer, application.subject))
        return None
    known = session.scalar(select(Certificate).where(Certificate.key == application.key))
    if known is not None:
        return known
    certificate = Certificate(
        person_id=person.id,
        key=application.key,
        subject_der=application.subject_der,
        issuer_der=application.issuer_der,
        subject=application.subject,
        issuer=application.issuer,
    )
    session.add(certificate)
    session.flush()
    return certificate


def withdraw(session: Session, vo: str, application_id: int, by: Principal) -> Application:
    """The applicant takes the request back. Raises Forbidden, Conflict, NotFound."""
    application = applications.locked(session, application_id)
    if application.vo != vo or application.key not in by.keys | {by.key}:
        raise NotFound(f"You have no request {application_id} to join {vo}.")
    if application.state not in applications.OPEN:
        raise Conflict(f"The request is {application.state} and cannot be withdrawn.")
    application.state, application.decided_at = "withdrawn", datetime.now(UTC)
    with revision(session, actor(by), f"request {application.id} withdrawn") as ledger:
        applications.put(ledger, application)
    return application
