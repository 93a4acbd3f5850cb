"""Who is calling: a token in a header, our session cookie, or the certificate of the TLS connection, in this
order.

Headers that name an identity (SSL-CLIENT-S-DN, X-Forwarded-User and their kin) are never read: anybody can
send them.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog
from cryptography import x509
from flask import current_app, g, request

from hanse.errors import Unauthorised
from hanse.identity.permissions import Permission, allows, check, scope_of
from hanse.identity.principals import ANONYMOUS, Principal
from hanse.identity.proxies import end_entity
from hanse.identity.tls import peer_chain as chain_of
from hanse.identity.trust import TrustError
from hanse.web import sessions
from hanse.web.ground import ground

log = structlog.get_logger("hanse.web")


def current_principal() -> Principal:
    """The caller of this request, ANONYMOUS without a credential. Raises Unauthorised for a credential that
    is no good.

    Protocol rooms ignore the cookie: there a browser's session must not act.
    """
    if "hanse_principal" not in g:
        g.hanse_principal, g.hanse_how = _resolve()
    principal: Principal = g.hanse_principal
    return principal


def how_known() -> str:
    """What proved the caller: "header" (token), "session", "certificate", or "" for nobody."""
    current_principal()
    return str(g.hanse_how)


def authorise(permission: Permission, *scopes: str | None) -> Principal:
    """The caller, when allowed; raises Unauthorised or Forbidden with a sentence that says who may."""
    if allows(ANONYMOUS, permission):
        return ANONYMOUS
    principal = current_principal()
    check(principal, permission, *scopes)
    return principal


def admit(permission: Permission, room: str, arguments: Mapping[str, Any]) -> None:
    """What each route does first: refuse forged requests, then callers without the permission."""
    if request.method not in sessions.SAFE_METHODS and room != "protocol":
        sessions.check_forgery(how_known(), room)
    authorise(permission, scope_of(permission, arguments))


def room_of_request() -> str:
    """ "api", "pages" or "protocol" of the route that answers; "" when none matched."""
    view = current_app.view_functions.get(request.endpoint or "")
    return str(getattr(view, "hanse_room", ""))


def presented_token() -> str | None:
    """The token of `Authorization:
    Bearer` or `x-api-key`, or of the query parameter that a protocol room names.
    """
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if key := request.headers.get("x-api-key", "").strip():
        return key
    view = current_app.view_functions.get(request.endpoint or "")
    parameter = getattr(view, "hanse_token_parameter", None)
    return (request.args.get(parameter) or None) if parameter else None


def peer_chain() -> list[x509.Certificate]:
    """Certificates that the client proved in the TLS handshake, end entity first; empty on the plain side."""
    sock = request.environ.get("gunicorn.socket")
    if not isinstance(sock, ssl.SSLSocket):
        return []
    return list(chain_of(sock))


def certificate_principal() -> Principal | None:
    """The owner of the client certificate of this connection; None when there is none."""
    chain = peer_chain()
    return ground().authority.for_certificate_chain(chain) if chain else None


def certificate_serial() -> int | None:
    """Serial number of that owner's certificate (of the end entity, not of a proxy)."""
    chain = peer_chain()
    return end_entity(chain).serial_number if chain else None


def _resolve() -> tuple[Principal, str]:
    token = presented_token()
    if token is not None:
        return _bearer(token), "header"
    if room_of_request() != "protocol" and (person := _session_principal()) is not None:
        return person, "session"
    owner = certificate_principal()
    return (ANONYMOUS, "") if owner is None else (owner, "certificate")


def _bearer(token: str) -> Principal:
    """The owner of a token of ours, or of an access token of a provider whose tokens are taken."""
    here = ground()
    provider = here.providers.of_token(token)
    if provider is None:
        return here.authority.for_token(token)
    vouched = provider.bearer(token)
    return here.authority.for_subject(vouched.subject, vouched.name, vouched.email)


def _session_principal() -> Principal | None:
    """Who the cookie says; None when their credential was withdrawn since, so that public pages stay open to them."""
    key, identity, serial = sessions.session_key(), sessions.session_identity(), sessions.session_serial()
    authority = ground().authority
    if key is None:
        return None
    if (vouched := sessions.session_subject()) is not None:
        return authority.for_subject(*vouched)
    try:
        principal = authority.for_key(key)
        if identity and serial is not None and authority.certificate_revoked(identity.issuer_der, serial):
            return None
    except (Unauthorised, TrustError) as reason:
        log.info("session_without_credential", key=key, reason=str(reason))
        return None
    if identity is None or identity.key != principal.key:
        return principal
    named = identity.name if principal.name in ("", principal.key) else principal.name
    return replace(principal, name=named, x509=identity, certificate_not_after=sessions.session_not_after())
