"""Upward: what a higher federation is told, when it is told again, and that nothing is told twice or lost."""

from __future__ import annotations

import base64
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from accounting import archive, summaries
from accounting.forwarding import content, sending
from accounting.forwarding.due import note_everything
from accounting.forwarding.sending import Forwarder, make_forwarder
from accounting.hiding.replacing import replace_name
from accounting.models import ForwardDue, ForwardedMessage
from hanse import cms
from hanse.ams import AmsFault
from hanse.database import Database
from hanse.errors import Conflict, Refused
from hanse.identity.trust import TrustStore
from tests.accounting.ams_stand_in import TOKEN, Answer, StandIn, fault, serving_ams
from tests.accounting.conftest import House
from tests.accounting.programs import begin
from tests.accounting.records import DAY, epoch, lines, message, months_ago, record

Forward = Callable[..., subprocess.Popen[str]]
JOB_TOPIC = "gLite-APEL"


@pytest.fixture
def above() -> Iterator[StandIn]:
    """The AMS of the higher federation."""
    with serving_ams(StandIn()) as stand_in:
        yield stand_in


@pytest.fixture
def house(database_for: Callable[[str], Database], make_house: Callable[..., House], above: StandIn) -> House:
    """Accounting of a federation that reports upward."""
    return make_house(database_for("accounting"), forward_url=above.url, forward_token=TOKEN)


@contextmanager
def forwarding(house: House, **changes: Any) -> Iterator[Forwarder]:
    with make_forwarder(house.settings.model_copy(update=changes), house.db) as forwarder:
        yield forwarder


def forward(house: House, **changes: Any) -> tuple[int, int]:
    """(messages written, messages sent) of one run."""
    with forwarding(house, **changes) as forwarder:
        done = forwarder.forward()
    return done.written, done.sent


def machine(vm: str, months: int = 1, wall: int = DAY, site: str = "BIFI", **changes: Any) -> dict[str, Any]:
    """A machine that ran in the month so many before this one."""
    end = months_ago(months)
    times = {"RecordCreateTime": epoch(end), "StartTime": epoch(end) - wall}
    return record(site, vm, WallDuration=wall, CpuDuration=4 * wall, **(times | changes))


def job_summary(jobs: int = 10, months: int = 1, **changes: Any) -> str:
    month = months_ago(months)
    fields = {
        "Site": "BIFI", "Month": month.month, "Year": month.year, "VO": "vo.harbour.example.org", "SubmitHost": "ce1",
        "InfrastructureType": "grid", "ServiceLevelType": "hepspec", "ServiceLevel": "10.5", "NodeCount": 1,
        "Processors": 8, "WallDuration": 3600 * jobs, "CpuDuration": 3000 * jobs, "NumberOfJobs": jobs,
    } | changes  # fmt: skip
    return "APEL-summary-job-message: v0.2\n" + lines(fields)


def texts(above: StandIn, house: House) -> list[str]:
    """What the higher federation received, verified, oldest first."""
    trust = TrustStore(house.settings.trust_dir)
    return [cms.verify(base64.b64decode(each["data"]), trust).content.decode() for each in above.published]


def in_state(house: House, state: str) -> int:
    with house.db.transaction() as session:
        statement = select(func.count()).select_from(ForwardedMessage).where(ForwardedMessage.state == state)
        return session.scalar(statement) or 0


def test_summaries_go_up_in_apels_message_signed_with_the_federations_certificate(
    house: House, above: StandIn, cast: Any
) -> None:
    house.load(message(machine("a"), machine("b")))
    assert forward(house) == (1, 1)
    (sent,) = above.published
    signed = cms.verify(base64.b64decode(sent["data"]), TrustStore(house.settings.trust_dir))
    assert signed.signer == cast.local().cert
    month = months_ago(1)
    told = dict(line.split(": ", 1) for line in texts(above, house)[0].splitlines() if ": " in line)
    assert told["APEL-cloud-summary-message"] == "v0.4"
    assert (told["SiteName"], told["Month"], told["Year"]) == ("BIFI", str(month.month), str(month.year))
    assert (told["WallDuration"], told["CpuDuration"], told["NumberOfVMs"]) == (
        str(2 * DAY),
        str(8 * DAY),
        "2",
    )
    assert above.calls == ["publish"]


def test_what_was_told_is_not_told_again(house: House, above: StandIn) -> None:
    house.load(message(machine("a")))
    assert forward(house) == (1, 1)
    assert forward(house) == (0, 0)
    house.load(message(machine("a")))  # the same report again changes nothing
    assert forward(house) == (0, 0)
    assert len(above.published) == 1


