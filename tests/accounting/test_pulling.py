"""Pulling from an AMS that others run: nothing lost, nothing twice, whatever dies or is late."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from accounting import pulling
from accounting.inbox import Inbox
from accounting.models import Message, PullState
from accounting.pulling import Puller
from hanse import cms
from hanse.ams import Ams, AmsFault
from hanse.errors import Unavailable
from tests.accounting.ams_stand_in import SUBSCRIPTION, TOKEN, Answer, StandIn, fault, serving_ams
from tests.accounting.conftest import House
from tests.accounting.programs import begin, wait_until
from tests.accounting.records import DAY, message, record

Pull = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def theirs() -> Iterator[StandIn]:
    """The AMS of the federation that moves over."""
    with serving_ams(StandIn()) as stand_in:
        yield stand_in


@pytest.fixture
def puller(house: House, theirs: StandIn) -> Puller:
    ams = Ams(theirs.url, "accounting", TOKEN, deadline_s=20)
    return Puller(ams, SUBSCRIPTION, house.db, house.inbox, at_most=100, poll_s=0.05)


def fill(theirs: StandIn, cast: Any, count: int) -> None:
    host = cast.host("BIFI")
    for number in range(count):
        body = cms.sign(message(record("BIFI", f"vm-{number}")).encode(), host.cert, host.key)
        theirs.put(body, f"6b029f5c/{number:014x}")


def messages(house: House) -> list[Message]:
    with house.db.transaction() as session:
        return list(session.scalars(select(Message).order_by(Message.id)))


def state(house: House) -> PullState:
    with house.db.transaction() as session:
        return session.scalars(select(PullState)).one()


def test_what_waits_is_stored_then_acknowledged_and_counts(
    house: House, puller: Puller, theirs: StandIn, cast: Any
) -> None:
    fill(theirs, cast, 3)
    assert puller.pull() == 3
    assert theirs.calls == ["pull", "acknowledge"]
    assert theirs.waiting == 0
    assert puller.pull() == 0
    while house.loader.load_next():
        pass
    assert [each.state for each in messages(house)] == ["loaded"] * 3
    assert {each.source for each in messages(house)} == {"pull"}
    assert messages(house)[0].empaid == "6b029f5c/00000000000000"
    told = state(house)
    assert (told.messages, told.error) == (3, "")
    assert told.message_at is not None
    assert told.pulled_at is not None
    assert told.pulled_at >= told.message_at


def test_nothing_is_acknowledged_that_is_not_safe(
    house: House, puller: Puller, theirs: StandIn, cast: Any
) -> None:
    fill(theirs, cast, 2)
    puller.inbox = Inbox(house.db, max_waiting=0)
    with pytest.raises(Unavailable):
        puller.pull()
    assert theirs.calls == ["pull"]
    assert theirs.waiting == 2


def test_an_acknowledgement_that_comes_too_late_brings_the_messages_again_and_they_count_once(
    house: House, puller: Puller, theirs: StandIn, cast: Any
) -> None:
    fill(theirs, cast, 8)
    theirs.ack_deadline_s = -1
    assert puller.pull() == 8
    assert theirs.waiting == 8
    theirs.ack_deadline_s = 10
    came = [puller.pull() for _ in range(3)]
    assert sum(came) == 8
    assert theirs.waiting == 0
    assert len(messages(house)) == 8


def test_while_acknowledging_is_late_fewer_are_asked_for_and_later_more_again(
    house: House, puller: Puller, theirs: StandIn, cast: Any
) -> None:
    fill(theirs, cast, 40)
    puller = Puller(puller.ams, SUBSCRIPTION, house.db, house.inbox, at_most=8)
    theirs.ack_deadline_s = -1
    assert [puller.pull() for _ in range(5)] == [8, 4, 2, 1, 1]
    theirs.ack_deadline_s = 10
    assert [puller.pull() for _ in range(5)] == [1, 2, 4, 8, 8]


def test_an_answer_too_large_to_be_read_makes_it_ask_for_fewer(
    house: House, puller: Puller, theirs: StandIn
) -> None:
    for number in range(8):
        theirs.put(b"x" * 30_000, f"6b/{number}")
    with Ams(theirs.url, "accounting", TOKEN, deadline_s=20, max_bytes=100_000) as small:
        puller.ams = small
        for _ in range(6):
            with pytest.raises(AmsFault, match="the most that is read"):
                puller.pull()
        assert puller.pull() == 1
    assert len(messages(house)) == 1


def test_to_pull_all_ends_also_when_no_acknowledgement_is_in_time(
    puller: Puller, theirs: StandIn, cast: Any
) -> None:
    fill(theirs, cast, 1)
    theirs.ack_deadline_s = -1
    with pytest.raises(Unavailable, match="longer ackDeadlineSeconds"):
        puller.pull_all()


def test_a_message_that_was_published_here_too_is_the_same_message(
    house: House, puller: Puller, theirs: StandIn, cast: Any
) -> None:
    """A site that moves over before its federation is done."""
    fill(theirs, cast, 1)
    host = cast.host("BIFI")
    body = cms.sign(message(record("BIFI", "other")).encode(), host.cert, host.key)
    theirs.put(body, "6b029f5c/other")
    house.receive(body, empaid="6b029f5c/other", site="BIFI")
    assert puller.pull() == 2
    assert len(messages(house)) == 2


def test_a_message_without_empaid_or_base64_holds_up_nothing(
    house: House, puller: Puller, theirs: StandIn, cast: Any
) -> None:
    theirs.put(b"nonsense")
    theirs.messages.append({"data": "no base64!", "attributes": {}})
    theirs.messages.append({"data": "", "attributes": None})
    fill(theirs, cast, 1)
    assert puller.pull() == 4
    while house.loader.load_next():
        pass
    assert sorted(each.state for each in messages(house)) == ["loaded", "refused", "refused", "refused"]


def test_pulled_messages_are_judged_like_those_that_sites_send(
    house: House, puller: Puller, theirs: StandIn
) -> None:
    theirs.put(message(record("BIFI")).encode(), "6b/1")
    puller.pull()
    house.loader.load_next()
    assert house.refused()[0].code == "not_signed"


@pytest.mark.parametrize(
    ("answer", "code", "passing"),
    [
        (fault(401, "Unauthorized", "UNAUTHORIZED"), 401, False),
        (fault(404, "Subscription doesn't exist", "NOT_FOUND"), 404, False),
        (fault(503, "busy", "INTERNAL_SERVER_ERROR"), 503, True),
        ((200, {}), 200, False),
        ((200, {"receivedMessages": [{"message": {}}]}), 200, False),
    ],
)
def test_a_fault_of_theirs_says_what_they_said(
    puller: Puller, theirs: StandIn, answer: Answer, code: int, passing: bool
) -> None:
    theirs.before = lambda _call: answer
    with pytest.raises(AmsFault) as caught:
        puller.pull()
    assert (caught.value.code, caught.value.passing) == (code, passing)
    told = answer[1].get("error", {}).get("message", theirs.url)
    assert told in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_it_goes_on_after_faults_and_writes_down_why_it_waits(
    house: House, puller: Puller, theirs: StandIn, cast: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "pause_s", lambda _failures: 0.05)
    fill(theirs, cast, 2)
    theirs.before = lambda _call: fault(500, "they are down", "INTERNAL_SERVER_ERROR")
    stop = threading.Event()
    thread = threading.Thread(target=puller.run, args=(stop,), daemon=True)
    thread.start()
    try:
        wait_until(lambda: theirs.calls.count("pull") > 2)
        assert "they are down" in state(house).error
        theirs.before = lambda _call: None
        wait_until(lambda: theirs.waiting == 0 and state(house).messages == 2)
        assert state(house).error == ""
    finally:
        stop.set()
        thread.join(20)


def test_the_pause_grows_to_five_minutes() -> None:
    pauses = [pulling.pause_s(failures) for failures in range(1, 2000)]
    assert pauses[0] < 1.3
    assert pauses[5] > 20
    assert max(pauses) <= 375
    assert min(pauses[20:]) >= 225


@pytest.fixture
def pull(house: House, theirs: StandIn) -> Pull:
    """`hanse accounting pull` as an operator would set it up."""
    (house.settings.data_dir / "pull-token").write_text(TOKEN + "\n")
    settings = {
        "pull_url": theirs.url,
        "pull_subscription": SUBSCRIPTION,
        "pull_token_file": "pull-token",
    }
    return partial(begin, house, "pull", settings=settings)


@pytest.mark.parametrize("moment", ["acknowledge", "pull"])
def test_a_process_killed_before_it_acknowledges_loses_nothing_and_counts_nothing_twice(
    house: House, theirs: StandIn, pull: Pull, cast: Any, moment: str
) -> None:
    """Killed while it asks, or when all is stored and the acknowledgement is on its way: both come again."""
    fill(theirs, cast, 5)
    reached, go_on = threading.Event(), threading.Event()

    def hold(call: str) -> Answer | None:
        if call == moment and not reached.is_set():
            reached.set()
            go_on.wait(60)
            return fault(503, "too late", "INTERNAL_SERVER_ERROR")
        return None

    theirs.before = hold
    process = pull()
    try:
        assert reached.wait(60)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
    finally:
        process.kill()
        go_on.set()
    assert len(messages(house)) == (5 if moment == "acknowledge" else 0)
    assert theirs.waiting == 5
    again = pull("--once")
    told, _ = again.communicate(timeout=60)
    assert again.returncode == 0, told
    assert "5 messages" in told
    assert theirs.waiting == 0
    assert len(messages(house)) == 5
    while house.loader.load_next():
        pass
    assert sum(wall for _, _, _, wall, _ in house.vm_months()) == 5 * DAY


def test_once_says_what_came_and_ends_with_1_and_a_sentence_when_it_cannot(
    theirs: StandIn, pull: Pull
) -> None:
    theirs.before = lambda _call: fault(401, "Unauthorized", "UNAUTHORIZED")
    process = pull("--once")
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "answered 401" in told
    assert "Traceback" not in told


def test_the_process_ends_at_sigterm(theirs: StandIn, pull: Pull) -> None:
    process = pull()
    try:
        wait_until(lambda: "pull" in theirs.calls)
        process.terminate()
        told, _ = process.communicate(timeout=30)
        assert process.returncode == 0, told
    finally:
        process.kill()
