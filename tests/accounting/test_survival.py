"""Processes that are killed, a database that restarts, a disk that is full: what was acknowledged is there, once."""

from __future__ import annotations

import base64
import http.client
import json
import multiprocessing
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import structlog
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.serving import make_server

from accounting import summaries
from accounting.app import create_app
from accounting.loading import make_loader, says_nothing
from accounting.worker import Worker
from hanse import cms
from hanse.database import Database
from hanse.migrations import upgrade
from hanse.postgres import PrivatePostgres
from tests.accounting.conftest import House
from tests.accounting.programs import wait_until
from tests.accounting.records import DAY, NOW, epoch, message, record

FORK = multiprocessing.get_context("fork")
PATH = "/v1/projects/accounting/topics/eu-egi-cloud-accounting:publish"
DEADLINE_S = 120.0


@dataclass
class Federation:
    """Accounting as processes that can be killed: an inbox, two loaders, a summariser. They are forked, so that one
    begins in a moment; their code is that of the commands.
    """

    house: House
    port: int
    app: Flask
    running: dict[str, BaseProcess] = field(default_factory=dict)

    def begin(self, *names: str) -> None:
        """Start those that do not run; none has ended by itself."""
        self.check_alive()
        for name in names or ("inbox", "loader 1", "loader 2", "summariser"):
            if name not in self.running:
                call = {"inbox": _inbox, "summariser": _summariser}.get(name, _loader)
                self.running[name] = FORK.Process(target=_in_child, args=(call, self))
                self.running[name].start()

    def check_alive(self) -> None:
        """No process has ended by itself; why one did stands in the output."""
        ended = {name: code for name, code in self.exit_codes().items() if code is not None}
        assert not ended, f"ended by themselves, with these exit codes: {ended}"

    def exit_codes(self) -> dict[str, int | None]:
        """By name; None while it runs."""
        return {name: process.exitcode for name, process in self.running.items()}

    def kill(self, name: str) -> None:
        """SIGKILL, unless it has ended."""
        process = self.running.pop(name)
        process.kill()
        process.join()

    def end(self) -> None:
        """Kill all that run."""
        for name in list(self.running):
            self.kill(name)

    def publish(self, body: bytes, empaid: str, token: str) -> bool:
        """One attempt to send a message; whether it was acknowledged."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = {"messages": [{"attributes": {"empaid": empaid}, "data": base64.b64encode(body).decode()}]}
        try:
            connection.request("POST", PATH, json.dumps(data), {"x-api-key": token})
            answer = connection.getresponse()
            content = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()
        assert answer.status in (200, 503), content
        return answer.status == 200


def _in_child(call: Callable[[Federation], None], made: Federation) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        call(made)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)  # nothing of the test's own clean-up may run here


def _inbox(made: Federation) -> None:
    make_server("127.0.0.1", made.port, made.app, threaded=True).serve_forever()


def _loader(made: Federation) -> None:
    Worker(make_loader(made.house.settings, Database(made.house.db.url)), poll_s=0.02).run(Event())


def _summariser(made: Federation) -> None:
    db = Database(made.house.db.url)
    while True:
        try:
            summaries.summarise(db)
        except SQLAlchemyError as error:  # as the scheduler does, which runs the job again
            if not says_nothing(error):
                raise
        time.sleep(0.02)


@contextmanager
def federation(house: House) -> Iterator[Federation]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = Federation(house, port, create_app(house.settings))
    try:
        yield made
    finally:
        made.end()
        made.app.extensions["hanse"].db.close()


@dataclass
class Sent:
    """A machine's reports in messages, and what they must add up to."""

    bodies: list[bytes]
    machines: int
    wall_s: int


def reports(house: House, cast: Any, messages: int, machines: int = 8) -> Sent:
    """Each message tells of all machines, at another time."""
    host, start = cast.host("BIFI"), epoch(NOW) - 70 * DAY
    bodies = []
    for number in range(messages):
        at = start + (number + 1) * DAY
        texts = [
            record(
                "BIFI", f"vm-{n}", StartTime=start, RecordCreateTime=at, WallDuration=(number + 1) * 1000 + n,
                CpuDuration=(number + 1) * 2000, CpuCount=4,
            )
            for n in range(machines)
        ]  # fmt: skip
        bodies.append(cms.sign(message(*texts).encode(), host.cert, host.key))
    return Sent(bodies, machines, sum(messages * 1000 + n for n in range(machines)))


