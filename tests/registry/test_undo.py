"""Undo as a new change: what it writes back, and when it is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from hanse.database import Database
from registry import consistency
from tests.registry.conftest import ADMINISTRATORS, Cast

from .conftest import Registry


def head(registry: Registry) -> int:
    return int(registry.get("/api/v1/history?limit=1")["items"][0]["revision"])


def undo(registry: Registry, number: int, who: str = "Ingrid Holm", status: int = 201, **body: Any) -> Any:
    return registry.send("POST", f"/api/v1/revisions/{number}/undo", body, who, status=status)


def in_step(db: Database) -> None:
    with db.transaction() as session:
        assert consistency.check(session) == []


def without_revision(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in ("revision", "updated_at")}


def state(registry: Registry, path: str) -> dict[str, Any]:
    return without_revision(registry.get(path))


def certify(registry: Registry, status: str, reason: str) -> None:
    body = {"status": status, "reason": reason}
    registry.send("POST", "/api/v1/sites/BIFI/certification", body, status=200)


def test_a_changed_site_is_as_before(registry: Registry) -> None:
    before = state(registry, "/api/v1/sites/BIFI")
    registry.send(
        "PATCH",
        "/api/v1/sites/BIFI",
        {
            "location": "Huesca",
            "capacity": {"vcpu": 1},
            "contacts": [],
            "supports": [{"vo": "chipster"}],
            "extensions": {"a": "b"},
        },
        "Laura Gil",
    )
    number = head(registry)
    done = undo(registry, number, "Laura Gil")
    assert done["undone"] == number
    assert state(registry, "/api/v1/sites/BIFI") == before
    newest = registry.get("/api/v1/history?limit=1")["items"][0]
    assert newest["reason"].startswith(f"Undo of revision {number}")
    assert newest["actor_name"] == "Laura Gil"
    in_step(registry.db)


def test_a_change_of_other_fields_in_between_stays(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"})
    number = head(registry)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"capacity": {"vcpu": 99}, "telephone": "+34 976 762 989"})
    undo(registry, number)
    site = state(registry, "/api/v1/sites/BIFI")
    assert (site["location"], site["capacity"]["vcpu"], site["telephone"]) == (None, 99, "+34 976 762 989")


def test_later_work_on_the_same_field_is_told_and_not_lost_unasked(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"})
    number = head(registry)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"}, "Laura Gil")
    looked = registry.get(f"/api/v1/revisions/{number}")
    assert looked["undo"] == "lost"
    (lost,) = looked["lost"]
    assert (lost["field"], lost["now"], lost["then"], lost["actor_name"]) == (
        "location",
        "Zaragoza",
        None,
        "Laura Gil",
    )
    refused = undo(registry, number, status=409)
    assert "Laura Gil" in str(refused)
    assert state(registry, "/api/v1/sites/BIFI")["location"] == "Zaragoza"
    undo(registry, number, overwrite=True)
    assert state(registry, "/api/v1/sites/BIFI")["location"] is None


def test_twice_there_is_nothing_left(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"})
    number = head(registry)
    undone = undo(registry, number)["revision"]
    assert registry.get(f"/api/v1/revisions/{number}")["undo"] == "refused"
    undo(registry, number, status=422)
    undo(registry, undone)  # an undo is a change like others
    assert state(registry, "/api/v1/sites/BIFI")["location"] == "Huesca"


def test_an_endpoint_of_a_service(registry: Registry) -> None:
    (service,) = registry.get("/api/v1/services?site=BIFI")["items"]
    before = state(registry, f"/api/v1/services/{service['id']}")
    path = f"/api/v1/services/{service['id']}/endpoints"
    registry.send("POST", path, {"name": "spare", "url": "https://spare.bifi.example/"})
    added = head(registry)
    main = service["endpoints"][0]["id"]
    registry.send(
        "PATCH", f"/api/v1/endpoints/{main}", {"name": "first", "url": "https://first.bifi.example/"}
    )
    renamed = head(registry)
    undo(registry, added)
    undo(registry, renamed)
    assert state(registry, f"/api/v1/services/{service['id']}") == before
    registry.ask("DELETE", f"/api/v1/endpoints/{main}")
    removed = head(registry)
    assert state(registry, f"/api/v1/services/{service['id']}")["endpoints"] == []
    undo(registry, removed)
    assert state(registry, f"/api/v1/services/{service['id']}") == before  # with its id
    in_step(registry.db)


def test_a_removed_service_comes_back_with_its_id_and_key(registry: Registry) -> None:
    (service,) = registry.get("/api/v1/services?site=BIFI")["items"]
    before = state(registry, f"/api/v1/services/{service['id']}")
    registry.ask("DELETE", f"/api/v1/services/{service['id']}", "Laura Gil")
    undo(registry, head(registry), "Laura Gil")
    assert state(registry, f"/api/v1/services/{service['id']}") == before
    in_step(registry.db)


def test_a_registration_is_taken_back(registry: Registry) -> None:
    made = registry.register_service("BIFI", hostname="new.bifi.example", url="https://new.bifi.example/")
    number = head(registry)
    undo(registry, number)
    assert registry.ask("GET", f"/api/v1/services/{made['id']}").status_code == 404
    assert registry.get(f"/api/v1/revisions/{number}")["undo"] == "refused"
    in_step(registry.db)


def test_a_removed_site_comes_back_with_all_that_hung_on_it(registry: Registry, cast: Cast) -> None:
    certify(registry, "Suspended", "Silent for a month")
    certify(registry, "Certified", "Talks again")
    pem = cast.host("BIFI").cert_path.read_text()
    registry.send("POST", "/api/v1/sites/BIFI/host-certificates", {"pem": pem})
    downtime = registry.declare("BIFI", timedelta(days=3), timedelta(hours=2))
    paths = [
        "/api/v1/sites/BIFI",
        "/api/v1/services?site=BIFI",
        f"/api/v1/downtimes/{downtime['id']}",
        "/api/v1/sites/BIFI/host-certificates",
        "/api/v1/roles?scope=site:BIFI",
        "/api/v1/certification-changes?site=BIFI",
    ]

    def seen() -> list[Any]:
        return [strip(registry.get(path)) for path in paths]

    before = seen()
    assert registry.ask("DELETE", "/api/v1/sites/BIFI").status_code == 204
    removal = head(registry)
    undo(registry, removal, "Laura Gil", status=403)  # removing sites is the operators'
    undo(registry, removal)
    assert seen() == before
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"}, "Laura Gil")  # her role is back
    in_step(registry.db)


def strip(value: Any) -> Any:
    """Without what tells of the moment: revisions, ids of the steps' rows, who granted again."""
    if isinstance(value, list):
        return [strip(one) for one in value]
    if isinstance(value, dict):
        left_out = (
            "revision",
            "updated_at",
            "granted_at",
            "granted_by",
            "requested_at",
            "requested_by",
            "at",
        )
        told = {key: strip(one) for key, one in value.items() if key not in left_out}
        if "old" in told and "new" in told:
            told.pop("id")
        return told
    return value


