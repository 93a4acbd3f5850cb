"""The federation file: plan, apply, export; what it refuses; that it comes back as it went in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from hanse.errors import Refused, TooLarge
from registry import federation
from registry.renderings.federation_yaml import FederationDoc, parse, write
from registry.renderings.plain_yaml import dump, read_plain

from .conftest import ISSUER, OCCI, Cast, Registry, site_document

SMALL = f"""
ngis:
  - name: NGI_NO
sites:
  - name: OSLO
    ngi: NGI_NO
    official_name: Universitetet i Oslo
    country: Norway
    country_code: NO
    capacity: {{vcpu: 12, ram_gb: 1.5}}
    services:
      - {{type: {OCCI}, hostname: occi.oslo.example, url: "https://occi.oslo.example/"}}
people:
  - name: Åse Ødegård
    identities: [{{subject: "/C=NO/O=Hanse Demo/CN=Åse Ødegård", issuer: "{ISSUER}"}}]
    roles: [{{role: site_administrator, scope: "site:OSLO"}}]
"""


def plan(registry: Registry, document: str, *, prune: bool = False) -> dict[str, Any]:
    body = {"document": document, "prune": prune}
    found: dict[str, Any] = registry.send("POST", "/api/v1/federation/plan", body, status=200)
    return found


def apply(registry: Registry, document: str, **more: Any) -> dict[str, Any]:
    body = {"document": document, **more}
    found: dict[str, Any] = registry.send("POST", "/api/v1/federation/apply", body, status=200)
    return found


def exported(registry: Registry) -> str:
    return registry.ask("GET", "/api/v1/federation/export").text


def test_a_plan_shows_and_changes_nothing(empty_registry: Registry) -> None:
    steps = plan(empty_registry, SMALL)["steps"]
    assert [(step["action"], step["kind"], step["name"]) for step in steps] == [
        ("add", "ngi", "NGI_NO"),
        ("add", "site", "OSLO"),
        ("add", "service", f"{OCCI} on occi.oslo.example"),
        ("add", "person", "Åse Ødegård"),
        ("add", "identity", "/C=NO/O=Hanse Demo/CN=Åse Ødegård of Åse Ødegård"),
        ("add", "role", "site_administrator in site:OSLO for Åse Ødegård"),
    ]
    assert empty_registry.get("/api/v1/sites")["items"] == []
    assert (
        empty_registry.get("/api/v1/changes")["head"] == 3
    )  # the stock, the operator, the token of the tests


def test_applying_does_what_was_planned_in_one_revision(empty_registry: Registry) -> None:
    planned = plan(empty_registry, SMALL)
    done = apply(empty_registry, SMALL, plan=planned["plan"], reason="the first site")
    assert done["steps"] == planned["steps"]
    assert empty_registry.get("/api/v1/sites/OSLO")["revision"] == done["revision"]
    assert empty_registry.get("/api/v1/sites/OSLO")["country_code"] == "NO"
    assert empty_registry.get("/api/v1/roles?scope=site:OSLO")["items"][0]["person_name"] == "Åse Ødegård"
    again = apply(empty_registry, SMALL)
    assert (again["steps"], again["revision"]) == ([], None)


def test_a_change_shows_old_and_new(empty_registry: Registry) -> None:
    apply(empty_registry, SMALL)
    steps = plan(empty_registry, SMALL.replace("vcpu: 12", "vcpu: 20"))["steps"]
    assert [step["kind"] for step in steps] == ["site"]
    old, new = steps[0]["changes"]["capacity"]
    assert (old["vcpu"], new["vcpu"]) == (12, 20)


def test_keys_that_are_not_in_the_file_keep_their_value(empty_registry: Registry) -> None:
    apply(empty_registry, SMALL)
    empty_registry.send("PATCH", "/api/v1/sites/OSLO", {"location": "Oslo", "middleware": "OpenStack"})
    assert plan(empty_registry, SMALL)["steps"] == []


def test_an_old_plan_is_not_applied(empty_registry: Registry) -> None:
    planned = plan(empty_registry, SMALL)
    empty_registry.send("POST", "/api/v1/ngis", {"name": "NGI_NO"})
    body = {"document": SMALL, "plan": planned["plan"]}
    told = empty_registry.send("POST", "/api/v1/federation/apply", body, status=409)
    assert "plan again" in told["detail"]
    assert empty_registry.get("/api/v1/sites")["items"] == []


def test_one_broken_rule_keeps_everything_out(empty_registry: Registry) -> None:
    broken = SMALL + "  - {name: X, roles: [{role: site_administrator, scope: 'site:NOWHERE'}]}\n"
    for path in ("plan", "apply"):
        body = {"document": broken}
        told = empty_registry.send("POST", f"/api/v1/federation/{path}", body, status=404)
        assert "person X" in told["detail"]
    assert empty_registry.get("/api/v1/sites")["items"] == []
    assert empty_registry.get("/api/v1/ngis")["items"] == []


def test_what_is_exported_plans_to_nothing(registry: Registry, cast: Cast) -> None:
    pem = cast.host("BIFI").cert_path.read_text()
    registry.send("POST", "/api/v1/sites/BIFI/host-certificates", {"pem": pem})
    document = exported(registry)
    assert plan(registry, document, prune=True)["steps"] == []
    assert "Eliška Malá" in document


def test_pruning_removes_what_the_file_does_not_name(registry: Registry) -> None:
    content = yaml.safe_load(exported(registry))
    content["sites"] = [site for site in content["sites"] if site["name"] != "UKIM"]
    content["ngis"] = [ngi for ngi in content["ngis"] if ngi["name"] != "NGI_MK"]
    for person in content["people"]:
        person["roles"] = [role for role in person["roles"] if "UKIM" not in role["scope"]]
    content["sites"][0]["services"] = []
    document = yaml.safe_dump(content, allow_unicode=True)
    assert plan(registry, document)["steps"] == []
    removed = {(step["kind"], step["name"]) for step in apply(registry, document, prune=True)["steps"]}
    assert removed == {
        ("service", f"{OCCI} on occi.bifi.example"),
        ("role", "site_administrator in site:UKIM for Goran Petrov"),
        ("site", "UKIM"),
        ("ngi", "NGI_MK"),
    }
    assert [site["name"] for site in registry.get("/api/v1/sites")["items"]] == ["BIFI", "CESNET"]


def test_what_spans_sites_is_planned_changed_and_pruned(registry: Registry) -> None:
    content = yaml.safe_load(exported(registry))
    bifi = next(site for site in content["sites"] if site["name"] == "BIFI")
    (service,) = bifi["services"]
    member = {"site": "BIFI", "type": service["type"], "hostname": service["hostname"]}
    content["scopes"].append({"name": "cloudy", "description": "in the clouds"})
    content["projects"] = [{"name": "EGI", "ngis": ["NGI_CZ", "NGI_IBERGRID"]}]
    content["service_groups"] = [{"name": "SG", "scopes": ["cloudy"], "services": [member]}]
    document = yaml.safe_dump(content, allow_unicode=True)
    steps = [(one["action"], one["kind"], one["name"]) for one in apply(registry, document)["steps"]]
    assert steps == [("add", "scope", "cloudy"), ("add", "project", "EGI"), ("add", "service_group", "SG")]
    assert plan(registry, exported(registry), prune=True)["steps"] == []
    content["service_groups"], content["projects"] = [], []
    content["scopes"] = [one for one in content["scopes"] if one["name"] != "cloudy"]
    document = yaml.safe_dump(content, allow_unicode=True)
    steps = [
        (one["action"], one["kind"], one["name"]) for one in apply(registry, document, prune=True)["steps"]
    ]
    assert steps == [
        ("remove", "service_group", "SG"),
        ("remove", "project", "EGI"),
        ("remove", "scope", "cloudy"),
    ]


def test_words_that_are_in_use_are_not_pruned(registry: Registry) -> None:
    content = yaml.safe_load(exported(registry))
    content["service_types"] = [one for one in content["service_types"] if one["name"] != OCCI]
    body = {"document": yaml.safe_dump(content, allow_unicode=True), "prune": True}
    told = registry.send("POST", "/api/v1/federation/plan", body, status=422)
    assert f"service type {OCCI} is not in the file, but in use by" in told["detail"]


def test_a_project_that_the_file_takes_off_a_vo_is_gone(registry: Registry) -> None:
    share = {"vo": "training.egi.eu", "vcpu": 16, "project_id": "abc"}
    registry.send("PATCH", "/api/v1/sites/BIFI", {"supports": [share]})
    assert "project_id: abc" in exported(registry)
    apply(registry, exported(registry).replace("project_id: abc", "project_id: null"))
    assert registry.get("/api/v1/sites/BIFI")["supports"][0]["project_id"] is None


def test_the_last_operator_cannot_be_pruned(registry: Registry) -> None:
    content = yaml.safe_load(exported(registry))
    for person in content["people"]:
        person["roles"] = []
    body = {"document": yaml.safe_dump(content, allow_unicode=True), "prune": True}
    told = registry.send("POST", "/api/v1/federation/apply", body, status=422)
    assert "last federation operator" in told["detail"]


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("Laura Gil", 403), ("Anna Lindqvist", 403)])
def test_the_file_is_for_operators(registry: Registry, who: str | None, status: int) -> None:
    assert registry.ask("GET", "/api/v1/federation/export", who).status_code == status
    for path in ("plan", "apply"):
        answer = registry.ask("POST", f"/api/v1/federation/{path}", who, json={"document": SMALL})
        assert answer.status_code == status


BOMB = "a: &a [x,x,x]\nb: &b [*a,*a]\nsites: [*b]\n"


@pytest.mark.parametrize(
    ("document", "where", "why"),
    [
        ("sites: [", "line 2", "expected"),
        (BOMB, "line 1", "anchors"),
        ("[" * 40 + "]" * 40, "line 1", "deep"),
        ("sites: []\nsites: []\n", "line 2", "twice"),
        ("1: x\n", "line 1", "no text"),
        ("sites: !!python/object/apply:os.system [id]\n", "line 1", "tags"),
        ("sites: !!binary aGk=\n", "line 1", "tags"),
        ("clouds: []\n", "clouds", "no such key"),
        ("- 1\n", "document", "dict"),
        ("sites:\n  - {name: A, ngi: N, colour: red}\n", "sites.1.colour", "no such key"),
        ("people:\n  - {name: A, identities: [{subject: /CN=A}]}\n", "people.1.identities.1", "issuer"),
        ("ngis: [{name: A}, {name: A}]\n", "document", "stands there twice"),
        ('ngis: [{name: "a\\0b"}]\n', "ngis.1.name", "pattern"),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_stands(document: str, where: str, why: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(document)
    faults = [(fault.field, fault.reason) for fault in refused.value.fields]
    assert any(field == where and why in reason for field, reason in faults), faults


def test_a_huge_file_is_not_even_read() -> None:
    with pytest.raises(TooLarge):
        parse("#" * 5_000_001)


def test_a_short_file_of_aliases_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(Refused, match="not plain YAML"):
        parse("\n".join(lines))


words = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")), min_size=1, max_size=30
).filter(lambda value: value.strip() == value)
codes = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True).filter(lambda name: name != "new")
hosts = st.from_regex(r"[a-z0-9]{1,8}\.[a-z]{2,8}", fullmatch=True)
urls = hosts.map(lambda host: f"https://{host}:8443/occi?a=b#c")
amounts = st.none() | st.integers(0, 10**6)
emails = hosts.map(lambda host: f"ops@{host}")
extensions = st.dictionaries(codes, words, max_size=3)
endpoints = st.lists(
    st.fixed_dictionaries(
        {"name": codes, "url": urls},
        optional={
            "interface": codes,
            "monitored": st.booleans(),
            "description": words,
            "extensions": extensions,
        },
    ),
    max_size=3,
    unique_by=lambda entry: entry["name"],
)
services = st.fixed_dictionaries(
    {"type": st.sampled_from([OCCI, "VOMS"]), "hostname": hosts},
    optional={
        "url": urls,
        "description": words,
        "host_dn": words.map(lambda word: f"/C=EU/CN={word}"),
        "beta": st.booleans(),
        "scopes": st.lists(codes, min_size=1, max_size=3, unique=True),
        "endpoints": endpoints,
        "extensions": extensions,
    },
)
sites = st.fixed_dictionaries(
    {
        "name": codes,
        "official_name": words,
        "country": words,
        "country_code": st.sampled_from(["NO", "ES", "CZ"]),
    },
    optional={
        "description": words,
        "latitude": st.none() | st.floats(-90, 90),
        "longitude": st.none() | st.integers(-180, 180),
        "middleware": words,
        "certification": st.sampled_from(["Candidate", "Certified", "Closed"]),
        "production": st.booleans(),
        "scopes": st.lists(codes, min_size=1, max_size=3, unique=True),
        "capacity": st.fixed_dictionaries(
            {}, optional={"vcpu": amounts, "ram_gb": st.none() | st.floats(0, 1e6)}
        ),
        "contacts": st.lists(
            st.fixed_dictionaries(
                {"kind": st.sampled_from(["admin", "security"]), "name": words, "email": emails}
            ),
            max_size=3,
        ),
        "supports": st.lists(
            st.fixed_dictionaries({"vo": codes}, optional={"vcpu": amounts, "project_id": st.none() | codes}),
            max_size=3,
            unique_by=lambda entry: entry["vo"],
        ),
        "extensions": extensions,
        "infrastructure": st.sampled_from(["Production", "Test", "SC"]),
        "ip_range": st.sampled_from(["192.0.2.0/24", "192.0.2.0/255.255.255.0, 198.51.100.7"]),
        "ipv6_range": st.just("2001:db8::/32"),
        "tier": words,
        "sub_grid": words,
        "services": st.lists(services, max_size=3),
    },
)


@st.composite
def documents(draw: Callable[[Any], Any]) -> dict[str, Any]:
    """A federation that breaks no rule: names once, hosts at one site, roles where there is a site."""
    found = draw(st.lists(sites, min_size=1, max_size=3, unique_by=lambda entry: entry["name"]))
    for at, site in enumerate(found):
        site["ngi"] = "NGI_X"
        for service in site.get("services", []):
            service["hostname"] = f"s{at}.{service['hostname']}"
    people = [
        {
            "name": draw(words),
            "email": draw(st.none() | emails),
            "title": draw(words),
            "works_from": "08:30",
            "identities": [
                {"subject": f"/C=EU/CN=Person {number}", "issuer": ISSUER},
                {
                    "provider": "https://aai.example/",
                    "provider_subject": f"s{number}@aai",
                    "realm": "EGI Check-in",
                },
            ],
            "roles": [
                {"role": "site_administrator", "scope": f"site:{draw(st.sampled_from(found))['name']}"}
            ],
        }
        for number in range(draw(st.integers(0, 2)))
    ]
    ngi = {"name": "NGI_X", "description": draw(words), "scopes": ["EGI", "FedCloud"], "ggus_su": draw(words)}
    for site in found:
        if site.get("infrastructure", "Production") != "Production":
            site.pop("production", None)
        elif "infrastructure" in site:
            site["production"] = True
    members = [
        {"site": site["name"], "type": one["type"], "hostname": one["hostname"], "nth": 1}
        for site in found
        for one in site.get("services", [])
    ]
    distinct = list({(one["site"], one["type"], one["hostname"]): one for one in members}.values())
    return {
        "scopes": [{"name": "zz-reserved", "reserved": draw(st.booleans()), "description": draw(words)}],
        "ngis": [ngi],
        "projects": [
            {"name": "P", "description": draw(words), "ngis": draw(st.sampled_from([[], ["NGI_X"]]))}
        ],
        "sites": found,
        "service_groups": [
            {
                "name": "G",
                "description": draw(words),
                "monitored": draw(st.booleans()),
                "email": draw(st.none() | emails),
                "services": draw(st.lists(st.sampled_from(distinct), unique_by=str)) if distinct else [],
                "extensions": draw(extensions),
            }
        ],
        "people": people,
    }


NORWAY = {
    "ngis": [{"name": "NGI_X", "description": "yes"}],
    "sites": [
        {
            "name": "1e3",
            "ngi": "NGI_X",
            "official_name": "0x1F",
            "country": "null",
            "country_code": "NO",
            "description": "a: b\n- c  # d",
        }
    ],
    "people": [],
}


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\n\t"), max_size=200)


@given(st.lists(TEXTS, max_size=5))
@settings(max_examples=100, deadline=None)
def test_any_text_is_read_as_it_was_written(texts: list[str]) -> None:
    assert read_plain(dump({"texts": texts}), 10**6) == {"texts": texts}


@example(NORWAY)
@given(documents())
@settings(
    max_examples=15,
    phases=(
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ),  # each example is whole transactions: shrinking takes hours
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_federation_comes_back_as_it_went_in(empty_registry: Registry, content: dict[str, Any]) -> None:
    """Apply any federation to an empty registry; its export plans to nothing, and builds the same one elsewhere."""
    first = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    operator = empty_registry.principal("Ingrid Holm")
    _empty(empty_registry)
    federation.apply(empty_registry.db, operator, first)
    whole = federation.export(empty_registry.db, operator)
    text_of = write(whole)
    assert parse(text_of) == whole
    assert federation.plan(empty_registry.db, operator, text_of, prune=True).steps == []
    assert federation.plan(empty_registry.db, operator, first).steps == []
    _empty(empty_registry)
    federation.apply(empty_registry.db, operator, text_of)
    assert write(federation.export(empty_registry.db, operator)) == text_of


def _empty(registry: Registry) -> None:
    with registry.db.transaction() as session:
        session.execute(text("delete from person where name <> 'Ingrid Holm'"))
        session.execute(text("delete from person where id <> (select person_id from role where role ="
                             " 'federation_operator' limit 1)"))  # fmt: skip
        session.execute(text("delete from service_group"))
        session.execute(text("delete from project"))
        session.execute(text("delete from site"))
        session.execute(text("delete from ngi"))
        session.execute(text("delete from scope where name <> all (array['EGI', 'FedCloud', 'Local'])"))
        session.execute(text("delete from history where kind <> 'identity' and kind <> 'grant'"))


def test_the_file_of_the_api_builds_the_same_registry(registry: Registry, empty_registry: Registry) -> None:
    document = exported(registry)
    apply(empty_registry, document)
    assert exported(empty_registry) == document
    assert (
        site_document("BIFI")["capacity"]["vcpu"]
        == empty_registry.get("/api/v1/sites/BIFI")["capacity"]["vcpu"]
    )


def test_an_empty_document_is_an_empty_federation() -> None:
    assert parse("") == FederationDoc()
