"""The algebra of a day: laws that hold for every line, and ARGO's own worked examples to the last digit."""

import itertools
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.algebra import AND, OR, State
from monitoring.figures.judging import (
    DayInput,
    Exceptions,
    Group,
    Judged,
    Member,
    Rules,
    Where,
    judge_day,
)
from monitoring.figures.lines import (
    DAY_S,
    Line,
    line,
    merge,
    overlay,
    replace,
    seconds,
    state_at,
    steady,
    union,
    without_samples,
)
from monitoring.figures.ratios import Figures, Pair, mean_of_days, of_day, of_period, of_supergroup

H = 3600
OK, WARNING, UNKNOWN, MISSING, CRITICAL, DOWNTIME = State
TABLES = {"AND": AND, "OR": OR}

states = st.one_of(st.sampled_from(list(State)), st.none())
points = st.lists(st.tuples(st.integers(-10, DAY_S + 10), states), max_size=8)
lines = st.builds(lambda given, before: line(sorted(given, key=lambda p: p[0]), before), points, states)
seconds_of_day = st.integers(-H, DAY_S + H)
intervals = st.tuples(seconds_of_day, seconds_of_day).map(lambda pair: (min(pair), max(pair)))
few = settings(max_examples=40)


def is_whole(one: Line) -> bool:
    instants = [second for second, _ in one]
    held = [state for _, state in one]
    return (
        instants[0] == 0
        and instants == sorted(set(instants))
        and instants[-1] < DAY_S
        and all(a != b for a, b in itertools.pairwise(held))
    )


@few
@given(lines, lines, lines, st.sampled_from(["AND", "OR"]))
def test_folding_lines_is_commutative_associative_and_idempotent(
    a: Line, b: Line, c: Line, name: str
) -> None:
    table = TABLES[name]
    assert merge(table, [a, b, c]) == merge(table, [c, a, b]) == merge(table, [merge(table, [a, b]), c])
    assert merge(table, [a, a]) == a
    assert is_whole(merge(table, [a, b, c]))
    assert merge(table, [a, steady(None)]) == a


@few
@given(lines, lines, st.integers(0, DAY_S - 1))
def test_a_folded_line_is_at_each_instant_the_fold_of_the_states(a: Line, b: Line, second: int) -> None:
    x, y = state_at(a, second), state_at(b, second)
    expected = AND[x, y] if x is not None and y is not None else x or y
    assert state_at(merge(AND, [a, b]), second) == expected


@few
@given(lines, st.integers(0, DAY_S))
def test_the_states_of_a_day_fill_it_whole(one: Line, until: int) -> None:
    assert sum(seconds(one, until).values()) == until
    figures = of_day(one)
    assert abs(figures.uptime + figures.unknown + figures.downtime - 1) <= 1
    assert figures.reliability == -1 or figures.reliability >= figures.availability


@few
@given(lines, intervals, st.integers(0, DAY_S))
def test_a_downtime_twice_is_a_downtime_once(one: Line, when: tuple[int, int], now: int) -> None:
    once = overlay(one, *when, DOWNTIME, now)
    assert overlay(once, *when, DOWNTIME, now) == once
    assert is_whole(once)


@few
@given(lines, intervals, intervals)
def test_what_holds_outside_an_interval_is_not_touched(
    one: Line, when: tuple[int, int], probe: tuple[int, int]
) -> None:
    start, end = when
    replaced = replace(one, start, end, CRITICAL)
    assert is_whole(replaced)
    for second in (probe[0], start - 1, end):
        if 0 <= second < DAY_S and not start <= second < end:
            assert state_at(replaced, second) == state_at(one, second)
    if 0 <= start < min(end, DAY_S):
        assert state_at(replaced, start) == CRITICAL
    assert replace(replaced, start, end, CRITICAL) == replaced


@few
@given(st.lists(intervals, max_size=6), st.permutations(range(6)), st.integers(-H, DAY_S + H))
def test_intervals_united_cover_what_they_covered_in_any_order(
    found: list[tuple[int, int]], order: list[int], second: int
) -> None:
    shuffled = [found[index] for index in order if index < len(found)]
    united = union(found)
    assert united == union(shuffled) == union(united)
    assert any(a <= second <= b for a, b in united) == any(a <= second <= b for a, b in found)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(united))


def test_a_downtime_resumes_a_minute_after_its_end() -> None:
    b1 = line([(0, OK), (4 * H, UNKNOWN), (6 * H, OK), (15 * H, WARNING)])
    assert overlay(b1, 9 * H, 10 * H + 59 * 60) == (
        (0, OK),
        (4 * H, UNKNOWN),
        (6 * H, OK),
        (9 * H, DOWNTIME),
        (11 * H, OK),
        (15 * H, WARNING),
    )


