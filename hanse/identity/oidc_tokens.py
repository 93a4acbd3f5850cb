"""Tokens of OpenID Connect providers: whose signature they bear, for whom they are, and until when they hold."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from authlib.oauth2.claims import JWTClaims
from authlib.oidc.core import CodeIDToken
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from hanse.identity.principals import Subject

#: Signatures by a key of the provider's own; never `none`, and never a MAC, whose key would be public here.
ALGORITHMS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    **dict.fromkeys(("EdDSA", "Ed25519"), "OKP"),
}
#: How far the provider's clock and ours may be apart, in seconds.
SKEW_S: Final = 120
LONGEST: Final = 32_768
_KEYS: Final = 50
_RSA_BITS: Final = 2048
_IMPORTED: Final[Mapping[str, type[RSAKey] | type[ECKey] | type[OKPKey]]] = {
    "RSA": RSAKey,
    "EC": ECKey,
    "OKP": OKPKey,
}


@dataclass(frozen=True)
class Vouched:
    """Whom a provider vouches for; `email` only where it says that it has verified the address."""

    subject: Subject
    name: str = ""
    email: str | None = None


class TokenFault(Exception):
    """The token proves nothing; a sentence without anything of the token in it."""


class UnknownKey(TokenFault):
    """None of the keys has the name that the token gives: the provider may have new ones."""


def keys_of(document: Any) -> tuple[Key, ...]:
    """The keys of a JSON Web Key Set that can verify a signature; what is of no use to us is left out."""
    listed = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(listed, list):
        raise TokenFault("The provider's key set has no list of keys.")
    found = [_key(entry) for entry in listed[:_KEYS] if isinstance(entry, dict)]
    return tuple(key for key in found if key is not None)


def _key(entry: Mapping[str, Any]) -> Key | None:
    kind = _IMPORTED.get(str(entry.get("kty")))
    if kind is None or entry.get("use") == "enc":
        return None
    public = {name: value for name, value in entry.items() if name not in ("d", "p", "q", "dp", "dq", "qi")}
    try:
        key = kind.import_key({name: value for name, value in public.items() if name != "key_ops"})
        raw = key.get_op_key("verify")
    except (JoseError, ValueError, TypeError, KeyError):
        return None  # a key set may hold kinds of keys that are not known here
    weak = isinstance(raw, rsa.RSAPublicKey) and raw.key_size < _RSA_BITS
    return None if weak else key


def signed_claims(token: str, keys: Sequence[Key]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(header, claims) of a token that one of the keys signed. Raises UnknownKey, TokenFault."""
    if len(token) > LONGEST:
        raise TokenFault(f"The token is longer than {LONGEST} characters.")
    header = _header(token)
    kind = ALGORITHMS.get(str(header.get("alg")))
    if kind is None:
        raise TokenFault("The token is not signed in a way that is taken here (RS, PS, ES or EdDSA).")
    if "crit" in header:
        raise TokenFault("The token demands an extension that is not known here.")
    named = [key for key in keys if key.key_type == kind]
    if header.get("kid") is not None:
        named = [key for key in named if key.kid in (None, header["kid"])]
    if not named:
        raise UnknownKey("The token is signed by a key that the provider does not publish.")
    for key in named:
        try:
            read = jwt.decode(token, key, algorithms=[str(header["alg"])])
        except (JoseError, ValueError, TypeError):
            continue
        return dict(read.header), dict(read.claims)
    raise TokenFault("The token's signature is not the provider's.")


def _header(token: str) -> dict[str, Any]:
    try:
        return dict(jws.extract_compact(token.encode("ascii")).headers())
    except (JoseError, ValueError, TypeError, AttributeError):
        raise TokenFault("This is not a signed token.") from None


def check_id_token(
    header: Mapping[str, Any],
    claims: Mapping[str, Any],
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    access_token: str = "",
) -> None:
    """The rules of OpenID Connect core 1.0, section 3.1.3.7. Raises TokenFault."""
    known = CodeIDToken(
        dict(claims),
        dict(header),
        options={
            "iss": {"essential": True, "value": issuer},
            "aud": {"essential": True, "value": client_id},
        },
        params={"nonce": nonce, "client_id": client_id, "access_token": access_token},
    )
    _validate(known)


def check_access_token(
    header: Mapping[str, Any], claims: Mapping[str, Any], *, issuer: str, audience: str
) -> None:
    """RFC 9068, section 4, where the provider may call the type `JWT` as well. Raises TokenFault."""
    kind = str(header.get("typ", "JWT")).lower().removeprefix("application/")
    if kind not in ("at+jwt", "jwt") or "nonce" in claims:
        raise TokenFault("This is no access token.")
    known = JWTClaims(
        dict(claims),
        dict(header),
        options={
            "iss": {"essential": True, "value": issuer},
            "aud": {"essential": True, "value": audience},
            "exp": {"essential": True},
        },
    )
    _validate(known)


def _validate(known: JWTClaims) -> None:
    try:
        known.validate(now=int(time.time()), leeway=SKEW_S)
    except (JoseError, ValueError, TypeError) as fault:
        wrong = getattr(fault, "claim", None)
        named = f" ({wrong})" if isinstance(wrong, str) else ""
        raise TokenFault(
            f"The token is for somebody else, or too old, or answers another question{named}."
        ) from None
    subject = known.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
        raise TokenFault("The token does not say who signed in (sub).")


def claimed_issuer(token: str) -> str:
    """What an unverified token says of its issuer; "" when it says nothing."""
    if len(token) > LONGEST:
        return ""
    try:
        claims = json.loads(jws.extract_compact(token.encode("ascii")).payload)
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
        return ""
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else ""


def said_of(issuer: str, claims: Mapping[str, Any]) -> Vouched:
    """Whom verified claims are about, and what they say of name and address."""
    name, email = claims.get("name"), claims.get("email")
    if not isinstance(name, str) or not name.strip():
        parts = [claims.get("given_name"), claims.get("family_name")]
        name = " ".join(part for part in parts if isinstance(part, str))
    clean = "".join(letter for letter in name if letter.isprintable()).strip()[:200]
    good = isinstance(email, str) and len(email) <= 254 and email.isprintable() and email.count("@") == 1
    verified = claims.get("email_verified") in (True, "true")
    return Vouched(Subject(issuer, str(claims["sub"])), clean, str(email) if good and verified else None)
