"""Joining: a one-time code, pinned keys, and refusals that say what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_joining_pins_the_federations_key(site, federation) -> None:
    joined = json.loads((site.state / "agent.json").read_text())
    assert joined["federation"] == "Research Cloud Federation · demo"
    assert [key["key_id"] for key in joined["keys"]] == [federation.signer.key_id]
    assert (site.state / "agent.json").stat().st_mode & 0o077 == 0


def test_a_code_opens_once(site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.join(code="one-time") == 1
    assert "This code was used" in capsys.readouterr().err


def test_a_key_that_does_not_match_its_id_is_not_pinned(federation, url, tmp_path: Path, capsys) -> None:
    from siteagent.cli import main

    federation.signer.key_id = "0" * 16
    (tmp_path / "pem").touch()
    files = [word for name in ("--cert", "--key", "--ca") for word in (name, str(tmp_path / "pem"))]
    place = ["--url", url, "--site", "CESNET", "--code", "one-time", "--state", str(tmp_path / "a")]
    assert main(["join", *place, *files]) == 1
    assert "do not trust this server" in capsys.readouterr().err
    assert not (tmp_path / "a" / "agent.json").exists()


def test_an_account_that_cannot_stand_in_a_gridmap_is_refused(site, capsys) -> None:
    assert site.join("--account", "training.egi.eu=two words") == 1
    assert "is no account name" in capsys.readouterr().err


def test_pull_before_join_says_what_to_do(tmp_path: Path, capsys) -> None:
    from siteagent.cli import main

    assert main(["pull", "--state", str(tmp_path)]) == 1
    assert "run `hanse-siteagent join` first" in capsys.readouterr().err
