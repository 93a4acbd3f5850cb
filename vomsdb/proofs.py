"""A further certificate is proved to be the asker's before anybody decides about it.

Either its owner signs in with it and says so, or its key signs a text that was made for the request. Whoever decides
then knows that both certificates are in one hand, and whose hand that is they know from the first one.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.certificates import certificate_from_der
from hanse.identity.principals import Principal
from hanse.identity.trust import TrustError, TrustStore
from vomsdb import member_requests, members
from vomsdb.ledger import actor, revision
from vomsdb.models import MemberRequest


def asked(session: Session, request_id: int, by: Principal) -> tuple[MemberRequest, bool]:
    """The request, and whether the caller is who asked; else the caller shows the very certificate.

    Raises NotFound, also for everybody else.
    """
    keys = by.keys | {by.key}
    request = session.get(MemberRequest, request_id)
    if request is not None and request.kind == "certificate":
        own = {profile.member.id for profile in members.of_keys(session, keys)}
        if request.member_id in own:
            return request, True
        if request.key == by.key:
            return request, False
    raise NotFound(f"There is no request {request_id} for a certificate of yours.")


def signature_from_text(text: str) -> bytes:
    """A signature in base64, line ends ignored; raises Refused."""
    try:
        found = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        found = b""
    if not found:
        fault = FieldFault("signature", "must be base64, as the command prints it")
        raise Refused("The signature cannot be read.", fault)
    return found


def by_sign_in(session: Session, request_id: int, by: Principal) -> MemberRequest:
    """Whoever signed in with the certificate says that it and the member are one. Raises NotFound, Conflict."""
    request = _open(session, request_id)
    if request is None or request.key != by.key:
        raise NotFound(f"There is no request {request_id} for the certificate that you signed in with.")
    return _proved(session, request, by, "signed in with it")


def by_signature(
    session: Session, request_id: int, signature: bytes, by: Principal, trust: TrustStore
) -> MemberRequest:
    """The member hands in what the key made of the challenge. Raises NotFound, Refused, Conflict.

    The certificate must be one of a trusted CA: anybody can make one with any name and a key of their own.
    """
    asked(session, request_id, by)
    request = _open(session, request_id)
    if request is None or request.certificate is None or request.challenge is None:
        raise Conflict("This request holds no certificate to check with; sign in with it, or ask again.")
    certificate = certificate_from_der(request.certificate)
    try:
        trust.verify([certificate])
    except TrustError as fault:
        raise Refused("The certificate cannot be added.", FieldFault("signature", str(fault))) from fault
    if not _signed(certificate.public_key(), signature, request.challenge.encode()):
        reason = "was not made of this text by the key of the certificate that you asked for"
        raise Refused("The signature does not fit.", FieldFault("signature", reason))
    return _proved(session, request, by, "its key signed the challenge")


def _open(session: Session, request_id: int) -> MemberRequest | None:
    query = select(MemberRequest).where(MemberRequest.id == request_id, MemberRequest.kind == "certificate")
    return session.scalar(query.with_for_update().execution_options(populate_existing=True))


def _signed(key: object, signature: bytes, content: bytes) -> bool:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _proved(session: Session, request: MemberRequest, by: Principal, how: str) -> MemberRequest:
    if request.state != "pending":
        raise Conflict(f"The request is {request.state}; ask again.")
    if request.proved_at is None:
        request.proved_at = datetime.now(UTC)
        member_requests.tell_deciders(session, request)
        with revision(session, actor(by), f"proved: {member_requests.what(request)}, {how}") as ledger:
            member_requests.put(ledger, request)
    return request
