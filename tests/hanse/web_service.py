"""A small service with every kind of room: sites that one can list, read, create and close."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from flask import Flask, Response, redirect, request
from flask.testing import FlaskClient
from jinja2 import ChoiceLoader, FileSystemLoader
from pydantic import BaseModel, Field
from sqlalchemy import text

from hanse.database import Database, Followed
from hanse.errors import Conflict, HanseError, NotFound, Refused
from hanse.identity.authority import Authority
from hanse.identity.permissions import PUBLIC, SIGNED_IN, Permission
from hanse.identity.tokens import token_key
from hanse.identity.trust import TrustStore
from hanse.settings import ServiceSettings
from hanse.web import (
    Api,
    CursorQuery,
    FormFaults,
    Gauge,
    Listing,
    Pages,
    PathModel,
    Protocol,
    Wire,
    after,
    current_principal,
    cursor_page,
    ground,
    make_app,
    page,
    read_form,
)
from hanse.web.feed import feed_room

READ = Permission("list sites", frozenset({"site_administrator", "federation_operator"}))
CLOSE = Permission("close this site", frozenset({"site_administrator", "federation_operator"}), "site:{site}")
SITES = ["BIFI", "CESNET", "UKIM"]
TOKENS = {
    "Ingrid Holm": ("federation_operator", "federation"),
    "Eliška Malá": ("site_administrator", "site:CESNET"),
    "Anna Lindqvist": None,
}


class SitePath(PathModel):
    """A site by name."""

    site: str = Field(max_length=60)


class SiteIn(Wire):
    """A new site."""

    name: str = Field(min_length=1, max_length=60)
    vcpu: int = Field(ge=0, le=10**9)
    since: datetime | None = None


class SiteOut(BaseModel):
    """A site."""

    name: str
    vcpu: int


class SiteQuery(CursorQuery):
    """Which sites."""

    vo: list[str] = Field(default_factory=list, max_length=5)


def api_room() -> Api:
    """Sites as JSON."""
    api = Api("sites", __name__, "Sites")

    @api.get("/sites", permission=READ, summary="All sites", responses={200: Listing[SiteOut]})
    def sites(query: SiteQuery) -> dict[str, Any]:
        last = after(query.cursor)
        rows = [name for name in SITES if last is None or name > str(last[0])][: query.limit + 1]
        return cursor_page(rows, query.limit, lambda name: (name,), lambda name: {"name": name, "vcpu": 1})

    @api.post("/sites", permission=READ, summary="Register a site", responses={201: SiteOut})
    def register(body: SiteIn) -> tuple[SiteOut, int]:
        if body.name in SITES:
            raise Conflict(f"There is a site {body.name} already.")
        return SiteOut(name=body.name, vcpu=body.vcpu), 201

    @api.get("/sites/<site>", permission=PUBLIC, summary="One site", responses={200: SiteOut})
    def one(path: SitePath) -> SiteOut:
        if path.site not in SITES:
            raise NotFound(f"There is no site {path.site}.")
        return SiteOut(name=path.site, vcpu=64)

    @api.delete("/sites/<site>", permission=CLOSE, summary="Close a site", responses={204: None})
    def close(path: SitePath) -> None:
        if path.site not in SITES:
            raise NotFound(f"There is no site {path.site}.")

    @api.get("/me", permission=SIGNED_IN, summary="Who I am")
    def me() -> dict[str, Any]:
        who = current_principal()
        subject = who.x509.subject_slash if who.x509 else None
        return {"key": who.key, "kind": who.kind, "name": who.name, "subject": subject}

    @api.get("/slow", permission=PUBLIC, summary="Reads the database")
    def slow() -> dict[str, Any]:
        with ground().db.transaction() as session:
            return {"one": session.scalar(text("select 1"))}

    @api.get("/broken", permission=PUBLIC, summary="Has a fault")
    def broken() -> dict[str, Any]:
        raise RuntimeError("a fault of ours, with a secret in it")

    return api


class Renaming(BaseModel):
    """The form of the page."""

    name: str = Field(min_length=3)
    vcpu: int = 0


def pages_room() -> Pages:
    """Pages for people."""
    pages = Pages("site_pages", __name__, nav=[("All sites", "/sites"), ("New", "/sites/new")])

    @pages.get("/sites", permission=PUBLIC)
    def sites() -> Response:
        return page("sites.html", title="Sites", sentence="3 sites.", sites=SITES, api="/api/v1/sites")

    @pages.get("/sites/<site>/close", permission=CLOSE)
    def close_form(site: str) -> Response:
        return page("sites.html", title=f"Close {site}", sites=[site])

    @pages.post("/sites/<site>/close", permission=CLOSE)
    def close(site: str) -> Any:
        return redirect("/sites", 303)

    @pages.post("/sites/new", permission=READ)
    def new() -> Any:
        form, faults = read_form(Renaming)
        if form is None:
            return page("site_form.html", title="New site", form=faults, status=422)
        if form.name == "BIFI":
            refusal = Refused("There is a site BIFI already.")
            return page(
                "site_form.html", title="New site", form=FormFaults.of(refusal, request.form), status=422
            )
        return redirect("/sites", 303)

    @pages.post("/hello", permission=PUBLIC)
    def hello() -> str:
        return "hello"

    return pages


def protocol_room() -> Protocol:
    """An interface with rules of its own."""
    protocol = Protocol("old", __name__, token_parameter="key")

    @protocol.route("/old/whoami", ["GET", "POST"], permission=PUBLIC)
    def whoami() -> str:
        return current_principal().name

    @protocol.route("/old/sites", ["GET"], permission=READ)
    def sites() -> str:
        return "<sites/>"

    @protocol.errorhandler(HanseError)
    def refusal(error: HanseError) -> Response:
        return Response(f"<error>{error.detail}</error>", 200, content_type="application/xml")

    return protocol


def token_of(person: str) -> str:
    """The API token of somebody of the cast."""
    return f"hanse_test_{token_key(person)[-40:]}"


@dataclass
class WebHouse:
    """The service under test, its database, and clients for the cast."""

    db: Database
    settings: ServiceSettings
    app: Flask
    gauges: list[Gauge] = field(default_factory=list)

    def client(self, person: str = "") -> FlaskClient:
        """A program that shows the token of `person`; "" shows nothing."""
        client = self.app.test_client()
        if person:
            client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token_of(person)}"
        return client

    def browser(self, person: str) -> FlaskClient:
        """A browser in which `person` has signed in with a token."""
        client = self.app.test_client()
        answer = client.post("/signin", data={"token": token_of(person), "next": "/sites"})
        assert answer.status_code == 303, answer.text
        return client

    def withdraw(self, person: str) -> None:
        """Take the token of `person` away."""
        with self.db.transaction() as session:
            key = token_key(token_of(person))
            session.execute(text("delete from followed where body ->> 'key' = :key"), {"key": key})
            session.execute(text("delete from followed where body ->> 'principal' = :key"), {"key": key})

    def grant(self, key: str, role: str, scope: str) -> None:
        """Give a role to a principal key."""
        body = {"principal": key, "role": role, "scope": scope, "name": ""}
        with self.db.transaction() as session:
            session.merge(_followed("grant", f"{key} {role} {scope}", body))


def _followed(kind: str, entity: str, body: dict[str, Any]) -> Followed:
    return Followed(source="local", kind=kind, id=entity, body=body, revision=0)


def build(
    db: Database, settings: ServiceSettings, *, extra: Sequence[Pages | Api] = (), **options: Any
) -> WebHouse:
    """The service on `db`, with the tokens of the cast known to it; `extra` rooms are added."""
    _enter_cast(db)
    gauges: list[Gauge] = []
    told: Callable[[], list[Gauge]] = lambda: gauges  # noqa: E731
    app = make_app(
        settings.service,
        settings,
        db,
        import_name="tests.hanse.web_service",
        rooms=[api_room(), pages_room(), protocol_room(), feed_room(), *extra],
        authority=Authority(db, {"monitoring": "the token of monitoring"}, TrustStore(settings.trust_dir)),
        gauges=told,
        **options,
    )
    own = FileSystemLoader(Path(__file__).with_name("web_templates"))
    app.jinja_loader = ChoiceLoader([loader for loader in (app.jinja_loader, own) if loader])
    return WebHouse(db, settings, app, gauges)


def _enter_cast(db: Database) -> None:
    with db.transaction() as session:
        for person, grant in TOKENS.items():
            key = token_key(token_of(person))
            identity = {"key": key, "person": None, "site": None, "name": person, "email": None}
            session.merge(_followed("identity", key, identity))
            if grant:
                body = {"principal": key, "role": grant[0], "scope": grant[1], "name": person}
                session.merge(_followed("grant", key, body))
