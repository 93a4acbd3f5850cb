"""People and their roles; the own account with identities and tokens; the log of changes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import HanseError, NotFound
from hanse.identity.permissions import SIGNED_IN
from hanse.revisions import History, Revision
from hanse.web import FormFaults, Pages, current_principal, ground, page, read_form
from registry import people, roles, states
from registry.finding import number_cursor
from registry.models import Person
from registry.rights import GRANT_ROLES, READ_LOG, READ_PEOPLE
from registry.schemas.people import LinkClaim, MeIn, RoleIn
from registry.schemas.sites import TokenIn
from registry.views import looking
from registry.views.home import settings
from registry.views.words import lines

pages = Pages("registry_people_pages", __name__)
ROLE_WORDS = [
    ("site_administrator", "Site administrator"),
    ("site_security_officer", "Site security officer"),
    ("ngi_manager", "NGI manager"),
    ("federation_operator", "Federation operator"),
]
PAGE = 50
EVENTS = 200


@pages.get("/people", permission=READ_PEOPLE)
def all_people() -> BaseResponse:
    """Who is here, and with which roles."""
    return _people_page(FormFaults())


def _people_page(form: FormFaults, status: int = 200) -> BaseResponse:
    q, scope = request.args.get("q") or None, request.args.get("scope") or None
    after = number_cursor(request.args.get("cursor")) or 0
    with ground().db.transaction() as session:
        found = people.listed(session, q, after, PAGE + 1) if scope is None else _holders(session, scope)
        names = [site["name"] for site in looking.sites(session)]
        ngis = [state.body["name"] for state in states.by_name(session, "ngi")]
        everybody = people.listed(session, None, 0, 1000)
    scopes = [*(f"site:{name}" for name in names), *(f"ngi:{name}" for name in ngis), "federation"]
    return page(
        "registry/people.html",
        title="People",
        sentence="Who holds which role" + (f" in {scope}." if scope else "."),
        api="/api/v1/people",
        status=status,
        people=found[:PAGE],
        next_cursor=found[PAGE - 1].id if len(found) > PAGE else None,
        q=q,
        scope=scope,
        form=form,
        role_words=dict(ROLE_WORDS),
        role_choices=ROLE_WORDS,
        scope_choices=[(one, one.replace(":", " ", 1)) for one in scopes],
        person_choices=[
            (str(one.id), f"{one.name} ({one.email})" if one.email else one.name) for one in everybody
        ],
    )


def _holders(session: Session, scope: str) -> list[Person]:
    found = {role.person_id: role.person for role in roles.listed(session, scope, None)}
    return sorted(found.values(), key=lambda person: person.name)


@pages.post("/people/roles", permission=GRANT_ROLES)
def grant() -> BaseResponse:
    """Grant a role."""
    form, faults = read_form(RoleIn)
    if form is None:
        return _people_page(faults, 422)
    try:
        roles.grant(ground().db, current_principal(), form)
    except HanseError as error:
        return _people_page(FormFaults.of(error, request.form.to_dict()), 422)
    return redirect("/people", 303)


@pages.post("/people/roles/<int:number>/withdraw", permission=SIGNED_IN)
def withdraw_role(number: int) -> BaseResponse:
    """Withdraw a role; everybody may lay down an own one."""
    roles.withdraw(ground().db, current_principal(), number, "")
    return redirect("/account" if request.form.get("back") == "/account" else "/people", 303)


@pages.get("/account", permission=SIGNED_IN)
def account() -> BaseResponse:
    """Own identities, tokens and roles."""
    return _account_page()


def _account_page(
    *,
    me: FormFaults | None = None,
    token: FormFaults | None = None,
    link: FormFaults | None = None,
    made: str = "",
    code: str = "",
    status: int = 200,
) -> BaseResponse:
    principal = current_principal()
    with ground().db.transaction() as session:
        own = principal.person or ""
        person = session.get(Person, int(own)) if own.isdigit() else None
    return page(
        "registry/account.html",
        title="Account",
        sentence=f"You are signed in as {principal.name}.",
        api="/api/v1/me",
        status=status,
        person=person,
        principal=principal,
        me_form=me or FormFaults({"name": person.name, "email": person.email or ""} if person else {}),
        token_form=token or FormFaults(),
        link_form=link or FormFaults(),
        made=made,
        code=code,
        link_minutes=people.LINK_MINUTES,
        tls_url=settings().tls_url,
        role_words=dict(ROLE_WORDS),
    )


@pages.post("/account/me", permission=SIGNED_IN)
def save_me() -> BaseResponse:
    """Register, or change the own name and address."""
    form, faults = read_form(MeIn)
    if form is None:
        return _account_page(me=faults, status=422)
    principal = current_principal()
    use_case = people.register_me if principal.person is None else people.edit_me
    try:
        use_case(ground().db, principal, form)
    except HanseError as error:
        return _account_page(me=FormFaults.of(error, request.form.to_dict()), status=422)
    return redirect("/account", 303)


@pages.post("/account/tokens", permission=SIGNED_IN)
def make_token() -> BaseResponse:
    """Make an own token and show it once."""
    form, faults = read_form(TokenIn)
    if form is None:
        return _account_page(token=faults, status=422)
    try:
        _, token = people.make_token(ground().db, current_principal(), form)
    except HanseError as error:
        return _account_page(token=FormFaults.of(error, request.form.to_dict()), status=422)
    return _account_page(made=token, status=201)


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
        return _account_page(link=faults, status=422)
    try:
        people.claim_link(ground().db, current_principal(), form.code)
    except HanseError as error:
        return _account_page(link=FormFaults.of(error, request.form.to_dict()), status=422)
    return redirect("/account", 303)


@pages.get("/history", permission=READ_LOG)
def history() -> BaseResponse:
    """Who changed what, when and why."""
    site, kind = request.args.get("site") or None, request.args.get("kind") or None
    actor, before = request.args.get("actor") or None, request.args.get("before") or None
    if before is not None and (not before.isdigit() or len(before) > 18):
        raise NotFound("There is no such page of the history.")
    where: list[Any] = []
    if site:
        where.append(states.of_site(site))
    if kind:
        where.append(History.kind == kind)
    if actor:
        where.append(Revision.actor_name == actor)
    with ground().db.transaction() as session:
        events = states.events(session, where=where, before=int(before) if before else None, limit=EVENTS)
        names = [one["name"] for one in looking.sites(session)]
    found = lines(events)
    more = len(events) == EVENTS
    return page(
        "registry/history.html",
        title="History",
        sentence="Every change, by whom and why" + (f", of {site}." if site else "."),
        crumbs=[("Sites", "/sites"), *([(site, f"/sites/{site}")] if site else [])],
        api="/api/v1/history" + (f"?{urlencode({'site': site})}" if site else ""),
        lines=found,
        next_before=found[-1].number if more and found else None,
        names=[("", "any"), *((name, name) for name in names)],
        kinds=[("", "any"), *((one, one.replace("_", " ")) for one in KINDS)],
    )


KINDS = ("site", "service", "endpoint", "downtime", "host_certificate", "identity", "grant", "ngi")
