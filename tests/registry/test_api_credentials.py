"""API credentials of a site: who keeps them, whom they match, when they are warned of and deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from demo.ca import CertificateAuthority, Issued
from hanse.errors import Forbidden
from hanse.identity import names
from hanse.identity.authority import Authority
from hanse.identity.principals import Principal, oidc_key
from hanse.revisions import current
from registry import api_credentials
from registry.models import ApiCredential, Mail, Site
from registry.schemas.api_credentials import ApiCredentialChange
from registry.settings import RegistrySettings

from .conftest import Cast, Registry

PATH = "/api/v1/sites/BIFI/api-credentials"
HOST = "/C=EU/O=Hanse Demo/OU=BIFI/CN=robot: nightly checks"
EGI = "https://aai.egi.eu/auth/realms/egi"


def add(
    registry: Registry, who: str | None = "Laura Gil", status: int = 201, path: str = PATH, **changes: Any
) -> Any:
    return registry.send("POST", path, {"kind": "x509", "identifier": HOST, **changes}, who, status)


def row_of(registry: Registry) -> ApiCredential:
    with registry.db.transaction() as session:
        return session.scalars(select(ApiCredential)).one()


def caller(registry: Registry, issued: Issued) -> Principal:
    return Authority(registry.db, {}).for_certificate_chain([issued.cert])


def found(registry: Registry, principal: Principal) -> list[tuple[str, bool]]:
    with registry.db.transaction() as session:
        rows = api_credentials.of_caller(session, principal)
        return [(row.site.name, row.allow_write) for row in rows]


def may_write(registry: Registry, principal: Principal, site: str) -> bool:
    with registry.db.transaction() as session:
        row = session.scalars(select(Site).where(Site.name == site)).one()
        try:
            api_credentials.check_may_write(session, principal, row)
        except Forbidden:
            return False
        return True


def test_only_somebody_with_a_role_at_the_site_adds_one(registry: Registry) -> None:
    """An operator does not speak for a site's programs; whoever answers for one works there."""
    for who, status in (
        ("Ingrid Holm", 403),
        ("Goran Petrov", 403),
        ("Anna Lindqvist", 403),
        (None, 401),
        ("Laura Gil", 201),
        ("Laura Gil", 409),
    ):
        add(registry, who, status)
    [row] = registry.get(PATH, "Laura Gil")["items"]
    assert (row["identifier"], row["owner_name"], row["allow_write"]) == (HOST, "Laura Gil", False)
    assert [one["id"] for one in registry.get(PATH)["items"]] == [
        row["id"]
    ]  # an operator sees and deletes them
    assert registry.ask("DELETE", f"{PATH}/{row['id']}", "Goran Petrov").status_code == 403
    assert registry.ask("DELETE", f"{PATH}/{row['id']}").status_code == 204


def test_a_certificate_is_known_by_its_subject_in_either_spelling(
    registry: Registry, ca: CertificateAuthority
) -> None:
    robot = caller(registry, ca.issue(HOST))
    assert found(registry, robot) == []
    assert robot.x509 is not None
    add(registry, identifier=names.rfc2253(robot.x509.subject_der))
    assert found(registry, robot) == [("BIFI", False)]
    add(registry, status=409)  # the slash form of the same name
    assert found(registry, caller(registry, ca.issue(HOST + " 2"))) == []


def test_writing_is_for_the_own_site_and_only_where_it_is_allowed(
    registry: Registry, ca: CertificateAuthority
) -> None:
    robot = caller(registry, ca.issue(HOST))
    made = add(registry)
    add(registry, "Goran Petrov", path="/api/v1/sites/UKIM/api-credentials", allow_write=True)
    assert [may_write(registry, robot, site) for site in ("BIFI", "UKIM", "CESNET")] == [False, True, False]
    registry.send("PATCH", f"{PATH}/{made['id']}", {"allow_write": True}, "Laura Gil")
    assert may_write(registry, robot, "BIFI")
    registry.send("PATCH", f"{PATH}/{made['id']}", {"allow_write": False}, "Laura Gil")
    assert not may_write(registry, robot, "BIFI")
    registry.send("PATCH", f"{PATH}/{made['id']}", {"allow_write": True}, "Ingrid Holm", 403)


@pytest.mark.parametrize(
    "subject",
    ["2c3a5f0e-6f9b-4c50-a0ff-2f0ab3c0d0aa", "529a87e5ce04cd5ddd7161734d02df0e2199a11452430803@egi.eu"],
)
def test_subjects_of_identity_providers_of_every_spelling(registry: Registry, subject: str) -> None:
    add(registry, kind="oidc", identifier=subject, allow_write=True)
    key = oidc_key(EGI, subject)
    program = Principal(key=key, kind="oidc", name=subject, keys=frozenset({key}))
    assert found(registry, program) == [("BIFI", True)]
    elsewhere = oidc_key("https://other.example", subject)
    assert found(registry, Principal(key=elsewhere, kind="oidc", name=subject)) == []


def test_what_names_nobody_is_refused(registry: Registry) -> None:
    for body in (
        {"identifier": "no name"},
        {"identifier": "/Nonsense=x"},
        {"identifier": ""},
        {"identifier": "x\u0000y"},
        {"kind": "oidc", "identifier": "two words"},
        {"kind": "oidc", "identifier": "x@egi.eu", "realm": "Somebody"},
        {"kind": "password"},
    ):
        add(registry, status=422, **body)