def test_a_site_that_was_registered_and_has_services_by_now_stays(registry: Registry) -> None:
    found = registry.get("/api/v1/history?site=BIFI&kind=site&limit=500")["items"][-1]
    answer = undo(registry, found["revision"], status=409)
    assert "services by now" in answer["detail"]


def test_a_renamed_site(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"name": "BIFI-CLOUD"})
    undo(registry, head(registry))
    (service,) = registry.get("/api/v1/services?site=BIFI")["items"]
    assert service["site"] == "BIFI"
    in_step(registry.db)


def test_certification_goes_back_by_its_rules(registry: Registry) -> None:
    certify(registry, "Suspended", "Silent")
    undo(registry, head(registry))
    assert state(registry, "/api/v1/sites/BIFI")["certification"] == "Certified"
    certify(registry, "Suspended", "Silent")
    suspended = head(registry)
    certify(registry, "Closed", "Gone")
    assert registry.get(f"/api/v1/revisions/{suspended}")["undo"] == "lost"


def test_a_downtime(registry: Registry) -> None:
    made = registry.declare("BIFI", timedelta(days=3), timedelta(hours=2), "Laura Gil")
    path = f"/api/v1/downtimes/{made['id']}"
    declared = head(registry)
    before = state(registry, path)
    registry.send("PATCH", path, {"severity": "WARNING", "description": "Only the switches"}, "Laura Gil")
    undo(registry, head(registry), "Laura Gil")
    assert state(registry, path) == before
    assert registry.ask("DELETE", path, "Laura Gil").status_code == 204
    undo(registry, head(registry), "Laura Gil")
    assert state(registry, path) == before
    undo(registry, declared, "Laura Gil")
    assert registry.ask("GET", path).status_code == 404
    in_step(registry.db)


