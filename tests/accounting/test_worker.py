"""Loaders side by side, loaders that die, and messages that a loader cannot digest."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from accounting import loading
from accounting.loading import MOST_ATTEMPTS
from accounting.models import Message, SummaryDue
from accounting.stores import vm_tables, vms
from accounting.worker import Worker
from hanse import cms
from hanse.database import Database
from hanse.errors import Unavailable
from tests.accounting.conftest import House
from tests.accounting.programs import begin, end_backend_of, wait_until
from tests.accounting.records import DAY, NOW, epoch, lines, message, record


def fill(house: House, host: Any, count: int, records: int = 5) -> int:
    """Signed messages of BIFI, each with machines of its own; how many machines."""
    for number in range(count):
        text = message(*[record("BIFI", f"vm-{number}-{n}") for n in range(records)])
        house.receive(cms.sign(text.encode(), host.cert, host.key))
    return count * records


def waiting(db: Database) -> int:
    with db.transaction() as session:
        return (
            session.scalar(select(func.count()).select_from(Message).where(Message.state == "waiting")) or 0
        )


def machines(house: House) -> int:
    return len({vm for _, vm, _, _, _ in house.vm_months()})


def test_a_worker_loads_and_sums_everything_that_waits(house: House, cast: Any) -> None:
    count = fill(house, cast.host("BIFI"), 7)
    worker = Worker(house.loader)
    while worker.work():
        pass
    assert machines(house) == count
    assert sum(wall for wall, _, _ in house.months().values()) == count * DAY
    with house.db.transaction() as session:
        assert session.scalar(select(func.count()).select_from(SummaryDue)) == 0


def test_two_loaders_share_the_inbox_and_count_once(house: House, make_house: Any, cast: Any) -> None:
    count = fill(house, cast.host("BIFI"), 30)
    threads = [threading.Thread(target=_work_off, args=(Worker(house.loader),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert machines(house) == count
    assert sum(wall for wall, _, _ in house.months().values()) == count * DAY


def _work_off(worker: Worker) -> None:
    while worker.work():
        pass


def test_two_loaders_that_count_one_machine_at_once_lose_nothing(house: House, cast: Any) -> None:
    """Every message tells of the same machine at another time."""
    host, start = cast.host("BIFI"), epoch(NOW) - 40 * DAY
    for step in random.Random(7).sample(range(1, 41), 40):
        snapshot = record(
            "BIFI", "one", StartTime=start, WallDuration=step * 1000, CpuDuration=step * 1000, CpuCount=1,
            RecordCreateTime=start + step * DAY - 60,
        )  # fmt: skip
        house.receive(cms.sign(message(snapshot).encode(), host.cert, host.key))
    threads = [threading.Thread(target=_work_off, args=(Worker(house.loader),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wall for wall, _, _ in house.months().values()) == 40_000


def test_a_failure_of_ours_stops_nobody_else_and_is_told_in_the_end(
    house: House, cast: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = cast.host("BIFI")
    poison = house.receive(cms.sign(message(record("BIFI", "poison")).encode(), host.cert, host.key))
    good = house.receive(cms.sign(message(record("BIFI", "good")).encode(), host.cert, host.key))

    def stumble(db: Any, session: Any, placed: Any) -> Any:
        if any(row.vmuuid == "poison" for each in placed for _, row in each.rows):
            raise ZeroDivisionError("a fault of ours")
        return vms.STORE.store(db, session, placed)

    monkeypatch.setattr(loading, "store_for", lambda _: replace(vms.STORE, store=stumble))
    outcome = house.loader.load_next()
    assert outcome is not None
    assert (outcome.message, outcome.state) == (poison, "waiting")
    outcome = house.loader.load_next()
    assert outcome is not None
    assert (outcome.message, outcome.loaded) == (good, 1)
    for _ in range(MOST_ATTEMPTS - 1):
        assert house.loader.load_next() is None  # it waits longer each time
        outcome = house.loader.load(poison)
    assert outcome is not None
    assert outcome.state == "refused"
    assert "failed 5 times" in house.refused()[0].reason
    monkeypatch.undo()
    replayed = house.loader.load(poison)
    assert replayed is not None
    assert replayed.loaded == 1


def test_the_registry_is_asked_once_more_before_a_record_is_refused(house: House, cast: Any) -> None:
    """A site that registered a moment ago must not be refused because the feed is read every 30 s."""
    house.forget("site", "BIFI")
    asked = []

    def refresh() -> None:
        asked.append(1)
        house.site("BIFI")

    house.loader.refresh = refresh
    assert house.signed(message(record("BIFI")), cast.host("BIFI")).loaded == 1
    assert asked == [1]
    assert house.refused() == []


def test_a_registry_that_is_away_does_not_hold_up_the_verdict(house: House, cast: Any) -> None:
    def refresh() -> None:
        raise Unavailable("The registry is away.")

    house.loader.refresh = refresh
    assert house.signed(message(record("NOWHERE")), cast.host("BIFI")).refused == 1


def test_nothing_is_judged_before_the_registry_was_read_once(house: House, cast: Any) -> None:
    fill(house, cast.host("BIFI"), 1)
    worker = Worker(house.loader, registry_expected=True)
    assert worker.work() == 0
    assert waiting(house.db) == 1


def start_worker(
    house: House, command: str, *words: str, out: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    """`hanse accounting worker` or `load` as a process of its own."""
    return begin(house, command, *words, settings={"worker_poll_s": 0.05}, out=out)


@pytest.mark.parametrize("seed", range(3))
def test_killing_the_worker_at_any_instant_neither_loses_nor_doubles(
    house: House, cast: Any, seed: int
) -> None:
    count = fill(house, cast.host("BIFI"), 60, records=20)
    instants = random.Random(seed)
    for _ in range(4):
        before = waiting(house.db)
        process = start_worker(house, "worker")
        wait_until(lambda before=before: waiting(house.db) < before)
        time.sleep(instants.random() * 0.15)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        if not waiting(house.db):
            break
    assert start_worker(house, "worker", "--once").wait(120) == 0
    assert waiting(house.db) == 0
    assert machines(house) == count
    assert sum(wall for wall, _, _ in house.months().values()) == count * DAY


def test_sigterm_ends_a_worker_after_its_message(house: House, cast: Any) -> None:
    fill(house, cast.host("BIFI"), 3)
    process = start_worker(house, "worker")
    wait_until(lambda: waiting(house.db) == 0)
    process.terminate()
    assert process.wait(10) == 0


def test_the_load_command_prints_what_was_loaded_and_what_not(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.msg").write_text(message(record("BIFI", "a"), record("ATLANTIS", "b")))
    (folder / "b.msg").write_bytes(b"\xff\xfe")
    (folder / ".hidden").write_text("no message")
    process = start_worker(house, "load", str(folder), out=subprocess.PIPE)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "a.msg: 1 loaded, 1 quarantined" in printed
    assert "which is not UTF-8" in printed
    assert "2 messages: 1 records loaded, 2 quarantined" in printed


@pytest.mark.soak
def test_the_load_command_takes_a_file_of_50_megabytes(house: House, tmp_path: Path) -> None:
    """Some 60,000 machines in one message, which is five times what a publisher may send."""
    one = lines(record("BIFI", "one-000000")) + "%%\n"
    machines_ = 50_000_000 // len(one) + 1
    path = tmp_path / "all.txt"
    with path.open("w") as file:
        file.write("APEL-cloud-message: v0.4\n")
        for number in range(machines_):
            file.write(one.replace("one-000000", f"one-{number:06}"))
    assert path.stat().st_size > 50_000_000
    process = start_worker(house, "load", str(path), "--json", out=subprocess.PIPE)
    printed, _ = process.communicate(timeout=400)
    assert process.returncode == 0, printed
    assert json.loads(printed.splitlines()[-1]) == {"messages": 1, "loaded": machines_, "quarantined": 0}
    assert sum(count for _, _, count in house.months().values()) >= machines_


def test_the_load_command_says_which_file_is_missing(house: House) -> None:
    process = start_worker(house, "load", "/nowhere/at/all", out=subprocess.PIPE)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "/nowhere/at/all" in printed
    assert "Traceback" not in printed


def test_a_connection_that_is_cut_while_reports_are_read_blames_no_message(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest, number = vm_tables.newest, house.receive(message(record("BIFI")), source="load")

    def cut(session: Any, machines: Any) -> Any:
        monkeypatch.setattr(vm_tables, "newest", newest)
        end_backend_of(house.db, session)
        return newest(session, machines)

    monkeypatch.setattr(vm_tables, "newest", cut)
    stop = threading.Event()
    thread = threading.Thread(target=Worker(house.loader, poll_s=0.01).run, args=(stop,))
    thread.start()
    wait_until(lambda: house.message(number).state == "loaded" or not thread.is_alive())
    stop.set()
    thread.join()
    assert (house.message(number).state, house.message(number).attempts) == ("loaded", 0)
