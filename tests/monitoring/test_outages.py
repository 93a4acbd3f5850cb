"""From measurements to incidents: confirmed once, told once, one cause, one recovery."""

from datetime import timedelta

from monitoring.findings import Status
from tests.monitoring.federation import BROKEN, ENDING, OK, REFUSED, Federation, result


def test_one_failure_is_no_outage(trio: Federation) -> None:
    trio.measure("bifi", "tcp", REFUSED)
    trio.measure("bifi", "tcp", OK)
    assert trio.state("bifi") == "ok"
    assert trio.incidents() == []
    assert trio.messages() == []


def test_two_failures_open_one_incident_from_the_first_failure_on(trio: Federation) -> None:
    began = trio.now
    trio.outage("bifi")
    (incident,) = trio.incidents()
    assert (incident.site, incident.severity, incident.reason) == ("BIFI", "down", "tcp-refused")
    assert incident.cause == "the port refuses TCP connections"
    assert incident.began_at == began
    assert trio.state("bifi") == "critical"
    assert trio.timeline("endpoint", "bifi")[-1] == (began, "critical")
    assert trio.timeline("site", "BIFI")[-1] == (began, "critical")


def test_one_outage_is_told_once_to_each_with_its_cause(trio: Federation) -> None:
    trio.outage("bifi")
    for _ in range(5):
        trio.measure("bifi", "tcp", REFUSED)
    assert sorted(trio.messages()) == [
        ("outage", "smtp", "laura.gil@bifi.example"),
        ("outage", "webhook", "http://hooks.example/alerts"),
    ]


def test_two_successes_recover_and_those_who_were_told_hear_it(trio: Federation) -> None:
    trio.outage("bifi")
    back = trio.now
    trio.measure("bifi", "tcp", OK)
    assert trio.state("bifi") == "critical"
    trio.measure("bifi", "tcp", OK)
    assert trio.state("bifi") == "ok"
    (incident,) = trio.incidents()
    assert incident.ended_at is not None
    assert trio.timeline("endpoint", "bifi")[-1] == (back, "ok")
    assert [event for event, _, _ in trio.messages()] == ["outage", "outage", "recovery", "recovery"]


def test_a_dead_port_is_the_one_cause_of_all_that_needs_it(trio: Federation) -> None:
    trio.outage("bifi")
    trio.measure("bifi", "occi-categories", REFUSED)
    trio.measure("bifi", "occi-categories", REFUSED)
    (incident,) = trio.incidents()
    assert incident.probe == "tcp"
    assert trio.check("bifi", "occi-categories").held_since is not None
    assert trio.check("bifi", "occi-categories").judged == "ok"
    assert trio.events() == ["outage"]


def test_a_deeper_check_that_gets_no_connection_asks_tcp_first(trio: Federation) -> None:
    trio.measure("bifi", "occi-categories", REFUSED)
    assert trio.check("bifi", "tcp").next_at <= trio.check("bifi", "occi-categories").next_at
    trio.measure("bifi", "occi-categories", REFUSED)
    assert trio.incidents() == []
    trio.outage("bifi")
    assert [incident.probe for incident in trio.incidents()] == ["tcp"]


def test_a_deeper_check_is_believed_when_the_port_is_well(trio: Federation) -> None:
    """A redirect to a dead host, say: the way to the endpoint is open, and the check still cannot connect."""
    trio.measure("bifi", "occi-categories", REFUSED)
    for _ in range(2):
        trio.measure("bifi", "tcp", OK)
        trio.others_answer("bifi")
        trio.measure("bifi", "occi-categories", REFUSED)
    trio.measure("bifi", "tcp", OK)
    trio.others_answer("bifi")
    trio.measure("bifi", "occi-categories", REFUSED)
    assert [incident.probe for incident in trio.incidents()] == ["occi-categories"]


def test_recovery_waits_for_what_was_held_back(trio: Federation) -> None:
    trio.outage("bifi")
    trio.measure("bifi", "occi-categories", REFUSED)
    trio.recover("bifi")
    assert trio.state("bifi") == "critical"
    trio.measure("bifi", "occi-categories", OK)
    assert trio.state("bifi") == "ok"
    assert len(trio.incidents()) == 1


def test_a_port_that_answers_and_a_service_that_does_not_are_told_apart(trio: Federation) -> None:
    trio.outage("ukim", BROKEN, "occi-categories")
    (incident,) = trio.incidents()
    assert (incident.probe, incident.reason) == ("occi-categories", "occi-invalid")
    assert trio.check("ukim", "tcp").judged == "ok"


def test_a_warning_degrades_and_counts_as_up(trio: Federation) -> None:
    trio.outage("cesnet", ENDING, "certificate")
    assert trio.state("cesnet") == "warning"
    assert [incident.severity for incident in trio.incidents()] == ["degraded"]
    assert trio.events() == ["degraded"]


