"""The session cookie that all services of a federation share, and the defence against forged requests.

The cookie holds who signed in (a principal key), a secret for the forms, and how; never a right. Rights are
looked up at each request, so what is taken away is gone at once.
"""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from flask import Flask, request, session

from hanse.errors import Forbidden
from hanse.identity.principals import Principal, Subject, X509Identity
from hanse.settings import ServiceSettings
from hanse.web.ground import ground, hanse_origins, origin

COOKIE = "hanse_session"
LIFETIME = timedelta(hours=8)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def configure_sessions(app: Flask, settings: ServiceSettings) -> None:
    """Sign with the federation's key. Cookies know no ports, so one sign-in serves all four services."""
    app.secret_key = settings.secret_key.get_secret_value()
    app.config.update(
        SESSION_COOKIE_NAME=COOKIE,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=LIFETIME,
    )


def start_session(principal: Principal, how: str, serial: int | None = None) -> None:
    """Sign `principal` in.

    A certificate session ends with the certificate, and 8 hours after its start at the latest.
    """
    session.clear()
    session.permanent = True
    session["key"] = principal.key
    session["csrf"] = secrets.token_urlsafe(24)
    session["how"] = how
    if principal.x509 is not None:
        session["subject"] = base64.b64encode(principal.x509.subject_der).decode()
        session["issuer"] = base64.b64encode(principal.x509.issuer_der).decode()
    if principal.oidc is not None:
        session["oidc"] = [principal.oidc.issuer, principal.oidc.subject, principal.name, principal.email]
    if serial is not None:
        session["serial"] = f"{serial:x}"
    if principal.certificate_not_after is not None:
        session["until"] = principal.certificate_not_after.isoformat()


def end_session() -> None:
    """Sign out: the browser is told to drop the cookie."""
    session.clear()


def session_key() -> str | None:
    """Principal key of the signed-in person; None without a session or when their certificate has ended."""
    key = session.get("key")
    until = session_not_after()
    if not key or (until is not None and until <= datetime.now(UTC)):
        return None
    return str(key)


def session_identity() -> X509Identity | None:
    """The certificate's names, for people who signed in with one."""
    if "subject" not in session:
        return None
    return X509Identity(base64.b64decode(session["subject"]), base64.b64decode(session["issuer"]))


def session_subject() -> tuple[Subject, str, str | None] | None:
    """Whom an identity provider vouched for, with name and e-mail address; None for other ways of signing in."""
    if "oidc" not in session:
        return None
    issuer, subject, name, email = session["oidc"]
    return Subject(issuer, subject), name, email


def session_serial() -> int | None:
    """Serial number of that certificate, to be looked up in the revocation lists of the moment."""
    return int(session["serial"], 16) if "serial" in session else None


def session_not_after() -> datetime | None:
    """When the certificate of this session ends."""
    return datetime.fromisoformat(session["until"]) if "until" in session else None


def csrf_token() -> str:
    """What a form must send back as `csrf_token` (or a script as X-CSRF-Token); "" without a session."""
    return str(session.get("csrf", ""))


def check_forgery(how: str, room: str) -> None:
    """Refuse a changing request that another web site made this browser send. `how`: what proved the caller.

    A session cookie needs the form secret. A TLS certificate is shown by the browser by itself, so there the
    browser must say that the request comes from our own page; programs send neither header and are let in on
    the API.
    """
    if request.method in SAFE_METHODS or how == "header":
        return
    if how == "session":
        sent = request.headers.get("X-CSRF-Token") or request.form.get("csrf_token", "")
        if not csrf_token() or not secrets.compare_digest(sent.encode(), csrf_token().encode()):
            raise Forbidden(
                "The form is from an older sign-in or from elsewhere; load the page again, then send it."
            )
        return
    verdict = _same_origin()
    if verdict is False or (verdict is None and how == "certificate" and room == "pages"):
        raise Forbidden(
            "This request does not come from a page of this service; open the page here, then send it."
        )


def _same_origin() -> bool | None:
    """True or False as the browser says; None when nothing was said (not a browser of today)."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    sender = request.headers.get("Origin")
    if sender is None:
        return None
    settings = ground().settings
    own = {origin(settings.url), origin(settings.tls_url)} - {""}
    return origin(sender) in own or urlsplit(sender).netloc == request.host


def safe_return(target: str, settings: ServiceSettings) -> str:
    """`target` when it is a path here or an address of one of our services, else "/"."""
    if "\\" in target or any(ord(letter) < 33 for letter in target):
        return "/"
    if target.startswith("/") and not target.startswith("//"):
        return target
    return target if origin(target) in hanse_origins(settings) and "@" not in urlsplit(target).netloc else "/"


def local_return(target: str) -> str:
    """`target` when it is a path of this service, else "/"."""
    local = target.startswith("/") and not target.startswith("//")
    return target if local and "\\" not in target and all(ord(letter) > 32 for letter in target) else "/"
