"""The policy of certification as data: a dated text that operators write; the newest one in force counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FieldFault, Refused
from hanse.identity.permissions import check
from hanse.identity.principals import Principal
from registry import policy_entities
from registry.models import CertificationPolicy
from registry.recording import recording
from registry.renderings.plain_yaml import parse_as
from registry.rights import RUN_FEDERATION
from registry.schemas.policy import MAX_POLICY_CHARACTERS, PolicyDoc, PolicyIn

DEFAULT: Final = """\
# What comes with Hanse, until an operator writes another one.
items:
  contacts: {check: contact_answered, title: A contact answered within a year, days: 365, contacts: [admin]}
  csirt: {check: csirt_contact, title: A security contact with an address}
  fields: {check: fields_complete, title: Place and time zone are told}
  endpoints: {check: endpoints_valid, title: Endpoints are registered and answer}
  monitoring: {check: monitoring_green, title: Monitoring green for 7 days, days: 7}
  accounting: {check: accounting_arriving, title: Usage arrives, days: 7}
  identities: {check: identities_replicated, title: Identities of all VOs replicated}
steps:
  - {from: Candidate, to: Uncertified, needs: [csirt, fields, endpoints]}
  - {from: Uncertified, to: Certified, needs: [contacts, csirt, endpoints, monitoring, accounting, identities]}
  - {from: Certified, to: Suspended, broken: [contacts, monitoring, accounting], for_days: 30}
  - {from: Suspended, to: Uncertified, needs: [contacts, csirt, endpoints]}
proposal_days: 30
second_person_days: 14
ask_contacts_every_days: 365
remind_contacts_after_days: 30
"""
BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Text:
    """A text of the policy with its dates; `number` is 0 for the one that comes with Hanse."""

    number: int
    document: str
    valid_from: datetime
    created_by: str
    reason: str
    in_force: bool = False


def parse(text: str) -> PolicyDoc:
    """Read a policy. Raises Refused with the line or the field of every fault."""
    return parse_as(PolicyDoc, text, MAX_POLICY_CHARACTERS)


def in_force(session: Session, at: datetime | None = None) -> PolicyDoc:
    """The policy at a moment, now by default."""
    row = session.scalar(_newest(at or datetime.now(UTC)).limit(1))
    return parse(DEFAULT if row is None else row.document)


def _newest(at: datetime) -> Select[CertificationPolicy]:
    rows = select(CertificationPolicy).where(CertificationPolicy.valid_from <= at)
    return rows.order_by(CertificationPolicy.valid_from.desc(), CertificationPolicy.id.desc())


def texts(session: Session, at: datetime | None = None) -> list[Text]:
    """All texts that are known now, or were at a moment, the one that counts last first; the one that comes with Hanse
    ends the list.
    """
    moment = at or datetime.now(UTC)
    current = session.scalar(_newest(moment).limit(1))
    rows = session.scalars(
        select(CertificationPolicy)
        .where(CertificationPolicy.created_at <= moment)
        .order_by(CertificationPolicy.valid_from.desc(), CertificationPolicy.id.desc())
    )
    found = [
        Text(row.id, row.document, row.valid_from, row.created_by, row.reason, row is current) for row in rows
    ]
    return [*found, Text(0, DEFAULT, BEGINNING, "Hanse", "comes with the registry", current is None)]


def put(db: Database, principal: Principal, form: PolicyIn) -> int:
    """Put a text in force; returns its id. Raises Refused for a text that cannot be read, or one for the past."""
    check(principal, RUN_FEDERATION, "federation")
    parse(form.document)
    now = datetime.now(UTC)
    if form.valid_from is not None and form.valid_from < now:
        raise Refused(
            "A policy is not changed for the past.",
            FieldFault("valid_from", "leave it out to begin now, or name a time that is to come"),
        )
    with recording(db, principal, form.reason) as (session, change):
        row = CertificationPolicy(
            document=form.document,
            valid_from=form.valid_from or now,
            created_by=principal.name,
            reason=form.reason,
        )
        session.add(row)
        session.flush()
        policy_entities.put_policy(change, row)
        return row.id


def check_alone(session: Session, old: str, new: str) -> None:
    """Refuse a step at one person's word where the policy wants two."""
    step = in_force(session).step(old, new)
    if step is not None and step.persons == 2:
        raise Refused(
            f"The policy wants two persons for {old} to {new}.",
            FieldFault(
                "status", "propose it on the site's certification page; somebody else then accepts it"
            ),
        )


def check_begins_alone(session: Session, status: str) -> None:
    """Refuse to register a site with a status to which the policy leads by two persons, at the word of one."""
    if any(step.new == status and step.persons == 2 for step in in_force(session).steps):
        raise Refused(
            f"The policy wants two persons before a site is {status}.",
            FieldFault(
                "certification",
                "register it as Candidate; then propose the steps, and somebody else accepts them",
            ),
        )
