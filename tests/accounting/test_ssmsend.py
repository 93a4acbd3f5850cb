"""What stock ssmsend does with each of our answers: its own library (argo-ams-library), called as ssmsend calls it.

ssmsend publishes one message a request with `retry=3`, each with a deadline; here the pause between tries is none.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, request
from sqlalchemy import func, select

from accounting.inbox import Inbox
from accounting.models import Message
from hanse import cms
from hanse.ams import Ams, AmsFault, AmsMessage
from hanse.errors import Unavailable
from tests.accounting.ams_stand_in import SUBSCRIPTION, TOKEN, StandIn, serving_ams
from tests.accounting.conftest import House
from tests.accounting.records import message, record
from tests.accounting.test_peers import PEERS
from tests.hanse.test_serve import free_port
from tests.tls import serving

pytestmark = pytest.mark.peer("argo-ams-library")
SEND = """
import json, sys
from argo_ams_library import AmsException, AmsMessage, ArgoMessagingService
given = json.load(sys.stdin)
try:
    how = {"token": given["token"]} if given.get("token") else {"cert": given["cert"], "key": given["key"]}
    host, _, port = given["endpoint"].partition(":")
    ams = ArgoMessagingService(endpoint=host, authn_port=int(port), project=given["project"], **how)
    ams.endpoint = given["endpoint"]
    text = AmsMessage(data=given["data"], attributes={"empaid": "6b029f5c/6b029f6ba9e721"})
    said = ams.publish(given["topic"], text.dict(), retry=3, retrysleep=0.05, timeout=given["timeout"])
    print(json.dumps(["sent", said["messageIds"]]))
except AmsException as error:
    print(json.dumps([type(error).__name__, getattr(error, "code", None), str(error)]))
