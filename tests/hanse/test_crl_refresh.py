"""Revocation lists are fetched, checked and put in place; what is wrong with one never harms the one that is there."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from demo.ca import CertificateAuthority
from hanse.cli import main
from hanse.identity import crl_refresh
from hanse.identity.crl_refresh import addresses_of, refresh
from hanse.identity.trust import TrustStore


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Path]:
    """A folder that a web server shows; its address stands in `.url`."""
    folder = tmp_path / "web"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        (folder / ".url").write_text(f"http://127.0.0.1:{server.server_address[1]}")
        yield folder
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path_factory.mktemp("ca"), "A CA that is refreshed")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path_factory.mktemp("other"), "Another CA")


@pytest.fixture
def folder(tmp_path: Path, web: Path, authority: CertificateAuthority) -> Path:
    """A trust folder with the CA and the address of its list, which is not there yet."""
    trust = tmp_path / "trust"
    trust.mkdir()
    (trust / "a-ca.pem").write_bytes(authority.cert.public_bytes(Encoding.PEM))
    (trust / "a-ca.crl_url").write_text((web / ".url").read_text() + "/a.crl\n")
    return trust


def publish(web: Path, authority: CertificateAuthority, hours: float = 100, der: bool = False) -> bytes:
    content = authority.write_crl(hours).read_bytes()
    if der:
        content = x509.load_pem_x509_crl(content).public_bytes(Encoding.DER)
    (web / "a.crl").write_bytes(content)
    return content


@pytest.mark.parametrize("der", [False, True])
def test_a_new_list_is_put_in_place_and_counts_at_once(
    folder: Path, web: Path, authority: CertificateAuthority, der: bool
) -> None:
    store = TrustStore(folder)
    assert store.crl_states()[0].problem is not None
    publish(web, authority, der=der)
    (told,) = refresh(folder)
    assert (told.fetched, told.problem, told.note) == (True, "", "")
    assert store.crl_states()[0].problem is None
    (path,) = folder.glob("*.r0")
    assert path.stat().st_mode & 0o777 == 0o644
    (again,) = refresh(folder)
    assert (again.fetched, again.problem) == (False, "")


def _html(web: Path, authority: CertificateAuthority, other: CertificateAuthority) -> None:
    (web / "a.crl").write_bytes(b"<html>Sign in</html>")


def _of_another(web: Path, authority: CertificateAuthority, other: CertificateAuthority) -> None:
    publish(web, other)


def _ended(web: Path, authority: CertificateAuthority, other: CertificateAuthority) -> None:
    publish(web, authority, hours=-1)


def _forged(web: Path, authority: CertificateAuthority, other: CertificateAuthority) -> None:
    content = x509.load_pem_x509_crl(publish(web, authority)).public_bytes(Encoding.DER)
    (web / "a.crl").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def _missing(web: Path, authority: CertificateAuthority, other: CertificateAuthority) -> None:
    (web / "a.crl").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("spoil", "note"),
    [
        (_html, "is not a revocation list"),
        (_of_another, "the list of another CA"),
        (_ended, "has ended already"),
        (_forged, "is not that of the CA"),
        (_missing, "answered 404"),
    ],
)
def test_a_list_that_is_not_fit_leaves_the_present_one(
    folder: Path,
    web: Path,
    authority: CertificateAuthority,
    other: CertificateAuthority,
    spoil: Any,
    note: str,
) -> None:
    publish(web, authority)
    refresh(folder)
    (path,) = folder.glob("*.r0")
    before = path.read_bytes()
    spoil(web, authority, other)
    (told,) = refresh(folder)
    assert (told.fetched, told.problem) == (False, "")
    assert note in told.note
    assert path.read_bytes() == before
    path.unlink()
    (bare,) = refresh(folder)
    assert bare.problem
    assert note in bare.note


def test_an_older_list_does_not_come_back(folder: Path, web: Path, authority: CertificateAuthority) -> None:
    """Somebody on the way who keeps an old list, from before a revocation, gains nothing."""
    old = x509.load_pem_x509_crl(publish(web, authority))
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.cert.subject)
    newer = builder.last_update(
        old.last_update_utc.replace(microsecond=0) + (old.next_update_utc - old.last_update_utc) / 1000
    )  # type: ignore[operator]
    made = newer.next_update(old.next_update_utc).sign(authority.key, old.signature_hash_algorithm)  # type: ignore[arg-type]
    (folder / f"{authority.crl_path.stem}.r0").write_bytes(made.public_bytes(Encoding.PEM))
    (told,) = refresh(folder, now=made.last_update_utc)
    assert "older than the one that is here" in told.note


def test_two_cas_of_one_hash_keep_a_list_each(
    folder: Path, web: Path, authority: CertificateAuthority, other: CertificateAuthority
) -> None:
    publish(web, authority)
    (folder / f"{authority.crl_path.stem}.r0").write_bytes(other.write_crl(5).read_bytes())
    refresh(folder)
    assert sorted(path.suffix for path in folder.glob(f"{authority.crl_path.stem}.r*")) == [".r0", ".r1"]


def test_one_that_cannot_be_read_does_not_stop_the_others(
    folder: Path, web: Path, authority: CertificateAuthority
) -> None:
    publish(web, authority)
    for number, content in enumerate((b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n")):
        (folder / f"0{number}-broken.pem").write_bytes(content)
        (folder / f"0{number}-broken.crl_url").write_text("http://127.0.0.1:1/none.crl\n")
    (told,) = refresh(folder)
    assert (told.fetched, told.problem) == (True, "")
    ran = CliRunner().invoke(main, ["trust", "refresh", "--trust-dir", str(folder)])
    assert "00-broken.pem in the trust folder cannot be read" in ran.output


@pytest.mark.parametrize("fault", [ValueError, PermissionError])
def test_a_list_that_fails_in_a_new_way_leaves_the_other_cas_theirs(
    folder: Path, web: Path, authority: CertificateAuthority, other: CertificateAuthority,
    monkeypatch: pytest.MonkeyPatch, fault: type[Exception],
) -> None:  # fmt: skip
    publish(web, authority)
    (folder / "b-ca.pem").write_bytes(other.cert.public_bytes(Encoding.PEM))
    (folder / "b-ca.crl_url").write_text((web / ".url").read_text() + "/b.crl\n")
    (web / "b.crl").write_bytes(other.write_crl(100).read_bytes())
    whole = crl_refresh._put

    def put(directory: Path, ca: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
        if ca == other.cert:
            raise fault("not today")
        return whole(directory, ca, crl)

    monkeypatch.setattr(crl_refresh, "_put", put)
    told = {one.ca.rpartition("=")[2]: one for one in refresh(folder)}
    assert told["A CA that is refreshed"].fetched
    assert "not today" in told["Another CA"].note


def test_a_ca_that_says_nothing_is_told(folder: Path, authority: CertificateAuthority) -> None:
    (folder / "a-ca.crl_url").unlink()
    (told,) = refresh(folder)
    assert "put its address into a .crl_url file" in told.note
    assert addresses_of(authority.cert) == ()


def test_the_command_tells_people_and_programs(
    folder: Path, web: Path, authority: CertificateAuthority, tmp_path: Path
) -> None:
    runner = CliRunner()
    missing = runner.invoke(main, ["trust", "refresh", "--trust-dir", str(folder)])
    assert missing.exit_code == 1
    assert "BAD" in missing.output
    assert "1 CAs, 1 without a list that holds" in missing.output
    publish(web, authority)
    good = runner.invoke(main, ["trust", "refresh", "--trust-dir", str(folder)])
    assert good.exit_code == 0, good.output
    assert "4 days left" in good.output
    status = runner.invoke(main, ["trust", "status", "--trust-dir", str(folder), "--json"])
    assert status.exit_code == 0
    (row,) = json.loads(status.output)
    assert row["ca"].endswith("A CA that is refreshed")
    nowhere = runner.invoke(main, ["trust", "status", "--trust-dir", str(tmp_path / "none")])
    assert nowhere.exit_code == 1
    assert "cannot be read" in nowhere.output
