"""The attribute authority on its port: Debian's clients get proxies that verify, and reasons they can show."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hanse.identity import voms
from hanse.identity.proxies import create_proxy
from hanse.identity.trust import TrustStore
from tests.vomsdb.desks import JAVA, VO, Desk, both, equip, fqans_of, refused_with, rest, running, speak
from vomsdb import generic_attributes, suspensions
from vomsdb.models import AttributeClass
from vomsdb.protocols import voms_keys


@pytest.fixture
def desk(house: Any, tmp_path: Path) -> Iterator[Desk]:
    with running(house, tmp_path) as desk:
        yield desk


@pytest.mark.peer("openssl")
@both
def test_the_proxy_of_a_member_verifies_everywhere(desk: Desk, program: str) -> None:
    desk.house.join("Anna Lindqvist")
    done = desk.init(program, "Anna Lindqvist")
    assert done.returncode == 0, done.stdout + done.stderr
    chain = desk.chain()
    found = voms.from_proxy(
        chain[:1], chain[1], vomsdir=desk.vomsdir, trust=TrustStore(desk.house.settings.trust_dir)
    )
    assert [c.fqans for c in found] == [(f"/{VO}/Role=NULL/Capability=NULL",)]
    assert (
        TrustStore(desk.house.settings.trust_dir)
        .verify(chain)
        .identity.subject_slash.endswith("/CN=Anna Lindqvist")
    )
    checked = desk.run(
        [
            "openssl",
            "verify",
            "-allow_proxy_certs",
            "-CApath",
            str(desk.house.settings.trust_dir),
            *["-untrusted", str(desk.proxy)],
            str(desk.proxy),
        ]
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@both
def test_groups_always_roles_on_request_the_role_first(desk: Desk, program: str) -> None:
    equip(desk, desk.house.join("Anna Lindqvist"), f"/{VO}/students", f"/{VO}/Role=operator")
    plain = desk.init(program, "Anna Lindqvist")
    assert plain.returncode == 0, plain.stdout + plain.stderr
    root, students = f"/{VO}/Role=NULL/Capability=NULL", f"/{VO}/students/Role=NULL/Capability=NULL"
    assert fqans_of(desk) == [(root, students)]
    with_role = desk.init(program, "Anna Lindqvist", voms=f"{VO}:/{VO}/Role=operator")
    assert with_role.returncode == 0, with_role.stdout + with_role.stderr
    assert fqans_of(desk) == [(f"/{VO}/Role=operator/Capability=NULL", root, students)]


@both
def test_a_role_not_held_fails_with_the_words_of_the_server(desk: Desk, program: str) -> None:
    desk.house.join("Anna Lindqvist")
    done = desk.init(program, "Anna Lindqvist", voms=f"{VO}:/{VO}/Role=operator")
    assert done.returncode == 1
    assert f"Unable to satisfy /{VO}/Role=operator request" in done.stdout + done.stderr


@both
def test_somebody_who_is_no_member_is_told_so(desk: Desk, program: str) -> None:
    done = desk.init(program, "Tomás Vidal")
    assert done.returncode == 1
    assert "User unknown to this VO" in done.stdout + done.stderr


@both
def test_a_suspended_member_reads_the_reason(desk: Desk, program: str) -> None:
    member = desk.house.join("Anna Lindqvist")
    with desk.house.db.transaction() as session:
        by = desk.house.principal("Marta Kowalska")
        suspensions.suspend(session, member.id, "SECURITY_INCIDENT", "key found on a public host", by)
    done = desk.init(program, "Anna Lindqvist")
    assert done.returncode == 1
    assert "security incident: key found on a public host" in done.stdout + done.stderr


@both
def test_an_end_of_membership_shortens_the_certificate_with_a_warning(desk: Desk, program: str) -> None:
    member = desk.house.join("Anna Lindqvist")
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    with desk.house.db.transaction() as session:
        session.get_one(type(member), member.id).until = end
    done = desk.init(program, "Anna Lindqvist")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validity" in (done.stdout + done.stderr).lower()
    assert voms.extract(desk.chain()[0])[0].not_after == end


@both
def test_a_proxy_is_taken_for_its_owner(desk: Desk, program: str) -> None:
    """With -noregen the client shows a proxy instead of the certificate."""
    desk.house.join("Anna Lindqvist")
    assert desk.init(program, "Anna Lindqvist").returncode == 0
    anna = desk.house.cast["Anna Lindqvist"]
    mine = desk.folder / "mine.pem"
    mine.write_bytes(create_proxy(anna.cert, anna.key, [], 24 * 3600))
    mine.chmod(0o600)
    shown = replace(anna, cert_path=mine, key_path=mine)
    done = desk.init(program, "Anna Lindqvist", "--noregen" if program == JAVA else "-noregen", shown=shown)
    assert done.returncode == 0, done.stdout + done.stderr
    assert fqans_of(desk) == [(f"/{VO}/Role=NULL/Capability=NULL",)]


@pytest.mark.peer("voms-clients-java")
def test_voms_proxy_info_reads_what_was_issued(desk: Desk) -> None:
    desk.house.join("Anna Lindqvist")
    assert desk.init(JAVA, "Anna Lindqvist").returncode == 0
    shown = desk.run(["voms-proxy-info3", "--all", "--file", str(desk.proxy)])
    assert shown.returncode == 0, shown.stderr
    assert f"attribute : /{VO}/Role=NULL/Capability=NULL" in shown.stdout
    assert "CN=Anna Lindqvist" in shown.stdout


@pytest.mark.peer("voms-clients")
@pytest.mark.peer("voms-clients-java")
def test_the_cxx_verifier_accepts_the_site_files(desk: Desk) -> None:
    """voms-proxy-info alone prints bad certificates with exit code 0; -acexists asks the library."""
    desk.house.join("Anna Lindqvist")
    assert desk.init(JAVA, "Anna Lindqvist").returncode == 0
    shown = desk.run(["voms-proxy-info2", "-file", str(desk.proxy), "-all", "-acexists", VO])
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "VO        : training.egi.eu" in shown.stdout
    assert "WARNING" not in shown.stdout + shown.stderr


@pytest.mark.peer("voms-clients")
@pytest.mark.peer("voms-clients-java")
@both
def test_generic_attributes_verify_and_are_read_by_both_clients(desk: Desk, program: str) -> None:
    anna, marta = desk.house.join("Anna Lindqvist"), desk.house.principal("Marta Kowalska")
    with desk.house.db.transaction() as session:
        made = AttributeClass(vo=VO, name="nickname", distinct_values=False)
        generic_attributes.define(session, VO, made, marta)
    with desk.house.db.transaction() as session:
        generic_attributes.set_of_member(session, anna.id, "nickname", "anna-l", marta)
        generic_attributes.set_of_fqan(session, VO, f"/{VO}", "nickname", "everybody", marta)
    done = desk.init(program, "Anna Lindqvist")
    assert done.returncode == 0, done.stdout + done.stderr
    for info in (["voms-proxy-info2", "-all", "-acexists", VO], ["voms-proxy-info3", "--all"]):
        shown = desk.run([*info, "--file" if info[0].endswith("3") else "-file", str(desk.proxy)])
        assert shown.returncode == 0, shown.stdout + shown.stderr
        assert f"nickname = anna-l ({VO})" in shown.stdout, shown.stdout
        assert f"nickname = everybody (/{VO})" in shown.stdout


# --- on the wire --------------------------------------------------------------------------------------------------


def test_the_leading_zero_and_bare_line_feeds_are_understood(desk: Desk) -> None:
    desk.house.join("Anna Lindqvist")
    answer = speak(desk, b"0" + rest(f"/generate-ac?fqans=/{VO}&lifetime=3600"))
    assert answer.startswith(b"HTTP/1.1 200 ")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"\n" in body.partition(b"<ac>")[2].partition(b"</ac>")[0]


def test_the_older_form_is_answered_in_the_older_form(desk: Desk) -> None:
    desk.house.join("Anna Lindqvist")
    ask = f"<?xml version='1.0'?><voms><command>G/{VO}</command><base64>1</base64><lifetime>60</lifetime></voms>"
    answer = speak(desk, b"0" + ask.encode())
    assert answer.startswith(b'<?xml version="1.0" encoding="US-ASCII"?><vomsans><version>3</version><ac>')
    listed = speak(desk, f"<voms><command>N</command><order>/{VO}</order></voms>".encode())
    assert b"<bitstr>" in listed
    assert b"<ac>" not in listed


def test_a_refusal_in_the_older_form_has_a_certificate_to_decode(desk: Desk) -> None:
    answer = speak(desk, f"0<voms><command>G/{VO}</command></voms>".encode(), "Tomás Vidal")
    assert b"<number>1001</number>" in answer
    assert b"<ac>QQ==\n</ac>" in answer


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (f"fqans=/{VO}&lifetime=-5", b"BadRequest"),
        (f"fqans=/{VO}&lifetime=abc", b"BadRequest"),
        (f"fqans=/{VO}/../chipster", b"BadRequest"),
        (f"fqans=/{VO}%252Fstudents", b"BadRequest"),
        (f"fqans=/{VO}%0D%0AX:1", b"BadRequest"),
        (f"fqans=/{VO},/chipster", b"BadRequest"),
        ("fqans=/nowhere.example", b"BadRequest"),
        (f"fqans=/{VO}/Role=x/Capability=root", b"BadRequest"),
        ("fqans=" + ",".join(f"/{VO}/g{n}" for n in range(200)), b"BadRequest"),
        (f"fqans=/{VO}&targets=a%20b", b"BadRequest"),
        ("fqans=%FF", b"BadRequest"),
    ],
)
def test_what_cannot_be_given_is_refused_in_words(desk: Desk, query: str, code: bytes) -> None:
    desk.house.join("Anna Lindqvist")
    answer = speak(desk, rest(f"/generate-ac?{query}"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"<code>" + code + b"</code><message>" in answer


def test_a_long_life_is_capped_and_unknown_parameters_are_ignored(desk: Desk) -> None:
    desk.house.join("Anna Lindqvist")
    answer = speak(desk, rest(f"/generate-ac?fqans=/{VO}&lifetime=9999999&colour=blue"))
    assert b"<warning>The validity of this VOMS AC" in answer
    assert b"43200 seconds" in answer


def test_without_a_certificate_the_answer_says_so(desk: Desk) -> None:
    answer = speak(desk, rest(f"/generate-ac?fqans=/{VO}"), None)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"No client certificate was shown" in answer


def test_names_in_headers_count_for_nothing(desk: Desk) -> None:
    desk.house.join("Anna Lindqvist")
    forged = rest(f"/generate-ac?fqans=/{VO}").replace(
        b"\n\n", b"\nSSL-CLIENT-S-DN: /C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist\n\n"
    )
    assert b"NoSuchUser" in speak(desk, forged, "Tomás Vidal")


def test_a_revoked_certificate_gets_nothing_also_behind_a_proxy(desk: Desk, ca: Any) -> None:
    mallory = ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Mallory")
    proxy = desk.folder / "mallory.pem"
    proxy.write_bytes(create_proxy(mallory.cert, mallory.key, [], 3600))
    assert b"NoSuchUser" in speak(desk, rest(f"/generate-ac?fqans=/{VO}"), files=(proxy,))
    ca.revoke(mallory.cert)
    for listed in ca.trust_dir.glob("*.r0"):
        if not listed.is_symlink():
            (desk.house.settings.trust_dir / listed.name).write_bytes(listed.read_bytes())
    for files in ((proxy,), (mallory.cert_path, mallory.key_path)):
        refused_with(desk, files, "revoked")


def test_the_same_name_from_another_ca_is_somebody_else(desk: Desk, tmp_path: Path) -> None:
    from demo.ca import CertificateAuthority

    desk.house.join("Anna Lindqvist")
    other = CertificateAuthority.create(tmp_path / "other", "/C=EU/O=Other/CN=Other CA")
    for file in other.trust_dir.iterdir():
        if not file.is_symlink():
            (desk.house.settings.trust_dir / file.name).write_bytes(file.read_bytes())
    double = other.issue("/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist")
    refused_with(desk, (double.cert_path, double.key_path), "user unknown to this vo")


def test_a_limited_proxy_gets_nothing(desk: Desk) -> None:
    desk.house.join("Anna Lindqvist")
    anna = desk.house.cast["Anna Lindqvist"]
    proxy = desk.folder / "limited.pem"
    proxy.write_bytes(create_proxy(anna.cert, anna.key, [], 3600, limited=True))
    assert b"A limited proxy gets no" in speak(desk, rest(f"/generate-ac?fqans=/{VO}"), files=(proxy,))


def test_a_proxy_given_away_with_a_group_does_not_get_the_role(desk: Desk) -> None:
    equip(desk, desk.house.join("Anna Lindqvist"), f"/{VO}/Role=operator")
    anna = desk.house.cast["Anna Lindqvist"]
    authority = voms_keys.keys_of(desk.house.settings)[0].authority()
    now = datetime.now(UTC)
    carried = authority.issue(anna.cert, VO, [f"/{VO}"], (now, now + timedelta(hours=1)))
    proxy = desk.folder / "given.pem"
    extension = voms.proxy_extension([carried])
    proxy.write_bytes(create_proxy(anna.cert, anna.key, [], 3600, extensions=[extension]))
    answer = speak(desk, rest(f"/generate-ac?fqans=/{VO}/Role=operator"), files=(proxy,))
    assert b"Unable to satisfy" in answer


def test_two_hundred_silent_clients_leave_the_next_one_unhindered(desk: Desk) -> None:
    desk.house.join("Anna Lindqvist")
    silent = [socket.create_connection(("127.0.0.1", desk.port)) for _ in range(200)]
    try:
        started = time.monotonic()
        answer = speak(desk, b"0" + rest(f"/generate-ac?fqans=/{VO}"))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - started < 2
    finally:
        for connection in silent:
            connection.close()


def test_a_request_without_end_is_cut_off(desk: Desk) -> None:
    answer = speak(desk, b"GET /generate-ac?" + b"x" * 100_000)
    assert b"longer than 65536 bytes" in answer


def test_a_client_that_stops_in_the_middle_is_let_go(desk: Desk) -> None:
    started = time.monotonic()
    with pytest.raises((OSError, AssertionError)):  # a plain end or a reset, after the deadline of 2 s
        assert speak(desk, b"0GET /gen") != b""
    assert time.monotonic() - started < 8


def test_a_key_that_others_can_read_is_not_used(house: Any, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(house.settings.aa_key.read_bytes())
    key.chmod(0o644)
    with pytest.raises(Exception, match="chmod 600"):
        voms_keys.keys_of(house.settings.model_copy(update={"aa_key": key}))
