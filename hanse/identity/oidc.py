"""Sign-in with OpenID Connect providers: discovery, the address to send people to, and what a returned code proves.

Authorization code with PKCE (S256), nonce and state; RFC 9207 where the provider says who answers. All requests go
through `hanse.http`, and no code, token or secret stands in an error or in the log.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import structlog
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import Key

from hanse.errors import Unauthorised, Unavailable
from hanse.http import Answer, HttpError, Policy, fetch, public_address
from hanse.identity.oidc_tokens import (
    TokenFault,
    UnknownKey,
    Vouched,
    check_access_token,
    check_id_token,
    claimed_issuer,
    keys_of,
    said_of,
    signed_claims,
)
from hanse.identity.providers import SignInProvider

log = structlog.get_logger("hanse.oidc")

_KEPT_S: Final = 3600.0
_FAILURE_KEPT_S: Final = 5.0
#: A token by an unknown key makes the keys be fetched anew, at most this often in seconds.
_KEYS_AGAIN_S: Final = 30.0
_DEADLINE_S: Final = 8.0
_MOST_BYTES: Final = 262_144


@dataclass(frozen=True)
class Attempt:
    """What a sign-in that is under way must find again when the browser comes back."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str


@dataclass
class _Kept:
    value: Any = None
    fetched: float = float("-inf")
    failed: float = float("-inf")


