"""Machines that probes make: at servers that are not ours, noted in the database, swept when a probe ended badly."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import select

from hanse.database import Database
from hanse.occi.client import OcciClient, OcciError
from hanse.occi.model import COMPUTE, OS_TPL, RESOURCE_TPL, Document
from monitoring.findings import Fault, Result, Status
from monitoring.machines import DatabaseJournal, count_orphans, forget, orphaned
from monitoring.models.machines import ProbeMachine
from monitoring.probes import PROBES
from monitoring.probes.occi_lives import Lives, cloud_of
from monitoring.running import run, target_of
from monitoring.sweeping import Sweeper
from monitoring.wire.certificates import Trust
from monitoring.wire.journals import FileJournal, Journal
from monitoring.wire.threads import Budget, in_thread
from tests.monitoring.federation import Federation
from tests.monitoring.hostile import http, saying, serving
from tests.peers.occi import ooi, pyssf

KINDS = b"".join(
    b'Category: %s; scheme="http://schemas.ogf.org/occi/infrastructure#"; class="kind"\n' % name
    for name in (b"compute", b"storage", b"network")
)
FIRST = (
    b'Category: user_data; scheme="http://schemas.openstack.org/compute/instance#"; class="mixin"\n'
    b'Category: public_key; scheme="http://schemas.openstack.org/instance/credentials#"; class="mixin"\n'
)
SECOND = (
    b'Category: user_data; scheme="http://schemas.ogf.org/occi/infrastructure/compute#"; class="mixin"\n'
    b'Category: ssh_key; scheme="http://schemas.ogf.org/occi/infrastructure/credentials#"; class="mixin"\n'
)


def probed(name: str, url: str, journal: Journal | None = None, **options: str) -> Result:
    return asyncio.run(run(PROBES[name], target_of(url, options), Trust(None), journal=journal))


def machines(url: str) -> tuple[str, ...]:
    with OcciClient(url) as cloud:
        cloud.query()
        return cloud.list(COMPUTE)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.probes.occi_compute.POLL_S", 0.05)


@pytest.mark.peer("ooi")
def test_a_machine_lives_at_ooi(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal")
    with ooi(build_s=0.2) as url:
        told = probed("occi-compute", url, journal)
        assert told.status is Status.OK, told.summary
        assert [figure.label for figure in told.figures] == ["query", "create", "active", "delete"]
        assert machines(url) == ()
        assert journal.left(url) == []
        context = probed("occi-context", url)
        assert context.status is Status.OK, context.summary


@pytest.mark.peer("ooi")
def test_a_machine_that_is_never_active_is_critical_and_deleted(tmp_path: Path) -> None:
    with ooi(build_s=60) as url:
        told = probed("occi-compute", url, FileJournal(tmp_path / "journal"), active_s="0.2")
        assert (told.status, told.reason) == (Status.CRITICAL, "occi-not-active")
        assert "its state is inactive" in told.summary
        assert machines(url) == ()


@pytest.mark.peer("pyssf")
def test_a_cloud_without_templates_is_told(tmp_path: Path) -> None:
    with pyssf() as url:
        told = probed("occi-compute", url, FileJournal(tmp_path / "journal"))
    assert (told.status, told.reason) == (Status.CRITICAL, "occi-missing")


def test_without_a_journal_nothing_is_made() -> None:
    told = probed("occi-compute", "http://127.0.0.1:1/")
    assert (told.status, told.reason) == (Status.UNKNOWN, "bad-option")


@pytest.mark.parametrize(
    ("offered", "options", "status"),
    [
        (FIRST + SECOND, {}, Status.OK),
        (FIRST, {"generation": "first"}, Status.OK),
        (SECOND, {}, Status.WARNING),
        (SECOND, {"generation": "first"}, Status.CRITICAL),
        (b"", {}, Status.CRITICAL),
    ],
)
def test_mixins_of_context(offered: bytes, options: dict[str, str], status: Status) -> None:
    with serving(saying(http("200 OK", KINDS + offered, "Content-Type: text/plain"))) as port:
        told = probed("occi-context", f"http://127.0.0.1:{port}/", **options)
    assert told.status is status, told
    assert told.reason == ("" if status is Status.OK else "occi-missing")


# --- in the database ---


def left_behind(federation: Federation, url: str, *titles: str) -> DatabaseJournal:
    """A journal with machines that were noted an hour ago."""
    journal = DatabaseJournal(federation.db)
    with federation.db.transaction() as session:
        long_ago = datetime.now(UTC) - timedelta(hours=1)
        session.add_all(ProbeMachine(url=url, kind="compute", title=one, begun_at=long_ago) for one in titles)
    return journal


@pytest.mark.peer("ooi")
def test_what_was_left_behind_is_swept_at_endpoints_that_nobody_probes_any_more(
    federation: Federation,
) -> None:
    with ooi(build_s=0) as url, OcciClient(url) as cloud:
        model = cloud.query()
        mixins = [model.children_of(parent)[0].identifier for parent in (OS_TPL, RESOURCE_TPL)]
        for title in ("hanse-probe-a", "hanse-probe-b", "somebody's"):
            made = cloud.create(COMPUTE, mixins=mixins, attributes={"occi.core.title": title})
        journal = left_behind(federation, url, "hanse-probe-a", "hanse-probe-b", "hanse-probe-never-made")
        with federation.db.transaction() as session:
            assert orphaned(session) == [url]
            assert count_orphans(session) == 3
        sweeper = Sweeper(federation.db, journal, Trust(None), None)
        asyncio.run(sweeper.sweep(threading.Event()))
        assert cloud.list(COMPUTE) == (made,)
    assert journal.left(url) == []
    with federation.db.transaction() as session:
        assert orphaned(session) == []
        assert forget(session, datetime.now(UTC) + timedelta(minutes=1)) == 3
        assert session.scalars(select(ProbeMachine)).all() == []


def test_a_cloud_that_does_not_answer_keeps_the_note(federation: Federation) -> None:
    url = "http://127.0.0.1:1/"
    journal = left_behind(federation, url, "hanse-probe-a")
    asyncio.run(Sweeper(federation.db, journal, Trust(None), None).sweep(threading.Event()))
    assert [one.title for one in journal.left(url)] == ["hanse-probe-a"]
    with federation.db.transaction() as session:
        row = session.scalars(select(ProbeMachine)).one()
        assert row.tries == 1
        assert "refuses connections" in row.said


def test_a_sweep_logs_in_as_the_probe_does(federation: Federation) -> None:
    asked: list[bytes] = []
    with serving(saying(http("403 Forbidden"), asked)) as port:
        journal = left_behind(federation, f"http://127.0.0.1:{port}/", "hanse-probe-a")
        given = {"token": "of-the-probe", "project": "monitoring", "keystone": "https://keystone.example/"}
        sweeper = Sweeper(federation.db, journal, Trust(None), None, given)
        asyncio.run(sweeper.sweep(threading.Event()))
    assert b"of-the-probe" in asked[0]
    with cloud_of("https://cloud.example/", given, Trust(None), None, 5) as cloud:
        assert (cloud.project, cloud.keystone) == ("monitoring", "https://keystone.example/")


@dataclass
class Stub:
    """A cloud that knows machines by address; `listed` None = it does not tell which there are."""

    titles: dict[str, str]
    listed: tuple[str, ...] | None = ()

    def query(self) -> None:
        """Nothing to read."""

    def list(self, kind: str) -> tuple[str, ...]:
        if self.listed is None:
            raise OcciError("Not in this project", 403)
        return self.listed

    def describe(self, location: str) -> Document:
        if location not in self.titles:
            raise OcciError("Not found", 404)
        return Document(attributes={"occi.core.title": self.titles[location]})

    def delete(self, location: str) -> None:
        del self.titles[location]


def tidied(stub: Stub, journal: Journal) -> list[str]:
    return Lives(cast(OcciClient, stub), "http://a/", journal, Budget(10), 0.01).tidy(10)


def test_a_machine_of_a_probe_that_is_at_work_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = FileJournal(tmp_path / "journal")
    journal.begin("http://a/", "compute", "hanse-probe-a")
    journal.placed("hanse-probe-a", "http://a/compute/1")
    stub = Stub({"http://a/compute/1": "hanse-probe-a"})
    assert tidied(stub, journal) == []
    assert "http://a/compute/1" in stub.titles
    monkeypatch.setattr("monitoring.probes.occi_lives.YOUNG", timedelta(0))
    assert tidied(stub, journal) == []
    assert (stub.titles, journal.left("http://a/")) == ({}, [])


def test_what_the_cloud_does_not_know_is_looked_for_before_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.probes.occi_lives.YOUNG", timedelta(0))
    journal = FileJournal(tmp_path / "journal")
    journal.begin("http://a/", "compute", "hanse-probe-a")
    journal.placed("hanse-probe-a", "http://a/compute/1")
    assert len(tidied(Stub({}, None), journal)) == 1
    assert [one.title for one in journal.left("http://a/")] == ["hanse-probe-a"]
    moved = Stub({"http://a/compute/2": "hanse-probe-a"}, ("http://a/compute/2",))
    assert tidied(moved, journal) == []
    assert (moved.titles, journal.left("http://a/")) == ({}, [])


def test_a_note_holds_what_the_cloud_said(federation: Federation) -> None:
    journal = DatabaseJournal(federation.db)
    journal.begin("http://a/", "compute", "one")
    journal.begin("http://a/", "storage", "two")
    journal.placed("one", "http://a/compute/1")
    journal.gone("two")
    assert [(one.title, one.kind, one.location) for one in journal.left("http://a/")] == [
        ("one", "compute", "http://a/compute/1")
    ]
    with federation.db.transaction() as session:
        assert count_orphans(session) == 0  # a probe may be at it


def test_without_the_database_nothing_is_made() -> None:
    db = Database("postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2")
    try:
        with pytest.raises(Fault) as refused:
            DatabaseJournal(db).begin("http://a/", "compute", "one")
    finally:
        db.close()
    assert (refused.value.reason, refused.value.status) == ("journal-away", Status.UNKNOWN)


# --- threads ---


def test_work_in_a_thread_is_told_when_nobody_waits_any_more() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work(budget: Budget) -> None:
        begun.set()
        while budget.wait(0.01):
            pass
        ended.set()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await in_thread(work, 60)

    asyncio.run(give_up())
    assert begun.wait(10)
    assert ended.wait(10)


def test_what_work_raises_is_raised_to_who_waits_and_too_much_work_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(budget: Budget) -> None:
        raise Fault("x", "y")

    with pytest.raises(Fault, match="y"):
        asyncio.run(in_thread(fail, 1))
    monkeypatch.setattr("monitoring.wire.threads._slots", threading.BoundedSemaphore(1))

    async def two() -> None:
        first = asyncio.create_task(in_thread(lambda budget: time.sleep(0.2), 1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(Fault, match="heavy checks already"):
            await in_thread(lambda budget: None, 1)
        await first

    asyncio.run(two())
