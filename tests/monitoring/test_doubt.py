"""When the monitor reaches nothing it doubts itself before it accuses the sites."""

from datetime import UTC, datetime

from monitoring.findings import Result, Status
from tests.monitoring.federation import BROKEN, OK, REFUSED, Federation

UNREACHABLE = Result(Status.CRITICAL, "no route to host", "tcp-unreachable", 0.1)
ALL = ("bifi", "cesnet", "ukim")


def all_fail(federation: Federation, times: int = 1) -> None:
    for _ in range(times):
        for endpoint in ALL:
            federation.measure(endpoint, "tcp", UNREACHABLE)


def test_all_sites_failing_at_once_are_unknown_and_one_alert_is_about_ourselves(trio: Federation) -> None:
    began = trio.now
    all_fail(trio, 4)
    assert [trio.state(endpoint) for endpoint in ALL] == ["unknown"] * 3
    (incident,) = trio.incidents()
    assert (incident.site, incident.severity, incident.reason) == ("", "doubt", "own-network")
    assert incident.began_at >= began
    assert trio.messages() == [("doubt", "webhook", "http://hooks.example/alerts")]
    assert "critical" not in [state for endpoint in ALL for _, state in trio.timeline("endpoint", endpoint)]


def test_a_single_site_is_accused_only_after_another_has_been_asked(trio: Federation) -> None:
    trio.measure("bifi", "tcp", UNREACHABLE)
    trio.measure("bifi", "tcp", UNREACHABLE)
    assert trio.incidents() == []
    asked = [trio.check(other, "tcp") for other in ("cesnet", "ukim")]
    assert all(check.next_at <= datetime.now(UTC) for check in asked)
    trio.measure("cesnet", "tcp", OK)
    trio.measure("bifi", "tcp", UNREACHABLE)
    assert [incident.site for incident in trio.incidents()] == ["BIFI"]


def test_when_the_network_is_back_the_doubt_ends_and_nobody_was_accused(trio: Federation) -> None:
    all_fail(trio, 3)
    for endpoint in ALL:
        trio.recover(endpoint)
    assert [trio.state(endpoint) for endpoint in ALL] == ["ok"] * 3
    (incident,) = trio.incidents()
    assert incident.ended_at is not None
    assert trio.events() == ["doubt", "recovery"]


def test_a_site_that_stays_down_when_the_others_are_back_is_accused_then(trio: Federation) -> None:
    all_fail(trio, 3)
    trio.recover("cesnet")
    trio.recover("ukim")
    assert trio.state("bifi") == "unknown"
    trio.measure("bifi", "tcp", UNREACHABLE)
    trio.measure("cesnet", "tcp", OK)
    trio.measure("bifi", "tcp", UNREACHABLE)
    assert trio.state("bifi") == "critical"
    assert trio.events() == ["doubt", "recovery", "outage"] or trio.events() == [
        "doubt",
        "outage",
        "recovery",
    ]


def test_any_answer_proves_that_the_network_is_well(trio: Federation) -> None:
    trio.measure("bifi", "tcp", REFUSED)
    trio.measure("cesnet", "tcp", OK)
    trio.measure("bifi", "tcp", REFUSED)
    assert [incident.site for incident in trio.incidents()] == ["BIFI"]


def test_a_wrong_answer_raises_no_doubt_about_the_network(trio: Federation) -> None:
    trio.measure("bifi", "occi-categories", BROKEN)
    trio.measure("bifi", "occi-categories", BROKEN)
    assert [incident.site for incident in trio.incidents()] == ["BIFI"]


def test_sites_that_were_down_before_are_no_witnesses(trio: Federation) -> None:
    trio.outage("bifi")
    trio.outage("cesnet")
    trio.measure("ukim", "tcp", UNREACHABLE)
    trio.measure("ukim", "tcp", UNREACHABLE)
    assert [incident.site for incident in trio.incidents()] == ["BIFI", "CESNET", "UKIM"]


def test_a_federation_of_one_site_accuses_it(federation: Federation) -> None:
    federation.endpoint("BIFI")
    federation.adopt()
    federation.all_well()
    federation.measure("bifi", "tcp", UNREACHABLE)
    federation.measure("bifi", "tcp", UNREACHABLE)
    assert [incident.site for incident in federation.incidents()] == ["BIFI"]
