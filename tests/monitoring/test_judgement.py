"""The pure rules: confirmation, recovery, doubt, how states combine, what a timeline amounts to."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.algebra import (
    AND,
    OR,
    Change,
    Span,
    State,
    Tally,
    both,
    days,
    either,
    spans,
    tally,
    worst_of_day,
)
from monitoring.downtimes import Downtime, at_site, current, from_feed
from monitoring.judgement import Rules, Standing, Verdict, Witness, accuse, doubted, judge, waiting
from monitoring.standing import site_state

DAY = datetime(2026, 5, 4, tzinfo=UTC)
MEASURED = st.sampled_from([State.OK, State.WARNING, State.CRITICAL, State.UNKNOWN])


def at(clock: str) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return DAY + timedelta(hours=hour, minutes=minute)


def line(text: str) -> list[Change]:
    words = {"OK": State.OK, "W": State.WARNING, "C": State.CRITICAL, "U": State.UNKNOWN, "M": State.MISSING}
    words["D"] = State.DOWNTIME
    return [Change(at(entry.split()[0]), words[entry.split()[1]]) for entry in text.split(", ")]


def judged(measurements: str, rules: Rules = Rules()) -> tuple[State, int | None]:  # noqa: B008
    """Letters O W C U, a minute apart; the judgement and the minute it began in."""
    letters = {"O": State.OK, "W": State.WARNING, "C": State.CRITICAL, "U": State.UNKNOWN}
    standing = Standing()
    for minute, letter in enumerate(measurements):
        standing = judge(standing, letters[letter], DAY + timedelta(minutes=minute), rules)
    since = None if standing.since is None else int((standing.since - DAY).total_seconds() // 60)
    return standing.judged, since


@pytest.mark.parametrize(
    ("measurements", "state", "since"),
    [
        ("O", State.OK, 0),
        ("C", State.MISSING, None),
        ("CC", State.CRITICAL, 0),
        ("OC", State.OK, 0),
        ("OCC", State.CRITICAL, 1),
        ("OCOCOCOC", State.OK, 0),
        ("OCCO", State.CRITICAL, 1),
        ("OCCOO", State.OK, 3),
        ("OCCOCOCOC", State.CRITICAL, 1),
        ("OWW", State.WARNING, 1),
        ("OWC", State.WARNING, 1),
        ("OCW", State.WARNING, 1),
        ("OWWCC", State.CRITICAL, 3),
        ("OCCWO", State.WARNING, 3),
        ("OCCOW", State.WARNING, 3),
        ("OUU", State.UNKNOWN, 1),
        ("OCU", State.OK, 0),
        ("OCUC", State.OK, 0),
        ("OCCUU", State.UNKNOWN, 3),
        ("OUUOO", State.OK, 3),
        ("OUUCC", State.CRITICAL, 3),
    ],
)
def test_two_in_a_row_turn_a_judgement_from_the_first_of_them_on(
    measurements: str, state: State, since: int | None
) -> None:
    assert judged(measurements) == (state, since)


def test_the_counts_are_settings() -> None:
    assert judged("OC", Rules(1, 1))[0] == State.CRITICAL
    assert judged("OCCO", Rules(1, 1))[0] == State.OK
    assert judged("OCC", Rules(3, 1))[0] == State.OK


@given(st.lists(MEASURED, max_size=40))
def test_judgements_follow_measurements_and_time_never_turns_back(measurements: list[State]) -> None:
    standing, begins = Standing(), []
    for minute, measured in enumerate(measurements):
        before = standing.judged
        standing = judge(standing, measured, DAY + timedelta(minutes=minute))
        if standing.judged != before:
            assert standing.candidate is None
            assert standing.since is not None
            begins.append(standing.since)
    assert begins == sorted(begins)
    if len(measurements) >= 3 and len(set(measurements[-3:])) == 1:
        assert standing.judged == measurements[-1]


# --- doubt ---

MINUTE = timedelta(minutes=1)


def witness(answered: float | None, failed: float | None) -> Witness:
    return Witness(
        "CESNET",
        None if answered is None else DAY + answered * MINUTE,
        None if failed is None else DAY + failed * MINUTE,
    )


@pytest.mark.parametrize(
    ("witnesses", "now", "verdict"),
    [
        ([], 1, Verdict.ACCUSE),
        ([witness(0.5, None)], 1, Verdict.ACCUSE),
        ([witness(-1, None)], 1, Verdict.ASK),
        ([witness(None, None)], 1, Verdict.ASK),
        ([witness(-1, 0.5)], 1, Verdict.DOUBT),
        ([witness(-1, 0.5), witness(0.7, None)], 1, Verdict.ACCUSE),
        ([witness(-1, 0.5), witness(-1, None)], 1, Verdict.ASK),
        ([witness(-1, 0.5), witness(-1, 0.2)], 1, Verdict.DOUBT),
        ([witness(-1, None)], 11, Verdict.ACCUSE),
    ],
)
def test_a_site_is_accused_only_where_somebody_else_answers(
    witnesses: list[Witness], now: float, verdict: Verdict
) -> None:
    assert accuse(DAY, DAY + now * MINUTE, witnesses) == verdict


def test_after_doubt_it_takes_another_failure_to_accuse() -> None:
    standing = doubted(Standing(State.OK, DAY, State.CRITICAL, DAY + MINUTE, 1), DAY + 2 * MINUTE)
    assert (standing.judged, standing.since) == (State.UNKNOWN, DAY + MINUTE)
    assert standing.candidate_since == DAY + 2 * MINUTE
    assert judge(standing, State.CRITICAL, DAY + 3 * MINUTE).judged == State.CRITICAL
    again = doubted(standing, DAY + 5 * MINUTE)
    assert (again.since, again.candidate_since) == (DAY + MINUTE, DAY + 5 * MINUTE)


def test_waiting_for_a_witness_keeps_the_first_failures_time() -> None:
    standing = waiting(Standing(State.OK, DAY, State.CRITICAL, DAY + MINUTE, 1), DAY + 3 * MINUTE)
    assert (standing.judged, standing.candidate_since, standing.count) == (State.OK, DAY + MINUTE, 1)


# --- the tables of EGI's operations profile ---


@pytest.mark.parametrize("table", [AND, OR])
def test_both_tables_are_symmetric_and_associative(table: dict[tuple[State, State], State]) -> None:
    assert len(table) == 36
    for a, b in product(State, State):
        assert table[a, b] == table[b, a]
    for a, b, c in product(State, State, State):
        assert table[table[a, b], c] == table[a, table[b, c]]


def test_a_few_cells_by_heart() -> None:
    assert AND[State.CRITICAL, State.DOWNTIME] == State.CRITICAL
    assert OR[State.CRITICAL, State.DOWNTIME] == State.CRITICAL
    assert OR[State.UNKNOWN, State.MISSING] == State.UNKNOWN
    assert either([State.CRITICAL, State.WARNING]) == State.WARNING
    assert both([]) == State.MISSING


# --- timelines ---


def test_the_worked_day() -> None:
    """up 63,000 s, unknown 7,200 s, downtime 10,800 s: A 79.54545, R 92.10526."""
    changes = line("00:00 OK, 06:00 W, 07:30 C, 09:00 U, 10:30 M, 11:00 D, 14:00 OK")
    day = tally(spans(changes, DAY, DAY + timedelta(days=1)))
    assert (day.up, day.unknown, day.downtime) == (63_000, 7_200, 10_800)
    assert day.availability == pytest.approx(79.54545, abs=5e-6)
    assert day.reliability == pytest.approx(92.10526, abs=5e-6)


def test_nothing_is_in_order_for_more_than_the_whole_time() -> None:
    always = Tally(26037.823861019027, 0.0, 0.0, 0.0)  # 100 times it, divided by it, is more than 100
    assert (always.availability, always.reliability) == (100, 100)


def test_nothing_known_has_no_availability() -> None:
    nothing = tally(spans([], DAY, DAY + timedelta(days=1)))
    assert (nothing.availability, nothing.reliability) == (None, None)
    resting = tally([Span(DAY, DAY + timedelta(days=1), State.DOWNTIME)])
    assert (resting.availability, resting.reliability) == (0, None)


@given(st.lists(st.tuples(st.integers(-100, 2000), st.sampled_from(list(State))), max_size=20))
def test_spans_cover_the_whole_interval_once(points: list[tuple[int, State]]) -> None:
    changes = [Change(DAY + minute * MINUTE, state) for minute, state in sorted(points, key=lambda p: p[0])]
    end = DAY + timedelta(days=1)
    found = spans(changes, DAY, end)
    assert sum(span.seconds for span in found) == 86_400
    assert found[0].start == DAY
    assert found[-1].end == end
    assert all(a.end == b.start for a, b in pairwise(found))


def test_a_day_shows_its_worst_and_today_ends_now() -> None:
    changes = line("00:00 OK, 06:00 W, 07:30 C, 07:31 OK")
    assert worst_of_day(spans(changes, DAY, DAY + timedelta(days=1))) == State.CRITICAL
    assert worst_of_day([]) == State.MISSING
    assert worst_of_day(spans(line("00:00 D, 12:00 OK"), DAY, DAY + timedelta(days=1))) == State.DOWNTIME
    first, second = days(changes, DAY, 2, at("12:00"))
    assert first[-1].end == at("12:00")
    assert second == []


# --- downtimes ---


def downtime(**more: object) -> Downtime:
    body = {"id": "1", "site": "UKIM", "start": "2026-05-04T08:00:00Z", "end": "2026-05-04T18:00:00Z", **more}
    (found,) = from_feed([body])
    return found


def test_a_downtime_covers_from_its_start_to_before_its_end() -> None:
    whole = downtime()
    running = [
        current([whole], "UKIM", "1", "1", at(clock)) is not None
        for clock in ("07:59", "08:00", "17:59", "18:00")
    ]
    assert running == [False, True, True, False]
    assert current([whole], "BIFI", "1", "1", at("12:00")) is None


def test_a_downtime_of_services_or_endpoints_covers_them_alone() -> None:
    services, endpoints = downtime(services=["7"]), downtime(services=["7"], endpoints=["70"])
    assert services.covers("UKIM", "7", "71")
    assert not services.covers("UKIM", "8", "80")
    assert endpoints.covers("UKIM", "7", "70")
    assert not endpoints.covers("UKIM", "7", "71")


def test_a_service_ends_at_its_own_time_and_a_site_with_its_last_service() -> None:
    both = downtime(
        sites=["UKIM", "BIFI"],
        services=["7", "8", "9"],
        endpoints=["70", "80", "90"],
        service_ends={"7": "2026-05-04T10:00:00Z", "9": "2026-05-04T11:00:00Z"},
    )

    def runs(site: str, service: str, endpoint: str, clock: str) -> bool:
        return current([both], site, service, endpoint, at(clock)) is not None

    assert [runs("UKIM", "7", "70", clock) for clock in ("09:59", "10:00")] == [True, False]
    assert [runs("UKIM", "8", "80", clock) for clock in ("10:00", "17:59", "18:00")] == [True, True, False]
    assert [runs("BIFI", "9", "90", clock) for clock in ("10:59", "11:00")] == [True, False]
    ends = {site: at_site([both], site, own)[0].end for site, own in (("UKIM", ["7", "8"]), ("BIFI", ["9"]))}
    assert ends == {"UKIM": at("18:00"), "BIFI": at("11:00")}
    assert at_site([both], "CESNET", ["1"]) == []


def test_at_risk_is_no_downtime() -> None:
    assert current([downtime(severity="WARNING")], "UKIM", "1", "1", at("12:00")) is None


def test_of_two_downtimes_the_longer_counts() -> None:
    short, long = downtime(), downtime(id="2", end="2026-05-05T18:00:00Z")
    assert current([long, short], "UKIM", "1", "1", at("12:00")) is long


# --- sites ---


def test_a_site_without_endpoints_is_missing() -> None:
    assert site_state([]) == State.MISSING
