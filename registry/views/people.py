"""People: who is here, what one person is known by, holds and did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlencode

from flask import redirect, request
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.identity.permissions import SIGNED_IN
from hanse.pages.words import options
from hanse.web import FormFaults, Pages, current_principal, ground, page
from registry import brief, directory, identities, people, people_then, personal_data, roles, states
from registry.directory import Federation
from registry.finding import number_cursor
from registry.lately import Lately
from registry.models import Person, Role
from registry.models.role_names import ROLE_TYPES, shown
from registry.people_then import PersonThen
from registry.rights import GRANT_ROLES, READ_PEOPLE, RUN_FEDERATION, is_operator
from registry.schemas.people import DecisionIn, RoleIn
from registry.views import saving
from registry.views.home import settings

pages = Pages("registry_people_pages", __name__)
GRANTING = {"person": "Person", "role": "Role", "scope": "Where", "reason": "Reason"}
ROLE_CHOICES = [(one.name, f"{one.shown} ({one.held_at})") for one in ROLE_TYPES.values()]
PAGE = 50


@pages.get("/people", permission=READ_PEOPLE)
def all_people() -> BaseResponse:
    """Who is here, and with which roles."""
    return _people_page(FormFaults())


def _people_page(form: FormFaults, status: int = 200) -> BaseResponse:
    q, scope = request.args.get("q") or None, request.args.get("scope") or None
    after = number_cursor(request.args.get("cursor")) or 0
    with ground().db.transaction() as session:
        found = _found(session, q, scope, after)
        places = scope_choices(session)
        choices = _choices(session, found[:PAGE], str(form.kept.get("person", "")))
    listed = found[:PAGE]
    note_read("list of people", [one.id for one in listed])
    return page(
        "registry/people.html",
        title="People",
        sentence="Who holds which role" + (f" in {scope}." if scope else "."),
        api="/api/v1/people",
        csv=_csv(q, scope),
        status=status,
        people=listed,
        next_cursor=found[PAGE - 1].id if len(found) > PAGE else None,
        q=q,
        scope=scope,
        form=form,
        granting=GRANTING,
        role_choices=ROLE_CHOICES,
        role_name=shown,
        places=places,
        person_choices=choices,
    )


def _csv(q: str | None, scope: str | None) -> str:
    """The list as a file: of a scope the roles in it, since a person may hold several."""
    given = (
        {"q": q, "as_of": request.args.get("as_of")}
        if scope is None
        else {"scope": scope, "as_of": request.args.get("as_of")}
    )
    asked = urlencode({name: value for name, value in given.items() if value})
    return f"/api/v1/{'people' if scope is None else 'roles'}.csv" + (f"?{asked}" if asked else "")


def _found(session: Session, q: str | None, scope: str | None, after: int) -> Sequence[Person | PersonThen]:
    """The people of a page and one more, now or as the log knew them."""
    number = states.number_at(session, request.args.get("as_of"))
    if number is None:
        return people.listed(session, q, after, PAGE + 1) if scope is None else _holders(session, scope)
    if scope is not None:
        return people_then.holders(session, number, scope)
    return people_then.listed(session, number, q, after, PAGE + 1)


def _choices(session: Session, listed: Sequence[Person | PersonThen], kept: str) -> list[tuple[str, str]]:
    """Whom a role can be granted to: those in the list, and who was chosen before the form was refused."""
    here: dict[str, Person | PersonThen] = {str(one.id): one for one in listed}
    if kept.isdigit() and kept not in here and (chosen := session.get(Person, int(kept[:18]))) is not None:
        here[kept] = chosen
    return [(key, f"{one.name} ({one.email})" if one.email else one.name) for key, one in here.items()]


_places: Lately[Markup] = Lately(2)


def scope_choices(session: Session) -> Markup:
    """Every place where a role can be held, as the options of a field; made once for each revision."""
    federation = directory.look(ground().db, session)
    how = (federation.epoch, federation.revision)
    return _places.get((), how, lambda: options((place, place) for place in _scopes(session, federation)))


def _scopes(session: Session, federation: Federation) -> Iterator[str]:
    yield from (f"site:{site.name}" for site in federation.sites)
    for kind, word in (("ngi", "ngi"), ("project", "project"), ("service_group", "servicegroup")):
        yield from (f"{word}:{state.body['name']}" for state in states.by_name(session, kind))
    yield "federation"


def note_read(what: str, read: list[int]) -> None:
    """Who reads about people is written down."""
    personal_data.note_read(ground().db, current_principal(), what, read, read_only=settings().read_only)


def _holders(session: Session, scope: str) -> list[Person]:
    holders = select(Role.person_id).where(Role.status == "GRANTED", roles.held_in(scope))
    found = select(Person).where(Person.id.in_(holders)).order_by(Person.name, Person.id)
    return list(session.scalars(found.options(*brief.of_people())))


@pages.post("/people/roles", permission=GRANT_ROLES)
def grant() -> BaseResponse:
    """Grant a role."""

    def act(db: Database, form: RoleIn) -> int:
        roles.grant(db, current_principal(), form, settings().url)
        return form.person

    return saving.small(
        RoleIn, act, GRANTING, _people_page, lambda person: redirect(f"/people/{person}", 303)
    )


@pages.post("/people/roles/<int:number>/withdraw", permission=SIGNED_IN)
def withdraw_role(number: int) -> BaseResponse:
    """Revoke a role; everybody may lay down an own one, and take an own request back."""
    reason = request.form.get("reason", "").strip()[:300]
    roles.withdraw(ground().db, current_principal(), number, reason, settings().url)
    back = request.form.get("back", "")
    return redirect(back if back in ("/account", "/roles") or _is_person(back) else "/people", 303)


def _is_person(path: str) -> bool:
    return path.startswith("/people/") and path.removeprefix("/people/").isdigit()


@pages.get("/people/<int:number>", permission=READ_PEOPLE)
def one_person(number: int) -> BaseResponse:
    """One person: identities, roles, requests, what was decided; that it was read is written down."""
    return _person_page(number)


def _person_page(
    number: int, form: FormFaults | None = None, identity: int = 0, status: int = 200
) -> BaseResponse:
    """With what was wrong in the form about one of the identities."""
    note_read("one person", [number])
    with ground().db.transaction() as session:
        moment = states.moment(session, request.args.get("as_of"))
        person: Person | PersonThen
        if moment is None:
            person = people.find(session, number)
        else:
            person = people_then.find(session, moment.number, number)
        requests = list(person.requests)
        until = None if moment is None else moment.at
        decided = roles.actions(session, person=number, until=until, limit=PAGE)
        reads = personal_data.reads_of(session, number, limit=20) if is_operator(current_principal()) else []
    return page(
        "registry/person.html",
        title=person.name,
        sentence=_sentence(person),
        crumbs=[("People", "/people")],
        api=f"/api/v1/people/{number}",
        status=status,
        person=person,
        form=form or FormFaults(),
        identity=identity,
        role_name=shown,
        requests=requests,
        decided=decided,
        reads=reads,
        operator=is_operator(current_principal()),
    )


def _sentence(person: Person | PersonThen) -> str:
    held = len(person.roles)
    words = f"{held} {'role' if held == 1 else 'roles'}" if held else "No role"
    if person.created_at is None:
        return f"{words}."
    return f"{words}, here since {person.created_at:%d %b %Y}."


@pages.post("/people/<int:number>/identities/<int:identity>/<act>", permission=RUN_FEDERATION)
def act_on_identity(number: int, identity: int, act: str) -> BaseResponse:
    """Suspend an identity, let it in again, or take it from the person."""
    done = {"suspend": identities.suspend, "let-in": identities.let_in, "unlink": identities.unlink}
    if act not in done:
        return redirect(f"/people/{number}", 303)

    def carry_out(db: Database, form: DecisionIn) -> int:
        done[act](db, current_principal(), number, identity, form.reason)
        return number

    return saving.small(
        DecisionIn,
        carry_out,
        {"reason": "Why"},
        lambda faults, status: _person_page(number, faults, identity, status),
        lambda _: redirect(f"/people/{number}", 303),
        all_told=False,
    )


@pages.get("/people/<int:number>/erase", permission=RUN_FEDERATION)
def ask_erase(number: int) -> BaseResponse:
    """What erasing does, before it is done: it cannot be undone."""
    with ground().db.transaction() as session:
        person = people.find(session, number)
    return erase_page(person, f"/people/{number}/erase", f"/people/{number}")


def erase_page(person: Person, action: str, back: str) -> BaseResponse:
    """The question before a person is erased."""
    return page(
        "registry/erase.html",
        title=f"Erase {person.name}?",
        crumbs=[("People", "/people"), (person.name, f"/people/{person.id}")] if back != "/account" else [],
        person=person,
        action=action,
        back=back,
    )


@pages.post("/people/<int:number>/erase", permission=RUN_FEDERATION)
def erase(number: int) -> BaseResponse:
    """Erase a person."""
    done = personal_data.erase(ground().db, current_principal(), number, "")
    return page(
        "registry/erased.html",
        title="Erased",
        sentence=f"In the log the person stands as “{done.stands_as}” from now on.",
        sites=done.sites,
    )
