"""A further certificate is proved to be the asker's: by a signature of its key, or by signing in with it."""

from __future__ import annotations

import base64
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from sqlalchemy import select

from demo.ca import CertificateAuthority
from hanse.errors import Conflict, NotFound, Refused
from hanse.identity.trust import TrustStore
from tests.vomsdb.conftest import VO, House
from vomsdb import member_decisions, member_requests, members, proofs
from vomsdb.member_requests import Wish
from vomsdb.models import Mail, MemberRequest
from vomsdb.views.proofs import _command
from vomsdb.vos import certificate_from_text, identity_from_pem

SECOND = "/C=EU/O=Hanse Demo/OU=People/CN=Anna at home"


def _asked(house: House, issued: Any, name: str = "Anna Lindqvist") -> MemberRequest:
    pem = issued.cert_path.read_text()
    wish = Wish("certificate", None, identity_from_pem(pem, "pem"), "", certificate_from_text(pem, "pem"))
    with house.db.transaction() as session:
        return member_requests.ask(session, VO, wish, house.principal(name), timedelta(days=3))


def _sign(house: House, request: MemberRequest, key: Any, name: str = "Anna Lindqvist") -> None:
    assert request.challenge is not None
    signature = key.sign(request.challenge.encode(), padding.PKCS1v15(), hashes.SHA256())
    trust = TrustStore(house.settings.trust_dir)
    with house.db.transaction() as session:
        proofs.by_signature(session, request.id, signature, house.principal(name), trust)


def _approve(house: House, request: MemberRequest) -> None:
    with house.db.transaction() as session:
        member_decisions.approve(session, VO, request.id, "", house.principal("Marta Kowalska"))


def test_nobody_approves_what_was_not_proved_and_managers_hear_of_it_when_it_was(
    house: House, ca: Any
) -> None:
    member, second = house.join("Anna Lindqvist"), ca.issue(SECOND)
    request = _asked(house, second)
    with pytest.raises(Conflict, match="not proved yet"):
        _approve(house, request)
    query = select(Mail.recipient).where(Mail.about == f"member_request:{request.id}")
    with house.db.transaction() as session:
        assert list(session.scalars(query)) == []
        doubts = member_requests.one(session, VO, request.id, house.principal("Marta Kowalska")).doubts
        assert "not proved yet that its key is the member's" in doubts
    _sign(house, request, second.key)
    with house.db.transaction() as session:
        assert list(session.scalars(query)) == ["marta@example.org"]
    _approve(house, request)
    with house.db.transaction() as session:
        assert len(members.profile(session, member.id).certificates) == 2


def test_a_signature_of_another_key_or_text_proves_nothing(house: House, ca: Any) -> None:
    house.join("Anna Lindqvist")
    second, third = ca.issue(SECOND), ca.issue(SECOND + " too", file_name="third")
    request, other = _asked(house, second), _asked(house, third)
    with pytest.raises(Refused, match="does not fit"):
        _sign(house, request, third.key)
    request.challenge = other.challenge
    with pytest.raises(Refused, match="does not fit"):
        _sign(house, request, second.key)


def test_a_certificate_that_somebody_made_with_anothers_name_proves_nothing(
    house: House, tmp_path: Path
) -> None:
    """Subject and issuer are those of Tomás; the key is the forger's own."""
    house.join("Anna Lindqvist")
    forger = CertificateAuthority.create(tmp_path / "forger", "/C=EU/O=Hanse Demo/CN=Hanse Demo CA")
    forged = forger.issue("/C=EU/O=Hanse Demo/OU=People/CN=Tomás Vidal")
    request = _asked(house, forged)
    assert request.key == house.principal("Tomás Vidal").key
    with pytest.raises(Refused, match="cannot be added") as caught:
        _sign(house, request, forged.key)
    assert "is not signed by the trusted" in caught.value.fields[0].reason


def test_who_signs_in_with_it_proves_it_and_nobody_else(house: House, ca: Any) -> None:
    house.join("Anna Lindqvist")
    house.join("Goran Petrov")
    second = ca.issue(SECOND)
    request = _asked(house, second)
    for name in ("Goran Petrov", "Anna Lindqvist"):
        with pytest.raises(NotFound), house.db.transaction() as session:
            proofs.by_sign_in(session, request.id, house.principal(name))
    with pytest.raises(NotFound):
        _sign(house, request, second.key, "Goran Petrov")
    with house.db.transaction() as session:
        assert proofs.by_sign_in(session, request.id, house.of(second.cert)).proved_at is not None


@pytest.mark.peer("openssl")
def test_the_command_of_the_page_makes_the_signature_that_the_page_takes(house: House, ca: Any) -> None:
    house.join("Anna Lindqvist")
    second, anna = ca.issue(SECOND), house.browser("Anna Lindqvist")
    sent = anna.post(f"/vos/{VO}/ask", kind="certificate", pem=second.cert_path.read_text())
    here = sent.headers["Location"]
    assert sent.status_code == 303
    assert here.endswith("/prove")
    with house.db.transaction() as session:
        challenge = session.scalars(select(MemberRequest.challenge)).one()
    assert challenge is not None
    assert challenge in anna.get(here).text
    command = _command(challenge).replace("~/.globus/userkey.pem", str(second.key_path))
    made = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    refused = anna.post(here, signature=base64.b64encode(b"guessed").decode())
    assert refused.status_code == 422
    assert "was not made of this text by the key" in refused.text
    assert anna.post(here, signature="%%%").status_code == 422
    assert anna.post(here, signature=made.stdout).status_code == 303
    assert "Proved" in anna.get(here).text
    assert house.browser("Goran Petrov").get(here).status_code == 404


def test_over_the_api(house: House, ca: Any) -> None:
    house.join("Anna Lindqvist")
    second, anna = ca.issue(SECOND), house.browser("Anna Lindqvist")
    body = {"kind": "certificate", "certificate": second.cert_path.read_text()}
    told = anna.call("POST", f"/api/v1/vos/{VO}/member-requests", body).json
    assert told is not None
    assert told["proved_at"] is None
    path = f"/api/v1/vos/{VO}/member-requests/{told['id']}/proof"
    assert anna.call("POST", path, {}).status_code == 422
    signature = second.key.sign(told["challenge"].encode(), padding.PKCS1v15(), hashes.SHA256())
    answer = anna.call("POST", path, {"signature": base64.b64encode(signature).decode()})
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["subject"] == SECOND
