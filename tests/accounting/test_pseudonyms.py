"""Names become pseudonyms: everywhere, for good, the same name always the same, and not without the key."""

from __future__ import annotations

import json
import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import select, text

from accounting import archive, hiding
from accounting.hiding import archives
from accounting.loading import make_loader
from accounting.models import Base, Message, UsageEvent
from accounting.pseudonyms import NO_KEY, KeyMissing, demand_key, hidden
from accounting.worker import Worker
from hanse import cms
from hanse.errors import Conflict, NotFound, Refused
from tests.accounting.conftest import House
from tests.accounting.other_records import address, addresses, storage, volume
from tests.accounting.programs import begin
from tests.accounting.records import NOW, epoch, message, months_ago, record

KEY = "a-key-of-the-tests-that-is-long"
ANNA = "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"
TOMAS = "/C=EU/O=Hanse Demo/OU=People/CN=Tomás Vidal"
RARE = "/C=EU/O=R&D/CN=Tomás Vidal"
BEFORE = months_ago(2).date().replace(day=1)


@pytest.fixture
def named(make_house: Any, database_for: Any, tmp_path: Path, cast: Any) -> House:
    """Records of Anna and Tomás, good and refused, signed and plain, in three kinds; some five months old."""
    house: House = make_house(database_for("accounting"), pseudonym_key=KEY, data_dir=tmp_path)
    old = epoch(months_ago(5))
    both = [record("BIFI", f"vm-{at}", GlobalUserName=name) for at, name in enumerate((ANNA, TOMAS))]
    ended = {"RecordCreateTime": old + 3600, "StartTime": old, "EndTime": old + 3600, "WallDuration": 3600}
    house.load(message(*both, record("BIFI", "bad", GlobalUserName=TOMAS, CpuCount=-1)))
    house.load(message(record("BIFI", "old", GlobalUserName=TOMAS, Status="completed", **ended)))
    house.signed(message(record("BIFI", "signed", GlobalUserName=TOMAS)), cast.host("BIFI"))
    addresses = {
        "SiteName": "BIFI", "CloudType": "x", "LocalUser": "u", "LocalGroup": "g", "GlobalUserName": TOMAS,
        "FQAN": "training.egi.eu", "IPVersion": 4, "IPCount": 2, "MeasurementTime": epoch(NOW) - 60,
    }  # fmt: skip
    house.load(json.dumps({"Type": "APEL Public IP message", "Version": "0.2", "UsageRecords": [addresses]}))
    return house


def replace(house: House, name: str = TOMAS) -> hiding.Replaced:
    return hiding.replace_name(
        house.db, house.settings.pseudonym_key.get_secret_value(), name, folder=house.settings.archive_folder,
        envelope=house.loader.envelope, by="Ingrid Holm", now=datetime.now(UTC),
    )  # fmt: skip


def everywhere(house: House, name: str) -> list[str]:
    """Tables and files in which the name stands, in any spelling."""
    spellings = [form.decode() for form, _ in hidden(KEY, name).spellings()]
    found = set()
    with house.db.transaction() as session:
        for table in Base.metadata.sorted_tables:
            rows = session.scalars(text(f"select t::text from {table.name} t")).all()
            if any(form in row for row in rows for form in spellings):
                found.add(table.name)
        for body in session.scalars(select(Message.body)):
            if any(form.encode() in body for form in spellings):
                found.add("message.body")
    for path in house.settings.archive_folder.rglob("*.parquet"):
        if any(form in str(row) for row in archive.files.rows_of(path) for form in spellings):
            found.add(path.name)
    return sorted(found)


def by_user(house: House) -> dict[str, tuple[int, int]]:
    with house.db.transaction() as session:
        sums = "select user_name, sum(wall_s), sum(vms) from usage_summary group by 1"
        return {name: (int(wall), int(vms)) for name, wall, vms in session.execute(text(sums))}


def test_the_name_is_nowhere_any_more_and_sums_by_user_stay(named: House) -> None:
    before = by_user(named)
    assert len(everywhere(named, TOMAS)) > 4
    done = replace(named)
    assert everywhere(named, TOMAS) == []
    after = by_user(named)
    assert after[done.pseudonym] == before[TOMAS]
    assert after[ANNA] == before[ANNA]
    assert done.messages == 4
    assert len(everywhere(named, ANNA)) > 2


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(RARE)[1:-1],
        json.dumps(RARE)[1:-1].replace("u00e1", "u00E1"),
        json.dumps(RARE, ensure_ascii=False)[1:-1].replace("/", r"\/"),
    ],
)
def test_every_way_of_json_to_write_the_name_is_found_in_messages_and_refused_records(
    named: House, written: str
) -> None:
    body = addresses(address(GlobalUserName="NAME", IPVersion=5), address(GlobalUserName="NAME"))
    number = named.receive(body.replace("NAME", written), source="load")
    named.loader.load(number)
    (bad,) = (each for each in named.refused() if each.message_id == number)
    assert any(form in bad.raw for form in hidden(KEY, RARE).forms())
    replace(named, RARE)
    assert everywhere(named, RARE) == []
    assert named.message(number).redacted_at


