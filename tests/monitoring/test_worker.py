"""Workers: schedule, leases, deadlines, limits; nothing is lost and nothing waits for what hangs."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text, update

from hanse.database import Database, JobRun
from hanse.errors import NotFound
from monitoring.findings import Status
from monitoring.models import Check, Endpoint, StoredResult, Worker
from monitoring.recording import Outcome
from monitoring.schedule import ask, claim, give_back
from monitoring.settings import MonitoringSettings
from monitoring.storing import Store
from monitoring.worker import ProbeWorker
from tests.monitoring.federation import OCCI, OK, REFUSED, SITES, Federation
from tests.monitoring.hostile import http, saying, serving, silence
from tests.monitoring.test_failures import MODEL, PLAIN
from tests.peers.occi import free_port, ooi, pyssf


@contextmanager
def working(federation: Federation, name: str = "prague", **changes: object) -> Iterator[ProbeWorker]:
    """A worker in threads of its own, for the block."""
    db = Database(federation.settings.database_url)
    settings = federation.settings.model_copy(update={"alert_mail": [], **changes})
    worker, stop = ProbeWorker(db, settings, name), threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        yield worker
    finally:
        stop.set()
        thread.join(20)
        db.close()
        assert not thread.is_alive()


def until(condition, wait_s: float = 20) -> None:  # type: ignore[no-untyped-def]
    ends = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < ends, "it did not come true in time"
        time.sleep(0.1)


def results(federation: Federation, *where: object) -> list[StoredResult]:
    with federation.session() as session:
        rows = select(StoredResult).join(Check).where(*where).order_by(StoredResult.id)  # type: ignore[arg-type]
        return list(session.scalars(rows))


def good_server():  # type: ignore[no-untyped-def]
    return serving(saying(http("200 OK", MODEL, PLAIN)))


# --- the whole way ---


def test_a_scheduled_probe_runs_by_itself_and_stands_in_the_run_log(federation: Federation) -> None:
    with good_server() as port:
        federation.endpoint("CESNET", f"http://127.0.0.1:{port}/")
        federation.adopt()
        federation.due_all()
        with working(federation) as worker:
            until(lambda: federation.state("cesnet") == "ok")
            assert worker.done >= 2
    found = results(federation)
    assert {row.status for row in found} == {"ok"}
    assert all(row.due_at is not None and row.worker == "prague" for row in found)
    with federation.session() as session:
        runs = list(session.scalars(select(JobRun).where(JobRun.job == "probes by prague")))
        assert session.get_one(Worker, "prague").seen_at is not None
    assert {run.outcome for run in runs} == {"ok"}
    told = [int(run.detail.split(" ")[0]) for run in runs]
    assert sum(told) >= 2
    assert all("scheduled checks were run and 0 asked for, 0 not in order" in run.detail for run in runs)


def test_a_dead_server_becomes_one_incident_with_the_port_as_its_cause(federation: Federation) -> None:
    with good_server() as port:
        federation.endpoint("CESNET", f"http://127.0.0.1:{port}/")
        federation.endpoint("BIFI", f"http://127.0.0.1:{free_port()}/")
        federation.settings = federation.settings.model_copy(update={"time_scale": 0.02})
        federation.adopt()
        federation.due_all()
        with working(federation, time_scale=0.02):
            until(lambda: bool(federation.incidents()))
    (incident,) = federation.incidents()
    assert (incident.site, incident.probe, incident.reason) == ("BIFI", "tcp", "tcp-refused")
    deeper = federation.check("bifi", "occi-categories")
    # Held back behind the dead port, whether or not it was asked once before: it accuses nobody.
    assert deeper.held_since is not None


@pytest.mark.peer("ooi", "pyssf")
def test_real_servers_are_in_order(federation: Federation) -> None:
    with ooi() as first, pyssf() as second:
        federation.endpoint("BIFI", first)
        federation.endpoint("CESNET", second)
        federation.adopt()
        federation.due_all()
        with working(federation):
            until(lambda: federation.state("bifi") == "ok" and federation.state("cesnet") == "ok")
    (row,) = results(federation, Check.endpoint_id == "bifi", Check.probe == "occi-categories")
    assert "kinds" in row.summary
    assert [phase["name"] for phase in row.phases][-1] == "parse"


def test_what_hangs_delays_nobody(federation: Federation) -> None:
    with good_server() as good, serving(silence) as hanging:
        for number in range(20):
            federation.endpoint("UKIM", f"http://127.0.0.2:{hanging}/", number=f"hang-{number}")
        federation.endpoint("CESNET", f"http://127.0.0.1:{good}/")
        federation.adopt()
        federation.due_all()
        started = time.monotonic()
        with working(federation, per_host=30):
            until(lambda: federation.state("cesnet") == "ok", 40)
            took = time.monotonic() - started
    assert took < 40  # one after another the twenty would take minutes


def test_a_probe_that_is_asked_for_comes_before_its_time(federation: Federation) -> None:
    with good_server() as port:
        federation.endpoint("CESNET", f"http://127.0.0.1:{port}/")
        federation.adopt()
        with federation.session() as session:
            session.execute(update(Check).values(next_at=datetime.now(UTC) + timedelta(hours=1)))
            assert ask(session, "cesnet", "Eliška Malá", "tcp") == 1
        with working(federation):
            until(lambda: federation.check("cesnet", "tcp").measured == "ok")
    (row,) = results(federation)
    assert (row.due_at, row.asked_by) == (None, "Eliška Malá")
    check = federation.check("cesnet", "tcp")
    assert (check.asked_at, check.judged) == (None, "missing")
    with federation.session() as session, pytest.raises(NotFound):
        ask(session, "nowhere", "Eliška Malá")


def test_at_the_end_what_runs_is_given_back(federation: Federation) -> None:
    with serving(silence) as hanging:
        federation.endpoint("UKIM", f"http://127.0.0.1:{hanging}/", "egi.Portal")
        federation.adopt()
        federation.due_all()
        with working(federation) as worker:
            until(lambda: any(lease.probe == "http" for lease in worker.running.values()))
            started = time.monotonic()
    assert time.monotonic() - started < 15
    check = federation.check("ukim", "http")
    assert check.lease_owner is None
    assert check.next_at <= datetime.now(UTC)


# --- leases ---


def test_two_workers_never_get_the_same_check(federation: Federation) -> None:
    for number in range(10):
        federation.endpoint("CESNET", f"http://host{number}.example:1/", number=str(number))
    federation.adopt()
    federation.due_all()
    barrier, found = threading.Barrier(4), []

    def take(name: str) -> None:
        db = Database(federation.settings.database_url)
        barrier.wait()
        while True:
            with db.transaction() as session:
                leases = claim(session, name, 3)
            if not leases:
                break
            found.extend(lease.check_id for lease in leases)
        db.close()

    threads = [threading.Thread(target=take, args=(f"worker {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(set(found)) == 20


def test_a_dead_workers_lease_ends_and_the_late_result_changes_nothing(trio: Federation) -> None:
    trio.due_all()
    with trio.session() as session:
        (lease,) = claim(session, "dead", 1)
        assert claim(session, "other", 100, ["occi.bifi.example"]) != []
        session.execute(update(Check).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))
        session.execute(update(Check).values(next_at=datetime.now(UTC) - timedelta(seconds=1)))
    with trio.session() as session:
        again = next(x for x in claim(session, "heir", 100) if x.check_id == lease.check_id)
    assert again.key != lease.key
    store(trio, Outcome(again, OK, datetime.now(UTC), "heir"))
    store(trio, Outcome(again, OK, datetime.now(UTC), "heir"))
    assert len(results(trio, StoredResult.lease == again.key)) == 1


def store(federation: Federation, outcome: Outcome) -> None:
    queue = Store(federation.db, federation.bench, lambda _: None)
    queue.put(outcome)
    stop = threading.Event()
    stop.set()
    queue.run(stop)


def test_missed_due_times_are_counted_and_the_grid_is_kept(trio: Federation) -> None:
    late = datetime.now(UTC) - timedelta(seconds=200)
    with trio.session() as session:
        session.execute(update(Check).where(Check.probe == "tcp").values(next_at=late, period_s=60))
        claim(session, "prague", 100)
    check = trio.check("bifi", "tcp")
    assert check.missed == 3
    assert check.next_at > datetime.now(UTC)
    assert (check.next_at - late).total_seconds() % 60 == pytest.approx(0, abs=1e-3)


def test_what_needs_a_failing_check_is_put_off_without_running(trio: Federation) -> None:
    trio.measure("bifi", "tcp", OK)
    with trio.session() as session:
        session.execute(
            update(Check).where(Check.endpoint_id == "bifi", Check.probe == "tcp").values(measured="critical")
        )
        session.execute(update(Check).values(next_at=datetime.now(UTC) - timedelta(seconds=1)))
        claimed = claim(session, "prague", 100)
        ids = {row.id: (row.endpoint_id, row.probe) for row in session.scalars(select(Check))}
    names = {ids[lease.check_id] for lease in claimed}
    assert ("bifi", "tcp") in names
    assert ("bifi", "occi-categories") not in names
    assert ("ukim", "occi-categories") in names
    held = trio.check("bifi", "occi-categories")
    assert held.held_since is not None
    assert held.lease_owner is None
    assert held.next_at > datetime.now(UTC)


def test_given_back_leases_are_due_again(trio: Federation) -> None:
    trio.due_all()
    with trio.session() as session:
        leases = claim(session, "prague", 100)
        give_back(session, leases, "somebody else")
        assert claim(session, "heir", 100) == []
        give_back(session, leases, "prague")
        assert len(claim(session, "heir", 100)) == len(leases) == 9


def test_one_host_gets_no_more_than_its_share(federation: Federation) -> None:
    with serving(silence) as port:
        for number in range(6):
            federation.endpoint("CESNET", f"http://127.0.0.1:{port}/", "egi.Portal", number=str(number))
        federation.adopt()
        with federation.session() as session:
            session.execute(
                update(Check).where(Check.probe == "http").values(needs=[], next_at=datetime.now(UTC))
            )
            session.execute(update(Check).where(Check.probe == "tcp").values(active=False))
        with working(federation, per_host=2) as worker:
            until(lambda: len(worker.running) == 2)
            time.sleep(1.5)
            assert len(worker.running) == 2


# --- the database goes away ---


def test_results_wait_for_the_database_and_are_stored_then(trio: Federation) -> None:
    trio.due_all()
    with trio.session() as session:
        leases = claim(session, "prague", 100)
    broken = Database(trio.settings.database_url.replace("monitoring_", "absent_"))
    stored: list[Outcome] = []
    queue, stop = Store(broken, trio.bench, stored.append), threading.Event()
    for lease in leases:
        queue.put(Outcome(lease, OK, datetime.now(UTC), "prague"))
    thread = threading.Thread(target=queue.run, args=(stop,))
    thread.start()
    time.sleep(0.5)
    assert (len(queue), stored) == (9, [])
    queue.db = trio.db
    until(lambda: len(stored) == 9)
    stop.set()
    thread.join()
    broken.close()
    assert queue.dropped == 0


def test_the_queue_is_bounded_and_what_is_dropped_is_counted(
    trio: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.storing.KEPT", 3)
    trio.due_all()
    with trio.session() as session:
        leases = claim(session, "prague", 5)
    queue = Store(trio.db, trio.bench, lambda _: None)
    for lease in leases:
        queue.put(Outcome(lease, OK, datetime.now(UTC), "prague"))
    assert (len(queue), queue.dropped) == (3, 2)


def test_a_probe_that_breaks_in_itself_is_unknown_and_stops_nobody(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise ZeroDivisionError

    monkeypatch.setattr("monitoring.worker.system_resolve", resolve)
    federation.endpoint("CESNET", "http://occi.cesnet.example:1/")
    federation.adopt()
    federation.due_all()
    db = Database(federation.settings.database_url)
    worker, stop = ProbeWorker(db, federation.settings, "prague", resolve), threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    until(lambda: federation.check("cesnet", "tcp").measured is not None)
    stop.set()
    thread.join()
    db.close()
    check = federation.check("cesnet", "tcp")
    assert (check.measured, check.reason) == (Status.UNKNOWN, "probe-broken")
    assert "ZeroDivisionError" in check.summary


# --- what is monitored ---


def test_endpoints_get_the_probes_of_their_service_type(federation: Federation) -> None:
    federation.endpoint("CESNET", "https://occi.cesnet.example:11443/", OCCI, "1")
    federation.endpoint("CESNET", "http://occi.cesnet.example:8787/", OCCI, "2")
    federation.endpoint("CESNET", "ldap://bdii.cesnet.example:2170", "eu.egi.cloud.information.bdii", "3")
    federation.endpoint("CESNET", "https://portal.cesnet.example/", "egi.Portal", "4")
    federation.endpoint("CESNET", "not an address", OCCI, "5")
    federation.endpoint("CESNET", "https://x.example/", OCCI, "6", monitored=False)
    federation.adopt()
    with federation.session() as session:
        rows = session.execute(
            select(Check.endpoint_id, func.array_agg(Check.probe)).group_by(Check.endpoint_id)
        )
        found = {endpoint: sorted(probes) for endpoint, probes in rows}
    assert found == {
        "1": ["certificate", "occi-categories", "tcp"],
        "2": ["occi-categories", "tcp"],
        "3": ["tcp"],
        "4": ["certificate", "http", "tcp"],
    }


def test_first_due_times_are_spread(federation: Federation) -> None:
    for number in range(40):
        federation.endpoint("CESNET", f"http://host{number}.example:1/", number=str(number))
    federation.adopt()
    with federation.session() as session:
        times = sorted(session.scalars(select(Check.next_at).where(Check.probe == "occi-categories")))
    assert (times[-1] - times[0]).total_seconds() > 30
    assert len({time.replace(microsecond=0) for time in times}) > 15


def test_a_changed_address_is_followed_and_an_unchanged_one_left_alone(trio: Federation) -> None:
    before = trio.check("bifi", "tcp")
    trio.adopt()
    assert trio.check("bifi", "tcp").next_at == before.next_at
    trio.endpoint("BIFI", "https://new.bifi.example:5000/")
    trio.adopt()
    with trio.session() as session:
        assert session.get_one(Endpoint, "bifi").url == "https://new.bifi.example:5000/"
        assert (
            session.scalar(text("select host from probe_check where endpoint_id = 'bifi' limit 1"))
            == "new.bifi.example"
        )


def test_one_bad_endpoint_does_not_keep_the_others_out(federation: Federation) -> None:
    federation.endpoint("CESNET", "http://[broken/", number="1")
    for site in SITES:
        federation.endpoint(site)
    federation.adopt()
    assert federation.check("ukim", "tcp").active


def test_settings_refuse_an_unknown_probe(settings: MonitoringSettings) -> None:
    with pytest.raises(ValueError, match="there is no probe ping"):
        MonitoringSettings(**{**settings.model_dump(), "probes_by_service_type": {"x": ["ping"]}})


def test_a_result_that_cannot_be_judged_does_not_stop_the_others(
    trio: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    trio.due_all()
    with trio.session() as session:
        leases = claim(session, "prague", 3)
    bad = leases[0].check_id

    def judged(session: object, outcome: Outcome, bench: object) -> None:
        if outcome.lease.check_id == bad:
            raise ZeroDivisionError

    monkeypatch.setattr("monitoring.storing.record", judged)
    stored: list[Outcome] = []
    queue = Store(trio.db, trio.bench, stored.append)
    for lease in leases:
        queue.put(Outcome(lease, REFUSED, datetime.now(UTC), "prague"))
    stop = threading.Event()
    stop.set()
    queue.run(stop)
    assert (len(stored), queue.dropped) == (2, 1)
