"""`hanse occi` on two servers that are not ours."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner

from hanse.cli import main
from tests.peers.occi import ooi, pyssf


def occi(url: str, *words: str) -> str:
    result = CliRunner().invoke(main, ["occi", "-e", url, *words])
    assert result.exit_code == 0, result.output
    return result.output.strip()


@pytest.mark.peer("ooi")
def test_a_machine_on_ooi() -> None:
    with ooi(build_s=0.2) as url:
        images = json.loads(occi(url, "-r", "os_tpl", "-o", "json"))
        size = json.loads(occi(url, "-r", "resource_tpl", "-o", "json"))[0]["identifier"]
        machine = occi(
            url, "-a", "create", "-r", "compute", "-M", images[0]["identifier"], "-M", size,
            "-t", "occi.core.title=by hand", "-T", "user_data=#cloud-config",
        )  # fmt: skip
        assert occi(url, "-r", "compute") == machine
        ends = time.monotonic() + 20
        while "occi.compute.state = active" not in (said := occi(url, "-a", "describe", "-r", machine)):
            assert time.monotonic() < ends, said
            time.sleep(0.1)
        assert "occi.core.title = by hand" in said
        occi(url, "-a", "trigger", "-r", machine, "-g", "stop")
        assert "is deleted" in occi(url, "-a", "delete", "-r", machine)
        assert "was gone already" in occi(url, "-a", "delete", "-r", machine)


@pytest.mark.peer("pyssf")
def test_a_machine_on_pyssf() -> None:
    with pyssf() as url:
        assert "infrastructure#compute" in occi(url, "--dump-model")
        machine = occi(url, "-a", "create", "-r", "compute", "-t", "occi.core.title=by hand")
        occi(url, "-a", "trigger", "-r", machine, "-g", "start")
        (described,) = json.loads(occi(url, "-a", "describe", "-r", machine, "-o", "json"))
        assert described["attributes"]["occi.compute.state"] == "active"
        assert "is deleted" in occi(url, "-a", "delete", "-r", machine)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-n", "token"), "needs --token-file"),
        (("-n", "oidc"), "needs --token-file"),
        (("-n", "x509"), "needs --user-cred"),
        (("-n", "password"), "needs --username"),
    ],
)
def test_a_login_without_its_secret_is_wrong_use(words: tuple[str, ...], sentence: str) -> None:
    result = CliRunner().invoke(main, ["occi", "-e", "http://127.0.0.1:1/", *words, "-r", "compute"])
    assert result.exit_code == 2
    assert sentence in result.output


def test_a_cloud_that_is_not_there_is_a_sentence() -> None:
    result = CliRunner().invoke(main, ["occi", "-e", "http://127.0.0.1:1/", "-r", "compute", "-k", "2"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "refuses connections" in result.output
