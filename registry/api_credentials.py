"""API credentials of a site: what its programs are known by, who answers for them, and when they go.

A certificate's subject, without its issuer as GOCDB has it, or a subject of an identity provider. They read what is
protected; they write for their site only with `allow_write`, whatever else is set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, Forbidden, NotFound, Refused
from hanse.identity import names
from hanse.identity.nameparts import NameFault
from hanse.identity.permissions import check
from hanse.identity.principals import Principal, oidc_key
from hanse.revisions import Change, change
from registry import entities, mails, people, remembered, states
from registry.models import ApiCredential, Person, Site
from registry.recording import find_site, lock_site, recording
from registry.remembered import ApiCredentialThen
from registry.rights import DROP_API_CREDENTIALS, KEEP_API_CREDENTIALS, KEEP_MACHINES, check_site, may_site
from registry.schemas.api_credentials import ApiCredentialChange, ApiCredentialIn
from registry.settings import RegistrySettings

MOST_PER_SITE = 100
SEEN_EVERY = timedelta(minutes=5)
"""How often a use is written down: often enough to tell a used one, seldom enough not to slow reads."""


def match_of(form: ApiCredentialIn, realms: Mapping[str, str]) -> tuple[str, str]:
    """What a caller is compared with, and the realm. Raises Refused for a name or a realm that cannot be."""
    if form.kind == "x509":
        try:
            return subject_match(names.parse(form.identifier)), "X.509"
        except NameFault as fault:
            raise Refused(
                "This is no subject of a certificate.", FieldFault("identifier", str(fault))
            ) from fault
    realm = form.realm or next(iter(realms), "")
    if realm not in realms:
        known = ", ".join(realms) or "none; an operator sets oidc_realms"
        raise Refused(
            "This identity provider is not known here.", FieldFault("realm", f"must be one of: {known}")
        )
    if " " in form.identifier or len(form.identifier) > 255:
        raise Refused(
            "This is no subject of an identity provider.",
            FieldFault("identifier", "holds no spaces and at most 255 characters: copy `sub` from a token"),
        )
    return oidc_key(realms[realm], form.identifier), realm


def subject_match(subject_der: bytes) -> str:
    """By what the subject of a certificate is found, whatever string types its issuer chose."""
    return hashlib.sha256(names.canonical(subject_der)).hexdigest()


def add(
    db: Database, principal: Principal, settings: RegistrySettings, site_name: str, form: ApiCredentialIn
) -> int:
    """Register a credential; its owner is who adds it, somebody with a role at the site. Returns its id."""
    match, realm = match_of(form, settings.oidc_realms)
    with recording(db, principal, form.reason or f"API credential of {site_name} added") as (
        session,
        recorded,
    ):
        site = lock_site(session, site_name)
        check_site(principal, KEEP_API_CREDENTIALS, site)
        owner = people.own(session, principal)
        present = listed(session, site.id)
        if any((one.kind, one.match) == (form.kind, match) for one in present):
            raise Conflict(f"{site_name} has this API credential already.")
        if len(present) >= MOST_PER_SITE:
            raise Refused(
                f"{site_name} has {MOST_PER_SITE} API credentials; delete those that are no longer used."
            )
        row = ApiCredential(
            site=site,
            kind=form.kind,
            identifier=form.identifier,
            realm=realm,
            match=match,
            allow_write=form.allow_write,
            owner=owner,
        )
        session.add(row)
        session.flush()
        session.refresh(row)
        entities.put_api_credential(recorded, row)
        return row.id


def edit(db: Database, principal: Principal, site_name: str, number: int, form: ApiCredentialChange) -> None:
    """Let it write or not, renew it, answer for it from now on."""
    with recording(db, principal, form.reason or f"API credential of {site_name} changed") as (
        session,
        recorded,
    ):
        site = lock_site(session, site_name)
        check_site(principal, KEEP_API_CREDENTIALS, site)
        row = find(session, site, number)
        if form.allow_write is not None:
            row.allow_write = form.allow_write
        if form.take_over:
            row.owner = people.own(session, principal)
        if form.renew or form.take_over:
            row.renewed_at, row.warned_at = datetime.now(UTC), None
        session.flush()
        entities.put_api_credential(recorded, row)


def remove(db: Database, principal: Principal, site_name: str, number: int, reason: str) -> None:
    """Delete a credential; from then on it acts for nobody."""
    with recording(db, principal, reason or f"API credential of {site_name} deleted") as (session, recorded):
        site = lock_site(session, site_name)
        check_site(principal, DROP_API_CREDENTIALS, site)
        _delete(session, recorded, find(session, site, number))


def _delete(session: Session, recorded: Change, row: ApiCredential) -> None:
    recorded.delete("api_credential", str(row.id))
    session.delete(row)
    session.flush()


def find(session: Session, site: Site, number: int) -> ApiCredential:
    """A credential of the site. Raises NotFound."""
    row = session.get(ApiCredential, number)
    if row is None or row.site_id != site.id:
        raise NotFound(f"{site.name} has no API credential {number}.")
    return row


def listed(session: Session, site_id: int) -> list[ApiCredential]:
    """Credentials of a site by id."""
    wanted = select(ApiCredential).where(ApiCredential.site_id == site_id)
    return list(session.scalars(wanted.order_by(ApiCredential.id)))


def answered_by(session: Session, person: int) -> list[ApiCredential]:
    """Credentials that a person answers for, by site."""
    wanted = select(ApiCredential).join(Site).where(ApiCredential.owner_id == person)
    return list(session.scalars(wanted.order_by(Site.name, ApiCredential.id)))


def of_site(session: Session, principal: Principal, site_name: str) -> list[ApiCredential]:
    """Credentials of a site, for those who may keep its machines. Raises NotFound, Forbidden."""
    site = find_site(session, site_name)
    if not may_site(principal, DROP_API_CREDENTIALS, site):
        check_site(principal, KEEP_MACHINES, site)
    return listed(session, site.id)


def of_site_then(
    session: Session, principal: Principal, site_name: str, number: int
) -> list[ApiCredentialThen]:
    """Credentials of a site after revision `number`, by id. Raises NotFound, Forbidden."""
    site = states.find_named(session, "site", site_name, str(number))
    row = session.get(Site, int(site.id))
    if row is None:
        check(principal, DROP_API_CREDENTIALS, "federation")
    elif not may_site(principal, DROP_API_CREDENTIALS, row):
        check_site(principal, KEEP_MACHINES, row)
    return remembered.api_credentials(session, number, site.body["name"])


def of_caller(session: Session, principal: Principal) -> list[ApiCredential]:
    """The credentials that the caller shows: none, one, or one at each of several sites."""
    wanted: list[tuple[str, str]] = []
    if principal.kind == "x509" and principal.x509 is not None:
        wanted.append(("x509", subject_match(principal.x509.subject_der)))
    wanted += [("oidc", key) for key in (principal.key,) if key.startswith("oidc:")]
    if not wanted:
        return []
    rows = select(ApiCredential).where(tuple_(ApiCredential.kind, ApiCredential.match).in_(wanted))
    return list(session.scalars(rows.order_by(ApiCredential.id)))


def seen(db: Database, principal: Principal, *, read_only: bool = False) -> list[ApiCredential]:
    """As `of_caller`, and writes down that they were used, at most every five minutes."""
    now = datetime.now(UTC)
    with db.transaction() as session:
        found = of_caller(session, principal)
    stale = [one.id for one in found if one.last_used_at is None or one.last_used_at < now - SEEN_EVERY]
    if stale and not read_only:  # after the first connection went back: who held two could wait for ever
        note_use(db, stale, now)
    return found


def note_use(db: Database, numbers: list[int], now: datetime) -> None:
    """In a transaction of its own: a use counts, whatever becomes of what was asked. The log does not hold it."""
    with db.transaction() as session:
        rows = (
            select(ApiCredential)
            .where(ApiCredential.id.in_(numbers))
            .with_for_update(skip_locked=True, of=ApiCredential)
        )
        for row in session.scalars(rows):
            row.last_used_at = now


def check_may_write(session: Session, principal: Principal, site: Site) -> ApiCredential:
    """The credential with which the caller writes for the site. Raises Forbidden: not of this site, or it may not."""
    own = [one for one in of_caller(session, principal) if one.site_id == site.id]
    if not own:
        raise Forbidden(
            f"{principal.name} is no API credential of {site.name}; somebody with a role there can add it."
        )
    writing = next((one for one in own if one.allow_write), None)
    if writing is None:
        raise Forbidden(
            f"This API credential of {site.name} may only read; somebody with a role there can let it write."
        )
    return writing


def due_reason(row: ApiCredential, settings: RegistrySettings, now: datetime) -> str:
    """Why a credential is to go; "" while it is used and renewed."""
    if (row.last_used_at or row.created_at) < now - timedelta(days=settings.api_credential_unused_days):
        return f"it was not used for {settings.api_credential_unused_days:g} days"
    if row.renewed_at < now - timedelta(days=settings.api_credential_renew_days):
        return f"it was not renewed for {settings.api_credential_renew_days:g} days"
    return ""


def deleted_on(row: ApiCredential, settings: RegistrySettings) -> datetime | None:
    """When it goes if nothing is done; None while nobody was warned."""
    warning = timedelta(days=settings.api_credential_warning_days)
    return None if row.warned_at is None else row.warned_at + warning


def watch(db: Database, settings: RegistrySettings) -> str:
    """Warn the owners of unused and unrenewed credentials, delete those whose time is over; for the run log."""
    now = datetime.now(UTC)
    warned = ended = 0
    with (
        db.transaction() as session,
        change(session, people.CLOCK, "API credentials unused or not renewed") as recorded,
    ):
        rows = select(ApiCredential).order_by(ApiCredential.id).with_for_update(of=ApiCredential)
        for row in session.scalars(rows):
            reason = due_reason(row, settings, now)
            last_day = deleted_on(row, settings)
            if not reason:
                row.warned_at = None
            elif last_day is None:
                row.warned_at, warned = now, warned + 1
                _mail(session, row, settings, f"will be deleted, since {reason}", deleted_on(row, settings))
            elif last_day <= now:
                ended += 1
                _mail(session, row, settings, f"was deleted, since {reason}", None)
                _delete(session, recorded, row)
    return f"{warned} owners of API credentials warned, {ended} credentials deleted."


def _mail(
    session: Session, row: ApiCredential, settings: RegistrySettings, what: str, until: datetime | None
) -> None:
    receivers = _receivers(session, row)
    subject = f"API credential of {row.site.name} {'will be' if until else 'was'} deleted"
    body = f"The API credential\n\n  {row.identifier}\n\nof {row.site.name} {what}.\n"
    if until is not None:
        body += (
            f"\nIt goes on {until:%d %b %Y}. To keep it, renew it, or use it if it went unused:\n"
            f"{settings.url}/sites/{row.site.name}/api-credentials\n"
        )
    mails.queue(session, receivers, subject, body, about=f"api_credential:{row.id}")


def _receivers(session: Session, row: ApiCredential) -> list[str]:
    """The owner; everybody with a role at the site when the owner has no address."""
    if row.owner.email:
        return [row.owner.email]
    from_site = select(Person).where(Person.roles.any(site_id=row.site_id), Person.email.is_not(None))
    return [person.email for person in session.scalars(from_site.order_by(Person.id)) if person.email]
