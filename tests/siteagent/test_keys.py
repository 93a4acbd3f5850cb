"""The federation's keys change: sites that joined long ago learn the next one, and forget the one before."""

from __future__ import annotations

import json
from datetime import timedelta

import requests

from siteagent.cli import main

from .conftest import NOW, Signer, member
from .test_serving import _eventually, push  # noqa: F401 - the fixture

ANNA, TOMAS = member("Anna Lindqvist"), member("Tomás Vidal")


def _trusted(site) -> list[str]:
    return [key["key_id"] for key in json.loads((site.state / "agent.json").read_text())["keys"]]


def test_the_next_key_is_learnt_before_it_signs(site, federation) -> None:
    old, new = federation.signer, Signer()
    federation.publish([ANNA], seq=1)
    federation.notice(1, old, new, by=[old])
    assert site.agent().pull().sentences == []
    assert _trusted(site) == [old.key_id, new.key_id]
    federation.signer = new
    federation.notice(2, new, old, by=[new, old])
    federation.publish([ANNA, TOMAS], seq=2)
    assert site.agent().pull().sentences == []
    assert len(site.gridmap) == 2


def test_a_site_that_was_away_during_the_change_learns_it_under_the_old_key(site, federation) -> None:
    old, new = federation.signer, Signer()
    federation.publish([ANNA], seq=1)
    site.agent().pull()
    federation.signer = new
    federation.notice(2, new, old, by=[new, old])
    federation.publish([TOMAS], seq=2)
    assert site.agent().pull().sentences == []
    assert [one["member"] for one in site.identities] == ["Tomás Vidal"]
    assert _trusted(site) == [new.key_id, old.key_id]


def test_a_retired_key_signs_nothing_more_and_what_is_held_stays(site, federation) -> None:
    old, new = federation.signer, Signer()
    held = federation.publish([ANNA], seq=1)
    federation.notice(1, new, old, by=[old])
    site.agent().pull()
    federation.signer = new
    federation.notice(2, new, by=[new])
    federation.manifests = {vo: federation.manifest(held, seq=1) for vo in federation.manifests}
    assert (
        site.agent().pull().sentences == []
    )  # the snapshot held is of the retired key: its hash vouches for it
    assert _trusted(site) == [new.key_id]
    federation.signer = old
    federation.publish([TOMAS], seq=2)
    assert "which is not one of the federation's" in " ".join(site.agent().pull().sentences)
    assert [one["member"] for one in site.identities] == ["Anna Lindqvist"]


def test_a_snapshot_under_a_retired_key_is_not_applied(site, federation) -> None:
    old, new = federation.signer, Signer()
    sha256 = federation.snapshot([ANNA], seq=1)
    federation.notice(1, new, by=[old])
    federation.signer = new
    federation.manifests["training.egi.eu"] = federation.manifest(sha256, seq=1)
    assert "which is not one of the federation's" in " ".join(site.agent().pull().sentences)
    assert not (site.state / "grid-mapfile").exists()


def test_an_older_notice_changes_nothing(site, federation) -> None:
    old, new = federation.signer, Signer()
    federation.notice(2, new, old, by=[old])
    site.agent().pull()
    federation.notice(1, old, by=[old])
    assert site.agent().pull().sentences == []
    assert _trusted(site) == [new.key_id, old.key_id]


def test_a_served_agent_that_learns_a_key_keeps_what_others_wrote_meanwhile(site, federation) -> None:
    served = site.agent()
    served.pull()
    assert main(["configure", "--state", str(site.state), "--removal-floor", "3"]) == 0
    old, new, third = federation.signer, Signer(), Signer()
    federation.notice(5, old, new, third, by=[old])
    site.agent().pull()
    federation.notice(4, old, new, by=[old])  # sent again by somebody
    assert served.pull().sentences == []
    assert _trusted(site) == [old.key_id, new.key_id, third.key_id]
    federation.notice(6, old, third, by=[old])
    assert served.pull().sentences == []
    assert _trusted(site) == [old.key_id, third.key_id]
    assert json.loads((site.state / "agent.json").read_text())["removal_floor"] == 3


def test_a_jump_of_the_number_is_followed(site, federation) -> None:
    old, new = federation.signer, Signer()
    federation.notice(2, old, by=[old])
    site.agent().pull()
    federation.notice(1_795_600_000, old, new, by=[old])
    assert site.agent().pull().sentences == []
    assert _trusted(site) == [old.key_id, new.key_id]


def test_a_strangers_notice_is_refused_and_told(site, federation) -> None:
    ours, stranger = federation.signer, Signer()
    federation.notice(9, stranger, by=[stranger])
    federation.publish([ANNA], seq=1)
    report = site.agent().pull()
    assert "notice of the federation's keys cannot be believed" in " ".join(report.sentences)
    assert _trusted(site) == [ours.key_id]
    assert len(site.gridmap) == 1


def test_a_notice_of_another_federation_or_without_keys_is_refused(site, federation) -> None:
    ours = federation.signer
    federation.notice(1, by=[ours])
    assert "names no key" in " ".join(site.agent().pull().sentences)
    assert _trusted(site) == [ours.key_id]


def test_a_key_ends_at_its_own_end_also_when_no_notice_comes(site, federation) -> None:
    old, new = federation.signer, Signer(not_after=NOW + timedelta(days=1))
    federation.notice(1, old, new, by=[old])
    site.agent().pull()
    federation.now += timedelta(days=1, seconds=1)
    federation.signer = new
    federation.publish([ANNA], seq=1)
    assert "whose validity ended" in " ".join(site.agent().pull().sentences)


def test_a_push_tells_the_new_key_and_what_it_signed(site, federation, push: str) -> None:  # noqa: F811
    _eventually(lambda: federation.calls.count("GET /replication/sites/CESNET/manifests") == 1)
    old, new = federation.signer, Signer()
    federation.signer = new
    federation.notice(1, new, old, by=[new, old])
    sha256 = federation.publish([ANNA], seq=1)
    body = {"manifests": list(federation.manifests.values()), "keys": federation.keys}
    assert requests.post(push, json=body, timeout=5).status_code == 202
    _eventually(lambda: [ack["sha256"] for ack in federation.acks] == [sha256])
    assert requests.post(push, json={"manifests": [], "keys": 3}, timeout=5).status_code == 400
