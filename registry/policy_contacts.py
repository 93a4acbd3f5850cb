"""Do the contacts of a site still reach somebody: a mail once a year, answered by a button behind its link.

Mail scanners follow links, so that reading the page changes nothing; only the button (POST) confirms.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Actor, change
from registry import mails, policy, policy_entities
from registry.models import ContactConfirmation, Site
from registry.recording import lock_site
from registry.rights import CERTIFY_SITE, EDIT_SITE, check_site, may_site
from registry.schemas.policy import PolicyDoc
from registry.settings import RegistrySettings
from registry.states import State

ANSWER_DAYS: Final = 60
MOST_MAILS: Final = 500
AGAIN_AFTER: Final = timedelta(hours=1)
SYSTEM: Final = "the policy"
_WATCHED: Final = ("Candidate", "Uncertified", "Certified", "Suspended")


@dataclass(frozen=True)
class Contact:
    """An address of a site, the purposes for which it stands there, and when it was asked and answered last."""

    email: str
    kinds: tuple[str, ...]
    asked_at: datetime | None
    confirmed_at: datetime | None


def states(session: Session, site: Site) -> list[Contact]:
    """The addresses of a site in the order of its contacts."""
    return _states(session, site.id, [(one.email, one.kind) for one in site.contacts], None)


def states_then(session: Session, site: State, at: datetime) -> list[Contact]:
    """The addresses of a site as they stood at a moment, with what had been asked and answered by then."""
    return _states(session, int(site.id), [(one["email"], one["kind"]) for one in site.body["contacts"]], at)


def _states(
    session: Session, site: int, contacts: Iterable[tuple[str | None, str]], until: datetime | None
) -> list[Contact]:
    kinds: dict[str, list[str]] = {}
    for email, kind in contacts:
        if email and kind not in kinds.setdefault(email, []):
            kinds[email].append(kind)
    dates = _dates(session, site, until)
    return [Contact(email, tuple(found), *dates.get(email, (None, None))) for email, found in kinds.items()]


def _dates(
    session: Session, site: int, until: datetime | None
) -> dict[str, tuple[datetime | None, datetime | None]]:
    asked, confirmed = ContactConfirmation.asked_at, ContactConfirmation.confirmed_at
    known = ContactConfirmation.site_id == site
    if until is None:
        told: ColumnElement[datetime | None] = func.max(confirmed)
    else:
        told, known = func.max(confirmed).filter(confirmed <= until), and_(known, asked <= until)
    rows = session.execute(
        select(ContactConfirmation.email, func.max(asked), told)
        .where(known)
        .group_by(ContactConfirmation.email)
    )
    return {email: (last, answered) for email, last, answered in rows}


def ask_when_due(db: Database, settings: RegistrySettings) -> str:
    """Write to every address whose last answer is too old; a sentence for the run log."""
    with db.transaction() as session:
        rules = policy.in_force(session)
        names = list(
            session.scalars(select(Site.name).where(Site.certification.in_(_WATCHED)).order_by(Site.id))
        )
    sent = 0
    for name in names:
        if sent >= MOST_MAILS:
            return f"{sent} contacts asked; the others follow at the next run."
        with db.transaction() as session:
            site = lock_site(session, name)
            due = [one for one in states(session, site) if _due(one, rules, datetime.now(UTC))]
            sent += _ask(session, settings, site, due, SYSTEM)
    return f"{sent} contacts asked." if sent else "No contact is due."


def _due(contact: Contact, rules: PolicyDoc, now: datetime) -> bool:
    if contact.confirmed_at and now - contact.confirmed_at < timedelta(days=rules.ask_contacts_every_days):
        return False
    reminded = timedelta(days=rules.remind_contacts_after_days)
    return contact.asked_at is None or now - contact.asked_at >= reminded


def ask_now(db: Database, settings: RegistrySettings, principal: Principal, name: str) -> int:
    """Write to all addresses of a site; returns how many. Raises Refused when they were asked within the hour."""
    with db.transaction() as session:
        site = lock_site(session, name)
        if not may_site(principal, EDIT_SITE, site):
            check_site(principal, CERTIFY_SITE, site)
        found = states(session, site)
        if not found:
            raise Refused(f"{name} has no contact with an e-mail address; add one first.")
        now = datetime.now(UTC)
        due = [one for one in found if one.asked_at is None or now - one.asked_at >= AGAIN_AFTER]
        if not due:
            raise Refused("They were asked less than an hour ago; give them time to answer.")
        return _ask(session, settings, site, due, principal.name)


def _ask(
    session: Session, settings: RegistrySettings, site: Site, contacts: Iterable[Contact], by: str
) -> int:
    now, count = datetime.now(UTC), 0
    for contact in contacts:
        code = secrets.token_hex(20)
        session.add(
            ContactConfirmation(
                site_id=site.id,
                email=contact.email,
                code_hash=_hash(code),
                asked_at=now,
                asked_by=by,
                expires_at=now + timedelta(days=ANSWER_DAYS),
            )
        )
        address = f"{settings.url.rstrip('/')}/contacts/confirm/{code}"
        mails.queue(
            session,
            contact.email,
            f"Does this address still reach {site.name}?",
            _LETTER.format(site=site.name, kinds=", ".join(contact.kinds), address=address, days=ANSWER_DAYS),
            about=f"site:{site.id}",
        )
        count += 1
    session.flush()
    return count


_LETTER: Final = """\
The registry of the federation names this address as a contact of the site
{site}, for: {kinds}.

Does somebody still read it? Open the page below and press the button, within
{days} days:

  {address}

If the address is wrong, tell the site's administrator: a contact that does
not answer counts against the site's certification.
"""


def find(session: Session, code: str) -> ContactConfirmation:
    """The question that a code belongs to. Raises NotFound, Refused when it is too old."""
    row = session.scalar(select(ContactConfirmation).where(ContactConfirmation.code_hash == _hash(code)))
    if row is None:
        raise NotFound("This link is not one of ours; use the newest mail.")
    if row.confirmed_at is None and row.expires_at <= datetime.now(UTC):
        raise Refused("This link is too old; ask the site's administrator to write to you again.")
    return row


def confirm(db: Database, code: str) -> ContactConfirmation:
    """Somebody answered. Pressing the button twice does no harm."""
    with db.transaction() as session:
        row = find(session, code)
        name = row.site.name
        if row.confirmed_at is None:
            with change(session, Actor("contact", "a contact"), f"A contact of {name} answered") as recorded:
                row.confirmed_at = datetime.now(UTC)
                session.flush()
                policy_entities.put_confirmation(recorded, row)
        session.expunge(row)
        return row


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
