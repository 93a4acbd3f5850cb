"""A registry with the fixed cast in it: three sites, their administrators, an operator, somebody without a role."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from cryptography import x509
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from werkzeug.test import TestResponse

from demo.ca import CertificateAuthority, Issued
from hanse.database import Database
from hanse.identity.authority import Authority
from hanse.identity.principals import Principal, X509Identity
from hanse.postgres import PrivatePostgres
from registry import people
from registry.app import create_app
from registry.operators import add_operator
from registry.schemas.people import MeIn
from registry.schemas.sites import TokenIn
from registry.settings import RegistrySettings

from . import gocdb_federation

FreshDatabase = Callable[[str], AbstractContextManager[Database]]
SettingsFor = Callable[..., RegistrySettings]
_NUMBERS = itertools.count(1)
ISSUER = "/C=EU/O=Hanse Demo/CN=Hanse Demo CA"
SITES = {
    "CESNET": ("NGI_CZ", "Czech Republic", "CZ", "OpenNebula", 64),
    "BIFI": ("NGI_IBERGRID", "Spain", "ES", "OpenStack", 50),
    "UKIM": ("NGI_MK", "North Macedonia", "MK", "OpenNebula", 48),
}
ADMINISTRATORS = {"CESNET": "Eliška Malá", "BIFI": "Laura Gil", "UKIM": "Goran Petrov"}
OCCI = "eu.egi.cloud.vm-management.occi"


class Cast(Protocol):
    """The certificates of the fixed cast, as tests/conftest.py makes them."""

    def __getitem__(self, person: str) -> Issued: ...

    def host(self, site: str, name: str = "acct") -> Issued: ...


def site_document(site: str, **changes: Any) -> dict[str, Any]:
    """A site of the cast as the API takes it."""
    ngi, country, code, middleware, vcpu = SITES[site]
    return {
        "name": site,
        "official_name": f"{site}, the institute",
        "ngi": ngi,
        "country": country,
        "country_code": code,
        "middleware": middleware,
        "certification": "Certified",
        "capacity": {"vcpu": vcpu},
        "contacts": [
            {"kind": "admin", "name": ADMINISTRATORS[site], "email": f"admin@{site.lower()}.example"}
        ],
        "supports": [{"vo": "training.egi.eu", "vcpu": 16}],
        **changes,
    }


@dataclass
class Registry:
    """The application with a caller for each of the cast."""

    app: Flask
    db: Database
    settings: RegistrySettings
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def headers(self, who: str | None) -> dict[str, str]:
        return {} if who is None else {"Authorization": f"Bearer {self.tokens[who]}"}

    def ask(self, method: str, path: str, who: str | None = "Ingrid Holm", **given: Any) -> TestResponse:
        headers = {**self.headers(who), **given.pop("headers", {})}
        return self.client.open(path, method=method, headers=headers, **given)

    def get(self, path: str, who: str | None = "Ingrid Holm") -> Any:
        answer = self.ask("GET", path, who)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def send(
        self, method: str, path: str, body: Any, who: str | None = "Ingrid Holm", status: int | None = None
    ) -> Any:
        answer = self.ask(method, path, who, json=body)
        wanted = status or {"POST": 201}.get(method, 200)
        assert answer.status_code == wanted, f"{answer.status_code} {answer.text}"
        return answer.get_json()

    def principal(self, who: str) -> Principal:
        return Authority(self.db, {}).for_token(self.tokens[who])

    def admit(self, who: str, certificate: x509.Certificate) -> Principal:
        """Register somebody by certificate and give them a token."""
        identity = X509Identity.from_certificate(certificate)
        newcomer = Principal(key=identity.key, kind="x509", name=identity.name, x509=identity)
        people.register_me(self.db, newcomer, MeIn())
        known = Authority(self.db, {}).for_key(identity.key)
        self.tokens[who] = people.make_token(self.db, known, TokenIn(name="tests"))[1]
        return known

    def register_service(self, site: str, **changes: Any) -> dict[str, Any]:
        body = {
            "service_type": OCCI,
            "hostname": f"occi.{site.lower()}.example",
            "url": f"https://occi.{site.lower()}.example:11443/",
            **changes,
        }
        found: dict[str, Any] = self.send("POST", f"/api/v1/sites/{site}/services", body)
        return found

    def declare(
        self, site: str, begins_in: timedelta, lasts: timedelta, who: str = "Ingrid Holm", **changes: Any
    ) -> dict[str, Any]:
        start = datetime.now(UTC) + begins_in
        body = {
            "site": site,
            "severity": "OUTAGE",
            "description": "New network switches",
            "start": start.isoformat(),
            "end": (start + lasts).isoformat(),
            **changes,
        }
        found: dict[str, Any] = self.send("POST", "/api/v1/downtimes", body, who)
        return found


def open_registry(db: Database, settings: RegistrySettings, operator: Issued) -> Registry:
    """A registry whose first operator is Ingrid Holm."""
    key = add_operator(db, operator.cert, "Ingrid Holm")
    registry = Registry(create_app(settings), db, settings)
    known = Authority(db, {}).for_key(key)
    registry.tokens["Ingrid Holm"] = people.make_token(db, known, TokenIn(name="tests"))[1]
    return registry


def close(registry: Registry) -> None:
    """Let go of the application's own connections."""
    registry.app.extensions["hanse"].db.close()


