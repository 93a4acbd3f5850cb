"""The end of a membership and of a signature: warnings, grace, removal, prolonging; what time alone changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from hanse.errors import Conflict, NotFound, Refused
from hanse.revisions import head, history_of
from vomsdb import aups, groups, lifetimes, members, suspensions
from vomsdb.jobs import by_the_clock
from vomsdb.lifetimes import due_reminder
from vomsdb.models import Mail, Member, VoChange

VO = "training.egi.eu"


def _set(house: Any, member: Member, **columns: Any) -> None:
    with house.db.transaction() as session:
        row = session.get_one(Member, member.id)
        for name, value in columns.items():
            setattr(row, name, value)


def _row(house: Any, member: Member) -> Member:
    with house.db.transaction() as session:
        return session.get_one(Member, member.id)  # type: ignore[no-any-return]


def _in(**time: float) -> datetime:
    return datetime.now(UTC) + timedelta(**time)


def _subjects(house: Any, member: Member) -> list[str]:
    with house.db.transaction() as session:
        query = select(Mail.subject).where(Mail.about == f"member:{member.id}").order_by(Mail.id)
        return list(session.scalars(query))


def _clock(house: Any) -> None:
    by_the_clock(house.db, 72, 30)


# --- memberships --------------------------------------------------------------------------------------------------


def test_a_member_is_told_15_7_and_1_days_before_the_end_once_each(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    for days, mails in ((16, 0), (14.5, 1), (14, 1), (6.5, 2), (0.9, 3), (0.5, 3)):
        _set(house, member, until=_in(days=days))
        _clock(house)
        _clock(house)
        assert len(_subjects(house, member)) == mails, days
    assert all("ends" in subject for subject in _subjects(house, member))


def test_who_was_away_for_long_is_told_once_of_what_is_left(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    _set(house, member, until=_in(hours=5))
    _clock(house)
    assert len(_subjects(house, member)) == 1
    assert _row(house, member).end_reminded == 1


def test_the_end_is_a_revision_then_grace_then_removal(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        groups.create_group(session, VO, f"/{VO}/course", "", marta)
        groups.give(session, member.id, f"/{VO}/course", marta)
    _set(house, member, until=_in(seconds=-1))
    _clock(house)
    assert _row(house, member).state == "expired"
    assert not house.principal("Anna Lindqvist").has("vo_member", f"vo:{VO}")
    _set(house, member, until=_in(days=-29))
    _clock(house)
    assert _row(house, member).state == "expired"
    with house.db.transaction() as session:
        assert members.profile(session, member.id).fqans == (f"/{VO}", f"/{VO}/course")
    _set(house, member, until=_in(days=-31))
    _clock(house)
    assert _row(house, member).state == "removed"
    with house.db.transaction() as session:
        log = history_of(session, "membership", str(member.id))
        before = head(session)
    assert [(e.actor_name, e.body["state"]) for e in log[-2:]] == [
        ("the clock", "expired"),
        ("the clock", "removed"),
    ]
    _clock(house)
    with house.db.transaction() as session:
        assert head(session) == before


def test_prolonging_in_the_days_of_grace_brings_everything_back(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    _set(house, member, until=_in(days=-3), end_reminded=1)
    _clock(house)
    with house.db.transaction() as session:
        lifetimes.prolong(session, member.id, None, marta)
    row = _row(house, member)
    assert (row.state, row.end_reminded) == ("active", None)
    assert timedelta(days=364) < row.until - datetime.now(UTC) <= timedelta(days=365)
    assert house.principal("Anna Lindqvist").has("vo_member", f"vo:{VO}")
    assert "goes on until" in _subjects(house, member)[-1]


def test_prolonging_adds_to_an_end_that_lies_ahead_and_keeps_to_ten_years(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        lifetimes.prolong(session, member.id, None, marta)
    assert _row(house, member).until - datetime.now(UTC) > timedelta(days=729)
    for until in (_in(seconds=-1), _in(days=3700)):
        with pytest.raises(Refused, match="cannot end then"), house.db.transaction() as session:
            lifetimes.prolong(session, member.id, until, marta)
    wanted = _in(days=10)
    with house.db.transaction() as session:
        lifetimes.prolong(session, member.id, wanted, marta)
    assert _row(house, member).until == wanted


def test_a_suspension_by_a_person_outlives_the_end_and_prolonging(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        suspensions.suspend(session, member.id, "SECURITY_INCIDENT", "stolen key", marta)
    _set(house, member, until=_in(seconds=-1))
    _clock(house)
    with house.db.transaction() as session:
        lifetimes.prolong(session, member.id, None, marta)
    assert (_row(house, member).state, _row(house, member).suspension_code) == (
        "suspended",
        "SECURITY_INCIDENT",
    )
    _set(house, member, until=_in(days=-31))
    _clock(house)
    assert _row(house, member).state == "removed"


def test_many_are_prolonged_at_once_and_one_refusal_does_not_stop_the_rest(house: Any) -> None:
    anna, tomas = house.join("Anna Lindqvist"), house.join("Tomás Vidal")
    there = house.join("Tomás Vidal", "chipster", "Paavo Salo")
    marta = house.browser("Marta Kowalska")
    body = {"members": [anna.id, there.id, 999, tomas.id]}
    answer = marta.call("POST", f"/api/v1/vos/{VO}/prolongations", body)
    assert answer.json["done"] == [anna.id, tomas.id]
    assert [one["id"] for one in answer.json["refused"]] == [there.id, 999]
    paavo = house.browser("Paavo Salo")
    assert paavo.call("POST", f"/api/v1/vos/{VO}/prolongations", body).status_code == 403
    assert paavo.call("POST", f"/api/v1/members/{anna.id}/end", {}).status_code == 403
    wanted = f"{_in(days=200):%Y-%m-%d}T00:00:00Z"
    one = marta.call("POST", f"/api/v1/members/{anna.id}/end", {"until": wanted})
    assert one.json["until"] == wanted


def test_the_page_of_what_ends_prolongs_the_ticked_ones(house: Any) -> None:
    anna, tomas = house.join("Anna Lindqvist"), house.join("Tomás Vidal")
    _set(house, anna, until=_in(days=5))
    _set(house, tomas, until=_in(days=-2))
    _clock(house)
    marta, path = house.browser("Marta Kowalska"), f"/vos/{VO}/ending"
    page = marta.get(path).text
    assert "Ending within 90 days: <b>1 membership</b>; ended and still to be prolonged: 1." in page
    assert page.index("Tomás Vidal") < page.index("Anna Lindqvist")
    assert "7 d before" in page
    assert marta.post(path, member=[str(anna.id), str(tomas.id)]).status_code == 303
    assert "2 prolonged." in marta.get(path).text
    assert _row(house, tomas).state == "active"
    assert house.browser("Paavo Salo").post(path, member=[str(anna.id)]).status_code == 403
    day = f"{_in(days=200):%Y-%m-%d}"
    assert marta.post(f"/members/{anna.id}", action="prolong", until=day).status_code == 303
    assert f"{_row(house, anna).until:%Y-%m-%d %H:%M:%S}" == f"{day} 23:59:59"


# --- the AUP ------------------------------------------------------------------------------------------------------


def test_who_has_not_signed_is_told_7_3_and_1_days_before_and_then_suspended(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        aups.publish(session, VO, "Be kinder.", 15, marta)
    for days, mails in ((15, 0), (7.5, 0), (6.9, 1), (2.9, 2), (0.9, 3)):
        _set(house, member, aup_due=_in(days=days))
        _clock(house)
        _clock(house)
        assert len(_subjects(house, member)) == mails, days
    _set(house, member, aup_due=_in(seconds=-1))
    _clock(house)
    assert _row(house, member).suspension_code == "FAILED_TO_SIGN_AUP"
    with house.db.transaction() as session:
        entry = history_of(session, "membership", str(member.id))[-1]
        change = session.scalars(select(VoChange).order_by(VoChange.revision.desc())).first()
    assert (entry.actor_name, change.urgent) == ("the clock", True)
    with house.db.transaction() as session:
        aups.sign(session, VO, 2, house.principal("Anna Lindqvist"))
    row = _row(house, member)
    assert (row.state, row.aup_due, row.aup_reminded) == ("active", None, None)


def test_signing_early_ends_the_reminders_and_a_second_version_puts_nothing_off(house: Any) -> None:
    anna, tomas = house.join("Anna Lindqvist"), house.join("Tomás Vidal")
    marta = house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        aups.publish(session, VO, "Be kinder.", 5, marta)
    with house.db.transaction() as session:
        aups.sign(session, VO, 2, house.principal("Anna Lindqvist"))
    first = _row(house, tomas).aup_due
    with house.db.transaction() as session:
        aups.publish(session, VO, "Be kindest.", 300, marta)
    assert _row(house, tomas).aup_due == first
    _clock(house)
    assert _subjects(house, anna) == []
    assert len(_subjects(house, tomas)) == 1


def test_one_member_or_all_are_asked_to_sign_the_same_version_again(house: Any) -> None:
    anna, tomas = house.join("Anna Lindqvist"), house.join("Tomás Vidal")
    marta = house.browser("Marta Kowalska")
    at = f"/api/v1/vos/{VO}/aup-requests"
    assert marta.call("POST", at, {"member": anna.id, "days": 3}).json == {"asked": 1}
    assert marta.call("POST", at, {"member": anna.id}).status_code == 409
    assert (_row(house, anna).aup_due is None, _row(house, tomas).aup_due is None) == (False, True)
    assert marta.call("POST", at, {"days": 3}).json == {"asked": 1}
    assert house.browser("Paavo Salo").call("POST", at, {}).status_code == 403
    assert "waits for your signature" in house.browser("Anna Lindqvist").get("/me").text
    with house.db.transaction() as session:
        assert aups.signed_counts(session, VO) == (0, 2)
        aups.sign(session, VO, 1, house.principal("Anna Lindqvist"))
    with house.db.transaction() as session:
        assert aups.signed_counts(session, VO) == (1, 2)
    other = house.join("Tomás Vidal", "chipster", "Paavo Salo")
    with pytest.raises(NotFound), house.db.transaction() as session:
        aups.ask_again(session, VO, other.id, 3, house.principal("Marta Kowalska"))


def test_somebody_removed_signs_nothing(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    with house.db.transaction() as session:
        lifetimes.remove(session, member.id, "left", house.principal("Marta Kowalska"))
    with pytest.raises(NotFound, match="not a member"), house.db.transaction() as session:
        aups.sign(session, VO, 1, house.principal("Anna Lindqvist"))
    with pytest.raises(NotFound), house.db.transaction() as session:
        lifetimes.prolong(session, member.id, None, house.principal("Marta Kowalska"))


def test_a_robot_is_not_prolonged_past_its_owner(house: Any, ca: Any) -> None:
    owner, marta = house.join("Anna Lindqvist"), house.browser("Marta Kowalska")
    robot = {
        "name": "mirror",
        "owner": owner.id,
        "certificate": ca.issue("/C=EU/O=Hanse Demo/CN=Robot: mirror").cert_path.read_text(),
    }
    made = marta.call("POST", f"/api/v1/vos/{VO}/robots", robot)
    assert made.status_code == 201, made.text
    with house.db.transaction() as session:
        lifetimes.remove(session, owner.id, "left", house.principal("Marta Kowalska"))
    with pytest.raises(Conflict, match="another owner"), house.db.transaction() as session:
        lifetimes.prolong(session, made.json["id"], None, house.principal("Marta Kowalska"))


@settings(max_examples=100)
@given(
    left=st.floats(-2, 20),
    told=st.sampled_from([None, 15, 7, 1]),
)
def test_a_reminder_is_sent_once_for_each_day_that_is_reached(left: float, told: int | None) -> None:
    now = datetime.now(UTC)
    due = due_reminder(now + timedelta(days=left), told, (15, 7, 1), now)
    if due is None:
        assert left > 15 or (told is not None and told <= min(d for d in (15, 7, 1) if left <= d))
    else:
        assert left <= due
        assert told is None or due < told
        again = due_reminder(now + timedelta(days=left), due, (15, 7, 1), now)
        assert again is None
