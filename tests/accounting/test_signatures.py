"""Who signed, and for which site that counts."""

from __future__ import annotations

import base64
import quopri
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from accounting.models import Message
from demo.ca import CertificateAuthority, Issued
from hanse import cms
from tests.accounting.conftest import House
from tests.accounting.records import lines, message, record


def whole_message(house: House) -> tuple[str, str]:
    """Code and reason of the one whole message that was refused."""
    (bad,) = house.refused()
    assert bad.record == 0
    return bad.code, bad.reason


def test_a_message_signed_for_its_site_is_counted(house: House, cast: Any) -> None:
    outcome = house.signed(message(record("BIFI")), cast.host("BIFI"))
    assert (outcome.state, outcome.loaded) == ("loaded", 1)
    stored = house.message(outcome.message)
    assert (stored.site, stored.signer) == ("BIFI", "/C=EU/O=Hanse Demo/OU=BIFI/CN=acct.bifi.example")


def test_the_signer_may_speak_for_its_own_site_only(house: House, cast: Any) -> None:
    outcome = house.signed(message(record("BIFI", "stolen"), record("CESNET", "own")), cast.host("CESNET"))
    assert (outcome.loaded, outcome.refused) == (1, 1)
    (bad,) = house.refused()
    assert (bad.site, bad.code, bad.field, bad.record, bad.line) == (
        "CESNET",
        "not_signers_site",
        "SiteName",
        1,
        4,
    )
    assert 'SiteName "BIFI" is not a site that this certificate may speak for' in bad.reason
    assert "which speaks for: CESNET" in bad.reason
    assert house.months(site="BIFI") == {}


def test_a_name_that_the_registry_does_not_know_says_so(house: House, cast: Any) -> None:
    house.signed(message(record("BIFI-TEST")), cast.host("BIFI"))
    (bad,) = house.refused()
    assert 'The registry has no site "BIFI-TEST". Set site_name = BIFI, then replay.' in bad.reason


def test_a_message_altered_on_the_way_is_refused(house: House, cast: Any) -> None:
    host = cast.host("BIFI")
    signed = cms.sign(message(record("BIFI")).encode(), host.cert, host.key)
    assert b"WallDuration: 86400" in signed
    outcome = house.load(
        signed.replace(b"WallDuration: 86400", b"WallDuration: 86401"), source="ams", site="BIFI"
    )
    assert (outcome.state, outcome.loaded) == ("refused", 0)
    code, reason = whole_message(house)
    assert code == "bad_signature"
    assert "changed after it was signed" in reason
    assert house.refused()[0].site == "BIFI"  # the publisher's site gets to see it
    assert house.months() == {}


def test_a_certificate_of_a_foreign_ca_is_refused(house: House, tmp_path: Path) -> None:
    foreign = CertificateAuthority.create(tmp_path / "foreign", "/C=EU/O=Elsewhere/CN=Elsewhere CA")
    host = foreign.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=acct.bifi.example", host="acct.bifi.example")
    house.signed(message(record("BIFI")), host)
    assert whole_message(house)[0] == "bad_signature"
    assert "Elsewhere CA" in whole_message(house)[1]


def test_a_ca_of_the_same_name_is_not_the_same_ca(
    house: House, ca: CertificateAuthority, tmp_path: Path
) -> None:
    twin = CertificateAuthority.create(tmp_path / "twin", "/C=EU/O=Hanse Demo/CN=Hanse Demo CA")
    host = twin.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=acct.bifi.example", host="acct.bifi.example")
    outcome = house.signed(message(record("BIFI")), host)
    assert outcome.state == "refused"
    assert whole_message(house)[0] == "bad_signature"


def test_an_expired_certificate_is_refused(house: House, ca: CertificateAuthority) -> None:
    host = ca.issue(
        "/C=EU/O=Hanse Demo/OU=BIFI/CN=old.bifi.example", host="old.bifi.example", days=10,
        not_before=datetime.now(UTC) - timedelta(days=30),
    )  # fmt: skip
    house.register("BIFI", host)
    house.signed(message(record("BIFI")), host)
    code, reason = whole_message(house)
    assert code == "bad_signature"
    assert "expired" in reason


@pytest.fixture
def own_ca(house: House, tmp_path: Path) -> CertificateAuthority:
    """A CA of this test alone, trusted by the house: its certificates may be revoked."""
    made = CertificateAuthority.create(tmp_path / "own", "/C=EU/O=Hanse Demo/CN=Own CA")
    install(made, house)
    return made


