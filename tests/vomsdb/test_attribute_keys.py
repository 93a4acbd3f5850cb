"""Renewing the attribute authority's key: a second host beside the first, or a change at an agreed moment."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hanse.errors import Unavailable
from hanse.identity import voms
from hanse.identity.trust import TrustStore
from hanse.settings import SettingsError
from tests.vomsdb.conftest import House
from tests.vomsdb.desks import VO, Desk, both, free_port, running
from vomsdb import authorities, clients
from vomsdb.app import gauges
from vomsdb.protocols import voms_keys

SECOND = "127.0.0.1"
OTHER_NAME = "/C=EU/O=Hanse Demo/OU=Services/CN=voms renewed"


def _renewed(ca: Any, host: str = "localhost", **more: Any) -> dict[str, Any]:
    """Settings of a certificate with another name and another key."""
    issued = ca.issue(f"{OTHER_NAME} {host}", host=host, **more)
    return {"aa_next_cert": issued.cert_path, "aa_next_key": issued.key_path}


def _settings(house: House, **more: Any) -> Any:
    """Checked as those of the file are; `model_copy` checks nothing."""
    kept = house.settings.model_dump(exclude_unset=True)
    return type(house.settings)(**{**kept, **more})


def _carried(desk: Desk) -> voms.AttributeCertificate:
    """The attribute certificate of the proxy, verified with the .lsc files of the desk."""
    chain = desk.chain()
    trust = TrustStore(desk.house.settings.trust_dir)
    return voms.from_proxy(chain[:1], chain[1], vomsdir=desk.vomsdir, trust=trust)[0]


@both
def test_a_second_host_serves_beside_the_first(house: Any, tmp_path: Path, ca: Any, program: str) -> None:
    house.join("Anna Lindqvist")
    more = {"aa_next_host": SECOND, "aa_next_port": free_port(), **_renewed(ca, SECOND)}
    with running(house, tmp_path, **more) as desk:
        lines = desk.vomses.read_text().splitlines()
        assert [line.split('"')[3] for line in lines] == ["localhost", SECOND]
        for number, host in enumerate(("localhost", SECOND)):
            desk.vomses.write_text(lines[number] + "\n")
            done = desk.init(program, "Anna Lindqvist")
            assert done.returncode == 0, done.stdout + done.stderr
            carried = _carried(desk)
            assert carried.host == host
            assert ("renewed" in str(carried.chain[0].subject)) == (host == SECOND)


@both
def test_from_the_agreed_moment_the_same_host_signs_with_the_next_key(
    house: Any, tmp_path: Path, ca: Any, program: str
) -> None:
    house.join("Anna Lindqvist")
    moment = datetime.now(UTC) - timedelta(seconds=1)
    with running(house, tmp_path, aa_next_from=moment, **_renewed(ca)) as desk:
        done = desk.init(program, "Anna Lindqvist")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "renewed" in str(_carried(desk).chain[0].subject)


def test_each_seat_has_its_time(house: House, ca: Any) -> None:
    moment = datetime(2031, 5, 1, 8, tzinfo=UTC)
    settings = _settings(house, aa_next_from=moment, **_renewed(ca))
    before, after = moment - timedelta(seconds=1), moment
    assert [one.certificate for one in authorities.serving(settings, before)] == [settings.aa_cert]
    assert [one.certificate for one in authorities.serving(settings, after)] == [settings.aa_next_cert]
    (keys,) = voms_keys.keys_of(settings)
    assert keys.seat().certificate == settings.aa_cert
    assert keys.tls().tls_key == settings.aa_key


def test_a_second_host_of_another_machine_needs_no_key_here(house: House, ca: Any) -> None:
    given = {**_renewed(ca, SECOND), "aa_next_key": None, "aa_next_host": SECOND}
    settings = _settings(house, **given)
    assert [keys.place[0] for keys in voms_keys.keys_of(settings)] == ["localhost"]
    assert [one.host for one in clients.all_files(VO, settings)] == ["localhost", SECOND]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "either aa_next_host or aa_next_from"),
        ({"aa_next_host": "localhost"}, "another name than aa_host"),
        ({"aa_next_host": SECOND, "aa_next_from": datetime(2031, 1, 1, tzinfo=UTC)}, "not both"),
        ({"aa_next_from": datetime(2031, 1, 1)}, "needs its zone"),
        ({"aa_next_from": datetime(2031, 1, 1, tzinfo=UTC), "aa_next_key": None}, "aa_next_key beside it"),
        ({"aa_next_cert": None, "aa_next_host": SECOND}, "aa_next_cert names"),
    ],
)
def test_half_a_renewal_is_not_started(house: House, more: dict[str, Any], words: str) -> None:
    given = {"aa_next_cert": house.settings.aa_cert, "aa_next_key": house.settings.aa_key, **more}
    with pytest.raises(ValueError, match=words):
        _settings(house, **given)


def test_a_certificate_renewed_in_its_place_is_read_without_a_restart(
    house: House, ca: Any, tmp_path: Path
) -> None:
    place = {"aa_cert": tmp_path / "aa.pem", "aa_key": tmp_path / "aa.key"}

    def put(issued: Any) -> None:
        shutil.copy(issued.cert_path, place["aa_cert"])
        place["aa_key"].unlink(missing_ok=True)
        shutil.copy(issued.key_path, place["aa_key"])

    put(house.cast.local())
    (keys,) = voms_keys.keys_of(_settings(house, **place))
    first = keys.authority()
    assert keys.authority() is first
    put(ca.issue("/C=EU/O=Hanse Demo/OU=Services/CN=localhost", host="localhost", file_name="renewed"))
    second = keys.authority()
    assert second.chain[0].serial_number != first.chain[0].serial_number
    with capture_logs() as logged:
        place["aa_cert"].write_text("half a file")
        assert keys.authority() is second
    assert "still signs" in logged[0]["event"]


def test_the_page_warns_before_a_certificate_ends_and_the_metric_counts_down(
    house: House, ca: Any, tmp_path: Path
) -> None:
    soon = ca.issue("/C=EU/O=Hanse Demo/OU=Services/CN=ends soon", host="localhost", days=10)
    house.settings = _settings(
        house, aa_cert=soon.cert_path, aa_key=soon.key_path, aa_next_host=SECOND, **_renewed(ca, SECOND)
    )
    page = house.browser(None).get(f"/authority?vo={VO}").text
    assert "The certificate of localhost ends on" in page
    assert "ending" in page
    assert f"vomsdir/{VO}/{SECOND}.lsc" in page
    listed = house.browser(None).get("/api/v1/authority").json["items"]  # type: ignore[index]
    assert [(one["host"], one["state"]) for one in listed] == [("localhost", "ending"), (SECOND, "in use")]
    left = {
        one.labels["certificate"]: one.value
        for one in gauges(house.settings, house.db)
        if one.name == "hanse_attribute_authority_certificate_seconds"
    }
    assert 9 * 86400 < left["present"] <= 10 * 86400 < left["next"]


def test_a_certificate_that_cannot_be_read_is_told_of(house: House, tmp_path: Path) -> None:
    house.settings = _settings(house, aa_cert=tmp_path / "nowhere.pem")
    assert "A certificate cannot be read." in house.browser(None).get("/authority").text
    with pytest.raises(Unavailable, match="cannot be read"):
        clients.all_files(VO, house.settings)
    with pytest.raises(SettingsError, match="cannot be read"):
        voms_keys.keys_of(house.settings)


def test_the_texts_of_both_hosts_are_handed_out(house: House, ca: Any) -> None:
    house.settings = _settings(house, aa_next_host=SECOND, **_renewed(ca, SECOND))
    browser = house.browser(None)
    assert browser.get(f"/vos/{VO}/vomses").text.count("\n") == 2
    assert "renewed" in browser.get(f"/vos/{VO}/lsc?host={SECOND}").text
    assert "renewed" not in browser.get(f"/vos/{VO}/lsc").text
    assert browser.get(f"/vos/{VO}/lsc?host=elsewhere.example").status_code == 404
    told = browser.get(f"/api/v1/vos/{VO}/client").json
    assert told is not None
    assert [one["host"] for one in told["hosts"]] == ["localhost", SECOND]
