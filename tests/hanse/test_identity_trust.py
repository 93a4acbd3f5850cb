"""Chains that hold and chains that do not, with `openssl verify` as the second opinion."""

from __future__ import annotations

import shutil
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from demo.ca import CertificateAuthority, Issued
from hanse.identity import names
from hanse.identity.certificates import certificate_from_der, certificate_from_pem
from hanse.identity.principals import X509Identity
from hanse.identity.proxies import (
    INDEPENDENT,
    INHERIT_ALL,
    LIMITED,
    PROXY_CERT_INFO,
    certificates_of,
    create_proxy,
    end_entity,
    is_proxy,
    proxy_info,
)
from hanse.identity.trust import TrustError, TrustStore

NOW = datetime.now(UTC)
ANNA = "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Chain = list[x509.Certificate]


@dataclass(frozen=True)
class World:
    """A root, a CA below it, people of both, and the folder that trusts both."""

    root: CertificateAuthority
    below: CertificateAuthority
    anna: Issued
    tomas: Issued
    laura: Issued
    folder: Path

    @property
    def trust(self) -> TrustStore:
        return TrustStore(self.folder)


def gather(folder: Path, *authorities: CertificateAuthority) -> Path:
    folder.mkdir(exist_ok=True)
    for ca in authorities:
        for path in ca.trust_dir.iterdir():
            if not path.is_symlink():
                shutil.copy(path, folder / path.name)
    return folder


@pytest.fixture
def world(tmp_path: Path, made: World) -> World:
    """A copy whose folders a test may spoil."""
    shutil.copytree(made.root.directory, tmp_path / "root", symlinks=True)
    shutil.copytree(made.below.directory, tmp_path / "below", symlinks=True)
    root, below = CertificateAuthority.open(tmp_path / "root"), CertificateAuthority.open(tmp_path / "below")
    return World(root, below, made.anna, made.tomas, made.laura, gather(tmp_path / "trust", root, below))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    root = CertificateAuthority.create(folder / "root", "Hanse Demo CA")
    below = root.intermediate(folder / "below", "Hanse Demo People CA")
    anna, tomas = root.issue(ANNA), root.issue("/C=EU/O=Hanse Demo/OU=People/CN=Tomás Vidal")
    laura = below.issue("/C=EU/O=Hanse Demo/OU=People/CN=Laura Gil")
    return World(root, below, anna, tomas, laura, gather(folder / "trust", root, below))


def openssl_accepts(folder: Path, chain: Sequence[x509.Certificate], at: datetime | None = None) -> bool:
    """`openssl verify -allow_proxy_certs -crl_check_all`: the leaf, the rest as untrusted, the folder as trusted."""
    leaf, rest, trusted = (folder.parent / f"openssl-{n}.pem" for n in ("leaf", "rest", "trusted"))
    leaf.write_bytes(chain[0].public_bytes(Encoding.PEM))
    rest.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in chain[1:]))
    files = sorted(p for p in folder.iterdir() if p.suffix in (".pem", ".r0"))
    trusted.write_bytes(b"".join(p.read_bytes() for p in files))
    command = [
        "openssl",
        "verify",
        "-allow_proxy_certs",
        "-crl_check_all",
        "-CAfile",
        str(trusted),
    ]
    if len(chain) > 1:
        command += ["-untrusted", str(rest)]
    if at is not None:
        command += ["-attime", str(int(at.timestamp()))]
    return subprocess.run([*command, str(leaf)], capture_output=True, check=False).returncode == 0


def refused(
    world: World, chain: Sequence[x509.Certificate], at: datetime | None = None, *, by_both: bool = True
) -> str:
    """The reason why the chain is refused; openssl must agree unless the rule is ours alone."""
    with pytest.raises(TrustError) as caught:
        world.trust.verify(list(chain), at)
    assert str(caught.value).endswith(".")
    assert not (by_both and openssl_accepts(world.folder, chain, at))
    return str(caught.value)


def accepted(world: World, chain: Sequence[x509.Certificate], at: datetime | None = None) -> X509Identity:
    got = world.trust.verify(list(chain), at)
    assert openssl_accepts(world.folder, chain, at)
    return got.identity


