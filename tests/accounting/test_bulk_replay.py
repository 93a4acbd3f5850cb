"""Replays of many in the background, discards taken back, remarks as a list of their own, and the log of it all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from accounting import bulk_replay, replay
from accounting.judging import Verdict
from accounting.models import Message, RefusedRecord
from hanse.errors import Conflict, NotFound
from tests.accounting.conftest import House
from tests.accounting.records import DAY, message, record

SITE = "/api/v1/sites/BIFI"


@pytest.fixture
def many(house: House, cast: Any) -> House:
    """Two messages of BIFI with three misnamed records each, and one record that nothing can mend."""
    for number in range(2):
        named = [record("BIFI-TEST", f"vm-{number}-{at}") for at in range(3)]
        house.signed(
            message(*named, record("BIFI", f"bad-{number}", CpuCount=-1)), cast.host("BIFI"), site="BIFI"
        )
    return house


def ask(client: FlaskClient, laura: dict[str, str], **body: Any) -> dict[str, Any]:
    answer = client.post(f"{SITE}/replays", json={"code": "not_signers_site"} | body, headers=laura)
    assert answer.status_code == 202, answer.text
    assert answer.json is not None
    return dict(answer.json)


def wall(house: House) -> int:
    return sum(seconds for seconds, _, _ in house.months(site="BIFI").values())


def test_a_replay_of_a_period_leaves_older_records_alone(many: House) -> None:
    with many.db.transaction() as session:
        first = session.scalars(select(RefusedRecord).order_by(RefusedRecord.id)).first()
        assert first is not None
        first.received_at = datetime.now(UTC) - timedelta(days=8)
        older = first.id
    choice = bulk_replay.Choice("not_signers_site", None, None, "BIFI", datetime.now(UTC) - timedelta(days=7))
    with many.db.transaction() as session:
        assert bulk_replay.ask(session, "BIFI", choice, "a test").records == 5
    bulk_replay.work_off(many.loader)
    assert [bad.id for bad in many.refused() if bad.code == "not_signers_site"] == [older]


def test_all_of_one_cause_are_replayed_and_the_progress_is_told(
    many: House, client: FlaskClient, laura: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_replay, "PORTION", 4)
    asked = ask(client, laura, as_site="BIFI")
    assert (asked["state"], asked["records"], asked["done"]) == ("waiting", 6, 0)
    assert bulk_replay._portion(many.loader, asked["id"])
    half = client.get(f"{SITE}/replays/{asked['id']}", headers=laura).json
    assert half is not None
    assert (half["state"], half["done"], half["counted"]) == ("running", 4, 4)
    assert bulk_replay.work_off(many.loader) == "1 replays of many worked off."
    (whole,) = client.get(f"{SITE}/replays", headers=laura).json["items"]  # type: ignore[index]
    assert (whole["state"], whole["done"], whole["counted"], whole["refused"]) == ("done", 6, 6, 0)
    assert whole["finished_at"] is not None
    assert wall(many) == 6 * DAY
    assert [bad.code for bad in many.refused()] == ["bad_value", "bad_value"]
    log = client.get("/api/v1/usage-events?kind=replay", headers=laura).json["items"]  # type: ignore[index]
    assert [one["done_by"] for one in log] == ["Laura Gil"]
    assert log[0]["sentence"].startswith("6 of 6 refused records of BIFI")


def test_what_is_refused_still_is_counted_with_its_reason(
    many: House, client: FlaskClient, laura: dict[str, str]
) -> None:
    asked = ask(client, laura)
    bulk_replay.work_off(many.loader)
    done = client.get(f"{SITE}/replays/{asked['id']}", headers=laura).json
    assert done is not None
    assert (done["state"], done["counted"], done["refused"]) == ("done", 0, 6)
    assert "may speak for" in done["reason"]


def test_a_run_whose_process_was_killed_between_portions_goes_on_and_counts_once(
    many: House, client: FlaskClient, laura: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(client, laura, as_site="BIFI")
    monkeypatch.setattr(bulk_replay, "PORTION", 2)
    noted = bulk_replay._note
    monkeypatch.setattr(bulk_replay, "_note", lambda *_: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):  # after the records were counted, before the run knows it
        bulk_replay.work_off(many.loader)
    monkeypatch.setattr(bulk_replay, "_note", noted)
    bulk_replay.work_off(many.loader)
    done = client.get(f"{SITE}/replays/{asked['id']}", headers=laura).json
    assert done is not None
    assert (done["state"], done["done"], done["counted"]) == ("done", 6, 6)
    assert wall(many) == 6 * DAY


def test_one_run_at_a_time_for_a_cause_and_none_without_records(
    many: House, client: FlaskClient, laura: dict[str, str], eliska: dict[str, str]
) -> None:
    ask(client, laura)
    again = client.post(f"{SITE}/replays", json={"code": "not_signers_site"}, headers=laura)
    assert again.status_code == 409
    with many.db.transaction() as session, pytest.raises(NotFound, match="nothing to replay"):
        bulk_replay.ask(session, "CESNET", bulk_replay.Choice("bad_value"), "x")
    with many.db.transaction() as session, pytest.raises(Conflict):
        bulk_replay.ask(session, "BIFI", bulk_replay.Choice("not_signers_site"), "x")
    with many.db.transaction() as session, pytest.raises(NotFound):
        bulk_replay.one(session, "CESNET", 1)
    assert client.get(f"{SITE}/replays", headers=eliska).status_code == 403
    body = {"code": "bad_value", "as_site": "NOWHERE"}
    assert client.post(f"{SITE}/replays", json=body, headers=laura).status_code == 422


def test_a_run_that_cannot_go_on_says_why(many: House, client: FlaskClient, laura: dict[str, str]) -> None:
    asked = ask(client, laura, as_site="BIFI")
    for file in many.settings.trust_dir.iterdir():
        file.unlink()
    bulk_replay.work_off(many.loader)
    done = client.get(f"{SITE}/replays/{asked['id']}", headers=laura).json
    assert done is not None
    assert done["state"] == "failed"
    assert "signature" in done["reason"]


@pytest.mark.parametrize("lost", ["redacted", "failed"])
def test_a_message_that_cannot_be_read_again_keeps_nothing_back_and_is_told(
    many: House, client: FlaskClient, laura: dict[str, str], monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    lose(many, monkeypatch, lost)
    monkeypatch.setattr(bulk_replay, "PORTION", 3)
    asked = ask(client, laura, as_site="BIFI")
    bulk_replay.work_off(many.loader)
    done = client.get(f"{SITE}/replays/{asked['id']}", headers=laura).json
    assert done is not None
    assert (done["state"], done["counted"], done["refused"]) == ("done", 3, 3)
    assert WHY[lost] in done["reason"]
    (log,) = client.get("/api/v1/usage-events?kind=replay", headers=laura).json["items"]  # type: ignore[index]
    assert log["sentence"].startswith("3 of 6 refused records of BIFI")
    assert "3 could not be read again: " in log["sentence"]


@pytest.mark.parametrize("lost", ["redacted", "failed"])
def test_chosen_records_beside_one_that_cannot_be_read_again_count(
    many: House, client: FlaskClient, laura: dict[str, str], monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    lose(many, monkeypatch, lost)
    ids = [bad.id for bad in many.refused() if bad.code == "not_signers_site"]
    done = replay.replay(many.loader, "BIFI", ids, as_site="BIFI", by="Laura Gil")
    assert (done.counted, done.refused, done.unread) == (3, 3, 3)
    assert WHY[lost] in done.reason
    assert wall(many) == 3 * DAY
    (log,) = client.get("/api/v1/usage-events?kind=replay", headers=laura).json["items"]  # type: ignore[index]
    assert "3 could not be read again: " in log["sentence"]


WHY = {"redacted": "was replaced on request", "failed": "The loader failed on message 1"}


def lose(house: House, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Let the first message be one that nobody can read again."""
    first = house.numbers[0]
    if how == "redacted":
        house.redact(first)
        return
    judge = house.loader.judge

    def failing(message: Message, *given: Any) -> Verdict:
        if message.id == first:
            raise RuntimeError("a fault of ours")
        return judge(message, *given)

    monkeypatch.setattr(house.loader, "judge", failing)


