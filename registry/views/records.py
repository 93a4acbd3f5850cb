"""Pages of what the federation is made of: NGIs, projects, service groups, service types, scopes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flask import redirect, request
from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import Conflict, HanseError
from hanse.identity.permissions import PUBLIC
from hanse.web import FormFaults, Pages, current_principal, ground, page
from hanse.web.wire import faults_of
from registry import certification, finding, scopes, states
from registry.models import Ngi
from registry.rights import is_operator
from registry.schemas.records import CertificationChangeQuery, ListQuery
from registry.views.home import settings
from registry.views.record_kinds import KINDS, FormField, RecordKind

pages = Pages("registry_records_pages", __name__)
ROWS = 50
Moment = tuple[Any, int] | None


def base(kind: RecordKind) -> str:
    """Where the pages of a kind are."""
    return f"/federation/{kind.name}"


def tabs(chosen: str) -> list[tuple[str, str, bool, int | None]]:
    """The lists of the federation, as `h.tabs` takes them."""
    lists = [*((kind.many, base(kind)) for kind in KINDS), ("Certification", "/federation/certification")]
    return [(label, path, label == chosen, None) for label, path in lists]


@pages.get("/federation", permission=PUBLIC)
def federation() -> BaseResponse:
    """What the federation is made of."""
    with ground().db.transaction() as session:
        counts = {
            kind.name: session.scalar(select(func.count()).select_from(kind.table)) or 0 for kind in KINDS
        }
        steps = certification.steps(session, CertificationChangeQuery(), 8)
    return page(
        "registry/federation.html",
        title="Federation",
        sentence=f"What {settings().federation} is made of, beside its sites and people.",
        crumbs=[("Sites", "/sites")],
        api="/api/v1/certification-changes",
        figures=[
            {
                "label": kind.many,
                "figure": f"{counts[kind.name]:,}",
                "context": kind.short,
                "url": base(kind),
            }
            for kind in KINDS
        ],
        steps=steps,
        signed_in=current_principal().signed_in,
    )


@pages.get("/federation/certification", permission=PUBLIC)
def all_steps() -> BaseResponse:
    """Every step of certification, the newest first."""
    given = {name: request.args[name] for name in ("site", "status", "cursor") if request.args.get(name)}
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
        api=kind.api + (f"?{asked}" if asked else ""),
        csv=f"{kind.api}.csv" + (f"?{asked}" if asked else ""),
        kind=kind,
        tabs=tabs(kind.many),
        base=base(kind),
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
        crumbs=[("Federation", "/federation"), (kind.many, base(kind))],
        api=f"{kind.api}/{state.body['name']}" + (f"?as_of={as_of}" if as_of else ""),
        status=status,
        kind=kind,
        base=base(kind),
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


def new_page(kind: RecordKind) -> BaseResponse:
    """A form for a new one."""
    kept = {field.name: field.default for field in kind.fields}
    return _form_page(kind, "", FormFaults(kept))


def add(kind: RecordKind) -> BaseResponse:
    """Add it; what was typed stays when it is refused."""
    kept = _kept()
    values = {name: value for name, value in _values(kind, kept).items() if value is not None}
    try:
        form = kind.form_in.model_validate(values)
        name = kind.register(ground().db, current_principal(), form)
    except ValidationError as error:
        return _form_page(kind, "", _faults(error, kept), status=422)
    except HanseError as error:
        status = 409 if isinstance(error, Conflict) else 422
        return _form_page(kind, "", FormFaults.of(error, kept), status=status)
    return redirect(f"{base(kind)}/{name}", 303)


def edit_page(kind: RecordKind, name: str) -> BaseResponse:
    """A form that remembers the revision that it shows."""
    with ground().db.transaction() as session:
        state = states.find_named(session, kind.entity, name)
    typed = {field.name: _typed(field, state.body.get(field.name)) for field in kind.fields}
    return _form_page(kind, name, FormFaults({**typed, "revision": str(state.revision)}))


def save(kind: RecordKind, name: str) -> BaseResponse:
    """Save it unless somebody was quicker; what was typed stays."""
    kept = _kept()
    values = _values(kind, kept)
    if not is_operator(current_principal()):
        values = {
            field.name: values[field.name]
            for field in kind.fields
            if field.name in values and not field.operator
        }
    values["reason"] = values.get("reason") or ""
    revision = kept.get("revision", "")
    expected = int(revision) if revision.isdigit() and len(revision) < 16 else None
    try:
        form = kind.form_edit.model_validate(values)
        name = kind.change(ground().db, current_principal(), name, form, expected)
    except ValidationError as error:
        return _form_page(kind, name, _faults(error, kept), status=422)
    except HanseError as error:
        status = 409 if isinstance(error, Conflict) else 422
        return _form_page(kind, name, FormFaults.of(error, kept), status=status)
    return redirect(f"{base(kind)}/{name}", 303)


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
        crumbs=[("Federation", "/federation"), (kind.many, base(kind)), (name, f"{base(kind)}/{name}")],
        status=status,
        kind=kind,
        base=base(kind),
        record=state.body,
        revision=state.revision,
        hindered=hindered,
        refused=refused,
    )


def remove(kind: RecordKind, name: str) -> BaseResponse:
    """Remove it unless something uses it or somebody changed it meanwhile."""
    revision = request.form.get("revision", "")
    expected = int(revision) if revision.isdigit() and len(revision) < 16 else None
    reason = request.form.get("reason", "").strip()[:300]
    try:
        kind.drop(ground().db, current_principal(), name, reason, expected)
    except Conflict as error:
        return _removal(kind, name, error.detail, status=409)
    return redirect(base(kind), 303)


def _form_page(kind: RecordKind, name: str, form: FormFaults, *, status: int = 200) -> BaseResponse:
    operator = is_operator(current_principal())
    with ground().db.transaction() as session:
        every = scopes.choices(session)
        ngis = list(session.scalars(select(Ngi.name).order_by(Ngi.name)))
    crumbs = [("Federation", "/federation"), (kind.many, base(kind))]
    return page(
        "registry/record_form.html",
        title=f"Change {name}" if name else f"Add a{'n' if kind.one == 'NGI' else ''} {kind.one}",
        sentence=kind.says,
        crumbs=[*crumbs, (name, f"{base(kind)}/{name}")] if name else crumbs,
        status=status,
        kind=kind,
        base=base(kind),
        name=name,
        form=form,
        fields=[field for field in kind.fields if operator or not (field.operator and name)],
        labels={field.name: field.label for field in kind.fields},
        scopes=every,
        ngis=ngis,
        operator=operator,
    )


def _kept() -> dict[str, Any]:
    """Everything that was typed; of a field with several values all of them, separated by spaces."""
    return {name: " ".join(values) for name, values in request.form.lists() if name not in ("csrf_token",)}


def _values(kind: RecordKind, kept: Mapping[str, str]) -> dict[str, Any]:
    """The fields of the form as the use case takes them; an empty line is None, an empty long text empty."""
    return {field.name: _value(field, kept.get(field.name, "")) for field in kind.fields}


def _value(field: FormField, typed: str) -> Any:
    if field.how == "checkbox":
        return typed == "true"
    if field.how in ("words", "scopes", "ngis"):
        return typed.replace(",", " ").split()
    if field.how == "textarea":
        return typed.replace("\r\n", "\n").strip()
    return typed.strip() or None


def _typed(field: FormField, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else ""
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None else str(value)


def _faults(error: ValidationError, kept: Mapping[str, Any]) -> FormFaults:
    faults = {fault.field.partition(".")[0]: fault.reason for fault in faults_of(error)}
    count = len(faults)
    told = "1 field" if count == 1 else f"{count} fields"
    return FormFaults(kept, faults, f"Not saved: {told} must be mended.")


def _named(view: Callable[..., BaseResponse], kind: RecordKind) -> Callable[..., BaseResponse]:
    """The view for one kind, under a name of its own."""
    bound = partial(view, kind)
    bound.__name__ = f"{kind.entity}_{view.__name__}"  # type: ignore[attr-defined]  # Flask asks for one
    bound.__doc__ = view.__doc__
    return bound


for _kind in KINDS:
    _at = base(_kind)
    pages.get(_at, permission=PUBLIC)(_named(list_page, _kind))
    pages.get(f"{_at}/new", permission=_kind.add)(_named(new_page, _kind))
    pages.post(f"{_at}/new", permission=_kind.add)(_named(add, _kind))
    pages.get(f"{_at}/<name>", permission=PUBLIC)(_named(one_page, _kind))
    pages.get(f"{_at}/<name>/edit", permission=_kind.edit)(_named(edit_page, _kind))
    pages.post(f"{_at}/<name>/edit", permission=_kind.edit)(_named(save, _kind))
    pages.get(f"{_at}/<name>/remove", permission=_kind.remove)(_named(removal_page, _kind))
    pages.post(f"{_at}/<name>/remove", permission=_kind.remove)(_named(remove, _kind))
