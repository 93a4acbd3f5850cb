"""People, their certificates, tokens and roles; machines of sites."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from cryptography.hazmat.primitives.serialization import Encoding

from demo.ca import CertificateAuthority, Issued
from hanse.errors import Conflict, Forbidden, Refused
from hanse.identity.authority import Authority
from hanse.identity.principals import Principal
from hanse.identity.proxies import create_proxy
from hanse.revisions import current
from registry import people
from registry.schemas.people import MeIn

from .conftest import Cast, Registry


def caller(registry: Registry, issued: Issued) -> Principal:
    """Somebody who shows this certificate."""
    return Authority(registry.db, {}).for_certificate_chain([issued.cert])


def pem_of(issued: Issued) -> str:
    """The certificate itself; the file of a name holds the newest."""
    return issued.cert.public_bytes(Encoding.PEM).decode()


def test_a_certificate_makes_a_person_once(registry: Registry, cast: Cast) -> None:
    tomas = caller(registry, cast["Tomás Vidal"])
    number = people.register_me(registry.db, tomas, MeIn(email="tomas@bifi.example"))
    again = people.register_me(registry.db, caller(registry, cast["Tomás Vidal"]), MeIn(name="Other"))
    assert number == again
    found = registry.get(f"/api/v1/people/{number}")
    assert (found["name"], found["email"]) == ("Tomás Vidal", "tomas@bifi.example")
    assert found["identities"][0]["subject"] == "/C=EU/O=Hanse Demo/OU=People/CN=Tomás Vidal"


def test_a_token_makes_no_new_person(registry: Registry) -> None:
    token = registry.send("POST", "/api/v1/sites/BIFI/tokens", {"name": "cASO"})["token"]
    answer = registry.ask("POST", "/api/v1/me", None, json={}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403


def test_a_token_acts_as_its_person_until_withdrawn_or_over(registry: Registry) -> None:
    made = registry.send("POST", "/api/v1/me/tokens", {"name": "script", "valid_days": 30}, "Laura Gil")
    assert made["token"].startswith("hanse_person_")
    bearer = {"Authorization": f"Bearer {made['token']}"}
    body = {"location": "Zaragoza"}
    assert registry.ask("PATCH", "/api/v1/sites/BIFI", None, json=body, headers=bearer).status_code == 200
    assert registry.ask("PATCH", "/api/v1/sites/UKIM", None, json=body, headers=bearer).status_code == 403
    assert made["token"] not in registry.ask("GET", "/api/v1/me/tokens", "Laura Gil").text
    with time_machine.travel(datetime.now(UTC) + timedelta(days=31)):
        assert registry.ask("GET", "/api/v1/me", None, headers=bearer).status_code == 401
    assert registry.ask("DELETE", f"/api/v1/me/tokens/{made['id']}", "Goran Petrov").status_code == 404
    assert registry.ask("DELETE", f"/api/v1/me/tokens/{made['id']}", "Laura Gil").status_code == 204
    assert registry.ask("GET", "/api/v1/me", None, headers=bearer).status_code == 401


def test_tokens_that_are_over_are_taken_away_by_the_clock(registry: Registry) -> None:
    token = registry.send("POST", "/api/v1/sites/BIFI/tokens", {"name": "cASO", "valid_days": 1})
    with time_machine.travel(datetime.now(UTC) + timedelta(days=2)):
        assert people.end_expired(registry.db) == "1 tokens ended."
        assert people.end_expired(registry.db) == "No token ended."
    with registry.db.transaction() as session:
        assert token["key"] not in current(session, "identity")
        assert all(grant["principal"] != token["key"] for grant in current(session, "grant").values())


def test_no_secret_is_in_the_log(registry: Registry) -> None:
    token = registry.send("POST", "/api/v1/me/tokens", {"name": "script"}, "Laura Gil")["token"]
    feed = registry.ask("GET", "/api/v1/changes?limit=5000").text
    assert token not in feed
    assert "hanse_" not in feed


def test_a_second_certificate_joins_with_a_code(
    registry: Registry, cast: Cast, ca: CertificateAuthority
) -> None:
    laura = caller(registry, cast["Laura Gil"])
    second = caller(registry, ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Laura Gil Robot"))
    code, _ = people.begin_link(registry.db, laura)
    with pytest.raises(Refused):
        people.claim_link(registry.db, second, code[::-1])
    people.claim_link(registry.db, second, code)
    joined = Authority(registry.db, {}).for_key(second.key)
    assert joined.has("site_administrator", "site:BIFI")
    third = caller(registry, ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Somebody"))
    with pytest.raises(Refused, match="used up"):
        people.claim_link(registry.db, third, code)


def test_a_code_does_not_live_long_nor_steal(
    registry: Registry, cast: Cast, ca: CertificateAuthority
) -> None:
    code, until = people.begin_link(registry.db, caller(registry, cast["Laura Gil"]))
    newcomer = caller(registry, ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Late"))
    with time_machine.travel(until + timedelta(seconds=1)), pytest.raises(Refused):
        people.claim_link(registry.db, newcomer, code)
    with pytest.raises(Conflict):
        people.claim_link(registry.db, caller(registry, cast["Goran Petrov"]), code)


def test_the_last_certificate_stays(registry: Registry) -> None:
    mine = registry.get("/api/v1/me", "Laura Gil")["identities"]
    certificate = next(one for one in mine if one["kind"] == "x509")
    answer = registry.ask("DELETE", f"/api/v1/me/tokens/{certificate['id']}", "Laura Gil")
    assert answer.status_code == 422


def test_people_are_listed_for_those_who_run_sites(registry: Registry) -> None:
    names = [one["name"] for one in registry.get("/api/v1/people", "Laura Gil")["items"]]
    assert "Eliška Malá" in names
    assert [one["name"] for one in registry.get("/api/v1/people?q=lindq")["items"]] == ["Anna Lindqvist"]
    assert registry.ask("GET", "/api/v1/people", "Anna Lindqvist").status_code == 403
    assert registry.ask("GET", "/api/v1/people", None).status_code == 401


GRANTS = [
    ("Ingrid Holm", "federation_operator", "federation", 201),
    ("Ingrid Holm", "site_administrator", "site:UKIM", 201),
    ("Laura Gil", "site_security_officer", "site:BIFI", 403),  # GOCDB: site roles but the administrator may
    ("Laura Gil", "site_administrator", "site:BIFI", 403),
    ("Laura Gil", "site_security_officer", "site:UKIM", 403),
    ("Laura Gil", "federation_operator", "federation", 403),
    ("Laura Gil", "ngi_manager", "ngi:NGI_IBERGRID", 403),
    ("Anna Lindqvist", "site_administrator", "site:BIFI", 403),
    (None, "site_administrator", "site:BIFI", 401),
    ("Ingrid Holm", "site_administrator", "site:NOWHERE", 404),
    ("Ingrid Holm", "site_administrator", "federation", 422),
    ("Ingrid Holm", "ngi_manager", "site:BIFI", 422),
    ("Ingrid Holm", "vo_manager", "vo:chipster", 422),
]


@pytest.mark.parametrize(("who", "role", "scope", "status"), GRANTS)
def test_who_may_grant_what(registry: Registry, who: str | None, role: str, scope: str, status: int) -> None:
    anna = registry.principal("Anna Lindqvist").person
    registry.send("POST", "/api/v1/roles", {"person": anna, "role": role, "scope": scope}, who, status)
    assert registry.principal("Anna Lindqvist").has(role, scope) == (status == 201)


def test_an_ngi_manager_grants_in_the_own_ngi(registry: Registry) -> None:
    anna, goran = registry.principal("Anna Lindqvist").person, registry.principal("Goran Petrov").person
    registry.send(
        "POST", "/api/v1/roles", {"person": anna, "role": "ngi_manager", "scope": "ngi:NGI_IBERGRID"}
    )
    role = {"person": goran, "role": "site_administrator", "scope": "site:BIFI"}
    registry.send("POST", "/api/v1/roles", role, "Anna Lindqvist")
    registry.send("POST", "/api/v1/roles", {**role, "scope": "site:CESNET"}, "Anna Lindqvist", 403)
    assert registry.send("POST", "/api/v1/roles", role, "Anna Lindqvist", 409)["detail"].endswith("already.")


def test_a_withdrawn_role_is_gone_at_once(registry: Registry) -> None:
    role = registry.get("/api/v1/roles?scope=site:BIFI")["items"][0]
    assert registry.ask("DELETE", f"/api/v1/roles/{role['id']}", "Goran Petrov").status_code == 403
    assert registry.ask("DELETE", f"/api/v1/roles/{role['id']}", "Laura Gil").status_code == 204  # an own one
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "x"}, "Laura Gil", 403)


def test_the_last_operator_stays(registry: Registry) -> None:
    role = registry.get("/api/v1/roles?scope=federation")["items"][0]
    told = registry.ask("DELETE", f"/api/v1/roles/{role['id']}")
    assert told.status_code == 422
    assert "last federation operator" in told.text


def test_a_host_certificate_speaks_for_its_site_while_it_is_valid(registry: Registry, cast: Cast) -> None:
    pem = cast.host("BIFI").cert_path.read_text()
    made = registry.send("POST", "/api/v1/sites/BIFI/host-certificates", {"pem": pem}, "Laura Gil")
    machine = caller(registry, cast.host("BIFI"))
    assert machine.key == made["key"]
    assert (machine.has("site_machine", "site:BIFI"), machine.site) == (True, "BIFI")
    assert not machine.has("site_machine", "site:UKIM")
    with time_machine.travel(datetime.fromisoformat(made["not_after"]) + timedelta(seconds=1)):
        assert not Authority(registry.db, {}).for_key(made["key"]).has("site_machine", "site:BIFI")
    listed = registry.get("/api/v1/sites/BIFI/host-certificates", "Anna Lindqvist")["items"]
    assert [one["dn"] for one in listed] == ["/C=EU/O=Hanse Demo/OU=BIFI/CN=acct.bifi.example"]
    registry.ask("DELETE", f"/api/v1/sites/BIFI/host-certificates/{made['id']}", "Laura Gil")
    assert not caller(registry, cast.host("BIFI")).has("site_machine", "site:BIFI")


def test_a_renewal_speaks_beside_the_old_one(registry: Registry, ca: CertificateAuthority) -> None:
    subject = "/C=EU/O=Hanse Demo/OU=BIFI/CN=new.bifi.example"
    issued = [ca.issue(subject, host="new.bifi.example", days=days) for days in (10, 400)]
    path = "/api/v1/sites/BIFI/host-certificates"
    made = [registry.send("POST", path, {"pem": pem_of(one)}) for one in issued]
    assert made[0]["key"] == made[1]["key"]
    registry.ask("DELETE", f"{path}/{made[0]['id']}")
    assert caller(registry, issued[1]).has("site_machine", "site:BIFI")
    registry.send("POST", path, {"pem": pem_of(issued[1])}, status=409)


def test_a_machine_speaks_for_one_site_and_is_no_person(registry: Registry, cast: Cast) -> None:
    pem = cast.host("BIFI").cert_path.read_text()
    registry.send("POST", "/api/v1/sites/BIFI/host-certificates", {"pem": pem})
    stolen = registry.send("POST", "/api/v1/sites/UKIM/host-certificates", {"pem": pem}, status=409)
    assert "speaks for site BIFI" in stolen["detail"]
    person = cast["Laura Gil"].cert_path.read_text()
    registry.send("POST", "/api/v1/sites/BIFI/host-certificates", {"pem": person}, status=409)
    with pytest.raises(Forbidden):
        people.register_me(registry.db, caller(registry, cast.host("BIFI")), MeIn())


def test_what_is_no_host_certificate_is_refused(
    registry: Registry, cast: Cast, ca: CertificateAuthority
) -> None:
    host = cast.host("BIFI")
    proxy = create_proxy(host.cert, host.key, [], 3600).decode()
    ended = ca.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=old.bifi.example", days=1,
                     not_before=datetime.now(UTC) - timedelta(days=5))  # fmt: skip
    for pem in ("", "no certificate", proxy, ended.cert_path.read_text(), host.key_path.read_text()):
        registry.send("POST", "/api/v1/sites/BIFI/host-certificates", {"pem": pem}, status=422)


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("Anna Lindqvist", 403), ("Goran Petrov", 403)])
def test_others_keep_no_machines_of_a_site(
    registry: Registry, who: str | None, status: int, cast: Cast
) -> None:
    pem = cast.host("BIFI").cert_path.read_text()
    registry.send("POST", "/api/v1/sites/BIFI/host-certificates", {"pem": pem}, who, status)
    registry.send("POST", "/api/v1/sites/BIFI/tokens", {"name": "x"}, who, status)
    assert registry.ask("GET", "/api/v1/sites/BIFI/tokens", who).status_code == status
    assert registry.ask("GET", "/sites/BIFI/machines", who).status_code == status


def test_a_site_token_is_a_machine_of_that_site_alone(registry: Registry) -> None:
    made = registry.send("POST", "/api/v1/sites/BIFI/tokens", {"name": "cASO"}, "Laura Gil")
    machine = Authority(registry.db, {}).for_token(made["token"])
    assert {(grant.role, grant.scope) for grant in machine.grants} == {("site_machine", "site:BIFI")}
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert registry.ask("PATCH", "/api/v1/sites/BIFI", None, json={}, headers=bearer).status_code == 403
    registry.ask("DELETE", f"/api/v1/sites/BIFI/tokens/{made['id']}", "Laura Gil")
    assert registry.ask("GET", "/api/v1/people", None, headers=bearer).status_code == 401


def test_the_feed_gives_bodies_as_the_other_services_follow_them(registry: Registry, cast: Cast) -> None:
    pem = cast.host("BIFI").cert_path.read_text()
    registry.send("POST", "/api/v1/sites/BIFI/host-certificates", {"pem": pem})
    registry.declare("BIFI", timedelta(hours=1), timedelta(hours=1))
    changes = registry.get("/api/v1/changes?limit=5000")["changes"]
    keys = {change["kind"]: set(change["body"]) for change in changes}
    wanted = {
        "site": "id name official_name ngi country country_code middleware certification production latitude"
        " longitude capacity contacts supports agent_url usage_site_names",
        "endpoint": "id site service_id service_type hostname url interface monitored production host_dn",
        "downtime": "id site severity classification start end description services endpoints",
        "host_certificate": "id site subject_der issuer_der dn key not_before not_after",
        "identity": "key person site name email subject_slash subject_der issuer_der",
        "grant": "principal role scope name not_before not_after",
    }
    for kind, fields in wanted.items():
        assert set(fields.split()) <= keys[kind], kind
    assert registry.ask("GET", "/api/v1/changes", "Laura Gil").status_code == 403


def test_an_erased_person_can_do_nothing_more(registry: Registry, cast: Cast) -> None:
    laura = registry.principal("Laura Gil").person
    assert registry.ask("DELETE", f"/api/v1/people/{laura}", "Laura Gil").status_code == 403
    told = registry.send("DELETE", f"/api/v1/people/{laura}", None)
    assert told == {"stands_as": f"erased person {laura}", "sites": ["BIFI"]}  # whose contact she was
    assert registry.ask("GET", "/api/v1/me", "Laura Gil").status_code == 401
    assert caller(registry, cast["Laura Gil"]).grants == frozenset()
