"""Signed messages: ours, those of the openssl command, and those of people who cheat."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demo.ca import CertificateAuthority, Issued
from hanse import cms, smime
from hanse.cms import CmsError
from hanse.identity.principals import X509Identity
from hanse.identity.proxies import certificates_of, create_proxy
from hanse.identity.trust import TrustStore

RECORD = (
    b"APEL-cloud-message: v0.4\nVMUUID: 1111\nSiteName: CESNET\nCpuCount: 4\n%%\n"
    b"VMUUID: 2222\nSiteName: CESNET\nGlobalUserName: Eli\xc5\xa1ka\n%%\n"
)
# a serial number that an altered bit made negative: cryptography reads it and says it will not for ever
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
relaxed = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


@dataclass(frozen=True)
class World:
    """A CA, the host certificate of CESNET, that of BIFI, and who is trusted."""

    ca: CertificateAuthority
    cesnet: Issued
    bifi: Issued
    trust: TrustStore
    folder: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("cms")
    ca = CertificateAuthority.create(folder / "ca", "Hanse Demo CA")
    cesnet = ca.issue("/C=EU/O=Hanse Demo/OU=CESNET/CN=acct.cesnet.example", host="acct.cesnet.example")
    bifi = ca.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=acct.bifi.example", host="acct.bifi.example")
    return World(ca, cesnet, bifi, TrustStore(ca.trust_dir), folder)


def openssl(*arguments: str | Path, content: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *map(str, arguments)], input=content, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def signed_by_openssl(owner: Issued, content: bytes, *options: str | Path, tool: str = "smime") -> bytes:
    return openssl(
        tool, "-sign", "-signer", owner.cert_path, "-inkey", owner.key_path, *options, content=content
    )


# --- what is accepted -------------------------------------------------------------------------------


@pytest.mark.parametrize("detached", [True, False])
@relaxed
@given(content=st.text().map(str.encode) | st.binary())
def test_what_is_signed_is_what_is_verified(world: World, content: bytes, detached: bool) -> None:
    message = cms.sign(content, world.cesnet.cert, world.cesnet.key, detached=detached)
    got = cms.verify(message, world.trust)
    assert got.content == smime.lf(content.rstrip(b"\r"))
    assert got.signer == world.cesnet.cert
    assert got.identity == X509Identity.from_certificate(world.cesnet.cert)


def test_the_text_is_the_one_that_accounting_clients_send(world: World) -> None:
    message = cms.sign(RECORD, world.cesnet.cert, world.cesnet.key).decode()
    assert re.match(
        r'MIME-Version: 1\.0\nContent-Type: multipart/signed; protocol="application/x-pkcs7-signature"; '
        r'micalg="sha-256"; boundary="(----\w{32})"\n\nThis is an S/MIME signed message\n\n--\1\n'
        r"Content-Type: text/plain\n\nAPEL-cloud-message: v0\.4\n",
        message,
    )
    assert "\r" not in message
    assert "%%\n\n------" in message


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("detached", [True, False])
@pytest.mark.parametrize(
    "content", [RECORD, b"", b"one line, no end", b"\n\n", b"a\r\nb\r\n", b"%%\n" * 5000]
)
def test_openssl_verifies_what_we_sign(world: World, content: bytes, detached: bool) -> None:
    message = cms.sign(content, world.cesnet.cert, world.cesnet.key, detached=detached)
    got = openssl("smime", "-verify", "-text", "-CAfile", world.ca.bundle, "-purpose", "any", content=message)
    assert smime.lf(got) == smime.lf(content)


OPENSSL_FORMS = {
    "as ssmsend": ("-text",),
    "no inner headers": (),
    "opaque": ("-text", "-nodetach"),
    "opaque, no inner headers": ("-nodetach",),
    "opaque, streamed": ("-text", "-nodetach", "-stream"),
    "without capabilities": ("-text", "-nosmimecap"),
    "sha512": ("-text", "-md", "sha512"),
    "crlf": ("-text", "-crlfeol"),
}


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("options", OPENSSL_FORMS.values(), ids=OPENSSL_FORMS)
@pytest.mark.parametrize("tool", ["smime", "cms"])
def test_what_the_openssl_command_signs_is_accepted(
    world: World, tool: str, options: tuple[str, ...]
) -> None:
    before = datetime.now(UTC)
    got = cms.verify(signed_by_openssl(world.cesnet, RECORD, *options, tool=tool), world.trust)
    assert got.content == RECORD
    assert got.identity.subject_slash == "/C=EU/O=Hanse Demo/OU=CESNET/CN=acct.cesnet.example"
    assert got.signing_time is not None
    assert abs(got.signing_time - before) < timedelta(minutes=5)


@pytest.mark.peer("openssl")
def test_a_key_identifier_and_pss_and_binary_forms_are_accepted(world: World) -> None:
    for options in (
        ("-text", "-keyid"),
        ("-text", "-keyopt", "rsa_padding_mode:pss"),
        ("-text", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:20"),
        ("-text", "-keyid", "-nodetach", "-md", "sha384"),
    ):
        message = signed_by_openssl(world.cesnet, RECORD, *options, tool="cms")
        assert cms.verify(message, world.trust).content == RECORD


@pytest.mark.parametrize("make_wire", [smime.lf, smime.crlf], ids=["LF", "CRLF"])
@pytest.mark.parametrize("detached", [True, False])
def test_line_ends_on_the_wire_make_no_difference(world: World, detached: bool, make_wire: object) -> None:
    assert callable(make_wire)
    message = make_wire(cms.sign(RECORD, world.cesnet.cert, world.cesnet.key, detached=detached))
    assert cms.verify(message, world.trust).content == RECORD


def _signed_part(world: World, part: bytes, *, detached: bool) -> bytes:
    """A message whose signed part is exactly `part`, headers and all."""
    builder = pkcs7.PKCS7SignatureBuilder().set_data(smime.crlf(part))
    builder = builder.add_signer(world.cesnet.cert, world.cesnet.key, hashes.SHA256())
    if detached:
        options = [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.DetachedSignature]
        return smime.compose_detached(smime.crlf(part), builder.sign(Encoding.DER, options))
    return smime.compose_wrapped(builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary]), "signed-data")


@pytest.mark.parametrize("detached", [True, False])
def test_inner_quoted_printable_and_base64_are_undone(world: World, detached: bool) -> None:
    quoted = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
    message = _signed_part(world, quoted + b"Name: Eli=C5=A1ka M=\nal=C3=A1\n", detached=detached)
    assert cms.verify(message, world.trust).content == "Name: Eliška Malá\n".encode()
    packed = b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(RECORD)
    assert cms.verify(_signed_part(world, packed, detached=detached), world.trust).content == RECORD


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (b"Content-Transfer-Encoding: uuencode\n\nx", "not one of MIME"),
        (b"Content-Transfer-Encoding: base64\n\n!!!!", "not valid base64"),
        (b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\na\n--x--\n", "parts itself"),
        (b"Content-Type: text/plain", "no blank line"),
        (b"Content-Type: t\xc3\xa9xt/plain\n\nx", "not ASCII"),
    ],
)
def test_an_inner_part_that_cannot_be_read_is_refused(world: World, part: bytes, sentence: str) -> None:
    with pytest.raises(CmsError, match=sentence):
        cms.verify(_signed_part(world, part, detached=True), world.trust)


@pytest.mark.peer("openssl")
def test_an_elliptic_curve_host_key_is_accepted(world: World) -> None:
    owner = _elliptic(world)
    message = cms.sign(RECORD, owner.cert, owner.key)
    assert cms.verify(message, world.trust).content == RECORD
    files = world.folder / "ec.pem", world.folder / "ec.key"
    files[0].write_bytes(owner.cert.public_bytes(Encoding.PEM))
    files[1].write_bytes(owner.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    by_openssl = openssl("cms", "-sign", "-text", "-signer", files[0], "-inkey", files[1], content=RECORD)
    assert cms.verify(by_openssl, world.trust).content == RECORD


@dataclass(frozen=True)
class _Curve:
    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def _elliptic(world: World) -> _Curve:
    key = ec.generate_private_key(ec.SECP256R1())
    template = world.cesnet.cert
    builder = x509.CertificateBuilder().subject_name(template.subject).issuer_name(template.issuer)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(template.not_valid_before_utc)
    builder = builder.not_valid_after(template.not_valid_after_utc)
    return _Curve(builder.sign(world.ca.key, hashes.SHA256()), key)


def test_a_signer_under_an_intermediate_is_accepted_with_its_chain(world: World, tmp_path: Path) -> None:
    below = world.ca.intermediate(tmp_path / "below", "Hanse Demo Host CA")
    owner = below.issue("/C=EU/O=Hanse Demo/OU=UKIM/CN=acct.ukim.example", host="acct.ukim.example")
    both = tmp_path / "trust"
    both.mkdir()
    for source in (world.ca.bundle, world.ca.crl_path, below.crl_path):
        (both / source.name).write_bytes(source.read_bytes())
    trust = TrustStore(both)
    assert cms.verify(cms.sign(RECORD, owner.cert, owner.key, chain=below.chain), trust).content == RECORD
    with pytest.raises(CmsError, match="not trusted here"):
        cms.verify(cms.sign(RECORD, owner.cert, owner.key), trust)


# --- what is refused --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def detached(world: World) -> bytes:
    return cms.sign(RECORD, world.cesnet.cert, world.cesnet.key)


@pytest.fixture(scope="module")
def opaque(world: World) -> bytes:
    return cms.sign(RECORD, world.cesnet.cert, world.cesnet.key, detached=False)


def _outcome(message: bytes, trust: TrustStore) -> tuple[bytes, str] | None:
    try:
        got = cms.verify(message, trust)
    except CmsError:
        return None
    return got.content, got.identity.key


@pytest.mark.parametrize("form", ["detached", "opaque"])
@settings(relaxed, max_examples=400)
@given(data=st.data())
def test_no_altered_byte_yields_other_content_or_another_signer(
    world: World, form: str, detached: bytes, opaque: bytes, data: st.DataObject
) -> None:
    message = {"detached": detached, "opaque": opaque}[form]
    place = data.draw(st.integers(0, len(message) - 1))
    altered = bytearray(message)
    altered[place] ^= data.draw(st.integers(1, 255))
    right = (RECORD, X509Identity.from_certificate(world.cesnet.cert).key)
    assert _outcome(bytes(altered), world.trust) in (None, right)


def test_every_byte_of_the_signed_content_counts(world: World, detached: bytes) -> None:
    start = detached.index(b"APEL-cloud-message")
    for place in range(start, start + len(RECORD)):
        altered = bytearray(detached)
        altered[place] ^= 0x02
        with pytest.raises(CmsError):
            cms.verify(bytes(altered), world.trust)


@pytest.mark.parametrize("form", ["detached", "opaque"])
@settings(relaxed, max_examples=200)
@given(data=st.data())
def test_cut_or_doubled_messages_never_yield_other_content(
    world: World, form: str, detached: bytes, opaque: bytes, data: st.DataObject
) -> None:
    message = {"detached": detached, "opaque": opaque}[form]
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(message))] * 2)))
    right = (RECORD, X509Identity.from_certificate(world.cesnet.cert).key)
    for altered in (message[:start] + message[end:], message[:end] + message[start:]):
        assert _outcome(altered, world.trust) in (None, right)


@settings(relaxed, max_examples=300)
@given(junk=st.binary(max_size=300))
def test_junk_is_refused_with_a_sentence(world: World, junk: bytes) -> None:
    for message in (junk, smime.compose_wrapped(junk, "signed-data"), smime.compose_detached(RECORD, junk)):
        with pytest.raises(CmsError, match=r"\.$"):
            cms.verify(message, world.trust)


def _der_of(message: bytes) -> bytes:
    parsed = smime.parse(message)
    return parsed.der


def _rebuilt(message: bytes, change: object) -> bytes:
    """The message with its SignedData changed by `change`."""
    assert callable(change)
    info = asn1.ContentInfo.load(_der_of(message))
    change(info["content"])
    der = info.dump(force=True)
    parsed = smime.parse(message)
    if isinstance(parsed, smime.Detached):
        return smime.compose_detached(parsed.signed, der)
    return smime.compose_wrapped(der, "signed-data")


def _asn1(cert: x509.Certificate) -> asn1.CertificateChoices:
    from asn1crypto import x509 as asn1_x509

    loaded = asn1_x509.Certificate.load(cert.public_bytes(Encoding.DER))
    return asn1.CertificateChoices(name="certificate", value=loaded)


def test_the_harness_rebuilds_a_message_that_still_holds(world: World, detached: bytes) -> None:
    assert cms.verify(_rebuilt(detached, lambda signed: None), world.trust).content == RECORD


def test_certificates_that_travel_along_never_become_the_identity(world: World, detached: bytes) -> None:
    for place in (0, 1):

        def add(signed: object, place: int = place) -> None:
            certificates = list(signed["certificates"])  # type: ignore[index]
            certificates.insert(place, _asn1(world.bifi.cert))
            signed["certificates"] = asn1.CertificateSet(certificates)  # type: ignore[index]

        got = cms.verify(_rebuilt(detached, add), world.trust)
        assert got.identity == X509Identity.from_certificate(world.cesnet.cert)
        assert got.signer == world.cesnet.cert


@pytest.mark.peer("openssl")
def test_a_message_without_its_signers_certificate_is_refused(world: World, detached: bytes) -> None:
    def swap(signed: object) -> None:
        signed["certificates"] = asn1.CertificateSet([_asn1(world.bifi.cert)])  # type: ignore[index]

    with pytest.raises(CmsError, match="no certificate of its signer"):
        cms.verify(_rebuilt(detached, swap), world.trust)
    bare = signed_by_openssl(world.cesnet, RECORD, "-text", "-nocerts")
    with pytest.raises(CmsError, match="no certificate of its signer"):
        cms.verify(bare, world.trust)


def test_a_signer_info_that_names_another_certificate_is_refused(world: World, detached: bytes) -> None:
    """CESNET signs, and says it was BIFI, whose certificate it sends along."""

    def pretend(signed: object) -> None:
        sid = signed["signer_infos"][0]["sid"].chosen  # type: ignore[index]
        sid["serial_number"] = world.bifi.cert.serial_number
        signed["certificates"] = asn1.CertificateSet([_asn1(world.bifi.cert)])  # type: ignore[index]

    with pytest.raises(CmsError, match="was not signed by /C=EU/O=Hanse Demo/OU=BIFI"):
        cms.verify(_rebuilt(detached, pretend), world.trust)


def test_two_certificates_of_one_issuer_and_serial_number_are_refused(world: World, detached: bytes) -> None:
    twin = x509.CertificateBuilder().subject_name(world.bifi.cert.subject).issuer_name(world.ca.cert.subject)
    twin = twin.public_key(world.bifi.key.public_key()).serial_number(world.cesnet.cert.serial_number)
    twin = twin.not_valid_before(datetime.now(UTC)).not_valid_after(datetime.now(UTC) + timedelta(days=1))
    fake = twin.sign(world.bifi.key, hashes.SHA256())

    def add(signed: object) -> None:
        both = [_asn1(fake), _asn1(world.cesnet.cert)]
        signed["certificates"] = asn1.CertificateSet(both)  # type: ignore[index]

    with pytest.raises(CmsError, match="more than one certificate of its signer"):
        cms.verify(_rebuilt(detached, add), world.trust)


@pytest.mark.peer("openssl")
def test_none_or_two_signers_are_refused(world: World, detached: bytes) -> None:
    second = ("-text", "-signer", world.bifi.cert_path, "-inkey", world.bifi.key_path)
    with pytest.raises(CmsError, match="2 signers"):
        cms.verify(signed_by_openssl(world.cesnet, RECORD, *second), world.trust)

    def empty(signed: object) -> None:
        signed["signer_infos"] = asn1.SignerInfos([])  # type: ignore[index]

    with pytest.raises(CmsError, match="0 signers"):
        cms.verify(_rebuilt(detached, empty), world.trust)


@pytest.mark.peer("openssl")
def test_a_signature_without_signed_attributes_is_refused(world: World) -> None:
    with pytest.raises(CmsError, match="no signed digest"):
        cms.verify(signed_by_openssl(world.cesnet, RECORD, "-text", "-noattr"), world.trust)


def test_a_message_that_carries_its_content_twice_is_refused(world: World, opaque: bytes) -> None:
    evil = smime.compose_detached(b"Content-Type: text/plain\r\n\r\nevil", _der_of(opaque))
    with pytest.raises(CmsError, match="twice"):
        cms.verify(evil, world.trust)


def test_a_signature_without_content_is_refused(world: World, detached: bytes) -> None:
    with pytest.raises(CmsError, match="no content"):
        cms.verify(smime.compose_wrapped(_der_of(detached), "signed-data"), world.trust)


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_weak_digests_are_refused(world: World, digest: str) -> None:
    with pytest.raises(CmsError, match=f"digest {digest}; use sha256"):
        cms.verify(signed_by_openssl(world.cesnet, RECORD, "-text", "-md", digest), world.trust)


def test_a_multipart_with_other_than_two_parts_is_refused(world: World, detached: bytes) -> None:
    boundary = re.search(rb'boundary="(.*?)"', detached)
    assert boundary is not None
    extra = b"--" + boundary[1] + b"\nContent-Type: text/plain\n\nevil\n"
    place = detached.index(b"--" + boundary[1])
    with pytest.raises(CmsError, match="exactly two parts"):
        cms.verify(detached[:place] + extra + detached[place:], world.trust)


@pytest.mark.peer("openssl")
def test_unsigned_and_encrypted_messages_are_refused(world: World) -> None:
    with pytest.raises(CmsError, match=r"no blank line|not signed"):
        cms.verify(RECORD, world.trust)
    with pytest.raises(CmsError, match="not signed as S/MIME"):
        cms.verify(b"Content-Type: text/plain\n\n" + RECORD, world.trust)
    with pytest.raises(CmsError, match="enveloped-data, not signed-data"):
        cms.verify(openssl("smime", "-encrypt", world.cesnet.cert_path, content=RECORD), world.trust)


# --- whose certificate ------------------------------------------------------------------------------


def test_the_certificate_must_be_trusted_valid_and_not_revoked(world: World, tmp_path: Path) -> None:
    ca = CertificateAuthority.create(tmp_path / "ca", "Hanse Demo CA")  # the same name, another key
    trust = TrustStore(ca.trust_dir)
    with pytest.raises(CmsError, match="is not signed by the trusted"):
        cms.verify(cms.sign(RECORD, world.cesnet.cert, world.cesnet.key), trust)
    expired = ca.issue("/C=EU/O=Hanse Demo/OU=CESNET/CN=old.cesnet.example", days=-1)
    with pytest.raises(CmsError, match="expired at"):
        cms.verify(cms.sign(RECORD, expired.cert, expired.key), trust)
    lost = ca.issue("/C=EU/O=Hanse Demo/OU=CESNET/CN=lost.cesnet.example", host="lost.cesnet.example")
    message = cms.sign(RECORD, lost.cert, lost.key)
    assert cms.verify(message, trust).content == RECORD
    ca.revoke(lost.cert)
    with pytest.raises(CmsError, match="was revoked at"):
        cms.verify(message, trust)


def test_validity_is_asked_for_the_given_moment(world: World) -> None:
    message = cms.sign(RECORD, world.cesnet.cert, world.cesnet.key)
    with pytest.raises(CmsError, match="expired at"):
        cms.verify(message, world.trust, world.cesnet.cert.not_valid_after_utc + timedelta(seconds=1))
    with pytest.raises(CmsError, match="not valid before"):
        cms.verify(message, world.trust, world.cesnet.cert.not_valid_before_utc - timedelta(seconds=1))


def test_a_proxy_or_a_certificate_that_may_not_sign_is_refused(world: World) -> None:
    proxy_pem = create_proxy(world.cesnet.cert, world.cesnet.key)
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(proxy_pem[proxy_pem.index(b"-----BEGIN RSA") :], None)
    proxy, owner = certificates_of(proxy_pem)
    with pytest.raises(CmsError, match="sign with the host certificate itself"):
        cms.verify(cms.sign(RECORD, proxy, key, chain=[owner]), world.trust)  # type: ignore[arg-type]


def test_a_self_signed_copy_of_the_ca_does_not_help(world: World, tmp_path: Path) -> None:
    forger = CertificateAuthority.create(tmp_path / "forger", "Hanse Demo CA")
    fake = forger.issue("/C=EU/O=Hanse Demo/OU=CESNET/CN=acct.cesnet.example", host="acct.cesnet.example")
    for chain in ((), (forger.cert,), (world.ca.cert,)):
        with pytest.raises(CmsError, match="is not signed by the trusted"):
            cms.verify(cms.sign(RECORD, fake.cert, fake.key, chain=chain), world.trust)


# --- envelopes --------------------------------------------------------------------------------------


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("cipher", ["-aes128", "-aes192", "-aes256", "-des3"])
def test_envelopes_of_the_openssl_command_are_opened(world: World, cipher: str) -> None:
    message = cms.sign(RECORD, world.cesnet.cert, world.cesnet.key)
    sealed = openssl("smime", "-encrypt", cipher, world.bifi.cert_path, content=message)
    opened = cms.decrypt(sealed, world.bifi.cert, world.bifi.key)
    assert cms.verify(opened, world.trust).content == RECORD


@pytest.mark.peer("openssl")
def test_an_envelope_for_somebody_else_is_a_sentence(world: World) -> None:
    for cipher in ("-aes128", "-des3"):
        sealed = openssl("smime", "-encrypt", cipher, world.bifi.cert_path, content=RECORD)
        with pytest.raises(CmsError, match="cannot be decrypted"):
            cms.decrypt(sealed, world.cesnet.cert, world.cesnet.key)
    with pytest.raises(CmsError, match="not encrypted"):
        cms.decrypt(
            cms.sign(RECORD, world.cesnet.cert, world.cesnet.key), world.cesnet.cert, world.cesnet.key
        )
    with pytest.raises(CmsError):
        cms.decrypt(smime.compose_wrapped(b"junk", "enveloped-data"), world.cesnet.cert, world.cesnet.key)


@pytest.fixture(autouse=True)
def _no_trust_left_behind(world: World) -> Iterator[None]:
    yield
    assert not world.trust.problems()
