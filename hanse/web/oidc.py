"""Signing in with an OpenID Connect provider: out to the provider, and back with a code.

What a sign-in must find again (state, nonce, PKCE verifier, where to go) travels sealed in a cookie of its own, which
binds it to the browser that began: a code that another browser was given is refused, and each cookie serves once.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Response, redirect, request

from hanse.errors import HanseError, NotFound, Unauthorised, Unavailable
from hanse.identity.oidc import Attempt, Provider
from hanse.identity.permissions import PUBLIC
from hanse.sealing import Seal, Unreadable
from hanse.web import sessions
from hanse.web.ground import ground
from hanse.web.rooms import Pages

COOKIE = "hanse_signin_"
PATH = "/signin/with"
MINUTES = 10
#: Sign-ins that a browser may have under way at once; older ones are forgotten.
_UNDER_WAY = 4
#: A longer address to come back to is forgotten: all cookies together must fit into one header line.
_LONGEST_TARGET = 400
_REFUSALS = {
    "access_denied": "The sign-in was refused or called off there.",
    "login_required": "You are not signed in there.",
    "consent_required": "You did not agree there to pass on who you are.",
    "interaction_required": "Something is left to do there; sign in there first.",
    "temporarily_unavailable": "It cannot answer at the moment; try again later.",
    "server_error": "It failed; try again later.",
}


@dataclass(frozen=True)
class _UnderWay:
    provider: str
    attempt: Attempt
    target: str


def add_routes(room: Pages, refused: Callable[[HanseError, str], Response]) -> None:
    """The two addresses of each provider; NotFound for one that the settings do not name.

    `refused` makes the page that says why nobody is signed in, with the other ways, and where these lead to.
    """

    @room.get(f"{PATH}/<provider>", permission=PUBLIC)
    def out(provider: str) -> Response:
        chosen = _provider(provider)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = Attempt(state, nonce, verifier, _redirect_uri(chosen))
        target = sessions.local_return(request.args.get("next", "/"))
        try:
            answer = _go(chosen.address(attempt))
        except Unavailable as refusal:
            return refused(refusal, target)
        _forget_old(answer)
        _remember(answer, _UnderWay(chosen.name, attempt, target))
        return answer

    @room.get(f"{PATH}/<provider>/answer", permission=PUBLIC)
    def back(provider: str) -> Response:
        chosen = _provider(provider)
        name = _cookie_name(request.args.get("state", ""))
        try:
            target = _signed_in(chosen, name)
        except (Unauthorised, Unavailable) as refusal:
            answer = refused(refusal, "/")
        else:
            answer = _go(target)
        answer.delete_cookie(name, path=PATH)
        return answer


def _provider(name: str) -> Provider:
    found = ground().providers.by_name.get(name)
    if found is None:
        raise NotFound("There is no such way to sign in here; the page /signin shows those there are.")
    return found


def _redirect_uri(provider: Provider) -> str:
    return f"{ground().settings.url.rstrip('/')}{PATH}/{provider.name}/answer"


def _signed_in(provider: Provider, name: str) -> str:
    """Starts the session and gives the page to go to. Raises Unauthorised, Unavailable."""
    begun = _remembered(name)
    if (
        begun is None
        or begun.provider != provider.name
        or not secrets.compare_digest(begun.attempt.state.encode(), request.args.get("state", "").encode())
    ):
        raise Unauthorised(
            f"This sign-in was not begun in this browser, is older than {MINUTES} minutes, or was used already."
            " Start again."
        )
    provider.check_sender(request.args.get("iss"))
    if "error" in request.args:
        raise Unauthorised(
            _REFUSALS.get(request.args["error"], "It did not let you in.") + " Nobody is signed in."
        )
    code = request.args.get("code", "")
    if not code or len(code) > 4096:
        raise Unauthorised("The provider sent you back without a code. Start again.")
    vouched = provider.redeem(code, begun.attempt)
    principal = ground().authority.for_subject(vouched.subject, vouched.name, vouched.email)
    sessions.start_session(principal, "oidc")
    return begun.target


# --- the cookie ---


def _seal() -> Seal:
    return Seal([ground().settings.secret_key.get_secret_value()], "sign-in under way")


def _cookie_name(state: str) -> str:
    short = state[:8]
    return COOKIE + (
        short if short.replace("-", "").replace("_", "").isalnum() and short.isascii() else "none"
    )


def _remember(answer: Response, begun: _UnderWay) -> None:
    said = [
        begun.provider,
        vars(begun.attempt),
        begun.target if len(begun.target) <= _LONGEST_TARGET else "/",
    ]
    answer.set_cookie(
        _cookie_name(begun.attempt.state),
        _seal().close(json.dumps(said)),
        max_age=MINUTES * 60,
        path=PATH,
        secure=ground().settings.secure_cookies,
        httponly=True,
        samesite="Lax",
    )


def _remembered(name: str) -> _UnderWay | None:
    sealed = request.cookies.get(name, "")
    try:
        provider, attempt, target = json.loads(_seal().open_fresh(sealed, MINUTES * 60))
    except Unreadable:
        return None
    return _UnderWay(provider, Attempt(**attempt), sessions.local_return(target))


def _forget_old(answer: Response) -> None:
    begun = [name for name in request.cookies if name.startswith(COOKIE)]
    for name in begun[: max(0, len(begun) - _UNDER_WAY + 1)]:
        answer.delete_cookie(name, path=PATH)


def _go(target: str) -> Response:
    answer = redirect(target, 303)
    assert isinstance(answer, Response)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def ways(target: str) -> list[tuple[str, str]]:
    """(label, address) of each provider, for the page of sign-in; `target` is where to go after.

    The addresses are those of the plain side, where the provider sends people back to, so that the cookie meets them.
    """
    here = ground().settings.url.rstrip("/")
    return [
        (one.label, f"{here}{PATH}/{name}?{urlencode({'next': target})}")
        for name, one in ground().providers.by_name.items()
    ]