@pytest.mark.parametrize("written", ["R&amp;D/CN=Tomás", "R&amp;D/CN=Tom&#225;s"])
def test_every_way_of_xml_to_write_the_name_is_found_in_messages_and_refused_records(
    named: House, written: str
) -> None:
    user = f"<sr:UserIdentity>/C=EU/O={written} Vidal</sr:UserIdentity>"
    body = storage([volume(months_ago(1), NOW, -1)]).replace("<sr:Group>", f"{user}<sr:Group>")
    number = named.receive(body, source="load")
    named.loader.load(number)
    (bad,) = (each for each in named.refused() if each.message_id == number)
    assert any(form in bad.raw for form in hidden(KEY, RARE).forms())
    replace(named, RARE)
    assert everywhere(named, RARE) == []


def test_what_caso_leaves_of_a_short_name_is_no_name() -> None:
    assert "na" not in hidden(KEY, "Ána").forms()
    assert "/CN=Toms Vidal" in hidden(KEY, "/CN=Tomás Vidal").forms()


def test_the_sums_made_anew_from_the_records_are_the_same(named: House) -> None:
    replace(named)
    with named.db.transaction() as session:
        before = session.execute(text("select * from usage_summary order by site, month, part")).all()
        from accounting.stores import stores

        for month in session.scalars(text("select distinct month from usage_summary")).all():
            stores()["vm"].resum(session, "BIFI", month)
        assert session.execute(text("select * from usage_summary order by site, month, part")).all() == before


def test_records_to_come_carry_the_pseudonym_and_count_on(named: House) -> None:
    done = replace(named)
    vms = by_user(named)[done.pseudonym][1]
    named.load(
        message(record("BIFI", "vm-1", GlobalUserName=TOMAS), record("BIFI", "next", GlobalUserName=TOMAS))
    )
    assert by_user(named)[done.pseudonym][1] == vms + 1
    assert TOMAS not in by_user(named)


def test_a_snapshot_of_addresses_sent_again_is_not_a_second_one(named: House) -> None:
    replace(named)
    addresses = {
        "SiteName": "BIFI", "CloudType": "x", "LocalUser": "u", "LocalGroup": "g", "GlobalUserName": TOMAS,
        "FQAN": "training.egi.eu", "IPVersion": 4, "IPCount": 2, "MeasurementTime": epoch(NOW) - 60,
    }  # fmt: skip
    named.load(
        json.dumps({"Type": "APEL Public IP message", "Version": "0.2", "UsageRecords": [addresses]}) + " "
    )
    with named.db.transaction() as session:
        assert session.scalar(text("select count(*) from ip_snapshot")) == 1


def test_archives_are_written_anew_and_still_restore(named: House) -> None:
    with named.db.transaction() as session:
        session.execute(text("update message set received_at = received_at - interval '5 months'"))
    archive.archive(named.db, named.settings.archive_folder, BEFORE, "x")
    files_before = sorted(path.name for path in named.settings.archive_folder.rglob("*.parquet"))
    done = replace(named)
    assert done.archives == 2
    assert everywhere(named, TOMAS) == []
    assert len(list(named.settings.archive_folder.rglob("*.parquet"))) == len(files_before)
    archive.restore(named.db, named.settings.archive_folder, date(2000, 1, 1), "x")
    assert everywhere(named, TOMAS) == []
    assert by_user(named)[done.pseudonym]


