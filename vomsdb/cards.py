"""Identity cards of VOs: what the VO says of itself, and its life under a supervisor's validation.

new -> production (validated) -> suspended -> production | closed

Anybody with a certificate proposes a VO, which is new until a federation operator validates it: nobody joins it and
nobody gets an attribute certificate before. Its managers keep the card; what changes the standing of the VO is for the
federation's operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, Refused
from hanse.identity.principals import Principal
from vomsdb import groups, mails, members, vos
from vomsdb.ledger import actor, revision
from vomsdb.models import Group, Vo
from vomsdb.vos import Card, Manager

MIDDLEWARE = ("ARC", "gLite", "UNICORE", "GLOBUS", "CLOUD_STORAGE", "CLOUD_COMPUTING")
NEXT: Mapping[str, tuple[str, ...]] = {
    "new": ("production", "closed"),
    "production": ("suspended", "closed"),
    "suspended": ("production", "closed"),
    "closed": (),
}


@dataclass(frozen=True)
class Details:
    """What the managers of a VO may change of its card; see `vomsdb.models.Vo` for the fields."""

    description: str
    discipline: str
    scope: str
    homepage: str
    alias: str
    enrolment_url: str
    support_unit: str
    middleware: Sequence[str]
    contacts: Sequence[Mapping[str, Any]]
    authorities: Sequence[Mapping[str, Any]]
    resources: Mapping[str, Any]
    shares: Mapping[str, int]
    membership_days: int
    ac_lifetime_s: int


def details_of(vo: Vo) -> Details:
    """The card as it stands."""
    return Details(**{field.name: getattr(vo, field.name) for field in fields(Details)})


def edit(session: Session, name: str, details: Details, by: Principal) -> Vo:
    """The managers' changes of the card. Raises Refused, Conflict, NotFound."""
    vo = _held(session, name)
    if vo.state == "closed":
        raise Conflict(f"{name} is closed; its card stays as it is.")
    _check(session, vo, details)
    changed = [
        field.name for field in fields(Details) if getattr(vo, field.name) != getattr(details, field.name)
    ]
    for field in changed:
        setattr(vo, field, getattr(details, field))
    vo.changed_at = datetime.now(UTC)
    session.flush()
    with revision(session, actor(by), f"card of {name} changed: {', '.join(changed) or 'nothing'}") as ledger:
        vos.put_vo(ledger, vo)
    return vo


def _held(session: Session, name: str) -> Vo:
    vos.found(session, name)
    query = select(Vo).where(Vo.name == name).with_for_update(key_share=True)
    return session.scalars(query.execution_options(populate_existing=True)).one()


def _check(session: Session, vo: Vo, details: Details) -> None:
    faults = []
    for field in ("homepage", "enrolment_url"):
        address = getattr(details, field)
        if address and not address.startswith(("https://", "http://")):
            faults.append(FieldFault(field, "must begin with https://"))
    unknown = sorted(set(details.middleware) - set(MIDDLEWARE))
    if unknown:
        faults.append(FieldFault("middleware", f"{unknown[0]} is none of {', '.join(MIDDLEWARE)}"))
    if sum(details.shares.values()) > 100:
        faults.append(FieldFault("shares", "must not make more than 100 per cent together"))
    for fqan in details.shares:
        group = session.get(Group, groups.parts(fqan)[0])
        if group is None or group.vo != vo.name:
            faults.append(FieldFault("shares", f"names {fqan}, which is no group or role of {vo.name}"))
    if faults:
        raise Refused("The card cannot be saved yet.", *faults)


def ask_for_validation(session: Session, name: str, by: Principal) -> Vo:
    """The managers say that the card is complete. Raises Refused, Conflict, NotFound."""
    vo = _held(session, name)
    if vo.state != "new":
        raise Conflict(f"{name} is {vo.state}; only a new VO waits for validation.")
    missing = [
        word for word, given in (("discipline", vo.discipline), ("middleware", vo.middleware)) if not given
    ]
    if not any(contact.get("role") == "security" for contact in vo.contacts):
        missing.append("contacts")
    if missing:
        faults = [FieldFault(field, "must be given before a VO is validated") for field in missing]
        raise Refused("The card is not complete.", *faults)
    vo.asked_at = datetime.now(UTC)
    with revision(session, actor(by), f"validation of {name} asked for") as ledger:
        vos.put_vo(ledger, vo)
    return vo


def move(session: Session, name: str, state: str, reason: str, by: Principal) -> Vo:
    """A supervisor's word on the VO; its managers are told. Raises Refused, Conflict, NotFound."""
    members.need_reason(reason)
    vo = _held(session, name)
    if state not in NEXT[vo.state]:
        allowed = " or ".join(NEXT[vo.state]) or "nothing else any more"
        raise Conflict(f"{name} is {vo.state} and can become {allowed}.")
    if state == "production":
        vo.validated_at, vo.validated_by = datetime.now(UTC), by.name
    vo.state, vo.state_reason, vo.asked_at = state, reason, None
    vo.changed_at = datetime.now(UTC)
    for manager in vos.managers_of(session, name):
        mails.write(session, manager.email, "vo_state", f"vo:{name}", name, card=vo, name=manager.name)
    with revision(session, actor(by), f"{name} is {state}: {reason}") as ledger:
        vos.put_vo(ledger, vo)
        ledger.sites_differ(name, urgent=state in ("suspended", "closed"))
    return vo


def propose(session: Session, card: Card, email: str, by: Principal) -> Vo:
    """A new VO that waits for validation, with whoever proposes it as its manager. Raises Refused, Conflict."""
    if by.x509 is None:
        raise Refused(
            "Propose a VO with your certificate: you are its first manager. Sign in at the TLS address."
        )
    return vos.create(session, card, [Manager(by.x509, by.name, email)], by, state="new")


def waiting(session: Session) -> list[Vo]:
    """New VOs whose managers asked for validation, the oldest first."""
    return list(session.scalars(select(Vo).where(Vo.asked_at.is_not(None)).order_by(Vo.asked_at)))