def test_what_was_discarded_can_be_taken_back_and_both_are_in_the_log(
    many: House, client: FlaskClient, laura: dict[str, str]
) -> None:
    ids = [bad.id for bad in many.refused() if bad.code == "bad_value"]
    where = f"{SITE}/refused-records"
    assert client.post(f"{where}/discard", json={"ids": ids}, headers=laura).status_code == 422, (
        "a reason is needed"
    )
    client.post(f"{where}/discard", json={"ids": ids, "reason": "test machines"}, headers=laura)
    (one, _) = client.get(f"{where}?state=discarded", headers=laura).json["items"]  # type: ignore[index]
    assert (one["decided_by"], one["decided_why"]) == ("Laura Gil", "test machines")
    back = client.post(f"{where}/take-back", json={"ids": ids}, headers=laura)
    assert back.json == {"taken_back": 2}
    assert {bad.id for bad in many.refused()} >= set(ids)
    assert client.post(f"{where}/take-back", json={"ids": ids}, headers=laura).status_code == 404
    log = client.get("/api/v1/usage-events?kind=discard", headers=laura).json["items"]  # type: ignore[index]
    assert ["Reason: test machines" in one["sentence"] for one in log] == [False, True]


def test_single_replays_are_in_the_log(many: House, client: FlaskClient, laura: dict[str, str]) -> None:
    ids = [bad.id for bad in many.refused() if bad.code == "not_signers_site"][:2]
    replay.replay(many.loader, "BIFI", ids, as_site="BIFI", by="Laura Gil")
    (one,) = client.get("/api/v1/usage-events", headers=laura).json["items"]  # type: ignore[index]
    assert one["sentence"] == "2 refused records of BIFI were counted by a replay."


def test_records_accepted_with_a_remark_are_a_list_of_their_own(
    house: House, client: FlaskClient, laura: dict[str, str], eliska: dict[str, str]
) -> None:
    for at in range(2):
        house.load(
            message(
                record("BIFI", f"a{at}", CpuDuration=10**6, Colour="red"), record("BIFI", f"b{at}", Colour=1)
            )
        )
    listed = client.get(f"{SITE}/remarks", headers=laura).json
    assert listed is not None
    codes = [(one["code"], one["records"]) for one in listed["items"]]
    assert codes == 2 * [("cpu_beyond_wall", 1), ("unknown_field", 2)]
    assert listed["items"][1]["title"] == "unknown field"
    first = client.get(f"{SITE}/remarks?limit=3", headers=laura).json
    assert first is not None
    rest = client.get(f"{SITE}/remarks?limit=3&cursor={first['next']}", headers=laura).json
    assert rest is not None
    assert first["items"] + rest["items"] == listed["items"]
    only = client.get(f"{SITE}/remarks?code=unknown_field", headers=laura).json
    assert only is not None
    assert len(only["items"]) == 2
    assert client.get(f"{SITE}/remarks.csv", headers=laura).text.startswith("message,site,code,title,field")
    assert client.get(f"{SITE}/remarks", headers=eliska).status_code == 403
