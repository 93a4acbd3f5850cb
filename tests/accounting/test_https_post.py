"""Messages by HTTPS POST: who may, what is answered, what is plain and what must be signed, and how much is taken."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from accounting.app import create_app
from accounting.inbox import Inbox
from accounting.models import Message
from hanse import cms
from hanse.database import Database
from hanse.http import fetch
from tests.accounting.conftest import House
from tests.accounting.records import message, record
from tests.tls import serving

POST = "/api/v1/messages"
APEL = "/api/v1/cloud/record"


@pytest.fixture
def house(database_for: Callable[[str], Database], make_house: Callable[..., House]) -> House:
    """A house where UKIM may send without a signature."""
    return make_house(database_for("accounting"), unsigned_sites=("UKIM",))


@pytest.fixture
def ukim_token(house: House) -> dict[str, str]:
    return house.token("cASO at UKIM", "site_machine", "site:UKIM")


def send(client: FlaskClient, body: bytes, headers: dict[str, str], path: str = POST) -> TestResponse:
    return client.open(path, method="POST", data=body, headers=headers, content_type=None)


def signed(cast: Any, site: str = "BIFI", **changes: Any) -> bytes:
    host = cast.host(site)
    return cms.sign(message(record(site, **changes)).encode(), host.cert, host.key)


def stored(house: House) -> int:
    with house.db.transaction() as session:
        return session.scalar(select(func.count()).select_from(Message)) or 0


def test_a_signed_message_is_answered_202_with_a_receipt_and_where_its_verdict_stands(
    house: House, client: FlaskClient, bifi_token: dict[str, str], cast: Any
) -> None:
    body = signed(cast)
    answer = send(client, body, bifi_token)
    assert answer.status_code == 202
    receipt = answer.get_json()
    assert receipt["sha256"] == hashlib.sha256(body).hexdigest()
    assert (receipt["site"], receipt["unsigned"]) == ("BIFI", False)
    assert answer.headers["Location"] == receipt["verdict"]
    assert client.get(receipt["verdict"], headers=bifi_token).get_json()["state"] == "waiting"
    outcome = house.loader.load_next()
    assert outcome is not None
    verdict = client.get(receipt["verdict"], headers=bifi_token).get_json()
    assert (verdict["state"], verdict["loaded"], verdict["source"]) == ("loaded", 1, "https")


def test_the_certificate_of_the_connection_will_do(house: House, app: Flask, cast: Any, ca: Any) -> None:
    host = cast.host("BIFI")
    with serving(app, house.settings) as tls:
        pair = (host.cert_path, host.key_path)
        answer = fetch("POST", tls + POST, body=signed(cast), cert=pair, ca=ca.bundle, deadline_s=30)
        assert answer.status == 202
        assert answer.json()["site"] == "BIFI"
        apel = fetch(
            "POST", tls + APEL, body=signed(cast, vm="other"), cert=pair, ca=ca.bundle, deadline_s=30
        )
        assert (apel.status, apel.json()) == (202, "Data successfully saved for future loading.")
    assert stored(house) == 2


@pytest.mark.peer("openssl", "curl")
def test_the_commands_of_the_manual_do_it(
    house: House, app: Flask, bifi_token: dict[str, str], cast: Any, ca: Any, tmp_path: Path
) -> None:
    """docs/site.md: signed by openssl, sent by curl; with a token, then with the certificate, then packed."""
    host, signed_file = cast.host("BIFI"), tmp_path / "message.smime"
    (tmp_path / "records.txt").write_text(message(record("BIFI")))
    sign = ["openssl", "smime", "-sign", "-text", "-in", "records.txt", "-signer", host.cert_path, "-inkey"]
    run([*sign, host.key_path, "-out", signed_file], tmp_path)
    (tmp_path / "packed").write_bytes(gzip.compress(signed_file.read_bytes()))
    token = ["--header", f"Authorization: Bearer {bifi_token['x-api-key']}"]
    certificate = ["--cert", host.cert_path, "--key", host.key_path]
    with serving(app, house.settings) as tls:
        curl = ["curl", "--silent", "--show-error", "--fail-with-body", "--cacert", ca.bundle, f"{tls}{POST}"]
        first = run([*curl, "--data-binary", "@message.smime", *token], tmp_path)
        second = run([*curl, "--data-binary", "@message.smime", *certificate], tmp_path)
        packed = ["--header", "Content-Encoding: gzip", "--data-binary", "@packed"]
        third = run([*curl, *packed, *certificate], tmp_path)
    assert json.loads(first)["site"] == "BIFI"
    assert json.loads(second) == json.loads(third)
    outcome = house.loader.load_next()
    assert outcome is not None
    assert (outcome.loaded, outcome.reason) == (1, "")


def run(command: list[Any], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_site_that_says_so_in_the_registry_need_not_sign_until_it_says_so_no_longer(
    house: House, client: FlaskClient, bifi_token: dict[str, str]
) -> None:
    def post(vm: str) -> tuple[bool, int]:
        receipt = send(client, message(record("BIFI", vm)).encode(), bifi_token).get_json()
        outcome = house.loader.load_next()
        assert outcome is not None
        return receipt["unsigned"], outcome.loaded

    assert post("a") == (False, 0)
    house.site("BIFI", extensions={"accounting.unsigned": "Yes"})
    assert post("b") == (True, 1)
    house.site("BIFI", extensions={"accounting.unsigned": "false"})
    house.site("CESNET", extensions={"accounting.unsigned": "yes"})
    assert post("c") == (False, 0)


def test_what_was_refused_unsigned_counts_when_a_site_that_was_let_off_sends_it_again(
    house: House, client: FlaskClient, bifi_token: dict[str, str]
) -> None:
    body = message(record("BIFI", "a")).encode()
    first = send(client, body, bifi_token).get_json()["id"]
    house.loader.load_next()
    send(client, body, bifi_token)
    assert house.message(first).state == "refused"
    house.site("BIFI", extensions={"accounting.unsigned": "yes"})
    assert send(client, body, bifi_token).get_json()["id"] == first
    outcome = house.loader.load_next()
    assert outcome is not None
    assert (outcome.message, outcome.loaded, house.refused()) == (first, 1, [])
    send(client, body, bifi_token)
    assert house.loader.load_next() is None


def test_the_same_bytes_again_get_the_same_answer_and_count_once(
    house: House, client: FlaskClient, bifi_token: dict[str, str], cast: Any
) -> None:
    body = signed(cast)
    assert send(client, body, bifi_token).get_json() == send(client, body, bifi_token).get_json()
    assert send(client, body, bifi_token, APEL).status_code == 202
    assert stored(house) == 1


def test_two_senders_of_the_same_bytes_each_have_their_message(
    house: House, client: FlaskClient, bifi_token: dict[str, str], ukim_token: dict[str, str]
) -> None:
    """Else who is first could speak for the other."""
    body = message(record("UKIM")).encode()
    send(client, body, bifi_token)
    send(client, body, ukim_token)
    outcomes = [house.loader.load_next(), house.loader.load_next()]
    assert sorted(each.state for each in outcomes if each) == ["loaded", "refused"]


def test_a_site_that_may_sends_plain_text_and_speaks_for_itself_alone(
    house: House, client: FlaskClient, ukim_token: dict[str, str]
) -> None:
    receipt = send(
        client, message(record("UKIM", "own"), record("BIFI", "stolen")).encode(), ukim_token
    ).get_json()
    assert receipt["unsigned"] is True
    outcome = house.loader.load_next()
    assert outcome is not None
    assert (outcome.loaded, outcome.refused) == (1, 1)
    (bad,) = house.refused()
    assert (bad.site, bad.code) == ("UKIM", "not_signers_site")
    assert {site for site, *_ in house.vm_months()} == {"UKIM"}


def test_signed_text_of_such_a_site_is_judged_by_its_signature(
    house: House, client: FlaskClient, ukim_token: dict[str, str], cast: Any
) -> None:
    send(client, signed(cast, "UKIM"), ukim_token)
    send(
        client,
        signed(cast, "UKIM", vm="b").replace(b"WallDuration: 86400", b"WallDuration: 86401"),
        ukim_token,
    )
    states = [outcome.state for outcome in (house.loader.load_next(), house.loader.load_next()) if outcome]
    assert sorted(states) == ["loaded", "refused"]


@pytest.mark.parametrize("path", [POST, APEL])
def test_plain_text_of_any_other_site_is_taken_and_refused_with_the_reason(
    house: House, client: FlaskClient, bifi_token: dict[str, str], path: str
) -> None:
    assert send(client, message(record("BIFI")).encode(), bifi_token, path).status_code == 202
    house.loader.load_next()
    (bad,) = house.refused()
    assert (bad.site, bad.code) == ("BIFI", "not_signed")


def test_over_ams_such_a_site_signs_like_every_other(house: House, ukim_token: dict[str, str]) -> None:
    house.load(message(record("UKIM")), source="ams", site="UKIM")
    assert house.refused()[0].code == "not_signed"


def test_a_credential_of_several_sites_says_which_of_them_sends(
    house: House, client: FlaskClient, ukim_token: dict[str, str]
) -> None:
    house.token("cASO at UKIM", "site_machine", "site:BIFI")
    body = message(record("UKIM")).encode()
    assert send(client, body, ukim_token).get_json()["unsigned"] is False
    assert send(client, body, ukim_token, f"{POST}?site=UKIM").get_json()["unsigned"] is True
    refused = send(client, body, ukim_token, f"{POST}?site=CESNET")
    assert refused.status_code == 422
    assert "does not speak for CESNET" in refused.get_json()["detail"]


@pytest.mark.parametrize(("who", "status"), [("nobody", 401), ("a wrong token", 401), ("anna", 403)])
def test_who_may_not_publish_is_told_so(
    house: House, client: FlaskClient, anna: dict[str, str], who: str, status: int
) -> None:
    headers = {"anna": anna, "a wrong token": {"Authorization": "Bearer wrong"}}.get(who, {})
    ours = send(client, b"x", headers)
    assert (ours.status_code, ours.content_type) == (status, "application/problem+json")
    apels = send(client, b"x", headers, APEL)
    assert (apels.status_code, apels.data) == (status, b"")
    assert stored(house) == 0


def test_an_empty_body_is_refused_at_once(client: FlaskClient, bifi_token: dict[str, str]) -> None:
    assert send(client, b" \n", bifi_token).status_code == 422


@pytest.mark.parametrize("path", [POST, APEL])
def test_a_body_over_the_limit_is_413(
    house: House, client: FlaskClient, bifi_token: dict[str, str], path: str
) -> None:
    assert send(client, b"x" * 10_485_761, bifi_token, path).status_code == 413
    assert stored(house) == 0


def test_gzip_is_undone_and_the_message_is_the_text_inside(
    house: House, client: FlaskClient, bifi_token: dict[str, str], cast: Any
) -> None:
    body = signed(cast)
    packed = send(client, gzip.compress(body), bifi_token | {"Content-Encoding": "gzip"}).get_json()
    assert packed == send(client, body, bifi_token).get_json()
    assert house.message(packed["id"]).body == body


@pytest.mark.parametrize("path", [POST, APEL])
def test_a_gzip_bomb_is_413_before_it_is_unpacked(
    house: House, client: FlaskClient, bifi_token: dict[str, str], path: str
) -> None:
    bomb = gzip.compress(b"\0" * 200_000_000, 9)
    assert len(bomb) < 1_000_000
    assert send(client, bomb, bifi_token | {"Content-Encoding": "gzip"}, path).status_code == 413
    assert stored(house) == 0


@pytest.mark.parametrize(
    ("body", "coding", "status"),
    [
        (b"no gzip", "gzip", 400),
        (gzip.compress(b"x")[:-4], "gzip", 400),
        (gzip.compress(b"x") + b"y", "gzip", 400),
        (b"x", "br", 415),
        (b"x", "gzip, gzip", 415),
    ],
)
def test_codings_that_cannot_be_undone_are_refused(
    house: House, client: FlaskClient, bifi_token: dict[str, str], body: bytes, coding: str, status: int
) -> None:
    assert send(client, body, bifi_token | {"Content-Encoding": coding}).status_code == status
    assert stored(house) == 0


def test_no_room_is_503_in_both_and_nothing_is_lost(
    house: House, app: Flask, bifi_token: dict[str, str], cast: Any
) -> None:
    app.extensions["accounting.inbox"] = Inbox(house.db, max_waiting=0)
    with app.test_client() as client:
        answers = [send(client, signed(cast), bifi_token, path) for path in (POST, APEL)]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert "send again later" in answers[1].text
    assert stored(house) == 0


@pytest.fixture
def full_disk(house: House) -> Iterator[None]:
    """PostgreSQL takes no message, for want of room."""
    with house.db.engine.begin() as connection:
        connection.exec_driver_sql(
            "create function no_room() returns trigger language plpgsql as"
            " $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$"
        )
        connection.exec_driver_sql(
            "create trigger no_room before insert on message for each row execute function no_room()"
        )
    yield
    with house.db.engine.begin() as connection:
        connection.exec_driver_sql("drop trigger no_room on message")


def test_a_full_disk_is_503_everywhere(
    full_disk: None, client: FlaskClient, bifi_token: dict[str, str], cast: Any
) -> None:
    for path in (POST, APEL):
        answer = send(client, signed(cast), bifi_token, path)
        assert answer.status_code == 503
        assert "send it again later" in answer.text


def test_without_a_database_503(house: House, bifi_token: dict[str, str]) -> None:
    away = house.settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    app = create_app(away)
    with app.test_client() as client:
        statuses = [send(client, b"x", bifi_token, path).status_code for path in (POST, APEL)]
    app.extensions["hanse"].db.close()
    assert statuses == [503, 503]


def test_the_interface_is_in_the_api_description(client: FlaskClient) -> None:
    described = json.loads(client.get("/openapi.json").data)["paths"][POST]["post"]
    assert {"202", "401", "403", "413"} & set(described["responses"]) >= {"202"}
