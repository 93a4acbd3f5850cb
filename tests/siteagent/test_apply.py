"""Following manifests: what is applied, what is refused, and what is proved to the server."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta

import pytest

from .conftest import NOW, VO, Signer, canonical, member, stamp

ANNA, TOMAS = member("Anna Lindqvist"), member("Tomás Vidal")


def test_a_member_stands_in_the_gridmap_and_in_the_mapping(site, federation) -> None:
    sha256 = federation.publish([ANNA, TOMAS], seq=1)
    assert site.agent().pull().sentences == []
    assert site.gridmap == [
        '"/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist" .training',
        '"/C=EU/O=Hanse Demo/OU=People/CN=Tomás Vidal" .training',
    ]
    assert [(one["dn"], one["account"], one["fqans"]) for one in site.identities] == [
        ("/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist", "training001", [f"/{VO}"]),
        ("/C=EU/O=Hanse Demo/OU=People/CN=Tomás Vidal", "training002", [f"/{VO}"]),
    ]
    assert [(ack["vo"], ack["seq"], ack["sha256"], ack["errors"]) for ack in federation.acks] == [
        (VO, 1, sha256, [])
    ]
    assert federation.acks[0]["counts"] == {"members": 2, "added": 2, "removed": 0}


def test_a_removed_member_goes_and_keeps_the_account_from_others(site, federation) -> None:
    federation.publish([ANNA, TOMAS], seq=1)
    site.agent().pull()
    federation.publish([TOMAS, member("Marta Kowalska")], seq=2)
    site.agent().pull()
    accounts = {one["member"]: one["account"] for one in site.identities}
    assert accounts == {"Tomás Vidal": "training002", "Marta Kowalska": "training003"}


def test_two_agents_on_one_folder_give_no_account_to_two_people(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    served = site.agent()
    served.pull()
    for seq, people in ((2, [ANNA, TOMAS]), (3, [ANNA])):
        federation.publish(people, seq=seq)
        site.agent().pull()  # as the timer does beside the service
    federation.publish([ANNA, member("Marta Kowalska")], seq=4)
    served.pull()
    accounts = {one["member"]: one["account"] for one in site.identities}
    assert accounts == {"Anna Lindqvist": "training001", "Marta Kowalska": "training003"}
    federation.publish([TOMAS], seq=5)
    site.agent().pull()
    assert [one["account"] for one in site.identities] == ["training002"]


def test_a_suspended_member_is_not_admitted(site, federation) -> None:
    federation.publish([ANNA, member("Tomás Vidal", state="suspended")], seq=1)
    site.agent().pull()
    assert [one["member"] for one in site.identities] == ["Anna Lindqvist"]


def test_an_unchanged_state_is_neither_fetched_nor_acknowledged_again(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    agent = site.agent()
    agent.pull()
    before = len(federation.calls)
    agent.pull()
    assert federation.calls[before:] == ["GET /replication/sites/CESNET/manifests"]


def test_a_person_in_two_vos_has_both_accounts_on_one_line(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    federation.publish([member("Anna Lindqvist", fqans=["/chipster"])], seq=5, vo="chipster")
    site.agent().pull()
    assert site.gridmap == ['"/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist" .chipster,.training']


def test_an_address_in_the_name_is_written_in_both_spellings(site, federation) -> None:
    federation.publish([member("Anna", dn="/C=EU/CN=Anna/emailAddress=anna@example.org")], seq=1)
    site.agent().pull()
    assert site.gridmap == [
        '"/C=EU/CN=Anna/Email=anna@example.org" .training',
        '"/C=EU/CN=Anna/emailAddress=anna@example.org" .training',
    ]


@pytest.mark.parametrize("dn", ['/CN=a" .root', "/CN=a\n/CN=root", "/CN=a\\"])
def test_a_name_that_would_break_the_gridmap_is_left_out_and_reported(site, federation, dn: str) -> None:
    federation.publish([ANNA, member("Mallory", dn=dn)], seq=1)
    report = site.agent().pull()
    assert len(site.gridmap) == 1
    assert "member Mallory left out" in report.sentences[0]


def test_entries_end_at_their_own_end(site, federation) -> None:
    federation.publish([ANNA, member("Tomás Vidal", not_after=stamp(NOW + timedelta(hours=1)))], seq=1)
    site.agent().pull()
    assert len(site.gridmap) == 2
    federation.now += timedelta(hours=1, seconds=1)
    assert site.agent().pull().sentences == []
    assert [one["member"] for one in site.identities] == ["Anna Lindqvist"]


def test_a_site_that_hears_nothing_drops_its_entries_when_the_promise_ends(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    site.agent().pull()
    federation.fault = 503
    federation.now += timedelta(days=2)
    assert "503" in site.agent().pull().sentences[0]
    assert len(site.gridmap) == 1
    federation.now += timedelta(days=1, seconds=1)
    site.agent().pull()
    assert site.gridmap == []
    assert site.identities == []


def test_the_mapping_tells_each_entrys_end(site, federation) -> None:
    federation.publish([ANNA, member("Tomás Vidal", not_after=stamp(NOW + timedelta(hours=1)))], seq=1)
    site.agent().pull()
    ends = {one["member"]: one["not_after"] for one in site.identities}
    assert ends == {"Anna Lindqvist": "2026-11-27T12:00:00Z", "Tomás Vidal": "2026-11-24T13:00:00Z"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"site": "BIFI"}, "is for site 'BIFI', this is CESNET"),
        ({"federation": "Another"}, "is of federation 'Another'"),
        ({"type": "snapshot"}, "Expected a manifest"),
        ({"valid_until": stamp(NOW - timedelta(seconds=1))}, "was valid until 2026-11-24T11:59:59Z"),
        ({"generated_at": stamp(NOW + timedelta(hours=1))}, "set the clock right"),
        ({"sha256": "no hash"}, "names no SHA-256"),
        ({"seq": "2"}, "no sequence number"),
    ],
)
def test_a_manifest_not_meant_for_this_site_and_moment_is_refused(
    site, federation, change: dict[str, object], sentence: str
) -> None:
    held = federation.publish([ANNA], seq=1)
    site.agent().pull()
    federation.publish([TOMAS], **({"seq": 2} | change))
    assert sentence in " ".join(site.agent().pull().sentences)
    assert [one["member"] for one in site.identities] == ["Anna Lindqvist"]
    assert federation.acks[-1]["sha256"] == held
    assert sentence in federation.acks[-1]["errors"][0]


def test_an_older_state_is_refused(site, federation) -> None:
    old = federation.publish([ANNA, TOMAS], seq=1)
    federation.publish([ANNA], seq=2)
    site.agent().pull()
    federation.manifests[VO] = federation.manifest(old, seq=1)
    assert "goes back to sequence 1; this site holds 2" in site.agent().pull().sentences[0]
    assert [one["member"] for one in site.identities] == ["Anna Lindqvist"]


def test_a_second_state_with_the_same_number_is_refused(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    site.agent().pull()
    federation.publish([TOMAS], seq=1)
    assert "Two different states" in site.agent().pull().sentences[0]
    assert [one["member"] for one in site.identities] == ["Anna Lindqvist"]


def test_a_document_of_another_key_is_refused(site, federation) -> None:
    federation.signer = Signer()
    federation.publish([ANNA], seq=1)
    assert "not pinned when this site joined" in site.agent().pull().sentences[0]
    assert not (site.state / "grid-mapfile").exists()


def test_a_key_past_its_validity_is_refused(federation, url, site) -> None:
    federation.signer = Signer(not_after=NOW + timedelta(days=1))
    federation.codes.add("again")
    assert site.join(code="again") == 0
    federation.now += timedelta(days=2)
    federation.publish([ANNA], seq=1)
    assert "whose validity ended 2026-11-25T12:00:00Z" in site.agent().pull().sentences[0]


def test_an_altered_manifest_is_refused(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    envelope = federation.manifests[VO]
    payload = base64.b64decode(envelope["payload"]).replace(b'"seq":1', b'"seq":9')
    envelope["payload"] = base64.b64encode(payload).decode()
    assert "does not match" in site.agent().pull().sentences[0]


def test_a_signed_text_with_two_meanings_is_refused(site, federation) -> None:
    payload = canonical({"type": "manifest"})[:-1] + b',"type":"manifest"}'
    federation.manifests[VO] = federation.signer.seal(payload)
    assert "not in canonical JSON" in site.agent().pull().sentences[0]


def test_a_snapshot_with_another_hash_is_refused(site, federation) -> None:
    named, other = federation.publish([ANNA], seq=1), federation.snapshot([TOMAS], seq=1)
    federation.snapshots[named] = federation.snapshots[other]
    assert "does not have the hash" in site.agent().pull().sentences[0]


def test_a_snapshot_of_another_vo_is_refused(site, federation) -> None:
    sha256 = federation.snapshot([ANNA], seq=1, vo="chipster")
    federation.manifests[VO] = federation.manifest(sha256, seq=1)
    assert "is of VO 'chipster'" in site.agent().pull().sentences[0]


def test_one_bad_vo_does_not_hold_up_another(site, federation) -> None:
    federation.publish([ANNA], seq=1, site="BIFI")
    federation.publish([TOMAS], seq=1, vo="chipster")
    site.agent().pull()
    assert [one["vo"] for one in site.identities] == ["chipster"]
    refused = next(ack for ack in federation.acks if ack["vo"] == VO)
    assert refused["seq"] == 0
    assert refused["sha256"] == hashlib.sha256(b"").hexdigest()


def test_a_mass_removal_waits_for_a_person(site, federation) -> None:
    crowd = [member(f"Person {number}") for number in range(40)]
    federation.publish(crowd, seq=1)
    site.agent().pull()
    federation.publish(crowd[:20], seq=2)
    report = site.agent().pull()
    assert "removes 20 of 40 members" in report.sentences[0]
    assert len(site.gridmap) == 40
    assert site.agent(allow_mass_removal=True).pull().sentences == []
    assert len(site.gridmap) == 20


def test_an_empty_vo_is_guarded_too_but_a_small_change_is_not(site, federation) -> None:
    crowd = [member(f"Person {number}") for number in range(40)]
    federation.publish(crowd, seq=1)
    site.agent().pull()
    federation.publish(crowd[10:], seq=2)
    assert site.agent().pull().sentences == []
    federation.publish([], seq=3)
    assert "removes 30 of 30 members" in site.agent().pull().sentences[0]


def test_a_file_changed_by_another_hand_is_told_with_another_hash_and_put_right(site, federation) -> None:
    sha256 = federation.publish([ANNA, TOMAS], seq=1)
    site.agent().pull()
    path = site.state / "grid-mapfile"
    path.write_text(path.read_text().replace("Tomás Vidal", "Mallory"))
    report = site.agent().pull()
    assert "changed by another hand: 1 entries missing, 1 foreign" in report.sentences[0]
    assert [ack["sha256"] == sha256 for ack in federation.acks] == [True, False, True]
    assert '"/C=EU/O=Hanse Demo/OU=People/CN=Tomás Vidal" .training' in site.gridmap


@pytest.mark.parametrize(
    ("name", "foreign"),
    [
        ("grid-mapfile", b'"/CN=Jos\xe9" .a\n'),
        ("mapping.json", b'{"identities": [{"vo": null, "dn": "\\ud800"}]}'),
    ],
)
def test_bytes_that_are_no_utf_8_are_told_and_put_right(site, federation, name: str, foreign: bytes) -> None:
    sha256 = federation.publish([ANNA], seq=1)
    site.agent().pull()
    path = site.state / name
    whole = path.read_bytes()
    path.write_bytes(foreign)
    assert "1 entries missing, 1 foreign" in site.agent().pull().sentences[0]
    assert [ack["sha256"] == sha256 for ack in federation.acks] == [True, False, True]
    assert path.read_bytes() == whole


def test_a_lost_file_is_told_and_written_again(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    site.agent().pull()
    (site.state / "mapping.json").unlink()
    assert "1 entries missing" in site.agent().pull().sentences[0]
    assert len(site.identities) == 1


@pytest.mark.parametrize("damage", [b"", b"{}", None])
def test_a_snapshot_whose_copy_was_damaged_is_fetched_again(site, federation, damage: bytes | None) -> None:
    sha256 = federation.publish([ANNA], seq=1)
    site.agent().pull()
    copy = site.state / "snapshots" / f"{sha256}.json"
    before = copy.read_bytes()
    copy.unlink() if damage is None else copy.write_bytes(damage)
    assert site.agent().pull().sentences == []
    assert copy.read_bytes() == before
    assert len(site.gridmap) == 1


def test_an_unwritable_target_keeps_the_last_good_state(site, federation) -> None:
    held = federation.publish([ANNA], seq=1)
    site.agent().pull()
    federation.publish([TOMAS], seq=2)
    (site.state / ".grid-mapfile.new").mkdir()
    report = site.agent().pull()
    assert "The old state stays" in report.sentences[0]
    assert len(site.gridmap) == 1
    assert federation.acks[-1]["sha256"] == held
    assert "Cannot write" in federation.acks[-1]["errors"][0]
    assert "Cannot write" in site.agent().pull().sentences[0]
    (site.state / ".grid-mapfile.new").rmdir()
    site.agent().pull()
    assert [one["member"] for one in site.identities] == ["Tomás Vidal"]


def test_an_acknowledgement_that_was_lost_is_sent_again(site, federation) -> None:
    federation.publish([ANNA], seq=1)
    agent = site.agent()
    original, federation_fault = agent._server.acknowledge, []

    def lose(site_name: str, acks: list[dict[str, object]], sent_at: object) -> None:
        from siteagent.errors import Unreachable

        federation_fault.extend(acks)
        raise Unreachable("lost")

    agent._server.acknowledge = lose
    agent.pull()
    assert federation.acks == []
    assert len(federation_fault) == 1
    agent._server.acknowledge = original
    agent.pull()
    assert len(federation.acks) == 1
