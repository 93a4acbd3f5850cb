"""Publishing as AMS clients do it: exact answers, and the inbox before the answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from accounting.app import create_app
from accounting.inbox import Arrival, Inbox, Sender
from accounting.models import Message
from hanse import cms
from hanse.errors import Unavailable
from hanse.postgres import PrivatePostgres
from tests.accounting.conftest import House
from tests.accounting.records import message, record

PUBLISH = "/v1/projects/accounting/topics/eu-egi-cloud-accounting:publish"


def request_of(*bodies: bytes, empaid: str = "6b029f5c/6b029f6ba9e721") -> bytes:
    messages = [
        {"attributes": {"empaid": f"{empaid}{n or ''}"}, "data": base64.b64encode(body).decode()}
        for n, body in enumerate(bodies)
    ]
    return json.dumps({"messages": messages}).encode()


def post(client: FlaskClient, body: bytes, headers: dict[str, str], path: str = PUBLISH) -> TestResponse:
    """As ssmsend sends it: no Content-Type."""
    return client.open(path, method="POST", data=body, headers=headers, content_type=None)


def envelope(answer: TestResponse) -> tuple[int, str, str]:
    error = json.loads(answer.data)["error"]
    assert answer.status_code == error["code"]
    assert answer.content_type == "application/json; charset=utf-8"
    return error["code"], error["message"], error["status"]


def stored(house: House) -> int:
    with house.db.transaction() as session:
        return session.scalar(select(func.count()).select_from(Message)) or 0


def test_publishing_answers_exactly_200_with_one_id_a_message(
    house: House, client: FlaskClient, bifi_token: dict[str, str], cast: Any
) -> None:
    host = cast.host("BIFI")
    bodies = [cms.sign(message(record("BIFI", f"vm-{n}")).encode(), host.cert, host.key) for n in range(3)]
    answer = post(client, request_of(*bodies), bifi_token)
    assert answer.status_code == 200
    assert answer.content_type == "application/json; charset=utf-8"
    numbers = json.loads(answer.data)["messageIds"]
    assert len(numbers) == 3
    assert all(isinstance(number, str) for number in numbers)
    for number, body in zip(numbers, bodies, strict=True):
        assert house.message(int(number)).body == body
        assert house.message(int(number)).site == "BIFI"


def test_the_token_may_stand_in_the_address(client: FlaskClient, bifi_token: dict[str, str]) -> None:
    assert post(client, request_of(b"x"), {}, f"{PUBLISH}?key={bifi_token['x-api-key']}").status_code == 200


def test_a_message_sent_again_keeps_its_number_and_is_stored_once(
    house: House, client: FlaskClient, bifi_token: dict[str, str]
) -> None:
    first = post(client, request_of(b"once"), bifi_token).json
    second = post(client, request_of(b"once"), bifi_token).json
    assert first == second
    assert stored(house) == 1


@pytest.mark.parametrize("again", [request_of(b"other"), request_of(b"once", empaid="another")])
def test_another_content_or_another_empaid_is_another_message(
    house: House, client: FlaskClient, bifi_token: dict[str, str], again: bytes
) -> None:
    post(client, request_of(b"once"), bifi_token)
    post(client, again, bifi_token)
    assert stored(house) == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"\xff\xfe", message(record(WallDuration=-1)).encode()],
    ids=["empty", "no message", "not UTF-8", "unsigned and bad"],
)
def test_content_that_proves_bad_later_is_taken_all_the_same(
    house: House, client: FlaskClient, bifi_token: dict[str, str], body: bytes
) -> None:
    """Stock senders stop their whole queue at a 4xx."""
    answer = post(client, request_of(body), bifi_token)
    assert answer.status_code == 200
    outcome = house.loader.load_next()
    assert outcome is not None
    assert outcome.state == "refused"
    assert house.refused()[0].site == "BIFI"


def test_data_that_is_not_base64_is_taken_and_refused_with_that_reason(
    house: House, client: FlaskClient, bifi_token: dict[str, str]
) -> None:
    body = json.dumps({"messages": [{"attributes": {}, "data": "no base64 \ud800 here!"}]}).encode()
    assert post(client, body, bifi_token).status_code == 200
    house.loader.load_next()
    assert house.refused()[0].code == "not_base64"


def test_base64_in_lines_is_base64(house: House, client: FlaskClient, bifi_token: dict[str, str]) -> None:
    body = json.dumps({"messages": [{"data": base64.encodebytes(b"y" * 200).decode()}]}).encode()
    number = post(client, body, bifi_token).json["messageIds"][0]
    assert house.message(int(number)).body == b"y" * 200


def test_an_empaid_that_no_text_can_hold_is_no_obstacle(
    client: FlaskClient, bifi_token: dict[str, str]
) -> None:
    body = b'{"messages": [{"attributes": {"empaid": "a\\u0000b\\ud800' + b"x" * 400 + b'"}, "data": ""}]}'
    assert post(client, body, bifi_token).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}, {"x-api-key": ""}])
def test_without_a_known_token_401_in_the_envelope(
    house: House, client: FlaskClient, headers: dict[str, str]
) -> None:
    assert envelope(post(client, request_of(b"x"), headers)) == (401, "Unauthorized", "UNAUTHORIZED")
    assert stored(house) == 0


def test_a_session_cookie_or_an_identity_header_counts_for_nothing(client: FlaskClient) -> None:
    forged = {
        "SSL-CLIENT-S-DN": "/C=EU/O=Hanse Demo/OU=BIFI/CN=acct.bifi.example", "X-Remote-User": "operator",
        "SSL_CLIENT_VERIFY": "SUCCESS", "X-Forwarded-User": "Ingrid Holm",
    }  # fmt: skip
    assert post(client, request_of(b"x"), forged).status_code == 401


def test_somebody_who_may_not_publish_gets_403(client: FlaskClient, anna: dict[str, str]) -> None:
    answer = post(client, request_of(b"x"), anna)
    assert envelope(answer) == (403, "Access to this resource is forbidden", "FORBIDDEN")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/projects/accounting/topics/other:publish", "Topic doesn't exist"),
        ("/v1/projects/other/topics/eu-egi-cloud-accounting:publish", "ProjectUUID doesn't exist"),
    ],
)
def test_another_topic_is_404(client: FlaskClient, bifi_token: dict[str, str], path: str, words: str) -> None:
    assert envelope(post(client, request_of(b"x"), bifi_token, path)) == (404, words, "NOT_FOUND")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"{}", b'{"messages": []}', b'{"messages": [1]}', b'{"messages": [{"data": 7}]}',
        b'{"messages": [{"data": "", "attributes": 3}]}', b"\xff", b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_request_that_is_no_publish_is_400(
    client: FlaskClient, bifi_token: dict[str, str], body: bytes
) -> None:
    assert envelope(post(client, body, bifi_token)) == (400, "Invalid Message Arguments", "INVALID_ARGUMENT")


def test_a_body_over_10_mb_is_413(house: House, client: FlaskClient, bifi_token: dict[str, str]) -> None:
    answer = post(client, request_of(b"x" * 8_000_000), bifi_token)
    assert envelope(answer) == (413, "Message size is too large", "INVALID_ARGUMENT")
    assert stored(house) == 0


def test_a_body_of_just_under_10_mb_is_taken(client: FlaskClient, bifi_token: dict[str, str]) -> None:
    assert post(client, request_of(b"x" * 7_800_000), bifi_token).status_code == 200


def test_reading_what_can_only_be_published_to_is_404_in_the_envelope(
    client: FlaskClient, bifi_token: dict[str, str]
) -> None:
    assert envelope(client.get(PUBLISH, headers=bifi_token))[0] == 404


def test_version_and_status_are_open(client: FlaskClient) -> None:
    assert client.get("/v1/status").json == {"status": "ok"}
    assert "release" in (client.get("/v1/version").json or {})


def test_topics_are_listed(client: FlaskClient, bifi_token: dict[str, str]) -> None:
    name = "/projects/accounting/topics/eu-egi-cloud-accounting"
    listed = client.get("/v1/projects/accounting/topics", headers=bifi_token).json["topics"]  # type: ignore[index]
    assert {"name": name} in listed
    answer = client.get("/v1/projects/accounting/topics/eu-egi-cloud-accounting", headers=bifi_token)
    assert answer.json == {"name": name}
    assert client.get("/v1/projects/accounting/topics").status_code == 401


def test_a_full_inbox_is_503_and_loses_nothing(house: House, app: Flask, bifi_token: dict[str, str]) -> None:
    app.extensions["accounting.inbox"] = Inbox(house.db, max_waiting=1)
    with app.test_client() as client:
        assert post(client, request_of(b"first"), bifi_token).status_code == 200
    app.extensions["accounting.inbox"] = Inbox(house.db, max_waiting=1)  # the count is kept for some seconds
    with app.test_client() as client:
        code, words, _ = envelope(post(client, request_of(b"second"), bifi_token))
    assert code == 503
    assert "send again later" in words
    assert stored(house) == 1


def test_without_a_database_503_in_the_envelope(house: House, bifi_token: dict[str, str]) -> None:
    away = house.settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    app = create_app(away)
    with app.test_client() as client:
        code, words, _ = envelope(post(client, request_of(b"x"), bifi_token))
    app.extensions["hanse"].db.close()
    assert code == 503
    assert words


def test_a_message_is_on_disk_when_the_answer_comes(
    house: House, client: FlaskClient, bifi_token: dict[str, str], postgres: PrivatePostgres
) -> None:
    """Another connection sees it, whatever the server's default for commits is."""
    with house.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = house.db.engine.url.database
        connection.exec_driver_sql(f'alter database "{name}" set synchronous_commit = off')
    house.db.close()
    number = post(client, request_of(b"kept"), bifi_token).json["messageIds"][0]
    assert house.message(int(number)).body == b"kept"


def test_the_inbox_takes_all_messages_of_a_request_or_none(house: House) -> None:
    sender = Sender("token:x", "x")
    with pytest.raises(Exception, match="message_source"):
        house.inbox.accept([Arrival(b"a"), Arrival(b"b")], sender, source="nowhere")
    assert stored(house) == 0
    with pytest.raises(Unavailable):
        Inbox(house.db, max_waiting=0).accept([Arrival(b"a")], sender, source="ams")
