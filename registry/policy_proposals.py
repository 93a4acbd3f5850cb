"""Steps of certification, proposed by the system or a person, decided by persons: by two where the policy says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Actor, Change, change
from registry import certification, policy, policy_entities, policy_evidence
from registry.models import CertificationProposal, Site
from registry.policy_evidence import Found, Neighbourhood
from registry.recording import lock_site, recording
from registry.rights import CERTIFY_SITE, EDIT_SITE, check_site, is_operator, may_site
from registry.rules import check_certification_step
from registry.schemas.policy import PolicyDoc, ProposalQuery, ProposeIn, StepDoc
from registry.settings import RegistrySettings

SYSTEM: Final = Actor("policy", "the policy")
WAITING: Final = ("open", "seconding")


def review(db: Database, settings: RegistrySettings) -> str:
    """Look at every site's evidence, propose what the policy allows, end what waits too long; for the run log."""
    with db.transaction() as session:
        rules = policy.in_force(session)
        concerned = {step.old for step in rules.steps}
        names = list(
            session.scalars(select(Site.name).where(Site.certification.in_(concerned)).order_by(Site.id))
        )
    around = Neighbourhood(settings)
    counts = {"proposed": 0, "withdrawn": 0, "expired": 0}
    for name in names:
        heard = policy_evidence.hear(settings, rules, name, around)
        try:
            _review_site(db, name, rules, heard, counts)
        except NotFound:  # it was removed while others were looked at
            continue
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"{len(names)} sites looked at" + (f": {told}." if told else ".")


def _review_site(
    db: Database, name: str, rules: PolicyDoc, heard: dict[str, Any], counts: dict[str, int]
) -> None:
    with db.transaction() as session:
        site = lock_site(session, name)
        policy_evidence.store(session, site, policy_evidence.look(session, rules, site, heard))
        found = policy_evidence.stored(session, rules, site)
        with change(session, SYSTEM, f"{name}: certification looked at") as recorded:
            ended = _end_waiting(session, recorded, site, rules, found)
            if ended:
                counts[ended] += 1
            if waiting(session, site) is None and (step := _proposable(session, site, rules, found)):
                _new(session, recorded, site, step.new, _why(step, found), found, rules, SYSTEM.name)
                counts["proposed"] += 1


def refresh(db: Database, settings: RegistrySettings, principal: Principal, name: str) -> None:
    """Look at one site's evidence now. For those who may certify it, and for its own people."""
    with db.transaction() as session:
        rules = policy.in_force(session)
        site = lock_site(session, name)
        if not may_site(principal, EDIT_SITE, site):
            check_site(principal, CERTIFY_SITE, site)
    heard = policy_evidence.hear(settings, rules, name, Neighbourhood(settings))
    counts = {"proposed": 0, "withdrawn": 0, "expired": 0}
    _review_site(db, name, rules, heard, counts)


def holds(step: StepDoc, found: list[Found], now: datetime) -> bool:
    """Whether the evidence is for the step: all that is needed is met, or something was broken for long enough."""
    by_name = {one.item: one for one in found}
    if step.needs:
        return all(by_name[name].state == "met" for name in step.needs)
    least = timedelta(days=step.for_days)
    return any(
        _broken_for(by_name[name], now) >= least for name in step.broken if by_name[name].state == "not_met"
    )


def _broken_for(one: Found, now: datetime) -> timedelta:
    return now - (one.since or now)


def _why(step: StepDoc, found: list[Found]) -> str:
    if step.needs:
        return "Everything that the policy asks for is met."
    broken = [
        f"{one.title}: {one.told}" for one in found if one.item in step.broken and one.state == "not_met"
    ]
    return f"Not met for {step.for_days} days or more: " + "; ".join(broken)


