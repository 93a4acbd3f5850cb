"""From a message to counted records: each row of the failure table that the tables decide."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from accounting.archive.kept import ARCHIVING
from tests.accounting.conftest import House
from tests.accounting.programs import wait_until
from tests.accounting.records import DAY, NOW, epoch, message, months_ago, record


def snapshot(
    vm: str = "one-1", *, wall: int, at: int, start: int, cores: int = 4, **changes: object
) -> dict[str, object]:
    fields = {
        "RecordCreateTime": at,
        "StartTime": start,
        "WallDuration": wall,
        "CpuDuration": wall * cores,
        "CpuCount": cores,
    }
    return record(vm=vm, **fields | changes)


OCTOBER = months_ago(1, day=20)
NOVEMBER = months_ago(0, day=1)
START = epoch(months_ago(1, day=10))


def test_the_files_of_apels_own_samples_would_count(house: House) -> None:
    """Two months of one machine: what lies after the first report is cut at the month end."""
    house.site("ALFA-CLOUD")
    first, second = epoch("2026-10-21"), epoch("2026-11-10")
    start = epoch("2026-10-01")
    text = message(
        snapshot(wall=first - start, at=first, start=start, SiteName="ALFA-CLOUD"),
        snapshot(wall=second - start, at=second, start=start, SiteName="ALFA-CLOUD"),
    )
    outcome = house.load(text)
    assert (outcome.state, outcome.loaded, outcome.refused) == ("loaded", 2, 0)
    wall_october, wall_november = 31 * DAY, 9 * DAY
    assert house.months() == {
        "2026-10": (wall_october, 4 * wall_october, 1),
        "2026-11": (wall_november, 4 * wall_november, 1),
    }


def test_one_bad_record_of_ten_does_not_take_the_nine_along(house: House) -> None:
    outcome = house.load(message(*[record(vm=f"vm-{n}", CpuCount=-1 if n == 6 else 4) for n in range(10)]))
    assert (outcome.records, outcome.loaded, outcome.refused) == (10, 9, 1)
    (bad,) = house.refused()
    assert (bad.record, bad.site, bad.field, bad.code, bad.subject) == (
        7,
        "BIFI",
        "CpuCount",
        "bad_value",
        "vm-6",
    )
    assert bad.raw.startswith("RecordCreateTime:")
    assert sum(vms for _, _, vms in house.months().values()) >= 9


def test_the_same_message_twice_counts_once(house: House) -> None:
    text = message(record(vm="a"), record(vm="b"))
    house.load(text)
    before = house.months()
    house.load(text, source="load")
    assert house.months() == before


def test_an_older_report_after_a_newer_one_changes_nothing_it_should_not(house: House) -> None:
    """APEL: older overwrites newer. Here: ordered by measurement time, not by arrival."""
    newer = snapshot(wall=20 * 3600, at=START + 20 * 3600, start=START)
    older = snapshot(wall=5 * 3600, at=START + 5 * 3600, start=START)
    house.load(message(newer))
    total = sum(wall for wall, _, _ in house.months().values())
    house.load(message(older))
    assert sum(wall for wall, _, _ in house.months().values()) == total == 20 * 3600


def test_a_late_report_moves_usage_between_exactly_its_months(house: House) -> None:
    start = epoch(months_ago(2, day=1))
    end = epoch(months_ago(0, day=1))
    house.load(message(snapshot(wall=1000, at=end, start=start)))
    assert sorted(house.months()) == [f"{months_ago(n):%Y-%m}" for n in (2, 1, 0)]
    house.load(message(snapshot(wall=1000, at=start + 2 * DAY, start=start)))
    first = f"{months_ago(2):%Y-%m}"
    assert house.months()[first][0] == 1000
    assert sum(wall for wall, _, _ in house.months().values()) == 1000


def versions(house: House) -> dict[str, set[str]]:
    """By month the versions of all rows of its summaries: they change when a row is written anew."""
    with house.db.transaction() as session:
        rows = session.execute(text("select to_char(month, 'YYYY-MM'), xmin::text from usage_summary")).all()
    found: dict[str, set[str]] = {}
    for month, version in rows:
        found.setdefault(month, set()).add(version)
    return found


def test_late_and_corrected_reports_change_exactly_the_months_they_concern(house: House) -> None:
    start = epoch(months_ago(6, day=1))
    reports = [
        snapshot(wall=epoch(months_ago(n)) - start - 99, at=epoch(months_ago(n)), start=start)
        for n in range(5, -1, -1)
    ]
    house.load(message(*reports, snapshot("another", wall=50, at=START + 60, start=START)))
    names = [f"{months_ago(n):%Y-%m}" for n in range(7)]
    before, figures = versions(house), house.months()
    corrected = snapshot(wall=epoch(months_ago(3)) - start - 5000, at=epoch(months_ago(3)), start=start)
    house.load(message(corrected))
    changed = {month for month, version in versions(house).items() if version != before[month]}
    # from the report before it (four months ago) to the one behind it
    assert changed == {names[4], names[3], names[2]}
    late = snapshot(
        wall=epoch(months_ago(1, day=20)) - start - 4000, at=epoch(months_ago(1, day=20)), start=start
    )
    before = versions(house)
    house.load(message(late))
    changed = {month for month, version in versions(house).items() if version != before[month]}
    assert changed == {names[1], names[0]}
    assert sum(wall for wall, _, _ in house.months().values()) == sum(wall for wall, _, _ in figures.values())


def test_the_same_message_again_writes_no_summary(house: House) -> None:
    text_ = message(record(vm="a"), record(vm="b", Status="completed"))
    house.load(text_)
    before = versions(house)
    house.load(text_)
    assert versions(house) == before


def test_a_counter_reset_counts_from_zero_with_a_remark(house: House) -> None:
    house.load(message(snapshot(wall=7 * 3600, at=START + 8 * 3600, start=START)))
    house.load(message(snapshot(wall=2 * 3600, at=START + 12 * 3600, start=START)))
    assert sum(wall for wall, _, _ in house.months().values()) == 9 * 3600
    assert house.remarks()["reset"] == 1


def test_a_resize_in_mid_life_counts_right(house: House) -> None:
    house.load(message(snapshot(wall=10 * 3600, at=START + 10 * 3600, start=START, cores=4)))
    house.load(message(snapshot(wall=11 * 3600, at=START + 11 * 3600, start=START, cores=2)))
    assert sum(cpu for _, cpu, _ in house.months().values()) == 42 * 3600
    assert house.remarks() == {"resize": 1}


def test_the_same_machine_id_at_another_site_is_another_machine(house: House) -> None:
    house.load(message(record("BIFI", "twin"), record("CESNET", "twin")))
    assert house.months(site="BIFI") == house.months(site="CESNET")
    house.load(message(record("CESNET", "twin", WallDuration=2 * DAY, CpuDuration=DAY)))
    assert sum(wall for wall, _, _ in house.months(site="BIFI").values()) == DAY


def test_of_equal_measurement_times_the_later_receipt_counts(house: House) -> None:
    house.load(message(snapshot(wall=3600, at=START + 7200, start=START)))
    house.load(message(snapshot(wall=1800, at=START + 7200, start=START)))
    assert [wall for wall, _, _ in house.months().values()] == [1800]


def test_a_file_that_is_loaded_again_is_the_later_receipt(house: House) -> None:
    first = message(snapshot(wall=3600, at=START + 7200, start=START))
    second = message(snapshot(wall=1800, at=START + 7200, start=START))
    from accounting import files

    for body in (first, second, first):
        path = house.settings.data_dir / "m.msg"
        path.write_text(body)
        files.load(house.loader, house.inbox, path)
    assert [wall for wall, _, _ in house.months().values()] == [3600]


def test_within_a_message_the_later_record_of_one_machine_and_time_counts(house: House) -> None:
    house.load(
        message(
            snapshot(wall=3600, at=START + 7200, start=START),
            snapshot(wall=1800, at=START + 7200, start=START),
        )
    )
    assert [wall for wall, _, _ in house.months().values()] == [1800]


def test_an_unknown_site_is_quarantined_with_its_line(house: House) -> None:
    outcome = house.load(message(record("ATLANTIS"), record("BIFI", "b")))
    assert (outcome.loaded, outcome.refused) == (1, 1)
    (bad,) = house.refused()
    assert (bad.code, bad.field, bad.line, bad.site_name) == ("unknown_site", "SiteName", 4, "ATLANTIS")
    assert '"ATLANTIS" is not a site of the registry' in bad.reason


def test_a_site_may_use_the_names_that_the_registry_gives_it(house: House) -> None:
    house.site("BIFI", usage_site_names=["BIFI", "BIFI-CLOUD"])
    house.load(message(record("BIFI-CLOUD")))
    assert sum(vms for _, _, vms in house.months(site="BIFI").values()) >= 1


def test_bytes_that_are_not_utf8_refuse_the_message_and_name_the_byte(house: House) -> None:
    bad = message(record(MachineName="caf\xe9")).encode("latin-1")
    outcome = house.load(bad)
    assert (outcome.state, outcome.loaded) == ("refused", 0)
    assert "0xe9, which is not UTF-8" in outcome.reason
    assert "line 6" in outcome.reason
    assert house.load(message(record())).loaded == 1  # the one behind it is loaded


@pytest.mark.parametrize("body", ["", "   \n"])
def test_an_empty_body_is_refused_and_the_next_message_is_loaded(house: House, body: str) -> None:
    outcome = house.load(body)
    assert outcome.state == "refused"
    assert "empty" in outcome.reason
    assert house.load(message(record())).loaded == 1


def test_a_header_alone_is_loaded_with_a_remark(house: House) -> None:
    outcome = house.load("APEL-cloud-message: v0.4\n")
    assert (outcome.state, outcome.records) == ("loaded", 0)
    assert house.remarks() == {"no_records": 1}


def test_a_wrong_header_refuses_the_message(house: House) -> None:
    outcome = house.load("APEL-cabbage-message: v0.1\nSite: X\n")
    assert outcome.state == "refused"
    assert house.refused()[0].code == "unknown_format"


def test_a_machine_counts_once_a_month_although_its_status_and_vo_change(house: House) -> None:
    """APEL: a machine that goes from started to completed counts twice."""
    house.load(
        message(
            snapshot(wall=3600, at=START + 3600, start=START, FQAN="chipster"),
            snapshot(wall=7200, at=START + 7200, start=START, Status="completed", EndTime=START + 7200),
        )
    )
    month = f"{months_ago(1):%Y-%m}"
    assert house.months() == {month: (7200, 4 * 7200, 1)}
    assert house.months(vo="chipster") == {month: (3600, 4 * 3600, 0)}
    assert house.months(vo="training.egi.eu") == {month: (3600, 4 * 3600, 1)}


def test_records_without_counters_in_between_lose_nothing(house: House) -> None:
    house.load(message(snapshot(wall=3600, at=START + 3600, start=START)))
    house.load(message(snapshot(wall=0, at=START + 7200, start=START, WallDuration=None, CpuDuration=None)))
    house.load(message(snapshot(wall=9000, at=START + 10800, start=START)))
    assert [wall for wall, _, _ in house.months().values()] == [9000]
    house.load(message(snapshot(wall=5000, at=START + 5400, start=START)))  # late, before the one without
    assert [wall for wall, _, _ in house.months().values()] == [9000]


def test_a_message_of_20000_records_is_loaded(house: House) -> None:
    records = [record(vm=f"vm-{n}") for n in range(20_000)]
    outcome = house.load(message(*records))
    assert outcome.loaded == 20_000
    assert max(vms for _, _, vms in house.months().values()) == 20_000


def test_remarks_are_gathered_by_message_and_field(house: House) -> None:
    house.load(message(*[record(vm=f"vm-{n}", Foo=n, CpuDuration=5 * DAY) for n in range(5)]))
    assert house.remarks() == {"unknown_field": 5, "cpu_beyond_wall": 5}
    assert house.message(house.numbers[-1]).remarked == 5


def test_a_name_that_no_index_could_hold_is_kept(house: House) -> None:
    """Four names of 255 characters of four bytes are longer than a b-tree entry may be."""
    wide = "🚀" * 255
    fields = {"CloudComputeService": wide, "GlobalUserName": wide, "FQAN": "🚀" * 200, "MachineName": wide}
    outcome = house.load(message(record(**fields)))
    assert outcome.loaded == 1
    assert house.months()


def test_a_nul_in_a_refused_record_is_shown_not_stumbled_over(house: House) -> None:
    outcome = house.load(message(record(MachineName="a\x00b", SiteName="B\x00")))
    assert outcome.refused == 1
    assert "\ufffd" in house.refused()[0].raw


def test_nothing_is_negative_or_lost_when_the_sender_goes_back_in_time(house: House) -> None:
    house.load(message(snapshot(wall=3600, at=START + 9000, start=START)))
    house.load(message(snapshot(wall=4000, at=START + 8000, start=START)))  # earlier, and more
    assert sum(wall for wall, _, _ in house.months().values()) == 4000 + 3600
    assert house.remarks()["reset"] == 1
    assert epoch(NOW) > START


WAITING_FOR_ARCHIVING = text(
    "select exists (select from pg_locks where locktype = 'advisory' and not granted"
    " and database = (select oid from pg_database where datname = current_database()))"
)


def test_a_loader_that_waits_for_archiving_holds_no_message(house: House) -> None:
    """Else who archives, or replaces a name, could wait for the message while the loader waits for the archive."""
    number = house.receive(message(record()), source="load")
    loader = threading.Thread(target=house.loader.load_batch)
    with house.db.transaction() as session:
        session.execute(ARCHIVING)
        loader.start()
        wait_until(lambda: session.scalar(WAITING_FOR_ARCHIVING))
        session.execute(text("select from message where id = :id for update nowait"), {"id": number})
    loader.join()
    assert house.message(number).state == "loaded"


@pytest.mark.parametrize("sqlstate", ["40P01", "40001"])
def test_a_transaction_that_gave_way_to_another_blames_no_message(house: House, sqlstate: str) -> None:
    number = house.receive(message(record()), source="load")
    with house.db.transaction() as session:
        session.execute(
            text(
                f"""
                create sequence tries;
                create function gave_way() returns trigger language plpgsql as $$ begin
                  if nextval('tries') = 1 then raise exception 'gave way' using errcode = '{sqlstate}'; end if;
                  return null; end $$;
                create trigger gave_way before insert on vm_snapshot for each statement execute function gave_way();
                """
            )
        )
    with pytest.raises(DBAPIError):
        house.loader.load_batch()
    waits = house.message(number)
    assert (waits.state, waits.attempts, waits.retry_at) == ("waiting", 0, None)
    (outcome,) = house.loader.load_batch()
    assert outcome.loaded == 1
