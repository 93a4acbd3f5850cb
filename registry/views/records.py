"""Pages of what the federation is made of: NGIs, projects, service groups, service types, scopes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from flask import redirect, request
from pydantic import ValidationError
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import Conflict
from hanse.identity.permissions import PUBLIC
from hanse.web import FormFaults, Pages, current_principal, ground, page
from registry import certification, finding, remembered, states
from registry.schemas.records import CertificationChangeQuery, ListQuery
from registry.views import record_forms, saving
from registry.views.home import settings
from registry.views.record_kinds import KINDS, RecordKind

pages = Pages("registry_records_pages", __name__)
ROWS = 50
Moment = tuple[Any, int] | None


def tabs(chosen: str) -> list[tuple[str, str, bool, int | None]]:
    """The lists of the federation, as `h.tabs` takes them."""
    lists = [*((kind.many, kind.path) for kind in KINDS), ("Certification", "/certification")]
    return [(label, path, label == chosen, None) for label, path in lists]


@pages.get("/federation", permission=PUBLIC)
def federation() -> BaseResponse:
    """What the federation is made of."""
    as_of = request.args.get("as_of") or None
    with ground().db.transaction() as session:
        moment = _moment(session, as_of)
        number = None if moment is None else moment[1]
        counts = remembered.counted(session, [kind.entity for kind in KINDS], number)
        until = None if moment is None else moment[0] or datetime.min.replace(tzinfo=UTC)
        steps = certification.steps(session, CertificationChangeQuery(until=until), 8)
    return page(
        "registry/federation.html",
        title="Federation",
        sentence=f"What {settings().federation} is made of, beside its sites and people.",
        crumbs=[("Sites", "/sites")],
        within="/federation",
        api="/api/v1/certification-changes",
        figures=[
            {
                "label": kind.many,
                "figure": f"{counts.get(kind.entity, 0):,}",
                "context": kind.short,
                "url": kind.path,
            }
            for kind in KINDS
        ],
        steps=steps,
        moment=moment,
        signed_in=current_principal().signed_in,
    )


@pages.get("/certification", permission=PUBLIC)
def all_steps() -> BaseResponse:
    """Every step of certification, the newest first."""
    given = {
        name: request.args[name] for name in ("site", "status", "as_of", "cursor") if request.args.get(name)
    }
    try:
        query = CertificationChangeQuery.model_validate({**given, "limit": ROWS})
    except ValidationError:
        query = CertificationChangeQuery(limit=ROWS)
    with ground().db.transaction() as session:
        found = certification.steps(session, query, ROWS + 1)
    shown = found[:ROWS]
    asked = request.query_string.decode("ascii", "replace")
    return page(
        "registry/certification_steps.html",
        title="Steps of certification",
        sentence="Who moved which site, when and why.",
        crumbs=[("Federation", "/federation")],
        within="/federation",
        api="/api/v1/certification-changes" + (f"?{asked}" if asked else ""),
        csv="/api/v1/certification-changes.csv" + (f"?{asked}" if asked else ""),
        tabs=tabs("Certification"),
        steps=shown,
        next_cursor=shown[-1][0].id if len(found) > ROWS else None,
        signed_in=current_principal().signed_in,
    )


def _query() -> ListQuery:
    given = {name: request.args[name] for name in ("q", "as_of", "cursor") if request.args.get(name)}
    try:
        return ListQuery.model_validate({**given, "limit": ROWS})
    except ValidationError:
        return ListQuery(limit=ROWS)


def _moment(session: Session, as_of: str | None) -> Moment:
    number = states.number_at(session, as_of)
    return None if number is None else (states.moment_of(session, number), number)


def list_page(kind: RecordKind) -> BaseResponse:
    """All of a kind by name."""
    query = _query()
    with ground().db.transaction() as session:
        found = finding.named(session, kind.entity, query, limit=ROWS + 1)
        facts = kind.rows(session, query.as_of)
        moment = _moment(session, query.as_of)
    shown = [state.body for state in found[:ROWS]]
    asked = request.query_string.decode("ascii", "replace")
    return page(
        "registry/records.html",
        title=kind.many,
        sentence=kind.says,
        crumbs=[("Federation", "/federation")],
        within="/federation",
        api=kind.api + (f"?{asked}" if asked else ""),
        csv=f"{kind.api}.csv" + (f"?{asked}" if asked else ""),
        kind=kind,
        tabs=tabs(kind.many),
        base=kind.path,
        records=shown,
        facts=facts,
        moment=moment,
        as_of=query.as_of,
        may_add=moment is None and kind.may_add(current_principal()),
        next_cursor=shown[-1]["name"] if len(found) > ROWS else None,
        signed_in=current_principal().signed_in,
    )


def one_page(
    kind: RecordKind, name: str, form: FormFaults | None = None, *, status: int = 200
) -> BaseResponse:
    """One of a kind, now or as it was."""
    as_of = request.args.get("as_of") or None
    principal = current_principal()
    with ground().db.transaction() as session:
        state = states.find_named(session, kind.entity, name, as_of)
        facts = kind.facts(session, state.body, as_of)
        moment = _moment(session, as_of)
        row = kind.row(session, state.body["name"]) if moment is None else None
        may_edit = moment is None and kind.may_edit(principal, row)
        may_remove = moment is None and kind.may_remove(principal, row)
    return page(
        "registry/record.html",
        title=state.body["name"],
        sentence=state.body["description"],
        crumbs=[("Federation", "/federation"), (kind.many, kind.path)],
        within="/federation",
        api=f"{kind.api}/{state.body['name']}" + (f"?as_of={as_of}" if as_of else ""),
        status=status,
        kind=kind,
        base=kind.path,
        record=state.body,
        facts=facts,
        revision=state.revision,
        updated_at=state.at,
        by=state.actor_name if principal.signed_in else "",
        moment=moment,
        may_edit=may_edit,
        may_remove=may_remove,
        form=form or FormFaults(),
        signed_in=principal.signed_in,
    )


def removal_page(kind: RecordKind, name: str) -> BaseResponse:
    """Ask before it is removed: what hinders it, or that it can be."""
    return _removal(kind, name, "")


def _removal(kind: RecordKind, name: str, refused: str, *, status: int = 200) -> BaseResponse:
    with ground().db.transaction() as session:
        state = states.find_named(session, kind.entity, name)
        row = kind.row(session, name)
        hindered = [] if row is None else kind.hindered(session, row)
    return page(
        "registry/record_removal.html",
        title=f"Remove {name}",
        sentence="The log keeps what it was.",
        crumbs=[("Federation", "/federation"), (kind.many, kind.path), (name, f"{kind.path}/{name}")],
        within="/federation",
        status=status,
        kind=kind,
        base=kind.path,
        record=state.body,
        revision=state.revision,
        hindered=hindered,
        refused=refused,
    )


def remove(kind: RecordKind, name: str) -> BaseResponse:
    """Remove it unless something uses it or somebody changed it meanwhile."""
    kept = request.form.to_dict()
    reason = kept.get("reason", "").strip()[:300]
    try:
        kind.drop(ground().db, current_principal(), name, reason, saving.expected(kept))
    except Conflict as error:
        return _removal(kind, name, error.detail, status=409)
    return redirect(kind.path, 303)


def _named(view: Callable[..., BaseResponse], kind: RecordKind) -> Callable[..., BaseResponse]:
    """The view for one kind, under a name of its own."""
    bound = partial(view, kind)
    bound.__name__ = f"{kind.entity}_{view.__name__}"  # type: ignore[attr-defined]  # Flask asks for one
    bound.__doc__ = view.__doc__
    return bound


for _kind in KINDS:
    _at = _kind.path
    pages.get(_at, permission=PUBLIC)(_named(list_page, _kind))
    pages.get(f"{_at}/new", permission=_kind.add)(_named(record_forms.new, _kind))
    pages.post(f"{_at}/new", permission=_kind.add)(_named(record_forms.add, _kind))
    pages.get(f"{_at}/<name>", permission=PUBLIC)(_named(one_page, _kind))
    pages.get(f"{_at}/<name>/edit", permission=_kind.edit)(_named(record_forms.edit, _kind))
    pages.post(f"{_at}/<name>/edit", permission=_kind.edit)(_named(record_forms.save, _kind))
    pages.get(f"{_at}/<name>/remove", permission=_kind.remove)(_named(removal_page, _kind))
    pages.post(f"{_at}/<name>/remove", permission=_kind.remove)(_named(remove, _kind))
