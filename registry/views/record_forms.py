"""Forms of what the federation is made of: add one, change one; checked while they are typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import redirect, request
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.identity.permissions import check
from hanse.web import FormFaults, current_principal, ground, page
from registry import scopes, states
from registry.models import Ngi
from registry.rights import RUN_FEDERATION, check_owner, is_operator
from registry.schemas.fields import Wire
from registry.views import saving
from registry.views.record_kinds import FormField, RecordKind

LISTS = ("scopes", "ngis")


def new(kind: RecordKind) -> BaseResponse:
    """A form for a new one."""
    kept = {field.name: field.default for field in kind.fields}
    return _form_page(kind, "", FormFaults(kept))


def add(kind: RecordKind) -> BaseResponse:
    """Add it; what was typed stays when it is refused. While it is typed it is checked only."""
    kept, principal = _kept(), current_principal()

    def parse() -> Wire:
        values = _values(kind.fields, kept)
        return kind.form_in.model_validate({name: one for name, one in values.items() if one is not None})

    def act(db: Database, form: Wire) -> str:
        return kind.register(db, principal, form)

    if saving.is_check():
        return saving.checked(kept, parse, act, _labels(kind))
    saved = saving.save(kept, parse, act)
    if saved.done is None:
        return _form_page(kind, "", saved.faults, status=saved.status)
    return redirect(f"{kind.path}/{saved.done}", 303)


def edit(kind: RecordKind, name: str) -> BaseResponse:
    """A form that remembers the revision that it shows."""
    with ground().db.transaction() as session:
        state = states.find_named(session, kind.entity, name)
        if kind.edit is RUN_FEDERATION:
            check(current_principal(), RUN_FEDERATION, "federation")
        else:
            check_owner(current_principal(), kind.edit, session.get_one(kind.table, int(state.id)))
    typed = _typed(kind, state.body)
    return _form_page(kind, name, FormFaults({**typed, "revision": str(state.revision)}))


def save(kind: RecordKind, name: str) -> BaseResponse:
    """Save it unless somebody was quicker; what was typed stays, and what they changed is taken in."""
    kept, principal = _kept(), current_principal()
    fields = [field for field in kind.fields if is_operator(principal) or not field.operator]

    def parse() -> Wire:
        values = _values(fields, kept)
        return kind.form_edit.model_validate({**values, "reason": values["reason"] or ""})

    def act(db: Database, form: Wire) -> str:
        return kind.change(db, principal, name, form, saving.expected(kept))

    if saving.is_check():
        return saving.checked(kept, parse, act, _labels(kind))
    saved = saving.save(kept, parse, act)
    if saved.done is not None:
        return redirect(f"{kind.path}/{saved.done}", 303)
    faults = _after_theirs(kind, name, kept, saved.faults) if saved.quicker else saved.faults
    return _form_page(kind, name, faults, status=saved.status)


def _after_theirs(kind: RecordKind, name: str, kept: saving.Typed, faults: FormFaults) -> FormFaults:
    with ground().db.transaction() as session:
        entity_id = states.find_named(session, kind.entity, name).id
    now, then = saving.state_then(kind.entity, entity_id, kept.get("revision", ""))
    if then is None:
        return faults
    read, theirs = _typed(kind, then.body), _typed(kind, now.body)
    return saving.merged(kept, read, theirs, faults.summary, now.revision, _labels(kind))


def _form_page(kind: RecordKind, name: str, form: FormFaults, *, status: int = 200) -> BaseResponse:
    operator = is_operator(current_principal())
    with ground().db.transaction() as session:
        every = scopes.choices(session)
        ngis = list(session.scalars(select(Ngi.name).order_by(Ngi.name)))
    crumbs = [("Federation", "/federation"), (kind.many, kind.path)]
    return page(
        "registry/record_form.html",
        title=f"Change {name}" if name else f"Add a{'n' if kind.one == 'NGI' else ''} {kind.one}",
        sentence=kind.says,
        crumbs=[*crumbs, (name, f"{kind.path}/{name}")] if name else crumbs,
        within="/federation",
        status=status,
        api=f"{kind.api}/{name}" if name else f"POST {kind.api}",
        kind=kind,
        base=kind.path,
        name=name,
        form=form,
        fields=[field for field in kind.fields if operator or not (field.operator and name)],
        labels=_labels(kind),
        scopes=every,
        ngis=ngis,
        operator=operator,
    )


def _labels(kind: RecordKind) -> dict[str, str]:
    return {field.name: field.label for field in kind.fields}


def _kept() -> dict[str, str]:
    """Everything that was typed; the ticked boxes of a list with spaces between, also when none is."""
    kept = {name: " ".join(values) for name, values in request.form.lists() if name != "csrf_token"}
    return {**dict.fromkeys(LISTS, ""), **kept}


def _values(fields: tuple[FormField, ...] | list[FormField], kept: saving.Typed) -> dict[str, Any]:
    """The fields of the form as the use case takes them; an empty line is None, an empty long text empty."""
    return {field.name: _value(field, kept.get(field.name, "")) for field in fields}


def _value(field: FormField, typed: str) -> Any:
    if field.how == "checkbox":
        return typed == "true"
    if field.how in LISTS:
        return typed.replace(",", " ").split()
    if field.how == "textarea":
        return typed.replace("\r\n", "\n").strip()
    return typed.strip() or None


def _typed(kind: RecordKind, body: Mapping[str, Any]) -> dict[str, str]:
    """The thing as it is typed into the form."""
    return {field.name: _as_typed(body.get(field.name)) for field in kind.fields}


def _as_typed(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else ""
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None else str(value)