def test_a_month_that_changed_is_told_again_and_no_other(house: House, above: StandIn) -> None:
    house.load(message(machine("a", 2), machine("b", 1)))
    assert forward(house) == (2, 2)
    house.load(message(machine("c", 2)))
    assert forward(house) == (1, 1)
    month = months_ago(2)
    assert f"Month: {month.month}\nYear: {month.year}\n" in texts(above, house)[-1]
    assert "NumberOfVMs: 2\n" in texts(above, house)[-1]


def test_a_group_that_is_gone_is_told_as_zero(house: House, above: StandIn) -> None:
    """APEL keeps a summary until one of the same key comes: a machine that ends would count as started for ever."""
    house.load(message(machine("a")))
    forward(house)
    house.load(message(machine("a", Status="completed", EndTime=epoch(months_ago(1)))))
    assert forward(house) == (1, 1)
    parts = texts(above, house)[-1].split("%%")
    by_status = {
        ("started" if "Status: started" in part else "completed"): part for part in parts if "Status" in part
    }
    assert "NumberOfVMs: 0\n" in by_status["started"]
    assert "WallDuration: 0\n" in by_status["started"]
    assert "NumberOfVMs: 1\n" in by_status["completed"]


def test_a_hanse_above_takes_all_that_is_forwarded_a_negative_month_and_what_is_gone_too(
    house: House, above: StandIn, make_house: Callable[..., House], database_for: Any, cast: Any
) -> None:
    """APEL's view has a negative month where a counter began anew; above it counts as 0, with a remark."""
    house.load(
        message(machine("a", 2, wall=10 * DAY), machine("a", 1, wall=DAY), machine("b", 1, FQAN="chipster"))
    )
    forward(house)
    ended = {"Status": "completed", "EndTime": epoch(months_ago(1))}
    house.load(message(machine("b", 1, FQAN="chipster", **ended)))
    forward(house)
    assert any("WallDuration: -" in text_ for text_ in texts(above, house))
    assert any("NumberOfVMs: 0" in text_ for text_ in texts(above, house))
    higher = make_house(database_for("accounting"))
    higher.register("BIFI", cast.local())
    for at, sent in enumerate(above.published):
        outcome = higher.load(base64.b64decode(sent["data"]), source="ams", empaid=f"up/{at}")
        assert (outcome.state, outcome.refused) == ("loaded", 0)
    assert set(higher.remarks()) == {"negative_sum"}
    assert {month: wall for month, (wall, _, _) in higher.months().items()} == {
        f"{months_ago(2):%Y-%m}": 10 * DAY, f"{months_ago(1):%Y-%m}": DAY,
    }  # fmt: skip


def test_what_was_told_as_zero_is_forgotten_once_it_was_taken(house: House, above: StandIn) -> None:
    """Else names that were replaced here would stay in the list of what was told."""
    ended = {"Status": "completed", "EndTime": epoch(months_ago(1))}
    house.load(message(machine("a", GlobalUserName="/CN=Anna")))
    forward(house)
    house.load(message(machine("a", GlobalUserName="/CN=somebody", **ended)))
    above.before = lambda _call: fault(503, "busy", "INTERNAL_SERVER_ERROR")
    with pytest.raises(AmsFault):
        forward(house)
    assert "/CN=Anna" in told_groups(house)
    above.before = lambda _call: None
    forward(house)
    assert "/CN=Anna" in texts(above, house)[-1]
    assert "/CN=Anna" not in told_groups(house)
    assert forward(house) == (0, 0)


def told_groups(house: House) -> str:
    with house.db.transaction() as session:
        return session.scalar(text("select string_agg(groups::text, ' ') from forwarded_month")) or ""


def test_a_name_that_is_replaced_here_is_replaced_above(
    house: House, above: StandIn, tmp_path: Path, higher: House
) -> None:
    anna = "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"
    house.load(message(machine("a", GlobalUserName=anna)))
    forward(house)
    pseudonym = replace_name(
        house.db, "a key of sixteen letters", anna, folder=tmp_path, envelope=house.loader.envelope, by="Ingrid Holm",
        now=datetime.now(UTC),
    ).pseudonym  # fmt: skip
    forward(house)
    assert anna not in told_groups(house)
    received(higher, above)
    assert {wall for wall, _, _ in higher.months(user_name=anna).values()} <= {0}
    assert {wall for wall, _, _ in higher.months(user_name=pseudonym).values()} == {DAY}


