"""Moving in from a GOCDB: what is taken over, what keeps its keys, what a second run does, what is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import func, select
from werkzeug.serving import make_server

from hanse.database import Database
from hanse.errors import Conflict, Forbidden, HanseError, Refused, TooLarge
from registry.importing import gocdb
from registry.importing.gocdb import Options
from registry.importing.gocdb_reader import bundle_of
from registry.importing.gocdb_records import Bundle
from registry.importing.gocdb_source import Address, from_address, from_files
from registry.importing.gocdb_words import clock, time_of_day
from registry.importing.hostile_xml import read
from registry.importing.merging import Report, merge
from registry.models import CertificationChange, Downtime, Person, ServiceGroup, Site
from registry.settings import RegistrySettings

from .conftest import Cast, Registry, SettingsFor, close, open_registry

SAMPLES = Path(__file__).with_name("samples") / "gocdb"
SOURCE = "goc.example.org"


def samples(**changed: tuple[bytes, bytes]) -> Bundle:
    """The saved answers; a method may have one text in place of another."""
    answers = from_files([SAMPLES])
    documents = dict(answers.documents)
    for method, (old, new) in changed.items():
        documents[method] = [page.replace(old, new) for page in documents[method]]
        assert documents[method] != answers.documents[method]
    return bundle_of(documents, SOURCE, answers.unread)


def imported(registry: Registry, bundle: Bundle, **options: Any) -> Report:
    return gocdb.take_over(registry.db, registry.principal("Ingrid Holm"), bundle, Options(**options))


def told(report: Report, *actions: str) -> set[tuple[str, str]]:
    return {(one.kind, one.name) for one in report.findings if one.action in actions}


def test_a_whole_gocdb_moves_in(empty_registry: Registry) -> None:
    report = imported(empty_registry, samples())
    assert report.counts == {"add": 26, "change": 0, "keep": 10, "skip": 0, "same": 0}
    site = empty_registry.get("/api/v1/sites/ALFA-CLOUD")
    assert (site["id"], site["primary_key"]) == ("41", "41G0")
    assert site["official_name"] == "Alfa Institute & Partners"
    assert site["certification_since"] == "2026-01-15T10:20:30Z"
    assert {(one["kind"], one["email"]) for one in site["contacts"]} == {
        ("admin", "admin@alfa.example.org"),
        ("security", "csirt@alfa.example.org"),
    }
    service = empty_registry.get("/api/v1/services/1")
    assert (service["primary_key"], service["hostname"]) == ("1G0", "h00000.alfa.example.org")
    assert service["endpoints"][0]["extensions"] == {"region": "west"}
    with empty_registry.db.transaction() as session:
        downtime = session.get_one(Downtime, 1)
        assert (downtime.primary_key, downtime.classification) == ("900000G0", "SCHEDULED")
        assert {link.endpoint_id for link in downtime.endpoints} == {1, 13}
        group = session.scalar(select(ServiceGroup).where(ServiceGroup.name == "SG_0"))
        assert group is not None
        assert (group.id, [one.id for one in group.services]) == (45, [1, 2, 3])
        step = session.scalars(select(CertificationChange)).one()
        assert (step.old, step.new, step.reason) == ("Uncertified", "Certified", "passed tests")
        ada = session.scalar(select(Person).where(Person.name == "Ada Test"))
        assert ada is not None
        assert {(role.role, role.scope) for role in ada.roles} == {
            ("site_administrator", "site:ALFA-CLOUD"),
            ("ngi_operations_manager", "ngi:NGI_NORTH"),
            ("cod_staff", "project:EGI"),
            ("service_group_administrator", "servicegroup:SG_0"),
        }


def test_each_site_has_a_revision_that_says_where_it_came_from(empty_registry: Registry) -> None:
    report = imported(empty_registry, samples())
    site = empty_registry.get("/api/v1/sites/BRAVO-CLOUD")
    assert site["revision"] in report.revisions
    (event,) = empty_registry.get("/api/v1/history?kind=site&site=BRAVO-CLOUD")["items"]
    assert event["reason"] == f"Imported from {SOURCE}: site BRAVO-CLOUD"
    assert report.revisions == sorted(set(report.revisions))


def test_a_second_run_changes_nothing(empty_registry: Registry) -> None:
    imported(empty_registry, samples())
    head = empty_registry.get("/api/v1/changes?since=0&limit=1")["head"]
    again = imported(empty_registry, samples())
    assert told(again, "add", "change", "skip") == set()
    assert again.revisions == []
    assert empty_registry.get("/api/v1/changes?since=0&limit=1")["head"] == head


def test_new_things_get_numbers_that_no_consumer_knows(empty_registry: Registry) -> None:
    imported(empty_registry, samples())
    site = {
        "name": "OSLO",
        "ngi": "NGI_NORTH",
        "official_name": "Oslo",
        "country": "Norway",
        "country_code": "NO",
    }
    made = empty_registry.send("POST", "/api/v1/sites", site)
    assert int(made["id"]) > 95  # the project's, the highest of the shared sequence
    service = empty_registry.register_service(
        "OSLO", hostname="occi.oslo.example", url="https://occi.oslo.example/"
    )
    assert int(service["id"]) > 10
    assert int(service["endpoints"][0]["id"]) > 13


def test_a_plan_keeps_nothing_and_names_what_importing_does(empty_registry: Registry) -> None:
    operator = empty_registry.principal("Ingrid Holm")
    planned = gocdb.plan(empty_registry.db, operator, samples(), Options())
    assert empty_registry.get("/api/v1/sites")["items"] == []
    done = gocdb.take_over(empty_registry.db, operator, samples(), Options(), expected=planned.fingerprint)
    assert done.fingerprint == planned.fingerprint
    assert len(empty_registry.get("/api/v1/sites")["items"]) == 4


def test_an_old_plan_is_not_carried_out(empty_registry: Registry) -> None:
    operator = empty_registry.principal("Ingrid Holm")
    planned = gocdb.plan(empty_registry.db, operator, samples(), Options())
    empty_registry.send("POST", "/api/v1/ngis", {"name": "NGI_NORTH", "description": "ours"})
    with pytest.raises(Conflict, match="plan again"):
        gocdb.take_over(empty_registry.db, operator, samples(), Options(), expected=planned.fingerprint)
    assert empty_registry.get("/api/v1/sites")["items"] == []


def test_who_changed_a_field_since_wins(empty_registry: Registry) -> None:
    imported(empty_registry, samples())
    empty_registry.send("PATCH", "/api/v1/sites/ALFA-CLOUD", {"description": "ours", "telephone": "+44 1234"})
    bundle = samples(get_site=(b"Europe/Prague", b"Europe/Oslo"))
    report = imported(empty_registry, bundle)
    assert ("site", "ALFA-CLOUD") in told(report, "change")
    site = empty_registry.get("/api/v1/sites/ALFA-CLOUD")
    assert (site["timezone"], site["description"]) == ("Europe/Oslo", "ours")


def test_where_both_changed_it_ours_stays_unless_theirs_is_preferred(empty_registry: Registry) -> None:
    imported(empty_registry, samples())
    empty_registry.send("PATCH", "/api/v1/sites/ALFA-CLOUD", {"timezone": "Europe/Skopje"})
    bundle = samples(get_site=(b"Europe/Prague", b"Europe/Oslo"))
    (kept,) = [one for one in imported(empty_registry, bundle).findings if one.action == "keep"]
    assert kept.notes == ("timezone: ours stays (Europe/Skopje), theirs is Europe/Oslo",)
    assert empty_registry.get("/api/v1/sites/ALFA-CLOUD")["timezone"] == "Europe/Skopje"
    third = samples(get_site=(b"Europe/Prague", b"Europe/Rome"))
    imported(empty_registry, third, prefer="theirs")
    assert empty_registry.get("/api/v1/sites/ALFA-CLOUD")["timezone"] == "Europe/Rome"


def test_a_site_that_was_here_is_met_by_its_name_and_filled(empty_registry: Registry) -> None:
    empty_registry.send("POST", "/api/v1/ngis", {"name": "NGI_NORTH"})
    site = {
        "name": "ALFA-CLOUD",
        "ngi": "NGI_NORTH",
        "official_name": "Alfa itself",
        "country": "Czech Republic",
        "country_code": "CZ",
    }
    made = empty_registry.send("POST", "/api/v1/sites", site)
    report = imported(empty_registry, samples())
    (found,) = [one for one in report.findings if one.kind == "site" and one.name == "ALFA-CLOUD"]
    assert found.action == "change"
    assert any(note.startswith("official_name: ours stays (Alfa itself)") for note in found.notes)
    now = empty_registry.get("/api/v1/sites/ALFA-CLOUD")
    assert (now["id"], now["official_name"], now["timezone"]) == (made["id"], "Alfa itself", "Europe/Prague")


def test_a_number_that_is_taken_is_told(empty_registry: Registry) -> None:
    with empty_registry.db.transaction() as session:
        session.execute(select(func.setval("owned_entity_id", 40)))
    empty_registry.send("POST", "/api/v1/ngis", {"name": "NGI_NO"})  # 41
    (found,) = [
        one
        for one in imported(empty_registry, samples()).findings
        if (one.kind, one.name) == ("site", "ALFA-CLOUD")
    ]
    assert found.notes == ("number 41 is taken here: it gets another one",)
    assert empty_registry.get("/api/v1/sites/ALFA-CLOUD")["primary_key"] == "41G0"


def test_a_field_that_cannot_stand_here_costs_the_field_alone(empty_registry: Registry) -> None:
    bundle = samples(get_service_endpoint=(b"<HOST_IP>192.0.2.10<", b"<HOST_IP>300.1.1.1<"))
    report = imported(empty_registry, bundle)
    (found,) = [one for one in report.findings if one.name.endswith("h00000.alfa.example.org")]
    assert found.action == "add"
    assert found.notes[0].startswith("host_ip left out: must be an IPv4 address")
    assert empty_registry.get("/api/v1/services/1")["host_ip"] is None


def test_a_thing_without_what_it_needs_is_skipped_with_the_reason(empty_registry: Registry) -> None:
    bundle = samples(get_service_endpoint=(b"h00000.alfa.example.org<", b"localhost<"))
    report = imported(empty_registry, bundle)
    (found,) = [one for one in report.findings if one.action == "skip" and one.kind == "service"]
    assert "hostname left out: must be a full host name" in found.notes[0]
    assert ("service", "org.openstack.nova on h00008.alfa.example.org") in told(report, "add")


def test_a_service_of_another_site_is_skipped_and_the_rest_goes_on(empty_registry: Registry) -> None:
    bundle = samples(get_service_endpoint=(b"h00001.bravo.example.org<", b"h00001.alfa.example.org<"))
    twin = next(one for one in bundle.services if one.key == "2G0")
    bundle.services.append(
        replace(twin, key="77G0", number=77, values={**twin.values, "site": "CHARLIE-CLOUD", "endpoints": []})
    )
    report = imported(empty_registry, bundle)
    (found,) = [one for one in report.findings if one.action == "skip" and one.kind == "service"]
    assert "is registered at site BRAVO-CLOUD" in found.notes[0]
    assert ("service", "VOMS on h00006.charlie.example.org") in told(report, "add")


def test_what_is_gone_there_stays_and_is_told(empty_registry: Registry) -> None:
    imported(empty_registry, samples())
    bundle = samples()
    bundle.services = [one for one in bundle.services if one.key != "9G0"]
    report = imported(empty_registry, bundle)
    gone = [one for one in report.findings if one.kind == "service" and "not at" in " ".join(one.notes)]
    assert [one.key for one in gone] == ["9G0"]
    assert empty_registry.get("/api/v1/services/9")["hostname"] == "h00008.alfa.example.org"


def test_what_was_removed_here_stays_removed(empty_registry: Registry) -> None:
    imported(empty_registry, samples())
    (ada,) = empty_registry.get("/api/v1/people?q=Ada")["items"]
    with empty_registry.db.transaction() as session:
        session.delete(session.get_one(Person, int(ada["id"])))
    assert empty_registry.ask("DELETE", "/api/v1/services/9").status_code == 204
    assert empty_registry.ask("DELETE", "/api/v1/sites/DELTA-CLOUD").status_code == 204
    report = imported(empty_registry, samples())
    told = {(one.kind, one.key) for one in report.findings if "stays removed" in " ".join(one.notes)}
    assert {("service", "9G0"), ("site", "44G0"), ("person", "1G0")} <= told
    assert (report.counts["add"], report.revisions) == (0, [])
    imported(empty_registry, samples(), prefer="theirs")
    assert empty_registry.get("/api/v1/sites/DELTA-CLOUD")["primary_key"] == "44G0"
    assert empty_registry.get("/api/v1/people?q=Ada")["items"] == []


def test_an_import_is_for_operators(registry: Registry) -> None:
    for run in (gocdb.plan, gocdb.take_over):
        with pytest.raises(Forbidden):
            run(registry.db, registry.principal("Laura Gil"), samples(), Options())


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b'<!DOCTYPE r [<!ENTITY a "x">]><results>&a;</results>', "document type"),
        (b'<!DOCTYPE results SYSTEM "file:///etc/passwd"><results/>', "document type"),
        ("<!DOCTYPE results><results/>".encode("utf-16"), "document type"),
        (b"<results>" + b"<a>" * 30 + b"</a>" * 30 + b"</results>", "nested more than"),
        (b"<results><SITE>" + b"x" * 200_000 + b"</SITE></results>", "characters"),
        (b"<results " + b" ".join(b'a%d=""' % at for at in range(60)) + b"/>", "attributes"),
        (b"<results><SITE></results>", "not well-formed"),
        (b"<results>\xff\xfe</results>", "not well-formed"),
        (b'<?xml version="1.0" encoding="klingon"?><results/>', "encoding"),
        (b"", "no element found"),
    ],
)
def test_hostile_xml_is_refused_where_it_stands(document: bytes, why: str) -> None:
    with pytest.raises(Refused) as refused:
        read(document, "get_site")
    assert why in str(refused.value), str(refused.value)
    assert "get_site, line 1" in refused.value.fields[0].field


def test_a_bomb_of_bytes_is_not_even_read() -> None:
    with pytest.raises(TooLarge):
        read(b" " * 64_000_001, "get_site")


def test_an_answer_that_tells_a_fault_is_named_and_nothing_of_it_imported() -> None:
    documents = {
        "get_site": [b"No valid identifier found."],
        "get_ngi": [b"<error>Unsupported parameter: foo</error>"],
        "get_service_endpoint": [(SAMPLES / "get_service_endpoint.xml").read_bytes()],
    }
    bundle = bundle_of(documents, SOURCE)
    assert bundle.unread == [
        ("get_ngi", "Unsupported parameter: foo"),
        ("get_site", "No valid identifier found."),
    ]
    assert len(bundle.services) == 10


def test_files_that_are_none_of_a_gocdb_are_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.xml").write_bytes(b"<photos/>")
    with pytest.raises(HanseError, match="no answer of a GOCDB"):
        from_files([tmp_path])


@pytest.mark.parametrize(
    ("theirs", "ours", "last", "prefer", "written"),
    [
        (1, 1, {}, "ours", None),
        (2, None, {}, "ours", 2),
        (2, 1, {}, "ours", None),
        (2, 1, {}, "theirs", 2),
        (2, 1, {"x": 1}, "ours", 2),
        (1, 3, {"x": 1}, "theirs", None),
        (2, 3, {"x": 1}, "ours", None),
        (2, 3, {"x": 1}, "theirs", 2),
        ("", "a", {"x": "a"}, "ours", ""),
    ],
)
def test_three_values_meet_in_a_field(
    theirs: Any, ours: Any, last: dict[str, Any], prefer: Any, written: Any
) -> None:
    merged = merge({"x": theirs}, {"x": ours}, last, prefer)
    assert merged.values == ({} if written is None else {"x": written})


@pytest.mark.parametrize(
    ("text", "read_as"), [("8:30", "08:30"), ("17:05", "17:05"), ("25:00", ""), ("nine", ""), ("", "")]
)
def test_working_hours_are_times_of_day(text: str, read_as: str) -> None:
    assert time_of_day(text) == read_as


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("15-Jan-26 10.20.30 AM", "2026-01-15T10:20:30+00:00"),
        ("15-Jan-26 13.20.30 PM", "2026-01-15T13:20:30+00:00"),
        ("15-Jan-2026 10.20.30", "2026-01-15T10:20:30+00:00"),
        ("yesterday", None),
    ],
)
def test_times_are_read_as_gocdb_writes_them(text: str, read_as: str | None) -> None:
    found = clock(text)
    assert (None if found is None else found.isoformat()) == read_as


@pytest.fixture
def served(registry: Registry) -> Iterator[Callable[[], str]]:
    """The filled registry as a running GOCDB on a free port."""
    server = make_server("127.0.0.1", 0, registry.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield lambda: f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


METHODS = (
    ("get_site", "scope="),
    ("get_site_list", "scope="),
    ("get_service_endpoint", "scope="),
    ("get_service", "scope=&next_cursor=0"),
    ("get_downtime", "scope="),
    ("get_downtime_nested_services", "scope="),
    ("get_roc_list", ""),
    ("get_ngi", "scope="),
    ("get_service_group", "scope="),
    ("get_cert_status_changes", ""),
    ("get_cert_status_date", ""),
    ("get_site_security_info", "scope="),
    ("get_site_count_per_country", "scope="),
)


def answers(registry: Registry) -> dict[str, str]:
    """What the interface answers, without the portal's addresses."""
    found = {}
    for method, parameters in METHODS:
        path = f"/gocdbpi/private/?method={method}" + (f"&{parameters}" if parameters else "")
        text = registry.ask("GET", path).text
        assert text.startswith("<?xml"), f"{method}: {text[:200]}"
        tree = etree.fromstring(text.encode())
        for element in tree.iter("GOCDB_PORTAL_URL"):
            element.text = ""
        found[method] = etree.tostring(tree).decode()
    return found


