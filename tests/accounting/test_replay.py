"""Refused records: seen by their site, mended, replayed, counted once."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from accounting import replay
from hanse import cms
from hanse.errors import NotFound, Refused
from tests.accounting.conftest import House
from tests.accounting.records import DAY, message, record

PATH = "/api/v1/sites/BIFI/refused-records"


@pytest.fixture
def misnamed(house: House, cast: Any) -> list[int]:
    """Two records of BIFI under a wrong SiteName, in a message with a good one; the ids of the refused."""
    host = cast.host("BIFI")
    text = message(record("BIFI-TEST", "one-41881"), record("BIFI", "good"), record("BIFI-TEST", "one-41882"))
    house.signed(text, host, site="BIFI")
    return [bad.id for bad in house.refused()]


def wall(house: House, **where: str) -> int:
    return sum(seconds for seconds, _, _ in house.months(**where).values())


def test_refused_records_carry_reason_field_line_and_text(
    client: FlaskClient, misnamed: list[int], laura: dict[str, str]
) -> None:
    listed = client.get(PATH, headers=laura).json
    assert listed is not None
    assert [(each["subject"], each["record"], each["field"]) for each in listed["items"]] == [
        ("one-41882", 3, "SiteName"), ("one-41881", 1, "SiteName"),
    ]  # fmt: skip
    detail = client.get(f"{PATH}/{misnamed[0]}", headers=laura).json
    assert detail is not None
    assert detail["raw"].split("\n")[detail["line"] - detail["first_line"]] == "SiteName: BIFI-TEST"
    assert detail["replayable"] is True
    assert detail["cpu_hours"] == 96


def test_replaying_as_the_signers_site_counts_the_chosen_records(
    house: House, client: FlaskClient, misnamed: list[int], laura: dict[str, str]
) -> None:
    answer = client.post(f"{PATH}/replay", json={"ids": misnamed[:1], "as_site": "BIFI"}, headers=laura)
    assert answer.json == {"counted": 1, "refused": 0, "reason": ""}
    assert wall(house, site="BIFI") == 2 * DAY
    assert [bad.id for bad in house.refused()] == misnamed[1:]
    (done,) = house.refused("replayed")
    assert (done.decided_by, done.decided_at is not None) == ("Laura Gil", True)
    stored = house.message(house.numbers[-1])
    assert (stored.loaded, stored.refused) == (2, 1)


def test_a_replay_without_a_mended_cause_says_why_not(
    house: House, client: FlaskClient, misnamed: list[int], laura: dict[str, str]
) -> None:
    answer = client.post(f"{PATH}/replay", json={"ids": misnamed}, headers=laura).json
    assert answer is not None
    assert (answer["counted"], answer["refused"]) == (0, 2)
    assert "may speak for" in answer["reason"]
    assert len(house.refused()) == 2


def test_once_the_registry_knows_the_name_the_records_replay_as_they_are(
    house: House, client: FlaskClient, misnamed: list[int], laura: dict[str, str]
) -> None:
    house.site("BIFI", usage_site_names=["BIFI", "BIFI-TEST"])
    answer = client.post(f"{PATH}/replay", json={"ids": misnamed}, headers=laura).json
    assert answer is not None
    assert answer["counted"] == 2
    assert wall(house, site="BIFI") == 3 * DAY


def test_replaying_as_a_site_that_the_signer_may_not_speak_for_counts_nothing(
    house: House, client: FlaskClient, misnamed: list[int], operator: dict[str, str]
) -> None:
    body = {"ids": misnamed, "as_site": "CESNET"}
    answer = client.post(f"{PATH}/replay", json=body, headers=operator).json
    assert answer is not None
    assert answer["counted"] == 0
    assert wall(house, site="CESNET") == 0


@pytest.mark.parametrize("way", ["chosen", "all of a cause", "on the page"])
def test_records_count_as_another_sites_only_by_who_may_replay_that_sites_own(
    house: House, client: FlaskClient, laura: dict[str, str], way: str
) -> None:
    """A plain file that the administrator loaded speaks for every site: nothing else stands in the way."""
    house.load(message(record("BIFI", "negative", CpuCount=-1)))
    (bad,) = house.refused()
    if way == "chosen":
        answer = client.post(f"{PATH}/replay", json={"ids": [bad.id], "as_site": "CESNET"}, headers=laura)
    elif way == "all of a cause":
        body = {"code": bad.code, "as_site": "CESNET"}
        answer = client.post("/api/v1/sites/BIFI/replays", json=body, headers=laura)
    else:
        form = {"id": bad.id, "as_site": "CESNET"}
        answer = client.post("/refused/BIFI/replay", data=form, headers=laura)
    assert answer.status_code == (422 if way == "on the page" else 403), answer.text
    assert "site CESNET" in answer.text
    assert [one.state for one in house.refused()] == ["refused"]


@pytest.mark.parametrize("name", [None, "B" * 300])
def test_a_record_without_a_usable_name_of_a_site_stays_refused_and_says_why(
    house: House, cast: Any, name: str | None
) -> None:
    house.signed(message(record("BIFI", "nameless", SiteName=name), record("BIFI")), cast.host("BIFI"))
    (bad,) = house.refused()
    done = replay.replay(house.loader, "BIFI", [bad.id], as_site="BIFI", by="Laura Gil")
    assert (done.counted, done.refused, done.unread) == (0, 1, 0)
    assert "SiteName" in done.reason
    (still,) = house.refused()
    assert (still.field, house.message(house.numbers[-1]).attempts) == ("SiteName", 0)


def test_a_record_that_was_sent_again_meanwhile_is_not_added_twice(
    house: House, cast: Any, misnamed: list[int]
) -> None:
    host = cast.host("BIFI")
    resent = record("BIFI", "one-41881", WallDuration=DAY // 2)
    house.signed(message(resent), host)
    before = wall(house)
    replay.replay(house.loader, "BIFI", misnamed[:1], as_site="BIFI", by="Laura Gil")
    assert wall(house) == before  # the later receipt, the one sent again, counts


def test_a_replay_of_what_is_refused_no_longer_is_told(house: House, misnamed: list[int]) -> None:
    replay.replay(house.loader, "BIFI", misnamed, as_site="BIFI", by="Laura Gil")
    with pytest.raises(NotFound, match="replayed or discarded meanwhile"):
        replay.replay(house.loader, "BIFI", misnamed, as_site="BIFI", by="Laura Gil")


def test_only_sites_of_the_registry_can_be_replayed_as(house: House, misnamed: list[int]) -> None:
    with pytest.raises(Refused, match="not a site of the registry"):
        replay.replay(house.loader, "BIFI", misnamed, as_site="ATLANTIS", by="Laura Gil")


def test_records_of_another_site_cannot_be_replayed(
    client: FlaskClient, misnamed: list[int], eliska: dict[str, str]
) -> None:
    answer = client.post(
        "/api/v1/sites/CESNET/refused-records/replay", json={"ids": misnamed}, headers=eliska
    )
    assert answer.status_code == 404
    assert client.post(f"{PATH}/replay", json={"ids": misnamed}, headers=eliska).status_code == 403


def test_a_whole_message_replays_with_all_its_records(
    house: House, ca: Any, client: FlaskClient, laura: dict[str, str]
) -> None:
    host = ca.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=fresh.bifi.example", host="fresh.bifi.example")
    house.signed(message(record("BIFI", "a"), record("BIFI", "b", CpuCount=-1)), host, site="BIFI")
    (whole,) = house.refused()
    assert (whole.record, whole.subject) == (0, "whole message")
    house.register("BIFI", host)
    answer = client.post(f"{PATH}/replay", json={"ids": [whole.id]}, headers=laura).json
    assert answer is not None
    assert (answer["counted"], answer["refused"]) == (1, 1)
    assert [(bad.record, bad.code) for bad in house.refused()] == [(2, "bad_value")]
    stored = house.message(house.numbers[-1])
    assert (stored.state, stored.loaded, stored.refused) == ("loaded", 1, 1)


def test_a_replay_that_can_no_longer_open_the_message_leaves_what_was_counted(
    house: House, misnamed: list[int]
) -> None:
    for file in house.settings.trust_dir.iterdir():
        file.unlink()
    with pytest.raises(Refused, match="signature"):
        replay.replay(house.loader, "BIFI", misnamed, as_site="BIFI", by="Laura Gil")
    stored = house.message(house.numbers[-1])
    assert (stored.state, stored.loaded, stored.refused) == ("loaded", 1, 2)


def test_discarded_records_leave_the_list_and_stay_readable(
    house: House, client: FlaskClient, misnamed: list[int], laura: dict[str, str]
) -> None:
    answer = client.post(f"{PATH}/discard", json={"ids": misnamed, "reason": "a test"}, headers=laura)
    assert answer.json == {"discarded": 2}
    assert client.get(PATH, headers=laura).json["items"] == []  # type: ignore[index]
    discarded = client.get(f"{PATH}?state=discarded", headers=laura).json
    assert discarded is not None
    assert len(discarded["items"]) == 2
    assert wall(house) == DAY


def test_the_machines_of_a_site_read_their_refusals_with_their_token(
    client: FlaskClient, misnamed: list[int], bifi_token: dict[str, str]
) -> None:
    assert len(client.get(PATH, headers=bifi_token).json["items"]) == 2  # type: ignore[index]
    assert client.post(f"{PATH}/replay", json={"ids": misnamed}, headers=bifi_token).status_code == 403


def test_the_list_is_paged_and_there_as_csv(
    client: FlaskClient, misnamed: list[int], laura: dict[str, str]
) -> None:
    first = client.get(f"{PATH}?limit=1", headers=laura).json
    assert first is not None
    second = client.get(f"{PATH}?limit=1&cursor={first['next']}", headers=laura).json
    assert second is not None
    assert (first["items"][0]["id"], second["items"][0]["id"], second["next"]) == (
        misnamed[1],
        misnamed[0],
        None,
    )
    csv = client.get(f"{PATH}.csv", headers=laura).get_data(as_text=True)
    assert csv.startswith("id,message,record,site,site_name,code,field,line,reason")
    assert len(csv.strip().split("\r\n")) == 3


def test_what_is_nobodys_is_the_operators(
    house: House, client: FlaskClient, cast: Any, operator: dict[str, str], laura: dict[str, str]
) -> None:
    person = cast["Anna Lindqvist"]
    house.load(cms.sign(message(record("BIFI")).encode(), person.cert, person.key), source="ams")
    listed = client.get("/api/v1/sites/-/refused-records", headers=operator).json
    assert listed is not None
    assert [each["code"] for each in listed["items"]] == ["unknown_signer"]
    assert client.get("/api/v1/sites/-/refused-records", headers=laura).status_code == 403
    assert client.get(PATH, headers=laura).json["items"] == []  # type: ignore[index]
