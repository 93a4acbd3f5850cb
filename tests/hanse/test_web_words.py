"""How figures and times are written, and the geometry of the small charts."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
import time_machine
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from hanse.pages import words
from hanse.pages.bars import age_scale, day_scale, ninety_days
from hanse.pages.charts import OTHERS, fold_series, scale, short, stacked


@pytest.mark.parametrize(
    ("span", "written"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (51 * 60, "51 min"),
        (3600, "1 h"),
        (5 * 3600 + 20 * 60, "5 h 20 min"),
        (19 * 3600 + 2 * 60, "19 h 02 min"),
        (25 * 3600 + 10 * 60, "25 h 10 min"),
        (timedelta(days=2, hours=19), "2 d 19 h"),
        (timedelta(days=2), "2 d"),
        (timedelta(days=9, hours=3), "9 d"),
        (-5, "0 s"),
        (None, "–"),
    ],
)
def test_a_span_is_written_by_its_two_largest_units(span: Any, written: str) -> None:
    assert words.age(span) == written


@given(st.integers(0, 10**9))
def test_a_longer_span_is_never_written_as_a_shorter_one(seconds: int) -> None:
    units = {"s": 1, "min": 60, "h": 3600, "d": 86400}
    parts = words.age(seconds).split()
    told = sum(int(n) * units[u] for n, u in zip(parts[::2], parts[1::2], strict=True))
    assert told <= seconds < told + 86400


def test_figures_have_grouping_commas_and_units() -> None:
    assert words.number(603528) == "603,528"
    assert words.number(0.5, 1) == "0.5"
    assert words.number(None) == "–"
    assert words.percent(0.9069) == "90.69 %"
    assert words.percent(0.6, 0) == "60 %"
    assert (words.count(1, "site"), words.count(1200, "site")) == ("1 site", "1,200 sites")
    assert words.count(2, "entry", "entries") == "2 entries"


@time_machine.travel(datetime(2026, 11, 24, 14, 32, tzinfo=UTC), tick=False)
def test_times_are_utc_and_tell_the_year_when_it_is_another() -> None:
    helsinki = datetime(2026, 11, 26, 10, 0, tzinfo=timezone(timedelta(hours=2)))
    assert words.moment(helsinki) == "Thu 26 Nov, 08:00"
    assert words.moment("2025-01-02T03:04:05Z") == "Thu 2 Jan 2025, 03:04"
    assert (words.day(date(2026, 3, 1)), words.day(date(2027, 3, 1))) == ("1 Mar", "1 Mar 2027")
    assert words.clock("2026-11-24T09:05:00+00:00") == "09:05"
    assert words.iso(helsinki) == "2026-11-26T08:00:00Z"
    assert words.ago("2026-11-24T14:31:00Z") == 60
    assert (words.moment(None), words.iso(None), words.ago(None)) == ("–", "", None)


def test_an_address_keeps_its_other_parameters() -> None:
    with Flask("x").test_request_context("/sites?vo=a&vo=b&sort=name&cursor=x"):
        assert words.with_query(sort="-name", cursor=None) == "/sites?vo=a&vo=b&sort=-name"
        assert words.with_query(vo=None, sort=None, cursor=None) == "/sites"


@given(st.floats(1e-6, 1e15))
def test_the_axis_starts_at_zero_and_ends_above_the_highest_bar(peak: float) -> None:
    top, step = scale(peak)
    assert top >= peak * (1 - 1e-6)
    assert 1 <= round(top / step) <= 6
    assert math.isclose(top / step, round(top / step), rel_tol=1e-9)


def test_axis_labels_are_short() -> None:
    assert [short(v) for v in (0, 500, 30000, 1_500_000, 2e9)] == ["0", "500", "30k", "1.5M", "2G"]
    assert scale(0) == (1.0, 1.0)


@given(
    st.dictionaries(
        st.sampled_from("abcdefghij"), st.lists(st.floats(0, 1e6), min_size=3, max_size=3), min_size=1
    )
)
def test_folding_series_keeps_the_sum(series: dict[str, list[float]]) -> None:
    folded = fold_series(series)
    assert len(folded) <= 6
    assert math.isclose(
        sum(v or 0 for _, values in folded for v in values),
        sum(map(sum, series.values())),
        rel_tol=1e-9,
        abs_tol=1e-6,
    )
    assert (folded[-1][0] == OTHERS) == (len(series) > 6)


def test_blocks_stand_on_each_other_and_on_zero() -> None:
    chart = stacked(["Jan", "Feb"], {"a": [10, None], "b": [30, 20]}, unit="hours", partial_last=True)
    first = [block for block in chart.blocks if block.column == 0]
    assert first[0].y + first[0].height == pytest.approx(chart.foot)
    assert first[1].y + first[1].height == pytest.approx(first[0].y)
    assert first[1].height == pytest.approx(3 * first[0].height, rel=0.01)
    second = [block for block in chart.blocks if block.column == 1]
    assert [(block.series, block.partial) for block in second] == [(2, True)]
    assert chart.summary == "60 hours from Jan to Feb (a 10, b 50); most in Jan, 40. Feb has not ended."
    assert [entry.total for entry in chart.legend] == [10, 50]


def test_a_gap_in_a_line_stays_a_gap() -> None:
    chart = stacked(["1", "2", "3", "4"], {"a": [1, 1, 1, 1]}, unit="h", line=[1, None, 2, 3])
    assert chart.line.count("M") == 2
    assert chart.line.count("L") == 1


def test_ninety_days_end_today_and_worse_is_taller() -> None:
    last = date(2026, 11, 24)
    days = [
        {"day": last, "state": "down", "note": "2 h 14 min", "url": "/incidents/7"},
        {"day": "2026-11-23", "state": "degraded"},
        {"day": last - timedelta(days=2), "state": "ok"},
        {"day": last - timedelta(days=400), "state": "down"},
    ]
    bars = ninety_days(days, last=last)
    assert len(bars) == 90
    assert bars[0].day == date(2026, 8, 27)
    today, yesterday, before, earlier = bars[-1], bars[-2], bars[-3], bars[-4]
    assert today.height > yesterday.height > before.height > earlier.height
    assert (today.tip, today.anchor) == ("Tue 24 Nov 2026: down, 2 h 14 min", "/incidents/7")
    assert earlier.tip == "Sat 21 Nov 2026: no result"


def test_an_age_is_drawn_against_its_limit() -> None:
    assert age_scale(1800, 64800, 86400).level == "ok"
    assert age_scale(64800, 64800, 86400).level == "warn"
    late = age_scale(86400, 64800, 86400)
    assert (late.level, late.fill, late.limit, late.warn) == ("over", 80.0, 80, 60.0)
    assert age_scale(10**9, 64800, 86400).fill == 100


def test_what_reaches_over_midnight_is_cut() -> None:
    day = date(2026, 11, 24)
    start = datetime(2026, 11, 23, 20, tzinfo=UTC)
    assert day_scale(start, start + timedelta(hours=10), day) == (0, 25.0)
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert day_scale(noon, noon + timedelta(hours=6), day) == (50.0, 25.0)


def test_the_sum_of_a_column_stands_above_it_where_it_fits() -> None:
    chart = stacked(["Oct", "Nov"], {"a": [100, None], "b": [20, 0]}, unit="h", tops=True)
    assert [(top.label, top.x) for top in chart.tops] == [("120", 192.0)]
    assert chart.tops[0].y < min(block.y for block in chart.blocks)
    narrow = stacked([str(day) for day in range(200)], {"a": [123456.0] * 200}, unit="h", tops=True)
    assert narrow.tops == ()


def test_figures_that_do_not_add_up_are_lines_beside_each_other() -> None:
    chart = stacked(
        ["Oct", "Nov", "Dec"], {"a": [80, None, 90], "b": [40, 50, 60]}, unit="%", side_by_side=True
    )
    assert chart.blocks == ()
    assert [path.series for path in chart.paths] == [1, 2]
    assert chart.paths[0].d.count("M") == 2  # a gap stays a gap
    assert chart.y_ticks[-1].label == "100"  # of the largest, not of the sum
