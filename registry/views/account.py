"""The own account: what I am known by, hold and asked for; tokens; who read about me."""

from __future__ import annotations

from collections.abc import Callable

from flask import redirect, request
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.errors import HanseError
from hanse.identity.permissions import SIGNED_IN
from hanse.web import FormFaults, Pages, current_principal, ground, page, read_form
from registry import api_credentials, identities, people, personal_data
from registry.models import Person
from registry.models.role_names import shown
from registry.schemas.people import JoinIn, LinkClaim, MeIn, OidcLinkIn
from registry.schemas.sites import TokenIn
from registry.views import saving
from registry.views.home import settings
from registry.views.people import erase_page

pages = Pages("registry_account_pages", __name__)
_ABOUT_ME = {
    "name": "Name",
    "email": "E-mail address",
    "title": "Title",
    "forename": "Forename",
    "surname": "Surname",
    "telephone": "Telephone",
    "works_from": "Works from",
    "works_until": "Works until",
}
_TOKEN = {"name": "For", "valid_days": "Days"}
_OIDC = {"realm": "Provider", "subject": "Subject"}
Forms = dict[str, FormFaults]


@pages.get("/account", permission=SIGNED_IN)
def account() -> BaseResponse:
    """Own identities, tokens and roles."""
    said = {"sent": identities.SENT, "linked": "Linked: both ways to sign in lead to the same roles now."}
    return _account_page(said=said.get(request.args.get("done", ""), ""))


def _account_page(
    forms: Forms | None = None, *, made: str = "", code: str = "", said: str = "", status: int = 200
) -> BaseResponse:
    principal = current_principal()
    with ground().db.transaction() as session:
        own = principal.person or ""
        person = session.get(Person, int(own)) if own.isdigit() else None
        requests = list(person.requests) if person else []
        reads = personal_data.reads_of(session, person.id, limit=20) if person else []
        programs = api_credentials.answered_by(session, person.id) if person else []
    mine = FormFaults({name: getattr(person, name) or "" for name in _ABOUT_ME} if person else {})
    return page(
        "registry/account.html",
        title="Account",
        sentence=f"You are signed in as {principal.name}.",
        api="/api/v1/me",
        status=status,
        person=person,
        requests=requests,
        reads=reads,
        programs=programs,
        principal=principal,
        forms={"me": mine, **(forms or {})},
        labels=_ABOUT_ME,
        token_labels=_TOKEN,
        oidc_labels=_OIDC,
        role_name=shown,
        made=made,
        code=code,
        told=said,
        link_minutes=people.LINK_MINUTES,
        tls_url=settings().tls_url,
        realms=[(name, name) for name in settings().oidc_realms],
    )


def _again(form: str) -> Callable[[FormFaults, int], BaseResponse]:
    return lambda faults, status: _account_page({form: faults}, status=status)


def _refused(form: str, error: HanseError) -> BaseResponse:
    return _account_page({form: FormFaults.of(error, request.form.to_dict())}, status=422)


@pages.post("/account/me", permission=SIGNED_IN)
def save_me() -> BaseResponse:
    """Register, or change what is said about oneself."""
    principal = current_principal()

    def act(db: Database, form: MeIn) -> int:
        if principal.person is not None:
            return people.edit_me(db, principal, form)
        return identities.register(db, principal, form, settings().oidc_realms)

    return saving.small(
        MeIn,
        act,
        _ABOUT_ME,
        _again("me"),
        lambda _: redirect("/account", 303),
    )


@pages.post("/account/tokens", permission=SIGNED_IN)
def make_token() -> BaseResponse:
    """Make an own token and show it once."""
    return saving.small(
        TokenIn,
        lambda db, form: people.make_token(db, current_principal(), form)[1],
        _TOKEN,
        _again("token"),
        lambda token: _account_page(made=token, status=201),
    )


@pages.post("/account/credentials/<int:number>/withdraw", permission=SIGNED_IN)
def withdraw(number: int) -> BaseResponse:
    """Withdraw an own token or certificate."""
    people.withdraw(ground().db, current_principal(), number)
    return redirect("/account", 303)


@pages.post("/account/links", permission=SIGNED_IN)
def begin_link() -> BaseResponse:
    """A code with which another certificate is linked."""
    code, _ = people.begin_link(ground().db, current_principal())
    return _account_page(code=code, status=201)


@pages.post("/account/links/claim", permission=SIGNED_IN)
def claim_link() -> BaseResponse:
    """Link the certificate of this sign-in to the person who made the code."""
    form, faults = read_form(LinkClaim)
    if form is None:
        return _account_page({"link": faults}, status=422)
    try:
        people.claim_link(ground().db, current_principal(), form.code)
    except HanseError as error:
        return _refused("link", error)
    return redirect("/account?done=linked", 303)


@pages.post("/account/identities", permission=SIGNED_IN)
def link_subject() -> BaseResponse:
    """Ask for a code by mail, to link a subject of an identity provider."""
    here = settings()

    def act(db: Database, form: OidcLinkIn) -> str:
        identities.ask_to_link(db, current_principal(), form, here.oidc_realms, here.url)
        return "sent"

    return saving.small(
        OidcLinkIn, act, _OIDC, _again("oidc"), lambda done: redirect(f"/account?done={done}", 303)
    )


@pages.post("/account/identities/join", permission=SIGNED_IN)
def join() -> BaseResponse:
    """Ask for a code by mail, to join this certificate to the person of an address."""
    form, faults = read_form(JoinIn)
    if form is None:
        return _account_page({"join": faults}, status=422)
    try:
        here = settings()
        identities.ask_to_join(ground().db, current_principal(), form.email, here.url, here.oidc_realms)
    except HanseError as error:
        return _refused("join", error)
    return redirect("/account?done=sent", 303)


@pages.post("/account/identities/confirm", permission=SIGNED_IN)
def confirm() -> BaseResponse:
    """Enter a mailed code."""
    form, faults = read_form(LinkClaim)
    if form is None:
        return _account_page({"confirm": faults}, status=422)
    try:
        identities.confirm(ground().db, current_principal(), form.code)
    except HanseError as error:
        return _refused("confirm", error)
    return redirect("/account?done=linked", 303)


@pages.get("/account/erase", permission=SIGNED_IN)
def ask_erase() -> BaseResponse:
    """What erasing does, before it is done."""
    with ground().db.transaction() as session:
        person = people.own(session, current_principal())
    return erase_page(person, "/account/erase", "/account")


@pages.post("/account/erase", permission=SIGNED_IN)
def erase() -> BaseResponse:
    """Erase oneself; the session ends with the person."""
    with ground().db.transaction() as session:
        number = people.own(session, current_principal()).id
    personal_data.erase(ground().db, current_principal(), number, "")
    return redirect("/", 303)
