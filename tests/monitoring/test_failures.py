"""Servers at their worst: each failure has its own status, reason and sentence, and never outlives the deadline."""

import asyncio
import gzip
import socket
import time
from pathlib import Path

import pytest

from monitoring.findings import Fault, Result, Status
from monitoring.nagios import plugin_output
from monitoring.probes import PROBES
from monitoring.running import run, target_of
from monitoring.wire import sockets
from monitoring.wire.certificates import Trust
from monitoring.wire.sockets import Resolve, system_resolve
from tests.monitoring.hostile import (
    Talk,
    flood,
    hang_up,
    hang_up_at_once,
    http,
    read_request,
    saying,
    serving,
    silence,
    slowly,
)
from tests.peers.occi import free_port

SAMPLES = Path(__file__).parent.parent / "hanse" / "samples" / "occi"
TRUST = Trust(None)
MODEL = (SAMPLES / "query-plain-ooi.http").read_bytes().partition(b"\r\n\r\n")[2]
PLAIN = "Content-Type: text/plain"


def probe(
    name: str, url: str, deadline_s: float = 5, resolve: Resolve = system_resolve, **options: str
) -> Result:
    return asyncio.run(
        run(PROBES[name], target_of(url, options), TRUST, deadline_s=deadline_s, resolve=resolve)
    )


def against(
    talk: Talk | bytes, name: str = "occi-categories", deadline_s: float = 5, **options: str
) -> Result:
    with serving(saying(talk) if isinstance(talk, bytes) else talk) as port:
        return probe(name, f"http://127.0.0.1:{port}/", deadline_s, **options)


# --- it works at all ---


@pytest.mark.parametrize("server", ["ooi", "pyssf", "rocci"])
def test_a_recorded_server_is_in_order(server: str) -> None:
    answer = (SAMPLES / f"query-plain-{server}.http").read_bytes()
    kinds = "compute" if server == "rocci" else "compute,network,storage"
    result = against(answer, kinds=kinds)
    assert result.status == Status.OK, result.summary
    assert [phase.name for phase in result.phases] == [
        "lookup",
        "connect",
        "request",
        "first byte",
        "body",
        "parse",
    ]
    assert result.took_s >= sum(phase.took_s for phase in result.phases)
    assert {figure.label for figure in result.figures} == {"time", "kinds", "mixins", "size"}
    assert result.answer is not None
    assert result.answer.request.startswith("GET /-/ HTTP/1.1")


def test_the_second_query_address_is_tried_where_the_first_is_not_there() -> None:
    asked: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await read_request(reader)).split(b"\r\n")[0].decode()
        asked.append(line.split(" ")[1])
        writer.write(http("404 Not Found") if asked[-1] == "/-/" else http("200 OK", MODEL, PLAIN))
        await writer.drain()

    assert against(talk).status == Status.OK
    assert asked == ["/-/", "/.well-known/org/ogf/occi/-/"]


# --- 1, 2: time ---


def test_a_server_that_never_answers_ends_at_the_deadline() -> None:
    started = time.monotonic()
    result = against(silence, deadline_s=0.5)
    assert time.monotonic() - started < 3
    assert (result.status, result.reason) == (Status.CRITICAL, "http-timeout")
    assert result.summary == "Timeout: no answer within 0.5 s"


@pytest.mark.parametrize(
    "answer", [http("200 OK", MODEL, PLAIN), b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50]
)
def test_one_byte_at_a_time_ends_at_the_deadline(answer: bytes) -> None:
    started = time.monotonic()
    result = against(slowly(answer, 0.05), deadline_s=0.6)
    assert time.monotonic() - started < 3
    assert result.reason == "http-timeout"


def test_a_tls_port_that_never_shakes_hands_is_told_apart() -> None:
    with serving(silence) as port:
        result = probe("certificate", f"https://127.0.0.1:{port}/", deadline_s=0.5)
    assert (result.status, result.reason) == (Status.CRITICAL, "tls-timeout")


# --- 3, 4: size ---


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n",
    ],
)
def test_a_body_without_end_is_cut_off(head: bytes) -> None:
    block = b"10000\r\n" + b"x" * 65_536 + b"\r\n" if b"chunked" in head else b"x" * 65_536
    result = against(flood(head, block), deadline_s=20)
    assert (result.status, result.reason) == (Status.CRITICAL, "http-too-large")


def test_a_gzip_bomb_is_counted_after_unpacking() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < 100_000
    result = against(http("200 OK", bomb, PLAIN, "Content-Encoding: gzip"))
    assert result.reason == "http-too-large"


def test_a_hundred_and_fifty_headers_are_read() -> None:
    lines = [
        line.decode() for line in (SAMPLES / "query-occi-ooi.http").read_bytes().split(b"\r\n")[1:] if line
    ]
    more = [f'Category: image{n}; scheme="http://x.example/os#"; class="mixin"' for n in range(150)]
    headers = [line for line in lines if not line.startswith("Content-Length")]
    result = against(http("200 OK", b"OK", *headers, *more))
    assert result.status == Status.OK, result.summary
    assert next(figure.value for figure in result.figures if figure.label == "mixins") == 160


