"""GOCDB's write interface (v5): `/gocdbpi/v5/{site|service|endpoint}/{id}/{property}[/{key}]`.

JSON in; 204 without a body, or a JSON error, out. The address is read without regard to case, the key excepted.
"""

from __future__ import annotations

import json
import re
from typing import Final

from flask import Response, request
from pydantic_core import to_json
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from hanse.database import is_connection_loss
from hanse.errors import HanseError
from hanse.identity.permissions import PUBLIC, SIGNED_IN
from hanse.web import Protocol, current_principal, ground
from registry import api_credentials
from registry.gocdb import writing
from registry.gocdb.writing import Write, WriteFault
from registry.protocols import gocdb_help
from registry.settings import RegistrySettings

VERSION: Final = "v5"
LARGEST_BODY: Final = 65_536
_FORM: Final = (
    "/gocdbpi/v5/{site|service|endpoint}/{id}/{property}, and /{key} after it for one extension property"
)

protocol = Protocol("gocdb_write", __name__)


@protocol.route("/gocdbpi/<path:write>", ["POST", "PUT", "DELETE"], permission=SIGNED_IN)
def change(write: str) -> Response:
    """Make one change, as an API credential of the site that may write."""
    _demand_writable()
    ground_db, caller = ground().db, current_principal()
    wanted = _read(write)
    api_credentials.seen(ground_db, caller)  # a use counts, whatever becomes of it
    writing.write(ground_db, caller, wanted)
    return Response(status=204)


@protocol.route("/gocdbpi/<path:write>", ["GET", "PATCH"], permission=PUBLIC)
def refuse(write: str) -> Response:
    """The interface writes; what is read is asked of the read interface."""
    _read_address(write)
    raise WriteFault(405, "The interface takes POST, PUT and DELETE; read with /gocdbpi/public/?method=..")


@protocol.errorhandler(WriteFault)
def answer_fault(fault: WriteFault) -> Response:
    """A change that was not made."""
    return _error(fault.code, fault.message)


@protocol.errorhandler(HanseError)
def answer_error(error: HanseError) -> Response:
    """The same for what the use cases refuse; no credential is 403 here, as is one that may not."""
    reasons = [f"{fault.field} {fault.reason}" for fault in error.fields]
    return _error(writing.code_of(error), " ".join([error.detail, *reasons]))


@protocol.errorhandler(SQLAlchemyError)
def answer_database(error: SQLAlchemyError) -> Response:
    """The database is away for a moment; anything else is unforeseen, and logged as such."""
    if not is_connection_loss(error):
        raise error
    return _error(503, "The registry's database does not answer at the moment; try again in some seconds.")


@protocol.errorhandler(HTTPException)
def answer_http(error: HTTPException) -> Response:
    """What the server refuses before the interface sees it: a body that is too large or broke off."""
    return _error(400, "The body is too large, or it broke off; send one JSON object.")


def _error(code: int, message: str) -> Response:
    body = {"Error": {"Code": code, "Message": message, "API-Documentation": _documentation()}}
    answer = Response(to_json(body), code, content_type="application/json")
    if code == 405:
        answer.headers["Allow"] = "POST, PUT, DELETE"
    return answer


def _documentation() -> str:
    settings = ground().settings
    home = settings.tls_url if request.is_secure else settings.url
    return f"{home.rstrip('/')}{gocdb_help.ADDRESS}"


def _demand_writable() -> None:
    settings = ground().settings
    assert isinstance(settings, RegistrySettings)
    if settings.read_only:
        raise WriteFault(503, settings.read_only_reason)


def _read(address: str) -> Write:
    entity, number, name, key = _read_address(address)
    return Write(request.method, entity, number, name, key, _read_body())


def _read_address(address: str) -> tuple[str, int, str, str | None]:
    """Kind, id, property, and key or None. Raises WriteFault."""
    parts = address.rstrip("/").split("/", 4)
    version, entity = parts[0].lower(), parts[1].lower() if len(parts) > 1 else ""
    if version != VERSION:
        raise WriteFault(400, f"There is no version {parts[0]} of this interface; the address is {_FORM}.")
    if len(parts) < 4:
        raise WriteFault(400, f"The address is too short; it is {_FORM}.")
    if not re.fullmatch(r"[0-9]{1,15}", parts[2], re.ASCII):
        raise WriteFault(400, f"The id of a {entity} is a whole number; the address is {_FORM}.")
    return entity, int(parts[2]), parts[3].lower(), parts[4] if len(parts) == 5 else None


def _read_body() -> dict[str, object] | None:
    """The JSON object that came; None without one. Raises WriteFault."""
    if (request.content_length or 0) > LARGEST_BODY:
        raise WriteFault(
            400, f"The body is larger than {LARGEST_BODY:,} bytes; send fewer properties at once."
        )
    raw = request.get_data()
    if not raw.strip():
        return None
    if len(raw) > LARGEST_BODY:
        raise WriteFault(
            400, f"The body is larger than {LARGEST_BODY:,} bytes; send fewer properties at once."
        )
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise WriteFault(400, "The body is not JSON; send one object in UTF-8.") from None
    if not isinstance(body, dict):
        raise WriteFault(400, "The body is JSON, but not an object; send {..}.")
    return body