def _proposable(session: Session, site: Site, rules: PolicyDoc, found: list[Found]) -> StepDoc | None:
    """The first step that holds, unless a person declined it a short while ago."""
    now = datetime.now(UTC)
    for step in rules.steps:
        if step.old != site.certification or not (step.needs or step.broken) or not holds(step, found, now):
            continue
        declined = select(CertificationProposal.id).where(
            CertificationProposal.site_id == site.id,
            CertificationProposal.old == step.old,
            CertificationProposal.new == step.new,
            CertificationProposal.state == "declined",
            CertificationProposal.decided_at > now - timedelta(days=rules.proposal_days),
        )
        if session.scalar(declined.limit(1)) is None:
            return step
    return None


def _end_waiting(
    session: Session, recorded: Change, site: Site, rules: PolicyDoc, found: list[Found]
) -> str | None:
    row = waiting(session, site)
    if row is None:
        return None
    now = datetime.now(UTC)
    second = row.first_at + timedelta(days=rules.second_person_days) if row.first_at else None
    step = rules.step(row.old, row.new)
    ended: str | None = None
    why = ""
    if row.old != site.certification:
        ended, why = "withdrawn", f"the site is {site.certification} by now"
    elif row.expires_at <= now:
        ended, why = "expired", "nobody decided in time"
    elif row.state == "seconding" and second is not None and second <= now:
        ended, why = "expired", "no second person agreed in time"
    elif row.made_by == SYSTEM.name and row.state == "open" and not _still_for(step, found, now):
        ended, why = "withdrawn", "the evidence has changed"
    if ended is None:
        return None
    row.state, row.decided_name, row.decided_at, row.decided_reason = ended, SYSTEM.name, now, why
    session.flush()
    policy_entities.put_proposal(recorded, row)
    return ended


def _still_for(step: StepDoc | None, found: list[Found], now: datetime) -> bool:
    """Unknown evidence withdraws nothing: a silent service must not undo what was seen."""
    if step is None:
        return False
    if holds(step, found, now):
        return True
    names = step.needs or step.broken
    return any(one.state == "unknown" for one in found if one.item in names) and not any(
        one.state == "not_met" for one in found if one.item in step.needs
    )


def waiting(session: Session, site: Site) -> CertificationProposal | None:
    """The proposal of a site that is undecided."""
    return session.scalar(
        select(CertificationProposal).where(
            CertificationProposal.site_id == site.id, CertificationProposal.state.in_(WAITING)
        )
    )


def propose(db: Database, principal: Principal, name: str, form: ProposeIn) -> int:
    """A step proposed by a person who may certify; with two persons in the policy this is the first word.

    Raises Refused for a step that the rules bar, Conflict while another proposal waits.
    """
    with recording(db, principal, form.reason) as (session, recorded):
        site = lock_site(session, name)
        check_site(principal, CERTIFY_SITE, site)
        if site.certification == form.status:
            raise Refused(f"{name} is {form.status} already.", FieldFault("status", "choose another one"))
        check_certification_step(site.certification, form.status, operator=is_operator(principal))
        held = waiting(session, site)
        if held is not None:
            raise Conflict(f"{held.old} to {held.new} waits for a decision; decide that first.")
        rules = policy.in_force(session)
        found = policy_evidence.stored(session, rules, site)
        row = _new(session, recorded, site, form.status, form.reason, found, rules, principal.name)
        if persons(rules, row) == 2:
            _first_word(row, principal, form.reason)
            session.flush()
            policy_entities.put_proposal(recorded, row)
        return row.id


def _new(
    session: Session,
    recorded: Change,
    site: Site,
    status: str,
    why: str,
    found: list[Found],
    rules: PolicyDoc,
    by: str,
) -> CertificationProposal:
    now = datetime.now(UTC)
    row = CertificationProposal(
        site_id=site.id,
        site=site,
        old=site.certification,
        new=status,
        why=why[:1000],
        state="open",
        evidence=[one.as_json() for one in found],
        made_at=now,
        made_by=by,
        expires_at=now + timedelta(days=rules.proposal_days),
    )
    session.add(row)
    session.flush()
    policy_entities.put_proposal(recorded, row)
    return row


def persons(rules: PolicyDoc, row: CertificationProposal) -> int:
    """How many persons the policy wants for the step."""
    step = rules.step(row.old, row.new)
    return 1 if step is None else step.persons


