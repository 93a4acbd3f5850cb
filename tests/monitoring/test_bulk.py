"""Results that change nothing are stored many at once, the others one by one; thresholds replace a status."""

from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest
from sqlalchemy import func, select

from hanse.errors import Refused
from monitoring.figures import noting
from monitoring.findings import Figure, Result, Status
from monitoring.models import Check, StoredResult
from monitoring.profiles import kept
from monitoring.profiles.bodies import Report, ThresholdsProfile
from monitoring.recording import Outcome
from monitoring.schedule import Lease
from monitoring.storing import Store
from tests.monitoring.federation import OK, REFUSED, Federation
from tests.monitoring.history import make


def outcomes(federation: Federation, what: Result, lease: str, probe: str = "tcp") -> list[Outcome]:
    """One outcome of each check of a probe."""
    with federation.session() as session:
        checks = list(session.scalars(select(Check).where(Check.probe == probe).order_by(Check.id)))
    federation.now += timedelta(minutes=1)
    now = federation.now
    until = now + timedelta(seconds=30)
    return [
        Outcome(Lease(one.id, lease, probe, "", one.host, {}, 10, now, None, until), what, now, "tests")
        for one in checks
    ]


def drained(federation: Federation, found: list[Outcome]) -> list[Outcome]:
    """Have the store take them all; what it says it stored."""
    stored: list[Outcome] = []
    store, stop = Store(federation.db, federation.bench, stored.append), Event()
    for outcome in found:
        store.put(outcome)
    stop.set()
    store.run(stop)
    assert store.dropped == 0
    return stored


def count(federation: Federation) -> int:
    with federation.session() as session:
        return session.scalar(select(func.count()).select_from(StoredResult)) or 0


def test_what_changes_nothing_is_stored_together_and_once(trio: Federation) -> None:
    before = count(trio)
    found = outcomes(trio, OK, "one")
    assert len(drained(trio, [*found, *map(replace, found)])) == 6
    assert count(trio) == before + 3
    assert trio.check("bifi", "tcp").measured_at == trio.now
    assert trio.incidents() == []


def test_a_failure_between_good_results_is_judged_in_its_order(trio: Federation) -> None:
    found = [
        *outcomes(trio, OK, "one"),
        *outcomes(trio, REFUSED, "two")[:1],
        *outcomes(trio, OK, "three")[1:],
        *outcomes(trio, REFUSED, "four")[:1],
    ]
    assert len(drained(trio, found)) == len(found)
    failing = found[-1].lease.check_id
    with trio.session() as session:
        check = session.get_one(Check, failing)
        assert (check.measured, check.judged) == ("critical", "critical")
        rows = select(StoredResult.lease).where(StoredResult.check_id == failing).order_by(StoredResult.id)
        assert list(session.scalars(rows))[-3:] == ["one", "two", "four"]
    assert [incident.reason for incident in trio.incidents()] == ["tcp-refused"]


def test_an_endpoint_that_is_gone_keeps_no_other_result_back(trio: Federation) -> None:
    found = outcomes(trio, OK, "one")
    with trio.session() as session:
        session.delete(session.get_one(Check, found[0].lease.check_id))
    before = count(trio)
    assert len(drained(trio, found)) == 3
    assert count(trio) == before + 2


def measured(value: float) -> Result:
    return Result(Status.OK, f"answered in {value} s", "", 0.1, (Figure("time", value, "s"),))


def test_a_threshold_replaces_the_status_and_keeps_what_the_probe_said(trio: Federation) -> None:
    make(trio)
    with trio.session() as session:
        (profile,) = kept.in_force(session, "thresholds", kept.FIRST_DAY)
        rule = {"metric": "tcp", "host": "occi.bifi.example", "thresholds": "time=1s;2:5;5:"}
        body = ThresholdsProfile.model_validate({"name": profile.name, "rules": [rule]})
        kept.change(session, "thresholds", profile.id, body, kept.FIRST_DAY, "Ingrid Holm")
    for lease, value in (("a", 3.0), ("b", 9.0), ("c", 1.0)):
        drained(trio, outcomes(trio, measured(value), lease))
    with trio.session() as session:
        rows = session.execute(
            select(StoredResult.lease, StoredResult.status, StoredResult.original_status, StoredResult.reason)
            .join(Check)
            .where(Check.endpoint_id == "bifi", StoredResult.lease.in_(("a", "b", "c")))
            .order_by(StoredResult.lease)
        ).all()
        others = select(StoredResult).join(Check).where(Check.endpoint_id == "cesnet")
        assert all(row.threshold_rule is None for row in session.scalars(others))
    assert [tuple(row) for row in rows] == [
        ("a", "warning", "ok", "threshold"),
        ("b", "critical", "ok", "threshold"),
        ("c", "ok", None, ""),
    ]


def test_thresholds_that_begin_later_lose_no_result_and_no_report_may_name_them(trio: Federation) -> None:
    make(trio)
    with trio.session() as session:
        later = noting.today(session) + timedelta(days=10)
        body = ThresholdsProfile(name="strict", rules=[])
        made = kept.create(session, "thresholds", body, later, "Ingrid Holm")
        (default,) = kept.in_force(session, "report", kept.FIRST_DAY)
        named = {"id": made.id, "name": "strict", "type": "thresholds"}
        report = Report.model_validate({**default.body, "profiles": [*default.body["profiles"], named]})
        with pytest.raises(Refused, match="not in force yet"):
            kept.change(session, "report", default.id, report, kept.FIRST_DAY, "Ingrid Holm")
        kept.write(session, default, report, kept.FIRST_DAY, "Ingrid Holm")  # as before it was refused
    drained(trio, outcomes(trio, measured(1.0), "a"))
    with trio.session() as session:
        stored = select(func.count()).select_from(StoredResult).where(StoredResult.lease == "a")
        assert session.scalar(stored) == 3