def proxied(owner: Chain, key: Key, **options: object) -> tuple[Chain, Key]:
    """A proxy of the first certificate of `owner`, in front of it, and the proxy's key."""
    bundle = create_proxy(owner[0], key, owner[1:], **options)  # type: ignore[arg-type]
    proxy_key = load_pem_private_key(bundle[bundle.index(b"-----BEGIN RSA") :], None)
    assert isinstance(proxy_key, rsa.RSAPrivateKey)
    return certificates_of(bundle), proxy_key


# --- chains that hold ---


@pytest.mark.peer("openssl")
def test_a_certificate_of_the_root_and_one_of_the_ca_below(world: World) -> None:
    assert accepted(world, [world.anna.cert]).subject_slash == ANNA
    assert accepted(world, [world.laura.cert]).issuer_slash.endswith("/CN=Hanse Demo People CA")
    assert accepted(world, [world.laura.cert, *world.below.chain]).subject_slash.endswith("/CN=Laura Gil")


@pytest.mark.peer("openssl")
def test_an_intermediate_that_is_not_in_the_folder_may_be_sent_along(world: World) -> None:
    world.below.bundle.unlink()
    (world.folder / world.below.bundle.name).unlink()
    (world.folder / world.below.bundle.name).with_suffix(".0").unlink()
    accepted(world, [world.laura.cert, *world.below.chain])
    accepted(world, [world.laura.cert, world.anna.cert, *world.below.chain])
    assert "a CA that is not trusted here" in refused(world, [world.laura.cert])


@pytest.mark.peer("openssl")
def test_a_proxy_and_a_proxy_of_a_proxy_are_their_owner(world: World) -> None:
    chain, key = proxied([world.laura.cert, *world.below.chain], world.laura.key)
    longer, _ = proxied(chain, key)
    owner = X509Identity.from_certificate(world.laura.cert)
    assert accepted(world, chain) == accepted(world, longer) == owner
    got = world.trust.verify(longer)
    assert got.proxies == tuple(longer[:2])
    assert got.end_entity == world.laura.cert
    assert got.issuers == (world.below.cert, world.root.cert)
    assert not got.limited
    assert end_entity(longer) == world.laura.cert


@pytest.mark.peer("openssl")
def test_a_limited_proxy_is_told_apart_and_stays_limited(world: World) -> None:
    chain, key = proxied([world.anna.cert], world.anna.key, limited=True)
    assert accepted(world, chain).subject_slash == ANNA
    assert world.trust.verify(chain).limited
    further, _ = proxied(chain, key)
    assert proxy_info(further[0]).limited
    full_of_limited, _ = forge(chain, key)
    assert not proxy_info(full_of_limited[0]).limited
    assert world.trust.verify(full_of_limited).limited


@pytest.mark.peer("openssl")
def test_the_earliest_end_counts_and_our_proxies_never_outlive_their_owner(world: World) -> None:
    soon = world.root.issue(ANNA, days=0.5, file_name="soon")
    chain, _ = proxied([soon.cert], soon.key, lifetime_s=10 * 86400)
    assert chain[0].not_valid_after_utc == soon.cert.not_valid_after_utc
    outliving, _ = forge([soon.cert], soon.key, days=20)
    assert world.trust.verify(outliving).not_after == soon.cert.not_valid_after_utc
    refused(world, outliving, soon.cert.not_valid_after_utc + timedelta(minutes=1))


@pytest.mark.peer("openssl")
def test_an_elliptic_curve_certificate_holds(world: World) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    cert = certificate(world.root, ANNA, key.public_key())
    accepted(world, [cert])
    chain, _ = proxied([cert], key)
    accepted(world, chain)


# --- time ---


@pytest.mark.peer("openssl")
def test_expired_and_not_yet_valid(world: World) -> None:
    old = world.root.issue(ANNA, days=-1, file_name="old")
    young = world.root.issue(ANNA, not_before=NOW + timedelta(days=1), file_name="young")
    assert "expired at" in refused(world, [old.cert])
    assert "not valid before" in refused(world, [young.cert])
    assert "expired at" in refused(world, forge([old.cert], old.key)[0])
    accepted(world, [young.cert], NOW + timedelta(days=2))
    assert "expired at" in refused(
        world, [world.anna.cert], world.anna.cert.not_valid_after_utc + timedelta(1)
    )


