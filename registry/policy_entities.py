"""Policies, proposals and answers of contacts as entities of the revision log: see `registry.entities`."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.revisions import Change
from registry.models import CertificationPolicy, CertificationProposal, ContactConfirmation, Site
from registry.schemas.fields import iso


def put_proposal(change: Change, proposal: CertificationProposal) -> None:
    """Record a proposed step of certification."""
    body = {
        "id": str(proposal.id),
        "site": proposal.site.name,
        "name": f"{proposal.old} to {proposal.new}",
        "old": proposal.old,
        "new": proposal.new,
        "why": proposal.why,
        "state": proposal.state,
        "made_at": iso(proposal.made_at),
        "expires_at": iso(proposal.expires_at),
    }
    change.put("certification_proposal", str(proposal.id), body)


def put_confirmation(change: Change, confirmation: ContactConfirmation) -> None:
    """Record that a contact answered; a question that waits is no record."""
    if confirmation.confirmed_at is None:
        return
    body = {
        "id": str(confirmation.id),
        "site": confirmation.site.name,
        "asked_at": iso(confirmation.asked_at),
        "confirmed_at": iso(confirmation.confirmed_at),
    }
    change.put("contact_confirmation", str(confirmation.id), body)


def put_policy(change: Change, policy: CertificationPolicy) -> None:
    """Record a policy of certification."""
    body = {"id": str(policy.id), "document": policy.document, "valid_from": iso(policy.valid_from)}
    change.put("certification_policy", str(policy.id), body)


def put_of_site(session: Session, change: Change, site: Site) -> None:
    """Record what names the site, which has another name now."""
    of_site = select(CertificationProposal).where(CertificationProposal.site_id == site.id)
    for proposal in session.scalars(of_site):
        put_proposal(change, proposal)
    answers = select(ContactConfirmation).where(ContactConfirmation.site_id == site.id)
    for answer in session.scalars(answers):
        put_confirmation(change, answer)


def delete_of_site(session: Session, change: Change, site: Site) -> None:
    """Record that what hangs on a site goes with it."""
    proposals = select(CertificationProposal.id).where(CertificationProposal.site_id == site.id)
    for number in session.scalars(proposals):
        change.delete("certification_proposal", str(number))
    answers = select(ContactConfirmation.id).where(ContactConfirmation.site_id == site.id)
    for number in session.scalars(answers):
        change.delete("contact_confirmation", str(number))
