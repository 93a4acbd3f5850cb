"""VOs: made by an operator together with their first managers, found by everybody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.certificates import certificate_from_pem
from hanse.identity.names import from_slash
from hanse.identity.principals import Principal, X509Identity
from vomsdb.ledger import CLOCK, Ledger, actor, revision
from vomsdb.models import Aup, Group, Member, Role, Vo, VoManager
from vomsdb.models.membership import VO_NAME


@dataclass(frozen=True)
class Manager:
    """Somebody who is to decide for a VO: the certificate's owner, a name and an address."""

    identity: X509Identity
    name: str
    email: str


@dataclass(frozen=True)
class Card:
    """What a new VO is: see `vomsdb.models.Vo` for the fields."""

    name: str
    description: str
    discipline: str
    scope: str
    homepage: str
    aup_text: str
    membership_days: int
    ac_lifetime_s: int


def identity_from_pem(pem: str, field: str) -> X509Identity:
    """The owner of a certificate in PEM; raises Refused naming the field."""
    try:
        return X509Identity.from_certificate(certificate_from_pem(pem.encode()))
    except ValueError as fault:
        reason = "is not a certificate in PEM; paste the text from BEGIN CERTIFICATE to END CERTIFICATE"
        raise Refused("The certificate cannot be read.", FieldFault(field, reason)) from fault


def certificate_from_text(pem: str, field: str) -> bytes:
    """The certificate in PEM as DER; raises Refused naming the field."""
    identity_from_pem(pem, field)
    return certificate_from_pem(pem.encode()).public_bytes(Encoding.DER)


def identity_from_names(subject: str, issuer: str, field: str) -> X509Identity:
    """The owner by the printed names of subject and issuer; raises Refused naming the field."""
    try:
        return X509Identity(from_slash(subject), from_slash(issuer))
    except ValueError as fault:
        raise Refused("The name of the certificate cannot be read.", FieldFault(field, str(fault))) from fault


def create(
    session: Session, card: Card, managers: Sequence[Manager], by: Principal, state: str = "production"
) -> Vo:
    """A VO with its root group, its first AUP and its managers. Raises Refused or Conflict.

    In production it counts as validated by who creates it.
    """
    _check(session, card, managers)
    vo = Vo(
        name=card.name,
        description=card.description,
        discipline=card.discipline,
        scope=card.scope,
        homepage=card.homepage,
        aup_version=1,
        membership_days=card.membership_days,
        ac_lifetime_s=card.ac_lifetime_s,
        state=state,
    )
    if state == "production":
        vo.validated_at, vo.validated_by = datetime.now(UTC), by.name
    session.add(vo)
    session.flush()
    session.add(Aup(vo=vo.name, version=1, text=card.aup_text, published_by=by.name))
    session.add(Group(path=f"/{vo.name}", vo=vo.name, description="all members"))
    with revision(session, actor(by), f"VO {vo.name} created") as ledger:
        put_vo(ledger, vo)
        for manager in managers:
            _appoint(session, ledger, vo.name, manager)
        ledger.sites_differ(vo.name)
    return vo


def _check(session: Session, card: Card, managers: Sequence[Manager]) -> None:
    if not re.fullmatch(VO_NAME, card.name):
        reason = "must be written like a host name in small letters, as training.egi.eu"
        raise Refused("The VO cannot be created.", FieldFault("name", reason))
    if not managers:
        raise Refused("The VO cannot be created.", FieldFault("managers", "must name one person or more"))
    if session.get(Vo, card.name) is not None:
        raise Conflict(f"There is a VO {card.name} already.")


def put_vo(ledger: Ledger, vo: Vo) -> None:
    """The VO as the feed tells it."""
    body = {
        "name": vo.name,
        "alias": vo.alias,
        "description": vo.description,
        "discipline": vo.discipline,
        "scope": vo.scope,
        "state": vo.state,
        "aup_version": vo.aup_version,
    }
    ledger.put("vo", vo.name, body)


def put_all(session: Session) -> None:
    """Every VO as the feed should tell it; what is told so already takes no revision."""
    with revision(session, CLOCK, "cards of VOs told anew") as ledger:
        for vo in session.scalars(select(Vo).order_by(Vo.name)):
            put_vo(ledger, vo)


