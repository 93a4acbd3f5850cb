"""Members of a VO: their certificates, their groups and roles, and what the feed tells of them.

Only an active member whose membership has not ended and whose AUP can still be signed gets attribute certificates
and stands in what sites receive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from vomsdb import mails
from vomsdb.ledger import Ledger, iso
from vomsdb.models import (
    Certificate,
    Member,
    MemberCertificate,
    MemberGroup,
    MemberRole,
    Person,
    ProviderSubject,
)


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
    subjects: tuple[ProviderSubject, ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        """What the member shows here: certificates of this membership, and sign-ins of the person."""
        return frozenset(
            {held.certificate.key for held in self.certificates} | {one.key for one in self.subjects}
        )


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


def in_vo(session: Session, vo: str, member_id: int) -> Member:
    """The member of this VO, not held; raises NotFound."""
    member = session.get(Member, member_id)
    if member is None or member.vo != vo:
        raise NotFound(f"{vo} has no member {member_id}.")
    return member


def of_keys(session: Session, keys: frozenset[str]) -> list[Profile]:
    """The memberships that any of these certificates or sign-ins is in, removed ones left out, by VO."""
    ids = (
        select(MemberCertificate.member_id)
        .join(Certificate, Certificate.id == MemberCertificate.certificate_id)
        .where(Certificate.key.in_(keys))
    )
    people = select(ProviderSubject.person_id).where(ProviderSubject.key.in_(keys))
    own = or_(Member.id.in_(ids), (Member.person_id.in_(people)) & (Member.kind == "person"))
    return _profiles(session, select(Member).where(own, Member.state != "removed").order_by(Member.vo))


def of_ids(session: Session, ids: Sequence[int]) -> list[Profile]:
    """The members with these numbers, in no order."""
    return _profiles(session, select(Member).where(Member.id.in_(ids)))


def search(
    session: Session,
    vo: str,
    *,
    words: str = "",
    state: str = "",
    kind: str = "",
    group: str = "",
    after: int = 0,
    limit: int = 50,
) -> list[Profile]:
    """Members of the VO whose name, e-mail or subject contains the words, by id, removed ones only if asked."""
    query = select(Member).where(Member.vo == vo, Member.id > after).order_by(Member.id).limit(limit)
    query = query.where(Member.state == state) if state else query.where(Member.state != "removed")
    if kind:
        query = query.where(Member.kind == kind)
    if words:
        # row by row, so that a page of common words ends the search early
        subject = Certificate.subject.icontains(words, autoescape=True)
        certified = select(Certificate.id).where(Certificate.person_id == Member.person_id, subject).exists()
        name, email = (column.icontains(words, autoescape=True) for column in (Person.name, Person.email))
        query = query.join(Person, Person.id == Member.person_id).where(or_(name, email, certified))
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
    subjects: dict[int, list[ProviderSubject]] = {}
    known = select(ProviderSubject).where(ProviderSubject.person_id.in_(persons)).order_by(ProviderSubject.id)
    for one in session.scalars(known):
        subjects.setdefault(one.person_id, []).append(one)
    return [
        Profile(m, persons[m.person_id], tuple(held[m.id]), fqans[m.id], tuple(subjects.get(m.person_id, ())))
        for m in rows
    ]


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


def fqans_in(session: Session, vo: str) -> Callable[[int], tuple[str, ...]]:
    """The FQANs of any active member of the VO by id, as `fqans_of` gives them, read in two queries for all."""
    own: dict[int, list[str]] = {}
    active = (Member.vo == vo, Member.state == "active")
    groups = select(MemberGroup.member_id, MemberGroup.path).join(Member, Member.id == MemberGroup.member_id)
    for member_id, path in session.execute(groups.where(*active).order_by(MemberGroup.path)):
        own.setdefault(member_id, []).append(path)
    roles = select(MemberRole.member_id, MemberRole.path, MemberRole.role)
    roles = roles.join(Member, Member.id == MemberRole.member_id).where(*active)
    for member_id, path, role in session.execute(roles.order_by(MemberRole.path, MemberRole.role)):
        own.setdefault(member_id, []).append(f"{path}/Role={role}")
    return lambda member_id: (f"/{vo}", *own.get(member_id, ()))


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
    for one in whole.subjects:
        if member.state == "active":
            ledger.grant(one.key, "vo_member", scope, whole.person.name, member.until)
        else:
            ledger.revoke(one.key, "vo_member", scope)
    active = [held.certificate.key for held in whole.certificates if held.state == "active"]
    body = {
        "vo": member.vo,
        "member": str(member.id),
        "keys": sorted([*active, *(one.key for one in whole.subjects)]),
        "state": member.state,
        "name": whole.person.name,
        "until": iso(member.until),
        "fqans": list(whole.fqans),
        "aup_version": member.aup_version,
        "suspension": member.suspension_code,
        "kind": member.kind,
        "owner": None if member.owner_id is None else str(member.owner_id),
    }
    ledger.put("membership", str(member.id), body)


def need_reason(reason: str) -> None:
    """Raises Refused for a reason that says nothing."""
    if not reason.strip():
        raise Refused("A reason is needed.", FieldFault("reason", "must be given"))


def check_owner(session: Session, member: Member) -> None:
    """Raises Conflict for a robot or a service whose owner is no active member."""
    owner = None if member.owner_id is None else session.get_one(Member, member.owner_id)
    if owner is not None and owner.state != "active":
        raise Conflict("Its owner is not an active member; name another owner first.")


def address(session: Session, member: Member) -> tuple[str, str]:
    """(e-mail, name) of whoever reads mails about the member: the owner for a robot or a service."""
    reader = member if member.owner_id is None else session.get_one(Member, member.owner_id)
    person = session.get_one(Person, reader.person_id)
    return person.email, person.name


def tell(session: Session, member: Member, template: str, **facts: object) -> None:
    """Queues a mail about the member to whoever reads those; of a robot that is its owner."""
    email, owner = address(session, member)
    person = session.get_one(Person, member.person_id)
    about = f"member:{member.id}"
    mails.write(
        session, email, template, about, member.vo, member=member, person=person, owner=owner, **facts
    )
