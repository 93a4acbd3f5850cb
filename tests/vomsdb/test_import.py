"""Moving in from VOMS-Admin and by table: planned, done in one transaction, the same twice, nobody written to."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from hanse.cli import main
from hanse.errors import Conflict, HanseError, Refused
from hanse.moving_in import HERE
from hanse.revisions import Revision, current
from tests.tls import serving
from tests.vomsdb.test_commands import _configured
from vomsdb import (
    aups,
    certificates,
    generic_attributes,
    groups,
    lifetimes,
    members,
    personal_data,
    suspensions,
)
from vomsdb.importing import csvfile, taking, voms_admin, voms_admin_json
from vomsdb.importing.records import Contents, moment
from vomsdb.importing.report import Report
from vomsdb.importing.taking import Options
from vomsdb.jobs import by_the_clock
from vomsdb.models import Group, ImportedRecord, Mail, Member, Person, VoChange

SAMPLE = Path(__file__).with_name("samples") / "voms-admin.sql"
VO = "training.egi.eu"


def dump(*changes: tuple[str, str]) -> Contents:
    """The sample dump, with words changed in it."""
    text = SAMPLE.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return voms_admin.read(text.encode(), VO)


def imported(house: Any, contents: Contents, vo: str = VO, **how: Any) -> Report:
    return taking.take_over(house.db, vo, contents, Options(**how), HERE)


def profiles(house: Any, vo: str = VO) -> dict[str, members.Profile]:
    with house.db.transaction() as session:
        found = members.search(session, vo, limit=500)
        session.expunge_all()
    return {one.person.name: one for one in found}


def test_a_plan_keeps_nothing_and_says_everything(house: Any) -> None:
    def counted() -> tuple[int, ...]:
        with house.db.transaction() as session:
            tables = (Member, Person, Revision, ImportedRecord, Mail)
            return tuple(session.scalar(select(func.count()).select_from(table)) or 0 for table in tables)

    before = counted()
    report = taking.plan(house.db, VO, dump(), Options(), HERE)
    assert counted() == before
    people = {one.record: one for one in report.findings if one.kind == "member"}
    assert {name: one.action for name, one in people.items()} == {
        "usr 1": "add",
        "usr 2": "add",
        "usr 3": "add",
        "usr 4": "skip",
        "usr 5": "add",
        "usr 6": "add",
    }
    assert "certificate 1 left out, subject" in " ".join(people["usr 4"].notes)
    assert "'SOMETHING_NEW' is not known here" in " ".join(people["usr 6"].notes)
    made = {(one.action, one.kind, one.name) for one in report.findings if one.kind != "member"}
    assert ("add", "group", f"/{VO}/schools/2026") in made
    assert ("skip", "group", f"/{VO}/not a name") in made
    assert ("add", "attribute value", f"/{VO}/schools room") in made
    assert json.loads(json.dumps(report.as_json()))["counts"]["add"] == report.counts["add"]


def test_members_come_with_all_that_is_theirs_hear_nothing_and_the_same_again_changes_nothing(
    house: Any,
) -> None:
    report = imported(house, dump())
    found = profiles(house)
    anna, tomas, conor, goran = (
        found[name] for name in ("Anna Lindqvist", "Tomás Vidal", "Conor O'Brien", "Goran Petrov")
    )
    assert anna.member.state == "active"
    ten_years = datetime.now(UTC) + lifetimes.LONGEST
    assert ten_years - timedelta(hours=1) < anna.member.until <= ten_years  # 2096 is later than any may end
    assert anna.person.email == "anna@example.org"
    assert anna.member.aup_signed_at == moment("2026-03-01 09:30:00")
    assert anna.member.aup_due is None
    assert [(one.certificate.issuer, one.state) for one in anna.certificates] == [
        ("/C=EU/O=Hanse Demo/CN=Hanse Demo CA", "active"),
        ("/C=EU/O=Other/CN=Other CA", "suspended"),
    ]
    assert anna.fqans == (f"/{VO}", f"/{VO}/schools", f"/{VO}/schools/Role=operator")
    assert tomas.member.state == "expired"
    assert f"/{VO}/schools" in tomas.fqans  # the group above comes along
    assert (conor.member.state, conor.member.suspension_code) == ("suspended", "SECURITY_INCIDENT")
    assert conor.member.aup_due is not None
    assert (goran.member.suspension_code, goran.member.suspended_by) == ("OTHER", "VOMS-Admin's database")
    with house.db.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Mail)) == 0
        values = generic_attributes.held(session, session.get_one(Member, anna.member.id), anna.fqans)
        assert [(one.name, one.value) for one in values] == [("nickname", "anna"), ("room", "Hall 4")]
        rows = {row.key: row for row in session.scalars(select(ImportedRecord))}
        assert rows["1"].entity_id == str(anna.member.id)
        assert "anna@example.org" not in json.dumps(rows["1"].values)
        assert taking.came_from(session, anna.member) == [("voms-admin", "1")]
        log = current(session, "membership")
        assert log[str(anna.member.id)]["fqans"] == list(anna.fqans)
        reasons = set(session.scalars(select(Revision.reason)))
        assert "imported from VOMS-Admin's database: usr 1" in reasons
        assert session.scalar(select(func.count()).select_from(VoChange).where(VoChange.vo == VO)) > 4
    assert report.counts["skip"] == 2
    assert "voms-admin number" in house.browser("Marta Kowalska").get(f"/members/{anna.member.id}").text
    known = house.principal("Anna Lindqvist")
    assert known.has("vo_member", f"vo:{VO}")
    assert not house.principal("Tomás Vidal").has("vo_member", f"vo:{VO}")
    with house.db.transaction() as session:
        head = session.scalar(select(func.max(Revision.number)))
    again = imported(house, dump())
    assert (again.counts["add"], again.counts["change"], again.counts["same"]) == (0, 0, 5)
    with house.db.transaction() as session:
        assert session.scalar(select(func.max(Revision.number))) == head
        assert session.scalar(select(func.count()).select_from(Member)) == 5


def test_a_membership_that_ended_there_long_ago_has_the_days_of_grace_from_the_import(house: Any) -> None:
    def table(a: str, b: str) -> Contents:
        return csvfile.read(f"subject,issuer,name,until\n/CN=A,/CN=CA,A,{a}\n/CN=B,/CN=CA,B,{b}\n".encode())

    def found() -> dict[str, tuple[int, str]]:
        return {name: (one.member.id, one.member.state) for name, one in profiles(house).items()}

    ahead = f"{datetime.now(UTC) + timedelta(days=300):%Y-%m-%d}"
    report = imported(house, table("2020-01-01", ahead))
    assert "ended on 01 Jan 2020 there" in " ".join(note for one in report.findings for note in one.notes)
    imported(house, table("2020-01-01", "2020-01-01"))
    by_the_clock(house.db, 72)
    assert {name: state for name, (_, state) in found().items()} == {"A": "expired", "B": "expired"}
    assert imported(house, table("2020-01-01", "2020-01-01")).counts["change"] == 0
    with house.db.transaction() as session:
        marta = house.principal("Marta Kowalska")
        assert lifetimes.prolong(session, found()["A"][0], None, marta).state == "active"


def test_what_changes_there_comes_along_and_what_changed_here_stays(house: Any) -> None:
    imported(house, dump())
    marta, found = house.principal("Marta Kowalska"), profiles(house)
    anna, conor = found["Anna Lindqvist"].member.id, found["Conor O'Brien"].member.id
    with house.db.transaction() as session:
        groups.take(session, anna, f"/{VO}/schools/Role=operator", marta)  # here, and it stays so
        suspensions.restore(session, conor, "the key was found", marta)
        session.get_one(Person, found["Anna Lindqvist"].person.id).institution = "Ours"
    changed = dump(
        ("'Example Institute'", "'Theirs'"),
        ("'anna@example.org'", "'anna@new.example.org'"),
        ("(5,3,NULL,2)", "(5,3,NULL,2),(12,3,NULL,1)"),
        ("'\x01','key lost, \\'sorry\\''", "'\\0','key lost, \\'sorry\\''"),
        ("('anna',1,1)", "('anna the second',1,1)"),
    )
    report = imported(house, changed)
    (one,) = [one for one in report.findings if one.record == "usr 1"]
    assert one.action == "change"
    assert "institution: ours stays, theirs differs" in one.notes
    after = profiles(house)["Anna Lindqvist"]
    assert (after.person.email, after.person.institution) == ("anna@new.example.org", "Ours")
    assert after.fqans == (f"/{VO}", f"/{VO}/schools", f"/{VO}/schools/2026")
    assert [held.state for held in after.certificates] == ["active", "active"]
    with house.db.transaction() as session:
        (value,) = generic_attributes.of_member(session, session.get_one(Member, anna))
        assert value.value == "anna the second"
        assert session.get_one(Member, conor).state == "active"  # restored here since
    theirs = imported(house, dump(("'Example Institute'", "'Theirs again'")), prefer="theirs")
    assert theirs.counts["change"] >= 1
    assert profiles(house)["Anna Lindqvist"].person.institution == "Theirs again"


def test_a_suspension_there_counts_here_and_its_end_ends_only_that_one(house: Any) -> None:
    not_suspended = ("'Anna',NULL,'+46 1','Lindqvist','\\0',NULL,NULL", "'Anna',NULL,'+46 1','Lindqvist',")
    gone = not_suspended[1] + "'\x01','a key','SECURITY_INCIDENT'"
    imported(house, dump())
    imported(house, dump((not_suspended[0], gone)))
    anna = profiles(house)["Anna Lindqvist"].member
    assert (anna.state, anna.suspension_reason) == ("suspended", "a key")
    with house.db.transaction() as session:
        assert session.scalar(select(func.bool_or(VoChange.urgent)).where(VoChange.vo == VO)) is True
        assert session.scalar(select(func.count()).select_from(Mail)) == 0
    imported(house, dump())
    assert profiles(house)["Anna Lindqvist"].member.state == "active"
    with house.db.transaction() as session:
        by = house.principal("Marta Kowalska")
        suspensions.suspend(session, anna.id, "OTHER", "ours", by)
    report = imported(house, dump())
    assert profiles(house)["Anna Lindqvist"].member.state == "suspended"
    assert "suspended here, and not there; it stays suspended" in [
        note for one in report.findings for note in one.notes
    ]


def test_people_who_are_here_already_stay_one(house: Any) -> None:
    here = house.join("Anna Lindqvist")
    elsewhere = house.join("Goran Petrov", "chipster", "Paavo Salo")
    imported(house, dump())
    found = profiles(house)
    assert found["Anna Lindqvist"].member.id == here.id
    assert len(found["Anna Lindqvist"].certificates) == 2
    assert found["Goran Petrov"].person.id == elsewhere.person_id
    table = b"subject,issuer,id\n/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist,/C=EU/O=Hanse Demo/CN=Hanse Demo CA,x9"
    report = imported(house, csvfile.read(table))
    assert [one.action for one in report.findings] == ["keep", "same"] or report.counts["add"] == 0
    assert profiles(house)["Anna Lindqvist"].member.id == here.id


def test_a_certificate_of_somebody_else_is_left_out_and_two_records_are_not_one(house: Any) -> None:
    house.join("Goran Petrov", "chipster", "Paavo Salo")
    goran = "/C=EU/O=Hanse Demo/OU=People/CN=Goran Petrov,/C=EU/O=Hanse Demo/CN=Hanse Demo CA"
    table = f"subject,issuer,id\n/CN=First,/CN=CA,1\n{goran},1\n/CN=Second,/CN=CA,2\n{goran},2\n".encode()
    report = imported(house, csvfile.read(table))
    assert [one.action for one in report.findings] == ["add", "skip"]
    assert "None of its certificates" not in " ".join(report.findings[1].notes)
    assert "already" in " ".join(report.findings[1].notes)


def test_what_could_not_be_given_is_tried_again_by_the_next_import(house: Any) -> None:
    here, elsewhere = house.join("Anna Lindqvist"), house.join("Goran Petrov", "chipster", "Paavo Salo")
    line = "/C=EU/O=Hanse Demo/OU=People/CN={},/C=EU/O=Hanse Demo/CN=Hanse Demo CA,1,{}\n"
    groups_there = f"/{VO}/Role=NULL /{VO}/g/Role=NULL/Capability=NULL /else/x"
    people = line.format("Anna Lindqvist", groups_there) + line.format("Goran Petrov", "")
    table = ("subject,issuer,id,groups\n" + people).encode()
    first = imported(house, csvfile.read(table))
    assert "belongs to another person" in " ".join(note for one in first.findings for note in one.notes)
    (profile,) = profiles(house).values()
    assert (profile.member.id, profile.fqans) == (here.id, (f"/{VO}", f"/{VO}/g"))
    assert len(profile.certificates) == 1
    with house.db.transaction() as session:
        key = members.profile(session, elsewhere.id).certificates[0].certificate.key
        certificates.link(session, here.id, key, "seen both", house.principal("Ingrid Holm"))
    assert imported(house, csvfile.read(table)).counts["change"] == 1
    (profile,) = profiles(house).values()
    assert len(profile.certificates) == 2
    assert imported(house, csvfile.read(table)).counts["change"] == 0


def test_those_who_are_gone_there_are_told_of_or_removed(house: Any) -> None:
    imported(house, dump())
    fewer = dump()
    fewer.people = [one for one in fewer.people if one.key != "6"]
    report = imported(house, fewer)
    (told,) = [one for one in report.findings if one.action == "keep"]
    assert (told.name, "remove-gone" in told.notes[0]) == ("Goran Petrov", True)
    assert "Goran Petrov" in profiles(house)
    imported(house, fewer, remove_gone=True)
    assert "Goran Petrov" not in profiles(house)
    back = imported(house, dump())
    assert "was removed here since" in " ".join(note for one in back.findings for note in one.notes)


def test_signatures_that_nobody_tells_are_believed_or_asked_for(house: Any) -> None:
    table = b"subject,issuer,name,signed\n/CN=A,/CN=CA,A,\n/CN=B,/CN=CA,B,no\n/CN=C,/CN=CA,C,2026-03-01\n"
    imported(house, csvfile.read(table))
    found = profiles(house)
    assert {name: one.member.aup_due is None for name, one in found.items()} == {
        "A": True,
        "B": False,
        "C": True,
    }
    assert found["C"].member.aup_signed_at == moment("2026-03-01")
    with house.db.transaction() as session:
        assert aups.signed_counts(session, VO) == (2, 3)
    imported(house, csvfile.read(table.replace(b"=A", b"=D").replace(b"A,\n", b"D,\n")), ask_to_sign=True)
    assert profiles(house)["D"].member.aup_due is not None


def test_who_is_suspended_there_for_the_aup_has_it_to_sign_here_too(house: Any) -> None:
    def table(*codes: str) -> Contents:
        lines = [f"/CN={name},/CN=CA,{name},{code}" for name, code in zip("AB", codes, strict=True)]
        return csvfile.read("\n".join(["subject,issuer,name,suspended", *lines]).encode())

    imported(house, table("FAILED_TO_SIGN_AUP", ""))
    imported(house, table("FAILED_TO_SIGN_AUP", "FAILED_TO_SIGN_AUP"))
    marta = house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        assert aups.signed_counts(session, VO) == (0, 2)
        for one in members.search(session, VO):
            suspensions.suspend(session, one.member.id, "OTHER", "asked", marta)
            suspensions.restore(session, one.member.id, "answered", marta)
    by_the_clock(house.db, 72)
    found = [one.member for one in profiles(house).values()]
    assert [one.suspension_code for one in found] == ["FAILED_TO_SIGN_AUP"] * 2
    imported(house, table("", ""))  # no longer suspended there, so they signed
    by_the_clock(house.db, 72)
    assert [one.member.state for one in profiles(house).values()] == ["active"] * 2


def test_who_was_erased_is_not_brought_back_and_leaves_no_digest(house: Any) -> None:
    imported(house, dump())
    anna = profiles(house)["Anna Lindqvist"]
    with house.db.transaction() as session:
        personal_data.erase(session, anna.person.id, "asked", house.principal("Ingrid Holm"))
        assert session.get_one(ImportedRecord, (VO, "voms-admin", "1")).values == {}
    report = imported(house, dump())
    (one,) = [one for one in report.findings if one.record == "usr 1"]
    assert (one.action, one.notes[-1]) == ("keep", "was removed here since the last import")
    assert "Anna Lindqvist" not in profiles(house)


def test_a_plan_that_no_longer_holds_is_not_carried_out(house: Any) -> None:
    planned = taking.plan(house.db, VO, dump(), Options(), HERE)
    with house.db.transaction() as session:
        groups.create_group(session, VO, f"/{VO}/schools", "", house.principal("Marta Kowalska"))
    with pytest.raises(Conflict, match="new plan"):
        taking.take_over(house.db, VO, dump(), Options(), HERE, planned.fingerprint)
    assert profiles(house) == {}
    with pytest.raises(HanseError):
        taking.plan(house.db, "nowhere.example.org", dump(), Options(), HERE)


def test_signs_that_no_database_keeps_cost_a_field_and_not_the_import(house: Any) -> None:
    contents = dump(
        ("Schools; summer", "Schools\\0summer"),
        ("'room'", "'ro\\0om'"),
        (f"/{VO}/not a name", f"/{VO}/no\\0"),
    )
    contents.people[0] = replace(
        contents.people[0], name="A\0\ud800nna", fqans=(f"/{VO}", f"/{VO}/\0"), attributes={"x\0": "y"}
    )
    report = imported(house, contents)
    assert "A nna" in profiles(house)
    (one,) = [one for one in report.findings if one.record == "usr 1"]
    assert "signs that cannot be printed" in " ".join(one.notes)
    with house.db.transaction() as session:
        assert session.get_one(Group, f"/{VO}/schools").description == "Schools summer"


# --- tables -------------------------------------------------------------------------------------------------------

TABLE = (
    "subject;issuer;id;name;email;groups;until;suspended;reason;certificate_suspended;attributes\n"
    f"/CN=Ann;/CN=CA;1;Ann;ann@example.org;/{VO}/a/b /{VO}/Role=op;2096-01-31;;;;nick=ann\n"
    "CN=Ann 2,O=X;/CN=CA;1;;;;;;;lost;\n"
    "/CN=Bo;/CN=CA;2;Bo;no address;/other/x;soon;security_incident;stolen;;broken\n"
)


def test_a_table_brings_people_with_several_certificates(house: Any) -> None:
    report = imported(house, csvfile.read(TABLE.encode("utf-8-sig")))
    found = profiles(house)
    assert found["Ann"].fqans == (f"/{VO}", f"/{VO}/a", f"/{VO}/a/b", f"/{VO}/Role=op")
    assert [(one.certificate.subject, one.state) for one in found["Ann"].certificates] == [
        ("/CN=Ann", "active"),
        ("/O=X/CN=Ann 2", "suspended"),
    ]
    assert (found["Bo"].member.suspension_code, found["Bo"].person.email) == ("SECURITY_INCIDENT", "")
    notes = " ".join(note for one in report.findings for note in one.notes)
    assert "/other/x left out" in notes
    assert {str(one) for one in report.unread} == {
        "line 4, until: 'soon' is no time; write 2027-01-31 or 2027-01-31T12:00:00Z",
        "line 4, attributes: 'broken' must read name=value",
    }


NO_TABLES = {
    b"": "line 1",
    b"subject,name\n": "line 1",
    b"subject,issuer,nonsense\n": "line 1",
    b"subject,issuer,subject\n": "line 1",
    b"subject,issuer\n/CN=A\n": "line 2",
    b"subject,issuer\n/CN=A,/CN=B,more\n": "line 2",
    b"subject,issuer\n/CN=A,/CN=\xff\n": "line 2",
    b'subject,issuer\n"/CN=A,/CN=B\n': "line 2",
}


def test_a_table_that_is_none_is_refused_by_its_line() -> None:
    for text, field in NO_TABLES.items():
        with pytest.raises(Refused) as refused:
            csvfile.read(text)
        assert refused.value.fields[0].field == field, text


# --- JSON ---------------------------------------------------------------------------------------------------------


def user(number: int, **more: Any) -> dict[str, Any]:
    certificate = {"subjectString": f"/CN=User {number}", "issuerString": "/CN=CA", "suspended": False}
    whole = {"id": number, "name": "User", "surname": str(number), "emailAddress": f"u{number}@example.org"}
    return {**whole, "certificates": [certificate], "fqans": [f"/{VO}", f"/{VO}/g/Role=r"], **more}


def pages(*users: dict[str, Any], size: int = 2) -> list[bytes]:
    return [
        json.dumps(
            {"startIndex": at, "pageSize": size, "count": len(users), "result": users[at : at + size]}
        ).encode()
        for at in range(0, len(users), size)
    ]


def test_the_answers_of_users_action_are_read_whole(house: Any) -> None:
    suspended = {"suspended": True, "suspensionReasonCode": "OTHER", "suspensionReason": "asked"}
    given = pages(
        user(1, endTime="2096-01-31T23:00:00", attributes=[{"name": "nick", "value": "one"}]),
        user(2, endTime=3978000000000, **suspended),
        user(3, certificates="none", fqans=None, attributes=[1]),
        user(4, aupAcceptanceRecords=[{"lastAcceptanceDate": "2026-03-01T00:00:00", "valid": True}, 1]),
    )
    report = imported(house, voms_admin_json.read(given))
    found = profiles(house)
    assert found["User 1"].fqans == (f"/{VO}", f"/{VO}/g", f"/{VO}/g/Role=r")
    assert found["User 2"].member.suspension_reason == "asked"
    assert "User 3" not in found
    assert found["User 4"].member.aup_signed_at == moment("2026-03-01")
    assert {(one.record, one.field) for one in report.unread} == {
        ("user 3", "certificates"),
        ("user 3", "attributes"),
        ("user 4", "aupAcceptanceRecords"),
    }
    with pytest.raises(Refused) as refused:
        voms_admin_json.read(given[:1])
    assert "2 of 4 are here" in refused.value.fields[0].reason
    for bad in (b"[", b"{}", b"[1]", b'[{"id":"1"}]', b"[" * 100_000):
        with pytest.raises(Refused):
            voms_admin_json.read([bad])


def test_a_running_voms_admin_is_asked_page_by_page_with_the_certificate(
    house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Anna Lindqvist", "Tomás Vidal", "Goran Petrov"):
        house.join(name)
    monkeypatch.setattr(voms_admin_json, "PAGE", 2)
    marta, trust, config = (
        house.cast["Marta Kowalska"],
        house.settings.trust_dir,
        _configured(house, tmp_path),
    )
    with serving(house.app, house.settings) as url:
        arguments = ["voms-admin", url, "--vo", VO, "--ca", str(trust), "--plan"]
        shown = ["--cert", str(marta.cert_path), "--key", str(marta.key_path)]
        done = _run(config, *arguments, *shown)
        stranger = _run(config, *arguments)
    assert done.exit_code == 0, done.output
    assert "2 of 3 people" in done.output
    assert "3 the same already" in done.output
    assert stranger.exit_code == 1
    assert "VOMS-Admin answered 401" in stranger.output


# --- the command --------------------------------------------------------------------------------------------------


def _run(config: Path, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["--config", str(config), "vomsdb", "import", *arguments])


def test_the_command_shows_its_plan_and_asks_before_it_writes(house: Any, tmp_path: Path) -> None:
    config, report = _configured(house, tmp_path), tmp_path / "report.json"
    planned = _run(config, "voms-admin", str(SAMPLE), "--vo", VO, "--plan", "--json", str(report))
    assert planned.exit_code == 0, planned.output
    assert "usr 3" in planned.output
    assert "Addresses and telephone numbers" in planned.output
    assert "not read: usr 5, end_time: 'not a time' is no time" in planned.output
    assert json.loads(report.read_text())["counts"]["add"] > 5
    assert profiles(house) == {}
    assert _run(config, "voms-admin", str(SAMPLE), "--vo", VO).exit_code == 1  # nobody said yes
    done = _run(config, "voms-admin", str(SAMPLE), "--vo", VO, "--yes")
    assert done.exit_code == 0, done.output
    assert "Imported into training.egi.eu: 12 added, 0 changed." in done.output
    again = _run(config, "voms-admin", str(SAMPLE), "--vo", VO, "--yes")
    assert "5 the same already" in again.output
    assert "Imported" not in again.output
    table = tmp_path / "members.csv"
    table.write_text(TABLE)
    assert "6 added" in _run(config, "csv", str(table), "--vo", VO, "--yes").output
    other = _run(config, "voms-admin", str(SAMPLE), "--vo", "chipster", "--yes")
    assert (other.exit_code, "not /chipster" in other.output) == (1, True)
    assert _run(config, "voms-admin", str(tmp_path / "none.sql"), "--vo", VO).exit_code == 2
    with house.db.transaction() as session:
        assert certificates.known(session, house.principal("Anna Lindqvist").key) is not None