def install(made: CertificateAuthority, house: House) -> None:
    for file in made.trust_dir.iterdir():
        shutil.copy(file, house.settings.trust_dir)


def own_host(house: House, own_ca: CertificateAuthority) -> Issued:
    host = own_ca.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=own.bifi.example", host="own.bifi.example")
    house.register("BIFI", host)
    return host


def test_a_revoked_certificate_is_refused_as_soon_as_the_list_says_so(
    house: House, own_ca: CertificateAuthority
) -> None:
    host = own_host(house, own_ca)
    assert house.signed(message(record("BIFI", "before")), host).state == "loaded"
    own_ca.revoke(host.cert)
    install(own_ca, house)
    assert house.signed(message(record("BIFI", "after")), host).state == "refused"
    code, reason = whole_message(house)
    assert code == "bad_signature"
    assert "revoked" in reason


def test_without_a_current_revocation_list_nobody_of_that_ca_is_believed(
    house: House, own_ca: CertificateAuthority
) -> None:
    host = own_host(house, own_ca)
    own_ca.write_crl(valid_hours=-1)
    install(own_ca, house)
    assert house.signed(message(record("BIFI")), host).state == "refused"
    assert "revocation list" in whole_message(house)[1]


def test_a_certificate_that_the_registry_does_not_know_is_refused_and_replayable(
    house: House, ca: CertificateAuthority
) -> None:
    host = ca.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=new.bifi.example", host="new.bifi.example")
    outcome = house.signed(message(record("BIFI")), host, site="BIFI")
    assert outcome.state == "refused"
    code, reason = whole_message(house)
    assert code == "unknown_signer"
    assert "CN=new.bifi.example is not registered for any site" in reason
    house.register("BIFI", host)
    again = house.loader.load(outcome.message)
    assert again is not None
    assert again.loaded == 1
    assert house.refused() == []
    assert [bad.record for bad in house.refused("replayed")] == [0]


@pytest.mark.parametrize(
    ("not_before", "not_after"),
    [("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"), ("2035-01-01T00:00:00Z", None)],
)
def test_a_registration_counts_within_its_validity_only(
    house: House, ca: CertificateAuthority, not_before: str, not_after: str | None
) -> None:
    host = ca.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=lapsed.bifi.example", host="lapsed.bifi.example")
    house.register("BIFI", host, not_before, not_after)
    house.signed(message(record("BIFI")), host)
    code, reason = whole_message(house)
    assert code == "signer_lapsed"
    assert "may not speak for BIFI" in reason


def test_several_certificates_may_speak_for_one_site_and_one_for_several(
    house: House,
    ca: CertificateAuthority,
    cast: Any,  # type: ignore[no-untyped-def]
) -> None:
    second = ca.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=acct2.bifi.example", host="acct2.bifi.example")
    house.register("BIFI", second)
    house.register("UKIM", second)
    assert house.signed(message(record("BIFI", "a"), record("UKIM", "b")), second).loaded == 2
    assert house.signed(message(record("BIFI", "c")), cast.host("BIFI")).loaded == 1


def test_a_message_from_the_network_must_be_signed(house: House) -> None:
    outcome = house.load(message(record("BIFI")), source="ams", site="BIFI")
    assert outcome.state == "refused"
    assert whole_message(house)[0] == "not_signed"


def test_a_signed_file_is_judged_by_its_signature_also_for_the_administrator(house: House, cast: Any) -> None:
    host = cast.host("CESNET")
    signed = cms.sign(message(record("BIFI")).encode(), host.cert, host.key)
    outcome = house.load(signed)
    assert (outcome.loaded, outcome.refused) == (0, 1)


def test_an_opaque_signature_counts_like_a_detached_one(house: House, cast: Any) -> None:
    host = cast.host("BIFI")
    signed = cms.sign(message(record("BIFI")).encode(), host.cert, host.key, detached=False)
    assert house.load(signed, source="ams").loaded == 1


def test_names_in_any_script_pass_through_a_signature(house: House, cast: Any) -> None:
    house.signed(message(record("BIFI", GlobalUserName="/CN=Eliška Malá 🚀")), cast.host("BIFI"))
    assert house.months(user_name="/CN=Eliška Malá 🚀")


def test_a_signed_message_that_is_not_utf8_is_refused_with_the_byte(house: House, cast: Any) -> None:
    host = cast.host("BIFI")
    signed = cms.sign(message(record("BIFI", MachineName="caf\xe9")).encode("latin-1"), host.cert, host.key)
    house.load(signed, source="ams")
    code, reason = whole_message(house)
    assert code == "not_utf8"
    assert "0xe9" in reason


