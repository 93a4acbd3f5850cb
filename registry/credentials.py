"""What the machines of a site sign in with: host certificates and site tokens."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.certificates import certificate_from_pem
from hanse.identity.permissions import check
from hanse.identity.principals import Principal, X509Identity
from hanse.identity.proxies import is_proxy
from hanse.identity.tokens import new_token
from hanse.revisions import Change
from registry import entities, people, remembered, states
from registry.models import Credential, HostCertificate, Site
from registry.recording import find_site, lock_site, recording, take_lock
from registry.remembered import TokenThen
from registry.rights import KEEP_MACHINES, RUN_FEDERATION, check_site
from registry.schemas.sites import HostCertificateIn, TokenIn

TOKEN_PREFIX = "hanse_site"  # noqa: S105 - how the tokens begin, not one of them


def read_certificate(pem: str) -> x509.Certificate:
    """The first certificate of a PEM text. Raises Refused when there is none, or when it is a proxy."""
    try:
        certificate = certificate_from_pem(pem.encode("ascii"))
        X509Identity.from_certificate(certificate).key  # noqa: B018 - a name that cannot be read shows here
    except (ValueError, IndexError):
        raise Refused(
            "This is no certificate.",
            FieldFault("pem", "paste the text from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"),
        ) from None
    if is_proxy(certificate):
        raise Refused("This is a proxy.", FieldFault("pem", "register the host certificate itself"))
    return certificate


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, hexadecimal: which certificate it is."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def add_host_certificate(db: Database, principal: Principal, site_name: str, form: HostCertificateIn) -> int:
    """Register a host certificate of a site; returns its id. Raises Conflict when it speaks for somebody else."""
    certificate = read_certificate(form.pem)
    reason = form.reason or f"Host certificate of {site_name} added"
    with recording(db, principal, reason) as (session, recorded):
        site = lock_site(session, site_name)
        check_site(principal, KEEP_MACHINES, site)
        return create(session, recorded, site, certificate).id


def create(
    session: Session,
    recorded: Change,
    site: Site,
    certificate: x509.Certificate,
    number: int | None = None,
) -> HostCertificate:
    """Write a host certificate of a locked site inside the caller's revision; one that comes back has its `number`."""
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise Refused(
            f"This certificate ended on {certificate.not_valid_after_utc:%d %b %Y}.",
            FieldFault("pem", "register one that is still valid"),
        )
    identity = X509Identity.from_certificate(certificate)
    _check_owner(session, site, identity)
    row = HostCertificate(
        id=number,
        site=site,
        key=identity.key,
        fingerprint=fingerprint(certificate),
        subject_der=identity.subject_der,
        issuer_der=identity.issuer_der,
        pem=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )
    session.add(row)
    session.flush()
    entities.put_host_certificate(recorded, row)
    return row


def _check_owner(session: Session, site: Site, identity: X509Identity) -> None:
    take_lock(session, identity.key)
    other = session.scalar(
        select(HostCertificate)
        .where(HostCertificate.key == identity.key, HostCertificate.site_id != site.id)
        .limit(1)
    )
    if other is not None:
        raise Conflict(
            f"{identity.subject_slash} speaks for site {other.site.name}; one machine speaks for one site."
        )
    person = session.scalar(select(Credential).where(Credential.key == identity.key))
    if person is not None:
        raise Conflict(f"{identity.subject_slash} is a person's certificate, not a machine's.")


def remove_host_certificate(
    db: Database, principal: Principal, site_name: str, number: int, reason: str
) -> None:
    """Take a host certificate off a site; from then on it speaks for nobody."""
    with recording(db, principal, reason or f"Host certificate of {site_name} removed") as (
        session,
        recorded,
    ):
        site = lock_site(session, site_name)
        check_site(principal, KEEP_MACHINES, site)
        row = session.get(HostCertificate, number)
        if row is None or row.site_id != site.id:
            raise NotFound(f"{site_name} has no host certificate {number}.")
        delete(session, recorded, row)


def delete(session: Session, recorded: Change, row: HostCertificate) -> None:
    """Take a host certificate away inside the caller's revision; the identity stays while a renewal uses it."""
    recorded.delete("host_certificate", str(row.id))
    recorded.delete("grant", f"host_certificate:{row.id}")
    renewal = session.scalar(
        select(HostCertificate.id)
        .where(HostCertificate.key == row.key, HostCertificate.id != row.id)
        .limit(1)
    )
    if renewal is None:
        recorded.delete("identity", row.key)
    session.delete(row)
    session.flush()


def host_certificates(session: Session, site_name: str) -> list[HostCertificate]:
    """Host certificates of a site, the one that ends last first."""
    return list(
        session.scalars(
            select(HostCertificate)
            .join(Site)
            .where(Site.name == site_name)
            .order_by(HostCertificate.not_after.desc(), HostCertificate.id)
        )
    )


def make_site_token(
    db: Database, principal: Principal, site_name: str, form: TokenIn
) -> tuple[Credential, str]:
    """A token that speaks for the site; returns it with its row. It is shown this once."""
    token = new_token(TOKEN_PREFIX)
    reason = form.reason or f"Token “{form.name}” of {site_name} made"
    with recording(db, principal, reason) as (session, recorded):
        site = lock_site(session, site_name)
        check_site(principal, KEEP_MACHINES, site)
        credential = people.new_token_row(token, form)
        credential.site_id = site.id
        session.add(credential)
        session.flush()
        entities.put_site_token(recorded, credential, site)
    return credential, token


def site_tokens(session: Session, principal: Principal, site_name: str) -> list[Credential]:
    """Tokens of a site, the newest first, for those who may keep them."""
    site = find_site(session, site_name)
    check_site(principal, KEEP_MACHINES, site)
    return list(
        session.scalars(
            select(Credential).where(Credential.site_id == site.id).order_by(Credential.id.desc())
        )
    )


def site_tokens_then(session: Session, principal: Principal, site_name: str, number: int) -> list[TokenThen]:
    """Tokens of a site after revision `number`, the newest first. Raises NotFound, Forbidden."""
    site = states.find_named(session, "site", site_name, str(number))
    row = session.get(Site, int(site.id))
    if row is None:
        check(principal, RUN_FEDERATION, "federation")
    else:
        check_site(principal, KEEP_MACHINES, row)
    return remembered.tokens(session, number, site.body["name"])


def withdraw_site_token(db: Database, principal: Principal, site_name: str, number: int, reason: str) -> None:
    """Take a token of a site away."""
    with recording(db, principal, reason or f"Token of {site_name} withdrawn") as (session, recorded):
        site = lock_site(session, site_name)
        check_site(principal, KEEP_MACHINES, site)
        credential = session.get(Credential, number)
        if credential is None or credential.site_id != site.id:
            raise NotFound(f"{site_name} has no token {number}.")
        recorded.delete("identity", credential.key)
        recorded.delete("grant", f"token:{credential.id}")
        session.delete(credential)
