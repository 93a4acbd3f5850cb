"""`?fields=a,b` on every documented read: only the fields that were asked for, of the thing or of each item of a list.

A name that the answer does not have is refused with the names that it has, so that a typing error is no empty table.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from flask import Flask, Response, request
from pydantic import BaseModel

from hanse.errors import FieldFault, Refused

PARAMETER: Final = "fields"
MOST_CHARACTERS: Final = 2000
_SCHEMAS: Final = "#/components/schemas/"


def item_model(model: object) -> type[BaseModel] | None:
    """What a list is made of: the model in `items: list[Model]`; None for what is no list."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return None
    found = model.model_fields.get("items")
    arguments: tuple[object, ...] = getattr(found.annotation, "__args__", ()) if found is not None else ()
    inner = next(iter(arguments), None) if len(arguments) == 1 else None
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def selectable(model: object) -> tuple[str, ...]:
    """The fields that a reader can choose of an answer that `model` describes; () where there is no choice."""
    chosen = item_model(model) or model
    if not (isinstance(chosen, type) and issubclass(chosen, BaseModel)):
        return ()
    return tuple(field.serialization_alias or name for name, field in chosen.model_fields.items())


def chosen_fields(known: Sequence[str]) -> tuple[str, ...] | None:
    """What `?fields=` of this request names, in that order; None without it. Raises Refused for an unknown name."""
    given = request.args.get(PARAMETER)
    if given is None or not known:
        return None
    wanted = [name.strip() for name in given[: MOST_CHARACTERS + 1].split(",")]
    unknown = sorted({name for name in wanted if name not in known})
    if unknown or len(given) > MOST_CHARACTERS:
        told = ", ".join(name[:40] or "an empty name" for name in unknown[:5]) or "the list is too long"
        raise Refused(
            "There is no such field to choose.",
            FieldFault(PARAMETER, f"{told}; choose of {', '.join(known)}"),
        )
    return tuple(dict.fromkeys(wanted))


def picked(answer: Any, wanted: tuple[str, ...] | None) -> Any:
    """`answer` with the wanted fields alone; cursors and counts of a list stay. Finished responses stay whole."""
    if wanted is None or answer is None or isinstance(answer, Response):
        return answer
    if isinstance(answer, tuple):
        return (picked(answer[0], wanted), *answer[1:])
    if isinstance(answer, BaseModel):
        answer = answer.model_dump(by_alias=True, mode="json")
    if isinstance(answer, Mapping) and isinstance(answer.get("items"), list):
        return {**answer, "items": [_part(item, wanted) for item in answer["items"]]}
    return _part(answer, wanted)


def _part(item: Any, wanted: tuple[str, ...]) -> Any:
    if isinstance(item, BaseModel):
        item = item.model_dump(by_alias=True, mode="json")
    return {name: item[name] for name in wanted if name in item} if isinstance(item, Mapping) else item


def with_selection(document: Mapping[str, Any], app: Flask) -> dict[str, Any]:
    """The OpenAPI document with the parameter, and answers that may be parts, at the routes that have the choice."""
    described: dict[str, Any] = copy.deepcopy(dict(document))
    for rule in app.url_map.iter_rules():
        names = getattr(app.view_functions[rule.endpoint], "hanse_selectable", ())
        path = re.sub(r"<(?:[^<>:]+:)?([^<>]+)>", r"{\1}", rule.rule)
        operation = described.get("paths", {}).get(path, {}).get("get")
        if names and operation is not None and "GET" in (rule.methods or ()):
            _describe(described, operation, names)
    return described


def _describe(document: dict[str, Any], operation: dict[str, Any], names: Sequence[str]) -> None:
    one = "|".join(re.escape(name) for name in names)
    operation.setdefault("parameters", []).append(
        {
            "name": PARAMETER,
            "in": "query",
            "required": False,
            "description": "Only these fields, with commas between them.",
            "schema": {"type": "string", "pattern": f"^({one})(,({one}))*$", "maxLength": MOST_CHARACTERS},
        }
    )
    content = operation["responses"]["200"].get("content", {}).get("application/json", {})
    whole = content.get("schema", {}).get("$ref", "")
    part = _partial(document, whole)
    if part is not None:
        content["schema"] = {"anyOf": [{"$ref": whole}, part]}


def _partial(document: Mapping[str, Any], reference: str) -> dict[str, Any] | None:
    schema = document["components"]["schemas"].get(reference.removeprefix(_SCHEMAS))
    if not schema or "properties" not in schema:
        return None
    properties = {name: {"$ref": f"{reference}/properties/{name}"} for name in schema["properties"]}
    items = schema["properties"].get("items", {}).get("items", {}).get("$ref", "")
    inner = _partial(document, items) if items else None
    if inner is None:
        return {"type": "object", "properties": properties, "additionalProperties": False}
    return {
        "type": "object",
        "properties": {**properties, "items": {"type": "array", "items": inner}},
        "required": schema.get("required", []),
        "additionalProperties": False,
    }