def token(house: House) -> str:
    return house.token("cASO at BIFI", "site_machine", "site:BIFI")["Authorization"].removeprefix("Bearer ")


def send_all(made: Federation, sent: Sent, key: str, between: Callable[[], None]) -> None:
    """As a sender does: each message again until it is acknowledged; `between` happens before every attempt."""
    deadline = time.monotonic() + DEADLINE_S
    for number, body in enumerate(sent.bodies):
        between()
        while not made.publish(body, f"queue/{number}", key):
            assert time.monotonic() < deadline, "the message was not taken in time"
            between()
            time.sleep(0.02)


def settle(house: House, made: Federation | None = None, deadline_s: float = DEADLINE_S) -> None:
    """Wait until everything is loaded, which the processes of `made` do, and sum it."""
    deadline = time.monotonic() + deadline_s
    while _count(house, "message where state = 'waiting'"):
        if made is not None:
            made.check_alive()
        assert time.monotonic() < deadline, _why_they_wait(house, made)
        time.sleep(0.05)
    summaries.summarise(house.db)


def _why_they_wait(house: House, made: Federation | None) -> str:
    """What can be seen of messages that wait for too long: the processes, the messages, and what the database does."""
    with house.db.transaction() as session:
        waiting = text(
            "select id, attempts, retry_at from message where state = 'waiting' order by id limit 20"
        )
        doing = text(
            "select pid, state, wait_event_type, wait_event, left(query, 200) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        seen = [
            f"exit codes: {made.exit_codes() if made else 'no processes'}",
            *(f"message, attempts, retry_at: {tuple(row)}" for row in session.execute(waiting)),
            *(f"backend: {tuple(row)}" for row in session.execute(doing)),
        ]
    return "\n".join(("messages wait still", *seen))


def _count(house: House, what: str) -> int:
    with house.db.transaction() as session:
        return session.scalar(text(f"select count(*) from {what}")) or 0


