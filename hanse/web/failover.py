"""A copy that only answers: every change is refused with 503 and the reason, whatever room it comes through."""

from __future__ import annotations

from flask import Flask, request

from hanse.errors import Unavailable
from hanse.web.sessions import SAFE_METHODS

# a session is a cookie of the browser: nothing is written here
_FREE = ("/signin", "/signout")


def install_read_only(app: Flask, reason: str) -> None:
    """From now on `app` refuses every request that would change something; reading and signing in go on."""

    def refuse() -> None:
        if request.method not in SAFE_METHODS and request.path not in _FREE:
            raise Unavailable(reason)

    app.before_request(refuse)
