"""What every form of the registry does: save or say what was wrong, check while it is typed, tell who was quicker."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flask import make_response, render_template, request
from pydantic import BaseModel, ValidationError
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.errors import Conflict, Forbidden, HanseError, NotFound, Unauthorised
from hanse.web import FormFaults, ground
from hanse.web.wire import faults_of, from_pairs
from registry import states
from registry.recording import Quicker
from registry.rehearsal import Rehearsal

Model = TypeVar("Model", bound=BaseModel)
Done = TypeVar("Done")
Typed = Mapping[str, str]
CHECK = "check"
"""A form that is sent with this field is checked and not saved. Its value is the prefix of the form's ids, or "yes"."""


@dataclass(frozen=True)
class Saved(Generic[Done]):
    """What became of a form: `done` when it was saved, else what was wrong and the status of the answer.

    `parsed` is False when the form itself could not be read, so that nothing is known yet of the rules beyond it.
    """

    done: Done | None
    faults: FormFaults
    status: int = 303
    quicker: bool = False
    parsed: bool = True


def save(
    kept: Typed,
    parse: Callable[[], Model],
    act: Callable[[Database, Model], Done],
    name_of: Callable[[str], str] = str,
    db: Database | None = None,
    *,
    all_told: bool = False,
) -> Saved[Done]:
    """Parse the form and carry it out. `name_of` turns the name of a part of the model into that of the form's field.

    Raises Unauthorised, Forbidden and NotFound: of those no form can be mended; but for one in which it is typed what
    to do it to, `all_told` tells them in the form.
    """
    try:
        return Saved(act(db or ground().db, parse()), FormFaults(kept))
    except ValidationError as error:
        return Saved(None, _faults(error, kept, name_of), 422, parsed=False)
    except HanseError as error:
        if not all_told and isinstance(error, Unauthorised | Forbidden | NotFound):
            raise
        faults = {name_of(fault.field): fault.reason for fault in error.fields}
        found = FormFaults(kept, faults, error.detail)
        status = 409 if isinstance(error, Conflict) else 422
        return Saved(None, found, status, isinstance(error, Quicker))


def _faults(error: ValidationError, kept: Typed, name_of: Callable[[str], str]) -> FormFaults:
    faults: dict[str, str] = {}
    for fault in faults_of(error):
        reason = f"line {fault.record}: {fault.reason}" if fault.record else fault.reason
        faults.setdefault(name_of(fault.field), reason)
    count = len(faults)
    return FormFaults(
        kept, faults, f"Not saved: {count} {'field' if count == 1 else 'fields'} must be mended."
    )


def is_check() -> bool:
    """True when somebody is still typing."""
    return CHECK in request.form


def as_model(model: type[Model]) -> Callable[[], Model]:
    """Parses the posted form as `hanse.web.read_form` does; for `save` and `checked`."""

    def parse() -> Model:
        given = from_pairs(model, request.form)
        kept = {
            name: value
            for name, value in given.items()
            if value not in ("", []) and name not in (CHECK, "csrf_token")
        }
        return model.model_validate(kept, strict=False)

    return parse


def small(
    model: type[Model],
    act: Callable[[Database, Model], Done],
    labels: Mapping[str, str],
    again: Callable[[FormFaults, int], BaseResponse],
    then: Callable[[Done], BaseResponse],
    parse: Callable[[], Model] | None = None,
    *,
    all_told: bool = True,
) -> BaseResponse:
    """A form whose fields are those of `model`: checked while it is typed, else carried out. `again` shows it with what
    was wrong and a status, `then` says what comes after. `act` must return something. `all_told` as for `save`.
    """
    kept, read = from_pairs(model, request.form), parse or as_model(model)
    if is_check():
        return checked(kept, read, act, labels, _of_form, all_told=all_told)
    saved = save(kept, read, act, _of_form, all_told=all_told)
    return again(saved.faults, saved.status) if saved.done is None else then(saved.done)


def _of_form(field: str) -> str:
    """Parts of a list stand in one field."""
    return field.partition(".")[0]


def _prefix() -> str:
    given = request.form.get(CHECK, "")
    return given if re.fullmatch(r"[a-z0-9]{1,20}-", given) else ""