def test_a_long_header_line_is_read_and_an_endless_one_is_cut_off() -> None:
    assert against(http("200 OK", MODEL, PLAIN, "X-Long: " + "a" * 65_536)).status == Status.OK
    endless = against(flood(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65_536), deadline_s=20)
    assert (endless.status, endless.reason) == (Status.CRITICAL, "http-headers")
    many = against(flood(b"HTTP/1.1 200 OK\r\n", b"X: a\r\n" * 1000), deadline_s=20)
    assert many.reason == "http-headers"


# --- 5: redirects ---


def test_a_redirect_in_a_circle_ends() -> None:
    result = against(http("302 Found", b"", "Location: /-/"))
    assert (result.status, result.reason) == (Status.CRITICAL, "redirect-loop")


def test_ever_new_redirects_end() -> None:
    count = iter(range(100))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(http("302 Found", b"", f"Location: /{next(count)}"))
        await writer.drain()

    assert against(talk).reason == "redirect-loop"
    assert next(count) <= 7


@pytest.mark.parametrize(
    "where",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:22/",
        "http://10.0.0.1/",
        "http://[::1]:80/",
    ],
)
def test_a_redirect_into_a_private_network_is_refused(where: str) -> None:
    result = against(http("302 Found", b"", f"Location: {where}"), name="http")
    assert (result.status, result.reason) == (Status.CRITICAL, "redirect-forbidden")


def test_a_name_that_leads_into_a_private_network_is_refused_too() -> None:
    with serving(saying(http("302 Found", b"", "Location: http://inside.example/"))) as port:
        result = probe(
            "http",
            f"http://outside.example:{port}/",
            resolve=lambda host, port: ["127.0.0.1"] if host == "outside.example" else ["192.168.1.1"],
        )
    assert result.reason == "redirect-forbidden"


def test_a_token_is_not_carried_to_a_redirects_goal() -> None:
    requests: list[bytes] = []
    with serving(saying(http("200 OK", MODEL, PLAIN), requests)) as goal:
        answer = http("302 Found", b"", f"Location: http://127.0.0.1:{goal}/-/")
        result = against(answer, token="a secret")
    assert requests == []
    assert (result.status, result.reason) == (Status.CRITICAL, "http-status")


# --- 7: what is not OCCI ---


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", b"<html><h1>Please sign in</h1></html>", "Content-Type: text/html"),
        http("200 OK", b"<html><h1>Please sign in</h1></html>", PLAIN),
        http("200 OK", b'{"kinds": []}', PLAIN),
        http("200 OK", MODEL[: len(MODEL) // 2 + 7], PLAIN),
        http("200 OK", b'Category: compute; scheme="http://broken', PLAIN),
        http("200 OK", b"Category: \xff\xfe; scheme=x", PLAIN),
        http("200 OK", MODEL + MODEL, PLAIN),
        http("200 OK", b"", PLAIN),
        http("200 OK", b"\r\n", PLAIN),
        b"HTTP/1.1 204 No Content\r\n\r\n",
        http("200 OK", b'Category: start; scheme="http://x#"; class="action"', PLAIN),
    ],
)
def test_what_is_not_occi_is_critical_with_one_reason(answer: bytes) -> None:
    result = against(answer)
    assert (result.status, result.reason) == (Status.CRITICAL, "occi-invalid")
    assert len(result.summary) < 300
    assert "\n" not in result.summary


def test_a_server_without_compute_lacks_it_by_name() -> None:
    body = b"\n".join(line for line in MODEL.split(b"\n") if not line.startswith(b"Category: compute;"))
    result = against(http("200 OK", body, PLAIN))
    assert (result.status, result.reason) == (Status.CRITICAL, "occi-missing")
    assert result.summary == "The OCCI server does not offer compute"


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (hang_up, "http-truncated"),
        (http("200 OK", MODEL, PLAIN, length=len(MODEL) + 10), "http-truncated"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "http-malformed"),
        (b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", "http-malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "http-malformed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "http-malformed"),
        (http("200 OK", b"not gzip", "Content-Encoding: gzip"), "http-malformed"),
        (http("503 Service Unavailable"), "http-status"),
        (http("404 Not Found"), "http-status"),
        (http("403 Forbidden", b"Cannot find project ID in the token"), "auth-forbidden"),
    ],
)
def test_other_ways_to_fail_have_reasons_of_their_own(talk: Talk | bytes, reason: str) -> None:
    result = against(talk)
    assert (result.status, result.reason) == (Status.CRITICAL, reason), result.summary


# --- 8, 20: logins and limits ---


