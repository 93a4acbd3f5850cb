"""Tokens that stand for a certificate: made here alone, for a time, and only as good as the certificate."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from demo.ca import CertificateAuthority
from hanse.errors import Unauthorised
from hanse.identity.certificate_tokens import PREFIX, CertificateTokens
from hanse.identity.principals import X509Identity

NOW = datetime.now(UTC)
SECRET = "a secret of the tests alone"


@pytest.fixture
def tokens() -> CertificateTokens:
    return CertificateTokens(SECRET, "accounting", timedelta(hours=24))


def test_a_token_says_whose_it_is_and_which_certificate_was_shown(
    tokens: CertificateTokens, cast: Any
) -> None:
    host = cast.host("BIFI").cert
    bearer = tokens.read(tokens.make(host, NOW), NOW)
    assert bearer.key == X509Identity.from_certificate(host).key
    assert bearer.serial == host.serial_number
    assert timedelta(hours=23) < bearer.not_after - NOW <= timedelta(hours=24)


def test_processes_with_one_secret_know_each_others_tokens(tokens: CertificateTokens, cast: Any) -> None:
    other = CertificateTokens(SECRET, "accounting", timedelta(hours=1))
    assert (
        other.read(tokens.make(cast.host("BIFI").cert, NOW), NOW).serial
        == cast.host("BIFI").cert.serial_number
    )


def test_it_ends_after_its_time_and_never_after_its_certificate(
    tokens: CertificateTokens, ca: CertificateAuthority, cast: Any
) -> None:
    token = tokens.make(cast.host("BIFI").cert, NOW)
    with pytest.raises(Unauthorised, match="This token ended at"):
        tokens.read(token, NOW + timedelta(hours=24))
    brief = ca.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=brief.example", host="brief.example", days=0.1).cert
    assert tokens.read(tokens.make(brief, NOW), NOW).not_after <= brief.not_valid_after_utc


@pytest.mark.parametrize(
    ("secret", "service"), [("another secret entirely", "accounting"), (SECRET, "registry")]
)
def test_a_token_of_another_secret_or_service_is_none(
    tokens: CertificateTokens, cast: Any, secret: str, service: str
) -> None:
    other = CertificateTokens(secret, service, timedelta(hours=24)).make(cast.host("BIFI").cert, NOW)
    with pytest.raises(Unauthorised, match="was not made here"):
        tokens.read(other, NOW)


def test_a_token_that_was_changed_is_none(tokens: CertificateTokens, cast: Any) -> None:
    payload, _, mac = tokens.make(cast.host("BIFI").cert, NOW).removeprefix(PREFIX).partition(".")
    said = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    later = said.replace(b'"until":1', b'"until":9')
    assert later != said
    forged = base64.urlsafe_b64encode(later).rstrip(b"=").decode()
    with pytest.raises(Unauthorised, match="was not made here"):
        tokens.read(f"{PREFIX}{forged}.{mac}", NOW)


@pytest.mark.parametrize(
    "token", [PREFIX, f"{PREFIX}.", f"{PREFIX}é.ü", f"{PREFIX}a", f"{PREFIX}{'A' * 9999}.AAAA"]
)
def test_nonsense_is_refused_with_a_sentence(tokens: CertificateTokens, token: str) -> None:
    with pytest.raises(Unauthorised, match="token"):
        tokens.read(token, NOW)
