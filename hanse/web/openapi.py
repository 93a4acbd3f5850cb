"""What /openapi.json says beyond the models:
how to sign in, and the problems that any operation may answer with.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from hanse.identity.permissions import Permission

PROBLEM_STATUSES: Final = (400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
SCHEMES: Final[Mapping[str, Mapping[str, str]]] = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token of a person, a site or a service."},
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same token, as AMS sends it.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "hanse_session",
        "description": "A person's sign-in; what changes something also needs X-CSRF-Token.",
    },
    "certificate": {
        "type": "mutualTLS",
        "description": "A client certificate or RFC 3820 proxy, on the TLS side.",
    },
}


TABLE: Final[dict[str, Any]] = {
    "description": "CSV (RFC 4180, UTF-8) with a head line.",
    "content": {"text/csv": {"schema": {"type": "string"}}},
}


def problem_responses(method: str) -> dict[str, Any]:
    """Responses to document for every operation of `method`; 304 for reads."""
    documented: dict[str, Any] = {str(status): _problem(status) for status in PROBLEM_STATUSES}
    if method == "get":
        documented["304"] = {"description": "Not changed since the ETag that was sent."}
    return documented


def with_problems(method: str, documented: Mapping[str, Any]) -> dict[Any, Any]:
    """What an operation answers: `documented` by status, and the problems."""
    return {**problem_responses(method), **documented}


def _problem(status: int) -> dict[str, Any]:
    reference = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {"description": HTTPStatus(status).phrase, "content": {"application/problem+json": reference}}


def security_of(permission: Permission) -> list[dict[str, list[Any]]] | None:
    """Any one of the ways to sign in, or none for what everybody may read."""
    if "public" in permission.roles:
        return None
    return [{name: []} for name in SCHEMES]
