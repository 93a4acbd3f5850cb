"""The TLS side of a service: client certificates welcome, proxies of RFC 3820 too, revocation lists obeyed.

`VERIFY_CRL_CHECK_CHAIN` and not `_LEAF`: with the latter OpenSSL looks up only the leaf, and a revoked user
walks in behind a proxy. It also means that a CA without a current list lets nobody in.
"""

from __future__ import annotations

import logging
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from cryptography import x509

from hanse.identity.certificates import certificate_from_der
from hanse.identity.trust import TrustError, TrustStore

_log = logging.getLogger(__name__)
_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME, for which the module ssl has no name
HANDSHAKE_S = 10.0
"""Seconds a client has for the handshake, so that one who says nothing does not keep a thread."""


class TlsSettings(Protocol):
    """The part of a service's settings that TLS needs."""

    @property
    def trust_dir(self) -> Path:
        """Folder of CA certificates and revocation lists."""

    @property
    def tls_cert(self) -> Path:
        """Host certificate, PEM with chain."""

    @property
    def tls_key(self) -> Path:
        """Its key, PEM."""


class _PunctualSocket(ssl.SSLSocket):
    """An SSLSocket whose handshake has a deadline."""

    def do_handshake(self, block: bool = False) -> None:
        before = self.gettimeout()
        self.settimeout(HANDSHAKE_S)
        try:
            super().do_handshake(block)
        finally:
            self.settimeout(before)


class _Contexts:
    """The context last built for each set of files; built anew when a file changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stores: dict[Path, TrustStore] = {}
        self._built: dict[tuple[Path, Path, Path, bool], tuple[str, ssl.SSLContext]] = {}

    def get(self, trust_dir: Path, cert: Path, key: Path, in_words: bool) -> ssl.SSLContext:
        with self._lock:
            store = self._stores.setdefault(trust_dir, TrustStore(trust_dir))
            known = self._built.get((trust_dir, cert, key, in_words))
            try:
                version = f"{store.version} {_stamp(cert)} {_stamp(key)}"
                if known is not None and known[0] == version:
                    return known[1]
                context = _build(store, cert, key, in_words)
            except (TrustError, OSError, ssl.SSLError) as error:
                if known is None:
                    raise TrustError(_why(error, trust_dir, cert, key)) from error
                # a certificate and key that are being replaced do not fit for a moment; the old ones still
                # serve
                _log.error("tls_files_unreadable: %s", _why(error, trust_dir, cert, key))
                return known[1]
            self._built[(trust_dir, cert, key, in_words)] = (version, context)
            return context


_contexts = _Contexts()


def server_context(settings: TlsSettings, *, in_words: bool = False) -> ssl.SSLContext:
    """The context for a service's TLS side; call it for every connection: it is rebuilt only when a file
    changed.

    Client certificates are asked for and not required; when one is shown it must verify, revocation lists
    included. Raises TrustError with a sentence when the files cannot be used at all.

    `in_words` lets certificates in that have expired or were revoked: for a server that has `TrustStore.verify` look at
    every chain and answers with the reason, which clients show; of an alert after their handshake many show nothing.
    """
    return _contexts.get(Path(settings.trust_dir), Path(settings.tls_cert), Path(settings.tls_key), in_words)


def gunicorn_hook(settings: TlsSettings) -> Callable[[Any, Any], ssl.SSLContext]:
    """The function for gunicorn's setting `ssl_context`, which it calls for each connection."""

    def ssl_context(_config: object, _default_factory: object) -> ssl.SSLContext:
        return server_context(settings)

    return ssl_context


def _build(store: TrustStore, cert: Path, key: Path, in_words: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _PunctualSocket
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_ALLOW_PROXY_CERTS
    context.verify_flags |= _NO_CHECK_TIME if in_words else ssl.VERIFY_CRL_CHECK_CHAIN
    # a resumed session is not verified again and forgets the chain behind a proxy
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    anchors = store.anchors()
    if not anchors.certificates:
        raise TrustError(f"The trust folder {store.directory} holds no CA certificate.")
    for problem in store.problems():
        _log.warning("trust_problem: %s", problem)
    with tempfile.NamedTemporaryFile(suffix=".pem") as bundle:  # cadata takes no revocation lists
        bundle.write(anchors.pem())
        bundle.flush()
        context.load_verify_locations(cafile=bundle.name)
    return context


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _why(error: Exception, trust_dir: Path, cert: Path, key: Path) -> str:
    if isinstance(error, TrustError):
        return str(error)
    if isinstance(error, ssl.SSLError):
        return f"The certificate {cert}, the key {key} or the CAs in {trust_dir} are no use: {error.reason}."
    assert isinstance(error, OSError)
    return f"The file {error.filename} is needed for TLS and cannot be read: {error.strerror}."


def peer_chain(sock: object) -> list[x509.Certificate]:
    """The certificates that the client showed and OpenSSL verified, leaf first; empty without one.

    `sock` is the connection's `ssl.SSLSocket` after its handshake (`environ["gunicorn.socket"]`), or the
    `ssl.SSLObject` of an asyncio transport; for any other kind of socket the list is empty.
    """
    if not isinstance(sock, ssl.SSLSocket | ssl.SSLObject) or sock.context.verify_mode is ssl.CERT_NONE:
        return []
    chain = _der_chain(sock, "get_verified_chain")
    if not chain and sock.session_reused:
        # TLS 1.2 can resume from the memory of the same context: verified minutes ago, same CAs and lists
        chain = _der_chain(sock, "get_unverified_chain")
    return [certificate_from_der(der) for der in chain]


def _der_chain(sock: ssl.SSLSocket | ssl.SSLObject, method: str) -> list[bytes]:
    """Public methods from Python 3.13 on; before that, private ones of the object underneath."""
    public = getattr(sock, method, None)
    found = public() if public is not None else getattr(getattr(sock, "_sslobj", None), method, _nothing)()
    return [part if isinstance(part, bytes) else part.public_bytes(_DER) for part in found or ()]


_DER = 2  # _ssl.ENCODING_DER


def _nothing() -> Iterable[bytes]:
    return ()
