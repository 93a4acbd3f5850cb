"""A monitored federation of the fixed cast, in a database of the test's own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from hanse.database import Database
from hanse.identity.tokens import token_key
from monitoring.app import create_app
from monitoring.settings import MonitoringSettings
from tests.monitoring.federation import SITES, Federation
from tests.monitoring.history import CONSUMER, two_ngis


@pytest.fixture
def settings(database_for: Any, settings_for: Any) -> MonitoringSettings:
    db = database_for("monitoring")
    made: MonitoringSettings = settings_for(
        MonitoringSettings, "monitoring", db, smtp_host="127.0.0.1", url="http://monitoring.example:7030"
    )
    return made


@pytest.fixture
def federation(settings: MonitoringSettings) -> Iterator[Federation]:
    db = Database(settings.database_url)
    yield Federation(db, settings)
    db.close()


@pytest.fixture
def trio(federation: Federation) -> Federation:
    """CESNET, BIFI and UKIM with one OCCI endpoint each, all well."""
    for site in SITES:
        federation.endpoint(site)
    federation.adopt()
    federation.all_well()
    return federation


@pytest.fixture
def app(settings: MonitoringSettings) -> Iterator[Flask]:
    made = create_app(settings)
    yield made
    made.extensions["hanse"].db.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def as_person(federation: Federation) -> Callable[[str, str, str], dict[str, str]]:
    """`as_person("Laura Gil", "site_administrator", "site:BIFI")`: headers of somebody with that role."""

    def grant(name: str, role: str, scope: str) -> dict[str, str]:
        token = f"hpt_{name.replace(' ', '-').lower().encode().hex()}"
        key = token_key(token)
        identity = {"key": key, "person": None, "site": None, "name": name, "email": None}
        federation.put(
            "identity", key, {**identity, "subject_slash": None, "subject_der": None, "issuer_der": None}
        )
        body = {
            "principal": key,
            "role": role,
            "scope": scope,
            "name": name,
            "not_before": None,
            "not_after": None,
        }
        federation.put("grant", f"{key} {role} {scope}", body)
        return {"Authorization": f"Bearer {token}"}

    return grant


@pytest.fixture(scope="module")
def counted_once(
    module_database_for: Callable[[str], Database], tmp_path_factory: pytest.TempPathFactory
) -> Federation:
    """Two sites of two NGIs with counted days, for all reads of a module: nothing changes them."""
    db = module_database_for("monitoring")
    folder = tmp_path_factory.mktemp("counted")
    settings = MonitoringSettings.model_validate(
        {
            "service": "monitoring",
            "database_url": db.url,
            "secret_key": "a secret of the tests alone",
            "data_dir": folder,
            "trust_dir": folder,
            "secure_cookies": False,
            "url": "http://monitoring.example:7030",
        }
    )
    federation = two_ngis(Federation(db, settings))
    key = token_key(CONSUMER)
    federation.put(
        "identity", key, {"key": key, "person": None, "site": None, "name": "A consumer", "email": None}
    )
    return federation


@pytest.fixture(scope="module")
def app_once(counted_once: Federation) -> Iterator[Flask]:
    made = create_app(counted_once.settings)
    yield made
    made.extensions["hanse"].db.close()
