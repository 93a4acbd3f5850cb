"""The one way out, against servers that mean no good."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.ca import CertificateAuthority
from hanse.http import Client, HttpError, Policy, fetch, public_address

Behaviour = Callable[[socket.socket, bytes], None]


class Server:
    """Reads one request head a connection and leaves the rest to `behave`; counts and keeps what it saw."""

    def __init__(self, behave: Behaviour, context: ssl.SSLContext | None = None) -> None:
        self.behave = behave
        self.requests: list[bytes] = []
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://localhost:{self.port}"

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                while head := _head(connection):
                    self.requests.append(head)
                    self.behave(connection, head)
        except OSError:
            return


def _head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(1)
        if not part:
            return b""
        head += part
    return head


@contextmanager
def serving(behave: Behaviour, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(behave, context)
    try:
        yield server
    finally:
        server.close()


def answering(*answers: bytes) -> Behaviour:
    left = list(answers)

    def behave(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    return behave


def plain(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def drip(start: bytes) -> Behaviour:
    """Sends `start`, then one byte every 50 ms for ever: no read ever times out."""

    def behave(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    return behave


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186A0\r\n",
    ],
    ids=["status line", "headers", "body of known length", "body until close", "chunk"],
)
def test_a_dripping_server_does_not_outlast_the_deadline(start: bytes) -> None:
    with serving(drip(start)) as server:
        begun = time.monotonic()
        with pytest.raises(HttpError, match=r"did not finish its answer within 0\.5 s") as caught:
            fetch("GET", server.url, deadline_s=0.5)
        assert time.monotonic() - begun < 1.5
        assert caught.value.late


def test_endless_interim_answers_do_not_outlast_the_deadline() -> None:
    def behave(connection: socket.socket, _head: bytes) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.01)

    with serving(behave) as server, pytest.raises(HttpError, match="within"):
        fetch("GET", server.url, deadline_s=0.5)


def test_a_server_that_says_nothing_or_never_shakes_hands_is_left_on_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for scheme in ("http", "https"):
            begun = time.monotonic()
            with pytest.raises(HttpError) as caught:
                fetch("GET", f"{scheme}://127.0.0.1:{port}/", deadline_s=0.4)
            assert caught.value.late
            assert time.monotonic() - begun < 1.4


def test_a_server_that_reads_nothing_does_not_hold_a_large_upload() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        begun = time.monotonic()
        with pytest.raises(HttpError):
            fetch(
                "POST", f"http://127.0.0.1:{deaf.getsockname()[1]}/", body=bytes(50_000_000), deadline_s=0.5
            )
        assert time.monotonic() - begun < 2


def test_the_deadline_spans_a_reused_connection() -> None:
    with serving(answering(plain(b"one"))) as server, Client(server.url, deadline_s=0.5) as client:
        assert client.get("/a").body == b"one"
        server.behave = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
        begun = time.monotonic()
        with pytest.raises(HttpError, match="within"):
            client.get("/b")
        assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (plain(b"x" * 1001), "1001 bytes; 1000 is the most"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 5000, "more than 1000 bytes"),
        (plain(gzip.compress(bytes(50_000_000)), "200 OK", "Content-Encoding: gzip"), "bytes"),
        (plain(gzip.compress(bytes(500_000)), "200 OK", "Content-Encoding: gzip"), "more than 1000 bytes"),
        (plain(b"not gzip at all", "200 OK", "Content-Encoding: gzip"), "compression is broken"),
    ],
    ids=["announced", "unannounced", "large bomb", "small bomb", "broken gzip"],
)
def test_an_answer_beyond_the_cap_or_undecodable_is_refused(answer: bytes, sentence: str) -> None:
    with serving(answering(answer)) as server, pytest.raises(HttpError, match=sentence):
        fetch("GET", server.url, max_bytes=1000)


def test_a_head_may_announce_a_body_that_it_does_not_send() -> None:
    with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")) as server:
        answer = fetch("HEAD", server.url, max_bytes=1000, deadline_s=3)
    assert (answer.body, answer.headers["content-length"]) == (b"", "5000")


def test_a_decoded_body_within_the_cap_arrives_whole() -> None:
    body = bytes(range(256)) * 100
    packed = plain(gzip.compress(body), "200 OK", "Content-Encoding: gzip", "X-One: 1")
    with serving(answering(packed)) as server:
        answer = fetch("GET", server.url)
    assert answer.body == body
    assert answer.headers["x-one"] == "1"
    assert answer.ok


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "closed the connection in the middle"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "closed the connection in the middle",
        ),
        (b"", "closed the connection in the middle"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70000, "does not answer in HTTP"),
    ],
    ids=["short body", "short chunk", "nothing", "another protocol", "endless header"],
)
def test_a_broken_answer_is_an_error_and_no_half_body(answer: bytes, sentence: str) -> None:
    def behave(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    with serving(behave) as server, pytest.raises(HttpError, match=sentence):
        fetch("GET", server.url)


def test_the_sentences_for_what_cannot_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(HttpError, match="refuses connections") as refused:
        fetch("GET", f"http://127.0.0.1:{port}/path?token=secret")
    assert "secret" not in str(refused.value)
    with pytest.raises(HttpError, match="cannot be looked up"):
        fetch("GET", "http://no-such-host.invalid/")
    for address in ("ftp://localhost/", "file:///etc/passwd", "http://", "nonsense"):
        with pytest.raises(HttpError, match="not an http or https address"):
            fetch("GET", address)


def test_a_redirect_is_the_answer_unless_it_is_allowed() -> None:
    moved = plain(b"", "302 Found", "Location: /there")
    with serving(answering(moved, plain(b"arrived"))) as server:
        assert fetch("GET", server.url).status == 302
    with serving(answering(moved, plain(b"arrived"))) as server:
        assert fetch("GET", server.url, policy=Policy(redirects=1)).body == b"arrived"
        assert server.requests[1].startswith(b"GET /there ")
    with serving(answering(moved)) as server, pytest.raises(HttpError, match="more than 3 times"):
        fetch("GET", server.url, policy=Policy(redirects=3))
    with serving(answering(moved)) as server:
        assert fetch("POST", server.url, body=b"x", policy=Policy(redirects=3)).status == 302
        assert len(server.requests) == 1


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "Cookie"])
def test_credentials_never_go_to_another_origin(header: str) -> None:
    with serving(answering(plain(b"stolen"))) as thief:
        moved = plain(b"", "307 Temporary Redirect", f"Location: {thief.url}/")
        with serving(answering(moved)) as server:
            with pytest.raises(HttpError, match="credentials do not go to another server"):
                fetch("GET", server.url, headers={header: "s3cr3t"}, policy=Policy(redirects=2))
            assert fetch("GET", server.url, policy=Policy(redirects=2)).body == b"stolen"
        assert all(b"s3cr3t" not in head for head in thief.requests)


def test_cookies_are_neither_kept_nor_sent() -> None:
    with serving(answering(plain(b"", "200 OK", "Set-Cookie: id=1"))) as server, Client(server.url) as client:
        client.get("/")
        client.get("/")
        assert b"ookie" not in server.requests[1]


def test_the_address_policy_is_asked_about_the_address_and_not_the_name() -> None:
    with serving(answering(plain(b"inside"))) as server:
        with pytest.raises(HttpError, match="requests from here may not go"):
            fetch("GET", server.url, policy=Policy(address=public_address))
        assert server.requests == []
        loopback = Policy(address=lambda address: address.is_loopback)
        assert fetch("GET", server.url, policy=loopback).body == b"inside"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("127.0.0.1", False), ("10.1.2.3", False), ("169.254.169.254", False), ("::1", False),
        ("fe80::1", False),
        ("::ffff:10.0.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("2002:0a00:0001::", False),
        ("8.8.8.8", True), ("2606:4700::1111", True),
    ],
)  # fmt: skip
def test_public_addresses(address: str, public: bool) -> None:
    assert public_address(ipaddress.ip_address(address)) is public


def test_idempotent_requests_are_tried_again_and_others_only_when_asked() -> None:
    busy, fine = plain(b"", "503 Service Unavailable"), plain(b"fine")
    fast = Policy(backoff_s=0.01)
    with serving(answering(busy, busy, fine)) as server:
        assert fetch("GET", server.url, retries=2, policy=fast).body == b"fine"
        assert len(server.requests) == 3
    with serving(answering(busy, fine)) as server:
        assert fetch("POST", server.url, retries=2, policy=fast).status == 503
        assert len(server.requests) == 1
        assert fetch("POST", server.url, retries=2, policy=Policy(retry_any=True, backoff_s=0.01)).ok
    with serving(answering(plain(b"", "404 Not Found"))) as server:
        assert fetch("GET", server.url, retries=3, policy=fast).status == 404
        assert len(server.requests) == 1


def test_retries_share_the_one_deadline_and_heed_retry_after() -> None:
    patient = plain(b"", "503 Service Unavailable", "Retry-After: 3600")
    with serving(answering(patient)) as server:
        begun = time.monotonic()
        assert fetch("GET", server.url, retries=5, deadline_s=2).status == 503
        assert time.monotonic() - begun < 1
        assert len(server.requests) == 1


def test_a_body_is_sent_as_given_and_json_as_json() -> None:
    with serving(answering(plain(b'{"a": 1}'))) as server:
        answer = fetch("POST", server.url, json={"name": "Eliška"}, headers={"X-Api-Key": "k"})
        assert answer.json() == {"a": 1}
        head = server.requests[0].lower()
        assert b"content-type: application/json" in head
        assert b"x-api-key: k" in head
    with serving(answering(plain(b"<html>"))) as server, pytest.raises(HttpError, match="not JSON"):
        fetch("GET", server.url).json()


def test_a_client_stays_at_its_origin() -> None:
    with serving(answering(plain(b"ok"))) as server, Client(server.url + "/base", token="t") as client:
        assert client.get("/x").ok
        assert b"GET /base/x " in server.requests[0]
        assert b"Bearer t" in server.requests[0]
        assert "token" not in repr(client)
        with pytest.raises(HttpError, match="stays at home"):
            client.get("http://elsewhere.example/")


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path_factory.mktemp("ca"), "Hanse Demo CA")


def _tls(ca: CertificateAuthority, host: str, *, days: float = 10) -> ssl.SSLContext:
    issued = ca.issue(f"/C=EU/O=Hanse Demo/CN={host}", host=host, days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert_path, issued.key_path)
    return context


def test_https_checks_the_certificate_against_the_given_ca(ca: CertificateAuthority) -> None:
    with serving(answering(plain(b"safe")), _tls(ca, "localhost")) as server:
        assert fetch("GET", server.url, ca=ca.bundle).body == b"safe"
        with pytest.raises(HttpError, match="shows a certificate that is not accepted"):
            fetch("GET", server.url)
    for context, sentence in (
        (_tls(ca, "other.example"), "match"),
        (_tls(ca, "localhost", days=-1), "expired"),
    ):
        with serving(answering(plain(b"")), context) as server, pytest.raises(HttpError, match=sentence):
            fetch("GET", server.url, ca=ca.bundle)


def test_a_server_without_tls_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(1000)

        threading.Thread(target=talk, daemon=True).start()
        with pytest.raises(HttpError, match="does not agree on TLS"):
            fetch("GET", f"https://localhost:{listener.getsockname()[1]}/", deadline_s=5)


def test_a_dripping_https_server_does_not_outlast_the_deadline(ca: CertificateAuthority) -> None:
    with serving(drip(b"HTTP/1.1 200 OK\r\n\r\n"), _tls(ca, "localhost")) as server:
        begun = time.monotonic()
        with pytest.raises(HttpError, match="within"):
            fetch("GET", server.url, ca=ca.bundle, deadline_s=0.6)
        assert time.monotonic() - begun < 1.6


def test_a_client_certificate_is_shown(ca: CertificateAuthority) -> None:
    context = _tls(ca, "localhost")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cafile=str(ca.bundle))
    seen: list[object] = []

    def behave(connection: socket.socket, _head: bytes) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        seen.append((connection.getpeercert() or {}).get("subject"))
        connection.sendall(plain(b"hello"))

    owner = ca.issue("/C=EU/O=Hanse Demo/CN=Anna Lindqvist")
    with serving(behave, context) as server:
        assert fetch("GET", server.url, ca=ca.bundle, cert=(owner.cert_path, owner.key_path)).body == b"hello"
    assert "Anna Lindqvist" in str(seen)


def test_a_missing_ca_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(HttpError, match="cannot be reached"):
        fetch("GET", "https://localhost:1/", ca=tmp_path / "none.pem")
