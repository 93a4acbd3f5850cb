"""Signing in with a certificate, a token or an identity provider, and out."""

from __future__ import annotations

import threading
import time
from collections import deque
from urllib.parse import urlencode, urljoin

from flask import Flask, Response, redirect, request
from werkzeug.exceptions import TooManyRequests

from hanse.errors import HanseError, Unauthorised, Unavailable
from hanse.identity import certificate_tokens
from hanse.identity.permissions import PUBLIC
from hanse.web import oidc, sessions
from hanse.web.callers import certificate_principal, certificate_serial
from hanse.web.ground import ground
from hanse.web.pages import FormFaults, page
from hanse.web.rooms import Pages

TRIES_PER_MINUTE = 20


class Throttle:
    """At most `limit` events of one key in `seconds`; counts in this process."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit, self._seconds = limit, seconds
        self._events: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def admit(self, key: str) -> bool:
        """Count one event; False when there were too many."""
        now = time.monotonic()
        with self._lock:
            if len(self._events) > 10_000:
                self._events = {
                    k: times for k, times in self._events.items() if times[-1] > now - self._seconds
                }
            times = self._events.setdefault(key, deque())
            while times and times[0] <= now - self._seconds:
                times.popleft()
            if len(times) >= self._limit:
                return False
            times.append(now)
            return True


def signin_room() -> Pages:
    """The sign-in pages, one set per application since the throttle counts for it."""
    room = Pages("hanse_signin", __name__)
    throttle = Throttle(TRIES_PER_MINUTE, 60)

    @room.get("/signin", permission=PUBLIC)
    def signin() -> Response:
        return _signin_page(sessions.local_return(request.args.get("next", "/")), FormFaults())

    @room.post("/signin", permission=PUBLIC)
    def signin_with_token() -> Response:
        if not throttle.admit(request.remote_addr or ""):
            raise TooManyRequests(retry_after=60)
        target = sessions.local_return(request.form.get("next", "/"))
        faults = _try_token(request.form.get("token", "").strip())
        return _signin_page(target, faults) if faults else _go(target)

    @room.get("/signin/certificate", permission=PUBLIC)
    def signin_with_certificate() -> Response:
        target = sessions.safe_return(request.args.get("next", "/"), ground().settings)
        owner = certificate_principal()
        if owner is None:
            return page(
                "hanse/certificate.html",
                title="No certificate was shown",
                sentence="The browser showed no client certificate on this connection.",
                status=401,
                token_signin=urljoin(ground().settings.url, "/signin"),
            )
        sessions.start_session(owner, "certificate", certificate_serial())
        return _go(target)

    oidc.add_routes(room, _refused)

    @room.post("/signout", permission=PUBLIC)
    def signout() -> Response:
        sessions.end_session()
        return _go("/")

    return room


def _go(target: str) -> Response:
    answer = redirect(target, 303)
    assert isinstance(answer, Response)
    return answer


def _refused(refusal: HanseError, target: str) -> Response:
    status = 503 if isinstance(refusal, Unavailable) else 401
    return _signin_page(target, FormFaults(), status=status, refusal=refusal.detail)


def _try_token(token: str) -> FormFaults:
    if not token:
        return FormFaults({}, {"token": "is empty; paste the token here"}, "Not signed in.")
    try:
        principal = ground().authority.for_token(token)
        if token.startswith(certificate_tokens.PREFIX):
            raise Unauthorised(
                "This token is for the programs of a site; sign in with the certificate itself."
            )
    except Unauthorised as refusal:
        return FormFaults({}, {"token": refusal.detail}, "Not signed in.")
    sessions.start_session(principal, "token")
    return FormFaults()


def _signin_page(target: str, faults: FormFaults, *, status: int = 200, refusal: str = "") -> Response:
    settings = ground().settings
    # an absolute address, since the certificate is shown on another port
    back = urljoin(settings.url + "/", target) if settings.url else target
    certificate = f"{settings.tls_url.rstrip('/')}/signin/certificate?{urlencode({'next': back})}"
    ways = oidc.ways(target)
    institution = "with your institution, " if ways else ""
    return page(
        "hanse/signin.html",
        title="Sign in",
        sentence=f"{institution}with the certificate in your browser, or with a token.".capitalize(),
        status=422 if faults else status,
        refusal=refusal,
        ways=ways,
        certificate=certificate if settings.tls_url else "",
        target=target,
        form=faults,
    )


def install_signin(app: Flask) -> None:
    """Add the sign-in addresses to `app`."""
    app.register_blueprint(signin_room().blueprint)
