"""Figures of the days: kept from the timelines, made anew where what they are made of came late."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from hanse.errors import Conflict, Refused
from monitoring.figures import noting, recomputations, reports
from monitoring.figures.recomputations import Asked
from monitoring.models import Check, StatusChange, StoredResult
from monitoring.models.figures import ComputedDay, DayFigure, NotedDay, TopologyRow
from monitoring.profiles import kept
from monitoring.profiles.bodies import AggregationProfile, Report, Weights
from tests.monitoring.federation import Federation
from tests.monitoring.history import DAY, HOUR, LATELY, make, well_but_for_a_morning


@pytest.fixture
def two_days(federation: Federation) -> Federation:
    return well_but_for_a_morning(federation)


def figures(federation: Federation, site: str, day: date = DAY) -> tuple[Decimal, Decimal]:
    with federation.session() as session:
        row = session.scalars(
            select(DayFigure).where(DayFigure.site == site, DayFigure.level == "site", DayFigure.day == day)
        ).one()
        return row.availability, row.reliability


def noted(federation: Federation) -> set[date]:
    with federation.session() as session:
        return set(session.scalars(select(NotedDay.day)))


def test_the_days_since_the_first_measurement_are_counted(two_days: Federation) -> None:
    assert ", 0 wait" in make(two_days)
    assert figures(two_days, "BIFI") == (75, 75)
    assert figures(two_days, "CESNET") == (100, 100)
    assert figures(two_days, "BIFI", DAY - timedelta(days=1)) == (100, 100)
    assert noted(two_days) == set()
    assert make(two_days).startswith("0 days")


def test_a_metric_that_makes_no_sense_for_the_address_is_not_expected(two_days: Federation) -> None:
    """occi.bifi.example answers plain HTTP: nobody expects a certificate of it."""
    make(two_days)
    with two_days.session() as session:
        (tcp,) = session.scalars(select(Check).where(Check.endpoint_id == "bifi", Check.probe == "tcp"))
        assert session.scalars(select(Check).where(Check.probe == "certificate")).all() == []
        assert tcp.active
    assert figures(two_days, "CESNET") == (100, 100)


def test_a_downtime_that_comes_late_makes_its_days_anew(two_days: Federation) -> None:
    make(two_days)
    two_days.downtime("BIFI", LATELY + 6 * HOUR, LATELY + 12 * HOUR - timedelta(minutes=1))
    assert make(two_days).startswith("1 days")
    assert figures(two_days, "BIFI") == (75, 100)
    two_days.remove("downtime", "1")
    make(two_days)
    assert figures(two_days, "BIFI") == (75, 75)


def test_a_downtime_at_risk_changes_no_figure(two_days: Federation) -> None:
    two_days.downtime("BIFI", LATELY + 6 * HOUR, LATELY + 12 * HOUR, severity="WARNING")
    make(two_days)
    assert figures(two_days, "BIFI") == (75, 75)


def test_two_downtimes_at_once_are_one(two_days: Federation) -> None:
    two_days.downtime("BIFI", LATELY + 5 * HOUR, LATELY + 9 * HOUR, number="1")
    two_days.downtime("BIFI", LATELY + 8 * HOUR, LATELY + 14 * HOUR, number="2")
    make(two_days)
    with two_days.session() as session:
        row = session.scalars(
            select(DayFigure).where(
                DayFigure.level == "endpoint", DayFigure.endpoint_id == "bifi", DayFigure.day == DAY
            )
        ).one()
        assert row.line == [[0, "ok"], [5 * 3600, "downtime"], [14 * 3600 + 60, "ok"]]


def test_results_that_were_stored_late_make_their_day_anew(two_days: Federation) -> None:
    make(two_days)
    with two_days.session() as session:
        check = session.scalars(
            select(Check.id).where(Check.endpoint_id == "cesnet", Check.probe == "tcp")
        ).one()
        for at, state in ((LATELY + HOUR, "critical"), (LATELY + 2 * HOUR, "ok")):
            session.add(StatusChange(level="check", subject=str(check), at=at, state=state))
    make(two_days)
    assert figures(two_days, "CESNET")[0] == Decimal("95.83333")


def test_a_day_that_was_counted_at_midnight_is_counted_again_when_nothing_can_come(
    two_days: Federation,
) -> None:
    make(two_days)
    with two_days.session() as session:
        soon = LATELY + timedelta(days=1, minutes=5)
        session.execute(update(ComputedDay).where(ComputedDay.day == DAY).values(computed_at=soon))
    assert make(two_days).startswith("1 days")
    assert make(two_days).startswith("0 days")


def test_a_report_of_profiles_that_were_not_in_force_then_has_no_figures_and_holds_nothing_up(
    two_days: Federation,
) -> None:
    make(two_days)
    with two_days.session() as session:
        today = noting.today(session)
        (metric,) = kept.in_force(session, "metric", today)
        (default,) = kept.in_force(session, "report", today)
        said = {**metric.body, "name": "new"}
        new = kept.create(session, "metric", kept.BODIES["metric"].model_validate(said), today, "Ingrid Holm")
        named = [one for one in default.body["profiles"] if one["type"] != "metric"]
        report = {
            **default.body,
            "info": {"name": "New"},
            "profiles": [*named, {"id": new.id, "name": "new", "type": "metric"}],
        }
        made = kept.create(session, "report", Report.model_validate(report), today, "Ingrid Holm")
        session.execute(update(DayFigure).where(DayFigure.day == DAY).values(report_id=made.id))
    assert ", 0 wait" in make(two_days)
    assert make(two_days).startswith("0 days")
    with two_days.session() as session:
        rows = select(DayFigure.day).where(DayFigure.report_id == made.id).distinct()
        assert set(session.scalars(rows)) <= {noting.today(session), today}
    assert figures(two_days, "BIFI") == (75, 75)


def test_a_service_in_two_groups_is_refused_and_one_that_is_kept_has_one_row(two_days: Federation) -> None:
    make(two_days)
    with two_days.session() as session:
        (known,) = kept.in_force(session, "aggregation", DAY)
        twice = {
            **known.body,
            "groups": [{**group, "name": name} for group in known.body["groups"] for name in "ab"],
        }
        body = AggregationProfile.model_validate(twice)
        with pytest.raises(Refused, match="name it once"):
            kept.change(session, "aggregation", known.id, body, DAY, "Ingrid Holm")
        kept.write(session, known, body, DAY, "Ingrid Holm")  # as before it was refused
    make(two_days)
    assert figures(two_days, "BIFI") == (75, 75)


def test_an_endpoint_counts_on_the_days_on_which_it_was_registered(two_days: Federation) -> None:
    make(two_days)
    two_days.remove("endpoint", "bifi")
    two_days.adopt()
    make(two_days)
    with two_days.session() as session:
        noting.note(session, [DAY], "a test")
        row = session.get_one(TopologyRow, ("bifi", DAY - timedelta(days=1)))
        assert row.last_day is not None
        assert row.last_day >= DAY
    make(two_days)
    assert figures(two_days, "BIFI") == (75, 75)
    with two_days.session() as session:
        gone = select(DayFigure).where(DayFigure.site == "BIFI", DayFigure.day == noting.today(session))
        assert session.scalars(gone).all() == []


def asked(**more: object) -> Asked:
    given = {
        "reason": "the monitoring host had no network",
        "start_time": LATELY + 6 * HOUR,
        "end_time": LATELY + 12 * HOUR - timedelta(minutes=1),
        "report": "Default",
        "exclude": ["BIFI"],
    }
    return Asked.model_validate({**given, **more})


def test_a_recomputation_counts_from_its_approval_by_another(two_days: Federation) -> None:
    make(two_days)
    with two_days.session() as session:
        row = recomputations.ask(session, asked(), "Laura Gil")
        with pytest.raises(Refused, match="another operator"):
            recomputations.decide(session, row.id, "approved", "Laura Gil")
    make(two_days)
    assert figures(two_days, "BIFI") == (75, 75)
    with two_days.session() as session:
        recomputations.decide(session, row.id, "approved", "Ingrid Holm")
    assert noted(two_days) == {DAY}
    make(two_days)
    assert figures(two_days, "BIFI") == (100, 100)
    with two_days.session() as session:
        done = recomputations.find(session, row.id)
        assert [entry["status"] for entry in done.history] == ["pending", "approved", "done"]
        with pytest.raises(Conflict, match="done"):
            recomputations.change(session, row.id, asked(reason="another"), "Laura Gil")
        recomputations.reset(session, row.id)
    make(two_days)
    assert figures(two_days, "BIFI") == (75, 75)


def test_nobody_puts_their_own_request_in_force_by_whatever_word(two_days: Federation) -> None:
    make(two_days)
    with two_days.session() as session:
        row = recomputations.ask(session, asked(), "Laura Gil")
        for status in ("approved", "running", "done"):
            with pytest.raises(Refused, match="another operator"):
                recomputations.decide(session, row.id, status, "Laura Gil")
        recomputations.change(session, row.id, asked(reason="another"), "Ingrid Holm")
        with pytest.raises(Refused, match="another operator"):
            recomputations.decide(session, row.id, "approved", "Ingrid Holm")
        recomputations.decide(session, row.id, "done", "Laura Gil")
        assert row.decided_by == "Laura Gil"


def test_an_excluded_monitoring_host_is_no_other_whose_name_begins_alike(two_days: Federation) -> None:
    with two_days.session() as session:
        (check,) = session.scalars(select(Check).where(Check.endpoint_id == "bifi", Check.probe == "tcp"))
        check_id = check.id
        for worker in ("mon10-7", "mon1-b-7"):
            session.add(
                StoredResult(
                    check_id=check_id,
                    lease=worker,
                    started_at=LATELY + 7 * HOUR,
                    took_s=0.1,
                    status="critical",
                    reason="tcp-refused",
                    summary="",
                    figures=[],
                    phases=[],
                    worker=worker,
                )
            )

    def without(host: str) -> int:
        times = {"start_time": LATELY + 6 * HOUR, "end_time": LATELY + 12 * HOUR}
        source = asked(exclude=[], exclude_monitoring_source=[{"host": host, **times}])
        with two_days.session() as session:
            row = recomputations.ask(session, source, "Laura Gil")
            recomputations.decide(session, row.id, "approved", "Ingrid Holm")
            found = recomputations.exceptions(session, "Default", DAY).without_source
            recomputations.remove(session, row.id)
        return len(found)

    make(two_days)
    assert [without(host) for host in ("mon1", "mon10", "mon1-b")] == [0, 1, 1]


def test_a_rejected_recomputation_changes_nothing(two_days: Federation) -> None:
    make(two_days)
    with two_days.session() as session:
        row = recomputations.ask(session, asked(), "Laura Gil")
        recomputations.decide(session, row.id, "rejected", "Ingrid Holm")
    make(two_days)
    assert figures(two_days, "BIFI") == (75, 75)


def test_profiles_are_dated_and_a_change_makes_the_days_since_anew(two_days: Federation) -> None:
    make(two_days)
    with two_days.session() as session:
        (metric,) = kept.in_force(session, "metric", DAY)
        body = {
            **metric.body,
            "services": [{"service": "eu.egi.cloud.vm-management.occi", "metrics": ["occi-categories"]}],
        }
        kept.change(
            session, "metric", metric.id, kept.BODIES["metric"].model_validate(body), DAY, "Ingrid Holm"
        )
    assert min(noted(two_days)) == DAY
    make(two_days)
    assert figures(two_days, "BIFI") == (100, 100)  # TCP counts no longer
    with two_days.session() as session:
        (before,) = kept.in_force(session, "metric", DAY - timedelta(days=1))
        assert "tcp" in before.body["services"][0]["metrics"]


def test_a_profile_that_a_report_uses_is_not_deleted_and_names_are_taken_once(two_days: Federation) -> None:
    make(two_days)
    with two_days.session() as session:
        (metric,) = kept.in_force(session, "metric", DAY)
        with pytest.raises(Conflict, match="The report Default uses"):
            kept.remove(session, "metric", metric.id)
    with two_days.session() as session:
        made = kept.create(session, "weights", Weights(name="HEPSPEC", groups=[]), DAY, "Ingrid Holm")
        with pytest.raises(Conflict, match="already"):
            kept.create(session, "weights", Weights(name="HEPSPEC", groups=[]), DAY, "Ingrid Holm")
        kept.remove(session, "weights", made.id)


def test_what_an_operator_changed_the_defaults_leave_alone(two_days: Federation) -> None:
    make(two_days)
    with two_days.session() as session:
        (aggregation,) = kept.in_force(session, "aggregation", DAY)
        body = kept.BODIES["aggregation"].model_validate({**aggregation.body, "profile_operation": "OR"})
        kept.change(session, "aggregation", aggregation.id, body, DAY, "Ingrid Holm")
    make(two_days)
    with two_days.session() as session:
        (now,) = kept.in_force(session, "aggregation", noting.today(session))
        assert now.body["profile_operation"] == "OR"


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("BIFI", "bifi", True),
        ("BI", "BIFI", False),
        ("B*", "BIFI", True),
        ("*fi", "BIFI", True),
        ("b*f*i", "BIFI", True),
        ("*f*f*", "BIFI", False),
        ("bifi*bifi", "BIFI", False),
        ("bi*bifi", "BIFI", False),
        ("a*b*b", "ab", False),
        ("*", "", True),
        ("~B*", "BIFI", False),
        ("x, bi*", "BIFI", True),
        ("b.*", "BIFI", False),
    ],
)
def test_a_filter_reads_a_star_as_anything(pattern: str, value: str, fits: bool) -> None:
    assert reports.matches(pattern, [value]) is fits


def test_a_filter_of_many_stars_is_soon_read() -> None:
    """As an expression with one `.*` for each this would not end."""
    assert not reports.matches("*a" * 60 + "*b", ["a" * 120])