def test_killed_among_the_files_the_same_call_completes_it(
    named: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.archive(named.db, named.settings.archive_folder, BEFORE, "x")

    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(archives, "_replace", killed)
        with pytest.raises(SystemExit):
            replace(named)
    assert replace(named).archives == 1
    assert everywhere(named, TOMAS) == []


def test_messages_in_which_the_name_stands_coded_go_whole_and_are_not_replayed(
    named: House, cast: Any
) -> None:
    host = cast.host("BIFI")
    coded = [
        cms.sign(
            message(record("BIFI", vm, GlobalUserName=name)).encode(), host.cert, host.key, detached=False
        )
        for vm, name in (("first", TOMAS), ("replaced", TOMAS), ("hers", ANNA))
    ]
    numbers = [named.receive(body, empaid=f"coded/{at}") for at, body in enumerate(coded)]
    for number in numbers:
        named.loader.load(number)
    named.load(
        message(record("BIFI", "replaced", GlobalUserName=TOMAS))
    )  # its row names the later message now
    replace(named)
    assert [bool(named.message(number).body) for number in numbers] == [False, False, True]
    with pytest.raises(Refused, match="was replaced on request"):
        named.loader.load(numbers[0])


def test_the_event_tells_of_it_without_the_name(named: House) -> None:
    done = replace(named)
    with named.db.transaction() as session:
        (event,) = session.scalars(select(UsageEvent).where(UsageEvent.kind == "pseudonymise")).all()
    assert done.pseudonym in event.sentence
    assert "Vidal" not in event.sentence + json.dumps(event.details)


def test_pseudonyms_depend_on_the_key_and_nothing_else() -> None:
    assert hidden(KEY, TOMAS) == hidden(KEY, TOMAS)
    assert hidden(KEY, TOMAS).pseudonym != hidden(KEY, ANNA).pseudonym
    assert hidden(KEY, TOMAS).pseudonym != hidden(KEY + "x", TOMAS).pseudonym


def test_without_a_key_no_name_is_replaced_and_none_that_was_comes_back(named: House, house: House) -> None:
    with pytest.raises(Conflict, match="set pseudonym_key"):
        replace(house)
    replace(named)
    keyless = make_loader(
        named.settings.model_copy(update={"pseudonym_key": house.settings.pseudonym_key}), named.db
    )
    number = named.receive(message(record("BIFI", "late", GlobalUserName=TOMAS)), source="load")
    with pytest.raises(Refused, match="set pseudonym_key"):
        keyless.load(number)
    assert TOMAS not in by_user(named)


@pytest.fixture
def keyless(named: House, house: House) -> House:
    """A house with hidden names whose processes lack the key."""
    replace(named)
    settings = named.settings.model_copy(update={"pseudonym_key": house.settings.pseudonym_key})
    return House(named.db, settings, make_loader(settings, named.db), named.inbox)


class Rounds(threading.Event):
    """Is set after so many waits, none of which takes time."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.left = rounds

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        if not self.left:
            self.set()
        return self.is_set()


def test_a_loader_that_lost_its_key_waits_with_one_warning_and_blames_nothing(
    named: House, keyless: House
) -> None:
    bodies = [message(record("BIFI", vm, GlobalUserName=TOMAS)) for vm in ("x", "y")]
    numbers = [keyless.receive(body, source="load") for body in bodies]
    with pytest.raises(KeyMissing):
        keyless.loader.load_batch()
    stop = Rounds(3)
    with structlog.testing.capture_logs() as logs:
        Worker(keyless.loader).run(stop)
    assert stop.left == 0
    assert [line["error"] for line in logs if line["log_level"] == "warning"] == [NO_KEY]
    assert {(keyless.message(at).state, keyless.message(at).attempts) for at in numbers} == {("waiting", 0)}
    while named.loader.load_batch():
        pass
    assert TOMAS not in by_user(named)


def test_a_worker_does_not_begin_without_the_key(keyless: House) -> None:
    process = begin(keyless, "worker")
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "pseudonym_key" in printed
    assert "Traceback" not in printed


def test_under_another_key_nothing_is_stored_and_no_name_replaced(named: House) -> None:
    replace(named)
    other = named.settings.model_copy(update={"pseudonym_key": SecretStr(KEY + "x")})
    number = named.receive(message(record("BIFI", "late", GlobalUserName=TOMAS)), source="load")
    with pytest.raises(KeyMissing, match="under another pseudonym_key"):
        make_loader(other, named.db).load(number)
    with pytest.raises(KeyMissing, match="under another pseudonym_key"):
        demand_key(named.db, KEY + "x")
    with pytest.raises(KeyMissing, match="under another pseudonym_key"):
        replace(House(named.db, other, named.loader, named.inbox), ANNA)
    assert TOMAS not in by_user(named)
    demand_key(named.db, KEY)
    named.loader.load(number)
    assert TOMAS not in by_user(named)


def test_a_name_that_nobody_has_is_not_found_and_a_pseudonym_is_no_name(named: House) -> None:
    with pytest.raises(NotFound, match="Nobody of this name"):
        replace(named, "/CN=Nobody")
    demand_key(named.db, KEY + "x")  # it was for nothing, so it binds to no key
    done = replace(named)
    with pytest.raises(Refused, match="a pseudonym already"):
        replace(named, done.pseudonym)


def test_only_operators_replace_names(
    client: FlaskClient, operator: dict[str, str], laura: dict[str, str], house: House
) -> None:
    assert client.post("/api/v1/pseudonyms", json={"user": ANNA}, headers=laura).status_code == 403
    answer = client.post("/api/v1/pseudonyms", json={"user": ANNA}, headers=operator)
    assert (answer.status_code, "pseudonym_key" in answer.text) == (409, True)
