"""make_app(): a Flask application from rooms, the same way for every service."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Response, g, redirect, request, send_from_directory
from flask_openapi.models.info import Info
from flask_openapi.openapi import OpenAPI

from hanse import pages as visual
from hanse.database import Database
from hanse.identity.oidc import Providers
from hanse.settings import ServiceSettings
from hanse.web.bodies import measure_body
from hanse.web.ground import EXTENSION, Ground, ground
from hanse.web.health import Gauge, install_health
from hanse.web.openapi import SCHEMES
from hanse.web.pages import install_pages
from hanse.web.problems import Problem, install_error_answers
from hanse.web.rooms import Api, Pages, Protocol, public
from hanse.web.rules import QuickRule
from hanse.web.security import install_headers
from hanse.web.selection import with_selection
from hanse.web.sessions import configure_sessions
from hanse.web.signin import install_signin

if TYPE_CHECKING:
    from hanse.identity.authority import Authority

log = structlog.get_logger("hanse.web")


def make_app(
    service_name: str,
    settings: ServiceSettings,
    db: Database,
    *,
    import_name: str,
    rooms: Iterable[Api | Pages | Protocol],
    authority: Authority,
    ready: Mapping[str, Callable[[], None]] | None = None,
    gauges: Callable[[], Iterable[Gauge]] | None = None,
    badges: Callable[[], Mapping[str, int]] | None = None,
    version: Callable[[], str] | None = None,
    banners: tuple[str, ...] = (),
) -> Flask:
    """The application of one service.

    `ready` are further checks of /readyz (raise a HanseError or OSError with a sentence); `gauges` the
    figures of /metrics; `badges` numbers beside sections of the top bar, by their label; `version` a text that
    differs whenever anything differs that `revised` reads tell; `banners` sentences above every page. Raises
    TypeError for a route that names no permission. Connects to nothing.
    """
    app = _bare_app(service_name, settings, import_name)
    rooms = tuple(rooms)
    app.extensions[EXTENSION] = Ground(
        service=service_name,
        package=import_name.partition(".")[0],
        settings=settings,
        db=db,
        authority=authority,
        providers=Providers(settings.sign_in),
        nav=tuple(entry for room in rooms if isinstance(room, Pages) for entry in room.nav),
        badges=badges,
        ready=dict(ready or {}),
        version=version,
        banners=banners,
    )
    configure_sessions(app, settings)
    _install_request_log(app)
    install_headers(app, settings)
    install_error_answers(app)
    install_pages(app)
    for room in rooms:
        _enter(app, room)
    _install_built_in(app, gauges)
    _demand_permissions(app)
    return app


def _bare_app(service_name: str, settings: ServiceSettings, import_name: str) -> OpenAPI:
    app = OpenAPI(
        import_name,
        info=Info(title=f"Hanse {service_name}", version=_version()),
        security_schemes={name: dict(scheme) for name, scheme in SCHEMES.items()},
        validation_error_model=Problem,
        doc_ui=False,
        static_folder=None,
    )
    app.url_rule_class = QuickRule
    app.openapi_version = "3.1.0"
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_body_bytes
    return app


def _version() -> str:
    try:
        return version("hanse")
    except PackageNotFoundError:
        return "0"


def _enter(app: OpenAPI, room: Api | Pages | Protocol) -> None:
    if isinstance(room, Api):
        app.register_api(room.api_blueprint)
    else:
        app.register_blueprint(room.blueprint)


def _install_built_in(app: OpenAPI, gauges: Callable[[], Iterable[Gauge]] | None) -> None:
    install_signin(app)
    install_health(app, gauges)

    def openapi() -> dict[str, Any]:
        if "hanse_document" not in app.extensions:
            app.extensions["hanse_document"] = with_selection(app.api_doc, app)
        document: dict[str, Any] = app.extensions["hanse_document"]
        return document

    app.add_url_rule("/openapi.json", "openapi", public(openapi, "api"))
    app.add_url_rule("/assets/<path:filename>", "static", public(asset, "protocol"))
    if not any(rule.rule == "/" for rule in app.url_map.iter_rules()):
        app.add_url_rule("/", "home", public(_home))


def asset(filename: str) -> Response:
    """A file of hanse/pages/assets;
    kept for a year when the address names the content (`?v=`), else asked for again.
    """
    return send_from_directory(visual.ASSETS, filename, max_age=31_536_000 if "v" in request.args else 0)


def _home() -> Response:
    """Home is the registry's; without one, the first page of this service."""
    here = ground()
    target = here.settings.registry_url or (here.nav[0][1] if here.nav else "/healthz")
    answer = redirect(target, 302)
    assert isinstance(answer, Response)
    return answer


def _demand_permissions(app: Flask) -> None:
    for endpoint, view in app.view_functions.items():
        if not hasattr(view, "hanse_permission"):
            raise TypeError(f"The route {endpoint} names no permission; declare it in a room of hanse.web.")


def _install_request_log(app: Flask) -> None:
    def begin() -> None:
        g.request_id = uuid.uuid4().hex[:16]
        g.began = time.monotonic()
        measure_body(request, app.config["MAX_CONTENT_LENGTH"])

    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        if request.endpoint not in ("healthz", "static"):
            _log_request(response)
        return response

    app.before_request(begin)
    app.after_request(end)


def _log_request(response: Response) -> None:
    """One line a request. No query string and no headers: they can carry tokens."""
    principal = g.get("hanse_principal")
    log.info(
        "request",
        request_id=g.request_id,
        method=request.method,
        path=request.path,
        status=response.status_code,
        ms=round((time.monotonic() - g.began) * 1000, 1),
        remote=request.remote_addr,
        principal=principal.key if principal else None,
        how=g.get("hanse_how"),
    )
