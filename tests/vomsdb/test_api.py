"""The JSON API: what the demo and programs call, who may, and that it answers as its document says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import schemathesis
from schemathesis import GenerationMode
from sqlalchemy import update

from hanse import migrations
from hanse.identity.tokens import token_key
from tests.documents import ask_often, can_be_tried
from vomsdb import jobs, publishing
from vomsdb.models import Replica, VoChange, metadatas
from vomsdb.service import SERVICE

VO = "training.egi.eu"


def _token(house: Any, *grants: tuple[str, str]) -> dict[str, str]:
    """A header with a token that has the grants."""
    token = "hst_" + "-".join(role for role, _ in grants)
    key = token_key(token)
    house.follow("identity", key, {"key": key, "person": None, "name": "Somebody", "email": None})
    for role, scope in grants:
        body = {"principal": key, "role": role, "scope": scope, "name": "Somebody"}
        house.follow("grant", f"{key} {role} {scope}", body)
    return {"Authorization": f"Bearer {token}"}


def test_models_and_migrations_agree(house: Any) -> None:
    assert migrations.differences("vomsdb", house.db.url, *metadatas) == []
    assert len(migrations.heads("vomsdb")) == 1


def test_an_operator_makes_a_vo_with_its_managers(house: Any) -> None:
    ingrid = house.browser("Ingrid Holm")
    pem = house.cast["Laura Gil"].cert_path.read_text()
    body = {
        "name": "harbour.example.org",
        "description": "Ships",
        "aup_text": "Be kind.",
        "managers": [{"certificate": pem, "name": "Laura Gil", "email": "laura@example.org"}],
    }
    made = ingrid.call("POST", "/api/v1/vos", body)
    assert made.status_code == 201, made.text
    assert made.json["managers"] == ["Laura Gil"]
    assert house.principal("Laura Gil").has("vo_manager", "vo:harbour.example.org")
    assert ingrid.call("POST", "/api/v1/vos", body).status_code == 409
    assert (
        house.browser("Laura Gil").call("POST", "/api/v1/vos", {**body, "name": "x.org"}).status_code == 403
    )
    names = {
        "subject": "/C=EU/O=Hanse Demo/OU=People/CN=Goran Petrov",
        "issuer": "/C=EU/O=Hanse Demo/CN=Hanse Demo CA",
    }
    by_name = {**body, "name": "ships.example.org", "managers": [{**names, "name": "Goran Petrov"}]}
    assert ingrid.call("POST", "/api/v1/vos", by_name).status_code == 201
    assert house.principal("Goran Petrov").has("vo_manager", "vo:ships.example.org")


@pytest.mark.parametrize(
    "change",
    [{"name": "Not A Name"}, {"managers": []}, {"managers": [{"name": "x", "certificate": "no PEM"}]}],
)
def test_a_vo_that_cannot_be_is_refused_naming_the_field(house: Any, change: dict[str, Any]) -> None:
    pem = house.cast["Laura Gil"].cert_path.read_text()
    body = {
        "name": "ok.org",
        "description": "",
        "aup_text": "x",
        "managers": [{"certificate": pem, "name": "L"}],
    }
    refused = house.browser("Ingrid Holm").call("POST", "/api/v1/vos", {**body, **change})
    assert refused.status_code == 422
    assert refused.json["errors"][0]["field"].startswith(next(iter(change)))


def test_the_whole_way_over_the_api(house: Any) -> None:
    anna, marta = house.browser("Anna Lindqvist"), house.browser("Marta Kowalska")
    form = {
        "name": "Anna Lindqvist",
        "email": "anna@example.org",
        "institution": "TU",
        "motivation": "to learn",
        "aup_version": 1,
        "aup_accepted": True,
    }
    sent = anna.call("POST", f"/api/v1/vos/{VO}/requests", form)
    assert (sent.status_code, sent.json["state"]) == (201, "submitted")
    number = sent.json["id"]
    decision = f"/api/v1/vos/{VO}/requests/{number}/decision"
    assert marta.call("POST", decision, {"decision": "approve"}).status_code == 409
    application = type("Sent", (), {"id": number})
    confirmed = house.browser(None).client.post(
        "/api/v1/confirmations", json={"token": house.token(application)}
    )
    assert confirmed.json == {"id": number, "vo": VO, "state": "pending"}
    waiting = marta.get(f"/api/v1/vos/{VO}/requests?state=pending").json["items"]
    assert [item["id"] for item in waiting] == [number]
    assert house.browser("Paavo Salo").call("POST", decision, {"decision": "approve"}).status_code == 403
    assert house.browser("Ingrid Holm").call("POST", decision, {"decision": "approve"}).status_code == 403
    assert anna.call("POST", decision, {"decision": "approve"}).status_code == 403
    assert marta.call("POST", decision, {"decision": "reject"}).status_code == 422
    approved = marta.call("POST", decision, {"decision": "approve"})
    assert (approved.status_code, approved.json["decided_by"]) == (200, "Marta Kowalska")
    second = marta.call("POST", decision, {"decision": "reject", "reason": "no"})
    assert (second.status_code, "was quicker" in second.json["detail"]) == (409, True)
    mine = anna.get("/api/v1/me/memberships").json["items"]
    assert [(m["vo"], m["state"], m["fqans"]) for m in mine] == [(VO, "active", [f"/{VO}"])]
    assert anna.get("/api/v1/me/requests").json["items"][0]["state"] == "approved"


def test_members_are_suspended_restored_and_given_groups_over_the_api(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.browser("Marta Kowalska")
    at = f"/api/v1/members/{member.id}"
    assert marta.call("POST", f"/api/v1/vos/{VO}/groups", {"path": f"/{VO}/students"}).status_code == 201
    assert marta.call("POST", f"/api/v1/vos/{VO}/roles", {"name": "operator"}).status_code == 201
    given = marta.call("PUT", f"{at}/fqans", {"fqan": f"/{VO}/students/Role=operator"})
    assert given.status_code == 200, given.text
    assert given.json["fqans"] == [f"/{VO}", f"/{VO}/students", f"/{VO}/students/Role=operator"]
    suspended = marta.call("POST", f"{at}/suspension", {"code": "SECURITY_INCIDENT", "reason": "key lost"})
    assert suspended.json["suspension"]["by"] == "Marta Kowalska"
    paavo = house.browser("Paavo Salo")
    assert paavo.call("DELETE", f"{at}/suspension?reason=x").status_code == 403
    assert paavo.get(at).status_code == 403
    assert paavo.call("PUT", f"{at}/fqans", {"fqan": f"/{VO}/students"}).status_code == 403
    ingrid = house.browser("Ingrid Holm")
    assert ingrid.call("DELETE", f"{at}/suspension?reason=checked").json["state"] == "active"
    taken = marta.call("DELETE", f"{at}/fqans?fqan=/{VO}/students")
    assert taken.json["fqans"] == [f"/{VO}"]
    assert marta.call("DELETE", f"{at}?reason=left").json["state"] == "removed"


def test_lists_come_in_pages(house: Any) -> None:
    for name in ("Anna Lindqvist", "Tomás Vidal", "Laura Gil"):
        house.join(name)
    marta = house.browser("Marta Kowalska")
    first = marta.get(f"/api/v1/vos/{VO}/members?limit=2").json
    rest = marta.get(f"/api/v1/vos/{VO}/members?limit=2&cursor={first['next']}").json
    assert [m["name"] for m in first["items"] + rest["items"]] == [
        "Anna Lindqvist",
        "Tomás Vidal",
        "Laura Gil",
    ]
    assert rest["next"] is None
    assert marta.get(f"/api/v1/vos/{VO}/members?cursor=nonsense").status_code == 422


def test_names_in_headers_make_nobody_a_manager(house: Any) -> None:
    forged = {
        "SSL-CLIENT-S-DN": "/C=EU/O=Hanse Demo/OU=People/CN=Marta Kowalska",
        "SSL-CLIENT-VERIFY": "SUCCESS",
        "X-Forwarded-User": "Marta Kowalska",
        "SSL-CLIENT-CERT": house.cast["Marta Kowalska"].cert_path.read_text().replace("\n", " "),
    }
    answer = house.browser(None).client.get(f"/api/v1/vos/{VO}/members", headers=forged)
    assert answer.status_code == 401


def test_an_api_call_from_another_web_site_is_refused(house: Any) -> None:
    client = house.browser("Marta Kowalska").client
    forged = client.post(f"/api/v1/vos/{VO}/groups", json={"path": f"/{VO}/x"})
    assert forged.status_code == 403


def test_join_codes_are_for_the_sites_own_people(house: Any) -> None:
    house.grant("Eliška Malá", "site_administrator", "site:CESNET")
    eliska = house.browser("Eliška Malá")
    made = eliska.call("POST", "/api/v1/sites/CESNET/join-codes", {})
    assert made.status_code == 201
    assert len(made.json["code"]) >= 32
    assert eliska.call("POST", "/api/v1/sites/BIFI/join-codes", {}).status_code == 403
    assert (
        house.browser("Ingrid Holm").call("POST", "/api/v1/sites/NOWHERE/join-codes", {}).status_code == 404
    )


def test_the_overview_and_the_gauges_tell_who_is_late(house: Any) -> None:
    house.join("Anna Lindqvist")
    with house.db.transaction() as session:
        publishing.follow_the_registry(session)
        publishing.publish_changed(session, house.press)
        then = datetime.now(UTC) - timedelta(hours=19)
        session.execute(update(VoChange).where(VoChange.vo == "chipster").values(at=then))
        session.execute(update(Replica).values(since=then))
    house.apply("Tomás Vidal")
    service = house.browser(None).client.get(
        "/api/v1/overview", headers=_token(house, ("service", "federation"))
    )
    assert service.status_code == 200
    assert service.json["pairs_total"] == 3
    assert [(late["site"], late["vo"], late["state"]) for late in service.json["late"]] == [
        ("CESNET", "chipster", "late")
    ]
    assert house.browser("Anna Lindqvist").get("/api/v1/overview").status_code == 403
    metrics = house.browser(None).get("/metrics").text
    assert 'hanse_replication_in_step{site="BIFI",vo="training.egi.eu"} 0.0' in metrics
    assert 'hanse_vo_members{vo="training.egi.eu"} 1.0' in metrics


def test_the_feed_tells_vos_grants_and_memberships(house: Any) -> None:
    house.join("Anna Lindqvist")
    answer = house.browser(None).client.get(
        "/api/v1/changes?since=0", headers=_token(house, ("service", "federation"))
    )
    kinds = {(change["kind"], change["id"]) for change in answer.json["changes"]}
    anna, marta = house.principal("Anna Lindqvist").key, house.principal("Marta Kowalska").key
    assert ("vo", VO) in kinds
    assert ("grant", f"{marta} vo_manager vo:{VO}") in kinds
    assert ("grant", f"{anna} vo_member vo:{VO}") in kinds
    told = str(answer.json)
    assert "@example.org" not in told


def test_the_jobs_of_the_service(house: Any) -> None:
    changes = {"registry_url": "http://127.0.0.1:1", "smtp_host": "127.0.0.1", "replication_interval_s": 5}
    quick = {job.name: job for job in jobs.jobs(house.settings.model_copy(update=changes), house.db)}
    assert set(quick) == {
        "publish",
        "push",
        "replication",
        "what time changes",
        "purge",
        "digest",
        "mails",
        "follow registry",
    }
    assert quick["replication"].every_s == 5
    daily = {job.name: job for job in SERVICE.jobs(house.settings, house.db)}
    assert daily["replication"].daily_at == "03:00"
    assert "3 manifests to sign for 2 sites" in daily["replication"].run()
    assert "0 agents told" in daily["push"].run()
    assert "0 VOs had changed" in daily["publish"].run()
    assert daily["purge"].run().startswith("0 old requests")


# --- the document -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_api_answers_as_its_document_says(house: Any, mode: GenerationMode) -> None:
    house.join("Anna Lindqvist")
    roles = ("federation_operator", "federation"), ("vo_manager", f"vo:{VO}"), ("service", "federation")
    header = _token(house, *roles)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", house.app)
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if can_be_tried(operation, mode):
            # no schema can say which names are there, which are taken, or which cursors are ours
            tried += ask_often(operation, mode, header, examples=8, free=True, change=_do_not_wait)
    assert tried > 150


def _do_not_wait(case: Any) -> None:
    """Or the feed holds its answer for up to half a minute, each time."""
    if "wait" in (case.query or {}) and not isinstance(case.query["wait"], list):
        case.query["wait"] = 0