def checked(
    kept: Typed,
    parse: Callable[[], Model],
    act: Callable[[Database, Model], Any],
    labels: Mapping[str, str],
    name_of: Callable[[str], str] = str,
    *,
    all_told: bool = False,
) -> BaseResponse:
    """What would be refused: a fragment for each field that has something in it, and a sentence. Nothing is saved."""
    try:
        found: Saved[Any] = save(kept, parse, act, name_of, Rehearsal(ground().db), all_told=all_told)
    except NotFound as error:
        found = Saved(None, FormFaults(kept, {}, error.detail), 404)
    return told_so_far(kept, found, labels)


def told_so_far(kept: Typed, found: Saved[Any], labels: Mapping[str, str]) -> BaseResponse:
    """The fragments for a form that is still being typed: what is wrong, what is still needed, or that all is well."""
    faults = found.faults.faults
    empty = [name for name in faults if not found.parsed and not str(kept.get(name, "")).strip("[] ")]
    needed = [labels.get(name, name) for name in empty]
    shown = {name: reason for name, reason in faults.items() if name not in empty}
    return make_response(
        render_template(
            "registry/checked.html",
            prefix=_prefix(),
            fields=sorted({name for name in (*kept, *shown) if name in labels}),
            faults=shown,
            labels=labels,
            needed=needed,
            summary="" if found.done is not None or shown or needed else found.faults.summary,
            fine=found.status == 303,
        )
    )


def merged(
    kept: Typed, read: Typed, now: Typed, summary: str, revision: int, labels: Mapping[str, str]
) -> FormFaults:
    """A form whose thing somebody changed meanwhile: `read` is what it began with, `now` what is saved.

    What only they changed is taken in; what both changed stays as typed here and is named. It may then be saved on top
    of their revision, by somebody who has seen it.
    """
    taken, both = dict(kept), {}
    for name, value in now.items():
        typed = _plain(kept.get(name, ""))
        if typed == _plain(read.get(name, "")):
            taken[name] = value
        elif _plain(value) not in (typed, _plain(read.get(name, ""))):
            both[name] = f"is “{value}” since then; yours stands here" if value else "is empty since then"
    theirs = [
        labels.get(name, name)
        for name in now
        if _plain(now[name]) != _plain(read.get(name, "")) and name not in both
    ]
    if theirs:
        summary += f" What they changed is taken in below: {', '.join(theirs)}."
    return FormFaults({**taken, "revision": str(revision)}, both, f"{summary} Look, and save again.")


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def state_then(kind: str, entity_id: str, revision: str) -> tuple[states.State, states.State | None]:
    """A thing as it is, and as it was when the form was read; None when that cannot be said."""
    with ground().db.transaction() as session:
        now = states.find(session, kind, entity_id)
        try:
            then = states.find(session, kind, entity_id, revision) if revision.isdigit() else None
        except NotFound:
            then = None
    return now, then


def expected(kept: Typed) -> int | None:
    """The revision that the form began with."""
    revision = kept.get("revision", "")
    return int(revision) if revision.isdigit() and len(revision) < 16 else None


def lines(kept: Typed, field: str) -> list[str]:
    """The lines of a field that have something in them."""
    return [line.strip() for line in kept.get(field, "").splitlines() if line.strip()]


def words(kept: Typed, field: str) -> list[str]:
    """What stands in a field between commas and spaces."""
    return [word for word in kept.get(field, "").replace(",", " ").split() if word]


def pairs(kept: Typed, field: str) -> dict[str, str]:
    """Lines of "key = value"."""
    found = (line.partition("=") for line in lines(kept, field))
    return {key.strip(): value.strip() for key, _, value in found}


def typed_pairs(values: Mapping[str, str]) -> str:
    """The same as it is typed."""
    return "\n".join(f"{key} = {value}" for key, value in sorted(values.items()))


def typed_text(body: Mapping[str, Any], fields: Sequence[str]) -> dict[str, str]:
    """Fields of a body as they are typed; None is empty."""
    return {field: "" if body.get(field) is None else str(body[field]) for field in fields}


def typed_flags(body: Mapping[str, Any], fields: Sequence[str]) -> dict[str, str]:
    """Fields that are yes or no; a box that is not ticked is not sent."""
    return {field: "true" if body.get(field) else "" for field in fields}
