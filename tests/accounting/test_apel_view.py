"""Months as APEL cuts them, worked by hand, beside the portal's own."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from accounting import archive
from accounting.apel_view import apel_jobs, apel_rows, began_anew
from accounting.formats import cloud_summary, job_summary
from accounting.formats.rows import CloudSummary
from hanse.errors import Refused
from tests.accounting.conftest import House
from tests.accounting.other_records import MONTH, job, job_summaries, jobs, normalised
from tests.accounting.records import DAY, epoch, message, months_ago, record

FIRST, LAST = date(2000, 1, 1), date(2100, 12, 1)


def report(months: int, day: int, wall: int, vm: str = "one-1", **changes: Any) -> dict[str, Any]:
    """A report at noon of a day, so many months ago, of a machine of 4 cores that began five months ago."""
    at = epoch(months_ago(months, day))
    fields = {
        "RecordCreateTime": at, "StartTime": epoch(months_ago(5, 1)), "WallDuration": wall, "CpuDuration": 4 * wall,
    }  # fmt: skip
    return record(vm=vm, **fields | changes)


def rows(house: House, site: str = "BIFI", first: date = FIRST, last: date = LAST) -> list[CloudSummary]:
    with house.db.transaction() as session:
        return list(apel_rows(session, site, first, last))


def walls(house: House) -> dict[str, int]:
    """Wall seconds by month, over all groups."""
    sums: dict[str, int] = {}
    for row in rows(house):
        name = f"{row.month // 12}-{row.month % 12 + 1:02}"
        sums[name] = sums.get(name, 0) + row.wall_s
    return sums


def name(months: int) -> str:
    return f"{months_ago(months):%Y-%m}"


def test_usage_after_the_last_report_of_a_month_counts_in_the_next(house: House) -> None:
    house.load(message(report(3, 10, 5 * DAY), report(3, 20, 15 * DAY), report(2, 10, 35 * DAY)))
    assert walls(house) == {name(3): 15 * DAY, name(2): 20 * DAY}
    assert house.months()[name(3)][0] != 15 * DAY  # the portal cuts at the month's end


def test_silent_months_count_in_the_next_that_is_reported(house: House) -> None:
    house.load(message(report(4, 20, 10 * DAY), report(1, 10, 90 * DAY)))
    assert walls(house) == {name(4): 10 * DAY, name(1): 80 * DAY}


def test_a_counter_that_began_anew_makes_a_negative_month_and_says_so(house: House) -> None:
    house.load(message(report(2, 20, 30 * DAY), report(1, 20, 4 * DAY)))
    assert walls(house) == {name(2): 30 * DAY, name(1): -26 * DAY}
    assert [began_anew(row) for row in rows(house)] == [False, True]
    assert all(wall >= 0 for wall, _, _ in house.months().values())


def test_reports_in_any_order_give_the_same_view(house: House) -> None:
    house.load(message(report(2, 10, 35 * DAY)))
    house.load(message(report(3, 20, 15 * DAY)))
    house.load(message(report(3, 10, 5 * DAY)))
    assert walls(house) == {name(3): 15 * DAY, name(2): 20 * DAY}


def test_a_resize_makes_a_new_group_with_the_right_differences(house: House) -> None:
    house.load(message(report(2, 20, 10 * DAY), report(1, 20, 40 * DAY, CpuCount=8, CpuDuration=200 * DAY)))
    assert [(int(row.cpu_count), row.wall_s, row.cpu_s) for row in rows(house)] == [
        (4, 10 * DAY, 40 * DAY), (8, 30 * DAY, 160 * DAY),
    ]  # fmt: skip


def test_machines_of_one_group_are_added_and_counted(house: House) -> None:
    given = [
        report(1, 20, DAY, vm=f"one-{n}", StartTime=epoch(months_ago(1, 1)) + n, Memory=1024)
        for n in range(3)
    ]
    house.load(message(*given, report(1, 20, DAY, vm="other", FQAN="chipster")))
    found = {row.vo: row for row in rows(house)}
    assert (found["training.egi.eu"].vms, found["chipster"].vms) == (3, 1)
    many = found["training.egi.eu"]
    assert (many.wall_s, many.memory_mb, many.disk_gb) == (3 * DAY, 3 * 1024, 240)
    assert (many.latest_start or 0) - (many.earliest_start or 0) == 2


def test_a_machine_that_completes_in_its_month_stands_once_with_its_last_status(house: House) -> None:
    """APEL keeps the group of the earlier status too and counts the machine twice."""
    ended = epoch(months_ago(1, 20))
    house.load(message(report(1, 10, DAY)))
    assert [row.status for row in rows(house)] == ["started"]
    house.load(message(report(1, 20, 2 * DAY, Status="completed", EndTime=ended)))
    assert [(row.status, row.wall_s, row.vms) for row in rows(house)] == [("completed", 2 * DAY, 1)]


def test_counters_that_are_not_stated_add_nothing(house: House) -> None:
    house.load(message(report(2, 20, DAY), report(1, 20, DAY, WallDuration=None, NetworkInbound=7)))
    assert walls(house) == {name(2): DAY, name(1): 0}
    assert [row.network_in for row in rows(house)] == [None, 7]


def test_a_window_of_months_takes_the_report_before_it_into_account(house: House) -> None:
    house.load(message(report(3, 20, 15 * DAY), report(2, 10, 35 * DAY), report(1, 10, 60 * DAY)))
    month = months_ago(2).date().replace(day=1)
    assert [row.wall_s for row in rows(house, first=month, last=month)] == [20 * DAY]
    assert rows(house, site="CESNET") == []


def test_the_sum_over_all_months_is_the_last_counter(house: House) -> None:
    house.load(message(*[report(n, 15, (5 - n) * 20 * DAY) for n in (4, 3, 1, 0)]))
    assert sum(walls(house).values()) == 100 * DAY
    assert sum(wall for wall, _, _ in house.months().values()) == 100 * DAY


def test_archived_months_are_refused_and_the_first_open_one_counts_against_what_stayed(
    house: House, tmp_path: Path
) -> None:
    house.load(message(*[report(n, 15, (5 - n) * 20 * DAY) for n in (4, 3, 1)]))
    archive.archive(house.db, tmp_path, months_ago(2).date().replace(day=1), "a test")
    for months in (
        4,
        3,
    ):  # of the last old month its own report stayed, and not the one that it is counted against
        with pytest.raises(Refused, match="hanse accounting restore"):
            rows(house, first=months_ago(months).date().replace(day=1))
    assert [row.wall_s for row in rows(house, first=months_ago(2).date().replace(day=1))] == [40 * DAY]
    archive.restore(house.db, tmp_path, FIRST, "a test")
    assert sum(walls(house).values()) == 80 * DAY


def test_written_summaries_come_back_as_they_were(house: House) -> None:
    """What is sent upwards gives the same sums at another accounting."""
    house.load(
        message(report(2, 20, 10 * DAY), report(1, 20, 30 * DAY), report(1, 20, DAY, vm="b", FQAN="chipster"))
    )
    sent = rows(house)
    outcome = house.load(cloud_summary.write("CESNET", sent))
    assert (outcome.state, outcome.loaded, outcome.refused) == ("loaded", len(sent), 0)
    assert house.months(site="CESNET") == {
        month: (wall, 4 * wall, vms) for month, wall, vms in ((name(2), 10 * DAY, 1), (name(1), 21 * DAY, 2))
    }


def test_jobs_go_upwards_as_summaries_plain_or_as_the_site_normalised_them(house: House) -> None:
    house.load(jobs(job(), job(job_id="b")))
    house.load(job_summaries(normalised("CESNET"), version="v0.3"))
    with house.db.transaction() as session:
        (plain,) = apel_jobs(session, "BIFI", FIRST, LAST)
        (ready,) = apel_jobs(session, "CESNET", FIRST, LAST)
    assert (plain.jobs, plain.wall_s, plain.service_level_type, plain.norm_wall_s) == (
        2,
        7200,
        "hepspec",
        None,
    )
    assert (ready.normalised, ready.norm_wall_s, ready.latest_end) == (True, 7560000, epoch(MONTH) + 3600)
    assert house.load(job_summary.write("UKIM", [plain])).loaded == 1
    assert house.load(job_summary.write_normalised("UKIM", [ready])).loaded == 1