@pytest.mark.parametrize(
    ("start", "end", "now", "expected"),
    [
        (20 * H, DAY_S, DAY_S, ((0, OK), (20 * H, DOWNTIME))),  # ends at midnight
        (20 * H, DAY_S - 30, DAY_S, ((0, OK), (20 * H, DOWNTIME))),  # resuming is past the day
        (-5 * H, H, DAY_S, ((0, DOWNTIME), (H + 60, OK))),  # began yesterday
        (2 * H, 3 * H, 3 * H + 59, ((0, OK), (2 * H, DOWNTIME))),  # resuming is past now
        (2 * H, 3 * H, H, ((0, OK),)),  # has not begun
        (-2 * H, -H, DAY_S, ((0, OK),)),  # was yesterday
    ],
)
def test_a_downtime_at_the_edges_of_the_day(start: int, end: int, now: int, expected: Line) -> None:
    assert overlay(steady(OK), start, end, DOWNTIME, now) == expected


def test_a_change_at_the_end_of_a_downtime_or_within_the_minute_after_it() -> None:
    at_the_end = line([(0, OK), (3 * H, CRITICAL), (4 * H, OK)])
    assert overlay(at_the_end, 2 * H, 3 * H) == ((0, OK), (2 * H, DOWNTIME), (4 * H, OK))
    within = line([(0, OK), (3 * H + 30, CRITICAL)])
    assert overlay(within, 2 * H, 3 * H) == ((0, OK), (2 * H, DOWNTIME), (3 * H + 30, CRITICAL))


def test_without_its_samples_a_stretch_goes_on_as_before() -> None:
    one = line([(0, OK), (2 * H, CRITICAL), (3 * H, WARNING), (9 * H, OK)])
    assert without_samples(one, H, 4 * H) == ((0, OK), (4 * H, WARNING), (9 * H, OK))


# --- ARGO's worked examples ---


def test_one_day() -> None:
    day = line(
        [
            (0, OK),
            (6 * H, WARNING),
            (27_000, CRITICAL),
            (9 * H, UNKNOWN),
            (37_800, MISSING),
            (11 * H, DOWNTIME),
            (14 * H, OK),
        ]
    )
    assert of_day(day) == Figures(*map(Decimal, ("79.54545", "92.10526", "0.72917", "0.08333", "0.12500")))


def member(name: str, service: str, metrics: tuple[str, ...] = ("m",), site: str = "SITE_A") -> Member:
    return Member(name, site, "NGI_X", service, f"{name}.example", metrics)


EXAMPLE = DayInput(
    [member("a1", "A"), member("a2", "A"), member("b1", "B")],
    {
        ("a1", "m"): line([(0, OK), (8 * H, CRITICAL), (12 * H, OK)]),
        ("a2", "m"): line([(0, CRITICAL), (10 * H, OK), (20 * H, UNKNOWN)]),
        ("b1", "m"): line([(0, OK), (4 * H, UNKNOWN), (6 * H, OK), (15 * H, WARNING)]),
    },
    {"b1": [(9 * H, 10 * H + 59 * 60)]},
)
RULES = Rules(TABLES, "AND", "AND", (Group("OR", (("A", "OR"),)), Group("OR", (("B", "OR"),))))


def judged(given: DayInput, rules: Rules = RULES) -> dict[str, Judged]:
    return {
        one.endpoint_id or (one.site if one.level == "site" else one.service): one
        for one in judge_day(given, rules)
    }


def test_a_site() -> None:
    found = judged(EXAMPLE)
    assert found["A"].line == ((0, OK), (8 * H, CRITICAL), (10 * H, OK))
    site = found["SITE_A"]
    assert site.line == (
        (0, OK),
        (4 * H, UNKNOWN),
        (6 * H, OK),
        (8 * H, CRITICAL),
        (10 * H, DOWNTIME),
        (11 * H, OK),
        (15 * H, WARNING),
    )
    assert site.figures == Figures(*map(Decimal, ("86.36364", "90.47619", "0.79167", "0.08333", "0.04167")))
    assert (found["A"].figures.availability, found["B"].figures.availability) == (
        Decimal("91.66667"),
        Decimal("90.90909"),
    )


def fractions(up: str, unknown: str, down: str) -> Figures:
    return Figures(Decimal(0), Decimal(0), Decimal(up), Decimal(unknown), Decimal(down))


def test_a_period() -> None:
    days = [
        fractions("0.72917", "0.08333", "0.125"),
        fractions("1", "0", "0"),
        fractions("0.45", "0.25", "0.05"),
    ]
    found = of_period(days)
    assert found is not None
    assert round(found.availability, 5) == Decimal("81.71877")
    assert round(found.reliability, 5) == Decimal("87.45821")
    assert of_period([]) is None


