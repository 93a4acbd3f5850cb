"""What the GOCDB-compatible interfaces understand, for whoever writes a client: one page of plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flask import Response

from hanse.identity.permissions import PUBLIC
from hanse.web import Protocol, conditional
from registry.gocdb.writing import PROPERTIES
from registry.protocols.gocdb_methods import METHODS, Method

ADDRESS: Final = "/gocdbpi/help"
_LEVELS: Final[Mapping[int, str]] = {
    1: "everybody",
    2: "any trusted credential",
    3: "any trusted credential; with restrict_personal_data API credentials and people with a role",
}

protocol = Protocol("gocdb_help", __name__)


@protocol.route(ADDRESS, ["GET"], permission=PUBLIC)
def help_page() -> Response:
    """The page."""
    return conditional(Response(_page(), content_type="text/plain; charset=utf-8"))


def _page() -> str:
    reading = "\n".join(_method(name, method) for name, method in METHODS.items())
    writing = "\n".join(f"  {entity}: {', '.join(sorted(names))}" for entity, names in PROPERTIES.items())
    return f"""GOCDB-compatible interfaces

READ    GET /gocdbpi/public/?method=M&..    GET /gocdbpi/private/?method=M&..

Without scope= the default scopes are meant; scope= (empty) means all; scope=a,b with scope_match=all or any.
Names take % and _ as wildcards. next_cursor=0 begins paging, 100 objects a page; follow <link rel="next">.
Faults come with HTTP 200 and an <error>, or as plain text.

{reading}

WRITE   POST, PUT, DELETE /gocdbpi/v5/{{site|service|endpoint}}/{{id}}/{{property}}[/{{key}}]

POST makes what is not there, PUT makes or replaces, DELETE takes away. An API credential of the site that may write
signs in with its certificate or token. A value is sent as {{"value": ..}}, extension properties as
{{"key": "value", ..}}, an endpoint as {{"name": .., "url": .., ..}}. Answers: 204, or
{{"Error": {{"Code", "Message", "API-Documentation"}}}}.

{writing}
"""


def _method(name: str, method: Method) -> str:
    paging = ", pages" if method.paged else ""
    parameters = " ".join(sorted(method.parameters)) or "-"
    return f"  {name}\n    {_LEVELS[method.level]}{paging}\n    {parameters}"