@pytest.mark.peer("openssl")
def test_an_expired_proxy_of_a_valid_certificate(world: World) -> None:
    gone, _ = forge([world.anna.cert], world.anna.key, days=-1)
    early, _ = forge([world.anna.cert], world.anna.key, begin=NOW + timedelta(hours=1))
    assert "expired at" in refused(world, gone)
    assert "not valid before" in refused(world, early)


@pytest.mark.peer("openssl")
def test_an_expired_ca(world: World, tmp_path: Path) -> None:
    ca = CertificateAuthority.create(tmp_path / "short", "Short CA", days=2)
    owner = ca.issue(ANNA, days=100)
    ca.write_crl(24 * 200)
    other = World(ca, ca, owner, owner, owner, gather(tmp_path / "short-trust", ca))
    accepted(other, [owner.cert])
    assert "Short CA expired at" in refused(other, [owner.cert], NOW + timedelta(days=10))


# --- revocation: fails closed ---


@pytest.mark.peer("openssl")
def test_a_revoked_certificate_is_refused_also_behind_proxies(world: World) -> None:
    chain, key = proxied([world.anna.cert], world.anna.key)
    longer, _ = proxied(chain, key)
    trust = world.trust
    trust.verify(longer)
    world.root.revoke(world.anna.cert)
    shutil.copy(world.root.crl_path, world.folder)
    for each in ([world.anna.cert], chain, longer):
        assert "Anna Lindqvist was revoked at" in refused(world, each)
        with pytest.raises(TrustError, match="was revoked at"):
            trust.verify(each)  # the store that was open already has seen the new list
    accepted(world, [world.tomas.cert])


@pytest.mark.peer("openssl")
def test_a_revoked_intermediate_is_refused_also_behind_a_proxy(world: World) -> None:
    chain, _ = proxied([world.laura.cert, *world.below.chain], world.laura.key)
    accepted(world, chain)
    world.root.revoke(world.below.cert)
    shutil.copy(world.root.crl_path, world.folder)
    for each in ([world.laura.cert], chain):
        assert "Hanse Demo People CA was revoked at" in refused(world, each)


def _remove(world: World, path: Path) -> None:
    (world.folder / path.name).unlink()


def _expire(world: World, path: Path) -> None:
    ca = next(a for a in (world.root, world.below) if a.crl_path.name == path.name)
    shutil.copy(ca.write_crl(-1), world.folder)


def _forge_crl(world: World, path: Path) -> None:
    """A list in the CA's name that somebody else signed."""
    ca = next(a for a in (world.root, world.below) if a.crl_path.name == path.name)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    builder = x509.CertificateRevocationListBuilder().issuer_name(ca.cert.subject)
    builder = builder.last_update(NOW - timedelta(1)).next_update(NOW + timedelta(1))
    (world.folder / path.name).write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


def _alter_crl(world: World, path: Path) -> None:
    crl = x509.load_pem_x509_crl((world.folder / path.name).read_bytes())
    der = bytearray(crl.public_bytes(Encoding.DER))
    der[-1] ^= 1
    (world.folder / path.name).write_bytes(der)


def _spoil(world: World, path: Path) -> None:
    (world.folder / path.name).write_bytes(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")


def _partial(world: World, path: Path) -> None:
    ca = next(a for a in (world.root, world.below) if a.crl_path.name == path.name)
    builder = x509.CertificateRevocationListBuilder().issuer_name(ca.cert.subject)
    builder = builder.last_update(NOW - timedelta(1)).next_update(NOW + timedelta(1))
    builder = builder.add_extension(x509.DeltaCRLIndicator(1), critical=True)
    (world.folder / path.name).write_bytes(builder.sign(ca.key, hashes.SHA256()).public_bytes(Encoding.PEM))


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("whose", ["root", "below"])
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_remove, "no revocation list of"),
        (_expire, "expired at"),
        (_forge_crl, "is not signed by it"),
        (_alter_crl, "is not signed by it"),
        (_spoil, "no revocation list of"),
        (_partial, "not a complete list"),
    ],
)
def test_without_a_good_revocation_list_nobody_is_trusted(
    world: World, whose: str, spoil: Callable[[World, Path], None], sentence: str
) -> None:
    path = {"root": world.root, "below": world.below}[whose].crl_path
    trust = world.trust
    trust.verify([world.laura.cert])
    spoil(world, path)
    chain, _ = proxied([world.laura.cert], world.laura.key)
    # with the first two openssl would not even start, and it looks away from the mark of a partial list
    oracle = spoil not in (_alter_crl, _spoil, _partial)
    for each in ([world.laura.cert], chain):
        assert sentence in refused(world, each, by_both=oracle)
        with pytest.raises(TrustError, match=sentence):
            trust.verify(each)
    assert any(sentence in problem for problem in trust.problems())
    states = {state.ca: state for state in trust.crl_states()}
    name = {"root": "Hanse Demo CA", "below": "Hanse Demo People CA"}[whose]
    assert states[f"/C=EU/O=Hanse Demo/CN={name}"].problem is not None
    if whose == "below":
        accepted(world, [world.anna.cert]) if oracle else world.trust.verify([world.anna.cert])


