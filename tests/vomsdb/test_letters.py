"""Letters in a VO's own words: placeholders put in once, unknown ones refused, previewed, and reset."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from hanse.errors import Refused
from tests.vomsdb.conftest import VO, House
from vomsdb import own_letters, suspensions
from vomsdb.models import Mail, Member
from vomsdb.own_letters import KINDS, Text

WORDS = "Dear {name}, your place in {vo} rests: {reason}"


def _suspend(house: House, member: Member, reason: str) -> Mail:
    with house.db.transaction() as session:
        suspensions.suspend(session, member.id, "OTHER", reason, house.principal("Marta Kowalska"))
    with house.db.transaction() as session:
        query = select(Mail).where(Mail.about == f"member:{member.id}").order_by(Mail.id.desc())
        mail = session.scalars(query).first()
    assert mail is not None
    return mail


def test_a_vo_writes_in_its_own_words_and_goes_back(house: House) -> None:
    marta, anna = house.browser("Marta Kowalska"), house.join("Anna Lindqvist")
    path = f"/vos/{VO}/letters/suspended"
    saved = marta.post(path, subject="A pause in {vo}", body=WORDS, action="save")
    assert saved.status_code == 303
    mail = _suspend(house, anna, "we {name} you {{ config }} <b>")
    assert mail.subject == f"A pause in {VO}"
    # what somebody typed as a reason is put in as it is, and never looked at again
    assert mail.body == f"Dear Anna Lindqvist, your place in {VO} rests: we {{name}} you {{{{ config }}}} <b>"
    assert "your own" in marta.get(f"/vos/{VO}/letters").text
    assert marta.post(path, action="reset").status_code == 303
    other = house.join("Tomás Vidal")
    assert _suspend(house, other, "a test").subject == f"Your membership of {VO} is suspended"


def test_the_words_are_of_one_vo_alone(house: House) -> None:
    with house.db.transaction() as session:
        own_letters.save(session, VO, "suspended", Text("S", WORDS), house.principal("Marta Kowalska"))
    other = house.join("Tomás Vidal", "chipster", "Paavo Salo")
    with house.db.transaction() as session:
        suspensions.suspend(session, other.id, "OTHER", "a test", house.principal("Paavo Salo"))
        query = select(Mail.subject).where(Mail.about == f"member:{other.id}").order_by(Mail.id.desc())
        assert session.scalars(query).first() == "Your membership of chipster is suspended"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (Text("S", "no reason is named"), "must have {reason}"),
        (Text("S", "{reason} {password}"), "names {password}, which this letter does not know"),
        (Text("{link}", "{reason}"), "names {link}"),
        (Text("", "{reason}"), "must not be empty"),
        (Text("S", "{reason}" + "x" * 5000), "5000 characters at most"),
        (Text("one\ntwo", "{reason}"), "must be one line"),
    ],
)
def test_a_letter_that_cannot_be_sent_is_refused(house: House, text: Text, words: str) -> None:
    with pytest.raises(Refused) as caught:
        own_letters.check(KINDS["suspended"], text)
    assert words in caught.value.fields[0].reason


def test_every_letter_is_previewed_in_the_usual_words_and_with_all_that_can_be_put_in() -> None:
    for kind in KINDS.values():
        usual = own_letters.preview(kind, None, VO)
        assert usual.subject
        everything = " ".join(f"{{{place}}}" for place in kind.places)
        shown = own_letters.preview(kind, Text(everything, everything), VO)
        assert "{" not in shown.body


def test_a_preview_keeps_what_was_typed_and_sends_nothing(house: House) -> None:
    marta = house.browser("Marta Kowalska")
    shown = marta.post(f"/vos/{VO}/letters/suspended", subject="Hm", body=WORDS, action="preview").text
    assert f"Dear Anna Example, your place in {VO} rests: an example of a reason" in shown
    assert "your place in {vo} rests" in shown
    assert "0 of" in marta.get(f"/vos/{VO}/letters").text
    refused = marta.post(f"/vos/{VO}/letters/suspended", subject="Hm", body="nothing", action="save")
    assert refused.status_code == 422
    assert "must have {reason}" in refused.text


def test_who_writes_the_letters(house: House) -> None:
    path, body = f"/api/v1/vos/{VO}/letters/ended", {"subject": "Bye", "body": "{name}"}
    assert house.browser("Paavo Salo").call("PUT", path, body).status_code == 403
    assert house.browser("Ingrid Holm").call("PUT", path, body).status_code == 403
    marta = house.browser("Marta Kowalska")
    assert marta.call("PUT", path, body).status_code == 200
    assert marta.call("PUT", f"/api/v1/vos/{VO}/letters/digest", body).status_code == 404
    listed = marta.call("GET", f"/api/v1/vos/{VO}/letters").json
    assert listed is not None
    assert {one["name"]: one["subject"] for one in listed["items"]}["ended"] == "Bye"
    assert marta.call("DELETE", path).status_code == 204
    assert marta.call("DELETE", path).status_code == 404
