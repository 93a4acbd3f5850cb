"""A small OpenID Connect provider on loopback that can be told to lie: it answers what a test wants of it."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "hanse-registry"
SECRET = "secret of:the/client"
# two keys for all tests: making one takes a tenth of a second
KEYS = [
    RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": "RS256"}) for name in ("first", "second")
]


def public(key: RSAKey) -> dict[str, Any]:
    """The key as a provider publishes it."""
    return dict(key.as_dict(private=False))


@dataclass
class LyingProvider:
    """What it publishes, whom it vouches for, and what was asked of it."""

    issuer: str
    key: RSAKey = field(default_factory=lambda: KEYS[0])
    keys: list[dict[str, Any]] = field(default_factory=lambda: [public(KEYS[0])])
    person: dict[str, Any] = field(
        default_factory=lambda: {
            "sub": "anna-4711",
            "name": "Anna Lindqvist",
            "email": "anna@uni.example",
            "email_verified": True,
        }
    )
    configuration: dict[str, Any] = field(default_factory=dict)
    away: bool = False
    userinfo: dict[str, Any] = field(default_factory=dict)
    spoil: Callable[[dict[str, Any]], str | None] = lambda claims: None
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def configured(self) -> dict[str, Any]:
        """The discovery document."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            **self.configuration,
        }

    def agree(self, address: str) -> dict[str, str]:
        """The person signs in at `address`: what the browser brings back, `code` and `state`."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def claims(self, nonce: str) -> dict[str, Any]:
        """An ID token's claims as they should be."""
        now = int(time.time())
        core = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce}
        return {**core, **self.person}

    def signed(self, claims: dict[str, Any], **header: Any) -> str:
        """A token by the key in use."""
        return jwt.encode({"alg": "RS256", "kid": self.key.kid, **header}, claims, self.key)

    def answer(self, path: str, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        """(status, JSON) of a request."""
        self.asked.append(path)
        if self.away:
            return 503, {"error": "away"}
        if path == "/.well-known/openid-configuration":
            return 200, self.configured()
        if path == "/keys":
            return 200, {"keys": self.keys}
        if path == "/userinfo":
            return 200, self.userinfo
        return self._token(form, authorization) if path == "/token" else (404, {})

    def _token(self, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        asked = self.codes.pop(form.get("code", ""), None)
        pair = "hanse-registry:secret%20of%3Athe%2Fclient"
        proved = authorization == "Basic " + base64.b64encode(pair.encode()).decode()
        if asked is None or not proved or asked["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        claims = self.claims(asked["nonce"])
        token = self.spoil(claims) or self.signed(claims)
        return 200, {"access_token": "at", "token_type": "Bearer", "id_token": token}


@contextmanager
def lying_provider() -> Iterator[LyingProvider]:
    """Runs one on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
            status, said = provider.answer(self.path, form, self.headers.get("Authorization", ""))
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = LyingProvider(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
