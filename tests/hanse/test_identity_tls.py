"""The TLS side, with real handshakes: who gets in, as whom, and when the context is built anew."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography import x509

from demo.ca import CertificateAuthority, Issued
from hanse.identity import tls
from hanse.identity.principals import X509Identity
from hanse.identity.proxies import create_proxy, end_entity
from hanse.identity.tls import gunicorn_hook, peer_chain, server_context
from hanse.identity.trust import TrustError


@dataclass(frozen=True)
class Settings:
    """The part of a service's settings that TLS needs."""

    trust_dir: Path
    tls_cert: Path
    tls_key: Path


@dataclass
class Door:
    """A TLS listener that notes whom it let in: the chain of each connection, or the error of the handshake."""

    port: int
    seen: list[list[x509.Certificate]] = field(default_factory=list)
    reused: list[bool] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextmanager
def door(settings: Settings) -> Iterator[Door]:
    listener = socket.create_server(("127.0.0.1", 0))
    opened = Door(listener.getsockname()[1])

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with server_context(settings).wrap_socket(connection, server_side=True) as tls_socket:
                    opened.seen.append(peer_chain(tls_socket))
                    opened.reused.append(bool(tls_socket.session_reused))
                    tls_socket.sendall(b"welcome")
            except OSError as error:
                opened.errors.append(str(error))

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield opened
    finally:
        listener.close()


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path_factory.mktemp("ca") / "ca", "Hanse Demo CA")


@pytest.fixture(scope="module")
def host(ca: CertificateAuthority) -> Issued:
    return ca.issue("/C=EU/O=Hanse Demo/OU=Services/CN=localhost", host="localhost")


@pytest.fixture(scope="module")
def anna(ca: CertificateAuthority) -> Issued:
    return ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist")


@pytest.fixture
def settings(tmp_path: Path, ca: CertificateAuthority, host: Issued) -> Settings:
    trust = tmp_path / "trust"
    shutil.copytree(ca.trust_dir, trust)
    return Settings(trust, host.cert_path, host.key_path)


def client_context(
    ca: CertificateAuthority, cert: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca.bundle))
    if cert is not None:
        context.load_cert_chain(cert, key)
    return context


