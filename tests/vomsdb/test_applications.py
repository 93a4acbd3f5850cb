"""From request to membership: each step once, by the right person, and nothing by a link that is only read."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from hanse.errors import Conflict, Forbidden, NotFound, Refused
from hanse.identity.principals import X509Identity
from hanse.revisions import current, history_of
from vomsdb import applications, decisions, members, unanswered, vos
from vomsdb.models import Application, Mail, Member, Person

VO = "training.egi.eu"


def _approve(house: Any, application: Application, by: str = "Marta Kowalska", vo: str = VO) -> Application:
    with house.db.transaction() as session:
        return decisions.approve(session, vo, application.id, "", house.principal(by))


def test_a_request_becomes_a_membership_and_a_revision(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    anna = house.principal("Anna Lindqvist")
    assert anna.has("vo_member", f"vo:{VO}")
    with house.db.transaction() as session:
        body = current(session, "membership")[str(member.id)]
        log = history_of(session, "membership", str(member.id))
    assert body["keys"] == [anna.key]
    assert (body["vo"], body["state"], body["name"]) == (VO, "active", "Anna Lindqvist")
    assert [(entry.actor_name, entry.reason) for entry in log] == [("Marta Kowalska", "request 1 approved")]


def test_the_accepted_version_of_the_aup_is_recorded(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    with house.db.transaction() as session:
        application = session.scalars(select(Application)).one()
    assert (member.aup_version, member.aup_signed_at) == (1, application.created_at)
    with pytest.raises(Refused, match="cannot be sent yet"):
        house.apply("Tomás Vidal", aup_accepted=False)
    with pytest.raises(Refused, match="cannot be sent yet"):
        house.apply("Tomás Vidal", aup_version=2)


@pytest.mark.parametrize(
    "email", ["anna", "a@b@c", "anna@example.org\nBcc: all@example.org", "-x@example.org", ""]
)
def test_an_address_that_is_none_is_refused(house: Any, email: str) -> None:
    with pytest.raises(Refused):
        house.apply("Anna Lindqvist", email=email)


def test_a_token_works_once(house: Any) -> None:
    application = house.apply("Anna Lindqvist")
    house.confirm(application)
    with pytest.raises(Conflict, match="used already"):
        house.confirm(application)


def test_a_token_that_is_old_or_unknown_confirms_nothing(house: Any) -> None:
    application = house.apply("Anna Lindqvist")
    with house.db.transaction() as session:
        session.execute(update(Application).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    with pytest.raises(Conflict, match="has expired"):
        house.confirm(application)
    with pytest.raises(NotFound), house.db.transaction() as session:
        applications.confirm(session, "guessed", applications.Terms("", timedelta(1), timedelta(1)))


def test_the_token_itself_stands_in_the_mail_alone(house: Any) -> None:
    application = house.apply("Anna Lindqvist")
    token = house.token(application)
    assert application.token_hash == applications.token_hash(token) != token


def test_unconfirmed_requests_cannot_be_decided(house: Any) -> None:
    with pytest.raises(Conflict, match="only pending ones"):
        _approve(house, house.apply("Anna Lindqvist"))


def test_nobody_decides_about_their_own_request(house: Any) -> None:
    application = house.confirm(house.apply("Marta Kowalska"))
    with pytest.raises(Forbidden, match="their own request"):
        _approve(house, application)


def test_a_manager_with_a_second_certificate_is_still_the_applicant(house: Any) -> None:
    """The registry knows that both certificates are hers."""
    application = house.confirm(house.apply("Marta Kowalska"))
    second = house.of(house.cast["Paavo Salo"].cert)
    linked = replace(second, keys=second.keys | {house.principal("Marta Kowalska").key})
    with pytest.raises(Forbidden), house.db.transaction() as session:
        decisions.approve(session, VO, application.id, "", linked)


def test_a_request_cannot_be_decided_under_another_vo(house: Any) -> None:
    application = house.confirm(house.apply("Anna Lindqvist"))
    with pytest.raises(NotFound, match="chipster has no request"):
        _approve(house, application, "Paavo Salo", "chipster")


def test_of_two_managers_at_once_the_first_wins_and_the_second_is_told(house: Any) -> None:
    with house.db.transaction() as session:
        tomas = vos.Manager(house.principal("Tomás Vidal").x509, "Tomás Vidal", "")
        vos.appoint(session, VO, tomas, house.principal("Ingrid Holm"))
    application = house.confirm(house.apply("Anna Lindqvist"))
    start, outcomes = threading.Barrier(2), []

    def decide(name: str) -> None:
        who = house.principal(name)
        start.wait()
        try:
            with house.db.transaction() as session:
                outcomes.append(decisions.approve(session, VO, application.id, "", who).decided_by_name)
        except Conflict as told:
            outcomes.append(told.detail)

    threads = [threading.Thread(target=decide, args=(name,)) for name in ("Marta Kowalska", "Tomás Vidal")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = next(outcome for outcome in outcomes if outcome in ("Marta Kowalska", "Tomás Vidal"))
    assert f"{first} was quicker: the request is approved." in outcomes
    with house.db.transaction() as session:
        assert len(session.scalars(select(Member)).all()) == 1


def test_a_rejection_needs_a_reason_which_the_applicant_reads(house: Any) -> None:
    application = house.confirm(house.apply("Anna Lindqvist"))
    marta = house.principal("Marta Kowalska")
    with pytest.raises(Refused, match="reason"), house.db.transaction() as session:
        decisions.reject(session, VO, application.id, "  ", marta)
    with house.db.transaction() as session:
        decisions.reject(session, VO, application.id, "not in the project", marta)
    with house.db.transaction() as session:
        mail = session.scalars(select(Mail).order_by(Mail.id.desc())).first()
    assert mail is not None
    assert "not in the project" in mail.body


def test_one_open_request_at_a_time_and_none_of_members(house: Any) -> None:
    application = house.apply("Anna Lindqvist")
    with pytest.raises(Conflict, match="open request"):
        house.apply("Anna Lindqvist")
    _approve(house, house.confirm(application))
    with pytest.raises(Conflict, match="You are a member of"):
        house.apply("Anna Lindqvist")


def test_the_applicant_alone_withdraws(house: Any) -> None:
    application = house.confirm(house.apply("Anna Lindqvist"))
    with pytest.raises(NotFound), house.db.transaction() as session:
        decisions.withdraw(session, VO, application.id, house.principal("Tomás Vidal"))
    with house.db.transaction() as session:
        decisions.withdraw(session, VO, application.id, house.principal("Anna Lindqvist"))
    with pytest.raises(Conflict, match="withdrawn"):
        _approve(house, application)
    assert house.apply("Anna Lindqvist").state == "submitted"


def test_requests_that_nobody_confirms_or_decides_expire_and_say_so(house: Any) -> None:
    waiting, silent = house.confirm(house.apply("Anna Lindqvist")), house.apply("Tomás Vidal")
    with house.db.transaction() as session:
        session.execute(update(Application).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    with pytest.raises(Conflict, match="expired"):
        _approve(house, waiting)
    with house.db.transaction() as session:
        assert unanswered.expire(session) == 2
        assert unanswered.expire(session) == 0
    with house.db.transaction() as session:
        states = {a.id: a.state for a in session.scalars(select(Application))}
        bodies = " ".join(session.scalars(select(Mail.body)))
    assert states == {waiting.id: "expired", silent.id: "expired"}
    assert "nobody decided in time" in bodies
    assert "the address was not confirmed" in bodies


def test_who_does_not_confirm_is_warned_once_before_the_request_expires(house: Any) -> None:
    application = house.apply("Anna Lindqvist")
    with house.db.transaction() as session:
        assert unanswered.warn(session, timedelta(hours=24)) == 0
        session.get_one(Application, application.id).expires_at = datetime.now(UTC) + timedelta(hours=23)
    with house.db.transaction() as session:
        assert unanswered.warn(session, timedelta(hours=24)) == 1
        assert unanswered.warn(session, timedelta(hours=24)) == 0
        subjects = list(session.scalars(select(Mail.subject).order_by(Mail.id)))
    assert subjects == [f"Confirm your request to join {VO}", f"Your request to join {VO} is about to expire"]
    assert house.confirm(application).state == "pending"


def test_old_requests_are_forgotten_with_what_they_tell(house: Any) -> None:
    application = house.confirm(house.apply("Anna Lindqvist"))
    with house.db.transaction() as session:
        decisions.reject(session, VO, application.id, "no", house.principal("Marta Kowalska"))
        session.execute(update(Application).values(decided_at=datetime.now(UTC) - timedelta(days=91)))
    with house.db.transaction() as session:
        assert unanswered.purge(session) == 1
        assert session.scalars(select(Application)).all() == []


def test_the_same_name_from_another_ca_is_another_person_and_is_pointed_out(
    house: Any, tmp_path: Any
) -> None:
    from demo.ca import CertificateAuthority

    house.join("Anna Lindqvist")
    other = CertificateAuthority.create(tmp_path / "other", "/C=EU/O=Other/CN=Other CA")
    double = other.issue("/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist").cert
    applicant = house.of(double)
    assert not applicant.has("vo_member", f"vo:{VO}")
    form = applications.Form("Anna Lindqvist", "other@example.org", "", "", 1, True)
    terms = applications.Terms("https://x/confirm/", timedelta(1), timedelta(1))
    with house.db.transaction() as session:
        application = applications.submit(session, VO, form, applicant, terms)
        assert applications.doubts(session, [application]) == {application.id: ["same name, another CA"]}
    _approve(house, house.confirm(application))
    with house.db.transaction() as session:
        assert len(session.scalars(select(Person)).all()) == 2
        assert len(members.search(session, VO)) == 2


def test_the_same_name_in_other_string_types_is_the_same_person(house: Any) -> None:
    anna = house.principal("Anna Lindqvist")
    printable = X509Identity(
        anna.x509.subject_der.replace(b"\x0c\x0eAnna", b"\x13\x0eAnna"), anna.x509.issuer_der
    )
    assert printable.subject_der != anna.x509.subject_der
    assert printable.key == anna.key
