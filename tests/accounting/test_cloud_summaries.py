"""Cloud usage told in summaries: counted where no machine is reported, beside the machines otherwise."""

from __future__ import annotations

from sqlalchemy import select

from accounting.models import Overlap, SitePublishing, UsageSummary
from tests.accounting.conftest import House
from tests.accounting.other_records import MONTH, cloud_summaries, cloud_summary, sample
from tests.accounting.records import DAY, epoch, message, months_ago, record

NAME = f"{MONTH:%Y-%m}"


def machine(site: str = "BIFI") -> str:
    at = epoch(MONTH)
    return message(
        record(site, RecordCreateTime=at, StartTime=at - 3600, WallDuration=3600, CpuDuration=14400)
    )


def beside(house: House) -> list[tuple[str, str, str, int, int]]:
    with house.db.transaction() as session:
        return [
            (row.kind, row.origin, row.counted, row.records, row.cpu_s)
            for row in session.scalars(select(Overlap))
        ]


def test_a_summary_counts_with_all_its_measures(house: House) -> None:
    outcome = house.load(cloud_summaries(cloud_summary(), cloud_summary(VO="chipster", NetworkInbound=None)))
    assert (outcome.loaded, outcome.refused) == (2, 0)
    with house.db.transaction() as session:
        rows = {row.vo: row for row in session.scalars(select(UsageSummary))}
    row = rows["training.egi.eu"]
    assert (row.wall_s, row.cpu_s, row.wall_core_s, row.vms, row.network_in, row.memory_mb, row.disk_gb) == (
        7200, 28800, 28800, 2, 120, 16384, 160,
    )  # fmt: skip
    assert rows["chipster"].network_in == 0
    assert house.months() == {NAME: (14400, 57600, 4)}


def test_the_same_summary_sent_again_replaces_the_first(house: House) -> None:
    house.load(cloud_summaries(cloud_summary()))
    house.load(cloud_summaries(cloud_summary(WallDuration=3600, NumberOfVMs=1)))
    assert house.months() == {NAME: (3600, 28800, 1)}


def test_machines_take_the_place_of_summaries_in_either_order(house: House) -> None:
    house.load(cloud_summaries(cloud_summary(), cloud_summary("CESNET")))
    house.load(machine())
    assert house.months(site="BIFI") == {NAME: (3600, 14400, 1)}
    assert house.months(site="CESNET") == {NAME: (7200, 28800, 2)}
    assert beside(house) == [("cloud", "summaries", "records", 2, 28800)]
    house.load(cloud_summaries(cloud_summary(NumberOfVMs=3)))
    assert house.months(site="BIFI") == {NAME: (3600, 14400, 1)}
    assert beside(house) == [("cloud", "summaries", "records", 3, 28800)]
    assert house.remarks()["told_twice"] == 1
    assert "only those count" in house.remark_reasons()["told_twice"]


def test_another_month_of_the_site_is_not_touched(house: House) -> None:
    house.load(cloud_summaries(cloud_summary()))
    house.load(message(record()))
    assert house.months()[NAME] == (7200, 28800, 2)
    assert sum(wall for wall, _, _ in house.months().values()) == 7200 + DAY


def test_the_sample_loads(house: House) -> None:
    house.site("ALFA-CLOUD")
    assert house.load(sample("cloud-summary-v0.4.msg")).loaded == 1
    assert house.months() == {"2026-10": (7200000, 28800000, 2)}


def test_absurd_sums_do_not_stop_the_summariser(house: House) -> None:
    """Each record within its limits, all together beyond 64 bits: the figures end there, and other sites' go on."""
    most = {"WallDuration": 10**14, "CpuDuration": 10**14, "Benchmark": 9999999, "CpuCount": 9999999}
    house.load(
        cloud_summaries(*[cloud_summary(VO=f"vo{n}", **most) for n in range(3)], cloud_summary("CESNET"))
    )
    assert house.months(site="BIFI")[NAME][0] == 3 * 10**14
    assert house.months(site="CESNET")[NAME][0] == 7200


def test_a_summary_tells_of_its_month_whenever_its_machines_started(house: House) -> None:
    long_ago = epoch(months_ago(9))
    house.load(cloud_summaries(cloud_summary(EarliestStartTime=long_ago, LatestStartTime=long_ago)))
    with house.db.transaction() as session:
        until = session.scalars(select(SitePublishing.measured_until)).one()
    assert f"{until:%Y-%m}" == NAME