def test_a_registry_moves_into_another_over_the_interface_of_gocdb(
    registry: Registry,
    served: Callable[[], str],
    database_for: Callable[[str], Database],
    settings_for: SettingsFor,
    cast: Cast,
) -> None:
    """Everything that consumers can read is the same in the new house, numbers and keys included."""
    furnish(registry)
    db = database_for("registry")
    settings = settings_for(RegistrySettings, "registry", db, url="http://127.0.0.1:7010")
    new_house = open_registry(db, settings, cast["Ingrid Holm"])
    token = registry.tokens["Ingrid Holm"]
    answered = from_address(Address.of(served(), served(), token=token))
    assert answered.unread == []
    bundle = bundle_of(answered.documents, answered.source, answered.unread, answered.sites)
    report = imported(new_house, bundle)
    assert told(report, "skip") == set()
    old, new = answers(registry), answers(new_house)
    for method in old:
        assert new[method] == old[method], method
    close(new_house)


def furnish(registry: Registry) -> None:
    """What the fixed cast has not: other scopes, properties, groups, downtimes, a step of certification."""
    registry.send(
        "PATCH",
        "/api/v1/sites/BIFI",
        {
            "scopes": ["EGI", "FedCloud"],
            "extensions": {"HEPSPEC": "12", "tier": "2"},
            "giis_url": "ldap://bdii.bifi.example:2170/o=grid",
            "latitude": 41.65,
            "longitude": -0.88,
            "timezone": "Europe/Madrid",
            "telephone": "+34 976 762 000",
            "ip_range": "192.0.2.0/24",
            "contacts": [
                {"kind": "admin", "name": "Laura Gil", "email": "admin@bifi.example"},
                {
                    "kind": "security",
                    "name": "Team",
                    "email": "csirt@bifi.example",
                    "telephone": "+34 111 222",
                },
                {"kind": "alarm", "name": "Night", "email": "night@bifi.example"},
            ],
        },
    )
    service = registry.register_service(
        "BIFI",
        service_type="org.openstack.nova",
        hostname="nova.bifi.example",
        url="https://nova.bifi.example:8774/",
        host_ip="192.0.2.7",
        host_dn="/C=ES/O=Hanse Demo/CN=nova.bifi.example",
        scopes=["FedCloud", "Local"],
        extensions={"region": "north"},
        endpoints=[
            {"name": "api", "url": "https://nova.bifi.example:8774/", "extensions": {"v": "2.1"}},
            {"name": "old api", "url": "https://nova.bifi.example:8773/", "monitored": False},
        ],
    )
    registry.declare("BIFI", timedelta(hours=30), timedelta(hours=2))
    registry.declare("CESNET", timedelta(hours=-1), timedelta(hours=2), severity="WARNING")
    step = {"status": "Suspended", "reason": "for the test"}
    registry.send("POST", "/api/v1/sites/UKIM/certification", step, status=200)
    group = {"name": "SG_cloud", "services": [service["id"]], "email": "cloud@example.org"}
    registry.send("POST", "/api/v1/service-groups", {**group, "extensions": {"a": "b"}})


def test_without_a_credential_what_is_open_comes_over(
    registry: Registry, served: Callable[[], str], empty_registry: Registry
) -> None:
    answered = from_address(Address.of(served()))
    bundle = bundle_of(answered.documents, answered.source, answered.unread, answered.sites)
    assert (
        "get_site",
        "needs a credential: give --gocdb-cert and --gocdb-key, or --gocdb-token-file",
    ) in bundle.unread
    imported(empty_registry, bundle)
    site = empty_registry.get("/api/v1/sites/CESNET")
    assert (site["certification"], site["ngi"], site["country_code"]) == ("Certified", "NGI_CZ", "CZ")
    assert len(empty_registry.get("/api/v1/services")["items"]) == 3
    with empty_registry.db.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Site)) == 3