@pytest.mark.parametrize("sample", ["401-keystone-ooi.http", "401-keystone-rocci.http", "401-snf.http"])
def test_a_login_that_we_have_no_token_for_is_our_own_gap(sample: str) -> None:
    result = against((SAMPLES / sample).read_bytes())
    assert (result.status, result.reason) == (Status.UNKNOWN, "auth-required")
    assert "asks for a login at https://" in result.summary


def test_a_401_without_a_challenge_is_a_fault() -> None:
    result = against((SAMPLES / "401-no-challenge.http").read_bytes())
    assert (result.status, result.reason) == (Status.CRITICAL, "auth-challenge")


def test_a_token_is_sent_once_and_never_shown() -> None:
    requests: list[bytes] = []
    answer = (SAMPLES / "401-keystone-ooi.http").read_bytes()
    result = against(saying(answer, requests), token="a secret token")
    assert (result.status, result.reason) == (Status.CRITICAL, "auth-refused")
    assert len(requests) == 1
    assert b"X-Auth-Token: a secret token" in requests[0]
    assert result.answer is not None
    assert "a secret token" not in result.answer.request
    assert "X-Auth-Token: hidden (14 characters)" in result.answer.request


@pytest.mark.parametrize("name", ["http", "occi-categories"])
def test_too_many_requests_is_unknown_not_an_outage(name: str) -> None:
    result = against(http("429 Too Many Requests", b"", "Retry-After: 120"), name=name)
    assert (result.status, result.reason) == (Status.UNKNOWN, "rate-limited")


# --- 9: names and addresses ---


def failing_resolver(number: int) -> Resolve:
    def resolve(host: str, port: int) -> list[str]:
        raise socket.gaierror(number, "said the resolver")

    return resolve


@pytest.mark.parametrize(
    ("number", "reason"), [(socket.EAI_NONAME, "dns-unknown-name"), (socket.EAI_AGAIN, "dns-failure")]
)
def test_names_that_do_not_resolve_are_told_apart(number: int, reason: str) -> None:
    result = probe("tcp", "http://occi.bifi.example:8787/", resolve=failing_resolver(number))
    assert (result.status, result.reason) == (Status.CRITICAL, reason)


def test_a_slow_resolver_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LOOKUP_S", 0.2)
    started = time.monotonic()

    def resolve(host: str, port: int) -> list[str]:
        time.sleep(1)
        return ["127.0.0.1"]

    result = probe("tcp", "http://slow.example:8787/", resolve=resolve)
    assert time.monotonic() - started < 5
    assert (result.status, result.reason) == (Status.CRITICAL, "dns-timeout")


def test_a_dead_ipv6_address_does_not_hide_a_living_ipv4_one() -> None:
    with serving(hang_up_at_once) as port:
        result = probe("tcp", f"http://both.example:{port}/", resolve=lambda host, port: ["::1", "127.0.0.1"])
    assert result.status == Status.OK
    assert result.phases[-1].seen == f"port {port}, IPv4 127.0.0.1"


def test_a_closed_port_is_refused() -> None:
    result = probe("tcp", f"http://127.0.0.1:{free_port()}/")
    assert (result.status, result.reason) == (Status.CRITICAL, "tcp-refused")
    assert result.phases[-1].seen.startswith("not done: ")


# --- 21: foreign text ---


def test_foreign_text_cannot_add_a_line_or_figures_to_a_plugins_output() -> None:
    result = against(http("500 | 'fake'=0\x0b evil"), name="http")
    line = plugin_output("http", result)
    assert line.count("\n") == 0
    assert line.count("|") == 1
    assert line.startswith("HTTP CRITICAL - HTTP 500 ¦ 'fake'=0  evil | time=")


# --- the http probe's own options ---


def test_expected_statuses_and_texts() -> None:
    page = http("200 OK", b"Welcome to the portal")
    assert against(page, name="http", contains="Welcome").status == Status.OK
    assert against(page, name="http", contains="Goodbye").reason == "http-content"
    assert against(http("401 No"), name="http", statuses="200,401").status == Status.OK
    wrong = against(page, name="http", statuses="ok")
    assert (wrong.status, wrong.reason) == (Status.UNKNOWN, "bad-option")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example/",
        "http://",
        "http://x.example:99999/",
        "nonsense",
        "http://a b/",
        "http://[broken/",
        "ldap://[x",
    ],
)
def test_an_address_that_cannot_be_probed_is_said_to_be_one(url: str) -> None:
    with pytest.raises(Fault) as refused:
        target_of(url)
    assert refused.value.reason == "bad-address"


@pytest.mark.parametrize("where", ["http://[broken", "file:///etc/passwd", "http://x.example:99999/"])
def test_a_redirect_to_no_address_is_said_to_be_one(where: str) -> None:
    result = against(http("302 Found", b"", f"Location: {where}"), name="http")
    assert result.status == Status.CRITICAL
    assert result.reason in ("redirect-forbidden", "bad-address", "http-malformed")
