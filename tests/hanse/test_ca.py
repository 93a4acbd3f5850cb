"""The CA of demo and tests makes what real CAs make: openssl reads, checks and finds its files."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from demo.ca import CertificateAuthority
from hanse.identity import names
from hanse.identity.trust import TrustStore


@pytest.fixture
def ca(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path / "ca", "Hanse Demo CA")


def openssl(*arguments: str | Path) -> str:
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.peer("openssl")
def test_openssl_verifies_what_is_issued_through_the_hashed_folder(ca: CertificateAuthority) -> None:
    anna = ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist", email="anna@hanse.example")
    host = ca.issue("/C=EU/O=Hanse Demo/OU=CESNET/CN=acct.cesnet.example", host="acct.cesnet.example")
    strict = ("verify", "-x509_strict", "-crl_check_all", "-CApath", ca.trust_dir)
    assert "OK" in openssl(*strict, "-purpose", "sslclient", anna.cert_path)
    assert "OK" in openssl(*strict, "-purpose", "smimesign", anna.cert_path)
    assert "OK" in openssl(
        *strict, "-purpose", "sslserver", "-verify_hostname", "acct.cesnet.example", host.cert_path
    )
    assert "OK" in openssl(*strict, "-purpose", "sslclient", host.cert_path)
    ca.revoke(anna.cert)
    assert "certificate revoked" in openssl(*strict, anna.cert_path)
    assert "OK" in openssl(*strict, host.cert_path)


def test_the_certificate_says_what_was_asked(ca: CertificateAuthority) -> None:
    issued = ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Eliška Malá", days=30, email="eliska@hanse.example")
    assert names.slash(names.subject_der(issued.cert)) == "/C=EU/O=Hanse Demo/OU=People/CN=Eliška Malá"
    assert names.slash(names.issuer_der(issued.cert)) == "/C=EU/O=Hanse Demo/CN=Hanse Demo CA"
    assert issued.key.key_size == 2048
    left = issued.cert.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    assert issued.cert.not_valid_before_utc < datetime.now(UTC)
    for kind in (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier, x509.KeyUsage):
        assert issued.cert.extensions.get_extension_for_class(kind)
    assert issued.cert_path.name == "eliska-mala.cert.pem"
    assert issued.key_path.stat().st_mode & 0o777 == 0o600
    assert x509.load_pem_x509_certificate(issued.cert_path.read_bytes()) == issued.cert


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("localhost", ["localhost", "127.0.0.1"]),
        ("127.0.0.1", ["localhost", "127.0.0.1"]),
        ("acct.cesnet.example", ["acct.cesnet.example"]),
        ("192.0.2.7", ["192.0.2.7"]),
    ],
)
def test_hosts_have_alternative_names(ca: CertificateAuthority, host: str, found: list[str]) -> None:
    cert = ca.issue(f"/O=Hanse Demo/CN={host}", host=host).cert
    alternatives = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in alternatives] == found


def test_expired_and_future_certificates_can_be_made(ca: CertificateAuthority) -> None:
    now = datetime.now(UTC)
    assert ca.issue("/CN=old", days=-2).cert.not_valid_after_utc < now - timedelta(days=1)
    young = ca.issue("/CN=young", not_before=now + timedelta(days=1), days=2).cert
    assert now < young.not_valid_before_utc < young.not_valid_after_utc


def test_revocations_outlive_the_process_and_lists_are_numbered(ca: CertificateAuthority) -> None:
    one, two = ca.issue("/CN=one").cert, ca.issue("/CN=two").cert
    ca.revoke(one)
    again = CertificateAuthority.open(ca.directory)
    again.revoke(two)
    crl = x509.load_pem_x509_crl(again.crl_path.read_bytes())
    assert {entry.serial_number for entry in crl} == {one.serial_number, two.serial_number}
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3
    assert again.cert == ca.cert


def test_an_expired_list_can_be_written(ca: CertificateAuthority) -> None:
    assert TrustStore(ca.trust_dir).problems() == []
    ca.write_crl(-1)
    assert "expired at" in TrustStore(ca.trust_dir).problems()[0]


@pytest.mark.peer("openssl")
def test_a_ca_below_another_is_verified_with_both_folders(ca: CertificateAuthority, tmp_path: Path) -> None:
    below = ca.intermediate(tmp_path / "below", "Hanse Demo Host CA")
    host = below.issue("/C=EU/O=Hanse Demo/OU=UKIM/CN=acct.ukim.example", host="acct.ukim.example")
    for path in below.trust_dir.iterdir():
        (ca.trust_dir / path.name).write_bytes(path.read_bytes())
    strict = ("verify", "-x509_strict", "-crl_check_all", "-CApath", ca.trust_dir)
    assert "OK" in openssl(*strict, host.cert_path)
    assert x509.load_pem_x509_certificates(host.cert_path.read_bytes()) == [host.cert, below.cert]
    assert CertificateAuthority.open(below.directory).chain == (below.cert,)


def test_the_policy_file_names_the_ca(ca: CertificateAuthority) -> None:
    policy = ca.bundle.with_suffix(".signing_policy").read_text()
    assert "access_id_CA X509 '/C=EU/O=Hanse Demo/CN=Hanse Demo CA'" in policy
