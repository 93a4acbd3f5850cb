"""Everything HTTP: one make_app() for all services, rooms for routes, who is calling, problems, pages.

A service declares its routes in rooms. `Api` is JSON under /api/v1, `Pages` is HTML for people, `Protocol` is
an interface that keeps another system's rules. Each route names the permission that it needs; `make_app`
refuses a route without one.
"""

from hanse.web.app import make_app
from hanse.web.callers import authorise, current_principal
from hanse.web.ground import Ground, ground
from hanse.web.health import Gauge
from hanse.web.listing import (
    CursorQuery,
    Listing,
    after,
    conditional,
    csv_response,
    csv_stream,
    cursor_page,
    saved_as,
    spooled,
)
from hanse.web.pages import FormFaults, page, read_form
from hanse.web.problems import Problem, problem
from hanse.web.rooms import Api, Pages, Protocol
from hanse.web.sessions import csrf_token
from hanse.web.wire import PathModel, QueryModel, Wire

__all__ = [
    "Api",
    "CursorQuery",
    "FormFaults",
    "Gauge",
    "Ground",
    "Listing",
    "Pages",
    "PathModel",
    "Problem",
    "Protocol",
    "QueryModel",
    "Wire",
    "after",
    "authorise",
    "conditional",
    "csrf_token",
    "csv_response",
    "csv_stream",
    "current_principal",
    "cursor_page",
    "ground",
    "make_app",
    "page",
    "problem",
    "read_form",
    "saved_as",
    "spooled",
]
