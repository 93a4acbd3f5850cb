"""Pages: who lands where, what they show, that forms keep what was typed, that a silent service greys its own card."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, Response, jsonify
from lxml import html
from werkzeug.serving import make_server

from registry.app import create_app
from registry.settings import RegistrySettings

from .clouds import cloud_document, encoded
from .conftest import Registry

HOUR = timedelta(hours=1)
HOSTILE = "<script>alert('1')</script>\"'><img src=x onerror=alert(1)>"


def page(registry: Registry, path: str, who: str | None = "Ingrid Holm", status: int = 200) -> Any:
    answer = registry.ask("GET", path, who)
    assert answer.status_code == status, answer.text
    return html.fromstring(answer.text)


def words(node: Any) -> str:
    return re.sub(r"\s+", " ", node.text_content())


PAGES = [
    "/",
    "/sites",
    "/sites/BIFI",
    "/sites/BIFI/edit",
    "/sites/BIFI/machines",
    "/sites/new",
    "/services",
    "/downtimes",
    "/downtimes/new",
    "/downtimes/new?site=BIFI",
    "/people",
    "/people?scope=site:BIFI",
    "/account",
    "/history",
    "/history?site=BIFI&kind=site",
    "/sites?as_of=3",
    "/sites/BIFI?as_of=20",
]
OPEN = {"/", "/sites", "/sites/BIFI", "/services", "/downtimes", "/sites?as_of=3", "/sites/BIFI?as_of=20"}


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_one_heading_and_its_landmarks(registry: Registry, path: str) -> None:
    document = page(registry, path)
    assert len(document.findall(".//h1")) == 1
    assert document.find(".//main") is not None
    for image in document.findall(".//svg"):
        assert image.get("aria-hidden") or image.get("aria-label") or image.find("title") is not None
    for form in document.findall(".//form"):
        if form.get("method") == "post":
            assert form.get("action")


@pytest.mark.parametrize("path", PAGES)
def test_visitors_see_what_is_open_and_are_asked_to_sign_in_for_the_rest(
    registry: Registry, path: str
) -> None:
    answer = registry.ask("GET", path, None, headers={"Accept": "text/html"})
    assert answer.status_code == (200 if path in OPEN else 401)


def test_each_lands_on_the_own_home(registry: Registry) -> None:
    assert registry.ask("GET", "/", "Laura Gil").headers["Location"] == "/sites/BIFI"
    assert "Failing now" in words(page(registry, "/"))
    assert "nobody has given you a role" in words(page(registry, "/", "Anna Lindqvist"))
    landing = words(page(registry, "/", None))
    assert "3 clouds in 3 countries" in landing
    assert "Sign in" in landing


def test_buttons_are_for_those_who_may(registry: Registry) -> None:
    def buttons(who: str | None) -> str:
        return words(page(registry, "/sites/BIFI", who).find(".//div[@class='actions']"))

    assert "Declare downtime" in buttons("Laura Gil")
    for who in (None, "Goran Petrov", "Anna Lindqvist"):
        assert "Declare downtime" not in buttons(who)
        assert "Edit" not in buttons(who)


@pytest.mark.parametrize("path", ["/sites/BIFI/edit", "/sites/BIFI/machines"])
def test_forms_of_a_site_are_for_those_of_the_site(registry: Registry, path: str) -> None:
    assert registry.ask("GET", path, "Laura Gil").status_code == 200
    assert registry.ask("GET", path, "Goran Petrov").status_code == 403


def test_the_site_page_shows_what_the_registry_holds(registry: Registry) -> None:
    registry.declare("BIFI", HOUR, HOUR)
    shown = words(page(registry, "/sites/BIFI"))
    for fact in ("OpenStack", "50 vCPU", "training.egi.eu", "occi.bifi.example", "New network switches"):
        assert fact in shown


def test_the_past_is_shown_as_the_past(registry: Registry) -> None:
    revision = registry.get("/api/v1/sites/BIFI")["revision"]
    registry.send("PATCH", "/api/v1/sites/BIFI", {"official_name": "Another institute"})
    document = page(registry, f"/sites/BIFI?as_of={revision}")
    assert f"revision {revision}" in words(document)
    assert "Another institute" not in words(document.find(".//dl"))
    assert "Edit" not in words(document.find(".//div[@class='actions']"))


def test_hostile_text_is_shown_as_text(registry: Registry) -> None:
    registry.send(
        "PATCH",
        "/api/v1/sites/BIFI",
        {
            "official_name": HOSTILE,
            "description": HOSTILE,
            "location": HOSTILE,
            "contacts": [{"kind": "admin", "name": HOSTILE, "email": "a@b.example"}],
            "reason": HOSTILE,
        },
    )
    registry.declare("BIFI", HOUR, HOUR, description=HOSTILE)
    registry.send("POST", "/api/v1/sites/BIFI/tokens", {"name": HOSTILE})
    for path in (*PAGES, "/sites?q=" + HOSTILE):
        document = page(registry, path)
        assert not [node for node in document.iter("script") if "alert" in (node.text or "")]
        assert not document.findall(".//img")


def filled(registry: Registry, path: str, action: str, who: str = "Ingrid Holm") -> dict[str, str]:
    document = page(registry, path, who)
    form = next(form for form in document.forms if form.get("action") == action)
    return {name: value for name, value in dict(form.fields).items() if value is not None}


def test_a_site_form_sent_as_it_came_changes_nothing(registry: Registry) -> None:
    registry.send(
        "PATCH",
        "/api/v1/sites/BIFI",
        {"description": "Line 1\nline 2", "capacity": {"vcpu": 50, "ram_gb": 1.5}, "latitude": 41.65},
    )
    before = registry.get("/api/v1/sites/BIFI")
    fields = filled(registry, "/sites/BIFI/edit", "/sites/BIFI/edit")
    assert registry.ask("POST", "/sites/BIFI/edit", data=fields).status_code == 303
    assert registry.get("/api/v1/sites/BIFI") == before


def test_a_site_form_tells_who_was_quicker_and_keeps_what_was_typed(registry: Registry) -> None:
    fields = filled(registry, "/sites/BIFI/edit", "/sites/BIFI/edit", "Laura Gil")
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"})
    late = registry.ask("POST", "/sites/BIFI/edit", "Laura Gil", data={**fields, "location": "Zaragoza"})
    document = html.fromstring(late.text)
    assert late.status_code == 409
    assert "Ingrid Holm was quicker" in words(document)
    assert document.find(".//input[@name='location']").get("value") == "Zaragoza"


def test_a_refused_site_form_names_the_line(registry: Registry) -> None:
    fields = filled(registry, "/sites/BIFI/edit", "/sites/BIFI/edit")
    fields["contacts"] = "admin, Laura Gil, laura@bifi.example\nboss, X, nobody"
    answer = registry.ask("POST", "/sites/BIFI/edit", data=fields)
    assert answer.status_code == 422
    assert "line 2" in words(html.fromstring(answer.text).get_element_by_id("field-contacts"))


def test_a_site_is_registered_and_certified_from_forms(registry: Registry) -> None:
    fields = filled(registry, "/sites/new", "/sites/new")
    fields |= {
        "name": "MASARYK",
        "ngi": "NGI_CZ",
        "official_name": "Masarykova univerzita",
        "country": "Czech Republic",
        "country_code": "CZ",
    }
    assert registry.ask("POST", "/sites/new", data={**fields, "name": "BIFI"}).status_code == 409
    assert registry.ask("POST", "/sites/new", data=fields).headers["Location"] == "/sites/MASARYK"
    step = {"status": "Uncertified", "reason": "proofs asked for"}
    assert registry.ask("POST", "/sites/MASARYK/certification", data=step).status_code == 303
    assert (
        registry.ask("POST", "/sites/MASARYK/certification", data={"status": "Certified"}).status_code == 422
    )
    assert registry.get("/api/v1/sites/MASARYK")["certification"] == "Uncertified"


def test_a_token_is_shown_once(registry: Registry) -> None:
    made = registry.ask("POST", "/account/tokens", "Laura Gil", data={"name": "laptop", "valid_days": "30"})
    token = re.search(r"hanse_person_[\w-]+", made.text)
    assert token is not None
    assert "hanse_person_" not in registry.ask("GET", "/account", "Laura Gil").text
    assert (
        registry.ask("GET", "/api/v1/me", None, headers={"Authorization": f"Bearer {token[0]}"}).status_code
        == 200
    )
    refused = registry.ask("POST", "/account/tokens", "Laura Gil", data={"name": "", "valid_days": "9999"})
    assert refused.status_code == 422
    site = registry.ask("POST", "/sites/BIFI/machines/tokens", "Laura Gil", data={"name": "cASO"})
    assert "hanse_site_" in site.text


def test_roles_are_granted_and_withdrawn_from_the_page(registry: Registry) -> None:
    anna, laura = registry.principal("Anna Lindqvist").person, registry.principal("Laura Gil").person
    manager = {"person": laura, "role": "site_operations_manager", "scope": "site:BIFI"}
    registry.send("POST", "/api/v1/roles", manager)
    form = {"person": anna, "role": "site_security_officer", "scope": "site:BIFI"}
    assert registry.ask("POST", "/people/roles", "Laura Gil", data=form).status_code == 303
    assert registry.principal("Anna Lindqvist").has("site_security_officer", "site:BIFI")
    refused = registry.ask("POST", "/people/roles", "Laura Gil", data={**form, "scope": "site:UKIM"})
    assert refused.status_code == 422
    assert "You may not grant" in words(html.fromstring(refused.text))
    role = next(
        one for one in registry.get("/api/v1/roles?scope=site:BIFI")["items"] if one["person"] == anna
    )
    assert registry.ask("POST", f"/people/roles/{role['id']}/withdraw", "Laura Gil").status_code == 303
    assert not registry.principal("Anna Lindqvist").has("site_security_officer", "site:BIFI")


# --- cards that other services fill -------------------------------------------------------------------------------

FAILING = {
    "site": "BIFI",
    "endpoint_id": "1",
    "url": "https://occi.bifi.example:11443/",
    "state": "down",
    "cause": "TCP connection refused on port 11443",
    "since": "2026-11-24T12:00:00Z",
    "incident": 7,
    "acknowledged_by": None,
    "contacts": [{"kind": "admin", "name": "Laura Gil", "email": "laura@bifi.example"}],
}


class Neighbours:
    """The three other services in one, which can fall silent."""

    def __init__(self) -> None:
        self.app = Flask("neighbours")
        self.silent: set[str] = set()
        self.seen: list[str | None] = []
        self.app.add_url_rule("/<service>/api/v1/overview", "overview", self.overview)
        self.app.add_url_rule("/<service>/api/v1/status", "status", self.status)
        self.app.add_url_rule("/<service>/api/v1/usage", "usage", self.usage)
        self.server = make_server("127.0.0.1", 0, self.app, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def overview(self, service: str) -> Response:
        from flask import request

        self.seen.append(request.headers.get("Authorization"))
        if service in self.silent:
            time.sleep(1.5)
        return {
            "monitoring": jsonify(failing=[FAILING], endpoints_total=3),
            "accounting": jsonify(
                refused_7d=214,
                refused_sites=[
                    {"site": "UKIM", "records": 214, "reason": "a bad name", "oldest": "2026-11-20T00:00:00Z"}
                ],
                messages_waiting=2,
                cpu_hours_month=603528.4,
                by_day=[{"day": "2026-11-23", "cpu_hours": 1.0}],
            ),
            "vomsdb": jsonify(
                late=[{"site": "UKIM", "vo": "chipster", "age_s": 90600, "state": "breach"}],
                pairs_total=36,
                in_step=35,
            ),
        }[service]

    def usage(self, service: str) -> Response:
        from flask import request

        if service in self.silent:
            time.sleep(1.5)
        assert request.args["by"] == "vo"
        assert request.args["from"] == request.args["to"]
        row = {"vo": "training.egi.eu", "site": request.args["site"], "cpu_hours": 1234.5, "vms": 7}
        return jsonify(rows=[row, {**row, "vo": "stranger", "cpu_hours": 2.0, "vms": 1}])

    def status(self, service: str) -> Response:
        if service in self.silent:
            time.sleep(1.5)
        site = {
            "site": "BIFI",
            "state": "down",
            "cause": "TCP connection refused",
            "since": "2026-11-24T12:00:00Z",
        }
        rest = [{"site": name, "state": "ok"} for name in ("CESNET", "UKIM")]
        return jsonify(sites=[site, *rest])


@pytest.fixture
def neighbours() -> Iterator[Neighbours]:
    found = Neighbours()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture
def connected(
    registry: Registry, neighbours: Neighbours, settings_for: Callable[..., RegistrySettings]
) -> Iterator[Registry]:
    urls = {f"{name}_url": f"{neighbours.url}/{name}" for name in ("monitoring", "accounting", "vomsdb")}
    settings = settings_for(
        RegistrySettings,
        "registry",
        registry.db,
        card_deadline_s=0.7,
        card_reuse_s=0,
        service_token="registry's own",
        **urls,
    )
    app = create_app(settings)
    yield Registry(app, registry.db, settings, registry.tokens)
    app.extensions["hanse"].db.close()


def card(document: Any, title: str) -> str:
    return next(words(one) for one in document.iter("section") if (head := one.find(".//h2")) is not None
                and words(head).strip() == title)  # fmt: skip


def test_home_shows_what_each_service_tells(connected: Registry, neighbours: Neighbours) -> None:
    document = page(connected, "/")
    assert "1 site is down; 2 of 3 are in order." in words(document.find(".//p[@class='sentence']"))
    assert "TCP connection refused on port 11443" in card(document, "Failing now")
    assert "a bad name" in card(document, "Refused records")
    assert "25 h 10 min" in card(document, "Late replication")
    figures = words(document.find(".//section[@aria-label='Key figures']"))
    for figure in ("1 of 3", "214", "1 of 36 pairs", "603,528"):
        assert figure in figures
    links = {link.get("href") for link in document.iter("a")}
    assert f"{neighbours.url}/monitoring/incidents/7" in links
    assert f"{neighbours.url}/accounting/refused/UKIM" in links
    assert neighbours.seen == ["Bearer registry's own"] * 3


def test_a_silent_service_greys_its_own_card_alone(connected: Registry, neighbours: Neighbours) -> None:
    page(connected, "/")
    neighbours.silent = {"accounting"}
    began = time.monotonic()
    document = page(connected, "/")
    assert time.monotonic() - began < 1.4
    refused = card(document, "Refused records")
    assert re.search(r"Accounting does not answer; these figures are \d+ s old", refused)
    assert "a bad name" in refused
    assert "does not answer" not in card(document, "Failing now")
    assert "does not answer" not in card(document, "Late replication")


def test_a_service_that_never_answered_says_so(connected: Registry, neighbours: Neighbours) -> None:
    neighbours.silent = {"monitoring", "accounting", "vomsdb"}
    document = page(connected, "/")
    assert "there are no earlier figures" in card(document, "Failing now")
    assert "Monitoring does not answer" in words(document.find(".//p[@class='sentence']"))
    assert "Changed today" in words(document)


def test_what_each_vo_uses_stands_beside_what_is_declared_with_its_source(
    connected: Registry, neighbours: Neighbours
) -> None:
    connected.ask("PUT", "/v1/sites/BIFI/cloudinfo", data=encoded(cloud_document("BIFI")))
    shown = card(page(connected, "/sites/BIFI"), "Capacity by VO")
    assert "1,234 CPU hours, 7 machines this month by usage records" in shown
    assert "as the cloud publishes" in shown
    assert "stranger" in shown
    assert "not declared" in shown, "a VO that uses what was never declared for it"
    neighbours.silent = {"accounting"}
    old = card(page(connected, "/sites/BIFI"), "Capacity by VO")
    assert "Accounting does not answer" in old
    assert "1,234 CPU hours" in old, "the last good answer stays"
    past = card(page(connected, "/sites/BIFI?as_of=1000"), "Capacity by VO")
    assert "CPU hours" not in past


def test_sites_in_trouble_stand_first(connected: Registry) -> None:
    document = page(connected, "/sites", None)
    names = [words(link) for link in document.findall(".//td/a[@class='name']")]
    assert names == ["BIFI", "CESNET", "UKIM"]
    assert "Down" in words(document.find(".//tbody/tr"))
    assert [words(link) for link in page(connected, "/sites?state=ok").findall(".//td/a[@class='name']")] == [
        "CESNET",
        "UKIM",
    ]


def test_a_downtime_of_the_whole_site_shows_at_once(connected: Registry) -> None:
    connected.declare("UKIM", -HOUR, 2 * HOUR)
    rows = {
        words(row.find(".//a[@class='name']")): words(row[0])
        for row in page(connected, "/sites").findall(".//tbody/tr")
    }
    assert "Downtime" in rows["UKIM"]
    assert "In order" in rows["CESNET"]