def test_the_newest_of_several_lists_counts(world: World) -> None:
    world.root.revoke(world.anna.cert, write=False)
    older = (world.folder / world.root.crl_path.name).read_bytes()
    (world.folder / "older.r1").write_bytes(older)
    then = x509.load_pem_x509_crl(older).last_update_utc
    while datetime.now(UTC) < then + timedelta(seconds=1):  # lists are dated to the second
        time.sleep(0.05)
    newer = world.root.write_crl()
    assert x509.load_pem_x509_crl(newer.read_bytes()).last_update_utc > then
    shutil.copy(newer, world.folder)
    with pytest.raises(TrustError, match="was revoked"):
        world.trust.verify([world.anna.cert])


# --- whom nobody here trusts ---


@pytest.mark.peer("openssl")
def test_unknown_and_self_signed(world: World, tmp_path: Path) -> None:
    strange = CertificateAuthority.create(tmp_path / "strange", "Strange CA")
    owner = strange.issue(ANNA)
    assert "issued by /C=EU/O=Hanse Demo/CN=Strange CA, a CA that is not trusted" in refused(
        world, [owner.cert]
    )
    refused(world, [owner.cert, strange.cert])
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert "not trusted" in refused(world, [certificate(None, ANNA, key.public_key(), key)])


@pytest.mark.peer("openssl")
def test_another_ca_of_the_same_name(world: World, tmp_path: Path) -> None:
    twin = CertificateAuthority.create(tmp_path / "twin", "Hanse Demo CA")
    owner = twin.issue(ANNA)
    for chain in ([owner.cert], [owner.cert, twin.cert], proxied([owner.cert, twin.cert], owner.key)[0]):
        assert "is not signed by the trusted /C=EU/O=Hanse Demo/CN=Hanse Demo CA" in refused(world, chain)


def test_a_ca_that_renewed_its_key_under_the_same_name(world: World, tmp_path: Path) -> None:
    twin = CertificateAuthority.create(tmp_path / "twin", "Hanse Demo CA")
    for path, name in ((twin.bundle, "twin.pem"), (twin.crl_path, "twin.r0")):
        shutil.copy(path, world.folder / name)
    owner = twin.issue("/C=EU/O=Hanse Demo/OU=People/CN=Goran Petrov")
    world.trust.verify([owner.cert])
    world.trust.verify([world.anna.cert])
    twin.revoke(owner.cert)
    shutil.copy(twin.crl_path, world.folder / "twin.r0")
    with pytest.raises(TrustError, match="was revoked"):
        world.trust.verify([owner.cert])
    world.trust.verify([world.anna.cert])


@pytest.mark.peer("openssl")
def test_a_user_is_no_ca(world: World) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = certificate(world.anna, "/C=EU/O=Hanse Demo/OU=People/CN=Ingrid Holm", key.public_key())
    assert "not trusted here" in refused(world, [forged, world.anna.cert])


@pytest.mark.peer("openssl")
def test_a_user_in_the_trust_folder_is_no_ca_either(world: World) -> None:
    (world.folder / "anna.pem").write_bytes(world.anna.cert.public_bytes(Encoding.PEM))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = certificate(world.anna, "/C=EU/O=Hanse Demo/OU=People/CN=Ingrid Holm", key.public_key())
    assert "is not a CA" in refused(world, [forged])


