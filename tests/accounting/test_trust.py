"""Who is believed: the one certificate that made the signature, for its own sites, and each signed message once."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.ca import CertificateAuthority, Issued
from hanse import cms
from tests.accounting.conftest import House
from tests.accounting.records import DAY, message, record
from tests.accounting.test_signatures import install, openssl_signed, own_ca, whole_message

__all__ = ["own_ca"]  # the fixture


def openssl_cms(text: str, folder: Path, signers: list[Issued], *options: str | Path) -> bytes:
    """A message that openssl signs with each of the certificates."""
    plain = folder / "plain.txt"
    plain.write_text(text)
    command: list[str | Path] = ["openssl", "cms", "-sign", "-in", plain, "-text"]
    for signer in signers:
        command += ["-signer", signer.cert_path, "-inkey", signer.key_path]
    return subprocess.run([*command, *options], capture_output=True, check=True, timeout=60).stdout


def signed(host: Issued, *records: dict[str, Any]) -> bytes:
    return cms.sign(message(*records).encode(), host.cert, host.key)


@pytest.mark.peer("openssl")
def test_a_message_of_two_signers_is_refused_also_when_both_are_known(
    house: House, cast: Any, tmp_path: Path
) -> None:
    both = openssl_cms(message(record("BIFI")), tmp_path, [cast.host("BIFI"), cast.host("CESNET")])
    assert house.load(both, source="ams").state == "refused"
    assert whole_message(house)[0] == "bad_signature"
    assert "2 signers; exactly one is accepted" in whole_message(house)[1]


@pytest.mark.peer("openssl")
def test_a_certificate_that_is_only_enclosed_is_nobodys_identity(
    house: House, ca: CertificateAuthority, cast: Any, tmp_path: Path
) -> None:
    """A thief signs with an own certificate of the same CA and encloses that of BIFI, before or behind it."""
    thief = ca.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=aaa.thief.example", host="aaa.thief.example")
    enclosing = openssl_cms(
        message(record("BIFI")), tmp_path, [thief], "-certfile", cast.host("BIFI").cert_path
    )
    assert house.load(enclosing, source="ams").state == "refused"
    code, reason = whole_message(house)
    assert code == "unknown_signer"
    assert "aaa.thief.example" in reason


@pytest.mark.peer("openssl")
def test_without_the_signers_own_certificate_nobody_signed(house: House, cast: Any, tmp_path: Path) -> None:
    bare = openssl_cms(message(record("BIFI")), tmp_path, [cast.host("BIFI")], "-nocerts")
    assert house.load(bare, source="ams").state == "refused"
    assert "no certificate of its signer" in whole_message(house)[1]


def test_the_signature_of_another_message_does_not_fit(house: House, cast: Any) -> None:
    host = cast.host("BIFI")
    text, other = signed(host, record("BIFI", "a")), signed(host, record("BIFI", "b"))
    boundary = text.split(b'boundary="')[1].split(b'"')[0]
    foreign = other.replace(other.split(b'boundary="')[1].split(b'"')[0], boundary)
    mark = b"Content-Type: application/x-pkcs7-signature"
    swapped = text.split(mark)[0] + mark + foreign.split(mark)[1]
    assert house.load(swapped, source="ams").state == "refused"
    assert "changed after it was signed" in whole_message(house)[1]


def test_without_any_revocation_list_nobody_of_that_ca_is_believed(
    house: House, own_ca: CertificateAuthority
) -> None:
    host = own_ca.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=own.bifi.example", host="own.bifi.example")
    house.register("BIFI", host)
    for file in own_ca.trust_dir.iterdir():
        if b"BEGIN X509 CRL" in file.read_bytes():
            (house.settings.trust_dir / file.name).unlink()
    assert house.load(signed(host, record("BIFI")), source="ams").state == "refused"
    assert "There is no revocation list" in whole_message(house)[1]
    install(own_ca, house)
    assert house.load(signed(host, record("BIFI")), source="ams").state == "loaded"


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_lines_may_end_either_way_on_the_wire(house: House, cast: Any, ends: bytes) -> None:
    body = signed(cast.host("BIFI"), record("BIFI")).replace(b"\n", ends)
    assert house.load(body, source="ams").loaded == 1


def test_a_publisher_of_one_site_may_carry_messages_of_another_and_gains_nothing(
    house: House, cast: Any
) -> None:
    """The signer speaks, not who delivers: a regional server may send for its sites."""
    outcome = house.load(
        signed(cast.host("CESNET"), record("CESNET", "own"), record("BIFI", "theirs")),
        source="ams",
        site="BIFI",
    )
    assert (outcome.loaded, outcome.refused) == (1, 1)
    assert {site for site, *_ in house.vm_months()} == {"CESNET"}
    assert house.message(outcome.message).site == "CESNET"
    assert [(bad.site, bad.code) for bad in house.refused()] == [("CESNET", "not_signers_site")]


def test_two_sites_with_machines_of_the_same_id_do_not_touch_each_other(house: House, cast: Any) -> None:
    house.load(signed(cast.host("BIFI"), record("BIFI", "one", WallDuration=DAY)), source="ams")
    house.load(signed(cast.host("CESNET"), record("CESNET", "one", WallDuration=3600)), source="ams")
    walls = {site: wall for site, _, _, wall, _ in house.vm_months()}
    assert (walls["BIFI"], walls["CESNET"]) == (DAY, 3600)


def test_names_that_look_alike_in_slash_form_are_not_the_same(house: House, ca: CertificateAuthority) -> None:
    """/CN=Robot/OU=BIFI can be one name with a slash in it, or two."""
    robot = ca.issue("/C=EU/O=Hanse Demo/CN=Robot: usage\\/OU=BIFI")
    twin = ca.issue("/C=EU/O=Hanse Demo/CN=Robot: usage/OU=BIFI")
    house.register("BIFI", robot)
    outcome = house.load(signed(robot, record("BIFI")), source="ams")
    shown = house.message(outcome.message).signer
    assert outcome.loaded == 1
    assert house.load(signed(twin, record("BIFI", "b")), source="ams").state == "refused"
    assert whole_message(house)[0] == "unknown_signer"
    assert shown.replace("\\", "") == "/C=EU/O=Hanse Demo/CN=Robot: usage/OU=BIFI"


@pytest.mark.peer("openssl")
def test_a_robot_certificate_without_any_use_for_mail_signs(
    house: House, ca: CertificateAuthority, tmp_path: Path
) -> None:
    """Host certificates are for servers and clients; openssl's own check of purpose would refuse them."""
    robot = ca.issue(
        "/C=EU/O=Hanse Demo/OU=Robots/CN=Robot: accounting.bifi.example", host="acct9.bifi.example"
    )
    house.register("BIFI", robot)
    assert house.load(openssl_signed(message(record("BIFI")), robot, tmp_path), source="ams").loaded == 1