def fill(registry: Registry, cast: Cast) -> None:
    """The three sites with one service each, their administrators, and Anna Lindqvist without a role."""
    for name, (ngi, *_) in SITES.items():
        registry.send("POST", "/api/v1/ngis", {"name": ngi})
        registry.send("POST", "/api/v1/sites", site_document(name))
        registry.register_service(name)
        person = registry.admit(ADMINISTRATORS[name], cast[ADMINISTRATORS[name]].cert)
        role = {"person": person.person, "role": "site_administrator", "scope": f"site:{name}"}
        registry.send("POST", "/api/v1/roles", role)
    registry.admit("Anna Lindqvist", cast["Anna Lindqvist"].cert)


@pytest.fixture
def empty_registry(
    database_for: Callable[[str], Database], settings_for: SettingsFor, cast: Cast
) -> Iterator[Registry]:
    """A registry with its first operator, Ingrid Holm, and nothing else."""
    db = database_for("registry")
    settings = settings_for(RegistrySettings, "registry", db, url="http://127.0.0.1:7010")
    registry = open_registry(db, settings, cast["Ingrid Holm"])
    yield registry
    close(registry)


@pytest.fixture(scope="session")
def filled_template(
    postgres: PrivatePostgres, fresh_database: FreshDatabase, cast: Cast, ca: CertificateAuthority
) -> Iterator[tuple[str, dict[str, str]]]:
    """A filled registry's database, to be copied, and the tokens of the cast in it."""
    with fresh_database("registry") as db:
        settings = RegistrySettings(
            service="registry",
            database_url=db.url,
            secret_key=SecretStr("a secret of the tests alone"),
            trust_dir=ca.trust_dir,
        )
        registry = open_registry(db, settings, cast["Ingrid Holm"])
        fill(registry, cast)
        close(registry)
        db.close()
        yield str(db.engine.url.database), registry.tokens


@pytest.fixture
def registry(
    postgres: PrivatePostgres,
    filled_template: tuple[str, dict[str, str]],
    settings_for: SettingsFor,
) -> Iterator[Registry]:
    """The test's own copy of a filled registry."""
    template, tokens = filled_template
    name = f"registry_filled_{next(_NUMBERS)}"
    postgres.create_database(name, template)
    db = Database(postgres.dsn(name))
    settings = settings_for(RegistrySettings, "registry", db, url="http://127.0.0.1:7010")
    registry = Registry(create_app(settings), db, settings, dict(tokens))
    yield registry
    close(registry)
    db.close()
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def gocdb(
    module_database_for: Callable[[str], Database],
    cast: Cast,
    ca: CertificateAuthority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Registry]:
    """The federation of samples/gocdb/*.xml under the address that stands there; one for the tests of a module."""
    db = module_database_for("registry")
    with db.transaction() as session:
        gocdb_federation.put_in(session)
    settings = RegistrySettings(
        service="registry",
        database_url=db.url,
        secret_key=SecretStr("a secret of the tests alone"),
        trust_dir=ca.trust_dir,
        data_dir=tmp_path_factory.mktemp("registry"),
        url="https://registry.example.org",
    )
    registry = open_registry(db, settings, cast["Ingrid Holm"])
    yield registry
    close(registry)
