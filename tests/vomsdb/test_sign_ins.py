"""People who come in by an identity provider: applicants, members without a certificate, and once they have one."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import Conflict, Forbidden, Refused
from hanse.identity.authority import Authority
from hanse.identity.principals import Principal, Subject
from hanse.revisions import History
from vomsdb import (
    applications,
    certificates,
    decisions,
    members,
    personal_data,
    publishing,
    subjects,
    suspensions,
)
from vomsdb.applications import Form
from vomsdb.models import Application, Member, ProviderSubject, Snapshot

from .conftest import TERMS, VO, Browser, House

UNI = "https://idp.uni.example"
ANNA = Subject(UNI, "anna-4711")


def seen(house: House, subject: Subject = ANNA, name: str = "Anna Lindqvist") -> Principal:
    return Authority(house.db).for_subject(subject, name, "anna@uni.example")


def browser(house: House, subject: Subject = ANNA) -> Browser:
    client = house.app.test_client()
    with client.session_transaction() as session:
        session["key"], session["csrf"], session["how"] = subject.key, "the form's secret", "oidc"
        session["oidc"] = [subject.issuer, subject.subject, "Anna Lindqvist", "anna@uni.example"]
    return Browser(client)


def apply(house: House, vo: str = VO, subject: Subject = ANNA) -> Application:
    form = Form("Anna Lindqvist", "anna@uni.example", "Uni", "to learn", 1, True)
    with house.db.transaction() as session:
        return applications.submit(session, vo, form, seen(house, subject), TERMS)


def join(house: House, vo: str = VO, by: str = "Marta Kowalska", subject: Subject = ANNA) -> int:
    application = house.confirm(apply(house, vo, subject))
    with house.db.transaction() as session:
        decided = decisions.approve(session, vo, application.id, "", house.principal(by))
        assert decided.member_id is not None
        return decided.member_id


def told(house: House) -> dict[str, Any]:
    with house.db.transaction() as session:
        query = select(History.body).where(History.kind == "membership", History.to_revision.is_(None))
        body: dict[str, Any] = session.scalars(query).one()
        return body


def at_sites(session: Session) -> int | None:
    """How many members the newest snapshot of the VO tells the sites of."""
    newest = select(Snapshot.members).where(Snapshot.vo == VO).order_by(Snapshot.seq.desc()).limit(1)
    return session.scalar(newest)


def test_who_signs_in_applies_on_the_page_and_the_manager_sees_how(house: House) -> None:
    own = browser(house)
    page = own.get(f"/vos/{VO}/apply").text
    assert "anna-4711" in page
    assert 'value="anna@uni.example"' in page
    form = {"name": "Anna Lindqvist", "email": "anna@uni.example", "aup_version": 1, "aup_accepted": "on"}
    assert own.post(f"/vos/{VO}/apply", **form).status_code == 303
    with house.db.transaction() as session:
        made = session.scalars(select(Application)).one()
        assert (made.subject_der, made.subject, made.issuer, made.key) == (None, "anna-4711", UNI, ANNA.key)
    house.confirm(made)
    marta = house.browser("Marta Kowalska")
    waiting = marta.get(f"/api/v1/vos/{VO}/requests").get_json()["items"]
    assert [(one["known_by"], one["subject"]) for one in waiting] == [("sign_in", "anna-4711")]
    queue = marta.get(f"/vos/{VO}/queue").text
    assert "sign-in anna-4711" in queue
    assert "idp.uni.example" in queue
    assert "no certificate yet" in marta.get(f"/vos/{VO}/requests/{made.id}").text
    assert marta.post(f"/vos/{VO}/queue", action=f"approve:{made.id}").status_code == 303
    assert "Send my certificate" in own.get("/me").text
    assert "once you have a certificate" in own.get("/me").text
    mine = own.get("/api/v1/me/memberships").get_json()["items"]
    assert [(one["vo"], one["certificates"], one["subjects"][0]["subject"]) for one in mine] == [
        (VO, [], "anna-4711")
    ]
    assert "sign-in alone" in marta.get(f"/vos/{VO}/members").text


def test_a_token_of_ours_proves_no_new_person(house: House) -> None:
    form = Form("Anna", "anna@uni.example", "", "", 1, True)
    nobody = Principal(key="token:x", kind="token", name="a script")
    with (
        house.db.transaction() as session,
        pytest.raises(Refused, match="or signed in with your institution"),
    ):
        applications.submit(session, VO, form, nobody, TERMS)


def test_a_member_without_a_certificate_has_rights_here_and_stands_at_no_site(house: House) -> None:
    join(house)
    assert seen(house).has("vo_member", f"vo:{VO}")
    assert told(house)["keys"] == [ANNA.key]
    with house.db.transaction() as session:
        publishing.publish_changed(session, house.press)
        assert at_sites(session) == 0


def test_with_a_certificate_the_same_member_reaches_the_sites(house: House) -> None:
    number = join(house)
    certificate = house.principal("Anna Lindqvist").x509
    assert certificate is not None
    with house.db.transaction() as session:
        certificates.add(session, number, certificate, house.principal("Marta Kowalska"))
    assert sorted(told(house)["keys"]) == sorted([ANNA.key, certificate.key])
    with house.db.transaction() as session:
        publishing.publish_changed(session, house.press)
        assert at_sites(session) == 1
    with pytest.raises(Conflict, match="member of"):
        house.apply("Anna Lindqvist")


def test_a_suspension_takes_the_rights_of_the_sign_in(house: House) -> None:
    number = join(house)
    with house.db.transaction() as session:
        suspensions.suspend(session, number, "SECURITY_INCIDENT", "stolen", house.principal("Marta Kowalska"))
    assert not seen(house).grants
    with house.db.transaction() as session:
        suspensions.restore(session, number, "it was not", house.principal("Marta Kowalska"))
    assert seen(house).has("vo_member", f"vo:{VO}")


def test_who_the_registry_links_to_a_member_is_that_person(house: House) -> None:
    member = house.join("Anna Lindqvist")
    for key in (ANNA.key, house.principal("Anna Lindqvist").key):
        house.follow("identity", key, {"key": key, "person": "7", "name": "Anna Lindqvist"})
    with pytest.raises(Conflict, match="You are a member"):
        apply(house)
    other = join(house, "chipster", "Paavo Salo")
    with house.db.transaction() as session:
        assert session.get_one(Member, other).person_id == member.person_id


def test_a_subject_elsewhere_is_somebody_else(house: House) -> None:
    join(house)
    other = Subject("https://other.example", ANNA.subject)
    assert not seen(house, other).grants
    first, second = house.browser("Marta Kowalska"), browser(house, other)
    assert second.get("/api/v1/me/memberships").get_json()["items"] == []
    assert first.get(f"/vos/{VO}/members").status_code == 200


def test_managers_add_and_take_sign_ins(house: House) -> None:
    member = house.join("Anna Lindqvist")
    marta, paavo = house.browser("Marta Kowalska"), house.browser("Paavo Salo")
    address, body = f"/api/v1/members/{member.id}/subjects", {"issuer": UNI, "subject": "anna-4711"}
    assert paavo.call("POST", address, body).status_code == 403
    assert marta.call("POST", address, {**body, "issuer": "javascript:x"}).status_code == 422
    added = marta.call("POST", address, body)
    assert added.status_code == 200, added.text
    assert seen(house).has("vo_member", f"vo:{VO}")
    assert marta.call("POST", address, body).status_code == 409
    number = added.get_json()["subjects"][0]["id"]
    page = marta.post(f"/members/{member.id}", action="drop-subject", subject=number, reason="left the uni")
    assert page.status_code == 303
    assert not seen(house).grants
    assert told(house)["keys"] == [house.principal("Anna Lindqvist").key]


def test_a_manager_adds_a_sign_in_on_the_members_page(house: House) -> None:
    member = house.join("Anna Lindqvist")
    marta = house.browser("Marta Kowalska")
    refused = marta.post(f"/members/{member.id}", action="add-subject", issuer="no address", sub="anna-4711")
    assert refused.status_code == 422
    assert 'value="anna-4711"' in refused.text
    assert marta.post(f"/members/{member.id}", action="add-subject", issuer=UNI).status_code == 422
    added = marta.post(f"/members/{member.id}", action="add-subject", issuer=UNI, sub="anna-4711")
    assert added.status_code == 303
    assert seen(house).has("vo_member", f"vo:{VO}")


def test_the_only_way_to_know_a_member_stays(house: House) -> None:
    number = join(house)
    marta = house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        sign_in = session.scalars(select(ProviderSubject)).one()
        with pytest.raises(Conflict, match="by this alone"):
            subjects.drop(session, number, sign_in.id, "why not", marta)


def test_a_sign_in_counts_in_all_vos_so_a_manager_of_one_cannot_add_it(house: House) -> None:
    member = house.join("Anna Lindqvist")
    house.join("Anna Lindqvist", "chipster", "Paavo Salo")
    with house.db.transaction() as session, pytest.raises(Forbidden):
        subjects.add(session, member.id, ANNA, house.principal("Marta Kowalska"))


def test_nobody_decides_their_own_request_by_another_way_of_signing_in(house: House) -> None:
    member = house.join("Anna Lindqvist")
    with house.db.transaction() as session:
        subjects.add(session, member.id, ANNA, house.principal("Marta Kowalska"))
    application = house.confirm(apply(house, "chipster"))
    chief = Principal(
        key=house.principal("Anna Lindqvist").key,
        kind="x509",
        name="Anna Lindqvist",
        grants=house.principal("Paavo Salo").grants,
    )
    with house.db.transaction() as session, pytest.raises(Forbidden, match="own request"):
        decisions.approve(session, "chipster", application.id, "", chief)


def test_linking_ends_no_suspension_of_a_sign_in(house: House) -> None:
    number, member = join(house), house.join("Anna Lindqvist")
    with house.db.transaction() as session:
        suspensions.suspend(session, number, "SECURITY_INCIDENT", "stolen", house.principal("Marta Kowalska"))
    with house.db.transaction() as session:
        laptop = house.principal("Tomás Vidal").x509
        assert laptop is not None
        certificates.add(session, number, laptop, house.principal("Marta Kowalska"))
    with house.db.transaction() as session:
        certificates.link(session, member.id, laptop.key, "same person", house.principal("Marta Kowalska"))
    assert not seen(house).grants
    assert house.principal("Anna Lindqvist").has("vo_member", f"vo:{VO}")


def test_what_is_personal_of_a_sign_in_is_given_out_and_erased(house: House) -> None:
    number = join(house)
    own = browser(house)
    data = own.get("/api/v1/me/data").get_json()["data"]
    assert [one["subject"] for one in data["sign_ins"]] == ["anna-4711"]
    with house.db.transaction() as session:
        person = members.profile(session, number).person.id
        personal_data.erase(session, person, "asked for it", house.principal("Ingrid Holm"))
    with house.db.transaction() as session:
        assert session.scalars(select(ProviderSubject)).all() == []
        bodies = [str(body) for body in session.scalars(select(History.body))]
    assert not any("anna-4711" in body or "Lindqvist" in body for body in bodies)
    assert not seen(house).grants
