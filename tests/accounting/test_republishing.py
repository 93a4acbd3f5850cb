"""A month is taken out of the figures and comes again: never silently, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from accounting import archive, replay, republishing, summaries
from accounting.inbox import Arrival, Sender
from hanse import cms
from hanse.errors import NotFound, Refused
from tests.accounting.conftest import House
from tests.accounting.other_records import (
    accelerator,
    accelerators,
    address,
    addresses,
    job,
    jobs,
    storage,
    volume,
)
from tests.accounting.records import DAY, epoch, message, months_ago, record

TODAY = datetime.now(UTC).date()
START = months_ago(3, day=20)


def report(vm: str, until: datetime, **changes: Any) -> dict[str, Any]:
    """A machine of 2 cores that runs since START, measured at a time."""
    wall = epoch(until) - epoch(START)
    fields = {"RecordCreateTime": epoch(until), "StartTime": epoch(START), "WallDuration": wall}
    return record("BIFI", vm, **fields, CpuDuration=2 * wall, CpuCount=2, **changes)


@pytest.fixture
def used(house: House) -> House:
    """A machine with a report in each of three months, one that lived in the middle one alone, and another site's."""
    for month in (2, 1, 0):
        house.load(message(report("long", months_ago(month, day=1 if not month else 10))))
    start = epoch(months_ago(1, day=2))
    house.load(
        message(
            record(
                "BIFI", "wrong", RecordCreateTime=start + DAY, StartTime=start, EndTime=start + DAY,
                Status="completed",
            ),
            record("CESNET", "theirs", RecordCreateTime=start + DAY, StartTime=start),
        )
    )  # fmt: skip
    return house


def republish(house: House, months: int = 1) -> republishing.Withdrawn:
    month = months_ago(months).date().replace(day=1)
    return republishing.republish(house.db, "BIFI", month, "Laura Gil", "wrong machines were sent", TODAY)


def wall(house: House, vm: str) -> int:
    return sum(seconds for _, machine, _, seconds, _ in house.vm_months() if machine == vm)


def test_the_month_goes_and_what_later_reports_show_stays(used: House) -> None:
    whole = wall(used, "long")
    others = used.months(site="CESNET")
    done = republish(used)
    assert done.records == {"records of machines": 2}
    assert wall(used, "wrong") == 0
    assert wall(used, "long") == whole, "the report of this month still tells of all of it"
    assert used.months(site="CESNET") == others


def test_the_last_month_of_a_machine_goes_whole(used: House) -> None:
    republish(used, months=0)
    assert wall(used, "long") == epoch(months_ago(1)) - epoch(START)
    assert f"{months_ago(0):%Y-%m}" not in used.months(site="BIFI")


def test_figures_are_as_if_the_month_had_never_come(used: House, make_house: Any, database_for: Any) -> None:
    republish(used)
    fresh = make_house(database_for("accounting"))
    for month in (2, 0):
        fresh.load(message(report("long", months_ago(month, day=1 if not month else 10))))
    bifi = {row for row in used.vm_months() if row[0] == "BIFI"}
    assert bifi == fresh.vm_months()
    assert used.months(site="BIFI") == fresh.months(site="BIFI")


def test_what_the_site_sends_again_counts(used: House) -> None:
    before = used.months(site="BIFI")
    gone = wall(used, "wrong")
    republish(used)
    used.load(message(report("long", months_ago(1, day=10))), source="load")
    after = used.months(site="BIFI")
    assert sum(figures[0] for figures in before.values()) - gone == sum(
        figures[0] for figures in after.values()
    )


@pytest.fixture
def sent_again(house: House, cast: Any) -> Callable[..., int]:
    """Sends the same signed report of last month; what waits is loaded. Gives the message's number."""
    host, at = cast.host("BIFI"), epoch(months_ago(1))
    text_ = message(record("BIFI", "again", RecordCreateTime=at, StartTime=at - 60))
    body = cms.sign(text_.encode(), host.cert, host.key)

    def send(source: str, sender: str = "cASO") -> int:
        number = house.inbox.accept([Arrival(body, "a/1")], Sender(sender, sender, "BIFI"), source=source)[0]
        while house.loader.load_batch():
            pass
        summaries.summarise(house.db)
        return number

    return send


@pytest.mark.parametrize("source", ["https", "ams", "pull"])
def test_the_same_bytes_sent_again_count_again_once(
    house: House, sent_again: Callable[..., int], source: str
) -> None:
    number = sent_again(source)
    before, receipt = house.vm_months(), house.message(number).receipt
    republish(house)
    assert house.vm_months() == set()
    assert sent_again(source) == number
    assert house.vm_months() == before != set()
    assert sent_again(source) == number
    counted = house.message(number)
    assert (counted.receipt, counted.withdrawn_at, house.vm_months()) == (receipt, None, before)