"""
PULL = """
import json, sys
from argo_ams_library import ArgoMessagingService
given = json.load(sys.stdin)
ams = ArgoMessagingService(endpoint=given["endpoint"], token=given["token"], project="accounting")
pulled = ams.pull_sub(given["subscription"], num="2", return_immediately=True)
print(json.dumps([[ack, each.get_msgid(), each.get_attr(), each.get_data().decode()] for ack, each in pulled]))
ams.ack_sub(given["subscription"], [ack for ack, _ in pulled])
"""


@pytest.fixture
def tries(app: Flask) -> list[str]:
    """The publish requests that reach the application."""
    seen: list[str] = []
    app.before_request(lambda: seen.append(request.path) if request.path.endswith(":publish") else None)
    return seen


@pytest.fixture
def tls(app: Flask, house: House, tries: list[str]) -> Iterator[str]:
    with serving(app, house.settings) as address:
        yield address.removeprefix("https://")


@pytest.fixture
def ssmsend(tls: str, ca: Any, cast: Any, bifi_token: dict[str, str]) -> Callable[..., list[Any]]:
    """One message sent the way of ssmsend; what its library made of our answers."""
    host = cast.host("BIFI")
    body = cms.sign(message(record("BIFI")).encode(), host.cert, host.key).decode()

    def send(**changes: Any) -> list[Any]:
        given = {
            "endpoint": tls, "token": bifi_token["x-api-key"], "project": "accounting", "data": body, "timeout": 30,
            "topic": "eu-egi-cloud-accounting",
        } | changes  # fmt: skip
        return run(SEND, given, ca)

    return send


def run(program: str, given: dict[str, Any], ca: Any) -> Any:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [PEERS, "-c", program], input=json.dumps(given), capture_output=True, text=True, timeout=120, check=False,
        env={**kept, "REQUESTS_CA_BUNDLE": str(ca.bundle)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def stored(house: House) -> int:
    with house.db.transaction() as session:
        return session.scalar(select(func.count()).select_from(Message)) or 0


class Troubled(Inbox):
    """An inbox that fails the first times: with no room, or by answering only when the sender has tried again."""

    def __init__(self, house: House, failures: int, slow: bool = False) -> None:
        super().__init__(house.db, 1000)
        self.failures, self.slow = failures, slow
        self.tried_again = threading.Event()

    def accept(self, *arguments: Any, **named: Any) -> list[int]:
        self.failures -= 1
        troubled = self.failures >= 0
        if troubled and not self.slow:
            raise Unavailable("The inbox is full; send again later.")
        numbers = super().accept(*arguments, **named)
        if troubled:
            assert self.tried_again.wait(60)
        else:
            self.tried_again.set()
        return numbers


def test_200_with_an_id_and_the_message_is_done(
    house: House, ssmsend: Callable[..., list[Any]], tries: list[str]
) -> None:
    said, numbers = ssmsend()
    assert said == "sent"
    assert len(tries) == 1
    assert house.message(int(numbers[0])).empaid == "6b029f5c/6b029f6ba9e721"


def test_with_a_certificate_and_no_token_it_gets_one_and_publishes(
    house: House, ssmsend: Callable[..., list[Any]], cast: Any
) -> None:
    host = cast.host("BIFI")
    said, numbers = ssmsend(token="", cert=str(host.cert_path), key=str(host.key_path))
    assert said == "sent"
    assert house.message(int(numbers[0])).sender_site == "BIFI"
    outcome = house.loader.load_next()
    assert outcome is not None
    assert outcome.loaded == 1


def test_a_certificate_that_is_not_registered_is_told_so_by_the_library(
    ssmsend: Callable[..., list[Any]], cast: Any, tries: list[str]
) -> None:
    anna = cast["Anna Lindqvist"]
    kind, code, words = ssmsend(token="", cert=str(anna.cert_path), key=str(anna.key_path))
    assert (kind, code) == ("AmsServiceException", 404)
    assert "Binding was not found" in words
    assert tries == []


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"token": "wrong"}, 401, "Unauthorized"),
        ({"topic": "elsewhere"}, 404, "Topic doesn't exist"),
        ({"project": "elsewhere"}, 404, "ProjectUUID doesn't exist"),
        ({"data": "x" * 9_000_000}, 413, "Message size is too large"),
    ],
    ids=["401", "404 topic", "404 project", "413"],
)
def test_a_4xx_is_told_and_not_tried_again(
    ssmsend: Callable[..., list[Any]], tries: list[str], changes: dict[str, Any], code: int, words: str
) -> None:
    """It ends the run of ssmsend, so it is kept for what the site alone can mend."""
    kind, told, said = ssmsend(**changes)
    assert (kind, told) == ("AmsServiceException", code)
    assert words in said
    assert len(tries) <= 1  # what is too large is turned away before


def test_403_for_somebody_who_may_not_publish(
    ssmsend: Callable[..., list[Any]], tries: list[str], anna: dict[str, str]
) -> None:
    kind, code, said = ssmsend(token=anna["Authorization"].removeprefix("Bearer "))
    assert (kind, code, len(tries)) == ("AmsServiceException", 403, 1)
    assert "Access to this resource is forbidden" in said


@pytest.mark.parametrize("data", ["", "nonsense", "Content-Type: multipart/signed\n\nx"])
def test_content_that_proves_bad_later_does_not_stop_its_queue(
    ssmsend: Callable[..., list[Any]], data: str
) -> None:
    assert ssmsend(data=data)[0] == "sent"


def test_without_room_it_tries_four_times_and_keeps_the_message(
    house: House, app: Flask, ssmsend: Callable[..., list[Any]], tries: list[str]
) -> None:
    app.extensions["accounting.inbox"] = Troubled(house, failures=4)
    kind, code, said = ssmsend()
    assert (kind, code) == ("AmsBalancerException", 503)
    assert "send again later" in said
    assert len(tries) == 4
    assert ssmsend()[0] == "sent"  # its next run
    assert stored(house) == 1


def test_trouble_that_passes_within_its_tries_is_not_even_told(
    house: House, app: Flask, ssmsend: Callable[..., list[Any]], tries: list[str]
) -> None:
    app.extensions["accounting.inbox"] = Troubled(house, failures=2)
    assert ssmsend()[0] == "sent"
    assert len(tries) == 3
    assert stored(house) == 1


def test_an_answer_that_comes_too_late_makes_it_send_again_and_the_message_counts_once(
    house: House, app: Flask, ssmsend: Callable[..., list[Any]], tries: list[str]
) -> None:
    """Its deadline is 10 s, here 3; the first answer comes only once it has tried again."""
    app.extensions["accounting.inbox"] = Troubled(house, failures=1, slow=True)
    assert ssmsend(timeout=3)[0] == "sent"
    assert len(tries) >= 2
    assert stored(house) == 1


def test_when_nobody_listens_it_tries_four_times_and_keeps_the_message(
    ssmsend: Callable[..., list[Any]],
) -> None:
    kind, _, said = ssmsend(endpoint=f"localhost:{free_port()}")
    assert kind == "AmsConnectionException"
    assert "refused" in said


def test_the_stand_in_that_pulling_is_tested_against_speaks_as_the_library_expects(
    house: House, ca: Any
) -> None:
    with serving_ams(StandIn(), house.settings) as theirs:
        theirs.put(b"first", "6b/1")
        theirs.put(b"second", "6b/2")
        endpoint = theirs.url.removeprefix("https://")
        given = {"endpoint": endpoint, "token": TOKEN, "subscription": SUBSCRIPTION}
        pulled = run(PULL, given, ca)
        assert [(number, attributes, data) for _, number, attributes, data in pulled] == [
            ("0", {"empaid": "6b/1"}, "first"),
            ("1", {"empaid": "6b/2"}, "second"),
        ]
        assert theirs.waiting == 0


def test_our_own_client_publishes_to_our_own_server(
    house: House, tls: str, ca: Any, bifi_token: dict[str, str]
) -> None:
    with Ams(f"https://{tls}", "accounting", bifi_token["x-api-key"], ca.bundle, deadline_s=30) as ams:
        numbers = ams.publish("eu-egi-cloud-accounting", [AmsMessage(b"a", "6b/1"), AmsMessage(b"b", "6b/2")])
        assert [house.message(int(number)).body for number in numbers] == [b"a", b"b"]
        with pytest.raises(AmsFault, match="Topic doesn't exist") as caught:
            ams.publish("elsewhere", [AmsMessage(b"a")])
        assert (caught.value.code, caught.value.passing) == (404, False)
