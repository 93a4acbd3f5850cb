"""Ten seeded runs of the story (HANSE_SOAK_RUNS: as many as you like) in which some process is killed at some
instant: nothing acknowledged is lost or doubled.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from demo.calls import Caller, until
from demo.cast import SITES, Site, person
from demo.descendants import descendants_of

from .conftest import Federation

RUNS = int(os.environ.get("HANSE_SOAK_RUNS", "10"))
pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600 + 90 * RUNS)]
# Its server with all that it has begun, one of its own processes, and the program that keeps it.
POSTGRESQL = ("bin/postgres", "postgres:", "hanse.postgres")
WORKERS = ("accounting worker", "monitoring worker")


def victims(federation: Federation) -> dict[int, str]:
    """Every process that may be killed, with its command; each kind is as likely as its number of
    processes.
    """
    found = {}
    for pid in descendants_of(federation.supervisor):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue
        if command:
            found[pid] = command
    return found


def kinds_of(federation: Federation) -> dict[str, list[int]]:
    """Process ids by kind of process."""
    kinds: dict[str, list[int]] = {}
    for pid, command in victims(federation).items():
        kinds.setdefault(_kind(command), []).append(pid)
    return kinds


def plan(federation: Federation) -> list[str]:
    """A kind of process for each run: PostgreSQL's three and the workers once in ten, others by the seed."""
    dice = random.Random("kinds")
    certain = [*POSTGRESQL, *WORKERS]
    others = sorted(set(kinds_of(federation)) - set(certain))
    turns = RUNS // 10
    chosen = certain * turns
    while len(chosen) < RUNS:
        chosen += dice.sample(others, min(len(others), RUNS - len(chosen)))
    dice.shuffle(chosen)
    return chosen


def _kind(command: str) -> str:
    for word in (*reversed(POSTGRESQL), "demo.sinks", "siteagent.cli", "demo.cloud"):
        if word in command:
            return word
    words = command.split()
    return " ".join(words[-2:])


def test_stories_with_a_kill_in_each_lose_and_double_nothing(federation: Federation) -> None:
    killed = plan(federation)
    for seed, kind in enumerate(killed):
        dice = random.Random(f"kill {seed}")
        command = [sys.executable, "-m", "hanse.cli", "demo", "story", "--data", str(federation.data)]
        with subprocess.Popen(
            [*command, "--seed", str(seed)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as story:
            time.sleep(dice.uniform(1, 15))
            pids = until(f"there is a process {kind}", lambda kind=kind: kinds_of(federation).get(kind))
            pid = dice.choice(sorted(pids))
            assert story.poll() is None, "the story was over before the kill"
            os.kill(pid, signal.SIGKILL)
            said, _ = story.communicate(timeout=300)
        assert story.returncode == 0, f"run {seed}, {kind} killed:\n{said}"
    print("killed:", ", ".join(killed))
    for site in SITES:
        until(f"all usage of {site.name} is acknowledged", lambda site=site: not _waiting(federation, site))
        check_messages(federation, site)
    check_memberships(federation)


def _waiting(federation: Federation, site: Site) -> list[Path]:
    return list((federation.layout.cloud(site) / "outbox").glob("*.msg"))


def check_messages(federation: Federation, site: Site) -> None:
    """Every message that the sender counts as acknowledged is there, once, with all its records."""
    sent = [json.loads(line) for line in _lines(federation.layout.cloud(site) / "sent.jsonl")]
    # The sender writes its count before it forgets a message: killed in between, it sends and counts it
    # again.
    counted = {one["empaid"]: one["records"] for one in sent}
    received = [one for one in _messages(federation, site) if one["empaid"] in counted]
    times = Counter(one["empaid"] for one in received)
    assert set(times) == set(counted), f"{site.name} lost {set(counted) - set(times)}"
    assert set(times.values()) == {1}, f"{site.name} doubled {[name for name, n in times.items() if n > 1]}"
    assert {one["empaid"]: one["records"] for one in received} == counted
    assert {one["state"] for one in received} == {"loaded"}
    assert sum(one["loaded"] for one in received) == sum(counted.values())


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _messages(federation: Federation, site: Site) -> list[dict[str, Any]]:
    layout = federation.layout
    admin = person(site.admin)
    caller = Caller(admin.name, layout.tls_url("accounting"), layout.bundle, cert=layout.credential(admin))
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = caller.get(f"/api/v1/sites/{site.name}/messages?limit=100{cursor}")
        found += page["items"]
        if not page["next"]:
            return found
        cursor = f"&cursor={page['next']}"


def check_memberships(federation: Federation) -> None:
    """Each story's researcher is a member once, and suspended: the last that was acknowledged."""
    layout = federation.layout
    marta = person("Marta Kowalska")
    caller = Caller(marta.name, layout.tls_url("vomsdb"), layout.bundle, cert=layout.credential(marta))
    page = caller.get("/api/v1/vos/training.egi.eu/members?q=researcher&limit=100")
    members = [one for one in page["items"] if one["email"].startswith("researcher")]
    assert len(members) == RUNS
    assert len({one["email"] for one in members}) == RUNS
    assert {one["state"] for one in members} == {"suspended"}