def test_a_process_that_ended_by_itself_and_messages_that_wait_are_told(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    """Else a failure of these tests would say nothing of its cause."""
    number = house.receive(message(record()))
    with pytest.raises(AssertionError, match=rf"(?s)retry_at: \({number}, 0, None\)"):
        settle(house, deadline_s=0)

    def stumble(_: Federation) -> None:
        raise ZeroDivisionError("a fault of ours")

    with federation(house) as made:
        made.running["loader 1"] = FORK.Process(target=_in_child, args=(stumble, made))
        made.running["loader 1"].start()
        with pytest.raises(AssertionError, match=r"\{'loader 1': 1\}"):
            settle(house, made)
    assert "ZeroDivisionError: a fault of ours" in capfd.readouterr().err


def check(house: House, sent: Sent) -> None:
    """Every acknowledged record is there, once, and every sum is what the reports say."""
    assert _count(house, "message where state = 'loaded'") == _count(house, "message") == len(sent.bodies)
    assert _count(house, "vm_snapshot") == len(sent.bodies) * sent.machines
    assert _count(house, "summary_due") == 0
    assert sum(wall for wall, _, _ in house.months().values()) == sent.wall_s
    with house.db.transaction() as session:
        days = session.scalar(text("select sum(wall_s) from usage_day"))
        machines = session.scalar(text("select sum(vms) from vm_month"))
        months = session.scalar(text("select count(distinct (vmuuid, month)) from vm_month"))
    assert days == sent.wall_s
    assert machines == months


def story(house: House, cast: Any, seed: int, messages: int, patience_s: float) -> None:
    """A client sends; at random moments an inbox, a loader or the summariser dies by SIGKILL and begins anew."""
    dice = random.Random(seed)
    sent, key = reports(house, cast, messages), token(house)
    with federation(house) as made:
        made.begin()

        def between() -> None:
            time.sleep(dice.random() * patience_s)
            if dice.random() < 0.5:
                made.kill(dice.choice(sorted(made.running)))
            made.begin()

        send_all(made, sent, key, between)
        for _ in range(3):
            between()
        settle(house, made)
        made.end()  # whatever they were doing
        settle(house)
    check(house, sent)


@pytest.mark.parametrize("seed", range(10))
def test_whoever_is_killed_every_acknowledged_record_is_there_once(
    house: House, cast: Any, seed: int
) -> None:
    story(house, cast, seed, messages=6, patience_s=0.08)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_whoever_is_killed_a_hundred_times(make_house: Any, fresh_database: Any, cast: Any) -> None:
    for seed in range(100, 100 + int(os.environ.get("HANSE_SOAK_ACCOUNTING", "100"))):
        with fresh_database("accounting") as db:
            story(make_house(db), cast, seed, messages=25, patience_s=0.3)


@pytest.fixture
def own_server() -> Iterator[PrivatePostgres]:
    """A server that may be stopped, and keeps what it acknowledged."""
    with tempfile.TemporaryDirectory(prefix="hanse-test-restart-") as folder:
        server = PrivatePostgres(Path(folder), durable=True)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def test_a_restart_of_the_database_under_load_loses_nothing(
    own_server: PrivatePostgres, make_house: Any, cast: Any
) -> None:
    own_server.create_database("accounting")
    upgrade("accounting", own_server.dsn("accounting"))
    house = make_house(Database(own_server.dsn("accounting")))
    sent, key = reports(house, cast, 20), token(house)
    restarts = iter((6, 12))
    at = next(restarts)
    attempts = 0
    with federation(house) as made:
        made.begin()

        def between() -> None:
            nonlocal at, attempts
            attempts += 1
            if attempts == at:
                own_server.stop()
                assert not made.publish(b"not now", "nobody/0", key)
                own_server.start()
                at = next(restarts, -1)

        send_all(made, sent, key, between)
        assert at == -1
        settle(house, made)
    check(house, sent)
    house.db.close()


# a sequence counts on when its transaction is rolled back
NO_ROOM = """
create sequence tries;
create function no_room() returns trigger language plpgsql as
  $$ begin perform nextval('tries');
     raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$;
create trigger no_room before insert on {table} for each statement execute function no_room();
"""


def test_a_full_disk_is_503_and_loses_nothing(house: House, cast: Any) -> None:
    """The fault comes from the table, as PostgreSQL gives it when a file cannot grow."""
    sent, key = reports(house, cast, 2), token(house)
    with federation(house) as made:
        made.begin("inbox", "loader 1")
        send_all(made, Sent(sent.bodies[:1], sent.machines, 0), key, lambda: None)
        settle(house, made)
        with house.db.transaction() as session:
            session.execute(text(NO_ROOM.format(table="message")))
        answers = [made.publish(sent.bodies[1], "queue/1", key) for _ in range(3)]
        assert answers == [False] * 3  # 503, else the assertion in publish fails
        assert _count(house, "message") == 1
        with house.db.transaction() as session:
            session.execute(text("drop trigger no_room on message"))
        send_all(made, sent, key, lambda: None)
        settle(house, made)
    check(house, sent)


@pytest.fixture
def small_disk(house: House) -> Iterator[Callable[[str], None]]:
    """The inbox's table on a disk of its own of 4 MB; gives a function that makes the disk another size."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a disk of its own for the test can only be mounted by root")
    disk = Path(tempfile.mkdtemp(prefix="hanse-disk-"))
    options = f"size=4m,mode=700,uid={pwd.getpwnam('nobody').pw_uid}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        disk.rmdir()
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    name = disk.name.replace("-", "_")
    tables = house.db.engine.execution_options(isolation_level="AUTOCOMMIT")
    try:
        with tables.connect() as connection:
            connection.execute(text(f"create tablespace {name} location '{disk}'"))
            connection.execute(text(f"alter table message set tablespace {name}"))
        yield lambda size: _remount(disk, size)
        with tables.connect() as connection:
            connection.execute(text("alter table message set tablespace pg_default"))
            connection.execute(text(f"drop tablespace {name}"))
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
        disk.rmdir()


def _remount(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def test_a_disk_that_is_really_full_is_503_and_what_was_acknowledged_is_there(
    house: House, cast: Any, small_disk: Callable[[str], None]
) -> None:
    """PostgreSQL itself says that there is no space left on the device; then the disk grows."""
    sent, key = reports(house, cast, 3), token(house)
    noise = random.Random(7)
    app = create_app(house.settings)
    taken: list[bytes] = []
    with app.test_client() as client:

        def publish(body: bytes, empaid: str) -> int:
            data = {"attributes": {"empaid": empaid}, "data": base64.b64encode(body).decode()}
            return client.post(PATH, json={"messages": [data]}, headers={"x-api-key": key}).status_code

        assert publish(sent.bodies[0], "queue/0") == 200
        for number in range(40):
            filling = noise.randbytes(400_000)
            status = publish(filling, f"noise/{number}")
            if status == 503:
                break
            assert status == 200
            taken.append(filling)
        assert status == 503, "the disk was never full"
        assert taken
        small_disk("64m")
        answers = [publish(body, f"queue/{number}") for number, body in enumerate(sent.bodies)]
    app.extensions["hanse"].db.close()
    assert answers == [200, 200, 200]
    with house.db.transaction() as session:
        stored = {bytes(body) for body in session.scalars(text("select body from message"))}
    assert stored == {*taken, *sent.bodies}
    while house.loader.load_batch():
        pass
    settle(house)
    assert _count(house, "vm_snapshot") == len(sent.bodies) * sent.machines
    assert sum(wall for wall, _, _ in house.months().values()) == sent.wall_s


def test_a_full_disk_makes_the_loader_wait_and_blames_no_message(house: House, cast: Any) -> None:
    sent = reports(house, cast, 3)
    for number, body in enumerate(sent.bodies):
        house.receive(body, empaid=f"queue/{number}")
    with house.db.transaction() as session:
        session.execute(text(NO_ROOM.format(table="vm_snapshot")))
    stop = Event()
    worker = Worker(house.loader, poll_s=0.01)
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    wait_until(lambda: _count(house, "tries where last_value >= 2") == 1)
    assert _count(house, "message where state = 'waiting' and attempts = 0") == 3
    with house.db.transaction() as session:
        session.execute(text("drop trigger no_room on vm_snapshot"))
    settle(house)
    stop.set()
    thread.join()
    check(house, sent)


def test_two_loaders_on_one_message_count_it_once(house: House, cast: Any) -> None:
    sent = reports(house, cast, 1, machines=50)
    number = house.receive(sent.bodies[0])
    threads = [threading.Thread(target=house.loader.load, args=(number,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settle(house)
    check(house, sent)


def test_a_backlog_is_worked_off_in_batches_and_counts_like_one_by_one(
    house: House, make_house: Any, fresh_database: Any, cast: Any
) -> None:
    sent = reports(house, cast, 30, machines=10)
    order = random.Random(5).sample(range(30), 30)
    with fresh_database("accounting") as db:
        other = make_house(db)
        for number in order:
            house.receive(sent.bodies[number], empaid=f"queue/{number}")
            other.receive(sent.bodies[number], empaid=f"queue/{number}")
        assert len(house.loader.load_batch()) == 30
        while other.loader.load_next():
            pass
        summaries.summarise(other.db)
        settle(house)
        assert house.vm_months() == other.vm_months()
        assert house.months() == other.months()
    check(house, sent)


def test_a_batch_with_a_message_that_breaks_it_loads_the_others(
    house: House, cast: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several claimed together one meets a fault of ours: that one waits, the others count."""
    from accounting.stores import vm_tables

    host = cast.host("BIFI")
    for name in ("a", "poison", "b"):
        house.receive(cms.sign(message(record("BIFI", name)).encode(), host.cert, host.key), empaid=name)
    insert = vm_tables.insert

    def stumble(db: Any, session: Any, new: Any) -> None:
        if any(each.row.vmuuid == "poison" for each in new):
            raise ZeroDivisionError("a fault of ours")
        insert(db, session, new)

    monkeypatch.setattr(vm_tables, "insert", stumble)
    outcomes = house.loader.load_batch()
    assert [(each.state, each.loaded) for each in outcomes] == [("loaded", 1), ("waiting", 0), ("loaded", 1)]


@pytest.mark.parametrize("days", [-2, 2])
def test_the_clock_of_the_sender_two_days_off(house: House, cast: Any, days: int) -> None:
    """Behind, it counts as it says; ahead, it is refused with the time at which the message came."""
    off = timedelta(days=days).total_seconds()
    measured = int(epoch(NOW) + off)
    fields = {"RecordCreateTime": measured, "StartTime": measured - DAY}
    outcome = house.signed(message(record("BIFI", **fields), record("BIFI", "right")), cast.host("BIFI"))
    assert (outcome.loaded, outcome.refused) == ((2, 0) if days < 0 else (1, 1))
    assert [each.code for each in house.refused()] == ([] if days < 0 else ["time_in_future"])