def test_what_is_sent_again_for_one_month_undoes_no_correction_of_another(house: House, cast: Any) -> None:
    def job_of(month: int, **changes: Any) -> dict[str, Any]:
        at = epoch(months_ago(month))
        return job(job_id=f"job-{month}", StartTime=at - DAY, EndTime=at, **changes)

    host = cast.host("BIFI")
    body = cms.sign(jobs(job_of(2), job_of(1)).encode(), host.cert, host.key)

    def send() -> int:
        number = house.inbox.accept([Arrival(body, "a/1")], Sender("cASO", "cASO", "BIFI"), source="ams")[0]
        while house.loader.load_batch():
            pass
        return number

    def stored() -> list[tuple[str, int]]:
        with house.db.transaction() as session:
            rows = session.execute(text("select local_job_id, cpu_s from job_record order by 1")).all()
        return [(name, cpu) for name, cpu in rows]

    number = send()
    house.signed(jobs(job_of(1, CpuDuration=777)), host)
    before = stored()
    assert ("job-1", 777) in before
    republish(house, months=2)
    assert stored() == [("job-1", 777)]
    assert send() == number
    assert stored() == before


def test_a_message_put_back_counts_as_taken_out_while_another_month_of_it_is(house: House) -> None:
    number = house.receive(message(report("a", months_ago(2)), report("b", months_ago(1))), source="load")
    house.loader.load(number)
    first, second = republish(house, months=2), republish(house)
    republishing.put_back(house.loader, first.event, "Laura Gil")
    assert house.message(number).withdrawn_at is not None
    republishing.put_back(house.loader, second.event, "Laura Gil")
    assert house.message(number).withdrawn_at is None


def test_what_another_sends_again_does_not_bring_back_what_was_taken_out(
    house: House, sent_again: Callable[..., int]
) -> None:
    number = sent_again("ams")
    republish(house)
    assert sent_again("ams", "somebody else") == number
    assert house.vm_months() == set()


def test_it_is_told_with_its_reason_and_can_be_put_back(
    used: House, client: FlaskClient, laura: dict[str, str]
) -> None:
    before = used.vm_months()
    done = republish(used)
    log = client.get("/api/v1/usage-events?kind=republish", headers=laura).json
    assert log is not None
    assert log["items"][0]["sentence"].endswith("2 records of machines. Reason: wrong machines were sent")
    assert republishing.put_back(used.loader, done.event, "Laura Gil").counted == 2
    assert used.vm_months() == before
    log = client.get("/api/v1/usage-events?kind=republish", headers=laura).json
    assert log is not None
    assert "was put back: 2 messages" in log["items"][0]["sentence"]
    with pytest.raises(NotFound):
        republishing.put_back(used.loader, 10**6, "Laura Gil")


