"""Pushes: signed manifests are followed at once, everything else is refused before anything is fetched."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from siteagent.reporting import Report
from siteagent.server import Offer
from siteagent.serving import PushListener, _pause, poll_loop

from .conftest import NOW, Signer, member


@pytest.fixture
def push(site) -> Iterator[str]:
    agent = site.agent()
    with PushListener("127.0.0.1", 0, agent) as listener:
        stop = threading.Event()
        loop = threading.Thread(target=poll_loop, args=(agent, listener.inbox, stop, 3600))
        server = threading.Thread(target=listener.serve_forever, args=(0.02,))
        loop.start()
        server.start()
        yield f"http://127.0.0.1:{listener.server_port}/hanse/manifests"
        stop.set()
        listener.inbox.put(None)
        listener.shutdown()
        loop.join()
        server.join()


def _eventually(check: Any, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def test_a_pushed_manifest_is_applied_and_acknowledged(site, federation, push: str) -> None:
    _eventually(lambda: federation.calls.count("GET /replication/sites/CESNET/manifests") == 1)
    sha256 = federation.publish([member("Anna Lindqvist")], seq=1)
    answer = requests.post(push, json={"manifests": list(federation.manifests.values())}, timeout=5)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
    _eventually(lambda: [ack["sha256"] for ack in federation.acks] == [sha256])
    assert len(site.gridmap) == 1


def test_a_push_is_answered_also_when_nothing_is_new(site, federation, push: str) -> None:
    sha256 = federation.publish([member("Anna Lindqvist")], seq=1)
    body = {"manifests": list(federation.manifests.values())}
    for times in (1, 2):
        assert requests.post(push, json=body, timeout=5).status_code == 202
        _eventually(lambda times=times: len(federation.acks) >= times)
    assert {ack["sha256"] for ack in federation.acks} == {sha256}


@pytest.mark.parametrize(
    ("interval", "failures", "longest"), [(300, 0, 330), (300, 1, 2.2), (300, 20, 330), (5, 9, 5.5)]
)
def test_after_a_failure_the_next_poll_comes_sooner_never_later(interval, failures, longest) -> None:
    assert 0.8 * longest <= _pause(interval, failures) <= longest


def test_a_run_that_fails_is_logged_and_the_next_one_is_done(site, federation, caplog) -> None:
    agent, inbox, stop = site.agent(), queue.Queue(), threading.Event()
    runs = []

    def pull() -> Report:
        runs.append(len(runs))
        if len(runs) == 1:
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        stop.set()
        return Report()

    agent.pull = pull
    poll_loop(agent, inbox, stop, 0.01)
    assert runs == [0, 1]
    assert "surrogates not allowed" in caplog.text


def test_a_push_signed_by_a_stranger_is_refused_before_anything_is_fetched(federation, push: str) -> None:
    _eventually(lambda: len(federation.calls) == 2)
    before = list(federation.calls)
    federation.signer = Signer()
    federation.publish([member("Mallory")], seq=1)
    answer = requests.post(push, json={"manifests": list(federation.manifests.values())}, timeout=5)
    assert answer.status_code == 403
    assert "not pinned" in answer.json()["detail"]
    assert federation.calls == before


def test_a_push_of_nothing_is_refused(federation, push: str) -> None:
    answer = requests.post(push, json={"manifests": []}, timeout=5)
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        "A push must bring a manifest or a notice of keys.",
    )


def test_the_same_push_waits_once(site, federation) -> None:
    first, second = member("Anna Lindqvist"), member("Tomás Vidal")
    with PushListener("127.0.0.1", 0, site.agent()) as listener:
        server = threading.Thread(target=listener.serve_forever, args=(0.02,))
        server.start()
        url = f"http://127.0.0.1:{listener.server_port}/hanse/manifests"
        for seq, people in ((1, [first]), (1, [first]), (2, [first, second]), (1, [first])):
            federation.publish(people, seq=seq)
            body = {"manifests": list(federation.manifests.values())}
            assert requests.post(url, json=body, timeout=5).status_code == 202
        listener.shutdown()
        server.join()
    assert listener.inbox.qsize() == 2


def test_it_polls_however_many_pushes_wait(site) -> None:
    agent, inbox, stop = site.agent(), queue.Queue(), threading.Event()
    followed = []

    def receive(offer: Offer) -> Report:
        followed.append(offer)
        inbox.put(offer)  # the inbox is never empty
        if len(followed) == 1000:
            stop.set()  # it did not poll
        time.sleep(0.001)
        return Report()

    def pull() -> Report:
        if followed:
            stop.set()
        return Report()

    agent.receive, agent.pull = receive, pull
    inbox.put(Offer([{}]))
    poll_loop(agent, inbox, stop, 0.02)
    assert 0 < len(followed) < 1000


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"manifests": 3}'])
def test_a_body_that_is_no_push_is_refused(push: str, body: bytes) -> None:
    assert requests.post(push, data=body, timeout=5).status_code == 400


def test_a_huge_body_is_refused_unread(push: str) -> None:
    answer = requests.post(push, data=b"", headers={"Content-Length": str(2**40)}, timeout=5)
    assert answer.status_code == 400


def test_the_served_agent_ends_on_sigterm(site, federation) -> None:
    federation.now = datetime.now(UTC)
    federation.publish([member("Anna Lindqvist")], seq=1)
    command = [sys.executable, "-m", "siteagent.cli", "serve", "--state", str(site.state), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."}) as served:
        _eventually(lambda: federation.acks, seconds=15)
        served.send_signal(signal.SIGTERM)
        assert served.wait(timeout=10) == 0
        served.communicate()


def test_status_tells_what_is_held_as_json(site, federation, capsys) -> None:
    from siteagent.cli import main

    sha256 = federation.publish([member("Anna Lindqvist")], seq=4)
    site.agent().pull()
    assert main(["status", "--json", "--state", str(site.state)]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["vos"]["training.egi.eu"]["sha256"] == sha256
    assert status["vos"]["training.egi.eu"]["seq"] == 4
    assert status["changed_files"] == []
    assert NOW.year == 2026
