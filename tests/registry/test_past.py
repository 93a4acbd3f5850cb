"""Every read of the past: the API, the pages, and that what is not told of is said so."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from registry.views.past import PRESENT, SHOWS

from .clouds import cloud_document, encoded
from .conftest import OCCI, Registry

# Reads of the API that know the present only, and why.
PRESENT_ONLY = {
    "/api/v1/changes": "the log itself",
    "/api/v1/revisions/{number}": "the log itself",
    "/api/v1/diff": "the log itself",
    "/api/v1/people/{number}/reads": "dated, and forgotten after personal_read_days",
    "/api/v1/mails": "a queue",
    "/api/v1/downtime-drafts": "not declared yet",
    "/api/v1/downtime-drafts/{key}": "not declared yet",
}
OWN = ("/api/v1/me", "/api/v1/subscriptions", "/api/v1/webhooks")


def newest(registry: Registry) -> int:
    return int(registry.get("/api/v1/history?limit=1")["items"][0]["revision"])


def reads(registry: Registry) -> list[tuple[str, set[str]]]:
    paths: dict[str, Any] = registry.get("/openapi.json")["paths"]
    return [
        (path, {given["name"] for given in kinds["get"].get("parameters", ()) if given["in"] == "query"})
        for path, kinds in paths.items()
        if "get" in kinds and path.startswith("/api/v1/") and not path.endswith(".csv")
    ]


def test_every_read_knows_the_past_or_says_why_not(registry: Registry) -> None:
    forgetful = [
        path
        for path, given in reads(registry)
        if "as_of" not in given and path not in PRESENT_ONLY and not path.startswith(OWN)
    ]
    assert forgetful == []


def test_a_read_of_the_newest_revision_is_the_read_of_now(registry: Registry) -> None:
    """The two share their code; where they do not, they must still say the same."""
    registry.declare("BIFI", timedelta(days=3), timedelta(hours=2))
    registry.send("POST", "/api/v1/sites/BIFI/tokens", {"name": "accounting"})
    (service,) = registry.get("/api/v1/services?site=BIFI")["items"]
    group = {"name": "CLOUDS", "services": [service["id"]]}
    registry.send("POST", "/api/v1/service-groups", group)
    registry.send("POST", "/api/v1/projects", {"name": "EGI", "ngis": ["NGI_CZ"]})
    credential = {"kind": "x509", "identifier": "/C=ES/O=BIFI/CN=robot", "allow_write": True}
    registry.send("POST", "/api/v1/sites/BIFI/api-credentials", credential, "Laura Gil")
    asked = {"role": "site_security_officer", "scope": "site:BIFI", "reason": "duty"}
    registry.send("POST", "/api/v1/role-requests", asked, "Anna Lindqvist")
    sent = registry.ask("PUT", "/v1/sites/BIFI/cloudinfo", "Laura Gil", data=encoded(cloud_document("BIFI")))
    assert sent.status_code == 202, sent.text
    ignored = {"fact": "vo training.egi.eu vcpu", "reason": "being moved"}
    registry.send("PATCH", "/api/v1/sites/BIFI", {"supports": [{"vo": "training.egi.eu", "vcpu": 20}]})
    registry.send("POST", "/api/v1/sites/BIFI/drift/ignore", ignored, "Laura Gil", status=200)
    registry.send("POST", "/api/v1/sites/BIFI/certification/evidence", None, status=200)
    registry.send(
        "POST", "/api/v1/sites/BIFI/certification/proposals", {"status": "Suspended", "reason": "drill"}
    )
    known = {
        "site": "BIFI",
        "ngi": "NGI_CZ",
        "project": "EGI",
        "scope": "EGI",
        "group": "CLOUDS",
        "kind": OCCI,
    }
    number = newest(registry)
    for path, given in reads(registry):
        if "as_of" not in given:
            continue
        ids = {**known, "number": "1"}
        if "endpoints" in path:
            ids["number"] = service["endpoints"][0]["id"]
        elif "services" in path:
            ids["number"] = service["id"]
        address = path.format(**ids)
        now, then = registry.ask("GET", address), registry.ask("GET", f"{address}?as_of={number}")
        assert (now.status_code, then.status_code) == (200, 200), (path, then.text)
        if now.is_json:
            assert _comparable(then.get_json()) == _comparable(now.get_json()), path
        else:  # files: LDIF, XML, YAML
            assert then.text == now.text, path


def _comparable(value: Any) -> Any:
    """Without what no log knows: of a role who asked for it, of a person what stands outside, when something was used,
    and when this was answered.
    """
    if isinstance(value, list):
        return [_comparable(one) for one in value]
    if isinstance(value, dict):
        told = (
            *("requested_at", "requested_by", "request_reason", "granted_at"),
            *("forename", "surname", "title", "telephone", "works_from", "works_until", "last_login_at"),
            *("last_used_at", "generated_at"),
            "can_accept",  # nothing is accepted into the past
        )
        return {key: _comparable(one) for key, one in value.items() if key not in told}
    return value


def test_roles_tokens_and_certificates_as_they_were(registry: Registry) -> None:
    made = registry.send("POST", "/api/v1/sites/BIFI/tokens", {"name": "accounting"})
    (role,) = registry.get("/api/v1/roles?scope=site:BIFI")["items"]
    before = newest(registry)
    registry.ask("DELETE", f"/api/v1/sites/BIFI/tokens/{made['id']}")
    registry.ask("DELETE", f"/api/v1/roles/{role['id']}")
    assert registry.get("/api/v1/sites/BIFI/tokens")["items"] == []
    (token,) = registry.get(f"/api/v1/sites/BIFI/tokens?as_of={before}")["items"]
    assert (token["id"], token["name"]) == (made["id"], "accounting")
    assert registry.get("/api/v1/roles?scope=site:BIFI")["items"] == []
    (then,) = registry.get(f"/api/v1/roles?scope=site:BIFI&as_of={before}")["items"]
    assert (then["id"], then["person_name"], then["granted_by"]) == (role["id"], "Laura Gil", "Ingrid Holm")
    of_laura = registry.get(f"/api/v1/roles?person={role['person']}&as_of={before}")["items"]
    assert [one["scope"] for one in of_laura] == ["site:BIFI"]


def test_tokens_of_then_are_for_those_who_keep_the_site_now(registry: Registry) -> None:
    registry.send("POST", "/api/v1/sites/CESNET/tokens", {"name": "accounting"})
    then = newest(registry)
    path = f"/api/v1/sites/CESNET/tokens?as_of={then}"
    for who, status in (("Eliška Malá", 200), ("Laura Gil", 403), ("Anna Lindqvist", 403), (None, 401)):
        assert registry.ask("GET", path, who).status_code == status, who
    assert registry.ask("GET", f"/api/v1/sites/NOWHERE/tokens?as_of={then}").status_code == 404
    assert registry.ask("GET", "/api/v1/sites/CESNET/tokens?as_of=0").status_code == 404
    assert registry.ask("DELETE", "/api/v1/sites/CESNET").status_code == 204
    assert registry.ask("GET", path, "Laura Gil").status_code == 403
    assert [one["name"] for one in registry.get(path)["items"]] == ["accounting"], "the operator reads it"


def test_a_federation_that_was_not_there_yet(registry: Registry) -> None:
    for path in ("sites", "services", "endpoints", "downtimes", "ngis", "roles"):
        assert registry.get(f"/api/v1/{path}?as_of=0")["items"] == []
    assert registry.ask("GET", "/api/v1/sites/BIFI?as_of=0").status_code == 404
    assert registry.ask("GET", "/api/v1/sites/BIFI?as_of=1999-01-01T00:00:00Z").status_code == 404
    assert registry.ask("GET", "/api/v1/sites/BIFI?as_of=lately").status_code == 422


def test_states_of_an_older_form_are_read_as_those_of_today(registry: Registry) -> None:
    """What bodies were given later is taken out of the past, as if it had been written before."""
    registry.declare("BIFI", timedelta(days=3), timedelta(hours=2))
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"})
    number = newest(registry)
    grown = {
        "site": ("infrastructure", "ip_range", "ipv6_range", "tier", "sub_grid"),
        "ngi": ("ggus_su", "scopes"),
        "endpoint": ("extensions",),
        "downtime": ("sites", "whole_sites", "service_ends", "series"),
        "service_type": ("id",),
    }
    with registry.db.transaction() as session:
        for kind, fields in grown.items():
            taken_out = " - ".join(["body", *(f"'{field}'" for field in fields)])
            session.execute(text(f"update history set body = {taken_out} where kind = :kind"), {"kind": kind})
        session.execute(
            text(
                "update history set body = body #- '{contacts,0,telephone}' where kind = 'site' and op = 'put'"
            )
        )
    for path in ("sites", "ngis", "endpoints", "downtimes", "service-types", "sites/BIFI", "downtimes/1"):
        registry.get(f"/api/v1/{path}?as_of={number}")
    site = registry.get(f"/api/v1/sites/BIFI?as_of={number}")
    assert (site["infrastructure"], site["ip_range"]) == ("Production", None)
    assert site["contacts"][0]["telephone"] is None
    (downtime,) = registry.get(f"/api/v1/downtimes?as_of={number}")["items"]
    assert (downtime["sites"], downtime["service_ends"]) == (["BIFI"], {})
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    newest_change = registry.get("/api/v1/history?limit=1")["items"][0]
    assert newest_change["changes"] == {"location": ["Huesca", "Zaragoza"]}
    for page in ("/sites/BIFI", "/downtimes/1", "/ngis/NGI_CZ", "/services"):
        assert registry.ask("GET", f"{page}?as_of={number}").status_code == 200, page


# --- pages ------------------------------------------------------------------------------------------------------


def pages_of(registry: Registry) -> list[str]:
    app = registry.app
    return [
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ())
        and getattr(app.view_functions[rule.endpoint], "hanse_room", "") == "pages"
    ]


FORMS = re.compile(
    r"/(edit|new|remove|import|erase|machines|api-credentials|confirm)\b|^/(extensions|portal|signin)"
)


def test_every_page_knows_the_past_or_says_why_not(registry: Registry) -> None:
    known = SHOWS | set(PRESENT)
    assert [rule for rule in pages_of(registry) if rule not in known and not _aside(rule)] == []


FOR_PEOPLE_SIGNED_IN = {
    "/",
    "/mine",
    "/history",
    "/history/<int:number>",
    "/history/diff",
    "/people",
    "/people/<int:number>",
    "/roles",
    "/drift",
    "/sites/<name>/drift",
    "/sites/<name>/certification",
    "/certification/proposals",
}


def _aside(rule: str) -> bool:
    """Forms are of the present by their nature; files and the way out are no pages."""
    return bool(FORMS.search(rule)) or rule.endswith(".csv") or rule == "/unsubscribe"


@pytest.fixture
def changed(registry: Registry) -> int:
    """BIFI was in Zaragoza, with one service and a downtime; then it moved, and the service went."""
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    registry.declare("BIFI", timedelta(days=3), timedelta(hours=2))
    number = newest(registry)
    (service,) = registry.get("/api/v1/services?site=BIFI")["items"]
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"})
    registry.ask("DELETE", f"/api/v1/services/{service['id']}")
    return number


@pytest.mark.parametrize("who", [None, "Ingrid Holm"])
def test_pages_of_the_past_are_whole_and_read_only(registry: Registry, changed: int, who: str | None) -> None:
    service = registry.get(f"/api/v1/services?site=BIFI&as_of={changed}")["items"][0]["id"]
    (downtime,) = registry.get("/api/v1/downtimes?site=BIFI")["items"]
    ids = {"/services/<int:number>": service, "/downtimes/<int:number>": downtime["id"]}
    names = {
        "/sites": "BIFI",
        "/ngis": "NGI_CZ",
        "/scopes": "EGI",
        "/service-types": OCCI,
        "/projects": "EGI",
        "/service-groups": "CLOUDS",
    }
    registry.send("POST", "/api/v1/projects", {"name": "EGI", "ngis": ["NGI_CZ"]})
    registry.send("POST", "/api/v1/service-groups", {"name": "CLOUDS"})
    ids["/history/<int:number>"] = str(changed)
    ids["/people/<int:number>"] = registry.get("/api/v1/people?q=Laura")["items"][0]["id"]
    last = newest(registry)
    for rule in sorted(SHOWS):
        if who is None and rule in FOR_PEOPLE_SIGNED_IN:
            continue
        moment = last if rule.startswith(("/projects/", "/service-groups/")) else changed
        path = rule.replace("<int:number>", ids.get(rule, "")).replace(
            "<name>", names.get(rule.partition("/<")[0], "")
        )
        answer = registry.ask("GET", f"{path}?as_of={moment}", who)
        assert answer.status_code == 200, (path, answer.text[:300])
        drawn = answer.text
        assert drawn.count('class="as-of"') == 1, path
        assert f"revision {moment}" in drawn, path
        left = re.sub(r'<form[^>]*action="/signout".*?</form>', "", drawn, flags=re.S)
        assert 'method="post"' not in left, path
        assert not re.search(r'href="/[^"]*/(edit|new|remove)\b', drawn), path
        strayed = [
            href
            for href in re.findall(r'<a\b[^>]*href="(/sites/[^"#]+|/services[^"#]*|/ngis[^"#]*)', drawn)
            if "as_of=" not in href and not href.endswith((".csv", ".json", "/certification", "/drift"))
        ]
        back = [href for href in strayed if href.partition("?")[0] == path]
        assert [href for href in strayed if href not in back] == [], path


def test_a_page_tells_what_was(registry: Registry, changed: int) -> None:
    then = registry.ask("GET", f"/sites/BIFI?as_of={changed}").text
    assert "Zaragoza" in then
    assert "occi.bifi.example" in then
    assert f"/history/diff?since={changed}&amp;site=BIFI" in then
    assert "Compare with now" not in registry.ask("GET", f"/sites/BIFI?as_of={changed}", None).text
    now = registry.ask("GET", "/sites/BIFI").text
    assert "occi.bifi.example" not in now.partition('id="history"')[0]


def test_filters_keep_the_moment(registry: Registry, changed: int) -> None:
    drawn = registry.ask("GET", f"/services?as_of={changed}").text
    for form in re.findall(r'<form[^>]*method="get".*?</form>', drawn, re.S):
        if 'action="' not in form.partition(">")[0] or 'action="/services' in form:
            assert 'name="as_of"' in form


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/mails", "a queue"),
        ("/webhooks", "your own"),
        ("/subscriptions", "your own"),
        ("/account", "People shows you as you were"),
        ("/sites/BIFI/edit", "changed now"),
    ],
)
def test_pages_of_the_present_say_so_and_why(registry: Registry, path: str, why: str) -> None:
    answer = registry.ask("GET", f"{path}?as_of=3")
    assert answer.status_code == 422
    assert "present only" in answer.text
    assert why in answer.text


def test_home_tells_of_the_federation_and_of_the_day_then(registry: Registry, changed: int) -> None:
    step = {"status": "Suspended", "reason": "a drill"}
    registry.send("POST", "/api/v1/sites/BIFI/certification", step, status=200)
    then = registry.ask("GET", f"/?as_of={changed}").text
    assert "3 sites were" in then
    assert "3 Certified" in then
    assert "Suspended 1" not in then
    assert "a drill" not in then.partition('class="as-of"')[2]
    later = registry.ask("GET", f"/?as_of={newest(registry)}").text
    assert "2 Certified, 1 Suspended" in later
    assert "a drill" in later
    assert "No site was registered yet" in registry.ask("GET", "/?as_of=0").text


def test_home_of_then_leads_everybody_to_what_they_may_see(registry: Registry, changed: int) -> None:
    for who, target in (("Laura Gil", "/sites/BIFI"), ("Anna Lindqvist", "/sites"), (None, "/sites")):
        answer = registry.ask("GET", f"/?as_of={changed}", who)
        assert (answer.status_code, answer.headers["Location"]) == (302, f"{target}?as_of={changed}"), who


def test_my_sites_as_they_were(registry: Registry, changed: int) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"name": "BIFI-2", "official_name": "A new institute"})
    (downtime,) = registry.get("/api/v1/downtimes?site=BIFI-2")["items"]
    registry.ask("DELETE", f"/api/v1/downtimes/{downtime['id']}")
    then = registry.ask("GET", f"/mine?as_of={changed}", "Laura Gil").text
    assert "BIFI, the institute" in then
    assert "A new institute" not in then
    assert "none planned" not in then
    now = registry.ask("GET", "/mine", "Laura Gil").text
    assert "BIFI-2" in now
    assert "none planned" in now
    assert "was registered then" in registry.ask("GET", "/mine?as_of=0", "Laura Gil").text


def test_the_log_of_then_ends_there(registry: Registry, changed: int) -> None:
    for path in ("history", "sites/BIFI/history"):
        numbers = [one["revision"] for one in registry.get(f"/api/v1/{path}?as_of={changed}")["items"]]
        assert numbers[0] == changed, path
        assert max(numbers) == changed
    page = registry.ask("GET", f"/history?as_of={changed}").text
    assert "Huesca" not in page
    assert "Zaragoza" in page
    whole = registry.ask("GET", f"/history/{changed}?as_of={changed}")
    assert whole.status_code == 200
    assert "Undo" not in whole.text.partition("<main")[2]
    early = registry.ask("GET", f"/history/{changed}?as_of={changed - 1}")
    assert early.status_code == 404
    assert f"the newest was {changed - 1}" in early.text
    differs = registry.ask("GET", f"/history/diff?since=1&as_of={changed}").text
    assert "Huesca" not in differs
    assert f"revision 1 to {changed}" in differs


def test_a_moment_that_is_none_is_told(registry: Registry) -> None:
    answer = registry.ask("GET", "/sites/BIFI?as_of=<script>")
    assert answer.status_code == 422
    assert "<script>" not in answer.text.partition("<main")[2]
