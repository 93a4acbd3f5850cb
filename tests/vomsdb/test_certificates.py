"""Several certificates of one person, robots and services, and generic attributes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from hanse.errors import Conflict, Forbidden, NotFound, Refused
from hanse.identity.trust import TrustStore
from hanse.revisions import current, history_of
from vomsdb import (
    attributes,
    aups,
    certificates,
    decisions,
    generic_attributes,
    groups,
    lifetimes,
    member_decisions,
    member_requests,
    members,
    robots,
    suspensions,
    vos,
)
from vomsdb.attributes import Ask, Fault, Wanted
from vomsdb.member_requests import Wish
from vomsdb.models import AttributeClass, Certificate, Mail, Member, MemberRequest, Person
from vomsdb.protocols import voms_keys
from vomsdb.robots import Account
from vomsdb.standing import looks_of
from vomsdb.vos import Manager, identity_from_names, identity_from_pem

VO = "training.egi.eu"
OTHER_CA = "/C=EU/O=Other CA/CN=Other CA"
ANNA = "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"


def _second(ca: Any, subject: str = "/C=EU/O=Hanse Demo/OU=People/CN=Anna at home") -> Any:
    return ca.issue(subject)


def _add(house: Any, member: Member, issued: Any, by: str = "Marta Kowalska") -> int:
    identity = identity_from_pem(issued.cert_path.read_text(), "certificate")
    with house.db.transaction() as session:
        certificates.add(session, member.id, identity, house.principal(by))
    with house.db.transaction() as session:
        found = certificates.known(session, identity.key)
    assert found is not None
    return found.id


def _issue(house: Any, issued: Any, *wanted: str) -> tuple[str, ...]:
    authority = voms_keys.keys_of(house.settings)[0].authority()
    chain = TrustStore(house.settings.trust_dir).verify([issued.cert])
    ask = Ask(tuple(Wanted(f"/{VO}", role or None) for role in (wanted or ("",))))
    with house.db.transaction() as session:
        return attributes.issue(looks_of(session), authority, ask, chain, timedelta(hours=12)).fqans


def test_each_certificate_of_a_member_works_and_is_suspended_by_itself(house: Any, ca: Any) -> None:
    anna, second, marta = house.join("Anna Lindqvist"), _second(ca), house.principal("Marta Kowalska")
    number = _add(house, anna, second)
    assert _issue(house, second) == _issue(house, house.cast["Anna Lindqvist"]) == (f"/{VO}",)
    with house.db.transaction() as session:
        certificates.suspend_certificate(session, anna.id, number, "laptop stolen", marta)
    with pytest.raises(Fault, match="laptop stolen"):
        _issue(house, second)
    assert _issue(house, house.cast["Anna Lindqvist"]) == (f"/{VO}",)
    with house.db.transaction() as session:
        suspensions.suspend(session, anna.id, "SECURITY_INCIDENT", "all keys", marta)
        certificates.restore_certificate(session, anna.id, number, "found again", marta)
    with pytest.raises(Fault, match="all keys"):
        _issue(house, second)


def test_a_certificate_taken_is_known_no_more_and_the_last_one_stays(house: Any, ca: Any) -> None:
    anna, second, marta = house.join("Anna Lindqvist"), _second(ca), house.principal("Marta Kowalska")
    number = _add(house, anna, second)
    with house.db.transaction() as session:
        certificates.drop(session, anna.id, number, "expired", marta)
    assert not house.of(second.cert).has("vo_member", f"vo:{VO}")
    with pytest.raises(Fault, match="unknown"):
        _issue(house, second)
    with house.db.transaction() as session:
        last = members.profile(session, anna.id).certificates[0].certificate.id
    with pytest.raises(Conflict, match="only certificate"), house.db.transaction() as session:
        certificates.drop(session, anna.id, last, "expired", marta)


def test_the_same_subject_from_another_ca_is_somebody_else_until_linked(house: Any) -> None:
    anna, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    same_name = identity_from_names(ANNA, OTHER_CA, "subject")
    with house.db.transaction() as session:
        assert certificates.known(session, same_name.key) is None
        certificates.add(session, anna.id, same_name, marta)
    with house.db.transaction() as session:
        held = members.profile(session, anna.id).certificates
        log = history_of(session, "membership", str(anna.id))
    assert [one.certificate.subject for one in held] == [ANNA, ANNA]
    assert len({one.certificate.issuer for one in held}) == 2
    assert log[-1].reason == f"certificate added: {ANNA}"


def test_two_people_become_one_by_who_may_in_every_vo(house: Any) -> None:
    anna = house.join("Anna Lindqvist")
    twin, there = house.join("Tomás Vidal"), house.join("Tomás Vidal", "chipster", "Paavo Salo")
    key = house.principal("Tomás Vidal").key
    marta, ingrid = house.principal("Marta Kowalska"), house.principal("Ingrid Holm")
    with pytest.raises(Conflict, match="another person"):
        _add(house, anna, house.cast["Tomás Vidal"])
    with pytest.raises(Forbidden, match="VO chipster"), house.db.transaction() as session:
        certificates.link(session, anna.id, key, "met them", marta)
    with pytest.raises(Refused, match="reason"), house.db.transaction() as session:
        certificates.link(session, anna.id, key, "", ingrid)
    with house.db.transaction() as session:
        certificates.link(session, anna.id, key, "the same passport", ingrid)
    with house.db.transaction() as session:
        assert len(members.profile(session, anna.id).certificates) == 2
        assert session.get_one(Member, twin.id).state == "removed"
        assert session.get_one(Member, there.id).person_id == anna.person_id
        assert len(list(session.scalars(select(Person)))) == 1
        assert "the same passport" in history_of(session, "membership", str(anna.id))[-1].reason
    assert house.principal("Tomás Vidal").has("vo_member", f"vo:{VO}")
    assert _issue(house, house.cast["Tomás Vidal"]) == (f"/{VO}",)


def test_linking_ends_no_suspension_and_nobody_links_themselves(house: Any) -> None:
    anna, twin = house.join("Anna Lindqvist"), house.join("Tomás Vidal")
    marta, ingrid = house.principal("Marta Kowalska"), house.principal("Ingrid Holm")
    key = house.principal("Tomás Vidal").key
    with house.db.transaction() as session:
        suspensions.suspend(session, twin.id, "SECURITY_INCIDENT", "stolen key", marta)
    house.grant("Anna Lindqvist", "federation_operator", "federation")
    with pytest.raises(Forbidden, match="own certificates"), house.db.transaction() as session:
        certificates.link(session, anna.id, key, "it is me", house.principal("Anna Lindqvist"))
    with house.db.transaction() as session:
        certificates.link(session, anna.id, key, "the same passport", ingrid)
    with pytest.raises(Fault, match="stolen key"):
        _issue(house, house.cast["Tomás Vidal"])
    assert _issue(house, house.cast["Anna Lindqvist"]) == (f"/{VO}",)


def test_linking_asks_the_vos_that_were_left_too_and_nothing_of_who_left(house: Any) -> None:
    anna, there = house.join("Anna Lindqvist"), house.join("Tomás Vidal", "chipster", "Paavo Salo")
    marta, key = house.principal("Marta Kowalska"), house.principal("Tomás Vidal").key
    with house.db.transaction() as session:
        lifetimes.remove(session, there.id, "left", house.principal("Paavo Salo"))
    with pytest.raises(Forbidden, match="VO chipster"), house.db.transaction() as session:
        certificates.link(session, anna.id, key, "met them", marta)
    with pytest.raises(NotFound), house.db.transaction() as session:
        certificates.link(session, there.id, house.principal("Anna Lindqvist").key, "met them", marta)
    with house.db.transaction() as session:
        certificates.link(session, anna.id, key, "the same passport", house.principal("Ingrid Holm"))
    with house.db.transaction() as session:
        assert session.get_one(Member, there.id).person_id == anna.person_id


def test_what_who_is_absorbed_or_removed_held_and_waited_for_falls_away(house: Any) -> None:
    anna, twin = house.join("Anna Lindqvist"), house.join("Tomás Vidal")
    marta = house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        groups.create_group(session, VO, f"/{VO}/course", "", marta)
        groups.give(session, twin.id, f"/{VO}/course", marta)
        generic_attributes.define(session, VO, AttributeClass(vo=VO, name="nickname"), marta)
    for member, name in ((anna, "Anna Lindqvist"), (twin, "Tomás Vidal")):
        with house.db.transaction() as session:
            generic_attributes.set_of_member(session, member.id, "nickname", f"no{member.id}", marta)
            wish = Wish("removal")
            member_requests.ask(session, VO, wish, house.principal(name), timedelta(days=30))

    def standing() -> list[int]:
        with house.db.transaction() as session:
            return [len(current(session, kind)) for kind in ("attribute_value", "member_request")]

    assert standing() == [2, 2]
    with house.db.transaction() as session:
        key = house.principal("Tomás Vidal").key
        certificates.link(session, anna.id, key, "the same passport", house.principal("Ingrid Holm"))
    assert standing() == [1, 1]
    with house.db.transaction() as session:
        assert members.profile(session, twin.id).fqans == (f"/{VO}",)
        assert [one.member_id for one in session.scalars(select(MemberRequest))] == [anna.id]
        lifetimes.remove(session, anna.id, "left", marta)
    assert standing() == [0, 0]


def test_nobody_decides_their_own_request_with_a_certificate_of_another_vo(house: Any, ca: Any) -> None:
    second = _second(ca)
    _add(house, house.join("Anna Lindqvist", "chipster", "Paavo Salo"), second, "Paavo Salo")
    identity = identity_from_pem(second.cert_path.read_text(), "certificate")
    marta, other = house.principal("Marta Kowalska"), Manager(identity, "Anna at home", "home@example.org")
    with house.db.transaction() as session:
        groups.create_group(session, VO, f"/{VO}/course", "", marta)
        vos.appoint(session, VO, other, marta)
    request = house.confirm(house.apply("Anna Lindqvist"))
    with pytest.raises(Forbidden, match="own request"), house.db.transaction() as session:
        decisions.approve(session, VO, request.id, "", house.of(second.cert))
    with house.db.transaction() as session:
        decisions.approve(session, VO, request.id, "", marta)
        wish, anna = Wish("group", f"/{VO}/course"), house.principal("Anna Lindqvist")
        asked = member_requests.ask(session, VO, wish, anna, timedelta(days=30))
    with pytest.raises(Forbidden, match="own request"), house.db.transaction() as session:
        member_decisions.approve(session, VO, asked.id, "", house.of(second.cert))


# --- robots and services ------------------------------------------------------------------------------------------


def _robot(house: Any, ca: Any, owner: Member) -> tuple[Member, Any]:
    issued = ca.issue("/C=EU/O=Hanse Demo/OU=Robots/CN=Robot: course images")
    identity = identity_from_pem(issued.cert_path.read_text(), "certificate")
    account = Account("robot", "course-images", "makes images each night", owner.id, identity)
    with house.db.transaction() as session:
        return robots.create(session, VO, account, house.principal("Marta Kowalska")), issued


def test_the_owner_signs_for_the_robot_and_reads_its_mails(house: Any, ca: Any) -> None:
    anna, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    robot, issued = _robot(house, ca, anna)
    assert _issue(house, issued) == (f"/{VO}",)
    with house.db.transaction() as session:
        aups.publish(session, VO, "Be kinder.", 0, marta)
    with house.db.transaction() as session:
        assert aups.suspend_unsigned(session) == 2
    with pytest.raises(Fault, match="AUP not signed"):
        _issue(house, issued)
    with house.db.transaction() as session:
        aups.sign(session, VO, 2, house.principal("Anna Lindqvist"))
    assert _issue(house, issued) == (f"/{VO}",)
    with house.db.transaction() as session:
        assert session.get_one(Member, robot.id).aup_signed_by == "Anna Lindqvist, its owner"
        mails = list(session.scalars(select(Mail).where(Mail.about == f"member:{robot.id}")))
    assert {mail.recipient for mail in mails} == {"anna@example.org"}
    assert len(mails) == 3


def test_a_manager_signs_for_a_robot_and_for_no_person(house: Any, ca: Any) -> None:
    anna, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    robot, _ = _robot(house, ca, anna)
    with house.db.transaction() as session:
        aups.publish(session, VO, "Be kinder.", 15, marta)
    with house.db.transaction() as session:
        aups.sign_for(session, robot.id, 2, "the owner is on leave", marta)
    with house.db.transaction() as session:
        row = session.get_one(Member, robot.id)
        assert (row.aup_version, row.aup_due) == (2, None)
        assert "the owner is on leave" in str(row.aup_signed_by)
    with pytest.raises(Conflict, match="signs for themselves"), house.db.transaction() as session:
        aups.sign_for(session, anna.id, 2, "on leave", marta)


def test_a_robot_is_nobodys_other_self(house: Any, ca: Any) -> None:
    anna, ingrid = house.join("Anna Lindqvist"), house.principal("Ingrid Holm")
    robot, issued = _robot(house, ca, anna)
    tomas = house.join("Tomás Vidal")
    for member, certificate in ((tomas, issued), (robot, house.cast["Tomás Vidal"])):
        with pytest.raises(Conflict, match="only people"), house.db.transaction() as session:
            certificates.link(session, member.id, house.of(certificate.cert).key, "the same", ingrid)


def test_a_robot_stops_with_its_owner_until_it_has_another_one(house: Any, ca: Any) -> None:
    anna, tomas = house.join("Anna Lindqvist"), house.join("Tomás Vidal")
    robot, issued = _robot(house, ca, anna)
    marta = house.browser("Marta Kowalska")
    assert marta.call("DELETE", f"/api/v1/members/{anna.id}?reason=left").status_code == 200
    with pytest.raises(Fault, match="needs another owner"):
        _issue(house, issued)
    at = f"/api/v1/members/{robot.id}"
    refused = marta.call("POST", f"{at}/owner", {"owner": anna.id, "reason": "again"})
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "owner")
    assert (
        marta.call("POST", f"{at}/owner", {"owner": tomas.id, "reason": "takes over"}).json["owner"]
        == tomas.id
    )
    assert marta.call("DELETE", f"{at}/suspension?reason=new+owner").json["state"] == "active"
    assert _issue(house, issued) == (f"/{VO}",)
    page = marta.get(f"/members/{robot.id}").text
    assert "Tomás Vidal, no." in page
    assert "course-images" in marta.get(f"/members/{tomas.id}").text


def test_a_robot_that_has_stopped_comes_back_under_an_active_owner_alone(house: Any, ca: Any) -> None:
    anna, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    robot, _ = _robot(house, ca, anna)

    def code() -> str | None:
        with house.db.transaction() as session:
            return session.get_one(Member, robot.id).suspension_code  # type: ignore[no-any-return]

    with house.db.transaction() as session:
        aups.publish(session, VO, "Be kinder.", 0, marta)
    with house.db.transaction() as session:
        assert aups.suspend_unsigned(session) == 2
        suspensions.suspend(session, anna.id, "SECURITY_INCIDENT", "stolen key", marta)
        aups.sign(session, VO, 2, house.principal("Anna Lindqvist"))
    assert code() == "FAILED_TO_SIGN_AUP"
    with pytest.raises(Conflict, match="another owner"), house.db.transaction() as session:
        lifetimes.prolong(session, robot.id, None, marta)
    with pytest.raises(Conflict, match="another owner"), house.db.transaction() as session:
        aups.sign_for(session, robot.id, 2, "on leave", marta)
    with house.db.transaction() as session:
        lifetimes.remove(session, anna.id, "left", marta)
    assert code() == "OTHER"
    with pytest.raises(Conflict, match="another owner"), house.db.transaction() as session:
        suspensions.restore(session, robot.id, "again", marta)
    with pytest.raises(Conflict, match="no longer a member"), house.db.transaction() as session:
        aups.sign_for(session, robot.id, 2, "on leave", marta)


# --- generic attributes -------------------------------------------------------------------------------------------


def test_values_of_member_group_and_role_stand_in_the_certificate(house: Any) -> None:
    anna, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        groups.create_group(session, VO, f"/{VO}/course", "", marta)
    with house.db.transaction() as session:
        groups.create_role(session, VO, "tutor", "", marta)
    for fqan in (f"/{VO}/course", f"/{VO}/Role=tutor"):
        with house.db.transaction() as session:
            groups.give(session, anna.id, fqan, marta)
    for name in ("nickname", "quota"):
        with house.db.transaction() as session:
            generic_attributes.define(
                session, VO, AttributeClass(vo=VO, name=name, distinct_values=False), marta
            )
    with house.db.transaction() as session:
        generic_attributes.set_of_member(session, anna.id, "nickname", "änna", marta)
    for fqan, value in ((f"/{VO}/course", "10"), (f"/{VO}/Role=tutor", "50")):
        with house.db.transaction() as session:
            generic_attributes.set_of_fqan(session, VO, fqan, "quota", value, marta)
    with house.db.transaction() as session:
        member = session.get_one(Member, anna.id)
        plain = generic_attributes.held(session, member, (f"/{VO}", f"/{VO}/course"))
        whole = generic_attributes.held(session, member, (f"/{VO}", f"/{VO}/course", f"/{VO}/Role=tutor"))
    assert [(v.name, v.value, v.qualifier) for v in plain] == [
        ("nickname", "änna", VO),
        ("quota", "10", f"/{VO}/course"),
    ]
    assert [v.value for v in whole] == ["änna", "10", "50"]
    assert _issue(house, house.cast["Anna Lindqvist"], "tutor") == (
        f"/{VO}/Role=tutor",
        f"/{VO}",
        f"/{VO}/course",
    )


def test_a_value_that_may_stand_once_stands_once(house: Any) -> None:
    anna, tomas = house.join("Anna Lindqvist"), house.join("Tomás Vidal")
    marta = house.browser("Marta Kowalska")
    at = f"/api/v1/vos/{VO}"
    defined = marta.call("POST", f"{at}/attributes", {"name": "nickname", "distinct_values": True})
    assert defined.status_code == 201, defined.text
    first = marta.call(
        "PUT", f"{at}/attribute-values", {"attribute": "nickname", "value": "al", "member": anna.id}
    )
    assert first.status_code == 200, first.text
    again = marta.call(
        "PUT", f"{at}/attribute-values", {"attribute": "nickname", "value": "al", "member": tomas.id}
    )
    assert (again.status_code, "may stand once" in again.json["detail"]) == (409, True)
    group = marta.call(
        "PUT", f"{at}/attribute-values", {"attribute": "nickname", "value": "x", "fqan": f"/{VO}"}
    )
    assert group.status_code == 409
    both = marta.call("PUT", f"{at}/attribute-values", {"attribute": "nickname", "value": "x"})
    assert both.status_code == 422
    paavo = house.browser("Paavo Salo")
    assert paavo.call("POST", f"{at}/attributes", {"name": "x"}).status_code == 403
    assert marta.get(f"{at}/attribute-values?member={anna.id}").json["items"][0]["value"] == "al"
    assert marta.call("DELETE", f"{at}/attribute-values/{first.json['id']}").status_code == 204
    assert marta.get(f"{at}/attribute-values?member={anna.id}").json["items"] == []
    assert marta.call("DELETE", f"{at}/attributes/nickname").status_code == 204


@pytest.mark.parametrize("value", ["", "x" * 256, "a\nb", "\x00"])
def test_a_value_that_no_certificate_can_carry_is_refused(house: Any, value: str) -> None:
    anna, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        generic_attributes.define(session, VO, AttributeClass(vo=VO, name="n", distinct_values=False), marta)
    with pytest.raises(Refused), house.db.transaction() as session:
        generic_attributes.set_of_member(session, anna.id, "n", value, marta)


def test_certificates_on_the_page_of_a_member(house: Any, ca: Any) -> None:
    anna, second, marta = house.join("Anna Lindqvist"), _second(ca), house.browser("Marta Kowalska")
    path = f"/members/{anna.id}"
    assert marta.post(path, action="add", pem=second.cert_path.read_text()).status_code == 303
    assert "Anna at home" in marta.get(path).text
    assert marta.post(path, action="add", pem="no PEM").status_code == 422
    with house.db.transaction() as session:
        number = session.scalars(select(Certificate.id).order_by(Certificate.id.desc())).first()
    assert marta.post(path, action="drop", certificate=str(number), reason="old").status_code == 303
    assert "<code>/C=EU/O=Hanse Demo/OU=People/CN=Anna at home" not in marta.get(path).text
    robot = ca.issue("/C=EU/O=Hanse Demo/OU=Robots/CN=Robot: mirror").cert_path.read_text()
    made = marta.post(f"{path}/robots", kind="robot", name="mirror", purpose="mirrors", pem=robot)
    assert made.status_code == 303
    assert "Robot" in marta.get(made.headers["Location"]).text
    assert "robot: mirror" in marta.get(f"/vos/{VO}/members?kind=robot").text
    assert house.browser("Paavo Salo").post(path, action="add", pem=robot).status_code == 403
