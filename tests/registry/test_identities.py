"""Several identities of one person: linked by mailed codes, suspended, taken away."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from demo.ca import CertificateAuthority, Issued
from hanse.errors import Conflict, Forbidden, Refused
from hanse.identity.authority import Authority
from hanse.identity.principals import Principal, Subject, oidc_key
from registry import identities, people
from registry.models import Credential, LinkCode, Mail, Person
from registry.schemas.people import MeIn, OidcLinkIn

from .conftest import Cast, Registry

LAURA = "laura@bifi.example"
SUBJECT = "529a87e5ce04cd5ddd7161734d02df0e2199a11452430803@egi.eu"
EGI = "https://aai.egi.eu/auth/realms/egi"
REALMS = {"EGI Check-in": EGI, "IRIS IAM": "https://iris-iam.stfc.ac.uk/"}


def caller(registry: Registry, issued: Issued) -> Principal:
    return Authority(registry.db, {}).for_certificate_chain([issued.cert])


def code_in_mail(registry: Registry) -> str:
    with registry.db.transaction() as session:
        mail = session.scalars(select(Mail).order_by(Mail.id.desc())).first()
        assert mail is not None
        found: list[str] = re.findall(r"^  ([0-9a-f]{40,})$", mail.body, re.MULTILINE)
        assert found, mail.body
        return found[-1]


def ask(
    registry: Registry, who: str = "Laura Gil", subject: str = SUBJECT, realm: str = "EGI Check-in"
) -> None:
    form = OidcLinkIn(realm=realm, subject=subject)
    identities.ask_to_link(registry.db, registry.principal(who), form, REALMS)


@pytest.fixture
def laura(registry: Registry) -> Registry:
    """A registry whose Laura Gil has an e-mail address."""
    registry.send("PATCH", "/api/v1/me", {"email": LAURA}, "Laura Gil")
    return registry


def test_a_lost_certificate_is_replaced_over_the_mail_address(
    laura: Registry, ca: CertificateAuthority
) -> None:
    newcomer = caller(laura, ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Laura Gil 2027"))
    identities.ask_to_join(laura.db, newcomer, "Laura@BIFI.example")
    code = code_in_mail(laura)
    with pytest.raises(Forbidden):  # the code is of no use to somebody else
        identities.confirm(laura.db, laura.principal("Goran Petrov"), code)
    identities.confirm(laura.db, newcomer, code)
    assert Authority(laura.db, {}).for_key(newcomer.key).has("site_administrator", "site:BIFI")
    with pytest.raises(Refused, match="used up"):
        identities.confirm(laura.db, newcomer, code)


def test_the_owner_of_the_address_may_enter_the_code_too(laura: Registry, ca: CertificateAuthority) -> None:
    newcomer = caller(laura, ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Laura Laptop"))
    identities.ask_to_join(laura.db, newcomer, LAURA)
    identities.confirm(laura.db, laura.principal("Laura Gil"), code_in_mail(laura))
    assert Authority(laura.db, {}).for_key(newcomer.key).person == laura.principal("Laura Gil").person


def test_a_sign_in_of_an_institution_joins_the_person_by_a_mailed_code(laura: Registry) -> None:
    authority = Authority(laura.db, {})
    subject = Subject(EGI, SUBJECT)
    newcomer = authority.for_subject(subject, "Laura of the institution")
    identities.ask_to_join(laura.db, newcomer, LAURA, realms=REALMS)
    identities.confirm(laura.db, newcomer, code_in_mail(laura))
    known = authority.for_subject(subject)
    assert known.person == laura.principal("Laura Gil").person
    assert known.has("site_administrator", "site:BIFI")
    mine = laura.get("/api/v1/me", "Laura Gil")["identities"]
    assert [one["realm"] for one in mine if one["kind"] == "oidc"] == ["EGI Check-in"]
    elsewhere = authority.for_subject(Subject("https://other.example", SUBJECT))
    assert not elsewhere.grants


def test_who_signs_in_with_an_institution_registers_and_asks_for_roles(registry: Registry) -> None:
    authority = Authority(registry.db, {})
    subject = Subject(EGI, SUBJECT)
    newcomer = authority.for_subject(subject, "Anna of the institution", "anna@uni.example")
    number = identities.register(registry.db, newcomer, MeIn(), REALMS)
    known = authority.for_subject(subject)
    assert (known.person, known.name, known.email) == (
        str(number),
        "Anna of the institution",
        "anna@uni.example",
    )
    assert identities.register(registry.db, known, MeIn(name="Other"), REALMS) == number
    identities.suspend(
        registry.db, registry.principal("Ingrid Holm"), number, _only_identity(registry, number), "x"
    )
    suspended = authority.for_subject(subject)
    assert suspended.person is None
    with pytest.raises(Conflict):  # a suspended identity does not come in again as somebody new
        identities.register(registry.db, suspended, MeIn(), REALMS)


def _only_identity(registry: Registry, person: int) -> int:
    with registry.db.transaction() as session:
        return session.scalars(select(Credential.id).where(Credential.person_id == person)).one()


def test_nobody_learns_who_is_here(laura: Registry, cast: Cast) -> None:
    newcomer = caller(laura, cast["Tomás Vidal"])
    identities.ask_to_join(laura.db, newcomer, "nobody@bifi.example")
    with laura.db.transaction() as session:
        assert session.scalars(select(Mail)).all() == []
        # two people with one address: neither gets the other's identity
        goran = session.scalars(select(Person).where(Person.name == "Goran Petrov")).one()
        goran.email = LAURA
    identities.ask_to_join(laura.db, newcomer, LAURA)
    with laura.db.transaction() as session:
        assert session.scalars(select(Mail)).all() == []


def test_nobody_fills_a_mailbox(laura: Registry, ca: CertificateAuthority) -> None:
    for number in range(5):
        newcomer = caller(laura, ca.issue(f"/C=EU/O=Hanse Demo/OU=People/CN=Newcomer {number}"))
        identities.ask_to_join(laura.db, newcomer, LAURA)
    with laura.db.transaction() as session:
        assert len(session.scalars(select(Mail)).all()) == identities.MAILS_PER_HOUR
    with pytest.raises(Refused, match="last hour"):
        ask(laura)


def test_who_is_registered_or_shows_no_certificate_joins_nobody(laura: Registry) -> None:
    token = laura.send("POST", "/api/v1/sites/BIFI/tokens", {"name": "cASO"})["token"]
    machine = Authority(laura.db, {}).for_token(token)
    for somebody in (laura.principal("Goran Petrov"), machine):
        with pytest.raises(Forbidden):
            identities.ask_to_join(laura.db, somebody, LAURA)


def test_subjects_of_several_providers_and_several_of_one(laura: Registry) -> None:
    for subject, realm in (
        (SUBJECT, "EGI Check-in"),
        ("2c3a5f0e-6f9b-4c50-a0ff-2f0ab3c0d0aa", "IRIS IAM"),
        ("second@egi.eu", "EGI Check-in"),
    ):
        ask(laura, subject=subject, realm=realm)
        identities.confirm(laura.db, laura.principal("Laura Gil"), code_in_mail(laura))
        assert (
            Authority(laura.db, {})
            .for_key(oidc_key(REALMS[realm], subject))
            .has("site_administrator", "site:BIFI")
        )
    mine = laura.get("/api/v1/me", "Laura Gil")["identities"]
    assert [(one["realm"], one["subject"]) for one in mine if one["kind"] == "oidc"] == [
        ("EGI Check-in", SUBJECT),
        ("IRIS IAM", "2c3a5f0e-6f9b-4c50-a0ff-2f0ab3c0d0aa"),
        ("EGI Check-in", "second@egi.eu"),
    ]
    with pytest.raises(Conflict):  # a subject is somebody's once, whatever provider is named
        ask(laura, subject=SUBJECT, realm="IRIS IAM")


def test_a_subject_is_linked_only_with_the_code(laura: Registry) -> None:
    ask(laura)
    with laura.db.transaction() as session:
        assert session.scalars(select(Credential).where(Credential.kind == "oidc")).all() == []
    code = code_in_mail(laura)
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=25)):
        with pytest.raises(Refused):
            identities.confirm(laura.db, laura.principal("Laura Gil"), code)
        assert identities.forget_codes(laura.db) == "1 codes forgotten."


def test_without_an_address_or_a_known_provider_there_is_no_code(registry: Registry) -> None:
    with pytest.raises(Refused, match="e-mail address first"):
        ask(registry, "Goran Petrov")
    with pytest.raises(Refused, match="not known here"):
        ask(registry, realm="Somebody")


def test_a_mailed_code_links_no_other_certificate(laura: Registry, cast: Cast) -> None:
    """The code of a subject cannot be claimed by a certificate, as the codes shown on the page can."""
    ask(laura)
    with pytest.raises(Refused):
        people.claim_link(laura.db, caller(laura, cast["Tomás Vidal"]), code_in_mail(laura))
    people.begin_link(laura.db, laura.principal("Laura Gil"))
    with laura.db.transaction() as session:  # a code for a certificate does not end the mailed one
        assert len(session.scalars(select(LinkCode)).all()) == 2


def certificate_of(registry: Registry, who: str) -> dict[str, Any]:
    mine = registry.get("/api/v1/me", who)["identities"]
    found: dict[str, Any] = next(one for one in mine if one["kind"] == "x509")
    return found


def test_a_suspended_identity_proves_nothing_until_let_in(registry: Registry, cast: Cast) -> None:
    laura, one = registry.principal("Laura Gil").person, certificate_of(registry, "Laura Gil")
    path = f"/api/v1/people/{laura}/identities/{one['id']}"
    assert registry.send("POST", f"{path}/suspend", {}, status=422)["errors"][0]["field"] == "reason"
    registry.send("POST", f"{path}/suspend", {"reason": "key lost"}, "Laura Gil", 403)
    registry.send("POST", f"{path}/suspend", {"reason": "key lost"}, status=200)
    assert caller(registry, cast["Laura Gil"]).grants == frozenset()
    assert certificate_of(registry, "Laura Gil")["suspended_reason"] == "key lost"  # by her token
    with pytest.raises(Conflict):  # and does not become a new person
        people.register_me(registry.db, caller(registry, cast["Laura Gil"]), MeIn())
    registry.send(
        "PATCH", "/api/v1/me", {"name": "Laura Gil Ruiz"}, "Laura Gil"
    )  # nor comes back by a new name
    assert caller(registry, cast["Laura Gil"]).grants == frozenset()
    registry.send("POST", f"{path}/let-in", {}, status=200)
    assert caller(registry, cast["Laura Gil"]).has("site_administrator", "site:BIFI")


def test_an_operator_takes_the_last_identity_too(registry: Registry, cast: Cast) -> None:
    laura, one = registry.principal("Laura Gil").person, certificate_of(registry, "Laura Gil")
    path = f"/api/v1/people/{laura}/identities/{one['id']}"
    assert registry.ask("DELETE", path, "Laura Gil").status_code == 403
    assert registry.ask("DELETE", path).status_code == 204
    assert registry.ask("DELETE", path).status_code == 404
    assert caller(registry, cast["Laura Gil"]).person is None


def test_nobody_locks_themselves_out(registry: Registry) -> None:
    me = registry.get("/api/v1/me")
    token = next(one for one in me["identities"] if one["kind"] == "token")
    path = f"/api/v1/people/{me['id']}/identities/{token['id']}"
    assert (
        "signed in with this one"
        in registry.send("POST", f"{path}/suspend", {"reason": "x"}, status=422)["detail"]
    )
    assert registry.ask("DELETE", path).status_code == 422


def test_who_was_here_and_with_what_is_seen(registry: Registry) -> None:
    registry.get("/api/v1/me", "Laura Gil")
    mine = registry.get("/api/v1/me", "Laura Gil")
    assert mine["last_login_at"] is not None
    used = {one["kind"]: one["last_used_at"] is not None for one in mine["identities"]}
    assert used == {"x509": False, "token": True}


def test_what_people_say_of_themselves(registry: Registry) -> None:
    body = {
        "name": "José O'Neill-Núñez",
        "forename": "José",
        "surname": "O'Neill-Núñez",
        "title": "Dr",
        "telephone": "+34 976 000 000",
        "works_from": "08:30",
        "works_until": "17:00",
    }
    changed = registry.send("PATCH", "/api/v1/me", body, "Laura Gil")
    assert {key: changed[key] for key in body} == body
    for wrong in ({"works_from": "25:00"}, {"telephone": "ask me"}, {"forename": "x" * 300}):
        registry.send("PATCH", "/api/v1/me", wrong, "Laura Gil", 422)


def test_the_account_page_links_and_tells(laura: Registry) -> None:
    form = {"realm": "EGI Check-in", "subject": SUBJECT}
    refused = laura.ask("POST", "/account/identities", "Laura Gil", data={**form, "subject": "two words"})
    assert refused.status_code == 422
    assert "two words" in refused.text
    assert laura.ask("POST", "/account/identities", "Laura Gil", data=form).status_code == 303
    code = {"code": code_in_mail(laura)}
    wrong = laura.ask("POST", "/account/identities/confirm", "Laura Gil", data={"code": "x" * 20})
    assert (wrong.status_code, "used up" in wrong.text) == (422, True)
    assert laura.ask("POST", "/account/identities/confirm", "Laura Gil", data=code).status_code == 303
    assert SUBJECT in laura.ask("GET", "/account", "Laura Gil").text
