"""How SCIM requests are read and answered: bodies, pages, versions and errors (RFC 7644, sections 3.4 and 3.12)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, request
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from hanse.errors import HanseError, NotFound, Refused, Unauthorised
from hanse.identity.permissions import allows
from hanse.web import Protocol, current_principal, ground
from hanse.web.problems import status_of
from vomsdb.models import Group, Member
from vomsdb.permissions import SCIM_ALL
from vomsdb.scim import described, finding, resources
from vomsdb.scim.faults import ScimRefused, bad_syntax, bad_value
from vomsdb.scim.finding import Reach
from vomsdb.scim.names import ERROR, LIST
from vomsdb.scim.resources import Choice, Resource

protocol = Protocol("vomsdb_scim", __name__)
PREFIX = "/scim/v2"
CONTENT_TYPE = "application/scim+json"


def base() -> str:
    return ground().settings.url.rstrip("/") + PREFIX


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, headers=dict(headers or {}), content_type=CONTENT_TYPE)


# --- errors ---


@protocol.errorhandler(HanseError)
def refused(fault: HanseError) -> Response:
    """Every error as SCIM says it."""
    status = status_of(fault)
    kind = fault.kind if isinstance(fault, ScimRefused) else ""
    if isinstance(fault, Refused):
        status, kind = (409 if kind == "uniqueness" else 400), kind or "invalidValue"
    if isinstance(fault, Unauthorised):
        return error(status, str(fault), headers={"WWW-Authenticate": "Bearer"})
    return error(status, str(fault), kind)


@protocol.errorhandler(HTTPException)
def not_understood(fault: HTTPException) -> Response:
    """Too large, or no such method."""
    return error(fault.code or 500, fault.description or "This cannot be served.")


def error(status: int, detail: str, kind: str = "", headers: Mapping[str, str] | None = None) -> Response:
    body = {"schemas": [ERROR], "status": str(status), "detail": detail}
    return answer({**body, "scimType": kind} if kind else body, status, headers)


# --- what is asked ---


def reach() -> Reach:
    caller = current_principal()
    if allows(caller, SCIM_ALL, "federation"):
        return Reach(None)
    return Reach(
        frozenset(
            scope.removeprefix("vo:") for scope in caller.scopes("vo_manager") if scope.startswith("vo:")
        )
    )


def choice() -> Choice:
    wanted, unwanted = request.args.get("attributes", ""), request.args.get("excludedAttributes", "")
    if wanted and unwanted:
        raise bad_value("Give attributes or excludedAttributes, not both.")
    return Choice(wanted, unwanted)


def number_of(name: str, usual: int, least: int, most: int) -> int:
    """A number of the query; too small or too big ones become the nearest that is served (RFC 7644, 3.4.2.4)."""
    text = request.args.get(name, "").strip()
    digits = text.removeprefix("-")
    if not text:
        return usual
    if not (digits.isascii() and digits.isdigit() and len(digits) < 16):
        raise bad_value(f"{name} is a number.")
    return max(least, min(int(text), most))


def body_of_request() -> dict[str, Any]:
    if request.mimetype not in (CONTENT_TYPE, "application/json"):
        raise bad_syntax(f"Send {CONTENT_TYPE}.")
    try:
        body = json.loads(request.get_data())
        text = json.dumps(body, ensure_ascii=False)
        text.encode()  # half of a pair of surrogates is no text
    except (ValueError, RecursionError):
        raise bad_syntax("The body is no JSON.") from None
    if not isinstance(body, dict):
        raise bad_syntax("The body is no JSON object.")
    if "\\u0000" in text:
        raise bad_value("No text holds a NUL.")
    return body


def listed(found: list[Resource], total: int, start: int) -> Response:
    return answer(
        {
            "schemas": [LIST],
            "totalResults": total,
            "startIndex": start,
            "itemsPerPage": len(found),
            "Resources": found,
        }
    )


Drawn = Callable[[Session, list[Any]], list[Resource]]


def page(query: Any, order: Any, drawn: Drawn) -> Response:
    chosen = choice()
    start, count = (
        number_of("startIndex", 1, 1, 10**12),
        number_of("count", described.USUAL, 0, described.MOST),
    )
    with ground().db.transaction() as session:
        ids = finding.page(session, query, order, start, count) if count else []
        # a first page that is not full says by itself how many there are
        whole = start == 1 and len(ids) < count
        total = len(ids) if whole else finding.counted(session, query)
        found = [chosen.of(one) for one in drawn(session, ids)]
    return listed(found, total, start)


def single(resource: Resource, status: int = 200) -> Response:
    """One resource with its version as ETag; 304 for who has this version."""
    version = resource["meta"]["version"]
    headers = {"ETag": version}
    if status == 200 and request.method == "GET" and version in request.headers.get("If-None-Match", ""):
        return Response(status=304, headers=headers)
    if status == 201:
        headers["Location"] = resource["meta"]["location"]
    return answer(choice().of(resource), status, headers)


def check_version(resource: Resource) -> None:
    """RFC 7644, 3.14: who sends If-Match changes that version or none."""
    wanted = request.headers.get("If-Match", "").strip()
    if wanted and wanted != "*" and resource["meta"]["version"] not in wanted:
        raise Outdated("It was changed since; read it again.")


class Outdated(HanseError):
    """If-Match names another version."""


@protocol.errorhandler(Outdated)
def outdated(fault: Outdated) -> Response:
    """412, as RFC 7644 has it."""
    return error(412, fault.detail)


def user(session: Session, number: str) -> Resource:
    """A member within reach. Raises NotFound, also for one that is not."""
    if number.isascii() and number.isdigit() and len(number) < 16:
        inside = finding.members(reach(), None).where(Member.id == int(number))
        found = resources.users(session, list(session.scalars(inside)), base())
        if found:
            return found[0]
    raise NotFound(f"There is no user {number[:20]}.")


def group(session: Session, number: str, *, with_members: bool = False) -> Resource:
    path = resources.path_of_group(session, number)
    inside = finding.groups(reach(), None).where(Group.path == (path or ""))
    paths = list(session.scalars(inside))
    if not paths:
        raise NotFound(f"There is no group {number[:20]}.")
    return resources.group_list(session, paths, base(), with_members=with_members)[0]
