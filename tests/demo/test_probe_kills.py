"""Probes that make machines at a cloud are killed between any two steps; the next run leaves nothing of theirs, and
touches nothing else.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hanse.occi.model import COMPUTE, STORAGE
from monitoring.findings import Result, Status
from monitoring.probes import PROBES
from monitoring.running import run, target_of
from monitoring.wire.certificates import Trust
from monitoring.wire.journals import FileJournal

from .conftest import Cloud, mapped
from .test_cloud import start

# Runs the probe, and kills itself with a signal that nobody can catch before the step that it is told.
KILLED = """
import asyncio, os, signal, sys
from datetime import timedelta
from pathlib import Path
from monitoring import running
from monitoring.probes import PROBES, occi_compute, occi_lives
from monitoring.wire.certificates import Trust
from monitoring.wire.journals import FileJournal
from monitoring.wire.line import Line
url, trust, proxy, journal, step = sys.argv[1:]
occi_compute.POLL_S = 0.05
occi_lives.YOUNG = timedelta(0)
def line(*given):
    def between(name):
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)
    return Line(*given, between=between)
running.Line = line
target = running.target_of(url, {"storage": "1"})
asyncio.run(running.run(PROBES["occi-compute"], target, Trust(Path(trust)), credential=(Path(proxy), Path(proxy)),
                        journal=FileJournal(Path(journal))))
"""
STEPS = ("asked", "answered", "active", "storage", "linked", "delete", "deleted")


def probed(cloud: Cloud, proxy: Path, journal: Path, **options: str) -> Result:
    target = target_of(cloud.url, options)
    trust = Trust(cloud.ca.trust_dir)
    return asyncio.run(
        run(PROBES["occi-compute"], target, trust, credential=(proxy, proxy), journal=FileJournal(journal))
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.probes.occi_compute.POLL_S", 0.05)
    monkeypatch.setattr(
        "monitoring.probes.occi_lives.YOUNG", timedelta(0)
    )  # what was just left is old enough


@pytest.mark.parametrize("cloud", ["BIFI"], indirect=True)
def test_a_probe_that_is_killed_at_any_step_leaves_nothing_for_long(
    cloud: Cloud, cast: Any, tmp_path: Path, quick: None
) -> None:
    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna))
    proxy, _ = cloud.proxy(anna, cloud.attributes(anna))
    journal = tmp_path / "journal.jsonl"
    with cloud.member(anna) as client:
        foreign = {start(client, title="hanse-probe"), start(client, title="hanse-probe-of-somebody-else")}
        for step in STEPS:
            given = [cloud.url, str(cloud.ca.trust_dir), str(proxy), str(journal), step]
            command = [sys.executable, "-c", KILLED, *given]
            died = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            assert died.returncode == -signal.SIGKILL, (step, died.stdout, died.stderr)
        told = probed(cloud, proxy, journal, storage="1")
        assert told.status is Status.OK, told
        assert {"query", "tidy", "create", "active", "storage"} < {phase.name for phase in told.phases}
        assert set(client.list(COMPUTE)) == foreign
        assert client.list(STORAGE) == ()
    (never,) = FileJournal(journal).left(cloud.url)  # noted, and killed before it was asked for
    assert never.location == ""


@pytest.mark.parametrize("cloud", ["CESNET"], indirect=True)
def test_what_stands_at_a_noted_place_under_another_name_is_not_ours(
    cloud: Cloud, cast: Any, tmp_path: Path, quick: None
) -> None:
    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna))
    proxy, _ = cloud.proxy(anna, cloud.attributes(anna))
    journal = FileJournal(tmp_path / "journal.jsonl")
    with cloud.member(anna) as client:
        foreign = start(client, title="important")
        journal.begin(cloud.url, "compute", "hanse-probe-1")
        journal.placed("hanse-probe-1", foreign)
        assert probed(cloud, proxy, journal.path).status is Status.OK
        assert client.list(COMPUTE) == (foreign,)
    assert journal.left(cloud.url) == []


@pytest.mark.parametrize("cloud", ["CESNET"], indirect=True)
def test_refusals_have_their_reasons(cloud: Cloud, cast: Any, tmp_path: Path, quick: None) -> None:
    anna, tomas = cast["Anna Lindqvist"], cast["Tomás Vidal"]
    cloud.map(mapped(anna))
    proxy, _ = cloud.proxy(anna, cloud.attributes(anna))
    journal = tmp_path / "journal.jsonl"
    missing = probed(cloud, proxy, journal, image="windows")
    assert (missing.status, missing.reason) == (Status.CRITICAL, "occi-missing")
    late = probed(cloud, proxy, journal, active_s="399")
    assert (late.status, late.reason) == (Status.UNKNOWN, "bad-option")
    stranger, _ = cloud.proxy(tomas, cloud.attributes(tomas))
    refused = probed(cloud, stranger, journal)
    assert (refused.status, refused.reason) == (Status.CRITICAL, "occi-refused")
    assert "is not mapped" in refused.summary
    with cloud.member(anna) as client:
        places = [start(client, "huge") for _ in range(2)]
        full = probed(cloud, proxy, journal)
        assert (full.status, full.reason) == (Status.CRITICAL, "occi-refused")
        assert "Capacity exceeded" in full.summary
        for place in places:
            client.delete(place)
    cloud.fault.set("error")
    broken = probed(cloud, proxy, journal)
    assert (broken.status, broken.reason) == (Status.CRITICAL, "occi-refused")
    assert FileJournal(journal).left(cloud.url) == []


def test_a_journal_that_was_cut_short_is_read_and_written_on(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "state" / "journal.jsonl")
    journal.begin("http://a/", "compute", "one")
    with journal.path.open("a") as stream:
        stream.write('{"title": "one", "gon')
    journal.begin("http://a/", "storage", "two")
    journal.begin("http://b/", "compute", "three")
    journal.placed("two", "http://a/storage/2")
    journal.stays("two", "409")
    assert [(one.title, one.kind, one.location) for one in journal.left("http://a/")] == [
        ("one", "compute", ""),
        ("two", "storage", "http://a/storage/2"),
    ]
    journal.gone("one")
    assert [one.title for one in journal.left("http://a/")] == ["two"]
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert json.loads(journal.path.read_text().splitlines()[0])["title"] == "one"