def test_a_degraded_endpoint_that_goes_down_stays_one_incident(trio: Federation) -> None:
    trio.outage("cesnet", ENDING, "certificate")
    trio.outage("cesnet")
    (incident,) = trio.incidents()
    assert (incident.severity, incident.reason) == ("down", "tcp-refused")
    assert trio.events() == ["degraded", "outage"]


def test_two_endpoints_of_one_host_with_one_cause_are_one_incident(trio: Federation) -> None:
    trio.endpoint("BIFI", "https://occi.bifi.example:5000/", "org.openstack.nova", "bifi-nova")
    trio.adopt()
    trio.all_well()
    trio.outage("bifi")
    trio.outage("bifi-nova")
    assert len(trio.incidents()) == 1
    assert trio.events() == ["outage"]
    trio.recover("bifi")
    assert trio.incidents()[0].ended_at is None
    trio.recover("bifi-nova")
    assert trio.incidents()[0].ended_at is not None
    assert trio.events() == ["outage", "recovery"]


def test_an_endpoint_that_fails_again_while_its_incident_is_open_is_in_it_again(trio: Federation) -> None:
    trio.endpoint("BIFI", "https://occi.bifi.example:5000/", "org.openstack.nova", "bifi-nova")
    trio.adopt()
    trio.all_well()
    trio.outage("bifi")
    trio.outage("bifi-nova")
    trio.recover("bifi")
    trio.outage("bifi")
    assert trio.state("bifi") == "critical"
    trio.recover("bifi-nova")
    (incident,) = trio.incidents()
    assert incident.ended_at is None  # bifi holds it open


def test_a_site_is_up_while_one_endpoint_of_each_service_is(trio: Federation) -> None:
    trio.endpoint("CESNET", "https://occi2.cesnet.example:8787/", number="cesnet-2")
    trio.adopt()
    trio.all_well()
    trio.outage("cesnet-2")
    assert trio.timeline("site", "CESNET")[-1][1] == "warning"
    trio.outage("cesnet")
    assert trio.timeline("site", "CESNET")[-1][1] == "critical"


def test_a_probe_that_somebody_asked_for_is_not_counted(trio: Federation) -> None:
    trio.measure("bifi", "tcp", REFUSED, asked="Laura Gil")
    trio.measure("bifi", "tcp", REFUSED, asked="Laura Gil")
    assert trio.incidents() == []
    assert trio.check("bifi", "tcp").measured == "critical"
    assert trio.check("bifi", "tcp").candidate is None


def test_the_same_result_twice_is_one(trio: Federation) -> None:
    trio.measure("bifi", "tcp", REFUSED)
    trio.others_answer("bifi")
    trio._leases -= 3
    before = trio._leases
    trio.measure("bifi", "tcp", REFUSED)
    assert trio._leases == before + 1
    assert trio.check("bifi", "tcp").candidate_count == 1
    assert trio.incidents() == []


def test_flapping_at_each_probe_is_no_outage_and_no_noise(trio: Federation) -> None:
    for _ in range(10):
        trio.measure("bifi", "tcp", REFUSED)
        trio.measure("bifi", "tcp", OK)
    assert trio.messages() == []
    assert trio.timeline("endpoint", "bifi")[-1][1] == "ok"


def test_an_endpoint_that_leaves_the_registry_ends_its_incident(trio: Federation) -> None:
    trio.outage("bifi")
    trio.remove("endpoint", "bifi")
    assert "1 put to rest" in trio.adopt()
    assert trio.incidents()[0].ended_at is not None
    assert not trio.check("bifi", "tcp").active


def test_an_endpoint_that_is_removed_during_its_check_is_no_trouble(trio: Federation) -> None:
    trio.remove("endpoint", "bifi")
    trio.adopt()
    trio.measure("bifi", "tcp", REFUSED)
    trio.measure("bifi", "tcp", REFUSED)


def test_times_that_step_back_never_turn_a_timeline_round(trio: Federation) -> None:
    trio.outage("bifi")
    earlier = trio.now - timedelta(hours=1)
    trio.measure("bifi", "tcp", OK, at=earlier)
    trio.measure("bifi", "tcp", OK, at=earlier + timedelta(seconds=1))
    times = [at for at, _ in trio.timeline("endpoint", "bifi")]
    assert times == sorted(times)
    assert trio.state("bifi") == "ok"


def test_a_cause_changes_only_when_it_is_confirmed(trio: Federation) -> None:
    trio.outage("bifi", BROKEN, "occi-categories")
    passing = result(Status.CRITICAL, "http-status", "The query interface answers 500")
    trio.measure("bifi", "occi-categories", passing)
    assert trio.incidents()[0].reason == "occi-invalid"
    trio.measure("bifi", "occi-categories", passing)
    assert trio.incidents()[0].reason == "http-status"
    assert trio.events() == ["outage"]