def test_a_perfect_month_and_a_wholly_unknown_one() -> None:
    perfect = of_period([fractions("1", "0", "0")] * 30)
    nothing = of_period([fractions("0", "1", "0")] * 30)
    assert perfect is not None
    assert nothing is not None
    assert Decimal("99.9999989") < perfect.availability < 100
    assert (nothing.availability, nothing.reliability) == (0, 0)


def test_a_supergroup() -> None:
    x, y, z = (
        tuple(map(Decimal, row))
        for row in (("79.54545", "92.10526", "99"), ("86.36364", "90.47619", "299"), ("-1", "-1", "50"))
    )
    assert of_supergroup([x, y, z]) == Pair(Decimal("84.65909"), Decimal("90.88346"))  # type: ignore[list-item]
    assert of_supergroup([z]) == Pair(None, None)  # type: ignore[list-item]
    days = [Pair(Decimal(80), Decimal(90)), Pair(None, None), Pair(Decimal(90), Decimal(91))]
    assert mean_of_days(days) == Pair(Decimal(85), Decimal("90.5"))


def test_what_is_undefined_is_minus_one_for_each_figure_by_itself() -> None:
    unknown = of_day(steady(MISSING))
    assert (unknown.availability, unknown.reliability, unknown.unknown) == (-1, -1, 1)
    down = of_day(steady(DOWNTIME))
    assert (down.availability, down.reliability, down.downtime) == (0, -1, 1)


# --- what is expected, and recomputations ---


def test_a_metric_without_data_is_missing_all_day() -> None:
    given = DayInput([member("a1", "A", ("m", "other"))], {("a1", "m"): steady(OK)})
    assert judged(given)["SITE_A"].line == steady(MISSING)


def test_a_service_outside_the_profile_does_not_count() -> None:
    given = DayInput(
        [member("a1", "A"), member("c1", "C")], {("a1", "m"): steady(OK), ("c1", "m"): steady(CRITICAL)}
    )
    found = judged(given)
    assert found["SITE_A"].line == steady(OK)
    assert "c1" not in found


def with_exceptions(said: Exceptions) -> DayInput:
    return DayInput(EXAMPLE.members, EXAMPLE.lines, EXAMPLE.downtimes, said)


def test_an_excluded_group_is_unknown_just_before_its_figures() -> None:
    for name in ("SITE_A", "NGI_X"):
        found = judged(with_exceptions(Exceptions(excluded_groups=((name, (8 * H, 9 * H + 49 * 60)),))))
        assert state_at(found["SITE_A"].line, 8 * H) == UNKNOWN
        assert (
            state_at(found["SITE_A"].line, 9 * H + 50 * 60) == CRITICAL
        )  # a minute after the end what held then
        assert found["A"].line == ((0, OK), (8 * H, CRITICAL), (10 * H, OK))
    assert judged(with_exceptions(Exceptions(excluded_groups=(("SITE_B", (0, DAY_S)),)))) == judged(EXAMPLE)


def test_an_excluded_metric_counts_for_nothing_while_it_is_excluded() -> None:
    whole = Exceptions(excluded_metrics=((Where(hostname="a1.example", metric="m"), (0, DAY_S)),))
    found = judged(with_exceptions(whole))
    assert found["A"].line == EXAMPLE.lines["a2", "m"]
    everything = Exceptions(excluded_metrics=((Where(metric="m"), (0, DAY_S)),))
    assert judged(with_exceptions(everything))["SITE_A"].figures.unknown == Decimal("0.91667")


@pytest.mark.parametrize(
    ("where", "changed"),
    [
        (Where(group="SITE_A"), "SITE_A"),
        (Where(service="A"), "A"),
        (Where(hostname="a1.example"), "a1"),
        (Where(metric="m", hostname="a1.example"), "a1"),
    ],
)
def test_a_state_is_applied_at_the_level_that_is_named_and_ends_exactly(where: Where, changed: str) -> None:
    found = judged(with_exceptions(Exceptions(status_changes=((where, (8 * H, 9 * H), WARNING),))))
    before = judged(EXAMPLE)
    assert state_at(found[changed].line, 8 * H) == WARNING
    assert state_at(found[changed].line, 9 * H) == state_at(before[changed].line, 9 * H)
    assert found["a2"].line == before["a2"].line


def test_a_source_that_is_excluded_measured_nothing() -> None:
    said = Exceptions(without_source=(("a1", "m", (7 * H, 11 * H)),))
    assert judged(with_exceptions(said))["a1"].line == ((0, OK), (11 * H, CRITICAL), (12 * H, OK))