def knock(
    opened: Door, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLSession | None:
    """Connect and read the welcome; ssl.SSLError or ConnectionError when turned away."""
    raw = socket.create_connection(("127.0.0.1", opened.port), timeout=10)
    with raw, context.wrap_socket(raw, server_hostname="localhost", session=session) as tls_socket:
        if tls_socket.recv(100) != b"welcome":
            raise ConnectionError("turned away")
        return tls_socket.session


def turned_away(opened: Door, context: ssl.SSLContext) -> str:
    seen, errors = len(opened.seen), len(opened.errors)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        knock(opened, context)
    assert len(opened.seen) == seen
    deadline = time.monotonic() + 5
    while (
        len(opened.errors) == errors and time.monotonic() < deadline
    ):  # the client may know before the server
        time.sleep(0.01)
    return opened.errors[-1]


def proxy_file(folder: Path, owner: Issued, **options: object) -> Path:
    path = folder / "proxy.pem"
    path.write_bytes(create_proxy(owner.cert, owner.key, **options))  # type: ignore[arg-type]
    return path


def test_a_certificate_is_welcome_and_not_demanded(
    ca: CertificateAuthority, settings: Settings, anna: Issued
) -> None:
    with door(settings) as opened:
        knock(opened, client_context(ca))
        knock(opened, client_context(ca, anna.cert_path, anna.key_path))
    assert opened.seen[0] == []
    assert opened.seen[1][0] == anna.cert


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_proxy_comes_in_as_its_owner(
    ca: CertificateAuthority, settings: Settings, anna: Issued, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    context = client_context(ca, proxy_file(tmp_path, anna))
    context.minimum_version = context.maximum_version = version
    with door(settings) as opened:
        knock(opened, context)
    assert opened.seen[0][0].subject.rfc4514_string().startswith("CN=")
    assert end_entity(opened.seen[0]) == anna.cert
    assert X509Identity.from_certificate(end_entity(opened.seen[0])).name == "Anna Lindqvist"


@pytest.mark.peer("openssl")
def test_old_versions_of_tls_are_turned_away(ca: CertificateAuthority, settings: Settings) -> None:
    with door(settings) as opened:
        command = [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{opened.port}",
            "-tls1_1",
            "-cipher",
            "ALL@SECLEVEL=0",
        ]
        done = subprocess.run(command, input=b"", capture_output=True, check=False)
    assert done.returncode != 0
    assert opened.seen == []


def test_a_revoked_certificate_is_turned_away_from_the_next_connection_on(
    ca: CertificateAuthority, host: Issued, tmp_path: Path
) -> None:
    tomas = ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Tomás Vidal")
    with door(Settings(ca.trust_dir, host.cert_path, host.key_path)) as opened:
        direct = client_context(ca, tomas.cert_path, tomas.key_path)
        behind_a_proxy = client_context(ca, proxy_file(tmp_path, tomas))
        knock(opened, direct)
        knock(opened, behind_a_proxy)
        ca.revoke(tomas.cert)
        assert "revoked" in turned_away(opened, direct)
        assert "revoked" in turned_away(opened, behind_a_proxy)
        knock(opened, client_context(ca))


def test_expired_and_foreign_certificates_are_turned_away(
    ca: CertificateAuthority, settings: Settings, tmp_path: Path
) -> None:
    old = ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist", days=-1, file_name="old")
    twin = CertificateAuthority.create(tmp_path / "twin", "Hanse Demo CA")
    foreign = twin.issue("/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist")
    with door(settings) as opened:
        assert "expired" in turned_away(opened, client_context(ca, old.cert_path, old.key_path))
        turned_away(opened, client_context(ca, foreign.cert_path, foreign.key_path))
        turned_away(opened, client_context(ca, proxy_file(tmp_path, foreign)))


@pytest.mark.parametrize("how", ["missing", "expired"])
def test_without_a_current_list_nobody_with_a_certificate_gets_in(
    ca: CertificateAuthority, settings: Settings, anna: Issued, how: str
) -> None:
    with door(settings) as opened:
        context = client_context(ca, anna.cert_path, anna.key_path)
        knock(opened, context)
        for path in settings.trust_dir.glob("*.r0"):
            path.unlink()
        if how == "expired":
            shutil.copy(ca.write_crl(-1), settings.trust_dir)
            ca.write_crl()
        assert "CRL" in turned_away(opened, context)
        knock(opened, client_context(ca))


def test_the_context_is_kept_until_a_file_changes(
    settings: Settings, ca: CertificateAuthority, tmp_path: Path
) -> None:
    first = server_context(settings)
    assert server_context(settings) is first
    assert gunicorn_hook(settings)(object(), object()) is first
    shutil.copy(ca.write_crl(48), settings.trust_dir)
    second = server_context(settings)
    assert second is not first
    renewed = ca.issue("/C=EU/O=Hanse Demo/OU=Services/CN=localhost", host="localhost", file_name="renewed")
    own = replace(settings, tls_cert=tmp_path / "host.pem", tls_key=tmp_path / "host.key")
    shutil.copy(settings.tls_cert, own.tls_cert)
    shutil.copy(settings.tls_key, own.tls_key)
    third = server_context(own)
    shutil.copy(renewed.cert_path, own.tls_cert)  # for a moment certificate and key do not fit
    assert server_context(own) is third
    shutil.copy(renewed.key_path, own.tls_key)
    assert server_context(own) is not third


def test_what_is_missing_at_the_start_is_a_sentence(settings: Settings, tmp_path: Path, anna: Issued) -> None:
    (tmp_path / "empty").mkdir()
    for changed, sentence in (
        (replace(settings, trust_dir=tmp_path / "nowhere"), "trust folder .* cannot be read"),
        (replace(settings, trust_dir=tmp_path / "empty"), "holds no CA certificate"),
        (replace(settings, tls_cert=tmp_path / "none.pem"), "none.pem is needed for TLS"),
        (replace(settings, tls_key=anna.key_path), "are no use"),
    ):
        with pytest.raises(TrustError, match=sentence):
            server_context(changed)


def test_sessions_are_not_resumed_with_tls_1_3(
    ca: CertificateAuthority, settings: Settings, anna: Issued
) -> None:
    context = client_context(ca, anna.cert_path, anna.key_path)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with door(settings) as opened:
        session = knock(opened, context)
        knock(opened, context, session)
    assert opened.reused == [False, False]
    assert all(chain[0] == anna.cert for chain in opened.seen)


def test_a_resumed_session_of_tls_1_2_has_the_same_chain_and_ends_with_a_new_list(
    ca: CertificateAuthority, settings: Settings, anna: Issued, tmp_path: Path
) -> None:
    context = client_context(ca, proxy_file(tmp_path, anna))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with door(settings) as opened:
        session = knock(opened, context)
        knock(opened, context, session)
        shutil.copy(ca.write_crl(48), settings.trust_dir)
        knock(opened, context, session)
    assert opened.reused[0] is False
    assert opened.reused[2] is False
    assert [end_entity(chain) for chain in opened.seen] == [anna.cert] * 3


def test_a_client_that_never_shakes_hands_is_dropped(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_S", 0.3)
    with door(settings) as opened, socket.create_connection(("127.0.0.1", opened.port), timeout=5) as silent:
        begun = time.monotonic()
        assert silent.recv(10) == b""
        assert time.monotonic() - begun < 3
        assert opened.seen == []


def test_other_sockets_have_no_chain() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert peer_chain(one) == []
    assert peer_chain(None) == []
