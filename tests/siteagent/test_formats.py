"""What else a site may have written: vomsdir, voms.json; and what its administrator decides."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from siteagent.cli import main

from .conftest import NOW, VO, member, stamp

ANNA, TOMAS = member("Anna Lindqvist"), member("Tomás Vidal")
LSC = ["/DC=org/DC=example/CN=voms.example.org", "/DC=org/DC=example/CN=Example Grid CA"]
AA = [{"host": "voms.example.org", "lsc": LSC}]


def _configure(site, *words: str) -> int:
    return main(["configure", "--state", str(site.state), *words])


def _tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_vomsdir_names_the_authorities_of_the_vos_held(site, federation, tmp_path: Path) -> None:
    folder = tmp_path / "vomsdir"
    (folder / "other.vo").mkdir(parents=True)
    (folder / "other.vo" / "voms.other.lsc").write_text("/CN=other\n/CN=CA\n")
    assert _configure(site, "--vomsdir", str(folder)) == 0
    sha256 = federation.publish([ANNA], seq=1, authorities=AA)
    assert site.agent().pull().sentences == []
    assert _tree(folder) == {
        "other.vo/voms.other.lsc": "/CN=other\n/CN=CA\n",
        f"{VO}/voms.example.org.lsc": "".join(line + "\n" for line in LSC),
    }
    (folder / VO / "voms.example.org.lsc").write_text("/CN=Mallory\n/CN=Mallory\n")
    (folder / VO / "mallory.lsc").write_bytes(b"/CN=Jos\xe9\n/CN=Mallory\n")
    assert "changed by another hand: 1 entries missing, 2 foreign" in site.agent().pull().sentences[0]
    assert [ack["sha256"] == sha256 for ack in federation.acks] == [True, False, True]
    assert sorted(_tree(folder)) == ["other.vo/voms.other.lsc", f"{VO}/voms.example.org.lsc"]


def test_a_renewed_authority_comes_with_the_next_manifest_and_none_keeps_what_was(
    site, federation, tmp_path
) -> None:
    folder = tmp_path / "vomsdir"
    _configure(site, "--vomsdir", str(folder))
    federation.publish([ANNA], seq=1, authorities=AA)
    site.agent().pull()
    old = dict(federation.manifests)
    federation.now += timedelta(hours=1)
    second = {"host": "voms2.example.org", "lsc": ["/CN=two", "/CN=CA"]}
    federation.publish([ANNA], seq=1, authorities=[*AA, second])
    site.agent().pull()
    assert sorted(_tree(folder)) == [f"{VO}/voms.example.org.lsc", f"{VO}/voms2.example.org.lsc"]
    federation.manifests = old  # sent again by somebody: it is older
    site.agent().pull()
    assert len(_tree(folder)) == 2
    federation.now += timedelta(hours=1)
    federation.publish([ANNA], seq=1)  # the server cannot read its certificate just now
    assert site.agent().pull().sentences == []
    assert len(_tree(folder)) == 2


def test_while_no_manifest_names_the_authorities_the_folder_of_the_vo_is_left_alone(
    site, federation, tmp_path
) -> None:
    folder = tmp_path / "vomsdir"
    (folder / VO).mkdir(parents=True)
    (folder / VO / "voms.own.lsc").write_text("/CN=own\n/CN=CA\n")
    before = _tree(folder)
    _configure(site, "--vomsdir", str(folder))
    sha256 = federation.publish([ANNA], seq=1)
    for _ in range(2):
        assert site.agent().pull().sentences == []
        assert _tree(folder) == before
    assert [ack["sha256"] for ack in federation.acks] == [sha256]
    held = site.state / "held.json"
    state = json.loads(held.read_text())
    del state["vos"][VO]["authorities"]  # as an agent before 0.2 wrote it
    held.write_text(json.dumps(state))
    assert site.agent().pull().sentences == []
    assert _tree(folder) == before
    federation.now += timedelta(hours=1)
    federation.publish([ANNA], seq=1, authorities=AA)
    site.agent().pull()
    assert sorted(_tree(folder)) == [f"{VO}/voms.example.org.lsc"]


def test_no_file_of_the_vomsdir_outlives_the_promise(site, federation, tmp_path: Path) -> None:
    _configure(site, "--vomsdir", str(tmp_path / "vomsdir"), "--keystone", str(tmp_path / "voms.json"))
    federation.publish([ANNA], seq=1, authorities=AA)
    site.agent().pull()
    federation.fault = 503
    federation.now += timedelta(days=3, seconds=1)
    site.agent().pull()
    assert _tree(tmp_path / "vomsdir") == {}
    assert json.loads((tmp_path / "voms.json").read_text()) == {}


@pytest.mark.parametrize(
    "bad",
    [
        {"host": "../../etc/cron.d/x", "lsc": LSC},
        {"host": "voms", "lsc": []},
        {"host": "voms", "lsc": ["CN=x"]},
        {"host": "voms", "lsc": ["/CN=x\n/CN=root"]},
        "voms",
    ],
)
def test_an_authority_that_cannot_stand_in_a_vomsdir_is_refused(site, federation, tmp_path, bad) -> None:
    _configure(site, "--vomsdir", str(tmp_path / "vomsdir"))
    federation.publish([ANNA], seq=1, authorities=[bad])
    assert site.agent().pull().sentences != []
    assert not (tmp_path / "vomsdir").exists()


def test_keystone_learns_the_projects_that_the_administrator_named(site, federation, tmp_path: Path) -> None:
    path = tmp_path / "voms.json"
    projects = [f"{VO}=training", f"/{VO}/students=students", f"/{VO}/Role=manager=admins", "gone.vo=gone"]
    words = [word for project in projects for word in ("--project", project)]
    assert _configure(site, "--keystone", str(path), *words) == 0
    federation.publish([ANNA], seq=1)
    federation.publish([TOMAS], seq=1, vo="chipster")
    assert site.agent().pull().sentences == []
    assert json.loads(path.read_text()) == {
        f"/{VO}/Role=manager": {"tenant": "admins"},
        f"/{VO}/students": {"tenant": "students"},
        "chipster": {"tenant": "chipster"},
        VO: {"tenant": "training"},
    }
    path.write_text("{")
    assert "changed by another hand" in site.agent().pull().sentences[0]
    assert site.agent().pull().sentences == []


def test_a_format_that_is_not_wanted_is_not_written(site, federation) -> None:
    assert _configure(site, "--mapping", "none") == 0
    federation.publish([ANNA], seq=1)
    assert site.agent().pull().sentences == []
    assert not (site.state / "mapping.json").exists()
    assert len(site.gridmap) == 1


def test_a_site_may_let_entries_stand_until_their_own_end(site, federation) -> None:
    assert _configure(site, "--after-promise", "keep") == 0
    sha256 = federation.publish(
        [ANNA, member("Tomás Vidal", not_after=stamp(NOW + timedelta(days=5)))], seq=1
    )
    site.agent().pull()
    federation.now += timedelta(days=4)
    federation.manifests.clear()
    assert site.agent().pull().sentences == []
    assert len(site.gridmap) == 2
    assert federation.acks[-1]["sha256"] == sha256
    federation.now += timedelta(days=2)
    site.agent().pull()
    assert [one["member"] for one in site.identities] == ["Anna Lindqvist"]


def test_how_many_may_go_at_once_is_the_administrators_choice(site, federation) -> None:
    crowd = [member(f"Person {number}") for number in range(8)]
    federation.publish(crowd, seq=1)
    site.agent().pull()
    assert _configure(site, "--removal-floor", "2", "--removal-share", "0.5") == 0
    federation.publish(crowd[5:], seq=2)
    assert "removes 5 of 8 members" in site.agent().pull().sentences[0]
    federation.publish(crowd[4:], seq=3)
    assert site.agent().pull().sentences == []
    assert len(site.gridmap) == 4


def test_an_empty_vo_is_applied_and_acknowledged(site, federation, tmp_path: Path) -> None:
    _configure(site, "--vomsdir", str(tmp_path / "vomsdir"))
    sha256 = federation.publish([], seq=1, authorities=AA)
    assert site.agent().pull().sentences == []
    assert site.gridmap == []
    assert [(ack["sha256"], ack["counts"]["members"]) for ack in federation.acks] == [(sha256, 0)]
    assert len(_tree(tmp_path / "vomsdir")) == 1


@pytest.mark.parametrize("words", [["--project", "x"], ["--account", "training.egi.eu=two words"]])
def test_what_cannot_be_read_is_refused_and_nothing_changes(site, capsys, words: list[str]) -> None:
    before = (site.state / "agent.json").read_bytes()
    assert _configure(site, *words) == 1
    assert "hanse-siteagent:" in capsys.readouterr().err
    assert (site.state / "agent.json").read_bytes() == before
