"""Host certificates: each way to be wrong has a reason of its own, and our own faults are not the site's."""

import asyncio
import os
import shutil
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from demo.ca import CertificateAuthority, Issued
from monitoring.findings import Result, Status
from monitoring.probes import PROBES
from monitoring.running import run, target_of
from monitoring.wire.certificates import Trust
from tests.monitoring.hostile import http, saying, serving

HOST = "/C=EU/O=Hanse Demo/OU=BIFI/CN=localhost"


@pytest.fixture
def own_ca(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path / "own-ca", "/C=EU/O=Hanse Demo/CN=Hanse Test CA")


@contextmanager
def tls_server(cert: Path, key: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(cert, key)
    with serving(saying(http("200 OK", b"hello")), context) as port:
        yield port


def look(
    trust: Path, issued: Issued, name: str = "certificate", host: str = "localhost", **options: str
) -> Result:
    return look_at(trust, issued.cert_path, issued.key_path, name, host, **options)


def look_at(trust: Path, cert: Path, key: Path, name: str, host: str, **options: str) -> Result:
    with tls_server(cert, key) as port:
        target = target_of(f"https://{host}:{port}/", options)
        return asyncio.run(run(PROBES[name], target, Trust(trust), deadline_s=10))


def reason(result: Result) -> tuple[Status, str]:
    return result.status, result.reason


def test_a_good_certificate_tells_its_days(own_ca: CertificateAuthority) -> None:
    result = look(own_ca.trust_dir, own_ca.issue(HOST, host="localhost", days=99))
    assert reason(result) == (Status.OK, "")
    (figure,) = result.figures
    assert figure.label == "days"
    assert figure.value == pytest.approx(99, abs=0.1)
    assert "99 days left" in result.summary


def test_one_that_ends_soon_is_a_warning_and_one_that_ends_now_is_not(own_ca: CertificateAuthority) -> None:
    soon = own_ca.issue(HOST, host="localhost", days=2.8)
    assert reason(look(own_ca.trust_dir, soon)) == (Status.WARNING, "certificate-ending")
    assert "in 2 d 19 h" in look(own_ca.trust_dir, soon).summary
    strict = look(own_ca.trust_dir, soon, critical_days="5")
    assert reason(strict) == (Status.CRITICAL, "certificate-ending")
    assert reason(look(own_ca.trust_dir, soon, warning_days="1")) == (Status.OK, "")


@pytest.mark.parametrize("name", ["certificate", "http"])
def test_an_expired_one(own_ca: CertificateAuthority, name: str) -> None:
    result = look(own_ca.trust_dir, own_ca.issue(HOST, host="localhost", days=-3), name)
    assert reason(result) == (Status.CRITICAL, "tls-expired")
    ended = datetime.now(UTC) - timedelta(days=3)
    assert f"{ended:%d %b %Y}" in result.summary


def test_one_that_is_not_valid_yet(own_ca: CertificateAuthority) -> None:
    issued = own_ca.issue(HOST, host="localhost", not_before=datetime.now(UTC) + timedelta(days=2), days=30)
    result = look(own_ca.trust_dir, issued)
    assert reason(result) == (Status.CRITICAL, "tls-not-yet-valid")
    assert "begins only on" in result.summary


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_one_for_another_host(own_ca: CertificateAuthority, host: str) -> None:
    issued = own_ca.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=occi.bifi.example", host="occi.bifi.example")
    result = look(own_ca.trust_dir, issued, host=host)
    assert reason(result) == (Status.CRITICAL, "tls-wrong-host")
    assert "is for occi.bifi.example" in result.summary


def test_a_revoked_one(own_ca: CertificateAuthority) -> None:
    issued = own_ca.issue(HOST, host="localhost")
    own_ca.revoke(issued.cert)
    assert reason(look(own_ca.trust_dir, issued)) == (Status.CRITICAL, "tls-revoked")


def test_one_of_a_foreign_ca(own_ca: CertificateAuthority, tmp_path: Path) -> None:
    foreign = CertificateAuthority.create(tmp_path / "foreign", "/C=XX/O=Somebody Else/CN=Foreign CA")
    result = look(own_ca.trust_dir, foreign.issue("/C=XX/O=Somebody Else/CN=localhost", host="localhost"))
    assert reason(result) == (Status.CRITICAL, "tls-unknown-ca")
    assert "CN=Foreign CA" in result.summary


def test_a_forgotten_intermediate_certificate(own_ca: CertificateAuthority, tmp_path: Path) -> None:
    middle = own_ca.intermediate(tmp_path / "middle", "/C=EU/O=Hanse Demo/CN=Hanse Middle CA")
    issued = middle.issue(HOST, host="localhost")
    leaf_only = tmp_path / "leaf.pem"
    leaf_only.write_bytes(issued.cert.public_bytes(serialization.Encoding.PEM))
    result = look_at(own_ca.trust_dir, leaf_only, issued.key_path, "certificate", "localhost")
    assert reason(result) == (Status.CRITICAL, "tls-incomplete-chain")
    assert "Hanse Middle CA" in result.summary


def test_a_self_signed_one(own_ca: CertificateAuthority, tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path, 2048)
    result = look_at(own_ca.trust_dir, cert, key, "certificate", "localhost")
    assert reason(result) == (Status.CRITICAL, "tls-self-signed")


def test_a_weak_one(own_ca: CertificateAuthority, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 1024)
    builder = x509.CertificateBuilder(
        own_ca.cert.subject,
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
        key.public_key(),
        x509.random_serial_number(),
        datetime.now(UTC) - timedelta(hours=1),
        datetime.now(UTC) + timedelta(days=90),
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    paths = written(tmp_path, builder.sign(own_ca.key, hashes.SHA256()), key)
    result = look_at(own_ca.trust_dir, *paths, "certificate", "localhost")
    assert reason(result) == (Status.CRITICAL, "tls-weak")


def test_a_port_that_does_not_speak_tls(own_ca: CertificateAuthority) -> None:
    with serving(saying(http("200 OK"))) as port:
        target = target_of(f"https://localhost:{port}/")
        result = asyncio.run(run(PROBES["certificate"], target, Trust(own_ca.trust_dir), deadline_s=2))
    assert result.status == Status.CRITICAL
    assert result.reason in ("tls-handshake", "tls-timeout")


# --- what is our own fault ---


@pytest.mark.parametrize("spoil", ["missing", "expired"])
def test_our_own_revocation_list_at_fault_is_unknown(
    own_ca: CertificateAuthority, tmp_path: Path, spoil: str
) -> None:
    issued = own_ca.issue(HOST, host="localhost")
    trust = Path(shutil.copytree(own_ca.trust_dir, tmp_path / "trust"))
    if spoil == "missing":
        other = CertificateAuthority.create(tmp_path / "other", "/C=EU/O=Other/CN=Other CA")
        for path in trust.glob("*.r0"):
            path.unlink()
        shutil.copy(other.crl_path, trust / "other.r0")
    else:
        own_ca.write_crl(valid_hours=-1)
        shutil.copytree(own_ca.trust_dir, trust, dirs_exist_ok=True)
    assert reason(look(trust, issued)) == (Status.UNKNOWN, "our-revocation-list")


def test_our_own_expired_credential_is_unknown(own_ca: CertificateAuthority) -> None:
    server = own_ca.issue(HOST, host="localhost")
    robot = own_ca.issue("/C=EU/O=Hanse Demo/CN=Robot", days=-1)
    with tls_server(server.cert_path, server.key_path) as port:
        result = asyncio.run(
            run(
                PROBES["http"],
                target_of(f"https://localhost:{port}/"),
                Trust(own_ca.trust_dir),
                credential=(robot.cert_path, robot.key_path),
            )
        )
    assert reason(result) == (Status.UNKNOWN, "credential-expired")


def test_a_new_revocation_list_counts_at_once(own_ca: CertificateAuthority) -> None:
    issued = own_ca.issue(HOST, host="localhost")
    trust = Trust(own_ca.trust_dir)
    with tls_server(issued.cert_path, issued.key_path) as port:
        target = target_of(f"https://localhost:{port}/")
        before = asyncio.run(run(PROBES["certificate"], target, trust))
        own_ca.revoke(issued.cert)
        for path in own_ca.trust_dir.glob("*.r0"):
            os.utime(path, (0, 0), follow_symlinks=False)
        after = asyncio.run(run(PROBES["certificate"], target, trust))
    assert (before.status, after.reason) == (Status.OK, "tls-revoked")


# --- making what the test CA would not ---


def self_signed(folder: Path, bits: int) -> tuple[Path, Path]:
    key = rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), 7, now - timedelta(hours=1), now + timedelta(days=90)
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    return written(folder, builder.sign(key, hashes.SHA256()), key)


def written(folder: Path, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> tuple[Path, Path]:
    (folder / "made.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "made.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "made.pem", folder / "made.key"