# --- once ---------------------------------------------------------------------------------------------------

Envelope = Callable[[bytes], bytes]
ENVELOPES: dict[str, Envelope] = {
    "the same bytes": lambda body: body,
    "other line ends": lambda body: body.replace(b"\n", b"\r\n"),
    "another first header": lambda body: b"X-Mailer: thief\n" + body,
    "another boundary": lambda body: body.replace(body.split(b'boundary="')[1].split(b'"')[0], b"----thief"),
}


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=list(ENVELOPES))
@pytest.mark.parametrize("source", ["ams", "https", "pull"])
def test_an_old_message_that_somebody_sends_again_does_not_undo_a_correction(
    house: House, cast: Any, envelope: Envelope, source: str
) -> None:
    """Of two reports of one time the later receipt counts; a copy of the first one must not become it."""
    host = cast.host("BIFI")
    wrong = signed(host, record("BIFI", "a", CpuDuration=999 * DAY))
    house.load(wrong, source="ams", empaid="6b/1")
    house.load(signed(host, record("BIFI", "a", CpuDuration=2 * DAY)), source="ams", empaid="6b/2")
    outcome = house.load(envelope(wrong), source=source, empaid="6b/3")
    assert outcome.reason == ""
    assert sum(cpu for *_, cpu in house.vm_months()) == 2 * DAY
    assert "sent_before" in house.remarks()


def test_a_site_may_say_the_same_again_with_a_new_signature(house: House, cast: Any) -> None:
    """Wrong, corrected, and wrong after all: the last word counts. ssmsend signs anew at each run."""
    host = cast.host("BIFI")
    cores = {"CpuCount": 10_000}
    for number, cpu in enumerate((5 * DAY, 2 * DAY, 5 * DAY)):
        body = signed(host, record("BIFI", "a", CpuDuration=cpu, **cores, MachineName=f"m{number}"))
        house.load(body, source="ams", empaid=f"6b/{number}")
    assert sum(cpu for *_, cpu in house.vm_months()) == 5 * DAY
    assert "sent_before" not in house.remarks()


def test_a_refused_message_that_is_replayed_counts_as_what_it_was(
    house: House, ca: CertificateAuthority
) -> None:
    host = ca.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=late.bifi.example", host="late.bifi.example")
    outcome = house.load(signed(host, record("BIFI")), source="ams", site="BIFI")
    assert outcome.state == "refused"
    house.register("BIFI", host)
    again = house.loader.load(outcome.message)
    assert again is not None
    assert (again.loaded, again.remarked) == (1, 0)
