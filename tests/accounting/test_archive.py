"""The archive: old records and messages go into files and come back the same, and no figure changes by it."""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from accounting import archive, replay, summaries
from accounting.archive import files, keeping
from accounting.jobs import jobs as made_jobs
from accounting.models import ArchivePart, Uncounted
from hanse.database import Database, is_connection_loss
from hanse.errors import NotFound, Refused
from tests.accounting.conftest import House
from tests.accounting.other_records import (
    accelerator,
    accelerators,
    address,
    addresses,
    job,
    jobs,
    storage,
    volume,
)
from tests.accounting.programs import end_backend_of, wait_until
from tests.accounting.records import DAY, NOW, epoch, message, months_ago, record

BEFORE = months_ago(2).date().replace(day=1)
TABLES = ("vm_snapshot", "message", "vm_month", "usage_summary", "usage_day", "usage_month")


def everything(house: House) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables that an archive may touch, whole and in order."""
    found = {}
    with house.db.transaction() as session:
        for table in TABLES:
            rows = session.execute(text(f"select t::text from {table} t order by 1")).all()
            found[table] = [tuple(row) for row in rows]
    return found


def totals(house: House) -> list[tuple[Any, ...]]:
    with house.db.transaction() as session:
        return [
            tuple(row)
            for row in session.execute(text("select u::text from usage_summary u order by 1")).all()
        ]


def report(vm: str, start: datetime, hours: int, **changes: Any) -> dict[str, Any]:
    """A machine of 2 cores that has run so many hours."""
    begun = epoch(start)
    fields = {"RecordCreateTime": begun + hours * 3600, "StartTime": begun, "WallDuration": hours * 3600}
    return record("BIFI", vm, **fields, CpuDuration=hours * 7200, CpuCount=2, **changes)


@pytest.fixture
def old(house: House) -> House:
    """A machine that ended five months ago, one that runs since then, and one of this month."""
    start = months_ago(5, day=3)
    ended = report("ended", start, 100, Status="completed", EndTime=epoch(start) + 100 * 3600)
    house.load(message(report("ended", start, 40), ended))
    for month in range(5, -1, -1):
        hours = int((months_ago(month, day=1 if not month else 4) - start).total_seconds() // 3600)
        house.load(message(report("long", start, hours)))
    _age_messages(house)
    house.load(message(record("BIFI", "new")))
    return house


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def machines(house: House) -> list[str]:
    with house.db.transaction() as session:
        named = "select vmuuid || ' ' || to_char(measured_at, 'YYYY-MM') from vm_snapshot order by 1"
        return list(session.scalars(text(named)))


def test_what_is_archived_and_restored_is_the_same_to_the_last_bit(old: House, folder: Path) -> None:
    before = everything(old)
    done = archive.archive(old.db, folder, BEFORE, "a test")
    assert {each.kept for each in done} == {"vm_snapshot", "message"}
    during = everything(old)
    assert during["vm_snapshot"] != before["vm_snapshot"]
    assert during["usage_summary"] == before["usage_summary"]
    assert during["usage_month"] == before["usage_month"]
    archive.restore(old.db, folder, date(2000, 1, 1), "a test")
    assert everything(old) == before


def test_only_what_figures_to_come_can_do_without_goes(old: House, folder: Path) -> None:
    archive.archive(old.db, folder, BEFORE, "a test")
    left = machines(old)
    assert not [each for each in left if each.startswith("ended")]
    long = [each for each in left if each.startswith("long")]
    assert long == [f"long {months_ago(month):%Y-%m}" for month in (3, 2, 1, 0)], (
        "the last old month of it stays"
    )


def test_later_reports_of_a_machine_whose_past_is_archived_count_as_without_an_archive(
    old: House, folder: Path
) -> None:
    archive.archive(old.db, folder, BEFORE, "a test")
    start = months_ago(5, day=3)
    hours = int((datetime.now(UTC) - start).total_seconds() // 3600) - 1
    old.load(message(report("long", start, hours)))
    late = int((months_ago(1, day=20) - start).total_seconds() // 3600)
    old.load(message(report("long", start, late)))
    used = {month: wall for site, vm, month, wall, _ in old.vm_months() if vm == "long"}
    assert sum(used.values()) == hours * 3600
    assert used[f"{months_ago(4):%Y-%m}"] == _length(months_ago(4)) * DAY


def _length(month: datetime) -> int:
    first = month.date().replace(day=1)
    return (archive_month_after(first) - first).days


def archive_month_after(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def test_a_record_of_an_archived_month_is_refused_and_counts_after_restoring(
    old: House, folder: Path
) -> None:
    archive.archive(old.db, folder, BEFORE, "a test")
    before = totals(old)
    start = months_ago(5, day=3)
    late = report("forgotten", months_ago(4, day=5), 10, Status="completed")
    outcome = old.load(message(late, report("ended", start, 200), record("BIFI", "fine")))
    assert (outcome.loaded, outcome.refused) == (1, 2)
    assert {bad.code for bad in old.refused()} == {"month_archived"}
    assert "hanse accounting restore" in old.refused()[0].reason
    assert len(totals(old)) == len(before)
    archive.restore(old.db, folder, months_ago(5).date().replace(day=1), "a test")
    done = replay.replay(old.loader, "BIFI", [bad.id for bad in old.refused()], as_site=None, by="a test")
    assert (done.counted, done.refused) == (2, 0)
    used = Counter[str]()
    for _, vm, _, wall, _ in old.vm_months():
        used[vm] += wall
    assert (used["forgotten"], used["ended"]) == (10 * 3600, 200 * 3600)


def test_a_machine_that_ended_and_speaks_again_is_never_counted_from_zero(old: House, folder: Path) -> None:
    archive.archive(old.db, folder, BEFORE, "a test")
    old.load(message(record("BIFI", "ended")))
    (bad,) = old.refused()
    assert (bad.code, bad.subject) == ("month_archived", "ended")
    assert sum(wall for _, vm, _, wall, _ in old.vm_months() if vm == "ended") == 100 * 3600


def test_an_archived_message_is_not_sent_twice_and_not_replayed_from_nothing(
    house: House, folder: Path, cast: Any
) -> None:
    start = months_ago(5, day=3)
    house.signed(message(report("ended", start, 100, Status="completed")), cast.host("BIFI"), empaid="a/1")
    number = house.numbers[-1]
    body = house.message(number).body
    _age_messages(house)
    archive.archive(house.db, folder, BEFORE, "a test")
    assert house.message(number).body == b""
    assert house.receive(body, empaid="a/1") == number
    with pytest.raises(Refused, match="lies in the archive"):
        house.loader.load(number)
    archive.restore(house.db, folder, date(2000, 1, 1), "a test")
    assert house.message(number).body == body
    _age_messages(house, -5)  # the certificate of the tests did not hold then
    house.loader.load(number)
    assert house.message(number).state == "loaded"


def _age_messages(house: House, months: int = 5) -> None:
    with house.db.transaction() as session:
        aged = text("update message set received_at = received_at - make_interval(months => :months)")
        session.execute(aged, {"months": months})


def test_messages_with_records_that_are_refused_still_stay(house: House, folder: Path, cast: Any) -> None:
    host = cast.host("BIFI")
    house.signed(message(record("NOBODYS", "x")), host, site="BIFI")
    house.signed(message(record("BIFI", "y")), host, site="BIFI")
    _age_messages(house)
    archive.archive(house.db, folder, BEFORE, "a test")
    assert [bool(house.message(number).body) for number in house.numbers] == [True, False]


def test_loading_an_archived_file_again_brings_its_text_back(house: House, folder: Path) -> None:
    from accounting import inbox

    house.load(message(record("BIFI", "y")))
    number = house.numbers[-1]
    body = house.message(number).body
    _age_messages(house)
    archive.archive(house.db, folder, BEFORE, "a test")
    with house.db.transaction() as session:
        assert inbox.send_again(session, body) == number
    house.loader.load(number)
    assert (house.message(number).body, house.message(number).state) == (body, "loaded")


RAW = ("job_record", "storage_record", "accelerator_record", "ip_snapshot")
SUMS = ("job_summary", "storage_summary", "accelerator_summary", "ip_summary")


def rows_of(house: House, tables: Sequence[str]) -> dict[str, list[str]]:
    with house.db.transaction() as session:
        return {
            table: list(session.scalars(text(f"select t::text from {table} t order by 1")))
            for table in tables
        }


def test_jobs_storage_accelerators_and_addresses_go_and_come_back_the_same(
    house: House, folder: Path
) -> None:
    then = months_ago(5)
    ended = {"StartTime": epoch(then) - 3600, "EndTime": epoch(then)}
    house.load(jobs(job(**ended), job(job_id="new")))
    house.load(storage([volume(then, then + timedelta(days=2), 2**40)]))
    house.load(accelerators(accelerator(month=then), accelerator(month=months_ago(0))))
    house.load(addresses(address(at=then)))
    assert house.refused() == []
    before, sums = rows_of(house, RAW), rows_of(house, SUMS)
    done = archive.archive(house.db, folder, BEFORE, "a test")
    assert {each.kept for each in done} == set(RAW)
    assert [len(rows) for rows in rows_of(house, RAW).values()] == [1, 0, 1, 0]
    assert rows_of(house, SUMS) == sums
    outcome = house.load(jobs(job(job_id="late", **ended), job(job_id="newer")))
    assert (outcome.loaded, outcome.refused, house.refused()[0].code) == (1, 1, "month_archived")
    archive.restore(house.db, folder, date(2000, 1, 1), "a test")
    after = rows_of(house, RAW)
    assert {table: rows for table, rows in after.items() if table != "job_record"} == {
        table: rows for table, rows in before.items() if table != "job_record"
    }
    assert set(before["job_record"]) < set(after["job_record"])
    done_ = replay.replay(house.loader, "BIFI", [house.refused()[0].id], as_site=None, by="a test")
    assert done_.counted == 1


def test_storage_that_reaches_into_an_archived_month_is_told_and_summed_there_once_it_is_restored(
    house: House, folder: Path
) -> None:
    then = months_ago(3)
    house.load(storage([volume(then, then + timedelta(days=2), 2**40)]))
    archive.archive(house.db, folder, BEFORE, "a test")
    before = rows_of(house, ("storage_summary",))
    house.load(storage([volume(months_ago(4), NOW, 2**40, record="long")]))
    assert house.refused() == []
    assert house.remarks() == {"reaches_into_archive": 1}
    assert set(before["storage_summary"]) < set(rows_of(house, ("storage_summary",))["storage_summary"])
    assert storage_by_month(house).keys() & {months_ago(4).date().replace(day=1)} == set()
    told = next(job for job in made_jobs(house.settings, house.db) if job.name == "summarise").run()
    assert told is not None
    assert f"restore {months_ago(4):%Y-%m}" in told
    with house.db.transaction() as session:
        assert not summaries.is_due(session), "a worker does not turn round and round"
    archive.restore(house.db, folder, date(2000, 1, 1), "a test")
    summaries.summarise(house.db)
    assert sum(storage_by_month(house).values()) == 2**40 * (2 * DAY + epoch(NOW) - epoch(months_ago(4)))


def storage_by_month(house: House) -> dict[date, int]:
    with house.db.transaction() as session:
        sums = "select month, sum(byte_s) from storage_summary group by 1"
        return {month: int(byte_s) for month, byte_s in session.execute(text(sums))}


def test_summaries_of_an_archived_month_are_not_made_anew_from_what_is_left(
    house: House, folder: Path
) -> None:
    then = months_ago(5)
    house.load(jobs(job(StartTime=epoch(then) - 3600, EndTime=epoch(then))))
    sums = rows_of(house, SUMS)
    archive.archive(house.db, folder, BEFORE, "a test")
    with house.db.transaction() as session:
        summaries.mark_due(session, [("job", "BIFI", then.date().replace(day=1))])
    summaries.summarise(house.db)
    assert rows_of(house, SUMS) == sums


def test_a_site_that_must_be_counted_anew_keeps_its_records_and_while_archived_its_figures(
    old: House, folder: Path
) -> None:
    with old.db.transaction() as session:
        session.add(Uncounted(site="BIFI"))
    assert {each.kept for each in archive.archive(old.db, folder, BEFORE, "a test")} == {"message"}
    old.load(message(record("BIFI", "new")))  # counts the site anew
    before = old.vm_months()
    archive.archive(old.db, folder, BEFORE, "a test")
    with old.db.transaction() as session:
        session.add(Uncounted(site="BIFI"))
    old.load(message(record("BIFI", "new")))
    assert old.vm_months() == before
    archive.restore(old.db, folder, date(2000, 1, 1), "a test")
    old.load(message(record("BIFI", "new")))
    assert old.vm_months() == before
    with old.db.transaction() as session:
        assert session.get(Uncounted, "BIFI") is None


# --- files, kills and faults --------------------------------------------------------------------------------------


def test_files_are_parquet_of_one_month_each_that_anybody_reads(old: House, folder: Path) -> None:
    done = archive.archive(old.db, folder, BEFORE, "a test")
    first = next(each for each in done if each.kept == "vm_snapshot")
    table = pq.read_table(folder / first.path)
    assert first.path == f"vm_snapshot/{first.month:%Y-%m}/part-1.parquet"
    assert table.num_rows == first.rows
    assert {"site", "vmuuid", "wall_s", "measured_at"} <= set(table.column_names)


def test_killed_before_the_commit_nothing_has_gone(
    old: House, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(old)

    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(keeping.events, "tell", killed)
        with pytest.raises(SystemExit):
            archive.archive(old.db, folder, BEFORE, "a test")
    assert everything(old) == before
    archive.archive(old.db, folder, BEFORE, "a test")
    archive.restore(old.db, folder, date(2000, 1, 1), "a test")
    assert everything(old) == before


@pytest.mark.parametrize("where", ["as a draft", "under its name"])
def test_a_process_killed_with_the_file_on_the_disk_and_nothing_committed_loses_nothing(
    old: House, folder: Path, tmp_path: Path, where: str
) -> None:
    """SIGKILL, before the file gets its name and after."""
    before, reached = everything(old), tmp_path / "reached"

    def wait_for_the_kill(*_: object, **__: object) -> None:
        reached.touch()
        signal.pause()

    def archive_and_stop() -> None:
        if where == "as a draft":
            files.os.replace = wait_for_the_kill  # type: ignore[assignment]
        else:
            keeping.events.tell = wait_for_the_kill  # type: ignore[assignment]
        archive.archive(Database(old.db.url), folder, BEFORE, "a test")

    process = multiprocessing.get_context("fork").Process(target=archive_and_stop)
    process.start()
    try:
        wait_until(lambda: reached.exists() or not process.is_alive())
        written = list(folder.rglob("*.parquet"))
        assert bool(written) == (where == "under its name")
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    assert everything(old) == before
    done = archive.archive(old.db, folder, BEFORE, "a test")
    assert sum(each.rows for each in done) > 0
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.parquet")) == sorted(
        each.path for each in done
    ), "the file is written anew in the same place"
    assert list(folder.rglob("*.new")) == []
    archive.restore(old.db, folder, date(2000, 1, 1), "a test")
    assert everything(old) == before


def test_a_connection_that_is_cut_while_rows_leave_is_a_lost_connection_and_removes_nothing(
    old: House, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, streamed = everything(old), keeping._streamed

    def cut(session: Any, *given: Any) -> Any:
        end_backend_of(old.db, session)
        return streamed(session, *given)

    with monkeypatch.context() as patched:
        patched.setattr(keeping, "_streamed", cut)
        with pytest.raises(DBAPIError) as lost:
            archive.archive(old.db, folder, BEFORE, "a test")
    assert is_connection_loss(lost.value)
    assert everything(old) == before


def test_a_file_that_reads_back_otherwise_removes_nothing(
    old: House, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(old)
    real = files.rows_of
    monkeypatch.setattr(files, "rows_of", lambda path: (row for at, row in enumerate(real(path)) if at))
    with pytest.raises(Refused, match="reads back otherwise"):
        archive.archive(old.db, folder, BEFORE, "a test")
    assert everything(old) == before
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written_removes_nothing(old: House, tmp_path: Path) -> None:
    before = everything(old)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file"):
        archive.archive(old.db, tmp_path / "file", BEFORE, "a test")
    assert everything(old) == before


def test_a_file_that_was_changed_or_lost_is_not_restored(old: House, folder: Path) -> None:
    done = archive.archive(old.db, folder, BEFORE, "a test")
    path = folder / done[0].path
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(Refused, match="is not what was written"):
        archive.restore(old.db, folder, date(2000, 1, 1), "a test")
    path.unlink()
    with pytest.raises(Refused, match="cannot be read"):
        archive.restore(old.db, folder, date(2000, 1, 1), "a test")
    path.write_bytes(content)
    assert archive.restore(old.db, folder, date(2000, 1, 1), "a test")


def test_what_is_archived_again_is_a_part_of_its_own(old: House, folder: Path) -> None:
    archive.archive(old.db, folder, BEFORE, "a test")
    archive.restore(old.db, folder, date(2000, 1, 1), "a test")
    with pytest.raises(NotFound, match="Nothing of"):
        archive.restore(old.db, folder, date(2000, 1, 1), "a test")
    before = everything(old)
    archive.archive(old.db, folder, BEFORE, "a test")
    with old.db.transaction() as session:
        parts = session.scalars(select(ArchivePart).where(ArchivePart.kept == "vm_snapshot")).all()
    assert {part.part for part in parts} == {1, 2}
    archive.restore(old.db, folder, date(2000, 1, 1), "a test")
    assert everything(old) == before


def test_months_whose_summaries_are_due_wait(old: House, folder: Path) -> None:
    with old.db.transaction() as session:
        summaries.mark_due(session, [("vm", "BIFI", months_ago(5).date().replace(day=1))])
    done = archive.archive(old.db, folder, BEFORE, "a test")
    assert min(each.month for each in done if each.kept == "vm_snapshot") == months_ago(4).date().replace(
        day=1
    )


def test_two_do_not_archive_at_once(old: House, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "LOOKS", 1)
    with old.db.try_lock(keeping.LOCK), pytest.raises(Refused, match="at this moment"):
        archive.archive(old.db, folder, BEFORE, "a test")


def test_how_many_months_stay() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    assert keeping.before_of(now, 12) == date(2025, 11, 1)
    assert keeping.before_of(datetime(2026, 1, 31, tzinfo=UTC), 1) == date(2025, 12, 1)
