"""Where a site stands: its status, the checklist, its contacts, the proposal that waits; now, or as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from registry import policy, policy_contacts, policy_evidence, policy_proposals, proposals_then, states
from registry.models import CertificationProposal, Site
from registry.policy_contacts import Contact
from registry.policy_evidence import Found
from registry.recording import find_site
from registry.schemas.fields import parse_time
from registry.schemas.policy import PolicyDoc
from registry.states import Moment, State


@dataclass(frozen=True)
class Standing:
    """Where a site stands. `row` is the site as it is now; None when it has gone since."""

    site: str
    row: Site | None
    status: str
    since: datetime
    rules: PolicyDoc
    evidence: Sequence[Found]
    contacts: Sequence[Contact]
    proposal: CertificationProposal | None


def standing_of(session: Session, name: str, as_of: str | None) -> Standing:
    """Where a site stands, or stood. Raises NotFound, Refused for what is no moment."""
    moment = states.moment(session, as_of)
    return _now(session, name) if moment is None else _then(session, name, moment)


def _now(session: Session, name: str) -> Standing:
    site = find_site(session, name)
    rules = policy.in_force(session)
    return Standing(
        site.name,
        site,
        site.certification,
        site.certification_since,
        rules,
        policy_evidence.stored(session, rules, site),
        policy_contacts.states(session, site),
        policy_proposals.waiting(session, site),
    )


def _then(session: Session, name: str, moment: Moment) -> Standing:
    site: State = states.find_named(session, "site", name, str(moment.number))
    rules = policy.in_force(session, moment.at)
    row = session.get(Site, int(site.id))
    return Standing(
        site.body["name"],
        row,
        site.body["certification"],
        parse_time(site.body["certification_since"]),
        rules,
        policy_evidence.then(session, rules, int(site.id), moment.at),
        policy_contacts.states_then(session, site, moment.at),
        proposals_then.waiting(session, site.body["name"], moment),
    )