@pytest.mark.peer("openssl")
def test_a_ca_below_one_that_allows_none(world: World, tmp_path: Path) -> None:
    deeper = world.below.intermediate(tmp_path / "deeper", "Hanse Demo Deep CA")
    owner = deeper.issue(ANNA)
    gather(world.folder, deeper)
    assert "allows 0 CAs below it, and the chain has 1" in refused(world, [owner.cert, *deeper.chain])


@pytest.mark.peer("openssl")
def test_a_ca_does_not_sign_in(world: World) -> None:
    for ca in (world.root, world.below):
        assert "is the certificate of a CA" in refused(world, [ca.cert], by_both=False)


def test_an_empty_or_endless_chain(world: World) -> None:
    assert "no certificate" in refused_ours(world, [])
    assert "21 certificates" in refused_ours(world, [world.anna.cert] * 21)


def refused_ours(world: World, chain: Chain) -> str:
    with pytest.raises(TrustError) as caught:
        world.trust.verify(chain)
    return str(caught.value)


@pytest.mark.parametrize("size", [1024])
def test_a_short_key_of_an_issuer_is_refused(world: World, size: int) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=size)
    owner = certificate(world.root, ANNA, key.public_key())
    chain, _ = proxied([owner], key)
    assert "only 1024 bits" in refused_ours(world, chain)


@pytest.mark.peer("openssl")
def test_a_weak_digest_is_refused(world: World) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    command = ["openssl", "x509", "-req", "-sha1", "-days", "5", "-set_serial", "77"]
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(world.anna.cert.subject)
        .sign(key, hashes.SHA256())
    )
    command += ["-CA", str(world.root.bundle), "-CAkey", str(world.root.directory / "ca.key.pem")]
    done = subprocess.run(command, input=csr.public_bytes(Encoding.PEM), capture_output=True, check=True)
    assert "sha1 is too weak" in refused_ours(world, [x509.load_pem_x509_certificate(done.stdout)])


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("critical", [True, False])
def test_demands_that_are_not_understood_are_refused(world: World, critical: bool) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    cert = certificate(world.root, ANNA, key.public_key(), extensions=[(odd, critical)])
    if critical:
        assert "extension 1.2.3.4, not understood here" in refused(world, [cert])
    else:
        accepted(world, [cert])


def test_a_version_that_does_not_exist_is_no_certificate(made: World) -> None:
    der = made.anna.cert.public_bytes(Encoding.DER).replace(
        b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03", 1
    )
    with pytest.raises(ValueError, match="3 is not a valid X509 version"):
        certificate_from_der(der)
    pem = b"-----BEGIN CERTIFICATE-----\n" + b64encode(der) + b"\n-----END CERTIFICATE-----\n"
    with pytest.raises(ValueError, match="3 is not a valid X509 version"):
        certificate_from_pem(pem)


@given(st.data())
def test_no_altered_byte_of_a_certificate_is_trusted(made: World, data: st.DataObject) -> None:
    der = bytearray(made.anna.cert.public_bytes(Encoding.DER))
    place = data.draw(st.integers(0, len(der) - 1))
    der[place] ^= data.draw(st.integers(1, 255))
    try:
        altered = certificate_from_der(bytes(der))
    except (ValueError, Warning):
        return
    with pytest.raises(TrustError):
        made.trust.verify([altered])


# --- proxies that break the rules ---


def forge(
    owner: Chain,
    key: Key,
    *,
    language: str = INHERIT_ALL,
    path_length: int | None = None,
    days: float = 0.5,
    begin: datetime | None = None,
    subject: x509.Name | None = None,
    critical: bool = True,
    signed_with: Key | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> tuple[Chain, rsa.RSAPrivateKey]:
    """A proxy of `owner[0]` that keeps to the rules, but for what is asked."""
    proxy_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    extra = x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "4711")])
    start = begin or min(NOW - timedelta(minutes=5), NOW + timedelta(days=days, hours=-1))
    builder = x509.CertificateBuilder().issuer_name(owner[0].subject).serial_number(4711)
    builder = builder.subject_name(subject or x509.Name([*owner[0].subject.rdns, extra]))
    builder = builder.public_key(proxy_key.public_key())
    builder = builder.not_valid_before(start).not_valid_after(max(NOW, start) + timedelta(days=days))
    info = x509.UnrecognizedExtension(PROXY_CERT_INFO, _info(language, path_length))
    builder = builder.add_extension(info, critical=critical)
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    return [builder.sign(signed_with or key, hashes.SHA256()), *owner], proxy_key


