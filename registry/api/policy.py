"""/api/v1: the policy of certification, the checklist of a site, proposals, contacts that answer."""

from __future__ import annotations

from hanse.identity.permissions import PUBLIC, SIGNED_IN
from hanse.web import Api, current_principal, ground
from registry import certification, policy, policy_contacts, policy_proposals, proposals_then, states
from registry.api.answers import Body, NumberPath, SitePath
from registry.certification_standing import Standing, standing_of
from registry.models import CertificationProposal
from registry.policy_contacts import Contact
from registry.rights import CERTIFY_SITE, LOOK_AT_SITE, RUN_FEDERATION, is_operator
from registry.schemas.policy import (
    AskedOut,
    CertificationOut,
    DecideIn,
    PolicyDoc,
    PolicyIn,
    PolicyOut,
    PolicyPage,
    ProposalOut,
    ProposalPage,
    ProposalQuery,
    ProposeIn,
)
from registry.schemas.sites import OneQuery
from registry.settings import RegistrySettings

api = Api("registry_policy", __name__, "Certification policy", csv=True)


def settings() -> RegistrySettings:
    """The registry's settings."""
    held = ground().settings
    assert isinstance(held, RegistrySettings)
    return held


@api.get(
    "/certification/policies",
    permission=PUBLIC,
    summary="Texts of the certification policy, the newest first",
    responses={200: PolicyPage},
)
def list_policies(query: OneQuery) -> Body:
    """With the one that comes with Hanse at the end. Which one is in force changes with the clock."""
    with ground().db.transaction() as session:
        moment = states.moment(session, query.as_of)
        texts = policy.texts(session, moment.at if moment else None)
        return {"items": [policy_answer(one) for one in texts], "next": None}


@api.post(
    "/certification/policies",
    permission=RUN_FEDERATION,
    summary="Put a certification policy in force",
    responses={201: PolicyOut},
)
def put_policy(body: PolicyIn) -> tuple[Body, int]:
    """A YAML text; from its date on it counts instead of the one before. Texts are never changed."""
    number = policy.put(ground().db, current_principal(), body)
    with ground().db.transaction() as session:
        found = next(one for one in policy.texts(session) if one.number == number)
    return policy_answer(found), 201


def policy_answer(text: policy.Text) -> Body:
    """A text of the policy for the wire."""
    return {
        "id": str(text.number),
        "document": text.document,
        "valid_from": text.valid_from,
        "in_force": text.in_force,
        "created_by": text.created_by,
        "reason": text.reason,
    }


@api.get(
    "/sites/<site>/certification",
    permission=SIGNED_IN,
    summary="Where a site stands: its checklist",
    responses={200: CertificationOut},
)
def read_certification(path: SitePath, query: OneQuery) -> Body:
    """The evidence as it was last looked at, the contacts' answers, the proposal that waits."""
    with ground().db.transaction() as session:
        return certification_answer(standing_of(session, path.site, query.as_of))


def certification_answer(found: Standing) -> Body:
    """Where a site stands, for the wire."""
    return {
        "site": found.site,
        "status": found.status,
        "since": found.since,
        "evidence": [
            {
                "item": one.item,
                "title": one.title,
                "state": one.state,
                "told": one.told,
                "source": one.source,
                "at": one.at if one.since else None,
                "since": one.since,
            }
            for one in found.evidence
        ],
        "contacts": [contact_answer(one) for one in found.contacts],
        "proposal": None if found.proposal is None else proposal_answer(found.proposal, found.rules),
        "next_steps": certification.next_steps(found.status, operator=is_operator(current_principal())),
    }


def contact_answer(contact: Contact) -> Body:
    """A contact for the wire."""
    return {
        "email": contact.email,
        "kinds": list(contact.kinds),
        "asked_at": contact.asked_at,
        "confirmed_at": contact.confirmed_at,
    }


@api.post(
    "/sites/<site>/certification/evidence",
    permission=LOOK_AT_SITE,
    summary="Look at a site's evidence now",
    responses={200: CertificationOut},
)
def refresh_evidence(path: SitePath) -> Body:
    """Asks the other services, each within the deadline; proposes what the policy then allows."""
    policy_proposals.refresh(ground().db, settings(), current_principal(), path.site)
    with ground().db.transaction() as session:
        return certification_answer(standing_of(session, path.site, None))


@api.post(
    "/sites/<site>/certification/contacts",
    permission=LOOK_AT_SITE,
    summary="Ask the contacts of a site whether they still answer",
    responses={200: AskedOut},
)
def ask_contacts(path: SitePath) -> Body:
    """A mail to each address, at most once an hour."""
    return {"asked": policy_contacts.ask_now(ground().db, settings(), current_principal(), path.site)}


@api.get(
    "/certification/proposals",
    permission=SIGNED_IN,
    summary="Proposed steps of certification, the newest first",
    responses={200: ProposalPage},
)
def list_proposals(query: ProposalQuery) -> Body:
    """Filters are exact; `state=waiting` gives those that are undecided."""
    with ground().db.transaction() as session:
        moment = states.moment(session, query.as_of)
        rules = policy.in_force(session, moment.at if moment else None)
        if moment is None:
            found = policy_proposals.listed(session, query, query.limit + 1)
        else:
            found = proposals_then.listed(session, query, query.limit + 1, moment)
        shown = [proposal_answer(row, rules) for row in found[: query.limit]]
    return {"items": shown, "next": shown[-1]["id"] if len(found) > query.limit else None}


@api.post(
    "/sites/<site>/certification/proposals",
    permission=CERTIFY_SITE,
    summary="Propose a step of certification",
    responses={201: ProposalOut},
)
def propose(path: SitePath, body: ProposeIn) -> tuple[Body, int]:
    """With two persons in the policy this is the first word, and somebody else has the second."""
    return _one(policy_proposals.propose(ground().db, current_principal(), path.site, body)), 201


@api.post(
    "/certification/proposals/<int:number>/accept",
    permission=CERTIFY_SITE,
    summary="Accept a proposed step",
    responses={200: ProposalOut},
)
def accept(path: NumberPath, body: DecideIn) -> Body:
    """Takes the step, or, where the policy wants two persons and nobody has agreed yet, waits for the second."""
    policy_proposals.accept(ground().db, current_principal(), path.number, body.reason)
    return _one(path.number)


@api.post(
    "/certification/proposals/<int:number>/decline",
    permission=CERTIFY_SITE,
    summary="Decline a proposed step",
    responses={200: ProposalOut},
)
def decline(path: NumberPath, body: DecideIn) -> Body:
    """With the reason; the system does not propose the same for a while."""
    policy_proposals.decline(ground().db, current_principal(), path.number, body.reason)
    return _one(path.number)


def _one(number: int) -> Body:
    with ground().db.transaction() as session:
        row = session.get_one(CertificationProposal, number)
        return proposal_answer(row, policy.in_force(session))


def proposal_answer(row: CertificationProposal, rules: PolicyDoc) -> Body:
    """A proposal for the wire."""
    return {
        "id": str(row.id),
        "site": row.site.name,
        "old": row.old,
        "new": row.new,
        "why": row.why,
        "state": row.state,
        "persons": policy_proposals.persons(rules, row),
        "evidence": row.evidence,
        "made_at": row.made_at,
        "made_by": row.made_by,
        "expires_at": row.expires_at,
        "first_name": row.first_name,
        "first_at": row.first_at,
        "first_reason": row.first_reason,
        "decided_name": row.decided_name,
        "decided_at": row.decided_at,
        "decided_reason": row.decided_reason,
    }