def test_jobs_go_to_their_own_topic_with_their_benchmark(house: House, above: StandIn) -> None:
    house.load(job_summary())
    with forwarding(house) as forwarder:
        forwarder.forward()
    told = texts(above, house)[0]
    assert told.startswith("APEL-summary-job-message: v0.2\n")
    assert "ServiceLevelType: hepspec\nServiceLevel: 10.5\n" in told
    assert "NumberOfJobs: 10\n" in told
    with house.db.transaction() as session:
        assert session.scalars(select(ForwardedMessage.destination)).one().endswith(f"topics/{JOB_TOPIC}")


def test_a_kind_without_a_topic_and_months_before_the_first_stay_here(house: House, above: StandIn) -> None:
    house.load(job_summary())
    house.load(message(machine("a", 3), machine("b", 1)))
    assert forward(house, forward_job_topic="", forward_from=f"{months_ago(2):%Y-%m}") == (1, 1)
    assert f"Month: {months_ago(1).month}\n" in texts(above, house)[0]


def test_large_months_go_in_messages_of_at_most_a_thousand_records(
    house: House, above: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "MOST_RECORDS", 3)
    house.load(message(*[machine(f"m{n}", ImageId=f"image-{n}") for n in range(7)]))
    assert forward(house) == (3, 3)
    assert [told.count("SiteName:") for told in texts(above, house)] == [3, 3, 1]
    monkeypatch.setattr(content, "MOST_BYTES", 900)
    house.load(message(machine("one more")))
    forward(house)
    assert max(len(told) for told in texts(above, house)[3:]) < 1000


def test_what_could_not_be_sent_waits_and_goes_next_time_with_the_same_id_and_bytes(
    house: House, above: StandIn
) -> None:
    house.load(message(machine("a", 1), machine("b", 2)))
    seen: list[bytes] = []

    def refuse(call: str) -> Answer | None:
        return fault(503, "busy", "INTERNAL_SERVER_ERROR") if len(above.calls) == 2 else None

    above.before = refuse
    with pytest.raises(AmsFault, match="busy"):
        forward(house)
    assert (in_state(house, "sent"), in_state(house, "waiting")) == (1, 1)
    with house.db.transaction() as session:
        waiting = session.scalars(select(ForwardedMessage).where(ForwardedMessage.state == "waiting")).one()
        seen.append(waiting.body or b"")
    assert forward(house) == (0, 1)
    assert base64.b64decode(above.published[-1]["data"]) == seen[0]
    assert above.published[-1]["attributes"]["empaid"] == waiting.empaid
    assert in_state(house, "waiting") == 0


def test_one_that_is_refused_for_good_keeps_no_other_back(house: House, above: StandIn) -> None:
    house.load(message(machine("a", 1), machine("b", 2)))
    answers = iter([fault(413, "Message size is too large", "INVALID_ARGUMENT")])
    above.before = lambda _call: next(answers, None)
    with pytest.raises(AmsFault, match="too large"):
        forward(house)
    assert (in_state(house, "sent"), in_state(house, "waiting")) == (1, 1)
    assert forward(house) == (0, 1)


def test_a_token_that_is_refused_is_not_tried_on_every_message(house: House, above: StandIn) -> None:
    house.load(message(machine("a", 1), machine("b", 2)))
    above.before = lambda _call: fault(401, "Unauthorized", "UNAUTHORIZED")
    with pytest.raises(AmsFault, match="401"):
        forward(house)
    assert len(above.calls) == 1


def test_an_earlier_beginning_and_another_topic_tell_what_was_not_told(house: House, above: StandIn) -> None:
    house.load(message(machine("a", 1), machine("b", 3)))
    assert forward(house, forward_from=f"{months_ago(2):%Y-%m}") == (1, 1)
    assert forward(house, forward_from=f"{months_ago(3):%Y-%m}") == (1, 1)
    assert forward(house, forward_cloud_topic="another") == (2, 2)
    assert forward(house, forward_cloud_topic="another") == (0, 0)


