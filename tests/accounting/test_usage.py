"""Usage between cumulative reports, and how it is cut at month ends."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from accounting import usage
from accounting.usage import Before, Interval, Reading


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def month(text: str) -> int:
    year, number = text.split("-")
    return int(year) * 12 + int(number) - 1


def by_month(readings: list[Reading]) -> dict[int, tuple[int, int]]:
    sums: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for interval in usage.intervals(readings):
        for in_month, wall, cpu in usage.cut(interval):
            sums[in_month] = (sums[in_month][0] + wall, sums[in_month][1] + cpu)
    return dict(sums)


def test_an_interval_inside_a_month_is_not_cut() -> None:
    interval = Interval(at("2026-10-02"), at("2026-10-20"), 1000, 4000)
    assert list(usage.cut(interval)) == [(month("2026-10"), 1000, 4000)]


def test_usage_over_a_month_end_is_cut_in_proportion_to_time() -> None:
    # 10 days in October, 20 in November
    interval = Interval(at("2026-10-22"), at("2026-11-21"), 30 * 86_400, 300)
    assert list(usage.cut(interval)) == [
        (month("2026-10"), 10 * 86_400, 100),
        (month("2026-11"), 20 * 86_400, 200),
    ]


def test_a_gap_of_months_is_spread_over_all_of_them() -> None:
    cut = list(usage.cut(Interval(at("2026-08-16"), at("2026-11-16"), 92, 92 * 4)))
    assert cut == [
        (month("2026-08"), 16, 64),
        (month("2026-09"), 30, 120),
        (month("2026-10"), 31, 124),
        (month("2026-11"), 15, 60),
    ]


def test_an_interval_that_ends_with_the_month_touches_no_other() -> None:
    assert [part[0] for part in usage.cut(Interval(at("2026-10-30"), at("2026-11-01"), 5, 5))] == [
        month("2026-10")
    ]


def test_an_interval_without_length_lies_in_the_month_of_its_instant() -> None:
    instant = at("2026-11-01")
    assert list(usage.cut(Interval(instant, instant, 1, 1))) == [(month("2026-11"), 1, 1)]


def test_a_second_that_cannot_be_divided_is_neither_lost_nor_made() -> None:
    parts = list(usage.cut(Interval(at("2026-09-10"), at("2026-11-20"), 1, 2)))
    assert sum(wall for _, wall, _ in parts) == 1
    assert sum(cpu for _, _, cpu in parts) == 2


def test_november_gets_what_was_used_after_the_october_report() -> None:
    """The case APEL counts whole in November: 31 October 12:00 to 1 November 12:00."""
    start = at("2026-10-01")
    readings = [
        Reading(at("2026-10-31T12:00"), start, 1_000_000, 4_000_000),
        Reading(at("2026-11-01T12:00"), start, 1_086_400, 4_345_600),
    ]
    assert by_month(readings) == {
        month("2026-10"): (1_043_200, 4_172_800),
        month("2026-11"): (43_200, 172_800),
    }


def test_a_reset_counts_from_zero_and_says_so() -> None:
    start = at("2026-10-01")
    made = usage.intervals(
        [Reading(at("2026-10-10"), start, 700, 2800), Reading(at("2026-11-10"), start, 300, 1200)]
    )
    assert [(each.wall_s, each.cpu_s, each.remark) for each in made] == [
        (700, 2800, ""),
        (300, 1200, "reset"),
    ]


def test_a_machine_that_began_anew_did_not_run_before_its_new_start() -> None:
    made = usage.intervals(
        [
            Reading(at("2026-10-10"), at("2026-10-01"), 700, 700),
            Reading(at("2026-11-10"), at("2026-11-05"), 300, 300),
        ]
    )
    assert made[1].begin == at("2026-11-05")


def test_cpu_that_falls_with_a_resize_counts_what_the_new_size_could_use() -> None:
    """cASO writes wall x cores: 4 cores for 10 h, then 2 cores for 1 h reads 40 h and then 22 h."""
    hour, start = 3600, at("2026-10-01")
    made = usage.intervals(
        [
            Reading(start + 10 * hour, start, 10 * hour, 40 * hour, Decimal(4)),
            Reading(start + 11 * hour, start, 11 * hour, 22 * hour, Decimal(2)),
            Reading(start + 12 * hour, start, 12 * hour, 24 * hour, Decimal(2)),
        ]
    )
    assert [each.cpu_s for each in made] == [40 * hour, 2 * hour, 2 * hour]
    assert [each.remark for each in made] == ["", "resize", ""]


def test_cpu_that_falls_alone_is_a_reset_of_that_counter() -> None:
    start = at("2026-10-01")
    made = usage.intervals([Reading(start + 100, start, 100, 90), Reading(start + 200, start, 200, 40)])
    assert (made[1].wall_s, made[1].cpu_s, made[1].remark) == (100, 40, "cpu_reset")


def test_a_report_that_does_not_state_a_counter_leaves_it_where_it_was() -> None:
    start = at("2026-10-01")
    made = usage.intervals(
        [
            Reading(start + 100, start, 100, 400),
            Reading(start + 200, start, None, None),
            Reading(start + 300, start, 300, 1200),
        ]
    )
    assert [(each.wall_s, each.cpu_s, each.remark) for each in made] == [
        (100, 400, ""),
        (0, 0, ""),
        (200, 800, ""),
    ]


def test_going_on_from_the_report_before_gives_the_same_as_all_at_once() -> None:
    start = at("2026-10-01")
    readings = [Reading(start + n * 1000, start, n * 900, n * 1800) for n in range(1, 20)]
    whole = usage.intervals(readings)
    before: Before | None = None
    for reading in readings[:7]:
        before = usage.carried(reading, before)
    assert usage.intervals(readings[7:], before) == whole[7:]


START = at("2024-01-15T10:00")


@st.composite
def histories(draw: st.DrawFn) -> list[Reading]:
    """Cumulative reports of one machine over up to three years, with gaps, stops and resets of both counters."""
    readings: list[Reading] = []
    when, wall, cpu = START, 0, 0
    cores = draw(st.integers(1, 64))
    for _ in range(draw(st.integers(1, 25))):
        span = draw(st.integers(1, 70 * 86_400))
        if readings and draw(st.integers(0, 5)) == 0:
            wall, cpu = draw(st.integers(0, max(wall - 1, 0))), draw(st.integers(0, cpu))
        else:
            ran = draw(st.integers(0, span))
            wall, cpu = wall + ran, cpu + draw(st.integers(0, ran * cores))
        when += span
        readings.append(Reading(when, START, wall, cpu, Decimal(cores)))
    return readings


def last_of_stretches(readings: list[Reading]) -> tuple[int, int]:
    """The property's other side, by itself: the last cumulative values of every reset-free stretch, added up.

    Both counters end their stretch when wall time falls; CPU alone when it alone falls.
    """
    wall_total = cpu_total = 0
    for now, following in zip(readings, [*readings[1:], None], strict=True):
        assert now.wall_s is not None
        assert now.cpu_s is not None
        if following is None or following.wall_s < now.wall_s:  # type: ignore[operator]
            wall_total += now.wall_s
            cpu_total += now.cpu_s
        elif following.cpu_s < now.cpu_s:  # type: ignore[operator]
            cpu_total += now.cpu_s
    return wall_total, cpu_total


@given(histories())
def test_the_months_add_up_to_the_last_value_of_every_stretch(readings: list[Reading]) -> None:
    months = by_month(readings)
    assert (
        sum(wall for wall, _ in months.values()),
        sum(cpu for _, cpu in months.values()),
    ) == last_of_stretches(readings)
    assert all(wall >= 0 and cpu >= 0 for wall, cpu in months.values())


@given(histories(), st.integers(0, 2**32))
def test_no_month_gets_more_wall_time_than_it_has(readings: list[Reading], seed: int) -> None:
    """Leaving out reports never lets a month hold more than its own seconds."""
    steady = [
        reading
        for index, reading in enumerate(readings)
        if index == 0 or reading.wall_s >= readings[index - 1].wall_s
    ]  # type: ignore[operator]
    kept = sorted(
        random.Random(seed).sample(steady, k=max(1, len(steady) // 2)), key=lambda each: each.measured_at
    )
    made = usage.intervals(kept)
    if any(interval.remark for interval in made):
        return
    for in_month, (wall, _) in by_month(kept).items():
        assert wall <= usage.month_start(in_month + 1) - usage.month_start(in_month)


@given(
    st.integers(0, 4_000_000_000), st.integers(0, 300_000_000), st.integers(0, 10**12), st.integers(0, 10**15)
)
def test_a_cut_loses_nothing_wherever_it_falls(begin: int, length: int, wall: int, cpu: int) -> None:
    parts = list(usage.cut(Interval(begin, begin + length, wall, cpu)))
    assert sum(part[1] for part in parts) == wall
    assert sum(part[2] for part in parts) == cpu
    assert [part[0] for part in parts] == list(range(parts[0][0], parts[0][0] + len(parts)))
    assert parts[0][0] == usage.month_of(begin)
