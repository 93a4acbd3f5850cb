"""Probes of information systems, attribute authorities and revocation lists, and plugins that are not ours."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.findings import Figure, Result, Status
from monitoring.probes import PROBES
from monitoring.probes.plugin import figures
from monitoring.running import run, target_of
from monitoring.wire.certificates import Trust
from tests.hanse.test_occi_login import cloud as keystone
from tests.monitoring.hostile import http, saying, serving
from tests.peers.occi import free_port

XML = "Content-Type: text/xml"


def probed(name: str, url: str, deadline_s: float = 20, **options: str) -> Result:
    return asyncio.run(run(PROBES[name], target_of(url, options), Trust(None), deadline_s=deadline_s))


def against(answer: bytes, name: str, **options: str) -> Result:
    with serving(saying(answer)) as port:
        return probed(name, f"http://127.0.0.1:{port}/", **options)


# --- plugins ---


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A plugin that says and does what its arguments tell."""
    program = tmp_path / "check_it"
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$3" = child ]; then sleep 600 & echo $! > "$(dirname "$0")/child"; wait; fi\n'
        'echo "$2"\n'
        'exit "$1"\n'
    )
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        (0, Status.OK, ""),
        (1, Status.WARNING, "plugin-said"),
        (2, Status.CRITICAL, "plugin-said"),
        (3, Status.UNKNOWN, "plugin-said"),
        (77, Status.UNKNOWN, "plugin-broken"),
    ],
)
def test_a_plugin_says_what_it_found(plugin: Path, code: int, status: Status, reason: str) -> None:
    said = "SSH - {host} on {port} | time=12ms;10;20 'a b'=3%"
    told = probed("plugin", "ssh://127.0.0.1:22", command=f"{plugin} {code} {shlex.quote(said)}")
    assert (told.status, told.reason) == (status, reason)
    assert "SSH - 127.0.0.1 on 22" in told.summary
    assert [(one.label, one.value, one.unit) for one in told.figures] == [
        ("time", 0.012, "s"),
        ("a b", 3, "%"),
    ]


def test_an_address_is_never_a_second_placeholder_or_a_word_of_its_own(plugin: Path) -> None:
    told = probed("plugin", "http://127.0.0.1/{host};id", command=f"{plugin} 0 {{url}}")
    assert told.summary == "http://127.0.0.1/{host};id"


@pytest.mark.parametrize("command", ["", "'", "/nowhere/check", "check_that_is_not_there {host}"])
def test_a_plugin_that_is_not_there_is_our_fault(command: str) -> None:
    told = probed("plugin", "http://127.0.0.1/", command=command)
    assert (told.status, told.reason) == (Status.UNKNOWN, "bad-option")


def test_a_plugin_ends_with_its_check_and_its_children_too(plugin: Path) -> None:
    told = probed("plugin", "http://127.0.0.1/", 3, command=f"{plugin} 0 slow child")
    assert (told.status, told.reason) == (Status.CRITICAL, "timeout")
    child = int((plugin.parent / "child").read_text())
    ends = time.monotonic() + 10
    while _is_running(child):
        assert time.monotonic() < ends
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_a_plugin_that_floods_is_cut(plugin: Path) -> None:
    flood = f"{sys.executable} -c \"print('x' * 3_000_000)\""
    assert len(probed("plugin", "http://127.0.0.1/", command=flood).summary) <= 200


def test_perfdata_in_all_units() -> None:
    assert figures("a=1 b=2ms c=3us d=4KB e=5MB f=U g=6% h=7c bad=8furlongs i=9;1;2;0;10") == (
        Figure("a", 1),
        Figure("b", 0.002, "s"),
        Figure("c", 3 * 1e-6, "s"),
        Figure("d", 4000, "B"),
        Figure("e", 5_000_000, "B"),
        Figure("f", None),
        Figure("g", 6, "%"),
        Figure("h", 7, "c"),
        Figure("i", 9, "", "1", "2"),
    )


@settings(max_examples=100)
@given(st.text(max_size=300))
def test_any_text_is_perfdata_or_nothing(text: str) -> None:
    assert len(figures(text)) <= 50


# --- revocation lists ---


def revocations(hours: float, encoding: Encoding = Encoding.DER) -> bytes:
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A CA")])
    builder = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(now - timedelta(days=30))
    made = builder.next_update(now + timedelta(hours=hours)).sign(
        ec.generate_private_key(ec.SECP256R1()), SHA256()
    )
    return made.public_bytes(encoding)


@pytest.mark.parametrize(
    ("hours", "options", "status"),
    [
        (200, {}, Status.OK),
        (20, {}, Status.WARNING),
        (-1, {}, Status.CRITICAL),
        (20, {"critical_hours": "24"}, Status.CRITICAL),
        (20, {"warning_hours": "12"}, Status.OK),
    ],
)
def test_a_revocation_list_by_its_hours(hours: float, options: dict[str, str], status: Status) -> None:
    for encoding in (Encoding.DER, Encoding.PEM):
        told = against(http("200 OK", revocations(hours, encoding)), "crl", **options)
        assert told.status is status, told
        assert "CN=A CA" in told.summary
        assert told.figures[0].value == pytest.approx(hours, abs=0.1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(http("200 OK", b"<html>"), "crl-invalid"), (http("404 Not Found", b""), "http-status")],
)
def test_what_is_no_revocation_list(answer: bytes, reason: str) -> None:
    told = against(answer, "crl")
    assert (told.status, told.reason) == (Status.CRITICAL, reason)


