"""Every route of every service, called as every role; the answers must be those of the committed matrix.

`HANSE_WRITE_MATRIX=1 pytest tests/architecture/test_routes.py` writes tests/architecture/routes/*.txt anew: read the
difference before committing it. `y` = let in (whatever it then says of an empty request), `-` = 401 or 403.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert

from hanse.database import Database, Followed
from hanse.identity.tokens import token_key
from hanse.postgres import PrivatePostgres
from tests.architecture.seeds import BODIES, SEEDS

MATRICES = Path(__file__).with_name("routes")
SERVICES = ("registry", "accounting", "monitoring", "vomsdb")
ROLES: dict[str, tuple[str, str] | None] = {
    "anonymous": None,
    "stranger": None,
    "vo_member": ("vo_member", "vo:training.egi.eu"),
    "vo_manager": ("vo_manager", "vo:training.egi.eu"),
    "vo_manager_elsewhere": ("vo_manager", "vo:chipster"),
    "site_administrator": ("site_administrator", "site:CESNET"),
    "site_administrator_elsewhere": ("site_administrator", "site:BIFI"),
    "site_security_officer": ("site_security_officer", "site:CESNET"),
    "site_machine": ("site_machine", "site:CESNET"),
    "site_machine_elsewhere": ("site_machine", "site:BIFI"),
    "ngi_manager": ("ngi_manager", "ngi:NGI_CZ"),
    "service": ("service", "federation"),
    "federation_operator": ("federation_operator", "federation"),
}
#: Roles that one service alone knows.
ROLES_BESIDE: dict[str, dict[str, tuple[str, str] | None]] = {
    "vomsdb": {"group_manager": ("vo_group_manager", "group:/training.egi.eu/seeded")}
}
BUILT_IN = {"/assets/<path:filename>"}


def roles_of(service: str) -> dict[str, tuple[str, str] | None]:
    """The roles that are tried on a service's routes, in the order of the columns."""
    return ROLES | ROLES_BESIDE.get(service, {})


def token_of(role: str) -> str:
    return f"a-token-of-the-tests-for-{role}"


def enter_roles(db: Database, roles: dict[str, tuple[str, str] | None] = ROLES) -> None:
    """A token for each role, known to this service as if the registry had granted it."""
    rows: list[dict[str, Any]] = []
    for role, grant in roles.items():
        if role == "anonymous":
            continue
        key = token_key(token_of(role))
        rows.append(
            _row("identity", key, {"key": key, "person": None, "site": None, "name": role, "email": None})
        )
        if grant:
            body = {"principal": key, "role": grant[0], "scope": grant[1], "name": role}
            rows.append(_row("grant", f"{key} {grant[0]}", body))
    with db.transaction() as session:
        session.execute(insert(Followed), rows)


def _row(kind: str, entity_id: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"source": "local", "kind": kind, "id": entity_id, "body": body, "revision": 0}


def routes_of(app: Flask) -> list[tuple[str, str, str]]:
    """(method, rule, permission), deletions last, so that they take nothing away from the others."""
    found = []
    for rule in app.url_map.iter_rules():
        if rule.rule in BUILT_IN:
            continue
        permission = app.view_functions[rule.endpoint].hanse_permission  # type: ignore[attr-defined]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            found.append((method, rule.rule, permission.name))
    return sorted(found, key=lambda route: (route[0] == "DELETE", route[1], route[0]))


def filled(rule: str, arguments: dict[str, str]) -> str:
    return re.sub(r"<(?:[^<>:]+:)?([^<>]+)>", lambda found: arguments.get(found[1], "1"), rule)


class Called:
    """One service with seeded objects, and what each route answered to one role."""

    def __init__(self, app: Flask, arguments: dict[str, str]) -> None:
        self.app = app
        self.arguments = arguments

    def answer(self, role: str, method: str, rule: str) -> str:
        headers = {} if role == "anonymous" else {"Authorization": f"Bearer {token_of(role)}"}
        body = BODIES.get((method, rule), {})
        body = {
            key: value.format(**self.arguments) if isinstance(value, str) else value
            for key, value in body.items()
        }
        in_json = rule.startswith("/api/") or (method, rule) in BODIES
        sent: dict[str, Any] = {"json": body} if in_json and method != "GET" else {}
        if method == "DELETE":
            sent["query_string"] = body
        response = self.app.test_client().open(
            filled(rule, self.arguments), method=method, headers=headers, **sent
        )
        assert response.status_code < 500 or response.status_code == 503, (
            role,
            method,
            rule,
            response.text[:500],
        )
        return "-" if response.status_code in (401, 403) else "y"


@contextmanager
def a_copy(postgres: PrivatePostgres, name: str, of: Database) -> Iterator[Database]:
    """A database with the same content, so that no role sees what another one did."""
    postgres.create_database(name, str(of.engine.url.database))
    db = Database(postgres.dsn(name))
    try:
        yield db
    finally:
        db.close()
        postgres.drop_database(name)


@contextmanager
def service_called(service: str, db: Database, settings: Any, arguments: dict[str, str]) -> Iterator[Called]:
    app = import_module(f"{service}.service").SERVICE.create_app(
        settings.model_copy(update={"database_url": db.url})
    )
    try:
        yield Called(app, arguments)
    finally:
        app.extensions["hanse"].db.close()


@pytest.mark.timeout(1200)  # five thousand calls for the registry alone
@pytest.mark.parametrize("service", SERVICES)
def test_who_may_call_which_route_of(
    service: str,
    fresh_database: Any,
    postgres: PrivatePostgres,
    settings_for: Callable[..., Any],
    cast: Any,
) -> None:
    columns: dict[str, dict[tuple[str, str], str]] = {}
    listed: list[tuple[str, str, str]] = []
    roles = roles_of(service)
    with fresh_database(service) as db:
        settings = settings_for(import_module(f"{service}.service").SERVICE.settings, service, db)
        enter_roles(db, roles)
        with service_called(service, db, settings, {}) as seeding:
            arguments = SEEDS[service](seeding.app, db, cast, token_of("federation_operator"))
        db.close()  # a database is copied only while nobody is connected to it
        for role in roles:
            with a_copy(postgres, f"{service}_of_{role}", db) as own:  # noqa: SIM117 - one inside the other
                with service_called(service, own, settings, arguments) as called:
                    listed = routes_of(called.app)
                    columns[role] = {(m, r): called.answer(role, m, r) for m, r, _ in listed}
    text = as_table(listed, columns)
    committed = MATRICES / f"{service}.txt"
    if os.environ.get("HANSE_WRITE_MATRIX"):
        committed.parent.mkdir(exist_ok=True)
        committed.write_text(text, encoding="utf-8")
    assert text == committed.read_text(encoding="utf-8")


def as_table(routes: list[tuple[str, str, str]], columns: dict[str, dict[tuple[str, str], str]]) -> str:
    roles = list(columns)
    lines = [f"# {number:>2} {role}" for number, role in enumerate(roles, 1)]
    lines.append(
        "# " + " ".join(f"{number:>2}" for number in range(1, len(roles) + 1)) + "  route: permission"
    )
    for method, rule, permission in sorted(routes, key=lambda route: (route[1], route[0])):
        cells = " ".join(f" {columns[role][method, rule]}" for role in roles)
        lines.append(f"  {cells}  {method} {rule}: {permission}")
    return "\n".join(lines) + "\n"
