"""Downtimes mute and keep measuring; they are laid over the timeline at their own times."""

from datetime import UTC, datetime, timedelta

from monitoring import feed
from monitoring.models import Endpoint
from tests.monitoring.federation import OK, REFUSED, Federation

HOUR = timedelta(hours=1)


def test_an_outage_in_downtime_is_measured_and_told_to_nobody(trio: Federation) -> None:
    trio.downtime("UKIM", trio.now, trio.now + 4 * HOUR)
    trio.outage("ukim")
    (incident,) = trio.incidents()
    assert incident.muted_by == "1"
    assert trio.messages() == []
    assert trio.state("ukim") == "downtime"
    assert trio.check("ukim", "tcp").judged == "critical"
    trio.recover("ukim")
    assert trio.messages() == []
    assert trio.incidents()[0].ended_at is not None


def test_the_timeline_has_the_downtime_from_its_start(trio: Federation) -> None:
    begins = trio.now - timedelta(seconds=30)
    trio.downtime("UKIM", begins, trio.now + 4 * HOUR)
    trio.outage("ukim")
    assert trio.timeline("endpoint", "ukim")[-1] == (begins, "downtime")


def test_what_still_fails_when_the_downtime_is_over_is_told_then(trio: Federation) -> None:
    trio.downtime("UKIM", trio.now, trio.now + HOUR)
    trio.outage("ukim")
    trio.now += HOUR
    trio.measure("ukim", "tcp", REFUSED)
    assert trio.events() == ["outage"]
    assert trio.state("ukim") == "critical"
    assert trio.incidents()[0].muted_by is None


def test_a_downtime_that_begins_during_an_outage_mutes_the_rest(trio: Federation) -> None:
    trio.outage("ukim")
    trio.downtime("UKIM", trio.now, trio.now + HOUR)
    trio.measure("ukim", "tcp", REFUSED)
    assert trio.state("ukim") == "downtime"
    assert trio.incidents()[0].muted_by == "1"
    trio.recover("ukim")
    assert trio.events() == ["outage", "recovery"]


def test_at_risk_mutes_nothing(trio: Federation) -> None:
    trio.downtime("UKIM", trio.now, trio.now + HOUR, severity="WARNING")
    trio.outage("ukim")
    assert trio.events() == ["outage"]
    assert trio.state("ukim") == "critical"


def test_a_downtime_of_one_endpoint_leaves_the_other_alone(trio: Federation) -> None:
    trio.endpoint("UKIM", "https://occi2.ukim.example:8787/", number="ukim-2")
    trio.adopt()
    trio.all_well()
    trio.downtime("UKIM", trio.now, trio.now + HOUR, endpoints=["ukim-2"])
    trio.outage("ukim-2")
    trio.outage("ukim")
    assert trio.state("ukim-2") == "downtime"
    assert trio.state("ukim") == "critical"
    assert trio.events() == ["outage"]


def test_a_downtime_of_several_sites_mutes_each_and_no_other(trio: Federation) -> None:
    trio.downtime("UKIM", trio.now, trio.now + 4 * HOUR, sites=["UKIM", "BIFI"], services=[], endpoints=[])
    for endpoint in ("ukim", "bifi"):
        trio.outage(endpoint)
        assert trio.state(endpoint) == "downtime"
        assert trio.check(endpoint, "tcp").judged == "critical"
        trio.recover(endpoint)
    assert trio.messages() == []
    assert {one.site for one in trio.incidents() if one.muted_by == "1"} == {"UKIM", "BIFI"}
    trio.outage("cesnet")
    assert trio.state("cesnet") == "critical"
    assert trio.events() == ["outage"]


def test_downtimes_of_long_ago_are_not_read_again(trio: Federation) -> None:
    now = datetime.now(UTC)
    trio.downtime("UKIM", now - timedelta(days=9), now - timedelta(days=4), number="old")
    trio.downtime("UKIM", now - timedelta(days=9), now - timedelta(days=2), number="recent")
    trio.downtime("UKIM", now - timedelta(days=9), now + HOUR, number="long")
    with trio.session() as session:
        assert {one.id for one in feed.downtimes(session)} == {"recent", "long"}


def test_a_service_that_is_back_early_is_told_of_again(trio: Federation) -> None:
    """UKIM's second service ends after an hour; the first stays away for four."""
    trio.endpoint("UKIM", "https://occi2.ukim.example:8787/", number="ukim-2", service_id="second")
    trio.adopt()
    trio.all_well()
    back = trio.now + HOUR
    trio.downtime("UKIM", trio.now, trio.now + 4 * HOUR, service_ends={"second": back.isoformat()})
    trio.outage("ukim-2")
    trio.outage("ukim")
    assert trio.state("ukim-2") == trio.state("ukim") == "downtime"
    assert trio.messages() == []
    trio.now = back
    trio.measure("ukim-2", "tcp", REFUSED)
    trio.measure("ukim", "tcp", REFUSED)
    assert trio.state("ukim-2") == "critical"
    assert trio.state("ukim") == "downtime"
    assert trio.events() == ["outage"]


def test_the_clock_takes_a_service_out_of_its_downtime_at_its_own_end(trio: Federation) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    trio.endpoint("UKIM", "https://occi2.ukim.example:8787/", number="ukim-2", service_id="second")
    trio.adopt()
    for endpoint in ("bifi", "cesnet", "ukim", "ukim-2"):
        for probe in ("tcp", "certificate", "occi-categories"):
            trio.measure(endpoint, probe, OK, at=now - timedelta(seconds=60))
    begins = now - timedelta(seconds=20)
    trio.downtime("UKIM", begins, now + HOUR)
    trio.watch_clock()
    assert trio.state("ukim-2") == "downtime"
    back = now - timedelta(seconds=5)
    trio.downtime("UKIM", begins, now + HOUR, service_ends={"second": back.isoformat()})
    assert "1 endpoints entered or left" in trio.watch_clock()
    assert (trio.state("ukim"), trio.state("ukim-2")) == ("downtime", "ok")
    assert trio.timeline("endpoint", "ukim-2")[-1] == (back, "ok")


def test_the_clock_alone_brings_endpoints_into_downtime_and_out(trio: Federation) -> None:
    """No measurement in between: the job lays the downtime over at its own start and end."""
    now = datetime.now(UTC).replace(microsecond=0)
    for endpoint in ("bifi", "cesnet", "ukim"):
        for probe in ("tcp", "certificate", "occi-categories"):
            trio.measure(endpoint, probe, OK, at=now - timedelta(seconds=60))
    begins = now - timedelta(seconds=20)
    trio.downtime("UKIM", begins, now + HOUR)
    assert "1 endpoints entered or left" in trio.watch_clock()
    assert trio.state("ukim") == "downtime"
    assert trio.timeline("endpoint", "ukim")[-1] == (begins, "downtime")
    assert "0 endpoints entered or left" in trio.watch_clock()
    ended = now - timedelta(seconds=5)
    trio.downtime("UKIM", begins, ended)
    trio.watch_clock()
    assert trio.state("ukim") == "ok"
    assert trio.timeline("endpoint", "ukim")[-1] == (ended, "ok")


def test_a_check_without_results_is_missing_and_said_to_be(trio: Federation) -> None:
    """The cast was measured twelve hours ago: nothing of it may be believed."""
    said = trio.watch_clock()
    assert "9 checks have no result" in said
    assert trio.state("bifi") == "missing"
    assert trio.messages() == []
    trio.measure("bifi", "tcp", OK)
    with trio.session() as session:
        assert session.get_one(Endpoint, "bifi").judged == "missing"
    assert trio.check("bifi", "tcp").judged == "ok"
