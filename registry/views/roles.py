"""Roles: what waits for whom, who may decide, what was decided; asking for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import redirect, request
from markupsafe import Markup
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.identity.permissions import SIGNED_IN, allows
from hanse.web import FormFaults, Pages, current_principal, ground, page
from registry import people, remembered, role_requests, roles, states
from registry.finding import number_cursor
from registry.models import Person, Role, RoleAction
from registry.models.role_names import ROLE_TYPES, OwnerKind, held_at, shown
from registry.remembered import RoleThen
from registry.rights import GRANT_ROLES, READ_PEOPLE, is_operator, may_decide_role
from registry.role_matrix import MATRIX, Action
from registry.schemas.people import DecisionIn, RoleRequestIn
from registry.states import Moment
from registry.views import saving
from registry.views.home import settings
from registry.views.people import ROLE_CHOICES, scope_choices

pages = Pages("registry_roles_pages", __name__)
PAGE = 50
ASKING = {"role": "Role", "scope": "Where", "reason": "Reason"}
_ACTIONS: list[tuple[Action, str]] = [
    ("edit", "change it"),
    ("certify", "change its certification"),
    ("add site", "register sites in it"),
    ("decide roles", "grant, reject and revoke roles"),
    ("keep API credentials", "keep API credentials"),
    ("read people", "read about people"),
]
_OWNERS: list[tuple[OwnerKind, str]] = [
    ("site", "Site"),
    ("ngi", "NGI"),
    ("project", "Project"),
    ("servicegroup", "Service group"),
]


@pages.get("/roles", permission=SIGNED_IN)
def all_roles() -> BaseResponse:
    """What waits, own roles, the form, and what was decided."""
    with ground().db.transaction() as session:
        moment = states.moment(session, request.args.get("as_of"))
    return _roles_page(FormFaults()) if moment is None else _roles_then(moment)


def _roles_then(moment: Moment) -> BaseResponse:
    """What waited then, own roles of then, and what had been decided."""
    principal, before = current_principal(), number_cursor(request.args.get("before"))
    reads = allows(principal, READ_PEOPLE)
    with ground().db.transaction() as session:
        person = people.own(session, principal) if principal.person is not None else None
        own = [] if person is None else [person.id]
        waited = remembered.requests(session, moment.number, role_requests.MOST_SHOWN)
        others: list[tuple[RoleThen, list[str]]] = [
            (row, []) for row in waited if reads or row.person_id in own
        ]
        decided = roles.actions(session, before=before, until=moment.at, limit=PAGE + 1) if reads else []
        held = remembered.roles_of(session, moment.number, own, "GRANTED")
    count = len(others)
    return page(
        "registry/roles.html",
        title="Roles",
        sentence=f"{count} {'request' if count == 1 else 'requests'} waited for a decision.",
        api="/api/v1/role-requests",
        **_shown(person, mine=[], others=others, held=held, decided=decided, reads=reads),
    )


def _roles_page(
    form: FormFaults, decision: FormFaults | None = None, *, number: int = 0, status: int = 200
) -> BaseResponse:
    principal = current_principal()
    before = number_cursor(request.args.get("before"))
    reads = allows(principal, READ_PEOPLE)
    with ground().db.transaction() as session:
        person = people.own(session, principal) if principal.person is not None else None
        waiting = role_requests.waiting(session)
        mine = [row for row in waiting if may_decide_role(principal, row.owner)]
        others = [
            (row, [one.name for one in role_requests.deciders(session, row.owner)])
            for row in waiting
            if row not in mine and (reads or (person is not None and row.person_id == person.id))
        ]
        decided = roles.actions(session, before=before, limit=PAGE + 1) if reads else []
        held = list(person.roles) if person else []
        places = scope_choices(session) if person else Markup()
    return page(
        "registry/roles.html",
        title="Roles",
        sentence=_sentence(mine, others),
        api="/api/v1/role-requests",
        csv="/api/v1/roles.csv" if reads else "/api/v1/role-requests.csv",
        status=status,
        **{
            **_shown(person, mine=mine, others=others, held=held, decided=decided, reads=reads),
            "form": form,
            "decision": decision or FormFaults(),
            "decided_number": number,
            "places": places,
        },
    )


def _shown(
    person: Person | None,
    *,
    mine: Sequence[Any],
    others: Sequence[tuple[Any, Sequence[str]]],
    held: Sequence[Any],
    decided: Sequence[RoleAction],
    reads: bool,
) -> dict[str, Any]:
    """What the page tells, now or then: rows, or roles as they were remembered."""
    return {
        "person": person,
        "mine": mine,
        "others": others,
        "held": held,
        "decided": decided[:PAGE],
        "before": decided[PAGE - 1].id if len(decided) > PAGE else None,
        "reads": reads,
        "operator": is_operator(current_principal()),
        "form": FormFaults(),
        "asking": ASKING,
        "decision": FormFaults(),
        "decided_number": 0,
        "role_choices": ROLE_CHOICES,
        "role_name": shown,
        "places": [],
        "rules": _rules(),
    }


def _sentence(mine: list[Role], others: list[tuple[Role, list[str]]]) -> str:
    if mine:
        count = len(mine)
        return f"{count} {'request waits' if count == 1 else 'requests wait'} for your decision."
    return f"Nothing waits for you; {len(others)} for others." if others else "No request waits."


def _rules() -> list[tuple[str, list[tuple[str, str]]]]:
    """The table of who may what, as it is asked, in words."""
    return [
        (
            word,
            [(what, _in_words(MATRIX[kind][action])) for action, what in _ACTIONS if action in MATRIX[kind]],
        )
        for kind, word in _OWNERS
    ]


def _in_words(allowed: frozenset[str]) -> str:
    """`every NGI role; Site Security Officer`: whole groups by their name, operators left out."""
    found = []
    for kind, word in _OWNERS:
        here = held_at(kind)
        if here <= allowed:
            found.append(
                f"every {word if word == 'NGI' else word.lower()} role" if len(here) > 1 else shown(*here)
            )
        else:
            found += [one.shown for one in ROLE_TYPES.values() if one.name in here & allowed]
    return ", ".join(found)


@pages.post("/roles/requests", permission=SIGNED_IN)
def ask() -> BaseResponse:
    """Ask for a role."""

    def act(db: Database, form: RoleRequestIn) -> int:
        return role_requests.request(db, current_principal(), form, settings().url)

    return saving.small(
        RoleRequestIn,
        act,
        ASKING,
        lambda faults, status: _roles_page(faults, status=status),
        lambda _: redirect("/roles", 303),
    )


@pages.post("/roles/requests/<int:number>/<act>", permission=GRANT_ROLES)
def decide(number: int, act: str) -> BaseResponse:
    """Grant or reject a request."""
    use_case = {"grant": role_requests.accept, "reject": role_requests.reject}.get(act)
    if use_case is None:
        return redirect("/roles", 303)

    def carry_out(db: Database, form: DecisionIn) -> int:
        use_case(db, current_principal(), number, form.reason, settings().url)
        return number

    return saving.small(
        DecisionIn,
        carry_out,
        {"reason": "Reason"},
        lambda faults, status: _roles_page(FormFaults(), faults, number=number, status=status),
        lambda _: redirect("/roles", 303),
    )
