"""A certificate for a token, as ARGO's authentication service gives it: argo-ams-library and ssmsend ask here first
when no token is configured. Only the certificate of the connection counts, and no proxy of one.
"""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response, current_app

from accounting.permissions import HAVE_TOKEN
from hanse.errors import Forbidden, NotFound, Unauthorised
from hanse.identity.certificate_tokens import CertificateTokens
from hanse.identity.permissions import check
from hanse.identity.proxies import is_proxy
from hanse.web.ams import ams_room, answer, fault
from hanse.web.callers import certificate_principal, peer_chain

authn = ams_room("authn", __name__)


@authn.route("/v1/service-types/<service>/hosts/<host>:authx509", ["GET"], permission=HAVE_TOKEN)
def token(service: str, host: str) -> Response:
    """A token for the certificate of this connection. `host` is what the client calls the AMS: any name will do."""
    if service != "ams":
        raise NotFound("Service type was not found")
    owner = certificate_principal()
    if owner is None:
        raise Unauthorised("No certificate provided.")
    certificate = peer_chain()[0]
    if is_proxy(certificate):
        raise Unauthorised("A proxy gets no token: show the host certificate itself.")
    check(owner, HAVE_TOKEN)
    tokens = current_app.extensions["accounting.tokens"]
    assert isinstance(tokens, CertificateTokens)
    return answer({"token": tokens.make(certificate, datetime.now(UTC))})


@authn.errorhandler(Unauthorised)
def refuse_certificate(error: Unauthorised) -> Response:
    """The client library tells its user of a missing certificate by exactly these words."""
    if not peer_chain():
        return fault(400, "No certificate provided.", "BAD REQUEST")
    return fault(401, error.detail, "UNAUTHORIZED")


@authn.errorhandler(Forbidden)
def refuse_stranger(error: Forbidden) -> Response:
    """A certificate that the registry does not let speak for a site."""
    return fault(404, f"Binding was not found: {error.detail}", "NOT FOUND")