def test_killed_between_their_answer_and_our_note_the_very_same_message_goes_again(
    house: House, above: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a receiver sees it: same id, same bytes, which it counts once."""
    house.load(message(machine("a")))
    publish = sending.Ams.publish

    def publish_and_die(self: Any, topic: str, messages: Any) -> list[str]:
        publish(self, topic, messages)
        raise KeyboardInterrupt

    monkeypatch.setattr(sending.Ams, "publish", publish_and_die)
    with pytest.raises(KeyboardInterrupt):
        forward(house)
    monkeypatch.setattr(sending.Ams, "publish", publish)
    assert forward(house) == (0, 1)
    assert above.published[0] == above.published[1]


def test_a_month_that_changes_while_its_message_waits_is_sent_as_it_is_now(
    house: House, above: StandIn
) -> None:
    house.load(message(machine("a")))
    above.before = lambda _call: fault(503, "busy", "INTERNAL_SERVER_ERROR")
    with pytest.raises(AmsFault):
        forward(house)
    house.load(message(machine("b")))
    above.before = lambda _call: None
    assert forward(house) == (1, 1)
    (told,) = texts(above, house)
    assert "NumberOfVMs: 2\n" in told
    assert in_state(house, "replaced") == 1


def test_again_sends_what_has_not_changed(house: House, above: StandIn) -> None:
    house.load(message(machine("a", 1), machine("b", 2), machine("c", 1, site="CESNET")))
    assert forward(house) == (3, 3)
    for site, month, expected in (
        (None, None, 3), ("BIFI", None, 2), (None, months_ago(1).date().replace(day=1), 2),
        ("BIFI", months_ago(2).date().replace(day=1), 1),
    ):  # fmt: skip
        with forwarding(house) as forwarder:
            forwarder.again(site, month)
            assert forwarder.forward().sent == expected


def test_only_one_forwards_at_a_time(house: House) -> None:
    with house.db.try_lock("accounting forward"), forwarding(house) as second, pytest.raises(Conflict):
        second.forward()


def test_a_forwarder_that_takes_a_note_waits_for_who_sums_the_month(house: House) -> None:
    """Else a month that is summed in that moment would be told as it was, and never again."""
    house.load(message(machine("a")))
    forward(house)
    house.receive(message(machine("b")), source="load")
    house.loader.load(house.numbers[-1])
    with house.db.transaction() as session:
        due = summaries._take_due(session)
        for kind, site, month in due:
            summaries.stores()[kind].resum(session, site, month)
        summaries.note_summed(session, due)
        assert forward(house) == (0, 0)  # the note belongs to the other transaction until it ends
    assert forward(house) == (1, 1)


def test_nothing_is_left_over_when_everything_was_told(house: House) -> None:
    house.load(message(machine("a", 1), machine("b", 2)))
    house.load(job_summary())
    forward(house)
    with house.db.transaction() as session:
        assert session.scalar(select(func.count()).select_from(ForwardDue)) == 0
        assert session.scalar(text("select count(*) from forwarded_message where body is not null")) == 0


def test_without_an_address_or_a_usable_key_it_says_what_to_set(house: House, tmp_path: Any) -> None:
    with pytest.raises(Refused, match="set forward_url"):
        forward(house, forward_url="")
    with pytest.raises(Refused, match="Nothing can be signed"):
        forward(house, forward_cert=tmp_path / "none.pem")


@pytest.fixture
def higher(database_for: Callable[[str], Database], make_house: Callable[..., House], cast: Any) -> House:
    """Accounting of the higher federation, where the lower one's certificate speaks for the sites."""
    made = make_house(database_for("accounting"))
    for site in ("BIFI", "CESNET"):
        made.register(site, cast.local())
    return made


def received(higher: House, above: StandIn, first: int = 0) -> None:
    for each in above.published[first:]:
        number = higher.receive(base64.b64decode(each["data"]), empaid=each["attributes"]["empaid"])
        outcome = higher.loader.load(number)
        assert outcome is not None
        assert (outcome.reason, outcome.refused) == ("", 0), higher.refused()
    summaries.summarise(higher.db)


def job_totals(house: House) -> list[tuple[Any, ...]]:
    with house.db.transaction() as session:
        statement = text(
            "select site, to_char(month, 'YYYY-MM'), vo, service_level_type, sum(jobs), sum(wall_s), sum(cpu_s),"
            " sum(norm_wall_s) from job_summary group by 1, 2, 3, 4 order by 1, 2, 3, 4"
        )
        return [tuple(row) for row in session.execute(statement)]


def test_a_federation_above_that_runs_hanse_too_has_the_same_totals(
    house: House, above: StandIn, higher: House
) -> None:
    """Without counters that span a month's end our months and APEL's agree, so totals compare month by month."""
    house.load(message(machine("a", 1), machine("b", 2), machine("c", 1, site="CESNET", FQAN="/other.vo")))
    house.load(message(machine("d", 1, 2 * DAY, BenchmarkType="HEPSPEC06", Benchmark="12.5")))
    house.load(job_summary(10))
    assert forward(house) == (4, 4)
    received(higher, above)
    assert higher.months() == house.months()
    for where in ({"site": "CESNET"}, {"vo": "other.vo"}, {"benchmark_type": "HEPSPEC06"}):
        assert higher.months(**where) == house.months(**where)
        assert higher.months(**where)
    assert job_totals(higher) == job_totals(house)


def test_corrections_reach_the_federation_above(house: House, above: StandIn, higher: House) -> None:
    house.load(message(machine("a"), machine("b")))
    house.load(job_summary(10))
    forward(house)
    received(higher, above)
    first = len(above.published)
    house.load(message(machine("a", Status="completed", EndTime=epoch(months_ago(1))), machine("c", 3)))
    house.load(job_summary(12))
    forward(house)
    received(higher, above, first)
    assert higher.months() == house.months()
    assert job_totals(higher) == job_totals(house)


def test_a_machine_over_a_month_end_is_told_in_apels_months(house: House, above: StandIn) -> None:
    """APEL gives the whole time since the last report to the month of the next one."""
    first, second = months_ago(2, 20), months_ago(1, 10)
    start = epoch(first) - 10 * DAY
    for moment in (first, second):
        wall = epoch(moment) - start
        at = {
            "RecordCreateTime": epoch(moment),
            "StartTime": start,
            "WallDuration": wall,
            "CpuDuration": wall,
        }
        house.load(message(record("BIFI", "a", **at)))
    forward(house)
    told = {
        datetime(int(part["Year"]), int(part["Month"]), 1, tzinfo=UTC): int(part["WallDuration"])
        for part in (
            dict(line.split(": ", 1) for line in each.splitlines() if ": " in line)
            for each in texts(above, house)
        )
    }
    assert told == {
        datetime(first.year, first.month, 1, tzinfo=UTC): 10 * DAY,
        datetime(second.year, second.month, 1, tzinfo=UTC): epoch(second) - epoch(first),
    }


@pytest.fixture
def run_forward(house: House, above: StandIn) -> Forward:
    """`hanse accounting forward` as an operator would set it up."""
    (house.settings.data_dir / "forward-token").write_text(TOKEN + "\n")
    settings = {"forward_url": above.url, "forward_token_file": "forward-token"}
    return partial(begin, house, "forward", settings=settings)


def test_a_process_killed_while_they_take_a_message_sends_the_very_same_next_time(
    house: House, above: StandIn, higher: House, run_forward: Forward
) -> None:
    house.load(message(machine("a", 1), machine("b", 2)))
    reached, go_on = threading.Event(), threading.Event()

    def hold(call: str) -> Answer | None:
        if len(above.calls) == 2:
            reached.set()
            go_on.wait(60)
        return None  # they take it, and nobody hears of it

    above.before = hold
    process = run_forward()
    try:
        assert reached.wait(60)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
    finally:
        process.kill()
        go_on.set()
    assert in_state(house, "sent") == 1
    again = run_forward()
    told, _ = again.communicate(timeout=60)
    assert again.returncode == 0, told
    assert "0 messages written, 1 sent." in told
    assert above.published[-1] == above.published[1]
    received(higher, above)
    assert higher.months() == house.months()


def test_the_command_says_what_it_cannot_do(above: StandIn, run_forward: Forward) -> None:
    for more, code, words in (
        (("--site", "BIFI"), 2, "add --again"),
        (("--again", "--month", "soon"), 2, "%Y-%m"),
    ):
        process = run_forward(*more)
        told, _ = process.communicate(timeout=60)
        assert (process.returncode, words in told) == (code, True), told


def test_a_month_whose_machines_lie_in_the_archive_is_not_told_from_what_is_left(
    house: House, above: StandIn, tmp_path: Path
) -> None:
    """A later report of a machine reaches back over silent months in our figures, and not in APEL's."""
    start = epoch(months_ago(5))
    walls = {months: epoch(months_ago(months)) - start for months in (4, 3, 2, 1)}
    reports = {n: machine("long", n, wall, StartTime=start) for n, wall in walls.items()}
    house.load(message(reports[4], reports[3], machine("short", 4)))
    forward(house)
    before = len(above.published)
    archive.archive(house.db, tmp_path, months_ago(2).date().replace(day=1), "a test")
    house.load(message(reports[1]))
    with house.db.transaction() as session:
        note_everything(session)
    forward(house)
    months = [text.split("Month: ")[1].split("\n")[0] for text in texts(above, house)[before:]]
    assert months == [str(months_ago(1).month)]
