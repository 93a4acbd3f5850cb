"""The whole federation: up by the command, the story three times in a row, down without a trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo.calls import until
from demo.cast import PEOPLE, SITES
from demo.descendants import is_alive
from demo.status import status
from hanse.http import fetch

from .conftest import Federation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_status_tells_of_a_federation_that_is_up(federation: Federation) -> None:
    answer = federation.hanse("status", "--json")
    assert answer.returncode == 0
    told = json.loads(answer.stdout)
    assert told["up"] is True
    assert set(told) == set(status(federation.layout))  # the command prints what the contract's test looks at
    for one in told["services"].values():
        assert fetch("GET", one["url"] + "/readyz").status == 200
    assert all(told["ams"]["tokens"][site.name] for site in SITES)
    assert all(one["token"] for one in told["people"])
    assert {one["name"] for one in told["people"]} == {person.name for person in PEOPLE}
    for path in (told["voms"]["vomses"], told["voms"]["vomsdir"], told["mail"], told["ca"]["cert"]):
        assert Path(path).exists()
    assert told["voms"]["vo"] in Path(told["voms"]["vomses"]).read_text()


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_the_story_is_true(federation: Federation, turn: int) -> None:
    story = federation.hanse("story", "--seed", str(turn))
    print(story.stdout)
    assert story.returncode == 0, story.stdout + story.stderr
    assert "Everything was true." in story.stdout


def test_break_closes_the_port_of_a_cloud_and_mend_opens_it(federation: Federation) -> None:
    told = json.loads(federation.hanse("status", "--json").stdout)
    (bifi,) = [site for site in told["sites"] if site["name"] == "BIFI"]
    address = urlsplit(bifi["occi"])
    assert address.hostname
    assert address.port

    def answers() -> bool:
        with socket.socket() as sock:
            sock.settimeout(2)
            return sock.connect_ex((address.hostname, address.port)) == 0

    assert federation.hanse("break", "BIFI").returncode == 0
    until("BIFI refuses connections", lambda: not answers())
    assert federation.hanse("mend", "BIFI").returncode == 0
    until("BIFI answers again", answers)


def test_a_second_up_on_the_same_folder_is_refused(federation: Federation) -> None:
    second = federation.hanse("up", "--detach")
    assert second.returncode == 1
    assert "is up in" in second.stderr


def test_down_leaves_no_process_and_a_second_up_goes_on(federation: Federation) -> None:
    before = federation.processes()
    assert len(before) > 15
    assert federation.hanse("down").returncode == 0
    assert not [pid for pid in before if is_alive(pid)]
    answer = federation.hanse("status")
    assert answer.returncode == 1
    begun = time.monotonic()
    up = federation.hanse("up", "--detach")
    assert up.returncode == 0, up.stdout + up.stderr
    took = time.monotonic() - begun
    print(f"second start: {took:.1f} s")
    assert took < 30, "a later start is promised within 30 s"
    assert federation.hanse("story", "--seed", "4").returncode == 0


def test_ctrl_c_ends_the_whole_federation(federation: Federation) -> None:
    before = federation.processes()
    os.kill(federation.supervisor, signal.SIGINT)
    until("everything has ended", lambda: not [pid for pid in before if is_alive(pid)])
    assert federation.hanse("up", "--detach").returncode == 0


def test_nothing_outlives_a_supervisor_that_is_killed(federation: Federation) -> None:
    before = federation.processes()
    os.kill(federation.supervisor, 9)
    deadline = time.monotonic() + 30
    while left := [pid for pid in before if is_alive(pid)]:
        assert time.monotonic() < deadline, [Path(f"/proc/{pid}/cmdline").read_text() for pid in left]
        time.sleep(0.2)
