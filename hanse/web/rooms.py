"""Rooms: where a service puts its routes. Each route names its permission; the room does the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.tag import Tag
from pydantic import BaseModel
from pydantic_core import to_json

from hanse.identity.permissions import PUBLIC, Permission
from hanse.web.callers import admit
from hanse.web.listing import conditional, not_changed, version_seen
from hanse.web.openapi import TABLE, security_of, with_problems
from hanse.web.selection import PARAMETER, chosen_fields, item_model, picked, selectable
from hanse.web.tables import narrowed, requested_file, table_of
from hanse.web.wire import models_of, read_request

Handler = TypeVar("Handler", bound=Callable[..., Any])
Answer = BaseModel | Mapping[str, Any] | list[Any] | Response | tuple[Any, ...] | None


class Room:
    """A group of routes with one way of speaking. `kind` is api, pages or protocol."""

    kind = ""

    def __init__(self, blueprint: Blueprint) -> None:
        self.blueprint = blueprint
        self.name = blueprint.name

    def _mark(self, view: Callable[..., Any], permission: Permission) -> None:
        view.hanse_permission = permission  # type: ignore[attr-defined]
        view.hanse_room = self.kind  # type: ignore[attr-defined]


class Api(Room):
    """JSON under /api/v1, described in /openapi.json.

    A handler takes any of `path`, `query`, `body`, `form` as pydantic models and gives a model, a dictionary,
    a list, (answer, status), (answer, status, headers), a Response, or None for 204. Answers to GET carry an
    ETag, and take `?fields=a,b` where `responses` says what they hold. With `csv` every list of the room has a
    table at the same address with `.csv`.
    """

    kind = "api"

    def __init__(
        self, name: str, import_name: str, tag: str, *, prefix: str = "/api/v1", csv: bool = False
    ) -> None:
        self._csv = csv
        self.api_blueprint = APIBlueprint(name, import_name, url_prefix=prefix, abp_tags=[Tag(name=tag)])
        super().__init__(self.api_blueprint)

    def get(self, rule: str, **described: Any) -> Callable[[Handler], Handler]:
        """Read.

        Keywords: `permission` and `summary` (both needed), `responses={200: Model}`, `description`, `revised`:
        the answer changes only with the service's version, so who has seen this version is answered 304 at once;
        `csv`: whether a list has its table, when it differs from the room.
        """
        return self._route("get", rule, **described)

    def post(self, rule: str, **described: Any) -> Callable[[Handler], Handler]:
        """Create or act; keywords as for `get`."""
        return self._route("post", rule, **described)

    def put(self, rule: str, **described: Any) -> Callable[[Handler], Handler]:
        """Replace; keywords as for `get`."""
        return self._route("put", rule, **described)

    def patch(self, rule: str, **described: Any) -> Callable[[Handler], Handler]:
        """Change a part; keywords as for `get`."""
        return self._route("patch", rule, **described)

    def delete(self, rule: str, **described: Any) -> Callable[[Handler], Handler]:
        """Remove; keywords as for `get`."""
        return self._route("delete", rule, **described)

    def _route(
        self,
        method: str,
        rule: str,
        *,
        permission: Permission,
        summary: str,
        description: str | None = None,
        responses: Mapping[int | HTTPStatus, Any] | None = None,
        revised: bool = False,
        csv: bool | None = None,
    ) -> Callable[[Handler], Handler]:
        documented = {str(int(code)): model for code, model in (responses or {200: None}).items()}
        answered = documented.get("200") if method == "get" else None
        register = getattr(self.api_blueprint, method)(
            rule,
            summary=summary,
            description=description,
            security=security_of(permission),
            responses=with_problems(method, documented),
        )

        def decorate(handler: Handler) -> Handler:
            _demand_path_model(rule, handler)
            register(self._bound(handler, permission, selectable(answered), revised=revised))
            if item_model(answered) is not None and (self._csv if csv is None else csv):
                self._add_table(rule, handler, permission, answered, summary, revised=revised)
            return handler

        return decorate

    def _bound(
        self, handler: Callable[..., Any], permission: Permission, known: tuple[str, ...], *, revised: bool
    ) -> Callable[..., Any]:
        models = models_of(handler)

        @wraps(handler)
        def bound(**arguments: Any) -> Response:
            admit(permission, self.kind, arguments)
            seen = version_seen() if revised else None
            if seen is not None and (unchanged := not_changed(seen)) is not None:
                return unchanged
            wanted = chosen_fields(known)
            parts = read_request(models, arguments, (PARAMETER,) if known else ())
            return json_answer(picked(handler(**parts), wanted), seen)

        bound.hanse_selectable = known  # type: ignore[attr-defined]
        return self._finished(bound, permission)

    def _finished(self, bound: Callable[..., Any], permission: Permission) -> Callable[..., Any]:
        # the request is read here, strictly, and not by the OpenAPI layer
        bound.__delay_validate_request__ = True  # type: ignore[attr-defined]
        self._mark(bound, permission)
        return bound

    def _add_table(
        self,
        rule: str,
        handler: Callable[..., Any],
        permission: Permission,
        answered: Any,
        summary: str,
        *,
        revised: bool,
    ) -> None:
        """The list at `rule` as CSV, at the same address with `.csv`."""
        models = models_of(handler)
        shown = {part: narrowed(model) if part == "query" else model for part, model in models.items()}
        columns = selectable(answered)

        def table(**arguments: Any) -> Response:
            admit(permission, self.kind, arguments)
            seen = version_seen() if revised else None
            if seen is not None and (unchanged := not_changed(seen)) is not None:
                return unchanged
            parts = read_request(shown, arguments, (PARAMETER,))
            return conditional(table_of(handler, models, parts, columns, requested_file()), seen)

        table.__name__ = f"{handler.__name__}_table"
        table.__doc__ = f"{summary}, as CSV with the same filters: all pages in one table."
        table.__annotations__ = {**shown, "return": Response}
        table.hanse_selectable = columns  # type: ignore[attr-defined]
        self.api_blueprint.get(
            f"{rule}.csv",
            summary=f"{summary}, as CSV",
            security=security_of(permission),
            responses=with_problems("get", {"200": TABLE}),
        )(self._finished(table, permission))


class Pages(Room):
    """HTML for people. `nav` is this room's part of the second row of the shell, as (label, path)."""

    kind = "pages"

    def __init__(self, name: str, import_name: str, *, nav: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(Blueprint(name, import_name))
        self.nav: list[tuple[str, str]] = list(nav)

    def get(self, rule: str, *, permission: Permission) -> Callable[[Handler], Handler]:
        """A page. The handler takes the path's arguments by name and gives `page(...)` or a redirect."""
        return self._route(rule, "GET", permission)

    def post(self, rule: str, *, permission: Permission) -> Callable[[Handler], Handler]:
        """A form.

        Forged requests are refused before the handler runs; answer with a redirect (303) or the form.
        """
        return self._route(rule, "POST", permission)

    def _route(self, rule: str, method: str, permission: Permission) -> Callable[[Handler], Handler]:
        def decorate(handler: Handler) -> Handler:
            @wraps(handler)
            def bound(**arguments: Any) -> ResponseReturnValue:
                admit(permission, self.kind, arguments)
                answer: ResponseReturnValue = handler(**arguments)
                return answer

            self._mark(bound, permission)
            endpoint = f"{handler.__name__}_{method.lower()}"
            self.blueprint.add_url_rule(rule, endpoint, bound, methods=[method])
            return handler

        return decorate


class Protocol(Room):
    """An interface that keeps another system's rules, errors included: register them with `errorhandler`.

    Cookies count for nothing here. `token_parameter` names a query parameter that may carry the token where
    the protocol has one (AMS: `key`).
    """

    kind = "protocol"

    def __init__(self, name: str, import_name: str, *, token_parameter: str | None = None) -> None:
        super().__init__(Blueprint(name, import_name))
        self._token_parameter = token_parameter

    def route(
        self, rule: str, methods: Sequence[str], *, permission: Permission
    ) -> Callable[[Handler], Handler]:
        """Answer `methods` at `rule`;
        the handler takes the path's arguments by name and gives what Flask takes.
        """

        def decorate(handler: Handler) -> Handler:
            @wraps(handler)
            def bound(**arguments: Any) -> ResponseReturnValue:
                admit(permission, self.kind, arguments)
                answer: ResponseReturnValue = handler(**arguments)
                return answer

            self._mark(bound, permission)
            bound.hanse_token_parameter = self._token_parameter  # type: ignore[attr-defined]
            endpoint = "_".join([handler.__name__, *map(str.lower, methods)])
            self.blueprint.add_url_rule(rule, endpoint, bound, methods=list(methods))
            return handler

        return decorate

    def errorhandler(self, kind: type[Exception] | int) -> Callable[[Handler], Handler]:
        """How this protocol says `kind`; it sees the errors of its own routes only."""

        def decorate(handler: Handler) -> Handler:
            self.blueprint.register_error_handler(kind, handler)
            return handler

        return decorate


def json_answer(answer: Answer, seen: str | None = None) -> Response:
    """What a handler gave, as a Response: JSON with UTC times, and an ETag where it is a read.

    `seen` is the version that the answer was made of, when nothing but the version changes it.
    """
    if isinstance(answer, Response):
        return answer
    status, headers, content = 200, {}, answer
    if isinstance(answer, tuple):
        content, status, headers = (*answer, {})[:3] if len(answer) == 2 else answer
    if isinstance(content, Response):
        content.status_code = int(status)
        content.headers.update(headers)
        return content
    if content is None:
        return Response(status=204 if status == 200 else int(status), headers=headers)
    body = (
        content.model_dump_json(by_alias=True).encode()
        if isinstance(content, BaseModel)
        else to_json(content)
    )
    made = Response(body, int(status), headers=headers, content_type="application/json")
    return conditional(made, seen)


def _demand_path_model(rule: str, handler: Callable[..., Any]) -> None:
    wanted = set(re.findall(r"<(?:[^<>:]+:)?([^<>]+)>", rule))
    model = models_of(handler).get("path")
    known = set(model.model_fields) if model else set()
    if wanted != known:
        raise TypeError(
            f"{rule}: {handler.__name__} must take `path`, a model with the fields {sorted(wanted)}."
        )


def public(view: Callable[..., Any], kind: str = "pages") -> Callable[..., Any]:
    """Mark a built-in view as open to everybody, so that the rule "every route names a permission" holds for
    it too.
    """
    view.hanse_permission = PUBLIC  # type: ignore[attr-defined]
    view.hanse_room = kind  # type: ignore[attr-defined]
    return view