def test_the_signature_is_judged_for_the_time_of_receipt(house: House, ca: CertificateAuthority) -> None:
    """A loader that was down for a while does not punish the site whose certificate ended meanwhile."""
    now = datetime.now(UTC)
    host = ca.issue(
        "/C=EU/O=Hanse Demo/OU=BIFI/CN=brief.bifi.example", host="brief.bifi.example", days=0.25,
        not_before=now - timedelta(hours=10),
    )  # fmt: skip
    house.register("BIFI", host)
    text = message(
        record("BIFI", RecordCreateTime=None, StartTime=int((now - timedelta(days=6)).timestamp()))
    )
    number = house.receive(cms.sign(text.encode(), host.cert, host.key))
    with house.db.transaction() as session:
        session.get_one(Message, number).received_at = now - timedelta(hours=6)
    outcome = house.loader.load(number)
    assert outcome is not None
    assert outcome.reason == ""
    assert outcome.loaded == 1


def openssl_signed(text: str, host: Issued, folder: Path, *options: str) -> bytes:
    """What `openssl smime -sign` makes of a message, as ssmsend calls it."""
    plain = folder / "plain.txt"
    plain.write_text(text)
    command = [
        "openssl",
        "smime",
        "-sign",
        "-in",
        plain,
        "-inkey",
        host.key_path,
        "-signer",
        host.cert_path,
        "-text",
        *options,
    ]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


@pytest.mark.peer("openssl")
@pytest.mark.parametrize(
    "options", [("-md", "sha256"), ("-nodetach",), ("-md", "sha512"), ("-nodetach", "-binary"), ("-crlfeol",)]
)
def test_messages_signed_by_openssl_are_counted(
    house: House, cast: Any, tmp_path: Path, options: tuple[str, ...]
) -> None:
    outcome = house.load(
        openssl_signed(message(record("BIFI")), cast.host("BIFI"), tmp_path, *options), source="ams"
    )
    assert outcome.reason == ""
    assert (outcome.loaded, outcome.refused) == (1, 0)


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("cipher", ["-aes128", "-aes256", "-aes192", "-des3"])
def test_messages_encrypted_by_openssl_are_counted(
    house: House, cast: Any, tmp_path: Path, cipher: str
) -> None:
    signed = openssl_signed(message(record("BIFI")), cast.host("BIFI"), tmp_path)
    command = ["openssl", "smime", "-encrypt", cipher, house.settings.tls_cert]
    encrypted = subprocess.run(command, input=signed, capture_output=True, check=True, timeout=60).stdout
    outcome = house.load(encrypted, source="ams")
    assert outcome.reason == ""
    assert outcome.loaded == 1


@pytest.mark.peer("openssl")
def test_a_message_encrypted_for_somebody_else_is_refused(house: House, cast: Any, tmp_path: Path) -> None:
    command = ["openssl", "smime", "-encrypt", "-aes128", cast["Anna Lindqvist"].cert_path]
    encrypted = subprocess.run(command, input=b"x", capture_output=True, check=True, timeout=60).stdout
    house.load(encrypted, source="ams")
    assert whole_message(house)[0] == "not_decrypted"


def test_text_that_only_looks_like_headers_is_no_signature(house: House) -> None:
    house.load("Content-Type: multipart/signed\n\n" + lines(record("BIFI")), source="ams")
    assert whole_message(house)[0] == "bad_signature"


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("coding", ["base64", "quoted-printable"])
def test_a_signed_part_in_a_transfer_encoding_is_read(
    house: House, cast: Any, tmp_path: Path, coding: str
) -> None:
    """A base64 part crashes SSM's receiver."""
    text = message(record("BIFI", MachineName="vm ü")).encode()
    coded = base64.encodebytes(text) if coding == "base64" else quopri.encodestring(text)
    part = tmp_path / "part"
    part.write_bytes(f"Content-Type: text/plain\nContent-Transfer-Encoding: {coding}\n\n".encode() + coded)
    host = cast.host("BIFI")
    command = ["openssl", "smime", "-sign", "-in", part, "-inkey", host.key_path, "-signer", host.cert_path]
    signed = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    outcome = house.load(signed, source="ams")
    assert outcome.reason == ""
    assert (outcome.loaded, outcome.remarked) == (1, 0)
