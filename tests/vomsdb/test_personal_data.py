"""A person's data: given out whole, erased on request, with the log staying whole; and the mails of a VO."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import MetaData, Text, cast, select

from hanse.errors import Refused
from hanse.mails import Delayed, Undeliverable
from hanse.revisions import Revision, head
from vomsdb import (
    certificates,
    generic_attributes,
    lifetimes,
    mails,
    members,
    personal_data,
    suspensions,
    vos,
)
from vomsdb.models import AttributeClass, Mail, Member, metadatas
from vomsdb.vos import Manager

VO = "training.egi.eu"


def _texts(house: Any) -> str:
    """Every text of every table, but the signed documents that sites have."""
    found: list[str] = []
    with house.db.transaction() as session:
        for metadata in metadatas:
            assert isinstance(metadata, MetaData)
            for table in metadata.sorted_tables:
                if table.name not in ("snapshot", "followed"):
                    rows = session.execute(select(*(cast(column, Text) for column in table.columns)))
                    found += [str(value) for row in rows for value in row if value is not None]
    return "\n".join(found)


def test_everything_is_given_out_and_no_secret_with_it(house: Any) -> None:
    house.join("Anna Lindqvist")
    answer = house.browser("Anna Lindqvist").get("/api/v1/me/data")
    data = answer.json["data"]
    assert data["person"]["email"] == "anna@example.org"
    assert [one["vo"] for one in data["memberships"]] == [VO]
    assert data["certificates"][0]["subject"].endswith("CN=Anna Lindqvist")
    assert data["applications"][0]["motivation"] == "to learn"
    assert data["mails"]
    assert "token_hash" not in answer.text
    assert "/confirm/" not in answer.text
    kept = house.browser("Anna Lindqvist").get("/me/data.json")
    assert "attachment" in kept.headers["Content-Disposition"]
    assert json.loads(kept.text)["person"]["name"] == "Anna Lindqvist"
    assert house.browser("Tomás Vidal").get("/api/v1/me/data").status_code == 404
    number = data["person"]["id"]
    at = f"/api/v1/people/{number}/data"
    assert house.browser("Ingrid Holm").get(at).status_code == 200
    assert house.browser("Marta Kowalska").get(at).status_code == 403


NAMED = ("Anna Lindqvist", "anna@example.org", "annika", "csirt@example.org")


def _busy(house: Any, member: Member) -> None:
    """Anna Lindqvist has a nickname, manages the VO, decides, stands in mails to others and among the contacts."""
    marta, anna = house.principal("Marta Kowalska"), house.principal("Anna Lindqvist")
    with house.db.transaction() as session:
        generic_attributes.define(session, VO, AttributeClass(vo=VO, name="nickname"), marta)
        for nickname in ("annika the first", "annika = annika"):
            generic_attributes.set_of_member(session, member.id, "nickname", nickname, marta)
        vos.appoint(session, VO, Manager(anna.x509, "Anna Lindqvist", "anna@example.org"), marta)
    tomas = house.join("Tomás Vidal", by="Anna Lindqvist")
    with house.db.transaction() as session:
        session.get_one(Member, tomas.id).until = datetime.now(UTC) + timedelta(days=5)
    with house.db.transaction() as session:
        assert lifetimes.warn_of_end(session) == 1
    subject = anna.x509.subject_slash
    contacts = [
        {"role": "security", "name": "Anna Lindqvist", "email": "csirt@example.org"},
        {"role": "users", "name": "The desk", "email": "desk@example.org", "dn": subject},
        {"role": "other", "name": "The team", "email": "team@example.org"},
    ]
    at = f"/api/v1/vos/{VO}/card"
    assert house.browser("Marta Kowalska").call("PUT", at, {"contacts": contacts}).status_code == 200


def test_who_is_erased_stands_nowhere_and_the_log_is_whole(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    marta = house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        number = members.profile(session, member.id).certificates[0].certificate.id
        certificates.suspend_certificate(session, member.id, number, "Anna Lindqvist lost it", marta)
        revisions = head(session)
    _busy(house, member)
    before = _texts(house)
    for named in NAMED:
        assert named in before
    erased = house.browser("Anna Lindqvist").call("POST", "/api/v1/me/erasure")
    assert erased.status_code == 200, erased.text
    stands_as = erased.json["stands_as"]
    after = _texts(house)
    for named in NAMED:
        assert named not in after
    assert "attribute nickname" in after
    with house.db.transaction() as session:
        assert [one["email"] for one in vos.found(session, VO).contacts] == ["team@example.org"]
    assert stands_as in after
    assert not house.principal("Anna Lindqvist").has("vo_member", f"vo:{VO}")
    with house.db.transaction() as session:
        assert session.get_one(Member, member.id).state == "removed"
        numbers = list(session.scalars(select(Revision.number).order_by(Revision.number)))
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > revisions
    page = house.browser("Marta Kowalska").get(f"/vos/{VO}/history")
    assert (page.status_code, stands_as in page.text) == (200, True)


def test_who_was_erased_may_come_again_as_somebody_new(house: Any) -> None:
    first = house.join("Anna Lindqvist")
    house.browser("Anna Lindqvist").call("POST", "/api/v1/me/erasure")
    second = house.join("Anna Lindqvist")
    assert second.person_id != first.person_id
    assert house.principal("Anna Lindqvist").has("vo_member", f"vo:{VO}")


def test_an_operator_erases_on_request_with_a_reason_that_names_nobody(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    at = f"/api/v1/people/{member.person_id}/erasure"
    ingrid = house.browser("Ingrid Holm")
    named = ingrid.call("POST", at, {"reason": "Anna Lindqvist asked"})
    assert (named.status_code, named.json["errors"][0]["field"]) == (422, "reason")
    assert house.browser("Marta Kowalska").call("POST", at, {"reason": "asked"}).status_code == 403
    assert ingrid.call("POST", at, {"reason": "asked by letter"}).status_code == 200
    assert ingrid.call("POST", at, {"reason": "asked again"}).status_code == 422
    assert ingrid.call("POST", "/api/v1/people/999/erasure", {"reason": "asked"}).status_code == 404


def test_erasing_oneself_washes_no_suspension_off(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    house.join("Anna Lindqvist", "chipster", "Paavo Salo")
    with house.db.transaction() as session:
        suspensions.suspend(session, member.id, "SECURITY_INCIDENT", "stolen key", marta)
    anna = house.browser("Anna Lindqvist")
    refused = anna.call("POST", "/api/v1/me/erasure")
    assert (refused.status_code, "ask a federation operator" in refused.text) == (422, True)
    assert anna.post("/me/erase", word="erase").status_code == 422
    with house.db.transaction() as session:
        assert session.get_one(Member, member.id).suspension_code == "SECURITY_INCIDENT"
    at = f"/api/v1/people/{member.person_id}/erasure"
    assert house.browser("Ingrid Holm").call("POST", at, {"reason": "asked by letter"}).status_code == 200


def test_the_only_manager_of_a_vo_must_hand_over_first(house: Any) -> None:
    member = house.join("Marta Kowalska", "chipster", "Paavo Salo")
    with pytest.raises(Refused, match="would have no manager"), house.db.transaction() as session:
        personal_data.erase(session, member.person_id, "", house.principal("Marta Kowalska"))
    assert house.principal("Marta Kowalska").has("vo_manager", f"vo:{VO}")


def test_erasing_on_the_page_takes_the_word(house: Any) -> None:
    member, anna = house.join("Anna Lindqvist"), house.browser("Anna Lindqvist")
    assert anna.post("/me/erase", word="yes").status_code == 422
    with house.db.transaction() as session:
        assert session.get_one(Member, member.id).state == "active"
    assert anna.post("/me/erase", word="erase").status_code == 303
    assert "find a VO" in anna.get("/me").text


def test_a_manager_sees_what_became_of_the_mails_and_not_what_is_in_them(house: Any) -> None:
    house.join("Anna Lindqvist")
    house.join("Tomás Vidal", "chipster", "Paavo Salo")
    marta = house.browser("Marta Kowalska")

    def send(mail: Any) -> None:
        if "confirm" in mail.subject.lower():
            raise Undeliverable("550 no such user")
        if "asks to join" in mail.subject:
            raise Delayed("451 later")

    mails.deliver(house.db, send)
    told = marta.get(f"/api/v1/vos/{VO}/mails?limit=2").json
    assert len(told["items"]) == 2
    rest = marta.get(f"/api/v1/vos/{VO}/mails?cursor={told['next']}").json["items"]
    everything = told["items"] + rest
    assert {one["state"] for one in everything} == {"delivered", "pending", "failed"}
    assert "tomás@example.org" not in str(everything)
    with house.db.transaction() as session:
        link = session.scalars(select(Mail.body).where(Mail.body.contains("/confirm/"))).first()
    token = str(link).partition("/confirm/")[2].split()[0]
    page = marta.get(f"/vos/{VO}/mails").text
    assert "550 no such user" in page
    assert "1 mail</b> could not be delivered" in page
    assert "tried 1 time" in page
    assert token not in page
    assert token not in str(everything)
    assert "550" not in marta.get(f"/vos/{VO}/mails?state=delivered").text
    assert house.browser("Paavo Salo").get(f"/vos/{VO}/mails").status_code == 403
