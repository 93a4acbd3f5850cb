"""Certification by policy: evidence with its source, proposals, decisions by persons, contacts that answer."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from hanse.errors import Refused
from registry import neighbours as asking
from registry import policy, policy_contacts, policy_proposals
from registry.jobs import jobs
from registry.models import CertificationEvidence, CertificationProposal, Mail, Site
from registry.policy_evidence import Neighbourhood
from registry.settings import RegistrySettings

from .conftest import Cast, Registry, site_document

TWO_PERSONS = policy.DEFAULT.replace(
    "monitoring, accounting, identities]}", "monitoring, accounting, identities], persons: 2}"
)
READY = {
    "latitude": 41.6,
    "longitude": -0.9,
    "timezone": "Europe/Madrid",
    "description": "A cloud",
    "contacts": [
        {"kind": "admin", "name": "Laura Gil", "email": "admin@bifi.example"},
        {"kind": "security", "name": "Team", "email": "csirt@bifi.example"},
    ],
}


@contextmanager
def neighbours(answers: dict[str, Any]) -> Iterator[str]:
    """The other services, answering what they are given; what they are not given hangs up."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path not in answers:
                self.connection.close()
                return
            body = json.dumps(answers[path]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def answering(state: str = "ok") -> dict[str, Any]:
    return {"id": "1", "url": "https://occi.bifi.example:11443/", "state": state}


def good_answers(site: str = "BIFI", days: int = 30, state: str = "ok") -> dict[str, Any]:
    now = datetime.now(UTC)
    bars = [
        {"day": (now - timedelta(days=ago)).date().isoformat(), "state": state, "seconds": {}}
        for ago in range(days, -1, -1)
    ]
    return {
        "/api/v1/status": {"sites": [{"site": site, "days": bars, "endpoints": [answering(state)]}]},
        "/api/v1/publishing": {
            "items": [{"site": site, "last_message_at": now.isoformat(), "state": "in time"}]
        },
        "/api/v1/replication": {
            "pairs": [
                {"site": site, "vo": "training.egi.eu", "state": "in_step", "acked_at": now.isoformat()}
            ]
        },
    }


def with_neighbours(registry: Registry, url: str) -> RegistrySettings:
    changed: RegistrySettings = registry.settings.model_copy(
        update={
            "monitoring_url": url,
            "accounting_url": url,
            "vomsdb_url": url,
            "service_token": SecretStr("token"),
        }
    )
    return changed


def make_ready(registry: Registry, status: str = "Uncertified") -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", READY)
    step = {"status": status, "reason": "for the test"}
    registry.send("POST", "/api/v1/sites/BIFI/certification", step, status=200)


def answer_all_contacts(registry: Registry) -> None:
    registry.send("POST", "/api/v1/sites/BIFI/certification/contacts", None, status=200)
    for mail in mails(registry):
        found = re.search(r"/contacts/confirm/([0-9a-f]+)", mail.body)
        assert found is not None
        policy_contacts.confirm(registry.db, found[1])


def mails(registry: Registry) -> list[Mail]:
    with registry.db.transaction() as session:
        found = list(session.scalars(select(Mail).order_by(Mail.id)))
        session.expunge_all()
    return found


def evidence(registry: Registry, site: str = "BIFI") -> dict[str, dict[str, Any]]:
    found = registry.get(f"/api/v1/sites/{site}/certification")["evidence"]
    return {one["item"]: one for one in found}


def review(registry: Registry, answers: dict[str, Any]) -> str:
    with neighbours(answers) as url:
        return policy_proposals.review(registry.db, with_neighbours(registry, url))


def waiting(registry: Registry) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = registry.get("/api/v1/certification/proposals?state=waiting")["items"]
    return found


def test_what_is_met_is_proposed_and_a_person_takes_the_step(registry: Registry) -> None:
    make_ready(registry)
    answer_all_contacts(registry)
    assert "1 proposed" in review(registry, good_answers())
    (proposal,) = waiting(registry)
    assert (proposal["site"], proposal["old"], proposal["new"]) == ("BIFI", "Uncertified", "Certified")
    assert {one["state"] for one in proposal["evidence"]} == {"met"}
    assert {one["source"] for one in proposal["evidence"]} == {
        "registry",
        "monitoring",
        "accounting",
        "vomsdb",
    }
    path = f"/api/v1/certification/proposals/{proposal['id']}/accept"
    done = registry.send("POST", path, {"reason": "all is well"}, status=200)
    assert (done["state"], done["decided_name"]) == ("accepted", "Ingrid Holm")
    site = registry.get("/api/v1/sites/BIFI")
    assert site["certification"] == "Certified"
    (step, *_) = registry.get("/api/v1/certification-changes?site=BIFI")["items"]
    assert (step["new"], step["reason"]) == ("Certified", "all is well")
    told = registry.get("/api/v1/history?kind=certification_proposal&site=BIFI")["items"]
    assert len(told) == 2  # made, accepted


def test_the_system_never_takes_a_step_itself(registry: Registry) -> None:
    make_ready(registry)
    answer_all_contacts(registry)
    for _ in range(3):
        review(registry, good_answers())
    assert registry.get("/api/v1/sites/BIFI")["certification"] == "Uncertified"
    assert len(waiting(registry)) == 1


def test_a_service_that_cannot_answer_is_told_of_and_counts_for_nothing(registry: Registry) -> None:
    make_ready(registry)
    answers = good_answers()
    del answers["/api/v1/publishing"]
    answer_all_contacts(registry)
    review(registry, answers)
    found = evidence(registry)["accounting"]
    assert (found["state"], found["source"]) == ("unknown", "accounting")
    assert "Accounting does not answer" in found["told"]
    assert waiting(registry) == []


def test_endpoints_are_valid_when_they_are_registered_and_answer(registry: Registry) -> None:
    make_ready(registry)
    answers = good_answers()
    (site,) = answers["/api/v1/status"]["sites"]

    def told(endpoints: list[dict[str, Any]]) -> tuple[str, str, str]:
        site["endpoints"] = endpoints
        review(registry, answers)
        found = evidence(registry)["endpoints"]
        return found["state"], found["source"], found["told"]

    assert told([answering()]) == ("met", "monitoring", "1 of 1 endpoints answer")
    assert told([answering("downtime")])[0] == "met"
    state, _, words = told([answering(), {**answering("down"), "url": "https://second.bifi.example/"}])
    assert (state, words) == ("not_met", "1 of 2 answer: https://second.bifi.example/ is down")
    assert told([])[:2] == ("not_met", "monitoring")
    (service,) = registry.get("/api/v1/services?site=BIFI")["items"]
    registry.ask("DELETE", f"/api/v1/endpoints/{service['endpoints'][0]['id']}")
    assert told([answering()])[:2] == ("not_met", "registry"), "what the registry knows itself comes first"
    del answers["/api/v1/status"]
    registry.send(
        "POST", f"/api/v1/services/{service['id']}/endpoints", {"name": "again", "url": service["url"]}
    )
    review(registry, answers)
    assert evidence(registry)["endpoints"]["state"] == "unknown"


def test_a_service_that_is_not_configured_says_so(registry: Registry) -> None:
    policy_proposals.review(registry.db, registry.settings)
    found = evidence(registry)["monitoring"]
    assert found["state"] == "unknown"
    assert found["told"] == "Monitoring is not configured here (setting monitoring_url)"


def test_a_silent_service_is_asked_once_for_all_sites(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = asking.ask_alone

    def counted(settings: RegistrySettings, service: str, path: str) -> asking.Heard:
        asked.append(service)
        return original(settings, service, path)

    monkeypatch.setattr(asking, "ask_alone", counted)
    with neighbours({}) as url:
        around = Neighbourhood(with_neighbours(registry, url))
        told = [around.hear("monitoring", site).fault for site in ("BIFI", "CESNET", "UKIM")]
    assert asked == ["monitoring"]
    assert told == ["Monitoring does not answer"] * 3


@pytest.mark.parametrize(
    ("days", "state", "met", "told"),
    [
        (30, "ok", "met", "in order on each of the last 7 days"),
        (30, "downtime", "met", "in order on each of the last 7 days"),
        (30, "down", "not_met", "in order on 0 of the last 7 days"),
        (3, "ok", "not_met", "in order on 3 of the last 7 days"),
    ],
)
def test_green_means_every_one_of_the_days(
    registry: Registry, days: int, state: str, met: str, told: str
) -> None:
    review(registry, good_answers(days=days, state=state))
    found = evidence(registry)["monitoring"]
    assert found["state"] == met
    assert told in found["told"]


@pytest.mark.parametrize(
    "nonsense",
    [{"sites": 1}, {"sites": [1, None]}, {"sites": [{"site": "BIFI", "days": "x"}]}, {}],
)
def test_nonsense_of_another_service_is_no_evidence(registry: Registry, nonsense: dict[str, Any]) -> None:
    review(registry, {**good_answers(), "/api/v1/status": nonsense})
    assert evidence(registry)["monitoring"]["state"] == "not_met"


def test_since_stays_while_the_state_does(registry: Registry) -> None:
    review(registry, good_answers())
    first = evidence(registry)["monitoring"]
    review(registry, good_answers())
    second = evidence(registry)["monitoring"]
    assert second["since"] == first["since"]
    assert second["at"] > first["at"]
    review(registry, good_answers(state="down"))
    assert evidence(registry)["monitoring"]["since"] > first["since"]


def age_evidence(registry: Registry, days: int) -> None:
    with registry.db.transaction() as session:
        session.execute(
            text("update certification_evidence set since = since - make_interval(days => :days)"),
            {"days": days},
        )


def test_what_is_broken_for_long_is_proposed_for_suspension(registry: Registry) -> None:
    review(registry, good_answers(state="down"))
    assert waiting(registry) == []
    age_evidence(registry, 31)
    review(registry, good_answers(state="down"))
    found = {one["site"]: one for one in waiting(registry)}
    assert (found["BIFI"]["old"], found["BIFI"]["new"]) == ("Certified", "Suspended")
    assert "Monitoring green for 7 days: in order on 0 of the last 7 days" in found["BIFI"]["why"]


def test_a_proposal_whose_evidence_changed_is_withdrawn_but_not_by_silence(registry: Registry) -> None:
    make_ready(registry)
    answer_all_contacts(registry)
    review(registry, good_answers())
    silent = good_answers()
    del silent["/api/v1/status"]
    review(registry, silent)
    assert len(waiting(registry)) == 1
    assert "1 withdrawn" in review(registry, good_answers(state="down"))
    assert waiting(registry) == []


def test_what_was_declined_is_not_proposed_again_at_once(registry: Registry) -> None:
    make_ready(registry)
    answer_all_contacts(registry)
    review(registry, good_answers())
    (proposal,) = waiting(registry)
    path = f"/api/v1/certification/proposals/{proposal['id']}/decline"
    assert registry.send("POST", path, {"reason": "not yet"}, status=200)["state"] == "declined"
    assert registry.send("POST", path, {"reason": "again"}, status=409)
    review(registry, good_answers())
    assert waiting(registry) == []
    with registry.db.transaction() as session:
        session.execute(text("update certification_proposal set decided_at = now() - interval '31 days'"))
    review(registry, good_answers())
    assert len(waiting(registry)) == 1


def proposed_for_two(registry: Registry, cast: Cast) -> dict[str, Any]:
    make_ready(registry)
    document = {"document": TWO_PERSONS, "reason": "four eyes"}
    registry.send("POST", "/api/v1/certification/policies", document)
    laura = registry.get("/api/v1/people?q=Laura")["items"][0]
    role = {"person": laura["id"], "role": "ngi_operations_manager", "scope": "ngi:NGI_IBERGRID"}
    registry.send("POST", "/api/v1/roles", role)
    answer_all_contacts(registry)
    review(registry, good_answers())
    (proposal,) = waiting(registry)
    assert proposal["persons"] == 2
    return proposal


def test_two_persons_must_differ(registry: Registry, cast: Cast) -> None:
    proposal = proposed_for_two(registry, cast)
    path = f"/api/v1/certification/proposals/{proposal['id']}/accept"
    first = registry.send("POST", path, {"reason": "I agree"}, status=200)
    assert (first["state"], first["first_name"]) == ("seconding", "Ingrid Holm")
    assert registry.get("/api/v1/sites/BIFI")["certification"] == "Uncertified"
    refused = registry.send("POST", path, {"reason": "and again"}, status=422)
    assert "second person" in refused["detail"]
    done = registry.send("POST", path, {"reason": "so do I"}, "Laura Gil", status=200)
    assert (done["state"], done["decided_name"], done["first_name"]) == (
        "accepted",
        "Laura Gil",
        "Ingrid Holm",
    )
    assert registry.get("/api/v1/sites/BIFI")["certification"] == "Certified"


def test_a_second_person_who_comes_too_late_finds_it_over(registry: Registry, cast: Cast) -> None:
    proposal = proposed_for_two(registry, cast)
    path = f"/api/v1/certification/proposals/{proposal['id']}/accept"
    registry.send("POST", path, {"reason": "I agree"}, status=200)
    with registry.db.transaction() as session:
        session.execute(text("update certification_proposal set first_at = now() - interval '15 days'"))
    assert "too long" in registry.send("POST", path, {"reason": "late"}, "Laura Gil", status=409)["detail"]
    assert "1 expired" in review(registry, good_answers())


def test_one_person_cannot_go_round_the_second(registry: Registry, cast: Cast) -> None:
    proposed_for_two(registry, cast)
    step = {"status": "Certified", "reason": "quickly"}
    told = registry.send("POST", "/api/v1/sites/BIFI/certification", step, status=422)
    assert "two persons" in told["detail"]
    document = registry.ask("GET", "/api/v1/federation/export").text
    changed = document.replace("certification: Uncertified", "certification: Certified")
    told = registry.send("POST", "/api/v1/federation/apply", {"document": changed}, status=422)
    assert "two persons" in told["detail"]


def test_one_person_cannot_register_what_two_must_agree_to(registry: Registry, cast: Cast) -> None:
    proposed_for_two(registry, cast)
    told = registry.send(
        "POST", "/api/v1/sites", site_document("BIFI", name="NEW-SITE", usage_site_names=["NEW"]), status=422
    )
    assert told["errors"][0]["field"] == "certification"
    assert "two persons" in told["detail"]
    document = (
        "sites: [{name: NEW-SITE, ngi: NGI_IBERGRID, certification: Certified, official_name: X,"
        " country: Spain, country_code: ES, usage_site_names: [NEW]}]"
    )
    planned = registry.send("POST", "/api/v1/federation/plan", {"document": document}, status=422)
    assert "two persons" in planned["detail"]
    assert registry.ask("GET", "/api/v1/sites/NEW-SITE").status_code == 404
    candidate = site_document("BIFI", name="NEW-SITE", usage_site_names=["NEW"], certification="Uncertified")
    registry.send("POST", "/api/v1/sites", candidate)


def test_a_person_proposes_and_has_the_first_word(registry: Registry, cast: Cast) -> None:
    proposal = proposed_for_two(registry, cast)
    decline = f"/api/v1/certification/proposals/{proposal['id']}/decline"
    registry.send("POST", decline, {"reason": "mine instead"}, status=200)
    path = "/api/v1/sites/BIFI/certification/proposals"
    made = registry.send("POST", path, {"status": "Certified", "reason": "they are good"}, "Laura Gil")
    assert (made["state"], made["first_name"], made["made_by"]) == ("seconding", "Laura Gil", "Laura Gil")
    assert registry.send("POST", path, {"status": "Closed", "reason": "x"}, status=409)


def test_those_who_may_not_certify_decide_nothing(registry: Registry) -> None:
    make_ready(registry)
    answer_all_contacts(registry)
    review(registry, good_answers())
    (proposal,) = waiting(registry)
    for verb in ("accept", "decline"):
        path = f"/api/v1/certification/proposals/{proposal['id']}/{verb}"
        for who, status in (("Laura Gil", 403), ("Anna Lindqvist", 403), (None, 401)):
            assert registry.ask("POST", path, who, json={"reason": "x"}).status_code == status


def test_a_contact_answers_with_the_button_and_not_by_reading(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", READY)
    asked = registry.send("POST", "/api/v1/sites/BIFI/certification/contacts", None, "Laura Gil", status=200)
    assert asked == {"asked": 2}
    (first, _) = mails(registry)
    assert first.recipient == "admin@bifi.example"
    found = re.search(r"http://\S+(/contacts/confirm/[0-9a-f]+)", first.body)
    assert found is not None
    page = registry.ask("GET", found[1], None)
    assert "Yes, I read it" in page.text
    contacts = {one["email"]: one for one in registry.get("/api/v1/sites/BIFI/certification")["contacts"]}
    assert contacts["admin@bifi.example"]["confirmed_at"] is None
    browser = registry.client
    token = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(found[1]).text)
    answer = browser.post(found[1], data={"csrf_token": token[1]} if token else {})
    assert answer.status_code == 303, answer.text
    assert "your answer is noted" in browser.get(found[1]).text
    contacts = {one["email"]: one for one in registry.get("/api/v1/sites/BIFI/certification")["contacts"]}
    assert contacts["admin@bifi.example"]["confirmed_at"] is not None
    assert contacts["csirt@bifi.example"]["confirmed_at"] is None
    assert evidence_after_look(registry)["contacts"]["state"] == "met"


def evidence_after_look(registry: Registry) -> dict[str, dict[str, Any]]:
    found = registry.send("POST", "/api/v1/sites/BIFI/certification/evidence", None, status=200)["evidence"]
    return {one["item"]: one for one in found}


def test_contacts_are_asked_once_a_year_and_reminded_after_a_month(registry: Registry) -> None:
    assert policy_contacts.ask_when_due(registry.db, registry.settings) == "3 contacts asked."
    assert policy_contacts.ask_when_due(registry.db, registry.settings) == "No contact is due."
    shift(registry, 31)
    assert policy_contacts.ask_when_due(registry.db, registry.settings) == "3 contacts asked."
    for mail in mails(registry)[-3:]:
        found = re.search(r"/contacts/confirm/([0-9a-f]+)", mail.body)
        assert found is not None
        policy_contacts.confirm(registry.db, found[1])
    shift(registry, 300)
    assert policy_contacts.ask_when_due(registry.db, registry.settings) == "No contact is due."
    shift(registry, 100)
    assert policy_contacts.ask_when_due(registry.db, registry.settings) == "3 contacts asked."


def shift(registry: Registry, days: int) -> None:
    with registry.db.transaction() as session:
        session.execute(
            text(
                "update contact_confirmation set asked_at = asked_at - make_interval(days => :days),"
                " confirmed_at = confirmed_at - make_interval(days => :days)"
            ),
            {"days": days},
        )


def test_asking_again_within_the_hour_is_refused(registry: Registry) -> None:
    path = "/api/v1/sites/BIFI/certification/contacts"
    registry.send("POST", path, None, status=200)
    assert "less than an hour" in registry.send("POST", path, None, status=422)["detail"]


@pytest.mark.parametrize("code", ["0" * 40, "x", "a" * 300])
def test_a_code_of_somebody_elses_making_confirms_nothing(registry: Registry, code: str) -> None:
    assert registry.ask("GET", f"/contacts/confirm/{code}", None).status_code == 404


def test_an_old_code_is_told_to_be_too_old(registry: Registry) -> None:
    registry.send("POST", "/api/v1/sites/BIFI/certification/contacts", None, status=200)
    (mail,) = mails(registry)
    found = re.search(r"/contacts/confirm/([0-9a-f]+)", mail.body)
    assert found is not None
    with registry.db.transaction() as session:
        session.execute(text("update contact_confirmation set expires_at = now()"))
    with pytest.raises(Refused, match="too old"):
        policy_contacts.confirm(registry.db, found[1])


def test_a_policy_is_dated_and_the_earlier_ones_stay(registry: Registry) -> None:
    later = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    body = {"document": TWO_PERSONS, "valid_from": later, "reason": "from Friday on"}
    made = registry.send("POST", "/api/v1/certification/policies", body)
    assert made["in_force"] is False
    texts = registry.get("/api/v1/certification/policies")["items"]
    assert [(one["id"], one["in_force"]) for one in texts] == [(made["id"], False), ("0", True)]
    with registry.db.transaction() as session:
        assert policy.in_force(session).step("Uncertified", "Certified").persons == 1  # type: ignore[union-attr]
        then = policy.in_force(session, datetime.now(UTC) + timedelta(days=4))
        assert then.step("Uncertified", "Certified").persons == 2  # type: ignore[union-attr]


def test_a_policy_comes_into_force_without_a_change(registry: Registry) -> None:
    """Who asks "changed since?" is told of a text that began to count, though nobody wrote anything meanwhile."""
    path = "/api/v1/certification/policies"
    later = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    made = registry.send("POST", path, {"document": TWO_PERSONS, "valid_from": later, "reason": "x"})
    before = registry.ask("GET", path)
    known = {"If-None-Match": before.headers["ETag"]} if "ETag" in before.headers else {}
    with registry.db.transaction() as session:  # three days pass
        session.execute(text("update certification_policy set valid_from = now() - interval '1 second'"))
    after = registry.ask("GET", path, headers=known)
    assert after.status_code == 200
    assert [one["id"] for one in after.get_json()["items"] if one["in_force"]] == [made["id"]]


@pytest.mark.parametrize(
    ("document", "where", "why"),
    [
        ("items: {", "line", ""),
        ("items: {a: {check: fortune, title: x}}", "items.a.check", "should be"),
        ("items: {}\nsteps: [{from: Candidate, to: Certified, needs: [x]}]", "document", "no item x"),
        ("items: {}\nsteps: [{from: Candidate, to: Candidate}]", "steps.1", "another status"),
        ("items: {}\ncolour: red", "colour", "no such key"),
        ("items: &a {}\nsteps: *a", "line 1", "anchors"),
    ],
)
def test_a_policy_that_cannot_be_read_is_refused_where_it_stands(
    registry: Registry, document: str, where: str, why: str
) -> None:
    told = registry.send(
        "POST", "/api/v1/certification/policies", {"document": document, "reason": "x"}, status=422
    )
    assert any(where in one["field"] and why.lower() in one["reason"].lower() for one in told["errors"]), told


def test_a_policy_for_the_past_and_one_of_a_stranger_are_refused(registry: Registry) -> None:
    body = {"document": policy.DEFAULT, "reason": "x", "valid_from": "2020-01-01T00:00:00Z"}
    assert "past" in registry.send("POST", "/api/v1/certification/policies", body, status=422)["detail"]
    body = {"document": policy.DEFAULT, "reason": "x"}
    registry.send("POST", "/api/v1/certification/policies", body, "Laura Gil", status=403)


def test_the_pages_show_the_checklist_and_take_decisions(registry: Registry) -> None:
    make_ready(registry)
    answer_all_contacts(registry)
    review(registry, good_answers())
    page = registry.ask("GET", "/sites/BIFI/certification").text
    assert "7 of 7" in page
    assert "Uncertified to Certified" in page
    shown = registry.ask("GET", "/certification/proposals").text
    (proposal,) = waiting(registry)
    assert "Everything that the policy asks for is met." in shown
    path = f"/certification/proposals/{proposal['id']}/accept"
    refused = registry.ask("POST", path, data={"reason": ""})
    assert refused.status_code == 422
    assert registry.ask("POST", path, data={"reason": "as it should be"}).status_code == 303
    assert "as it should be" in registry.ask("GET", "/certification/proposals").text
    assert registry.ask("GET", "/certification/policy", None).status_code == 200


def test_the_form_of_a_policy_keeps_what_was_typed(registry: Registry) -> None:
    answer = registry.ask("POST", "/certification/policy", data={"document": "items: {", "reason": "mine"})
    assert answer.status_code == 422
    assert "items: {" in answer.text
    assert 'value="mine"' in answer.text
    done = registry.ask("POST", "/certification/policy", data={"document": policy.DEFAULT, "reason": "mine"})
    assert done.status_code == 303


def test_the_job_looks_by_itself(registry: Registry) -> None:
    wanted = {job.name: job for job in jobs(registry.settings, registry.db)}
    assert wanted["certification policy"].run().startswith("3 sites looked at")
    assert wanted["contacts asked"].run() == "3 contacts asked."
    with registry.db.transaction() as session:
        kept = session.scalars(select(CertificationEvidence).join(Site).where(Site.name == "BIFI")).all()
        assert {one.item for one in kept} == set(policy.parse(policy.DEFAULT).items)
        assert session.scalars(select(CertificationProposal)).all() == []
