"""Members of a VO: their certificates, their groups and roles, suspension and its end.

Only an active member whose membership has not ended and whose AUP can still be signed gets attribute certificates
and stands in what sites receive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Select, delete, func, or_, select
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Actor
from vomsdb import mails
from vomsdb.ledger import CLOCK, Ledger, actor, iso, revision
from vomsdb.models import (
    Certificate,
    Member,
    MemberCertificate,
    MemberGroup,
    MemberRole,
    Person,
)
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


@dataclass(frozen=True)
class Held:
    """A certificate of a member with its state in this VO."""

    certificate: Certificate
    state: str
    reason: str | None


@dataclass(frozen=True)
class Profile:
    """A member with everything that belongs to it; `fqans` in short form, the root group first."""

    member: Member
    person: Person
    certificates: tuple[Held, ...]
    fqans: tuple[str, ...]


def locked(session: Session, member_id: int) -> Member:
    """The member, held for change until the transaction ends; raises NotFound, also for removed ones."""
    query = select(Member).where(Member.id == member_id).with_for_update()
    # read again what this transaction saw before the lock: somebody may have been quicker
    member = session.scalar(query.execution_options(populate_existing=True))
    if member is None or member.state == "removed":
        raise NotFound(f"There is no member {member_id}.")
    return member


def profile(session: Session, member_id: int) -> Profile:
    """Everything about one member; raises NotFound."""
    profiles = _profiles(session, select(Member).where(Member.id == member_id))
    if not profiles:
        raise NotFound(f"There is no member {member_id}.")
    return profiles[0]


def of_keys(session: Session, keys: frozenset[str]) -> list[Profile]:
    """The memberships that any of these certificates is in, removed ones left out, by VO."""
    ids = (
        select(MemberCertificate.member_id)
        .join(Certificate, Certificate.id == MemberCertificate.certificate_id)
        .where(Certificate.key.in_(keys))
    )
    return _profiles(
        session, select(Member).where(Member.id.in_(ids), Member.state != "removed").order_by(Member.vo)
    )


def search(
    session: Session,
    vo: str,
    *,
    words: str = "",
    state: str = "",
    group: str = "",
    after: int = 0,
    limit: int = 50,
) -> list[Profile]:
    """Members of the VO whose name, e-mail or subject contains the words, by id, removed ones only if asked."""
    query = select(Member).where(Member.vo == vo, Member.id > after).order_by(Member.id).limit(limit)
    query = query.where(Member.state == state) if state else query.where(Member.state != "removed")
    if words:
        person = select(Person.id).where(
            or_(Person.name.icontains(words, autoescape=True), Person.email.icontains(words, autoescape=True))
        )
        owner = select(Certificate.person_id).where(Certificate.subject.icontains(words, autoescape=True))
        query = query.where(or_(Member.person_id.in_(person), Member.person_id.in_(owner)))
    if group:
        query = query.where(Member.id.in_(select(MemberGroup.member_id).where(MemberGroup.path == group)))
    return _profiles(session, query)


def counts(session: Session, vo: str) -> dict[str, int]:
    """How many members are in each state."""
    query = select(Member.state, func.count()).where(Member.vo == vo).group_by(Member.state)
    return {state: count for state, count in session.execute(query)}


def _profiles(session: Session, query: Select[Member]) -> list[Profile]:
    rows = list(session.scalars(query))
    ids = [member.id for member in rows]
    people = select(Person).where(Person.id.in_([member.person_id for member in rows]))
    persons = {person.id: person for person in session.scalars(people)}
    held: dict[int, list[Held]] = {member_id: [] for member_id in ids}
    certificates = (
        select(MemberCertificate, Certificate)
        .join(Certificate, Certificate.id == MemberCertificate.certificate_id)
        .where(MemberCertificate.member_id.in_(ids))
        .order_by(Certificate.id)
    )
    for link, certificate in session.execute(certificates):
        held[link.member_id].append(Held(certificate, link.state, link.suspension_reason))
    fqans = fqans_of(session, rows)
    return [Profile(m, persons[m.person_id], tuple(held[m.id]), fqans[m.id]) for m in rows]


def fqans_of(session: Session, rows: Sequence[Member]) -> dict[int, tuple[str, ...]]:
    """For each member: the root group, then the other groups, then the roles, each by name."""
    ids = [member.id for member in rows]
    groups: dict[int, list[str]] = {member.id: [f"/{member.vo}"] for member in rows}
    roles: dict[int, list[str]] = {member.id: [] for member in rows}
    inside = select(MemberGroup.member_id, MemberGroup.path).where(MemberGroup.member_id.in_(ids))
    for member_id, path in session.execute(inside.order_by(MemberGroup.path)):
        groups[member_id].append(path)
    holding = select(MemberRole.member_id, MemberRole.path, MemberRole.role)
    holding = holding.where(MemberRole.member_id.in_(ids)).order_by(MemberRole.path, MemberRole.role)
    for member_id, path, role in session.execute(holding):
        roles[member_id].append(f"{path}/Role={role}")
    return {member_id: (*groups[member_id], *roles[member_id]) for member_id in ids}


# --- what the feed tells ------------------------------------------------------------------------------------------


def put(session: Session, ledger: Ledger, member: Member) -> None:
    """The membership and the grants that follow from it, as the feed tells them."""
    whole = profile(session, member.id)
    scope = f"vo:{member.vo}"
    for held in whole.certificates:
        if member.state == "active" and held.state == "active":
            ledger.grant(held.certificate.key, "vo_member", scope, whole.person.name, member.until)
        else:
            ledger.revoke(held.certificate.key, "vo_member", scope)
    body = {
        "vo": member.vo,
        "member": str(member.id),
        "keys": sorted(held.certificate.key for held in whole.certificates if held.state == "active"),
        "state": member.state,
        "name": whole.person.name,
        "until": iso(member.until),
        "fqans": list(whole.fqans),
        "aup_version": member.aup_version,
        "suspension": member.suspension_code,
    }
    ledger.put("membership", str(member.id), body)


# --- suspension ---------------------------------------------------------------------------------------------------


def suspend(session: Session, member_id: int, code: str, reason: str, by: Principal) -> Member:
    """Suspends a member everywhere at once; raises Refused, Conflict or NotFound."""
    if code not in BY_HAND:
        raise Refused(
            "The member cannot be suspended.", FieldFault("code", f"must be one of {', '.join(BY_HAND)}")
        )
    _need_reason(reason)
    member = locked(session, member_id)
    if member.state == "suspended" and member.suspension_code in BY_HAND:
        raise Conflict(f"The member was suspended by {member.suspended_by} already.")
    if member.state == "expired":
        raise Conflict("The membership has ended; there is nothing to suspend.")
    suspend_as(session, member, code, reason, actor(by))
    return member


def suspend_as(session: Session, member: Member, code: str, reason: str, by: Actor) -> None:
    """Writes the suspension, the mail that tells of it, and the urgent change for the sites."""
    member.state = "suspended"
    member.suspension_code, member.suspension_reason = code, reason
    member.suspended_at, member.suspended_by = datetime.now(UTC), by.name
    person = session.get_one(Person, member.person_id)
    mails.queue(
        session,
        person.email,
        f"Your membership of {member.vo} is suspended",
        f"Dear {person.name},\n\nyour membership of {member.vo} is suspended: {WORDS[code]}.\n"
        f"{reason}\n\nUntil it is restored you get no proxy, and the sites are told to refuse you.\n",
        f"member:{member.id}",
    )
    with revision(session, by, f"suspended: {WORDS[code]}: {reason}") as ledger:
        put(session, ledger, member)
        ledger.sites_differ(member.vo, urgent=True)


def restore(session: Session, member_id: int, reason: str, by: Principal) -> Member:
    """Ends a suspension; raises Refused, Conflict or NotFound."""
    _need_reason(reason)
    member = locked(session, member_id)
    if member.state != "suspended":
        raise Conflict(f"The member is {member.state}, not suspended.")
    if member.suspension_code == "FAILED_TO_SIGN_AUP":
        raise Conflict("The member is suspended until the AUP is signed; signing restores the membership.")
    restore_as(session, member, reason, actor(by))
    return member


def restore_as(session: Session, member: Member, reason: str, by: Actor) -> None:
    """Writes the end of the suspension, the mail and the change for the sites."""
    member.state = "expired" if member.until <= datetime.now(UTC) else "active"
    member.suspension_code = member.suspension_reason = None
    member.suspended_at = member.suspended_by = None
    person = session.get_one(Person, member.person_id)
    mails.queue(
        session,
        person.email,
        f"Your membership of {member.vo} is restored",
        f"Dear {person.name},\n\nyour membership of {member.vo} is {member.state} again: {reason}\n",
        f"member:{member.id}",
    )
    with revision(session, by, f"restored: {reason}") as ledger:
        put(session, ledger, member)
        ledger.sites_differ(member.vo)


def suspend_certificate(
    session: Session, member_id: int, certificate_id: int, reason: str, by: Principal
) -> Member:
    """Suspends one certificate of a member; the others go on. Raises Refused, Conflict or NotFound."""
    _need_reason(reason)
    return _certificate_becomes(session, member_id, certificate_id, "suspended", reason, by)


def restore_certificate(
    session: Session, member_id: int, certificate_id: int, reason: str, by: Principal
) -> Member:
    """Ends the suspension of one certificate. Raises Refused, Conflict or NotFound."""
    _need_reason(reason)
    return _certificate_becomes(session, member_id, certificate_id, "active", reason, by)


def _certificate_becomes(
    session: Session, member_id: int, certificate_id: int, state: str, reason: str, by: Principal
) -> Member:
    member = locked(session, member_id)
    link = session.get(MemberCertificate, (member_id, certificate_id))
    if link is None:
        raise NotFound(f"Member {member_id} has no certificate {certificate_id}.")
    if link.state == state:
        raise Conflict(f"The certificate is {state} already.")
    link.state, link.suspension_reason = state, reason if state == "suspended" else None
    with revision(session, actor(by), f"certificate {state}: {reason}") as ledger:
        put(session, ledger, member)
        ledger.sites_differ(member.vo, urgent=state == "suspended")
    return member


def remove(session: Session, member_id: int, reason: str, by: Principal) -> Member:
    """Ends a membership for good; the row stays as a tombstone. Raises Refused or NotFound."""
    _need_reason(reason)
    member = locked(session, member_id)
    member.state = "removed"
    member.suspension_code = member.suspension_reason = None
    session.execute(delete(MemberRole).where(MemberRole.member_id == member.id))
    session.execute(delete(MemberGroup).where(MemberGroup.member_id == member.id))
    with revision(session, actor(by), f"removed: {reason}") as ledger:
        put(session, ledger, member)
        ledger.sites_differ(member.vo, urgent=True)
    return member


def _need_reason(reason: str) -> None:
    if not reason.strip():
        raise Refused("A reason is needed.", FieldFault("reason", "must say why, the member will read it"))


# --- what time alone changes --------------------------------------------------------------------------------------


def end_what_has_ended(session: Session, limit: int = 200) -> int:
    """Memberships whose end has come become expired, as revisions; returns how many."""
    ended = (
        select(Member)
        .where(Member.state.in_(("active", "suspended")), Member.until <= func.now())
        .order_by(Member.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = list(session.scalars(ended))
    for member in rows:
        member.state = "expired"
        member.suspension_code = member.suspension_reason = None
    if rows:
        with revision(session, CLOCK, "membership ended") as ledger:
            for member in rows:
                put(session, ledger, member)
                ledger.sites_differ(member.vo)
    return len(rows)


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
