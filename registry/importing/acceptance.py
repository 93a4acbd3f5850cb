"""Values of another registry through our own schemas: what cannot stand here is left out, with the reason.

A field that is wrong costs the field, not the thing; only a thing that lacks what everything hangs on is skipped.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

Form = TypeVar("Form", bound=BaseModel)
_ROUNDS: Final = 25
_GONE: Final = object()


@dataclass(frozen=True)
class Accepted(Generic[Form]):
    """The form, None when something essential is wrong, and what was left out."""

    form: Form | None
    notes: tuple[str, ...]


def accept(model: type[Form], values: dict[str, Any], needed: Collection[str]) -> Accepted[Form]:
    """`values` as `model`, without the parts that it refuses; `needed` are the fields that cannot be left out."""
    left = dict(values)
    notes: list[str] = []
    for _ in range(_ROUNDS):
        try:
            return Accepted(model.model_validate(left), tuple(notes))
        except ValidationError as error:
            findings = error.errors(include_url=False, include_context=False)
        essential = False
        for finding in findings:
            where = [step for step in finding["loc"] if step != "[key]"]
            named = ".".join(str(step + 1) if isinstance(step, int) else str(step) for step in where)
            reason = str(finding["msg"]).removeprefix("Value error, ")
            notes.append(f"{named or 'record'} left out: {reason} ({_short(finding.get('input'))})")
            essential = essential or not where or (len(where) == 1 and where[0] in needed)
            _leave_out(left, where)
        if essential:
            return Accepted(None, tuple(notes))
        left = {name: _without_gone(value) for name, value in left.items()}
    return Accepted(None, (*notes, "too much of it is wrong"))


def _leave_out(values: dict[str, Any], where: list[Any]) -> None:
    """Take out the smallest part that can be missing: a field, a property, an endpoint without its address."""
    if not where or where[0] not in values:
        return
    held = values[where[0]]
    if len(where) == 1 or not isinstance(held, dict | list):
        values.pop(where[0])
        return
    if isinstance(held, dict):
        values[where[0]] = {key: value for key, value in held.items() if key != where[1]}
        return
    at = where[1]
    if not isinstance(at, int) or at >= len(held) or held[at] is _GONE:
        return
    copied = list(held)
    entry = copied[at]
    if len(where) > 2 and isinstance(entry, dict) and where[2] in entry and where[2] not in ("name", "url"):
        copied[at] = dict(entry)
        _leave_out(copied[at], where[2:])
    else:
        copied[at] = _GONE
    values[where[0]] = copied


def _without_gone(value: Any) -> Any:
    return [one for one in value if one is not _GONE] if isinstance(value, list) else value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