def test_rules_about_the_past_hold_for_undo(registry: Registry) -> None:
    """A downtime that goes on cannot be longer: so ending it early is not undone."""
    made = registry.declare("BIFI", timedelta(0), timedelta(hours=2))
    declared = head(registry)
    registry.send("POST", f"/api/v1/downtimes/{made['id']}/end", {}, status=200)
    refused = undo(registry, head(registry), status=422)
    assert "end" in str(refused)
    undo(registry, declared, status=422, overwrite=True)


def test_a_role(registry: Registry) -> None:
    anna = registry.principal("Anna Lindqvist").person
    role = {"person": str(anna), "role": "site_security_officer", "scope": "site:BIFI"}
    made = registry.send("POST", "/api/v1/roles", role)
    granted = head(registry)
    registry.ask("DELETE", f"/api/v1/roles/{made['id']}")
    undo(registry, head(registry), "Goran Petrov", status=403)
    undo(registry, head(registry))
    back = registry.get("/api/v1/roles?scope=site:BIFI")["items"]
    assert made["id"] in {one["id"] for one in back}
    undo(registry, granted)
    left = registry.get("/api/v1/roles?scope=site:BIFI")["items"]
    assert made["id"] not in {one["id"] for one in left}
    in_step(registry.db)


def test_ngis_projects_groups_scopes_and_types(registry: Registry) -> None:
    (service,) = registry.get("/api/v1/services?site=BIFI")["items"]
    things: dict[str, dict[str, Any]] = {
        "/api/v1/ngis": {"name": "NGI_SE", "email": "ops@ngi.example"},
        "/api/v1/projects": {"name": "EGI", "ngis": ["NGI_CZ"]},
        "/api/v1/scopes": {"name": "Nordic"},
        "/api/v1/service-types": {"name": "eu.hanse.test"},
        "/api/v1/service-groups": {"name": "CLOUDS", "services": [service["id"]]},
    }
    for path, body in things.items():
        made = registry.send("POST", path, body)
        added = head(registry)
        one = f"{path}/{body['name']}"
        before = state(registry, one)
        registry.send("PATCH", one, {"description": "Another"})
        undo(registry, head(registry))
        assert state(registry, one) == before, path
        assert registry.ask("DELETE", one).status_code == 204, path
        undo(registry, head(registry))
        assert state(registry, one) == before, path
        assert before["id"] == made["id"]
        undo(registry, added, overwrite=True)
        assert registry.ask("GET", one).status_code == 404, path
        in_step(registry.db)


def test_a_token_that_was_withdrawn_stays_withdrawn(registry: Registry) -> None:
    made = registry.send("POST", "/api/v1/me/tokens", {"name": "script"}, "Laura Gil")
    registry.ask("DELETE", f"/api/v1/me/tokens/{made['id']}", "Laura Gil")
    number = head(registry)
    assert registry.get(f"/api/v1/revisions/{number}")["undo"] == "refused"
    assert "Add it again" in undo(registry, number, status=422)["detail"]


@pytest.mark.parametrize(
    ("who", "status"), [("Goran Petrov", 403), ("Anna Lindqvist", 403), ("Laura Gil", 201)]
)
def test_undo_needs_the_right_that_the_change_needed(registry: Registry, who: str, status: int) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"})
    undo(registry, head(registry), who, status=status)


def test_the_frame_offers_undo_to_who_just_acted(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"}, "Laura Gil")
    number = head(registry)
    mine = registry.ask("GET", "/sites", "Laura Gil").text
    assert f'action="/history/{number}/undo"' in mine
    assert f"/history/{number}/undo" not in registry.ask("GET", "/sites", "Goran Petrov").text
    with registry.db.transaction() as session:
        session.execute(text("update revision set at = at - interval '3 minutes'"))
    assert f"/history/{number}/undo" not in registry.ask("GET", "/sites", "Laura Gil").text


def test_the_frame_says_nothing_of_what_cannot_be_taken_back(registry: Registry) -> None:
    registry.send("POST", "/api/v1/me/tokens", {"name": "a program"}, "Laura Gil")
    assert 'class="undo"' not in registry.ask("GET", "/sites", "Laura Gil").text


def test_undo_from_the_page(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"})
    number = head(registry)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"}, "Laura Gil")
    refused = registry.ask("POST", f"/history/{number}/undo", data={"reason": "My mistake"})
    assert refused.status_code == 422
    assert "Zaragoza" in refused.text
    assert "My mistake" in refused.text  # what was typed is kept
    done = registry.ask("POST", f"/history/{number}/undo", data={"overwrite": "yes", "reason": "My mistake"})
    assert done.status_code == 303
    assert state(registry, "/api/v1/sites/BIFI")["location"] is None
    assert ADMINISTRATORS["BIFI"] == "Laura Gil"