class Provider:
    """One provider, known by its discovery document and its keys; both are kept for an hour in this process."""

    def __init__(
        self, name: str, settings: SignInProvider, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name, self.settings, self.label = name, settings, settings.label
        self._clock = clock
        self._lock = threading.Lock()
        self._metadata, self._keys = _Kept(), _Kept()
        self._policy = Policy(address=None if settings.nearby else public_address)

    # --- signing in ---

    def address(self, attempt: Attempt) -> str:
        """Where to send the browser. Raises Unavailable when the provider cannot be reached."""
        metadata = self.metadata()
        address: str = prepare_grant_uri(
            self._endpoint(metadata, "authorization_endpoint"),
            self.settings.client_id,
            "code",
            redirect_uri=attempt.redirect_uri,
            scope=" ".join(self.settings.scopes),
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )
        return address

    def check_sender(self, iss: str | None) -> None:
        """RFC 9207: the answer must come from whom it was asked of. Raises Unauthorised."""
        promised = self.metadata().get("authorization_response_iss_parameter_supported") is True
        if iss is None and not promised:
            return
        if iss != self.settings.issuer:
            raise Unauthorised(
                "The answer comes from another provider than the one that was asked. Start again."
            )

    def redeem(self, code: str, attempt: Attempt) -> Vouched:
        """Who signed in, from the code that the browser brought. Raises Unauthorised, Unavailable."""
        answered = self._tokens(code, attempt)
        token, access = answered.get("id_token"), answered.get("access_token")
        access = access if isinstance(access, str) else ""
        if not isinstance(token, str):
            raise Unauthorised(f"{self._host} did not say who signed in: its answer has no ID token.")
        try:
            header, claims = self._verified(token)
            check_id_token(
                header,
                claims,
                issuer=self.settings.issuer,
                client_id=self.settings.client_id,
                nonce=attempt.nonce,
                access_token=access,
            )
        except TokenFault as fault:
            raise Unauthorised(f"{self._host} gave a token that proves nothing: {fault}") from None
        return self._vouched(claims, access)

    def bearer(self, token: str) -> Vouched:
        """Whose access token it is. Raises Unauthorised, Unavailable."""
        try:
            header, claims = self._verified(token)
            check_access_token(header, claims, issuer=self.settings.issuer, audience=self.settings.audience)
        except TokenFault as fault:
            raise Unauthorised(f"The access token is not taken: {fault}") from None
        return said_of(self.settings.issuer, claims)

    def _tokens(self, code: str, attempt: Attempt) -> Mapping[str, Any]:
        metadata = self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        secret = self.settings.client_secret.get_secret_value()
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if secret and "client_secret_basic" in methods:
            pair = f"{quote(self.settings.client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form["client_id"] = self.settings.client_id
            if secret:
                form["client_secret"] = secret
        url = self._endpoint(metadata, "token_endpoint")
        answer = self._fetch("POST", url, headers=headers, body=urlencode(form).encode())
        if answer.status >= 500:
            raise Unavailable(f"{self._host} cannot answer at the moment ({answer.status}); try again later.")
        if not answer.ok:
            raise Unauthorised(f"{self._host} does not accept the code any more. Start again.")
        return self._object(answer)

    def _vouched(self, claims: Mapping[str, Any], access: str) -> Vouched:
        """Name and address stand in the token or are asked for; who it is, the token alone says."""
        said = said_of(self.settings.issuer, claims)
        endpoint = self.metadata().get("userinfo_endpoint")
        if (said.name and said.email) or not access or not isinstance(endpoint, str):
            return said
        try:
            url = self._endpoint(self.metadata(), "userinfo_endpoint")
            answer = self._fetch("GET", url, headers={"Authorization": f"Bearer {access}"})
            told = self._object(answer) if answer.ok else {}
        except (Unavailable, Unauthorised) as fault:  # a sign-in needs no name
            log.info("userinfo_unknown", provider=self.name, reason=str(fault))
            return said
        if told.get("sub") != said.subject.subject:
            return said
        more = said_of(self.settings.issuer, told)
        return Vouched(said.subject, said.name or more.name, said.email or more.email)

    # --- what the provider says of itself ---

    def metadata(self) -> Mapping[str, Any]:
        """The discovery document, OpenID Connect discovery 1.0, section 4. Raises Unavailable."""
        found: Mapping[str, Any] = self._current(self._metadata, self._discover, _KEPT_S)
        return found

    def _discover(self) -> Mapping[str, Any]:
        url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        answer = self._fetch("GET", url)
        if not answer.ok:
            raise Unavailable(f"{self._host} answers {answer.status} when asked for its configuration.")
        document = self._object(answer)
        if document.get("issuer") != self.settings.issuer:
            raise Unavailable(
                f"{self._host} calls itself by another issuer; its operator must mend `issuer`."
            )
        for endpoint in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            self._endpoint(document, endpoint)
        return document

    def _endpoint(self, metadata: Mapping[str, Any], name: str) -> str:
        url = metadata.get(name)
        schemes = ("https", "http") if self.settings.nearby else ("https",)
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or parts.scheme not in schemes or not parts.hostname or parts.fragment:
            raise Unavailable(f"{self._host} gives no usable address as {name}.")
        return str(url)

    def _verified(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims, with the keys fetched once more when the provider may have new ones."""
        keys: tuple[Key, ...] = self._current(self._keys, self._fetch_keys, _KEPT_S)
        try:
            return signed_claims(token, keys)
        except UnknownKey:
            return signed_claims(token, self._current(self._keys, self._fetch_keys, _KEYS_AGAIN_S))

    def _fetch_keys(self) -> tuple[Key, ...]:
        answer = self._fetch("GET", self._endpoint(self.metadata(), "jwks_uri"))
        if not answer.ok:
            raise Unavailable(f"{self._host} answers {answer.status} when asked for its keys.")
        try:
            return keys_of(self._object(answer))
        except TokenFault as fault:
            raise Unavailable(f"{self._host} cannot be understood: {fault}") from None

    def _current(self, kept: _Kept, ask: Callable[[], Any], longest_s: float) -> Any:
        """What is kept, or what the provider says now; what is older serves while it is away."""
        now = self._clock()
        with self._lock:
            fresh = now - kept.fetched < longest_s
            if fresh or (kept.value is not None and now - kept.failed < _FAILURE_KEPT_S):
                return kept.value
            if now - kept.failed < _FAILURE_KEPT_S:
                raise Unavailable(
                    f"{self._host} cannot be reached at the moment; sign in another way, or later."
                )
        try:
            value = ask()
        except Unavailable as fault:
            with self._lock:
                kept.failed = self._clock()
                if kept.value is None:
                    raise
            log.warning("provider_away", provider=self.name, reason=str(fault))
            return kept.value
        with self._lock:
            kept.value, kept.fetched = value, self._clock()
        return value

    # --- asking ---

    @property
    def _host(self) -> str:
        return urlsplit(self.settings.issuer).hostname or self.name

    def _fetch(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        try:
            return fetch(
                method,
                url,
                headers={"Accept": "application/json", **(headers or {})},
                body=body,
                ca=self.settings.ca,
                deadline_s=_DEADLINE_S,
                max_bytes=_MOST_BYTES,
                policy=self._policy,
            )
        except HttpError as fault:
            log.warning("provider_unreachable", provider=self.name, reason=str(fault))
            raise Unavailable(
                f"{self._host} cannot be reached at the moment; sign in another way, or later."
            ) from None

    def _object(self, answer: Answer) -> Mapping[str, Any]:
        try:
            said = answer.json()
        except (HttpError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise Unavailable(f"{self._host} answers with something that is no JSON object.")
        return said


class Providers:
    """All providers of a service, by name."""

    def __init__(self, settings: Mapping[str, SignInProvider]) -> None:
        self.by_name: Mapping[str, Provider] = {name: Provider(name, one) for name, one in settings.items()}

    def __bool__(self) -> bool:
        return bool(self.by_name)

    def of_token(self, token: str) -> Provider | None:
        """The provider that may have issued this access token and whose access tokens are taken; None otherwise.

        What is read here is not verified yet: it only says who is to be asked.
        """
        takers = [one for one in self.by_name.values() if one.settings.audience]
        if not takers or token.count(".") != 2 or not token.startswith("eyJ"):
            return None
        issuer = claimed_issuer(token)
        return next((one for one in takers if one.settings.issuer == issuer), None)
