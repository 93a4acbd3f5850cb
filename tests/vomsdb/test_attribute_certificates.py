"""Attribute certificates as both VOMS libraries want them: what is made verifies, what is bent is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from hanse.identity import der, voms
from hanse.identity.vomsdir import LscError, read_lsc, vomses_line, write_lsc

VO = "training.egi.eu"
NOW = datetime(2026, 11, 24, 14, 32, tzinfo=UTC)


def _name(*parts: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "EU"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Hanse Demo"),
            *(x509.NameAttribute(NameOID.COMMON_NAME, part) for part in parts),
        ]
    )


def _certificate(
    name: x509.Name, key: rsa.RSAPrivateKey, issuer: x509.Name, signer: rsa.RSAPrivateKey, *, ski: bool = True
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=365))
    )
    if ski:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    return builder.sign(signer, hashes.SHA256())


@pytest.fixture(scope="module")
def keys() -> list[rsa.RSAPrivateKey]:
    return [rsa.generate_private_key(65537, 2048) for _ in range(3)]


@pytest.fixture(scope="module")
def authority(keys: list[rsa.RSAPrivateKey]) -> voms.SigningAuthority:
    host = _certificate(_name("voms.hanse.example"), keys[1], _name("Hanse Demo CA"), keys[0])
    return voms.SigningAuthority([host], keys[1], "voms.hanse.example", 15001)


@pytest.fixture(scope="module")
def anna(keys: list[rsa.RSAPrivateKey]) -> x509.Certificate:
    return _certificate(_name("Anna Lindqvist"), keys[2], _name("Hanse Demo CA"), keys[0])


def _issued(authority: voms.SigningAuthority, holder: x509.Certificate, *fqans: str, **more: object) -> bytes:
    lifetime = (NOW - voms.BACK_DATED, NOW + timedelta(hours=12))
    return authority.issue(holder, VO, fqans or (f"/{VO}",), lifetime, **more)  # type: ignore[arg-type]


def _lsc(authority: voms.SigningAuthority) -> tuple[tuple[tuple[str, str], ...], ...]:
    return read_lsc(write_lsc(authority.chain))


def test_what_is_issued_reads_back_and_verifies(
    authority: voms.SigningAuthority, anna: x509.Certificate
) -> None:
    read = voms.parse(_issued(authority, anna, f"/{VO}/Role=operator", f"/{VO}"))
    assert read.fqans == (f"/{VO}/Role=operator/Capability=NULL", f"/{VO}/Role=NULL/Capability=NULL")
    assert (read.vo, read.host, read.port) == (VO, "voms.hanse.example", 15001)
    assert read.not_before == NOW - timedelta(minutes=3)
    voms.verify(read, anna, lsc=_lsc(authority), at=NOW)


def test_the_holder_is_named_by_the_users_subject(
    authority: voms.SigningAuthority, anna: x509.Certificate
) -> None:
    """RFC 5755 would put the issuer there, and the Java verifier would refuse it."""
    read = voms.parse(_issued(authority, anna))
    assert read.holder_subject == anna.subject.public_bytes()
    assert read.holder_serial == anna.serial_number


def test_the_bytes_have_the_tags_that_libvomsapi_reads(
    authority: voms.SigningAuthority, anna: x509.Certificate
) -> None:
    info, algorithm, signature = der.read(_issued(authority, anna)).children()
    version, holder, issuer, inner, serial, validity, attributes, extensions = info.children()
    assert version.raw == b"\x02\x01\x01"
    assert [holder.tag, issuer.tag, inner.raw] == [0x30, 0xA0, algorithm.raw]
    assert 0 < serial.integer() < 1 << 128
    assert all(node.body.endswith(b"Z") and len(node.body) == 15 for node in validity.children())
    policy = attributes.children()[0].children()[1].children()[0].children()[0]
    assert policy.raw == b"\xa0" + bytes([len(policy.body)]) + policy.body
    assert policy.children()[0].tag == 0x86
    assert signature.body[0] == 0
    assert [len(e.children()) for e in extensions.children()] == [2, 2, 2]


def test_targets_are_critical_and_bind_to_the_host(
    authority: voms.SigningAuthority, anna: x509.Certificate
) -> None:
    read = voms.parse(_issued(authority, anna, targets=("occi.cesnet.example",)))
    voms.verify(read, anna, lsc=_lsc(authority), at=NOW, hostname="occi.cesnet.example")
    with pytest.raises(voms.VomsError, match=r"meant for occi\.cesnet\.example alone"):
        voms.verify(read, anna, lsc=_lsc(authority), at=NOW, hostname="occi.bifi.example")


def test_another_persons_attribute_certificate_is_refused(
    authority: voms.SigningAuthority, anna: x509.Certificate, keys: list[rsa.RSAPrivateKey]
) -> None:
    tomas = _certificate(_name("Tomás Vidal"), keys[2], _name("Hanse Demo CA"), keys[0])
    read = voms.parse(_issued(authority, anna))
    with pytest.raises(voms.VomsError, match="issued to another certificate"):
        voms.verify(read, tomas, lsc=_lsc(authority), at=NOW)


@pytest.mark.parametrize("offset", [timedelta(minutes=-9), timedelta(hours=12, seconds=1)])
def test_outside_its_validity_it_is_refused(
    authority: voms.SigningAuthority, anna: x509.Certificate, offset: timedelta
) -> None:
    with pytest.raises(voms.VomsError, match="valid only from"):
        voms.verify(voms.parse(_issued(authority, anna)), anna, lsc=_lsc(authority), at=NOW + offset)


def test_an_altered_group_breaks_the_signature(
    authority: voms.SigningAuthority, anna: x509.Certificate
) -> None:
    bent = _issued(authority, anna, f"/{VO}/Role=operator").replace(b"Role=operator", b"Role=director")
    with pytest.raises(voms.VomsError, match="does not match its content"):
        voms.verify(voms.parse(bent), anna, lsc=_lsc(authority), at=NOW)


def test_an_lsc_file_of_another_authority_does_not_admit_it(
    authority: voms.SigningAuthority, anna: x509.Certificate
) -> None:
    other = read_lsc("/C=EU/O=Hanse Demo/CN=voms.other.example\n/C=EU/O=Hanse Demo/CN=Hanse Demo CA\n")
    with pytest.raises(voms.VomsError, match="does not name the authority"):
        voms.verify(voms.parse(_issued(authority, anna)), anna, lsc=other, at=NOW)


def test_lsc_files_with_two_chains_are_read_in_both_spellings() -> None:
    text = "/CN=a\n/CN=CA\n------ NEXT CHAIN ------\n/CN=b\n/CN=CA\n"
    expected = ((("/CN=a", "/CN=CA"),), (("/CN=b", "/CN=CA"),))
    assert read_lsc(text) == read_lsc(text.replace(" NEXT CHAIN ", "NEXT CHAIN")) == expected


def test_an_lsc_file_with_an_odd_line_is_refused() -> None:
    with pytest.raises(LscError, match="even number of lines"):
        read_lsc("/CN=voms.hanse.example\n")


def test_the_vomses_line_has_five_quoted_fields(authority: voms.SigningAuthority) -> None:
    line = vomses_line(VO, "voms.hanse.example", 15001, authority.chain[0])
    assert line == (
        f'"{VO}" "voms.hanse.example" "15001" "/C=EU/O=Hanse Demo/CN=voms.hanse.example" "{VO}"\n'
    )


@pytest.mark.parametrize(
    "fqan",
    [
        "/chipster",
        "training.egi.eu",
        f"/{VO}/../x",
        f"/{VO}/a%2Fb",
        f"/{VO}\r\n",
        f"/{VO}/Capability=x",
        "",
        f"/{VO}//a",
    ],
)
def test_nothing_outside_the_vo_gets_in(
    authority: voms.SigningAuthority, anna: x509.Certificate, fqan: str
) -> None:
    with pytest.raises(voms.VomsError):
        _issued(authority, anna, fqan)


def test_a_certificate_without_subject_key_identifier_cannot_serve_as_authority(
    keys: list[rsa.RSAPrivateKey],
) -> None:
    host = _certificate(_name("voms.hanse.example"), keys[1], _name("Hanse Demo CA"), keys[0], ski=False)
    with pytest.raises(voms.VomsError, match="no subjectKeyIdentifier"):
        voms.SigningAuthority([host], keys[1], "voms.hanse.example", 15001)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"no_revocation": False}, "noRevAvail"),
        ({"key_identifier": None}, "authorityKeyIdentifier"),
        ({"chain": ()}, "does not bring"),
        ({"unknown_critical": ("1.2.3",)}, "1.2.3"),
        ({"algorithm": "1.2.840.113549.1.1.5"}, "SHA-256 or better"),
    ],
)
def test_what_a_verifier_needs_must_be_there(
    authority: voms.SigningAuthority, anna: x509.Certificate, change: dict[str, object], reason: str
) -> None:
    bent = replace(voms.parse(_issued(authority, anna)), **change)  # type: ignore[arg-type]
    with pytest.raises(voms.VomsError, match=reason):
        voms.verify(bent, anna, lsc=_lsc(authority), at=NOW)


def test_cut_or_random_bytes_are_refused_with_a_sentence(
    authority: voms.SigningAuthority, anna: x509.Certificate
) -> None:
    whole = _issued(authority, anna)
    for length in range(0, len(whole), 7):
        with pytest.raises(voms.VomsError):
            voms.parse(whole[:length])
