"""How credentials, and what they allow, read as entities of the revision log: `identity`, `grant` and their kin.

A person is named by the id, a site by its name; no secret stands in a body.
"""

from __future__ import annotations

import base64

from hanse.identity import names
from registry.bodies import Body
from registry.models import ApiCredential, Credential, HostCertificate, Role, Site
from registry.schemas.fields import iso


def host_certificate_body(certificate: HostCertificate) -> Body:
    """A host certificate and the time in which it may speak for its site."""
    return {
        "id": str(certificate.id),
        "site": certificate.site.name,
        "subject_der": base64.b64encode(certificate.subject_der).decode(),
        "issuer_der": base64.b64encode(certificate.issuer_der).decode(),
        "dn": names.slash(certificate.subject_der),
        "key": certificate.key,
        "not_before": iso(certificate.not_before),
        "not_after": iso(certificate.not_after),
        "pem": certificate.pem,
    }


def credential_body(credential: Credential, *, name: str, email: str | None, site: str | None) -> Body:
    """A way to sign in, as an `identity` of the feed: of a person (`person` is the id) or of a site's machines."""
    subject, issuer = credential.subject_der, credential.issuer_der
    return {
        "key": credential.key,
        "person": None if credential.person_id is None else str(credential.person_id),
        "site": site,
        "name": name,
        "email": email,
        "subject_slash": None if subject is None else names.slash(subject),
        "subject_der": None if subject is None else base64.b64encode(subject).decode(),
        "issuer_der": None if issuer is None else base64.b64encode(issuer).decode(),
        "oidc_issuer": credential.oidc_issuer or None,
        "oidc_subject": credential.oidc_subject or None,
        "not_after": None if credential.not_after is None else iso(credential.not_after),
    }


def machine_identity_body(certificate: HostCertificate) -> Body:
    """The identity of a site's machine: the same for all certificates that share the subject and the issuer."""
    return {
        "key": certificate.key,
        "person": None,
        "site": certificate.site.name,
        "name": names.common_name(certificate.subject_der) or names.slash(certificate.subject_der),
        "email": None,
        "subject_slash": names.slash(certificate.subject_der),
        "subject_der": base64.b64encode(certificate.subject_der).decode(),
        "issuer_der": base64.b64encode(certificate.issuer_der).decode(),
        "not_after": None,
    }


def api_credential_body(credential: ApiCredential) -> Body:
    """What a program may act with for a site; when it was last used is no part of the log."""
    return {
        "id": str(credential.id),
        "site": credential.site.name,
        "kind": credential.kind,
        "identifier": credential.identifier,
        "realm": credential.realm,
        "allow_write": credential.allow_write,
        "owner": str(credential.owner_id),
        "renewed_at": iso(credential.renewed_at),
    }


def role_grant_body(role: Role) -> Body:
    """What a person's role allows; every identity of the person shares it."""
    return _grant(f"person:{role.person_id}", role.role, role.scope, role.person.name)


def role_request_body(role: Role) -> Body:
    """A role that was asked for; it allows nothing yet."""
    return {
        "id": str(role.id),
        "person": str(role.person_id),
        "name": role.person.name,
        "role": role.role,
        "scope": role.scope,
        "requested_at": iso(role.requested_at),
    }


def machine_grant_body(certificate: HostCertificate) -> Body:
    """A host certificate may speak for its site while it is valid."""
    return _grant(
        certificate.key,
        "site_machine",
        f"site:{certificate.site.name}",
        names.common_name(certificate.subject_der) or certificate.site.name,
        not_before=iso(certificate.not_before),
        not_after=iso(certificate.not_after),
    )


def token_grant_body(credential: Credential, site: Site) -> Body:
    """A site token may speak for its site until it ends."""
    return _grant(
        credential.key,
        "site_machine",
        f"site:{site.name}",
        credential.name,
        not_before=iso(credential.created_at),
        not_after=None if credential.not_after is None else iso(credential.not_after),
    )


def _grant(
    principal: str,
    role: str,
    scope: str,
    name: str,
    *,
    not_before: str | None = None,
    not_after: str | None = None,
) -> Body:
    return {
        "principal": principal,
        "role": role,
        "scope": scope,
        "name": name,
        "not_before": not_before,
        "not_after": not_after,
    }