def test_a_role_stays_while_an_api_credential_stands_on_it(registry: Registry) -> None:
    made = add(registry)
    role = registry.get("/api/v1/roles?scope=site:BIFI")["items"][0]
    refused = registry.ask("DELETE", f"/api/v1/roles/{role['id']}")
    assert refused.status_code == 422
    assert "Laura Gil answers for 1 API credentials of BIFI" in refused.get_json()["detail"]
    anna = registry.principal("Anna Lindqvist").person
    registry.send(
        "POST", "/api/v1/roles", {"person": anna, "role": "site_security_officer", "scope": "site:BIFI"}
    )
    taken = registry.send("PATCH", f"{PATH}/{made['id']}", {"take_over": True}, "Anna Lindqvist")
    assert taken["owner_name"] == "Anna Lindqvist"
    assert registry.ask("DELETE", f"/api/v1/roles/{role['id']}").status_code == 204


def test_a_second_role_at_the_site_lets_the_first_go(registry: Registry) -> None:
    add(registry)
    role = registry.get("/api/v1/roles?scope=site:BIFI")["items"][0]
    laura = registry.principal("Laura Gil").person
    second = {"person": laura, "role": "site_security_officer", "scope": "site:BIFI"}
    registry.send("POST", "/api/v1/roles", second)
    assert registry.ask("DELETE", f"/api/v1/roles/{role['id']}", "Laura Gil").status_code == 204


def watched(registry: Registry, **changes: Any) -> str:
    settings = registry.settings.model_copy(update=changes)
    assert isinstance(settings, RegistrySettings)
    return api_credentials.watch(registry.db, settings)


def subjects(registry: Registry) -> list[tuple[str, str]]:
    with registry.db.transaction() as session:
        return [(one.recipient, one.subject) for one in session.scalars(select(Mail).order_by(Mail.id))]


def test_unused_ones_are_warned_of_once_and_then_deleted(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/me", {"email": "laura@bifi.example"}, "Laura Gil")
    made = add(registry)
    assert watched(registry) == "0 owners of API credentials warned, 0 credentials deleted."
    later = datetime.now(UTC) + timedelta(days=366)
    with time_machine.travel(later):
        assert watched(registry).startswith("1 owners")
        assert watched(registry).startswith("0 owners")
        last_day = api_credentials.deleted_on(row_of(registry), registry.settings)
        assert last_day is not None
        assert last_day.date() == (later + timedelta(days=30)).date()
    with time_machine.travel(later + timedelta(days=31)):
        assert watched(registry).endswith("1 credentials deleted.")
    assert subjects(registry) == [
        ("laura@bifi.example", "API credential of BIFI will be deleted"),
        ("laura@bifi.example", "API credential of BIFI was deleted"),
    ]
    with registry.db.transaction() as session:
        assert made["id"] not in current(session, "api_credential")


def test_use_and_renewal_take_the_warning_back(registry: Registry, ca: CertificateAuthority) -> None:
    robot, laura = caller(registry, ca.issue(HOST)), registry.principal("Laura Gil")
    made = add(registry)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=366)):
        watched(registry)
        assert len(api_credentials.seen(registry.db, robot)) == 1
        watched(registry)
        row = row_of(registry)
        assert (row.warned_at, row.last_used_at is not None) == (None, True)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=400)):
        assert watched(registry).startswith("1 owners")  # used, and not renewed for 395 days
        change = ApiCredentialChange(renew=True)
        api_credentials.edit(registry.db, laura, "BIFI", int(made["id"]), change)
        assert row_of(registry).warned_at is None
        assert watched(registry).startswith("0 owners")


def test_a_use_is_written_down_at_most_every_five_minutes(
    registry: Registry, ca: CertificateAuthority
) -> None:
    robot = caller(registry, ca.issue(HOST))
    add(registry)

    def used() -> datetime | None:
        api_credentials.seen(registry.db, robot)
        return row_of(registry).last_used_at

    first = used()
    assert first == used()
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=6)):
        assert used() != first


def test_they_follow_the_site_in_the_log(registry: Registry) -> None:
    made = add(registry)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"name": "BIFI-CLOUD"})
    with registry.db.transaction() as session:
        assert current(session, "api_credential")[made["id"]]["site"] == "BIFI-CLOUD"


def test_the_page_shows_and_keeps_them(registry: Registry, cast: Cast) -> None:
    page = "/sites/BIFI/api-credentials"
    refused = registry.ask("POST", page, "Laura Gil", data={"kind": "x509", "identifier": "nobody"})
    assert refused.status_code == 422
    assert 'value="nobody"' in refused.text
    added = registry.ask(
        "POST", page, "Laura Gil", data={"kind": "x509", "identifier": HOST, "allow_write": "true"}
    )
    assert added.status_code == 303
    shown = registry.ask("GET", page, "Laura Gil").text
    assert HOST in shown
    assert "read and write" in shown
    assert HOST in registry.ask("GET", "/sites/BIFI", "Laura Gil").text
    assert HOST not in registry.ask("GET", "/sites/BIFI", None).text
    [row] = registry.get(PATH)["items"]
    assert registry.ask("POST", f"{page}/{row['id']}/read", "Laura Gil").status_code == 303
    assert registry.ask("POST", f"{page}/{row['id']}/renew", "Goran Petrov").status_code == 403
    assert not registry.get(PATH)["items"][0]["allow_write"]
    assert registry.ask("POST", f"{page}/{row['id']}/delete", "Laura Gil").status_code == 303
    assert registry.get(PATH)["items"] == []
