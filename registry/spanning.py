"""What spans sites, read for pages: sites of NGIs, services of types, what carries a scope; now or in the past.

What is asked of now and of many rows is asked of the tables, whose indexes are small; the past stands in the log only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session

from hanse.revisions import History
from registry import states
from registry.finding import holds
from registry.models import CERTIFICATIONS, Ngi, Service, ServiceGroup, Site

Body = dict[str, Any]
MOST: Final = 50
"""Services that a page shows at most."""


@dataclass(frozen=True)
class Services:
    """Some services and how many there are."""

    shown: list[Body]
    total: int


def sites_by_status(session: Session, as_of: str | None = None) -> dict[str, dict[str, int]]:
    """How many sites of each certification each NGI has; NGIs without sites are left out."""
    ngi, status = states.text_of("ngi"), states.text_of("certification")
    rows = session.execute(
        select(ngi, status, func.count())
        .where(
            History.kind == "site",
            literal_column("history.op") == "put",
            states.standing(states.number_at(session, as_of)),
        )
        .group_by(ngi, status)
    )
    counts: dict[str, dict[str, int]] = {}
    for name, certification, count in rows:
        counts.setdefault(name, dict.fromkeys(CERTIFICATIONS, 0))[certification] = count
    return counts


def projects_by_ngi(session: Session, as_of: str | None = None) -> dict[str, list[str]]:
    """The projects of each NGI that takes part in any."""
    found: dict[str, list[str]] = {}
    for project in states.by_name(session, "project", as_of=as_of):
        for name in project.body["ngis"]:
            found.setdefault(name, []).append(project.body["name"])
    return found


def sites_of(session: Session, ngi: str, as_of: str | None = None) -> list[Body]:
    """The sites of an NGI by name."""
    return _bodies(states.by_name(session, "site", where=[states.text_of("ngi") == ngi], as_of=as_of))


def projects_of(session: Session, ngi: str, as_of: str | None = None) -> list[str]:
    """The names of the projects in which an NGI takes part."""
    found = states.by_name(session, "project", where=[holds("ngis", ngi)], as_of=as_of)
    return [one.body["name"] for one in found]


def services_of_type(session: Session, kind: str, as_of: str | None = None) -> Services:
    """Services of a type by id."""
    if as_of is not None:
        return _services_then(session, states.text_of("service_type") == kind, as_of)
    return _services_now(session, Service.service_type == kind)


def services_with_scope(session: Session, scope: str, as_of: str | None = None) -> Services:
    """Services that carry a scope, by id."""
    if as_of is not None:
        return _services_then(session, holds("scopes", scope), as_of)
    return _services_now(session, Service.scopes.contains([scope]))


def services_by_id(session: Session, numbers: Sequence[str], as_of: str | None = None) -> list[Body]:
    """The services with these ids that there are."""
    return _bodies(states.by_id(session, "service", where=[History.entity_id.in_(numbers)], as_of=as_of))


def _services_now(session: Session, condition: ColumnElement[bool]) -> Services:
    numbers = session.scalars(select(Service.id).where(condition).order_by(Service.id).limit(MOST))
    shown = services_by_id(session, [str(number) for number in numbers])
    if len(shown) < MOST:
        return Services(shown, len(shown))
    return Services(shown, session.scalar(select(func.count()).select_from(Service).where(condition)) or 0)


def _services_then(session: Session, condition: ColumnElement[bool], as_of: str) -> Services:
    found = _bodies(states.by_id(session, "service", where=[condition], as_of=as_of))
    return Services(found[:MOST], len(found))


def carriers(session: Session, scope: str, as_of: str | None = None) -> dict[str, list[str]]:
    """The names of the NGIs, sites and service groups that carry a scope, by kind."""
    if as_of is None:
        return {
            kind: list(
                session.scalars(select(table.name).where(table.scopes.contains([scope])).order_by(table.name))
            )
            for kind, table in (("ngi", Ngi), ("site", Site), ("service_group", ServiceGroup))
        }
    return {
        kind: [
            one.body["name"]
            for one in states.by_name(session, kind, where=[holds("scopes", scope)], as_of=as_of)
        ]
        for kind in ("ngi", "site", "service_group")
    }


def scope_uses(session: Session) -> dict[str, dict[str, int]]:
    """How many NGIs, sites, services and service groups carry each scope, by kind and scope."""
    uses: dict[str, dict[str, int]] = {}
    for kind, table in (("ngi", Ngi), ("site", Site), ("service", Service), ("service_group", ServiceGroup)):
        # whole lists are counted first: there are few different ones, however many rows there are
        lists = select(table.scopes, func.count()).group_by(table.scopes)
        uses[kind] = {}
        for names, count in session.execute(lists):
            for name in names:
                uses[kind][name] = uses[kind].get(name, 0) + count
    return uses


def _bodies(found: list[states.State]) -> list[Body]:
    return [one.body for one in found]
