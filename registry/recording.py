"""One transaction, one revision: what every use case that changes something runs in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Sequence, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, NotFound
from hanse.identity.principals import Principal
from hanse.revisions import Actor, Change, History, Revision, change
from registry.models import Ngi, Service, Site

_TAKEN = {
    "site_name_key": "There is a site of this name already; site names are unique in the federation.",
    "ngi_name_key": "There is an NGI of this name already.",
    "service_type_name_key": "There is a service type of this name already.",
    "scope_name_key": "There is a scope of this name already.",
    "project_name_key": "There is a project of this name already.",
    "service_group_name_key": "There is a service group of this name already; names are unique in the federation.",
    "service_group_service_service_id_fkey": "One of the services was removed a moment ago; read the list again.",
    "project_ngi_ngi_id_fkey": "One of the NGIs was removed a moment ago; read the list again.",
    "endpoint_name": "The service has an endpoint of this name already; endpoint names are unique in a service.",
    "credential_key_key": "This identity belongs to somebody already; an identity is linked to one person or site.",
    "host_certificate_fingerprint_key": "This certificate is registered already.",
    "downtime_import_uid": "The event was taken in at the same moment by somebody else; send the calendar again.",
    "role_once": "The person holds this role already, or asked for it.",
    "api_credential_once": "The site has this API credential already.",
    "credential_oidc_subject": "This subject of an identity provider belongs to somebody already.",
    "api_credential_owner_id_fkey": "The person answers for API credentials; somebody must take them over first.",
    "site_ngi_id_fkey": "The NGI still has sites; move them to another NGI first.",
    "service_service_type_fkey": "There is no such service type; an operator can add it.",
}


class Quicker(Conflict):
    """Somebody saved the same thing since it was read (409)."""


@contextmanager
def recording(db: Database, principal: Principal, reason: str) -> Iterator[tuple[Session, Change]]:
    """A transaction with one revision in it, made by `principal`. Both are kept, or neither."""
    try:
        with (
            db.transaction() as session,
            change(session, Actor(principal.key, principal.name), reason) as recorded,
        ):
            yield session, recorded
    except IntegrityError as error:
        raise Conflict(_sentence(error)) from error


def _sentence(error: IntegrityError) -> str:
    diagnostics = getattr(error.orig, "diag", None)
    name = str(getattr(diagnostics, "constraint_name", "") or "")
    return _TAKEN.get(name, f"Somebody else changed the same thing at the same moment ({name}); try again.")


def next_id(session: Session, sequence: Sequence) -> int:
    """The next number of a sequence, before the row is written: the primary key of GOCDB is made of it."""
    return int(session.execute(select(sequence.next_value())).scalar_one())


def take_lock(session: Session, name: str) -> None:
    """Hold a lock until the end of the transaction, where a rule spans rows that a row lock cannot cover."""
    session.execute(
        text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"registry {name}"}
    )


def find_site(session: Session, name: str) -> Site:
    """The site. Raises NotFound."""
    site = session.scalar(select(Site).where(Site.name == name))
    if site is None:
        raise NotFound(f"There is no site {name}.")
    return site


def lock_site(session: Session, name: str) -> Site:
    """The site, locked against other writers. Raises NotFound."""
    site = session.scalar(select(Site).where(Site.name == name).with_for_update(of=Site))
    if site is None:
        raise NotFound(f"There is no site {name}.")
    return site


def lock_service(session: Session, service_id: int) -> Service:
    """The service, with its site locked against other writers. Raises NotFound."""
    site_name = session.scalar(select(Site.name).join(Service).where(Service.id == service_id))
    if site_name is None:
        raise NotFound(f"There is no service {service_id}.")
    lock_site(session, site_name)
    service = session.scalar(select(Service).where(Service.id == service_id))
    if service is None:
        raise NotFound(f"There is no service {service_id}; it was removed a moment ago.")
    return service


def find_ngi(session: Session, name: str) -> Ngi:
    """The NGI. Raises NotFound."""
    ngi = session.scalar(select(Ngi).where(Ngi.name == name))
    if ngi is None:
        raise NotFound(f"There is no NGI {name}.")
    return ngi


def check_unchanged(session: Session, kind: str, entity_id: int, expected: int | None) -> None:
    """Refuse to write over what somebody saved since revision `expected`; None asks for no check. Raises Quicker.

    Call it with the row locked, so that nobody slips in between.
    """
    if expected is None:
        return
    newest = session.execute(
        select(History.body, Revision)
        .join(Revision, Revision.number == History.from_revision)
        .where(History.kind == kind, History.entity_id == str(entity_id), History.to_revision.is_(None))
    ).one_or_none()
    if newest is None or newest[1].number == expected:
        return
    body, revision = newest
    read = session.scalar(
        select(History.body)
        .where(History.kind == kind, History.entity_id == str(entity_id), History.from_revision <= expected)
        .order_by(History.from_revision.desc())
        .limit(1)
    )
    changed = sorted(field for field in body or {} if (read or {}).get(field) != (body or {}).get(field))
    what = f": {', '.join(changed)}" if changed and read else ""
    raise Quicker(
        f"{revision.actor_name or 'Somebody'} was quicker: revision {revision.number} of"
        f" {revision.at:%d %b %Y, %H:%M:%S} UTC is newer than the revision {expected} that you read{what}."
        " Nothing of yours was saved; read it again and repeat what is still wanted."
    )