def _appoint(session: Session, ledger: Ledger, vo: str, manager: Manager) -> VoManager:
    row = VoManager(
        vo=vo,
        key=manager.identity.key,
        name=manager.name,
        email=manager.email,
        subject=manager.identity.subject_slash,
        issuer=manager.identity.issuer_slash,
    )
    session.add(row)
    ledger.grant(row.key, "vo_manager", f"vo:{vo}", row.name)
    return row


def appoint(session: Session, vo: str, manager: Manager, by: Principal) -> VoManager:
    """Makes somebody a manager of the VO; raises NotFound or Conflict."""
    found(session, vo)
    if session.get(VoManager, (vo, manager.identity.key)) is not None:
        raise Conflict(f"{manager.name} is a manager of {vo} already.")
    with revision(session, actor(by), f"{manager.name} appointed manager of {vo}") as ledger:
        return _appoint(session, ledger, vo, manager)


def dismiss(session: Session, vo: str, key: str, by: Principal) -> None:
    """Ends somebody's office; the last manager stays. Raises NotFound or Conflict."""
    session.scalar(select(Vo).where(Vo.name == vo).with_for_update(key_share=True))
    row = session.get(VoManager, (vo, key))
    if row is None:
        raise NotFound(f"{vo} has no such manager.")
    if len(managers_of(session, vo)) == 1:
        raise Conflict(f"{row.name} is the only manager of {vo}; appoint another one first.")
    with revision(session, actor(by), f"{row.name} is no longer manager of {vo}") as ledger:
        session.delete(row)
        ledger.revoke(key, "vo_manager", f"vo:{vo}")


def found(session: Session, name: str) -> Vo:
    """The VO; raises NotFound."""
    vo = session.get(Vo, name)
    if vo is None:
        raise NotFound(f"There is no VO {name}. See /vos for those there are.")
    return vo


def held(session: Session, name: str) -> Vo:
    """The VO as it is now: no new AUP comes until the transaction ends. To be held before members; raises NotFound."""
    found(session, name)
    query = select(Vo).where(Vo.name == name).with_for_update(read=True)
    return session.scalars(query.execution_options(populate_existing=True)).one()


def managers_of(session: Session, vo: str) -> list[VoManager]:
    """Who decides for the VO, by name."""
    return list(session.scalars(select(VoManager).where(VoManager.vo == vo).order_by(VoManager.name)))


def roles_of(session: Session, vo: str) -> list[Role]:
    """The roles of the VO, by name."""
    return list(session.scalars(select(Role).where(Role.vo == vo).order_by(Role.name)))


def active_members(session: Session, vo: str) -> int:
    """How many active members the VO has."""
    query = select(func.count()).select_from(Member).where(Member.vo == vo, Member.state == "active")
    return session.scalar(query) or 0


@dataclass(frozen=True)
class Listed:
    """A VO as lists show it, with its number of active members."""

    vo: Vo
    members: int


def search(
    session: Session,
    words: str = "",
    after: str = "",
    limit: int = 50,
    *,
    scope: str = "",
    discipline: str = "",
    state: str = "",
) -> list[Listed]:
    """VOs whose name, alias, description or discipline contains the words, by name, after the name `after`."""
    active = (
        select(func.count())
        .select_from(Member)
        .where(Member.vo == Vo.name, Member.state == "active")
        .scalar_subquery()
    )
    query = select(Vo, active).where(Vo.name > after).order_by(Vo.name).limit(limit)
    for column, wanted in ((Vo.scope, scope), (Vo.discipline, discipline), (Vo.state, state)):
        query = query.where(column == wanted) if wanted else query
    if words:
        columns = (Vo.name, Vo.alias, Vo.description, Vo.discipline)
        query = query.where(or_(*(column.icontains(words, autoescape=True) for column in columns)))
    return [Listed(vo, count) for vo, count in session.execute(query)]


def disciplines(session: Session) -> list[str]:
    """The disciplines that VOs name, by name."""
    named = select(Vo.discipline).where(Vo.discipline != "").distinct().order_by(Vo.discipline)
    return list(session.scalars(named))
