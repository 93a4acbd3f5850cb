"""Cross-checks: what is found, when it is gone, who is told, who decides, and what cannot be judged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from accounting import crosschecks
from accounting.crosschecks.known import AskMembers, same_name
from accounting.jobs import cross_check
from accounting.membership import Membership
from accounting.models import Finding, Mail
from accounting.pseudonyms import PREFIX
from hanse.database import FollowCursor, Followed
from hanse.errors import Unavailable
from hanse.identity.principals import oidc_key
from tests.accounting.conftest import House
from tests.accounting.other_records import job, job_summaries, job_summary, jobs
from tests.accounting.records import DAY, epoch, message, months_ago, record

VO = "training.egi.eu"
ANNA = "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"
TOMAS = "/C=EU/O=Hanse Demo/OU=People/CN=Tomás Vidal"
ISSUER = "https://login.example.org/oidc"
PATH = "/api/v1/cross-checks"


@pytest.fixture
def followed(house: House) -> House:
    """A house whose registry and membership were read: three sites that support one VO, with Anna as its member."""
    now = datetime.now(UTC)
    with house.db.transaction() as session:
        for source in ("registry", "vomsdb"):
            session.add(FollowCursor(source=source, pulled_at=now))
    for site in ("CESNET", "BIFI", "UKIM"):
        contacts = [{"kind": "admin", "email": f"admin@{site.lower()}.example"}]
        house.site(site, supports=[{"vo": VO, "vcpu": 20}], contacts=contacts)
    house.follow("vo", VO, {"name": VO, "state": "active"})
    member(house, "x509:anna", ANNA)
    return house


def member(
    house: House, key: str, subject: str | None, state: str = "active", until: str | None = None
) -> None:
    body = {"vo": VO, "member": key, "keys": [key], "state": state, "until": until}
    house.follow("membership", key, body)
    if subject:
        house.follow("identity", key, {"key": key, "subject_slash": subject, "name": subject, "email": None})


def look(house: House, ask: AskMembers | None = None, days: int = 0, issuers: Sequence[str] = ()) -> str:
    """One look, as if so many days had passed."""
    now = datetime.now(UTC) + timedelta(days=days)
    return crosschecks.look(house.db, now, months=3, silent_days=14, ask_members=ask, issuers=issuers)


def found(house: House, kind: str) -> list[Finding]:
    with house.db.transaction() as session:
        wanted = select(Finding).where(Finding.kind == kind, Finding.gone_at.is_(None)).order_by(Finding.id)
        return list(session.scalars(wanted))


def test_usage_of_members_of_certified_sites_that_support_the_vo_is_no_finding(followed: House) -> None:
    followed.load(message(record("BIFI")))
    look(followed)
    for kind in crosschecks.CHECKS:
        assert found(followed, kind) == []


def test_a_name_that_is_no_member_is_found_for_the_managers_of_the_vo(followed: House) -> None:
    followed.load(message(record("BIFI", GlobalUserName=TOMAS)))
    look(followed)
    (one,) = found(followed, "not_a_member")
    assert (one.owner, one.site, one.vo, one.subject) == (f"vo:{VO}", "BIFI", VO, TOMAS)
    assert one.cpu_s == 4 * DAY
    assert f"{TOMAS} is not a member of {VO}. BIFI reports 96.0 CPU hours" in one.sentence


@pytest.mark.parametrize(
    "written",
    [
        "CN=Anna Lindqvist,OU=People,O=Hanse Demo,C=EU",
        "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist",
    ],
)
def test_a_member_is_known_however_the_site_writes_the_name(followed: House, written: str) -> None:
    followed.load(message(record("BIFI", GlobalUserName=written)))
    look(followed)
    assert found(followed, "not_a_member") == []


def test_who_was_a_member_then_is_none_only_for_what_came_later(followed: House) -> None:
    ended = months_ago(1).replace(day=1).isoformat()
    member(followed, "x509:tomas", TOMAS, "expired", ended)
    start = epoch(months_ago(1, day=2))
    short = {"RecordCreateTime": start + 3600, "StartTime": start, "WallDuration": 3600, "CpuDuration": 3600}
    followed.load(message(record("BIFI", "then", GlobalUserName=TOMAS, **short)))
    look(followed)
    assert found(followed, "not_a_member") == []
    followed.load(message(record("BIFI", "now", GlobalUserName=TOMAS)))
    look(followed)
    (one,) = found(followed, "not_a_member")
    assert "no longer a member" in one.sentence


def test_members_who_sign_in_are_known_by_their_providers_name_for_them(followed: House) -> None:
    for sub, state, until in (("anna-sub", "active", None), ("left", "expired", months_ago(2).isoformat())):
        member(followed, oidc_key(ISSUER, sub), None, state, until)
    names = ("anna-sub", "left", "somebody", TOMAS, f"{PREFIX}of-nobody")
    followed.load(message(*[record("BIFI", name, GlobalUserName=name) for name in names]))
    look(followed)
    assert [one.subject for one in found(followed, "not_a_member")] == [TOMAS], (
        "without a provider no sub is judged"
    )
    said = look(followed, issuers=["https://elsewhere.example", ISSUER])
    assert "does not tell the subjects" not in said
    told = {one.subject: one.sentence for one in found(followed, "not_a_member")}
    assert sorted(told) == sorted([TOMAS, "left", "somebody"])
    assert "left is no longer a member" in told["left"]
    assert "no member signs in under this name" in told["somebody"]


def test_an_accounts_name_is_not_judged_where_nobody_signs_in(followed: House) -> None:
    followed.load(message(record("BIFI", GlobalUserName="u0142")))
    look(followed, issuers=[ISSUER])
    assert found(followed, "not_a_member") == []


def test_a_vo_without_any_member_is_not_judged(followed: House) -> None:
    followed.follow("vo", "chipster", {"name": "chipster", "state": "active"})
    followed.load(message(record("BIFI", GlobalUserName=TOMAS, FQAN="chipster")))
    assert "Membership has no member of chipster" in look(followed)
    assert found(followed, "not_a_member") == []


def test_a_vo_whose_members_have_subjects_that_nobody_tells_is_not_judged(followed: House) -> None:
    member(followed, "x509:unknown", None)
    followed.load(message(record("BIFI", GlobalUserName=TOMAS)))
    assert "does not tell the subjects of 1 certificates" in look(followed)
    assert found(followed, "not_a_member") == []


def test_membership_is_asked_for_the_subjects_that_the_feed_leaves_out(followed: House) -> None:
    member(followed, "x509:tomas", None)
    asked: list[str] = []

    def ask(vo: str) -> dict[str, str]:
        asked.append(vo)
        return {"x509:tomas": TOMAS}

    followed.load(
        message(record("BIFI", GlobalUserName=TOMAS), record("BIFI", "b", GlobalUserName="/CN=Nobody"))
    )
    look(followed, ask)
    assert asked == [VO]
    assert [one.subject for one in found(followed, "not_a_member")] == ["/CN=Nobody"]


def test_a_membership_that_refuses_to_tell_is_named_in_the_run_log(followed: House) -> None:
    member(followed, "x509:unknown", None)
    followed.load(message(record("BIFI", GlobalUserName=TOMAS)))
    assert "Membership does not answer" in look(followed, Membership("http://127.0.0.1:1", "t").subjects)


def test_a_finding_stays_while_it_cannot_be_judged(followed: House) -> None:
    followed.load(message(record("BIFI", GlobalUserName=TOMAS)))
    look(followed)
    member(followed, "x509:unknown", None)
    look(followed)
    assert len(found(followed, "not_a_member")) == 1


def test_sites_that_are_not_certified_are_found_for_the_operators(followed: House) -> None:
    followed.load(message(record("BIFI"), record("CESNET", "c")))
    followed.site("CESNET", certification="Suspended", supports=[{"vo": VO, "vcpu": 1}])
    followed.forget("site", "BIFI")
    look(followed)
    sentences = {one.site: one.sentence for one in found(followed, "not_certified")}
    assert sentences["CESNET"].startswith("CESNET is Suspended and reports 96.0 CPU hours")
    assert sentences["BIFI"].startswith("BIFI is not in the registry")


def test_usage_from_before_the_suspension_is_in_order(followed: House) -> None:
    start = epoch(months_ago(1, day=2))
    short = {"RecordCreateTime": start + 3600, "StartTime": start, "WallDuration": 3600, "CpuDuration": 3600}
    followed.load(message(record("CESNET", "c", **short)))
    since = datetime.now(UTC).isoformat()
    followed.site("CESNET", certification="Suspended", certification_since=since)
    look(followed)
    assert found(followed, "not_certified") == []


def test_a_vo_that_the_site_does_not_support_is_found_for_the_site(followed: House) -> None:
    followed.load(message(record("BIFI", FQAN="chipster")))
    look(followed)
    (one,) = found(followed, "vo_not_supported")
    assert (one.owner, one.vo) == ("site:BIFI", "chipster")
    assert "Add the VO share" in one.sentence


def test_jobs_are_compared_as_machines_are(followed: House) -> None:
    followed.load(jobs(job(GlobalUserName=TOMAS, FQAN="chipster"), job(job_id="2", GlobalUserName=TOMAS)))
    look(followed)
    assert [one.subject for one in found(followed, "not_a_member")] == [TOMAS]
    assert [one.vo for one in found(followed, "vo_not_supported")] == ["chipster"]


def test_a_running_machine_that_fell_silent_while_its_site_reports_is_found(followed: House) -> None:
    old = epoch(datetime.now(UTC)) - 20 * DAY
    silent = record("BIFI", "silent", RecordCreateTime=old, StartTime=old - DAY)
    ended = record(
        "BIFI", "ended", RecordCreateTime=old, StartTime=old - DAY, EndTime=old, Status="completed"
    )
    followed.load(message(silent, ended))
    look(followed)
    assert found(followed, "silent_machine") == [], "the whole site is silent: that is publishing's business"
    followed.load(message(record("BIFI", "fresh")))
    look(followed)
    assert [one.subject for one in found(followed, "silent_machine")] == ["silent"]


def test_a_month_without_usage_between_others_is_found(followed: House) -> None:
    start = epoch(months_ago(2, day=2))
    short = {"RecordCreateTime": start + 3600, "StartTime": start, "WallDuration": 3600, "CpuDuration": 3600}
    followed.load(message(record("BIFI", "old", **short)))
    start = epoch(months_ago(0, day=1)) - 12 * 3600
    short = {"RecordCreateTime": start + 60, "StartTime": start, "WallDuration": 60, "CpuDuration": 60}
    followed.load(message(record("BIFI", "new", **short)))
    look(followed)
    (gap,) = found(followed, "month_gap")
    assert gap.month == months_ago(1).date().replace(day=1)


def test_a_month_sent_as_jobs_and_as_summaries_is_found(followed: House) -> None:
    followed.load(jobs(job()))
    followed.load(job_summaries(job_summary()))
    look(followed)
    (one,) = found(followed, "told_twice")
    assert (one.owner, one.month) == ("site:BIFI", months_ago(1).date().replace(day=1))
    assert "in two ways: as jobs, which count, and as summaries of 200 jobs" in one.sentence


def test_without_a_registry_nothing_is_judged_and_it_is_said(house: House) -> None:
    house.load(message(record("BIFI", FQAN="chipster")))
    said = look(house)
    assert "The registry's feed was never read." in said
    assert found(house, "vo_not_supported") == found(house, "not_certified") == []


def test_a_finding_goes_when_the_cause_goes_and_begins_anew_when_it_comes_back(followed: House) -> None:
    followed.load(message(record("BIFI", FQAN="chipster")))
    look(followed)
    (first,) = found(followed, "vo_not_supported")
    both = [{"vo": VO, "vcpu": 1}, {"vo": "chipster", "vcpu": 1}]
    followed.site("BIFI", supports=both)
    look(followed)
    assert found(followed, "vo_not_supported") == []
    followed.site("BIFI", supports=both[:1])
    look(followed)
    (again,) = found(followed, "vo_not_supported")
    assert again.id == first.id
    assert again.since > first.since


# --- who is told, and who decides --------------------------------------------------------------------------------


def test_owners_are_told_once_of_what_is_new(followed: House) -> None:
    manager = followed.token("Marta Kowalska", "vo_manager", f"vo:{VO}")
    key = next(body for body in _grants(followed) if body["role"] == "vo_manager")["principal"]
    followed.follow("identity", key, {"key": key, "name": "Marta", "email": "marta@training.example"})
    followed.load(
        message(record("BIFI", GlobalUserName=TOMAS, FQAN=f"/{VO}"), record("BIFI", "b", FQAN="chipster"))
    )
    said = cross_check(followed.settings, followed.db)
    assert "2 owners were told of 2 findings." in said
    assert "Nobody has to be told." in cross_check(followed.settings, followed.db)
    with followed.db.transaction() as session:
        mails = {mail.recipient: mail.body for mail in session.scalars(select(Mail))}
    assert set(mails) == {"marta@training.example", "admin@bifi.example"}
    assert TOMAS in mails["marta@training.example"]
    assert "/cross-checks" in mails["admin@bifi.example"]
    assert manager


def _grants(house: House) -> list[dict[str, Any]]:

    with house.db.transaction() as session:
        return list(session.scalars(select(Followed.body).where(Followed.kind == "grant")))


@pytest.fixture
def finding(followed: House) -> int:
    """Usage of a VO that BIFI does not support."""
    followed.load(message(record("BIFI", FQAN="chipster")))
    look(followed)
    return found(followed, "vo_not_supported")[0].id


def test_each_sees_the_findings_of_the_own_sites_and_vos(
    client: FlaskClient, finding: int, laura: dict[str, str], eliska: dict[str, str], operator: dict[str, str]
) -> None:
    listed = client.get(PATH, headers=laura).json
    assert listed is not None
    assert [(one["kind"], one["state"], one["cpu_hours"]) for one in listed["items"]] == [
        ("vo_not_supported", "open", 96.0)
    ]
    assert client.get(PATH, headers=eliska).json["items"] == []  # type: ignore[index]
    assert client.get(f"{PATH}/{finding}", headers=eliska).status_code == 404
    narrowed = client.get(f"{PATH}?kind=vo_not_supported&site=BIFI&vo=chipster", headers=operator).json
    assert narrowed is not None
    assert len(narrowed["items"]) == 1
    assert client.get(PATH).status_code == 401
    csv = client.get(f"{PATH}.csv", headers=laura).get_data(as_text=True)
    assert csv.startswith("id,kind,owner,site,vo")
    kinds = client.get(f"{PATH}/kinds", headers=laura).json
    assert kinds is not None
    assert {one["kind"]: one["open"] for one in kinds["items"]}["vo_not_supported"] == 1


def test_what_is_accepted_with_a_reason_stays_so_and_can_be_taken_back(
    followed: House, client: FlaskClient, finding: int, laura: dict[str, str]
) -> None:
    where = f"{PATH}/{finding}/decision"
    assert client.post(where, json={"decision": "accepted"}, headers=laura).status_code == 422
    body = {"decision": "accepted", "reason": "a course of one week"}
    accepted = client.post(where, json=body, headers=laura).json
    assert accepted is not None
    assert (accepted["state"], accepted["decided_by"]) == ("accepted", "Laura Gil")
    look(followed, days=1)
    assert found(followed, "vo_not_supported")[0].decision == "accepted"
    assert client.get(PATH, headers=laura).json["items"] == []  # type: ignore[index]
    assert client.delete(where, headers=laura).json["state"] == "open"  # type: ignore[index]
    assert client.delete(where, headers=laura).status_code == 409
    log = client.get("/api/v1/usage-events?site=BIFI", headers=laura).json
    assert log is not None
    assert [one["sentence"].partition(":")[0] for one in log["items"]] == [
        "Took back that it was accepted",
        "Accepted",
    ]
    assert "Reason: a course of one week" in log["items"][1]["sentence"]


def test_only_its_owner_or_an_operator_decides(
    client: FlaskClient, house: House, finding: int, operator: dict[str, str], eliska: dict[str, str]
) -> None:
    paavo = house.token("Paavo Salo", "vo_manager", "vo:chipster")
    where, body = f"{PATH}/{finding}/decision", {"decision": "acknowledged", "reason": "I ask them"}
    assert client.get(f"{PATH}/{finding}", headers=paavo).status_code == 200
    assert client.post(where, json=body, headers=paavo).status_code == 403
    assert client.post(where, json=body, headers=eliska).status_code == 404
    assert client.post(where, json=body, headers=operator).json["state"] == "acknowledged"  # type: ignore[index]


def test_the_page_shows_decides_and_keeps_what_was_refused(
    client: FlaskClient, followed: House, finding: int, laura: dict[str, str]
) -> None:
    text = client.get("/cross-checks", headers=laura).text
    assert "1 finding is open" in text
    assert "does not declare" in text
    where = f"/cross-checks/{finding}/decide"
    refused = client.post(where, data={"decision": "accepted", "reason": " "}, headers=laura)
    assert (refused.status_code, "Why is it in order?" in refused.text) == (422, True)
    nothing = client.post(where, data={"decision": "", "reason": "x"}, headers=laura)
    assert nothing.status_code == 422
    assert "Choose what to decide" in nothing.text
    done = client.post(where, data={"decision": "acknowledged", "kind": "vo_not_supported"}, headers=laura)
    assert done.status_code == 303
    text = client.get("/cross-checks?state=acknowledged", headers=laura).text
    assert "acknowledged by Laura Gil" in text
    assert "Acknowledged:" in client.get("/usage/log", headers=laura).text


def test_findings_are_metrics_by_check(client: FlaskClient, finding: int) -> None:
    text = client.get("/metrics").text
    assert 'hanse_accounting_findings{check="vo_not_supported"} 1.0' in text
    assert 'hanse_accounting_findings{check="month_gap"} 0.0' in text


def test_names_are_compared_whatever_their_form() -> None:
    assert same_name("/C=EU/CN=x") == same_name("CN=x,C=EU")
    assert same_name("an-oidc-subject@example") != same_name("/C=EU/CN=x")


def test_a_membership_that_is_away_or_refuses_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        Membership("http://127.0.0.1:1", "t").subjects(VO)