def accept(db: Database, principal: Principal, number: int, reason: str) -> str:
    """Agree; returns the proposal's state: "seconding" after the first of two persons, "accepted" when it is taken.

    Raises Refused when the same person agrees twice, or a rule bars the step; Conflict when it was decided meanwhile.
    """
    with recording(db, principal, reason) as (session, recorded):
        row, site = _lock(session, number)
        check_site(principal, CERTIFY_SITE, site)
        rules = policy.in_force(session)
        _check_waiting(row, site, rules)
        check_certification_step(row.old, row.new, operator=is_operator(principal))
        if persons(rules, row) == 2 and row.state == "open":
            _first_word(row, principal, reason)
        else:
            if row.first_key is not None and is_same(row, principal):
                raise Refused(
                    "The policy wants a second person; you have agreed already.",
                    FieldFault("person", f"somebody other than {row.first_name} has to agree"),
                )
            certification.take_step(session, recorded, principal, site, row.new, reason)
            _decided(row, "accepted", principal, reason)
        session.flush()
        policy_entities.put_proposal(recorded, row)
        return row.state


def is_same(row: CertificationProposal, principal: Principal) -> bool:
    """Whether the one who agreed first is this person, with whatever certificate or token."""
    if row.first_person is not None and principal.person is not None:
        return row.first_person == principal.person
    return row.first_key == principal.key or row.first_key in principal.keys


def _first_word(row: CertificationProposal, principal: Principal, reason: str) -> None:
    row.state = "seconding"
    row.first_key, row.first_person = principal.key, principal.person
    row.first_name, row.first_at, row.first_reason = principal.name, datetime.now(UTC), reason


def _decided(row: CertificationProposal, state: str, principal: Principal, reason: str) -> None:
    row.state = state
    row.decided_key, row.decided_name = principal.key, principal.name
    row.decided_at, row.decided_reason = datetime.now(UTC), reason


def decline(db: Database, principal: Principal, number: int, reason: str) -> None:
    """Say no; the system does not propose the same again while the policy's proposals last."""
    with recording(db, principal, reason) as (session, recorded):
        row, site = _lock(session, number)
        check_site(principal, CERTIFY_SITE, site)
        if row.state not in WAITING:
            raise Conflict(f"It was {row.state} by {row.decided_name} already.")
        _decided(row, "declined", principal, reason)
        session.flush()
        policy_entities.put_proposal(recorded, row)


def _lock(session: Session, number: int) -> tuple[CertificationProposal, Site]:
    """The proposal with its site locked; the site first, as all writers do."""
    name = session.scalar(
        select(Site.name).join(CertificationProposal).where(CertificationProposal.id == number)
    )
    if name is None:
        raise NotFound(f"There is no proposal {number}.")
    site = lock_site(session, name)
    row = session.get_one(CertificationProposal, number, with_for_update={"of": CertificationProposal})
    return row, site


def _check_waiting(row: CertificationProposal, site: Site, rules: PolicyDoc) -> None:
    now = datetime.now(UTC)
    if row.state not in WAITING:
        raise Conflict(f"It was {row.state} by {row.decided_name} already.")
    if row.old != site.certification:
        raise Conflict(f"{site.name} is {site.certification} by now; this proposal was for {row.old}.")
    late = row.first_at is not None and row.first_at + timedelta(days=rules.second_person_days) <= now
    if row.expires_at <= now or late:
        raise Conflict("This proposal has waited too long; propose it anew.")


def listed(session: Session, query: ProposalQuery, limit: int) -> list[CertificationProposal]:
    """Proposals, the newest first."""
    wanted = select(CertificationProposal).order_by(CertificationProposal.id.desc()).limit(limit)
    if query.site is not None:
        wanted = wanted.join(Site).where(Site.name == query.site)
    if query.state == "waiting":
        wanted = wanted.where(CertificationProposal.state.in_(WAITING))
    elif query.state is not None:
        wanted = wanted.where(CertificationProposal.state == query.state)
    if query.cursor is not None:
        wanted = wanted.where(CertificationProposal.id < int(query.cursor))
    return list(session.scalars(wanted))