def _info(language: str, path_length: int | None) -> bytes:
    policy = b"\x30" + _with_length(core.ObjectIdentifier(language).dump())
    length = b"" if path_length is None else core.Integer(path_length).dump()
    return bytes(b"\x30" + _with_length(length + policy))


def _with_length(content: bytes) -> bytes:
    return bytes([len(content)]) + content


@pytest.mark.peer("openssl")
def test_the_forge_makes_proxies_that_hold(world: World) -> None:
    accepted(world, forge([world.anna.cert], world.anna.key)[0])
    accepted(world, forge([world.anna.cert], world.anna.key, language=LIMITED, path_length=0)[0])


@pytest.mark.peer("openssl")
def test_a_proxy_signed_by_another_users_key(world: World) -> None:
    chain, _ = forge([world.anna.cert], world.anna.key, signed_with=world.tomas.key)
    assert "is not signed by" in refused(world, chain)
    stolen, _ = forge([world.tomas.cert], world.tomas.key)
    assert "was issued by somebody other" in refused(
        world, [stolen[0], world.anna.cert, world.tomas.cert], by_both=False
    )


@pytest.mark.peer("openssl")
def test_a_proxy_named_after_somebody_else(world: World) -> None:
    number = x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "4711")])
    two = x509.RelativeDistinguishedName(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, "4711"), x509.NameAttribute(x509.NameOID.USER_ID, "x")]
    )
    unit = x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "x")])
    anna = list(world.anna.cert.subject.rdns)
    for subject in (
        [*world.tomas.cert.subject.rdns, number],
        anna,
        [*anna, number, number],
        [*anna, two],
        [*anna, unit],
        [number, *anna],
    ):
        chain, _ = forge([world.anna.cert], world.anna.key, subject=x509.Name(subject))
        assert "must be named as its issuer" in refused(world, chain)


@pytest.mark.peer("openssl")
def test_the_path_length_of_a_proxy(world: World) -> None:
    none, key = forge([world.anna.cert], world.anna.key, path_length=0)
    accepted(world, none)
    deeper, second = forge(none, key)
    assert "allows 0 proxies below it, and the chain has 1" in refused(world, deeper)
    one, key = forge([world.anna.cert], world.anna.key, path_length=1)
    two, second = forge(one, key)
    accepted(world, two)
    three, _ = forge(two, second)
    assert "allows 1 proxies below it, and the chain has 2" in refused(world, three)
    negative, _ = forge([world.anna.cert], world.anna.key, path_length=-1)
    assert "negative path length" in refused(world, negative, by_both=False)


@pytest.mark.peer("openssl")
def test_policies_that_hand_on_no_rights(world: World) -> None:
    for language in (INDEPENDENT, "1.2.3.4.5"):
        chain, _ = forge([world.anna.cert], world.anna.key, language=language)
        assert "hands on no rights" in refused(world, chain, by_both=False)


@pytest.mark.peer("openssl")
def test_a_proxy_that_claims_what_proxies_may_not(world: World) -> None:
    ca = x509.BasicConstraints(ca=True, path_length=None)
    alternative = x509.SubjectAlternativeName([x509.RFC822Name("ingrid@hanse.example")])
    for extension, sentence in ((ca, "claims to be a CA"), (alternative, "alternative name")):
        chain, _ = forge([world.anna.cert], world.anna.key, extensions=[(extension, True)])
        assert sentence in refused(world, chain)
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    chain, _ = forge([world.anna.cert], world.anna.key, extensions=[(odd, True)])
    assert "1.2.3.4, not understood" in refused(world, chain)
    soft, _ = forge([world.anna.cert], world.anna.key, critical=False)
    assert "does not mark its proxyCertInfo as critical" in refused(world, soft, by_both=False)


@pytest.mark.peer("openssl")
def test_a_proxy_of_a_ca(world: World) -> None:
    chain, _ = forge([world.root.cert], world.root.key)
    assert "certificate of a CA" in refused(world, chain)