def test_a_month_of_very_many_messages_is_put_back_by_the_operators_command(
    used: House, client: FlaskClient, laura: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, event = used.vm_months(), republish(used).event
    monkeypatch.setattr(republishing, "MOST_IN_A_REQUEST", 1)
    answer = client.post(f"/api/v1/sites/BIFI/republished/{event}/put-back", json={}, headers=laura)
    assert answer.status_code == 422
    assert f"hanse accounting put-back {event}" in answer.text
    assert used.vm_months() != before
    republishing.put_back(used.loader, event, "the administrator")
    assert used.vm_months() == before


def test_a_message_that_cannot_be_read_again_keeps_the_others_out_no_longer(used: House) -> None:
    used.load(message(report("more", months_ago(1, day=11))))
    done = republish(used)
    used.redact(done.messages[0])
    back = republishing.put_back(used.loader, done.event, "Laura Gil")
    assert (back.counted, back.unread) == (2, 1)
    assert "was replaced on request" in back.reason
    assert wall(used, "wrong") == DAY
    assert wall(used, "more") > 0
    with used.db.transaction() as session:
        (told,) = session.scalars(text("select sentence from usage_event order by id desc limit 1"))
    assert "2 messages were loaded again. 1 could not be read again: " in told


def test_only_the_month_of_the_site_is_put_back(used: House) -> None:
    """One message tells of two sites and two months; of each, something else was taken out and stays out."""
    used.load(
        message(
            report("shared", months_ago(1, day=10)), report("shared", months_ago(2, day=10)),
            record("CESNET", "shared", RecordCreateTime=epoch(months_ago(1, day=5)), StartTime=epoch(months_ago(1))),
        )
    )  # fmt: skip
    before = republish(used)
    for site, months in (("CESNET", 1), ("BIFI", 2)):
        month = months_ago(months).date().replace(day=1)
        republishing.republish(used.db, site, month, "x", "and this one too", TODAY)
    republishing.put_back(used.loader, before.event, "Laura Gil")
    with used.db.transaction() as session:
        stored = session.execute(
            text("select site, measured_at from vm_snapshot where vmuuid = 'shared'")
        ).all()
    assert stored == [("BIFI", months_ago(1, day=10))]
    assert used.months(site="CESNET") == {}


def test_records_that_a_replay_counted_for_the_site_are_put_back_too(house: House, cast: Any) -> None:
    at = months_ago(1, day=10)
    times = {"RecordCreateTime": epoch(at), "StartTime": epoch(at) - DAY}
    text_ = message(
        record("BIFI-TEST", "a", **times), record("BIFI", "b", **times), record("BIFI-TEST", "c", **times)
    )
    house.signed(text_, cast.host("BIFI"))
    first, second = house.refused()
    replay.replay(house.loader, "BIFI", [first.id], as_site="BIFI", by="Laura Gil")
    before = house.vm_months()
    assert len(before) == 2
    done = republish(house)
    assert house.vm_months() == set()
    assert republishing.put_back(house.loader, done.event, "Laura Gil").counted == 2
    assert house.vm_months() == before
    assert [bad.id for bad in house.refused()] == [second.id]
    assert [bad.id for bad in house.refused("replayed")] == [first.id]
    stored = house.message(house.numbers[-1])
    assert (stored.records, stored.loaded, stored.refused) == (3, 2, 1)


def test_a_record_that_a_replay_counted_and_a_new_judgement_refuses_is_on_the_list_again(
    house: House, cast: Any
) -> None:
    house.signed(message(record("BIFI-TEST", "a")), cast.host("BIFI"))
    (bad,) = house.refused()
    replay.replay(house.loader, "BIFI", [bad.id], as_site="BIFI", by="Laura Gil")
    house.loader.load(house.numbers[-1])
    (again,) = house.refused()
    assert (again.id, again.decided_at, again.decided_by) == (bad.id, None, "")


SUMS = ("job_summary", "storage_summary", "accelerator_summary", "ip_summary", "usage_month")


def sums(house: House) -> dict[str, list[str]]:
    """All sums of the kinds beside machines."""
    with house.db.transaction() as session:
        return {
            table: list(session.scalars(text(f"select t::text from {table} t order by 1"))) for table in SUMS
        }


def test_records_of_every_kind_go_and_come_back(house: House) -> None:
    then = months_ago(1)
    house.load(
        jobs(job(), job(job_id="2", EndTime=epoch(months_ago(2)), StartTime=epoch(months_ago(2)) - 60))
    )
    house.load(storage([volume(then - timedelta(days=40), then, 2**40)]))
    house.load(accelerators(accelerator()))
    house.load(addresses(address()))
    before = sums(house)
    done = republish(house)
    assert done.records == {
        "jobs": 1,
        "records of storage": 1,
        "records of accelerators": 1,
        "records of public addresses": 1,
    }
    assert [len(rows) for table, rows in sums(house).items() if table != "usage_month"] == [1, 0, 0, 0]
    republishing.put_back(house.loader, done.event, "Laura Gil")
    assert sums(house) == before


def test_it_tries_once_more_when_another_transaction_was_let_go_first(used: House) -> None:
    with used.db.transaction() as session:
        session.execute(
            text(
                """
                create sequence tries;
                create function deadlock() returns trigger language plpgsql as $$ begin
                  if nextval('tries') = 1 then raise exception 'deadlock detected' using errcode = '40P01'; end if;
                  return null; end $$;
                create trigger deadlock before update on message for each statement execute function deadlock();
                """
            )
        )
    assert republish(used).records == {"records of machines": 2}
    assert wall(used, "wrong") == 0


def test_without_a_reason_or_a_month_nothing_is_taken_out(used: House) -> None:
    month = months_ago(1).date().replace(day=1)
    with pytest.raises(Refused, match="Why"):
        republishing.republish(used.db, "BIFI", month, "x", " ", TODAY)
    with pytest.raises(NotFound, match="has not begun"):
        republishing.republish(used.db, "BIFI", month.replace(year=month.year + 2), "x", "y", TODAY)
    with pytest.raises(NotFound, match="published nothing"):
        republishing.republish(used.db, "UKIM", month, "x", "y", TODAY)


def test_months_before_an_archive_are_restored_first(used: House, tmp_path: Any) -> None:
    archive.archive(used.db, tmp_path, months_ago(0).date().replace(day=1), "x")
    with pytest.raises(Refused, match="Bring them back first"):
        republish(used)


def test_the_site_takes_its_own_month_out_by_the_api(
    used: House, client: FlaskClient, laura: dict[str, str], eliska: dict[str, str]
) -> None:
    where = f"/api/v1/sites/BIFI/months/{months_ago(1):%Y-%m}/republish"
    assert client.post(where, json={"reason": "x"}, headers=eliska).status_code == 403
    assert client.post(where, json={}, headers=laura).status_code == 422
    done = client.post(where, json={"reason": "wrong machines"}, headers=laura).json
    assert done is not None
    assert done["records"] == {"records of machines": 2}
    back = client.post(
        f"/api/v1/sites/BIFI/republished/{done['event']}/put-back", json={}, headers=laura
    ).json
    assert back == {"counted": 2, "unread": 0, "reason": ""}
    again = client.post(f"/api/v1/sites/CESNET/republished/{done['event']}/put-back", json={}, headers=eliska)
    assert again.status_code == 404
