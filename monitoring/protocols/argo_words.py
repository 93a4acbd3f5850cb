"""How ARGO's web API speaks: its envelope, its errors, JSON or XML as the Accept header asks, numbers as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any, TypeVar
from xml.etree import ElementTree

from flask import Response, request
from pydantic import BaseModel, ValidationError

from hanse import errors
from hanse.errors import HanseError
from hanse.web import Protocol, ground
from hanse.web.wire import faults_of
from monitoring.clock import database_time

JSON, XML = "application/json", "application/xml"
MOST_BYTES = 4_194_304
MOST_DAYS = 400
STATUS_OF: Mapping[type[HanseError], int] = {
    errors.Unauthorised: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.Unavailable: 503,
}
Model = TypeVar("Model", bound=BaseModel)


class ArgoFault(Exception):
    """An error in ARGO's envelope."""

    def __init__(self, status: int, details: str) -> None:
        super().__init__(details)
        self.status = status
        self.details = details


@dataclass(frozen=True)
class Node:
    """A group, service, endpoint or metric in an answer: what it is called, its rows, and what hangs under it."""

    name: str
    type: str = ""
    rows: Sequence[Mapping[str, Any]] | None = None
    children: Sequence[Node] = ()
    below: str = ""
    info: Mapping[str, str] | None = None
    name_key: str = "name"
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self, rows_key: str) -> dict[str, Any]:
        """As JSON has it; `below` is the key of the children."""
        found: dict[str, Any] = {self.name_key: self.name, **self.more}
        if self.type:
            found["type"] = self.type
        if self.info is not None:
            found["info"] = dict(self.info)
        if self.rows is not None:
            found[rows_key] = [dict(row) for row in self.rows]
        if self.below:
            found[self.below] = [child.as_json(rows_key) for child in self.children]
        return found

    def as_xml(self, row_tag: str) -> ElementTree.Element:
        """As XML has it: everything is a group."""
        found = ElementTree.Element("group", {"name": self.name, "type": self.type or "metric"})
        for row in self.rows or ():
            ElementTree.SubElement(found, row_tag, {key: str(value) for key, value in row.items()})
        found.extend(child.as_xml(row_tag) for child in self.children)
        return found


def speak(protocol: Protocol) -> None:
    """Have the routes of `protocol` answer errors in ARGO's envelope."""
    protocol.errorhandler(ArgoFault)(_answer_fault)
    protocol.errorhandler(HanseError)(_answer_error)


def _answer_fault(fault: ArgoFault) -> Response:
    return failed(fault.status, fault.details)


def _answer_error(error: HanseError) -> Response:
    status = next((code for kind, code in STATUS_OF.items() if isinstance(error, kind)), 422)
    return failed(status, str(error))


def failed(status: int, details: str) -> Response:
    """An error: `status`, and the same with its sentence under `errors`."""
    message = HTTPStatus(status).phrase
    body = {
        "status": {"message": message, "code": str(status)},
        "errors": [{"message": message, "code": str(status), "details": details}],
    }
    return Response(json.dumps(body), status, content_type=f"{JSON}; charset=utf-8")


def demand_accept() -> str:
    """The media type of the answer. Raises 406 unless the caller names JSON or XML."""
    for asked, _ in request.accept_mimetypes:
        if asked in (JSON, XML):
            return asked
    raise ArgoFault(406, f"Send the header Accept: {JSON} (or {XML}, where there is XML).")


def success(data: Any, *, status: int = 200, message: str = "Success") -> Response:
    """The envelope of configuration: `status` and `data`."""
    demand_accept()
    body = {"status": {"message": message, "code": str(status)}, "data": data}
    return Response(json.dumps(body), status, content_type=f"{JSON}; charset=utf-8")


def created(profile_id: str, what: str) -> Response:
    """201 with the new thing's id and address."""
    link = f"{request.base_url.rstrip('/')}/{profile_id}"
    data = {"id": profile_id, "links": {"self": link}}
    return success(data, status=201, message=f"{what} successfully created")


def tree(key: str, nodes: Sequence[Node], *, rows_key: str, row_tag: str) -> Response:
    """Results or statuses as JSON (`{key: [...]}`) or XML (`<root>`)."""
    if demand_accept() == JSON:
        body = {key: [node.as_json(rows_key) for node in nodes]}
        return Response(json.dumps(body), content_type=f"{JSON}; charset=utf-8")
    root = ElementTree.Element("root")
    root.extend(node.as_xml(row_tag) for node in nodes)
    return Response(
        ElementTree.tostring(root, "utf-8", xml_declaration=True), content_type=f"{XML}; charset=utf-8"
    )


def number(value: Decimal | None) -> str:
    """A figure as ARGO writes it: the shortest text of the double, without a point where it is whole; None is nan."""
    if value is None:
        return "nan"
    return repr(float(value)).removesuffix(".0")


def body_as(model: type[Model], drop: Sequence[str] = ("id", "date")) -> Model:
    """The JSON body as `model`, without what is ours to say. Raises 400, or 422 naming each field."""
    if (request.content_length or 0) > MOST_BYTES:
        raise ArgoFault(413, f"The body is larger than {MOST_BYTES} bytes.")
    try:
        given = json.loads(request.get_data())
    except (ValueError, RecursionError):
        raise ArgoFault(400, "The body is not JSON; send one object.") from None
    if not isinstance(given, dict):
        raise ArgoFault(400, "The body is not one JSON object.")
    try:
        return model.model_validate({key: value for key, value in given.items() if key not in drop})
    except ValidationError as fault:
        said = "; ".join(f"{one.field}: {one.reason}" for one in faults_of(fault))
        raise ArgoFault(422, said) from None


def asked_day() -> date:
    """`?date=YYYY-MM-DD`, else today (UTC)."""
    return day_of(request.args["date"], "date") if request.args.get("date") else today()


def today() -> date:
    """The UTC day now."""
    with ground().db.transaction() as session:
        return database_time(session).astimezone(UTC).date()


def day_of(text: str, name: str) -> date:
    """A date of the request. Raises 400."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise ArgoFault(400, f"{name} must be a date such as 2026-05-04, not {text[:40]!r}.") from None


@dataclass(frozen=True, slots=True)
class Period:
    """The whole days that a request is about."""

    first: date
    last: date

    @property
    def days(self) -> list[date]:
        """Each of them."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


def period() -> Period:
    """`?start_time=&end_time=` as days. Raises 400."""
    start, end = _moment("start_time"), _moment("end_time")
    if end < start:
        raise ArgoFault(400, "end_time must not be before start_time.")
    if (end - start).days > MOST_DAYS:
        raise ArgoFault(400, f"Ask for {MOST_DAYS} days at most.")
    return Period(start.date(), end.date())


def _moment(name: str) -> datetime:
    given = request.args.get(name, "")
    try:
        return datetime.strptime(given, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ArgoFault(
            400, f"{name} must be a UTC time such as 2026-05-04T00:00:00Z, not {given[:40]!r}."
        ) from None


def whole_number(name: str, default: int, most: int, convert: Callable[[str], int] = int) -> int:
    """A number of the query from 0 to `most`. Raises 400."""
    try:
        value = convert(request.args.get(name, str(default)))
    except ValueError:
        value = -1
    if not 0 <= value <= most:
        raise ArgoFault(400, f"{name} must be a whole number from 0 to {most}.")
    return value