@pytest.mark.peer("openssl")
def test_proxies_alone_are_nobody(world: World) -> None:
    chain, key = proxied([world.anna.cert], world.anna.key)
    longer, _ = proxied(chain, key)
    for part in (chain[:1], longer[:2]):
        assert "proxies only" in refused(world, part)
        with pytest.raises(ValueError, match="proxies only"):
            end_entity(part)
    assert not is_proxy(world.anna.cert)


@pytest.mark.peer("openssl")
def test_draft_and_legacy_proxies_are_refused(world: World) -> None:
    proxy_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    draft = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.3.6.1.4.1.3536.1.222"), _info(INHERIT_ALL, None)
    )
    for name, extensions in (("proxy", []), ("4711", [(draft, True)])):
        legacy = certificate(world.anna, f"{ANNA}/CN={name}", proxy_key.public_key(), extensions=extensions)
        refused(world, [legacy, world.anna.cert])


# --- the folder ---


def test_the_version_changes_with_the_files(world: World) -> None:
    trust = world.trust
    first = trust.version
    assert trust.version == first
    shutil.copy(world.root.write_crl(48), world.folder)
    second = trust.version
    (world.folder / "new.pem").write_bytes(world.root.bundle.read_bytes())
    third = trust.version
    (world.folder / "new.pem").unlink()
    (world.folder / "README").write_text("not looked at")
    assert len({first, second, third}) == 3
    assert trust.version == second


def test_broken_files_are_told_and_do_no_harm(world: World) -> None:
    (world.folder / "broken.pem").write_bytes(
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    (world.folder / "broken.r0").write_bytes(b"\x30\x03junk")
    accepted_without_oracle = world.trust.verify([world.anna.cert])
    assert accepted_without_oracle.identity.subject_slash == ANNA
    problems = world.trust.problems()
    assert [p.split()[0] for p in problems] == ["broken.pem", "broken.r0"]


def test_lists_and_certificates_may_be_der(world: World) -> None:
    crl = x509.load_pem_x509_crl((world.folder / world.root.crl_path.name).read_bytes())
    (world.folder / world.root.crl_path.name).write_bytes(crl.public_bytes(Encoding.DER))
    world.trust.verify([world.anna.cert])


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path, world: World) -> None:
    with pytest.raises(TrustError, match="cannot be read"):
        TrustStore(tmp_path / "nowhere").verify([world.anna.cert])
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrustError, match="not trusted here"):
        TrustStore(tmp_path / "empty").verify([world.anna.cert])


def test_freshness_is_told_for_every_ca(world: World) -> None:
    states = world.trust.crl_states()
    assert sorted(state.ca.rpartition("=")[2] for state in states) == [
        "Hanse Demo CA",
        "Hanse Demo People CA",
    ]
    assert all(s.problem is None and s.next_update and s.next_update > NOW for s in states)
    assert world.trust.problems() == []


def test_an_identity_is_subject_and_issuer(world: World) -> None:
    anna = X509Identity.from_certificate(world.anna.cert)
    assert anna.key.startswith("x509:")
    assert len(anna.key) == len("x509:") + 64
    printable = X509Identity(_printable(anna.subject_der), _printable(anna.issuer_der))
    assert printable.subject_der != anna.subject_der
    assert printable == anna
    assert hash(printable) == hash(anna)
    assert X509Identity(anna.subject_der, anna.subject_der) != anna


def _printable(der: bytes) -> bytes:
    from hanse.identity.nameparts import Attribute, emit

    return names.encode(
        [tuple(Attribute(a.oid, emit(19, (a.text or "").encode())) for a in rdn) for rdn in names.rdns(der)]
    )


def certificate(
    issuer: CertificateAuthority | Issued | None,
    subject: str,
    public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    key: rsa.RSAPrivateKey | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> x509.Certificate:
    """A bare certificate; without an issuer it signs itself with `key`."""
    parts = names.rdns(names.from_slash(subject))
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier(a.oid), a.text or "") for (a,) in parts])
    builder = x509.CertificateBuilder().subject_name(name).public_key(public_key)
    builder = builder.issuer_name(issuer.cert.subject if issuer else name)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(NOW - timedelta(hours=1)).not_valid_after(NOW + timedelta(days=2))
    if issuer:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = builder.add_extension(authority, critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    signing_key = issuer.key if issuer else key
    assert signing_key is not None
    return builder.sign(signing_key, hashes.SHA256())
