"""Models of what goes over the wire, and turning requests into them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args, get_origin, get_type_hints

from flask import request
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import UnsupportedMediaType

from hanse.errors import FieldFault, Refused

PARTS = ("path", "query", "body", "form")


class Wire(BaseModel):
    """A JSON body: unknown fields are refused, and a string is not taken for a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class QueryModel(BaseModel):
    """Parameters after the `?`: text is read as the field's type, unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


class PathModel(BaseModel):
    """Arguments in the path of a route."""

    model_config = ConfigDict(extra="forbid")


def models_of(handler: Callable[..., Any]) -> dict[str, type[BaseModel]]:
    """The pydantic models that `handler` asks for by its argument names path, query, body, form."""
    hints = get_type_hints(handler)
    return {
        part: hint
        for part in PARTS
        if isinstance(hint := hints.get(part), type) and issubclass(hint, BaseModel)
    }


def read_request(
    models: Mapping[str, type[BaseModel]], arguments: Mapping[str, Any], apart: Sequence[str] = ()
) -> dict[str, BaseModel]:
    """The parts of this request as the models say; parameters `apart` are read elsewhere.

    Raises Refused naming each field, 415 for a body that is not JSON.
    """
    _refuse_nul(arguments)
    parts: dict[str, BaseModel] = {}
    try:
        for part, model in models.items():
            if part == "query":
                parts[part] = _read_query(model, apart)
            else:
                parts[part] = _READERS[part](model, arguments)
    except ValidationError as error:
        raise Refused(_summary(error), *faults_of(error)) from None
    return parts


def _read_path(model: type[BaseModel], arguments: Mapping[str, Any]) -> BaseModel:
    return model.model_validate(dict(arguments), strict=False)


def _read_query(model: type[BaseModel], apart: Sequence[str]) -> BaseModel:
    given = from_pairs(model, request.args)
    for name in set(apart) - model.model_fields.keys():
        given.pop(name, None)
    return model.model_validate(given, strict=False)


def _read_form(model: type[BaseModel], arguments: Mapping[str, Any]) -> BaseModel:
    fields = from_pairs(model, request.form)
    fields.pop("csrf_token", None)
    fields.update({name: request.files[name] for name in request.files})
    return model.model_validate(fields, strict=False)


def _read_body(model: type[BaseModel], arguments: Mapping[str, Any]) -> BaseModel:
    if not request.is_json:
        raise UnsupportedMediaType("Send the body as application/json.")
    raw = request.get_data()
    if b"\\u0000" in raw or b"\x00" in raw:
        raise Refused("The body holds the character NUL, which no field can keep; send it without.")
    return model.model_validate_json(raw)


_READERS = {"path": _read_path, "form": _read_form, "body": _read_body}


def from_pairs(model: type[BaseModel], pairs: MultiDict[str, str]) -> dict[str, Any]:
    """Name-value pairs as a dictionary;
    a field that is a list in `model` gets all its values, any other the last.
    """
    lists = {field.alias or name for name, field in model.model_fields.items() if _is_list(field.annotation)}
    return {name: pairs.getlist(name) if name in lists else pairs.getlist(name)[-1] for name in pairs}


def _is_list(annotation: Any) -> bool:
    if get_origin(annotation) in (list, set, frozenset, tuple):
        return True
    return any(_is_list(inner) for inner in get_args(annotation))


def _refuse_nul(arguments: Mapping[str, Any]) -> None:
    texts: Iterable[str] = [str(value) for value in arguments.values()]
    if any("\x00" in text for text in (*texts, *request.args, *request.args.values())):
        raise Refused("The address holds the character NUL; send it without.")


_WORDS: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not a field of this request",
    "json_invalid": "the body is not JSON",
    "string_too_short": "is too short or empty",
    "none_required": "must be empty",
}


def faults_of(error: ValidationError) -> list[FieldFault]:
    """A field fault for each of pydantic's findings;
    `a.b` for nested fields, the record number for list items.
    """
    return [
        _fault(finding["loc"], finding["type"], finding["msg"]) for finding in error.errors(include_url=False)
    ]


def _fault(where: tuple[int | str, ...], kind: str, message: str) -> FieldFault:
    record = next((step + 1 for step in where if isinstance(step, int)), None)
    name = ".".join(str(step) for step in where) or "body"
    reason = _WORDS.get(kind) or message.removeprefix("Value error, ").replace("Input should", "should")
    return FieldFault(name, reason, record)


def _summary(error: ValidationError) -> str:
    count = error.error_count()
    return "1 field must be mended." if count == 1 else f"{count} fields must be mended."
