"""Members: suspension and its end, groups and roles, the AUP, and what the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from hanse.errors import Conflict, NotFound, Refused
from hanse.revisions import current, head, history_of
from vomsdb import aups, certificates, groups, lifetimes, members, suspensions, vos
from vomsdb.jobs import by_the_clock
from vomsdb.models import Member, VoChange

VO = "training.egi.eu"


def _suspend(house: Any, member: Member, code: str = "SECURITY_INCIDENT", reason: str = "key lost") -> None:
    with house.db.transaction() as session:
        suspensions.suspend(session, member.id, code, reason, house.principal("Marta Kowalska"))


def _state(house: Any, member: Member) -> str:
    with house.db.transaction() as session:
        return str(session.get_one(Member, member.id).state)


def test_a_suspension_takes_the_grant_and_is_urgent_for_the_sites(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    _suspend(house, member)
    assert not house.principal("Anna Lindqvist").has("vo_member", f"vo:{VO}")
    with house.db.transaction() as session:
        last = session.scalars(
            select(VoChange).where(VoChange.vo == VO).order_by(VoChange.revision.desc())
        ).first()
        log = history_of(session, "membership", str(member.id))
    assert last is not None
    assert last.urgent
    assert log[-1].reason == "suspended: security incident: key lost"
    assert log[-1].body["suspension"] == "SECURITY_INCIDENT"


def test_a_second_suspension_is_told_of_the_first(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    _suspend(house, member)
    with pytest.raises(Conflict, match="by Marta Kowalska already"):
        _suspend(house, member, "OTHER")


def test_suspending_and_restoring_need_reasons(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    with pytest.raises(Refused, match="reason"):
        _suspend(house, member, reason=" ")
    with pytest.raises(Refused):
        _suspend(house, member, code="MEMBERSHIP_EXPIRATION")
    _suspend(house, member)
    with house.db.transaction() as session:
        suspensions.restore(session, member.id, "new key", house.principal("Marta Kowalska"))
    assert _state(house, member) == "active"
    assert house.principal("Anna Lindqvist").has("vo_member", f"vo:{VO}")


def test_one_certificate_is_suspended_by_itself(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    marta = house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        certificate = members.profile(session, member.id).certificates[0].certificate
        certificates.suspend_certificate(session, member.id, certificate.id, "laptop stolen", marta)
    with house.db.transaction() as session:
        body = current(session, "membership")[str(member.id)]
    assert (body["state"], body["keys"]) == ("active", [])
    assert not house.principal("Anna Lindqvist").has("vo_member", f"vo:{VO}")


def test_a_new_aup_suspends_after_its_days_and_signing_restores_without_a_manager(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        aups.publish(session, VO, "Be kinder.", 0, marta)
    assert _state(house, member) == "active"
    by_the_clock(house.db, 72)
    assert _state(house, member) == "suspended"
    with pytest.raises(Conflict, match="signing restores"), house.db.transaction() as session:
        suspensions.restore(session, member.id, "please", marta)
    with pytest.raises(Conflict, match="not in force"), house.db.transaction() as session:
        aups.sign(session, VO, 1, house.principal("Anna Lindqvist"))
    with house.db.transaction() as session:
        aups.sign(session, VO, 2, house.principal("Anna Lindqvist"))
    assert _state(house, member) == "active"


def test_signing_does_not_end_a_suspension_for_an_incident(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    _suspend(house, member)
    with house.db.transaction() as session:
        aups.publish(session, VO, "Be kinder.", 15, marta)
    with house.db.transaction() as session:
        aups.sign(session, VO, 2, house.principal("Anna Lindqvist"))
    assert _state(house, member) == "suspended"


def test_a_membership_that_ends_becomes_a_revision_by_the_clock(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    with house.db.transaction() as session:
        session.get_one(Member, member.id).until = datetime.now(UTC) - timedelta(seconds=1)
    by_the_clock(house.db, 72)
    assert _state(house, member) == "expired"
    with house.db.transaction() as session:
        log = history_of(session, "membership", str(member.id))
    assert (log[-1].actor_name, log[-1].reason) == ("the clock", "membership ended")
    with pytest.raises(Conflict, match="has ended"):
        _suspend(house, member)


def test_a_subgroup_brings_those_above_along_and_goes_with_them(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    for path in (f"/{VO}/course", f"/{VO}/course/a", f"/{VO}/course_b"):
        with house.db.transaction() as session:
            groups.create_group(session, VO, path, "", marta)
    with house.db.transaction() as session:
        groups.create_role(session, VO, "tutor", "", marta)
    for fqan in (f"/{VO}/course/a", f"/{VO}/course/a/Role=tutor", f"/{VO}/course_b"):
        with house.db.transaction() as session:
            groups.give(session, member.id, fqan, marta)
    with house.db.transaction() as session:
        assert members.profile(session, member.id).fqans == (
            f"/{VO}",
            f"/{VO}/course",
            f"/{VO}/course/a",
            f"/{VO}/course_b",
            f"/{VO}/course/a/Role=tutor",
        )
    with house.db.transaction() as session:
        groups.take(session, member.id, f"/{VO}/course", marta)
    with house.db.transaction() as session:
        assert members.profile(session, member.id).fqans == (f"/{VO}", f"/{VO}/course_b")


def test_what_a_member_holds_already_takes_no_revision_and_stands_in_nobodys_way(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        before = head(session)
        groups.give(session, member.id, f"/{VO}", marta)
    with house.db.transaction() as session:
        assert head(session) == before
    _suspend(house, member)
    assert _state(house, member) == "suspended"


@pytest.mark.parametrize(
    "path", ["/chipster/x", f"/{VO}", f"/{VO}/a b", f"/{VO}/none/a", f"/{VO}/../x", "x", f"/{VO}x/a"]
)
def test_groups_grow_only_below_the_vo(house: Any, path: str) -> None:
    with pytest.raises((Refused, Conflict)), house.db.transaction() as session:
        groups.create_group(session, VO, path, "", house.principal("Marta Kowalska"))


def test_groups_and_roles_of_another_vo_cannot_be_given(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    for fqan in ("/chipster", f"/{VO}/Role=none", f"/{VO}/none"):
        with pytest.raises(NotFound), house.db.transaction() as session:
            groups.give(session, member.id, fqan, marta)
    with pytest.raises(Refused), house.db.transaction() as session:
        groups.take(session, member.id, f"/{VO}", marta)


def test_a_removed_member_leaves_a_tombstone_and_may_come_again_with_nothing(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        groups.create_role(session, VO, "tutor", "", marta)
    with house.db.transaction() as session:
        groups.give(session, member.id, f"/{VO}/Role=tutor", marta)
    with house.db.transaction() as session:
        lifetimes.remove(session, member.id, "left the project", marta)
    assert not house.principal("Anna Lindqvist").has("vo_member", f"vo:{VO}")
    again = house.join("Anna Lindqvist")
    assert again.id != member.id
    assert again.person_id == member.person_id
    with house.db.transaction() as session:
        assert members.profile(session, again.id).fqans == (f"/{VO}",)
        assert [p.member.id for p in members.search(session, VO, state="removed")] == [member.id]


def test_members_are_found_by_name_address_and_subject(house: Any) -> None:
    house.join("Anna Lindqvist")
    house.join("Tomás Vidal")
    with house.db.transaction() as session:
        for words in ("lindq", "ANNA@example", "CN=Anna"):
            assert [p.person.name for p in members.search(session, VO, words=words)] == ["Anna Lindqvist"]
        assert members.search(session, VO, words="%") == []


def test_the_last_manager_stays(house: Any) -> None:
    marta = house.principal("Marta Kowalska")
    with pytest.raises(Conflict, match="only manager"), house.db.transaction() as session:
        vos.dismiss(session, VO, marta.key, marta)
    with house.db.transaction() as session:
        vos.appoint(session, VO, vos.Manager(house.principal("Tomás Vidal").x509, "Tomás Vidal", ""), marta)
    assert house.principal("Tomás Vidal").has("vo_manager", f"vo:{VO}")
    with house.db.transaction() as session:
        vos.dismiss(session, VO, marta.key, marta)
    assert not house.principal("Marta Kowalska").has("vo_manager", f"vo:{VO}")
