"""A site behind gets one delta or one snapshot: what it then holds is the signed snapshot, byte for byte."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from .conftest import VO, Signer, member, stamp

ANNA, TOMAS, MARTA = member("Anna Lindqvist"), member("Tomás Vidal"), member("Marta Kowalska")


def _fetched(federation) -> list[str]:
    """What was fetched beside manifests, in order."""
    words = [call.split("/replication/vos/")[1] for call in federation.calls if "/replication/vos/" in call]
    return [word.split("/")[1] for word in words]


def test_a_site_behind_gets_one_delta_and_holds_the_signed_snapshot(site, federation) -> None:
    first = federation.publish([ANNA, TOMAS], seq=1)
    site.agent().pull()
    second = federation.publish([{**ANNA, "fqans": [f"/{VO}", f"/{VO}/students"]}, MARTA], seq=2)
    federation.delta(first, second)
    assert site.agent().pull().sentences == []
    assert _fetched(federation) == ["snapshots", "deltas"]
    assert [one["member"] for one in site.identities] == ["Anna Lindqvist", "Marta Kowalska"]
    assert site.identities[0]["fqans"] == [f"/{VO}", f"/{VO}/students"]
    kept = json.loads((site.state / "snapshots" / f"{second}.json").read_text())
    assert kept == federation.snapshots[second]
    assert federation.acks[-1]["sha256"] == second


def test_three_days_of_outage_are_caught_up_in_one_step(site, federation) -> None:
    first = federation.publish([ANNA], seq=1)
    site.agent().pull()
    federation.fault = 503
    for seq in range(2, 40):
        federation.publish([ANNA, member(f"Person {seq}")], seq=seq)
    federation.now += timedelta(days=3, seconds=1)
    assert "503" in " ".join(site.agent().pull().sentences)
    assert site.gridmap == []  # the promise has ended: nobody gets in
    federation.fault = None
    before = len(federation.calls)
    last = federation.publish([ANNA, TOMAS], seq=40)
    federation.delta(first, last)
    assert site.agent().pull().sentences == []
    assert len(site.gridmap) == 2
    assert [call.split("/")[-3 if "deltas" in call else -1] for call in federation.calls[before:]] == [
        "manifests",
        "deltas",
        "acks",
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"prev_hash": "0" * 64}, "does not begin at what this site holds"),
        ({"removed": []}, "does not lead to the state that the manifest names"),
        ({"changed": [{"id": ""}]}, "must be a non-empty text"),
        ({"removed": None}, "has no list removed"),
        ({"vo": "chipster"}, "does not begin at what this site holds"),
        ({"federation": "Another"}, "is of federation 'Another'"),
        ({"snapshot": None}, "does not have the form"),
    ],
)
def test_a_delta_that_does_not_lead_there_is_left_for_the_whole_snapshot(
    site, federation, caplog, change, sentence
) -> None:
    first = federation.publish([ANNA, TOMAS], seq=1)
    site.agent().pull()
    second = federation.publish([ANNA, MARTA], seq=2)
    federation.delta(first, second, **change)
    assert site.agent().pull().sentences == []
    assert sentence in caplog.text
    assert _fetched(federation) == ["snapshots", "deltas", "snapshots"]
    assert [one["member"] for one in site.identities] == ["Anna Lindqvist", "Marta Kowalska"]


def test_a_delta_signed_by_a_stranger_is_not_followed(site, federation, caplog) -> None:
    first = federation.publish([ANNA], seq=1)
    site.agent().pull()
    second = federation.publish([TOMAS], seq=2)
    ours, federation.signer = federation.signer, Signer()
    federation.delta(first, second)
    federation.signer = ours
    assert site.agent().pull().sentences == []
    assert "which is not one of" in caplog.text
    assert _fetched(federation)[-1] == "snapshots"


def test_a_fetch_that_broke_goes_on_where_it_broke(site, federation) -> None:
    crowd = [member(f"Person {number}") for number in range(1500)]
    sha256 = federation.publish(crowd, seq=1)
    size = len(json.dumps(federation.snapshots[sha256]))
    assert size > 600_000
    federation.cut = 300_000
    for _ in range(2):
        assert "cannot be reached" in " ".join(site.agent().pull().sentences)
    assert not (site.state / "grid-mapfile").exists()
    federation.cut = None
    assert site.agent().pull().sentences == []
    assert len(site.gridmap) == 1500
    starts = [int(call.split(" from ")[1]) for call in federation.calls if " from " in call]
    assert starts[0] == 0
    assert 0 < starts[1] < starts[2] < size
    assert list((site.state / "snapshots").glob("*.part")) == []


def test_a_site_that_holds_a_vo_goes_on_too_also_after_the_server_was_away(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    assert site.agent().pull().sentences == []
    crowd = [member(f"Person {number}") for number in range(400)]
    sha256 = federation.publish([ANNA, *crowd], seq=2)
    federation.cut = 100_000
    assert "cannot be reached" in " ".join(site.agent().pull().sentences)
    federation.fault = 503
    assert site.agent().pull().sentences != []
    federation.fault = federation.cut = None
    assert site.agent().pull().sentences == []
    assert len(site.gridmap) == 401
    starts = [call.split(" from ")[1] for call in federation.calls if f"{sha256} from " in call]
    assert [start != "0" for start in starts] == [False, True]


def test_a_part_of_a_state_that_is_wanted_no_more_is_forgotten(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    site.agent().pull()
    crowd = [member(f"Person {number}") for number in range(400)]
    federation.publish([ANNA, *crowd], seq=2)
    federation.cut = 100_000
    site.agent().pull()
    assert len(list((site.state / "snapshots").glob("*.part"))) == 1
    federation.cut = None
    federation.publish([ANNA, TOMAS], seq=3)
    assert site.agent().pull().sentences == []
    assert list((site.state / "snapshots").glob("*.part")) == []


def test_a_part_that_does_not_fit_is_fetched_anew(site, federation) -> None:
    sha256 = federation.publish([ANNA], seq=1)
    (site.state / "snapshots").mkdir()
    (site.state / "snapshots" / f"{sha256}.part").write_bytes(b"nonsense of another time")
    assert "is fetched anew" in " ".join(site.agent().pull().sentences)
    assert site.agent().pull().sentences == []
    assert len(site.gridmap) == 1


def test_a_member_removed_and_let_in_again_is_another_entry(site, federation) -> None:
    first = federation.publish([ANNA, TOMAS], seq=1)
    site.agent().pull()
    second = federation.publish([TOMAS], seq=2)
    federation.delta(first, second)
    site.agent().pull()
    assert len(site.gridmap) == 1
    again = {**ANNA, "id": "Anna again"}
    third = federation.publish([again, TOMAS], seq=3)
    federation.delta(second, third)
    assert site.agent().pull().sentences == []
    accounts = {one["member"]: one["account"] for one in site.identities}
    assert accounts == {"Anna again": "training003", "Tomás Vidal": "training002"}


def test_a_name_that_moves_to_another_person_gives_no_rights_to_both(site, federation) -> None:
    first = federation.publish([ANNA, TOMAS], seq=1)
    site.agent().pull()
    moved = {**TOMAS, "certs": ANNA["certs"]}
    second = federation.publish([moved], seq=2)
    federation.delta(first, second)
    assert site.agent().pull().sentences == []
    assert [(one["member"], one["dn"]) for one in site.identities] == [
        ("Tomás Vidal", "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist")
    ]
    assert len(site.gridmap) == 1


def test_an_old_offer_sent_again_changes_nothing(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    site.agent().pull()
    old = dict(federation.manifests)
    federation.now += timedelta(hours=1)
    held = federation.publish([ANNA, TOMAS], seq=2)
    site.agent().pull()
    federation.manifests = old
    assert "goes back to sequence 1" in " ".join(site.agent().pull().sentences)
    assert len(site.gridmap) == 2
    assert federation.acks[-1]["sha256"] == held


def test_a_clock_a_day_behind_is_told_and_keeps_the_last_good_state(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    site.agent().pull()
    ahead = stamp(federation.now + timedelta(days=1))
    federation.publish([TOMAS], seq=2, generated_at=ahead)
    assert "set the clock right" in " ".join(site.agent().pull().sentences)
    assert [one["member"] for one in site.identities] == ["Anna Lindqvist"]
    assert "set the clock right" in federation.acks[-1]["errors"][0]
    assert federation.sent_at[-1] == stamp(federation.now)


def test_a_clock_a_day_ahead_ends_access_a_day_early_and_no_sooner(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    federation.now += timedelta(days=1)
    assert site.agent().pull().sentences == []
    federation.now += timedelta(days=2, seconds=-1)
    site.agent().pull()
    assert len(site.gridmap) == 1
    federation.now += timedelta(seconds=2)
    site.agent().pull()
    assert site.gridmap == []


def test_a_vo_that_the_site_supports_no_longer_ends_and_is_forgotten(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    federation.publish([TOMAS], seq=1, vo="chipster")
    site.agent().pull()
    del federation.manifests["chipster"]
    federation.unwanted = {"chipster"}
    federation.publish([ANNA], seq=1, valid_until=stamp(federation.now + timedelta(days=9)))
    site.agent().pull()
    assert {one["vo"] for one in site.identities} == {VO, "chipster"}
    federation.now += timedelta(days=3, seconds=1)
    assert site.agent().pull().sentences == []
    assert {one["vo"] for one in site.identities} == {VO}
    assert list(json.loads((site.state / "held.json").read_text())["vos"]) == [VO]