# --- attribute authorities ---

AC = b"<voms><ac>" + b"QUJD\n" * 40 + b"</ac></voms>"


def refusal(code: bytes, text: bytes = b"not one of us") -> bytes:
    return b"<voms><error><code>%s</code><message>%s</message></error></voms>" % (code, text)


@pytest.mark.parametrize(
    ("answer", "options", "status", "reason"),
    [
        (http("200 OK", AC, XML), {}, Status.OK, ""),
        (http("200 OK", AC, XML), {"fqans": "/vo"}, Status.OK, ""),
        (http("403 Forbidden", refusal(b"NoSuchUser"), XML), {}, Status.OK, ""),
        (
            http("403 Forbidden", refusal(b"NoSuchUser"), XML),
            {"fqans": "/vo"},
            Status.CRITICAL,
            "voms-refused",
        ),
        (http("500 Error", refusal(b"InternalError"), XML), {}, Status.CRITICAL, "voms-refused"),
        (http("200 OK", b"<html>hello</html>"), {}, Status.CRITICAL, "voms-invalid"),
        (http("404 Not Found", b""), {}, Status.CRITICAL, "voms-invalid"),
    ],
)
def test_an_attribute_authority(answer: bytes, options: dict[str, str], status: Status, reason: str) -> None:
    told = against(answer, "voms", **options)
    assert (told.status, told.reason) == (status, reason), told


# --- information systems ---


@pytest.mark.peer("slapd")
def test_an_information_system_that_is_not_there() -> None:
    told = probed("bdii", f"ldap://127.0.0.1:{free_port()}")
    assert (told.status, told.reason) == (Status.CRITICAL, "ldap-failed")
    assert "Can't contact LDAP server" in told.summary


@pytest.mark.parametrize(
    ("ldif", "options", "status", "reason"),
    [
        ("", {}, Status.CRITICAL, "ldap-empty"),
        ("dn: o=glue\n\n", {}, Status.OK, ""),
        ("dn: o=glue\n\n", {"entries": "2"}, Status.CRITICAL, "ldap-empty"),
        ("dn: o=glue\nGLUE2EntityCreationTime: {0}\n\ndn: x\n\n", {}, Status.OK, ""),
        ("dn: o=glue\nGLUE2EntityCreationTime: {30}\n", {}, Status.WARNING, "information-old"),
        ("dn: o=glue\nGLUE2EntityCreationTime: {90}\n", {}, Status.CRITICAL, "information-old"),
        ("dn: o=glue\nGLUE2EntityCreationTime: {30}\n", {"warning_s": "3000"}, Status.OK, ""),
    ],
)
def test_entries_and_their_age(
    ldif: str, options: dict[str, str], status: Status, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monitoring.wire.programs import Ended

    now = datetime.now(UTC)
    for minutes in (0, 30, 90):
        ldif = ldif.replace(f"{{{minutes}}}", f"{now - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}")

    async def ended(words: list[str]) -> Ended:
        assert words[0] == "ldapsearch"
        return Ended(0, ldif, "")

    monkeypatch.setattr("monitoring.probes.bdii.run_program", ended)
    told = probed("bdii", "ldap://127.0.0.1:2170", **options)
    assert (told.status, told.reason) == (status, reason), told


def test_a_base_is_no_way_to_other_options() -> None:
    told = probed("bdii", "ldap://127.0.0.1:2170", base="o=glue\n-w")
    assert (told.status, told.reason) == (Status.UNKNOWN, "bad-option")


# --- Keystone ---


def test_a_login_at_keystone_that_gives_a_token_and_ones_that_do_not() -> None:
    with keystone() as server:
        server.expires = "2031-01-01T00:00:00Z"
        told = probed("keystone", server.named, token="an access token")
        assert told.status is Status.OK, told
        assert "a token for VO:ops" in told.summary
        assert [figure.label for figure in told.figures] == ["login"]
        elsewhere = probed("keystone", server.named, token="x", project="none")
        assert (elsewhere.status, elsewhere.reason) == (Status.CRITICAL, "login-failed")
        assert "no project 'none'" in elsewhere.summary
    ours = probed("keystone", server.named)
    assert (ours.status, ours.reason) == (Status.UNKNOWN, "bad-option")
    away = probed("keystone", f"http://127.0.0.1:{free_port()}/", token="x")
    assert (away.status, away.reason) == (Status.CRITICAL, "login-failed")
    busy = against(http("429 Too Many Requests", b""), "keystone", token="x")
    assert (busy.status, busy.reason) == (Status.UNKNOWN, "rate-limited")
