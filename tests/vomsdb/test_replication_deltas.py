"""Deltas, changes of keys, many reports at once: between the service and the site's own agent."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from hanse.database import Followed
from hanse.errors import NotFound
from siteagent.deltas import envelope_after
from siteagent.documents import Opened
from siteagent.documents import Snapshot as Held
from tests.vomsdb.test_replication import (
    PACE,
    Site,
    _ack,
    _client,
    _code,
    _join,
    _newest,
    _pair,
    _publish,
    site,  # noqa: F401 - the fixture
)
from vomsdb import (
    acknowledging,
    certificates,
    deltas,
    lifetimes,
    manifests,
    notices,
    publishing,
    pushing,
    replication,
    suspensions,
)
from vomsdb.acknowledging import Report
from vomsdb.jobs import press_of, publish
from vomsdb.models import Agent, Attempt, Delta, KeyNotice, Replica, Snapshot
from vomsdb.press import Authority
from vomsdb.replication import Offer
from vomsdb.snapshots import HeldCertificate, Member, SigningKey, digest, snapshot

VO = "training.egi.eu"


def _attempts(house: Any, way: str) -> list[str]:
    with house.db.transaction() as session:
        rows = session.scalars(select(Attempt).where(Attempt.way == way).order_by(Attempt.id))
        return [row.answer for row in rows]


# --- deltas -------------------------------------------------------------------------------------------------------

PEOPLE = st.dictionaries(st.integers(1, 12), st.integers(0, 3), max_size=12)


def _state(key: SigningKey, seq: int, people: dict[int, int]) -> Snapshot:
    rows = [
        Member(
            str(n), (HeldCertificate("c3Vi", "aXNz", f"/CN={n}", f"CN={n}"),), (f"/{VO}/{g}",), "active", ""
        )
        for n, g in people.items()
    ]
    envelope = key.sign(snapshot("F", VO, seq, rows))
    return Snapshot(
        sha256=digest(envelope.payload), vo=VO, seq=seq, payload=envelope.payload, signature=envelope.signature,
        key_id=envelope.key_id,
    )  # fmt: skip


@settings(max_examples=40)
@given(before=PEOPLE, after=PEOPLE)
def test_a_delta_leads_to_the_signed_snapshot_from_any_state_to_any_other(
    tmp_path_factory: pytest.TempPathFactory, before: dict[int, int], after: dict[int, int]
) -> None:
    key = SigningKey.at(tmp_path_factory.getbasetemp() / "deltas.pem")
    old, new = _state(key, 3, before), _state(key, 9, after)
    content = json.loads(old.payload)
    # the agent takes members without an end as lasting
    held = Held(VO, old.sha256, (), content)
    payload = deltas.payload(old, new)
    made = envelope_after(held, Opened(payload, json.loads(payload)), "F", new.sha256)
    assert base64.b64decode(made["payload"]) == new.payload
    assert base64.b64decode(made["signature"]) == new.signature
    assert sorted(json.loads(payload)["removed"]) == sorted(str(n) for n in before if n not in after)


def test_a_site_behind_by_many_changes_gets_one_delta_signed_once(site: Site) -> None:  # noqa: F811
    house = site.house
    for name in ("Anna Lindqvist", "Paavo Salo", "Ingrid Holm"):
        house.join(name)
    _publish(house)
    site.join(_code(house))
    assert site.run("pull") == 0
    first = _newest(house)
    for name in ("Tomás Vidal", "Eliška Malá"):
        house.join(name)
        _publish(house)
    assert _newest(house).seq == first.seq + 2
    with house.db.transaction() as session:
        session.execute(delete(Attempt))
    assert site.run("pull") == 0
    assert _attempts(house, "pull") == [f"changes {first.seq} to {first.seq + 2} fetched"]
    assert _pair(house).state == "in_step"
    with house.db.transaction() as session:
        assert len(session.scalars(select(Delta)).all()) == 1
        again = replication.delta_for(
            session, VO, first.sha256, _newest(house).sha256, ["CESNET"], house.press
        )
        assert len(session.scalars(select(Delta)).all()) == 1
    wire = f"{site.url}/replication/vos/{VO}/deltas/{first.sha256}/{_newest(house).sha256}"
    answer = _client(site, house.cast.host("CESNET")).get(wire)
    assert answer.json() == again.as_json()
    assert _client(site, house.cast.host("CESNET")).get(
        wire, headers={"If-None-Match": answer.headers["ETag"]}
    ).status_code == 304  # fmt: skip
    assert _client(site, house.cast["Anna Lindqvist"]).get(wire).status_code == 403


def test_where_a_delta_is_no_way_the_snapshot_is(house: Any) -> None:
    house.join("Anna Lindqvist")
    _publish(house)
    first = _newest(house)
    house.join("Tomás Vidal")
    _publish(house)
    with house.db.transaction() as session:
        old, new = session.get_one(Snapshot, first.sha256), session.get_one(Snapshot, _newest(house).sha256)
        with pytest.raises(NotFound, match="no way from change"):
            deltas.between(session, new, old, house.press)
        with pytest.raises(NotFound, match="fetch the manifests again"):
            replication.delta_for(session, VO, "0" * 64, new.sha256, ["CESNET"], house.press)
        other = session.scalars(select(Snapshot).where(Snapshot.vo == "chipster")).one()
        with pytest.raises(NotFound, match="no way from change"):
            deltas.between(session, other, new, house.press)


def test_what_a_site_holds_is_kept_however_long_it_is_away(house: Any) -> None:
    house.join("Anna Lindqvist")
    _publish(house)
    _ack(house)
    held = _newest(house)
    for name in ("Tomás Vidal", "Ingrid Holm"):
        house.join(name)
        _publish(house)
    with house.db.transaction() as session:
        session.execute(update(Snapshot).values(made_at=datetime.now(UTC) - timedelta(days=40)))
        publishing.purge(session)
        left = [
            s.seq for s in session.scalars(select(Snapshot).where(Snapshot.vo == VO).order_by(Snapshot.seq))
        ]
    assert left == [held.seq, held.seq + 2]


def test_a_part_of_a_snapshot_can_be_fetched(site: Site) -> None:  # noqa: F811
    house = site.house
    house.join("Anna Lindqvist")
    _publish(house)
    client, sha256 = _client(site, house.cast.host("CESNET")), _newest(house).sha256
    url = f"{site.url}/replication/vos/{VO}/snapshots/{sha256}"
    whole = client.get(url)
    part = client.get(url, headers={"Range": "bytes=100-", "If-Range": whole.headers["ETag"]})
    assert (part.status_code, part.content) == (206, whole.content[100:])
    other = client.get(url, headers={"Range": "bytes=100-", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)
    assert client.get(url, headers={"Range": "bytes=99999999-"}).status_code == 416


# --- who is in it -------------------------------------------------------------------------------------------------


def _members(house: Any) -> list[dict[str, Any]]:
    return list(json.loads(_newest(house).payload)["members"])


def test_a_member_removed_and_let_in_again_is_another_member(house: Any) -> None:
    marta = house.principal("Marta Kowalska")
    first = house.join("Anna Lindqvist")
    _publish(house)
    with house.db.transaction() as session:
        lifetimes.remove(session, first.id, "left", marta)
    _publish(house)
    assert _members(house) == []
    second = house.join("Anna Lindqvist")
    _publish(house)
    assert [one["id"] for one in _members(house)] == [str(second.id)]
    assert second.id != first.id


def test_a_certificate_that_moves_to_another_member_stands_once(house: Any) -> None:
    marta = house.principal("Marta Kowalska")
    anna, tomas = house.join("Anna Lindqvist"), house.join("Tomás Vidal")
    _publish(house)
    with house.db.transaction() as session:
        lifetimes.remove(session, anna.id, "left", marta)
    with house.db.transaction() as session:
        certificates.link(session, tomas.id, house.principal("Anna Lindqvist").key, "one person", marta)
    _publish(house)
    subjects = [cert["subject_der"] for one in _members(house) for cert in one["certs"]]
    assert len(subjects) == len(set(subjects))
    assert [one["id"] for one in _members(house)] == [str(tomas.id)]


def test_a_site_that_leaves_the_registry_hears_nothing_more(house: Any) -> None:
    house.join("Anna Lindqvist")
    _publish(house)
    _join(house, _code(house))
    with house.db.transaction() as session:
        session.execute(delete(Followed).where(Followed.id == "CESNET"))
    _publish(house)
    with house.db.transaction() as session:
        assert replication.offer(session, "CESNET", house.press).manifests == []
        assert replication.tell_all(session, house.press, None, timedelta(0)) == (1, 1)


# --- keys ---------------------------------------------------------------------------------------------------------


def test_keys_change_with_an_overlap_and_the_retired_one_is_believed_no_more(
    site: Site,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = site.house
    monkeypatch.setattr("vomsdb.protocols.replication.press_of", lambda _settings: house.press)
    house.join("Anna Lindqvist")
    _publish(house)
    site.join(_code(house))
    assert site.run("pull") == 0
    old, new = house.settings.signing_key_path, tmp_path / "new.pem"
    _change(site, {"signing_key_next": new})
    assert site.run("pull") == 0
    assert [key["key_id"] for key in _trusted(site)] == [_id(old), _id(new)]
    _change(site, {"signing_key": new, "signing_key_next": None, "signing_key_previous": old})
    house.join("Tomás Vidal")
    _publish_with(house)
    assert site.run("pull") == 0
    assert "Tom" in site.gridmap
    _change(site, {"signing_key": new, "signing_key_next": None, "signing_key_previous": None})
    assert site.run("pull") == 0
    assert [key["key_id"] for key in _trusted(site)] == [_id(new)]
    _change(site, {"signing_key": old, "signing_key_next": None, "signing_key_previous": None})
    house.join("Ingrid Holm")
    _publish_with(house)
    assert site.run("pull") == 1  # signed by the retired key
    assert "Ingrid" not in site.gridmap


def _change(site: Site, keys: dict[str, Any]) -> None:  # noqa: F811
    """As after a restart with other settings."""
    site.house.press = press_of(site.house.settings.model_copy(update=keys))


def _publish_with(house: Any) -> None:
    _publish(house)
    with house.db.transaction() as session:
        manifests.mark(session, None)
        manifests.write(session, house.press, older_than=timedelta(0))


def _id(path: Path) -> str:
    return SigningKey.at(path).key_id


def _trusted(site: Site) -> list[dict[str, str]]:  # noqa: F811
    return list(json.loads((site.folder / "agent.json").read_text())["keys"])


def test_a_snapshot_of_the_key_before_is_signed_anew_for_who_fetches_it(house: Any, tmp_path: Path) -> None:
    house.join("Anna Lindqvist")
    _publish(house)
    press = replace(house.press, key=SigningKey.at(tmp_path / "new.pem"))
    with house.db.transaction() as session:
        found = replication.snapshot_for(session, VO, _newest(house).sha256, ["CESNET"], press)
    assert found.key_id == press.key.key_id
    press.key.public_key.verify(found.signature, found.payload)
    assert digest(found.payload) == _newest(house).sha256


def test_a_notice_is_written_once_and_anew_when_half_its_time_is_over(house: Any) -> None:
    def number(press: Any) -> int:
        with house.db.transaction() as session:
            envelope = notices.current(session, press)[0]
        return int(json.loads(base64.b64decode(envelope["payload"]))["number"])

    before = int(time.time())
    first = number(house.press)
    assert first >= before
    assert number(house.press) == first
    assert number(replace(house.press, keys_for=timedelta(0))) > first
    with house.db.transaction() as session:
        session.execute(update(KeyNotice).where(KeyNotice.number == first).values(number=1))
        session.execute(delete(KeyNotice).where(KeyNotice.number > 1))  # what is restored knows of one notice
    assert number(replace(house.press, keys_for=timedelta(0))) >= first


def test_manifests_name_the_attribute_authorities(house: Any) -> None:
    ours = Authority("voms.example.org", ("/CN=voms", "/CN=CA"))
    press = replace(house.press, authorities=lambda: [ours])
    _publish(house)
    with house.db.transaction() as session:
        manifests.mark(session, ["CESNET"])
        envelope = replication.offer(session, "CESNET", press).manifests[0]
    told = json.loads(base64.b64decode(envelope["payload"]))["authorities"]
    assert told == [{"host": "voms.example.org", "lsc": ["/CN=voms", "/CN=CA"]}]


def test_at_the_moment_of_the_next_key_every_manifest_is_signed_anew_once(house: Any) -> None:
    now = datetime.now(UTC)
    before = Authority("voms.example.org", ("/CN=voms", "/CN=CA"))
    waits = replace(house.press, authorities=lambda: [before], authorities_change_at=now + timedelta(days=1))
    publish(house.db, waits)
    assert publish(house.db, waits).endswith(" 0 manifests renewed.")
    after = Authority("voms.example.org", ("/CN=voms renewed", "/CN=CA"))
    changed = replace(house.press, authorities=lambda: [after], authorities_change_at=datetime.now(UTC))
    assert not publish(house.db, changed).endswith(" 0 manifests renewed.")
    assert publish(house.db, changed).endswith(" 0 manifests renewed.")
    with house.db.transaction() as session:
        found = [replica.manifest for replica in session.scalars(select(Replica))]
    told = [json.loads(base64.b64decode(one["payload"]))["authorities"][0]["lsc"] for one in found if one]
    assert told != []
    assert all(lsc == ["/CN=voms renewed", "/CN=CA"] for lsc in told)


# --- many reports at once -----------------------------------------------------------------------------------------


def test_many_reports_at_once_and_nothing_new_is_one_line(site: Site) -> None:  # noqa: F811
    house = site.house
    _publish(house)
    _join(house, _code(house))
    client = _client(site, house.cast.host("CESNET"))
    one = {
        "seq": 1,
        "applied_at": "2026-11-24T14:00:00Z",
        "counts": {},
        "errors": [],
        "agent_version": "1",
    }
    acks = [{**one, "vo": vo, "sha256": _newest(house, vo).sha256} for vo in (VO, "chipster")]
    body = {"acks": [*acks, {**one, "vo": "biomed", "sha256": "0" * 64}]}
    ahead = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for _ in range(2):
        answer = client.post(f"{site.url}/replication/sites/CESNET/acks", json={**body, "sent_at": ahead})
        assert answer.json()["refused"] == ["CESNET does not support biomed."]
        assert [ack["in_step"] for ack in answer.json()["acks"]] == [True, True]
    lines = _attempts(house, "ack")
    assert lines[-1] == "holds 2 VOs as it held them, all as expected"
    assert len(lines) == 3
    with house.db.transaction() as session:
        off = session.get_one(Agent, "CESNET").clock_off_s
    assert off == pytest.approx(86400, abs=60)
    too_many = {"acks": [acks[0]] * 1001}
    assert client.post(f"{site.url}/replication/sites/CESNET/acks", json=too_many).status_code == 422


# --- pushes -------------------------------------------------------------------------------------------------------


def _due_now(house: Any) -> None:
    with house.db.transaction() as session:
        session.execute(update(Agent).values(push_at=datetime.now(UTC) - timedelta(seconds=1)))


def test_a_push_tells_only_what_the_agent_has_not_taken_or_does_not_hold(house: Any) -> None:
    _publish(house)
    _join(house, _code(house), url="http://agent.invalid")
    told: list[int] = []

    def taken(_url: str, offer: Offer) -> str:
        told.append(len(offer.manifests))
        return "taken (202)"

    pushing.push_due(house.db, house.press, PACE, taken)
    for vo in (VO, "chipster"):
        _ack(house, _newest(house, vo))
    _due_now(house)
    pushing.push_due(house.db, house.press, PACE, taken)
    house.join("Anna Lindqvist")
    _publish(house)
    _due_now(house)
    pushing.push_due(house.db, house.press, PACE, taken)
    assert told == [2, 0, 1]


def test_a_suspension_during_a_push_is_told_at_once_afterwards(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    _publish(house)
    _join(house, _code(house), url="http://agent.invalid")
    told: list[int] = []

    def slow(_url: str, offer: Offer) -> str:
        told.append(len(offer.manifests))
        if len(told) == 1:
            with house.db.transaction() as session:
                suspensions.suspend(session, member.id, "SECURITY_INCIDENT", "key lost", marta)
            _publish(house)
        return "taken (202)"

    assert pushing.push_due(house.db, house.press, PACE, slow) == (2, 0)
    assert len(told) == 2


def test_two_schedulers_push_to_a_site_once(house: Any) -> None:
    _publish(house)
    _join(house, _code(house), url="http://agent.invalid")
    seen: list[str] = []

    def first(_url: str, offer: Offer) -> str:
        seen.append("first")
        other = pushing.push_due(house.db, house.press, PACE, second)
        assert other == (0, 0)
        return "taken (202)"

    def second(_url: str, offer: Offer) -> str:
        seen.append("second")
        return "taken (202)"

    pushing.push_due(house.db, house.press, PACE, first)
    assert seen == ["first"]


def test_a_report_of_a_state_that_was_overtaken_meanwhile_confirms_what_it_holds(house: Any) -> None:
    house.join("Anna Lindqvist")
    _publish(house)
    before = _newest(house)
    house.join("Tomás Vidal")
    _publish(house)
    _ack(house, before)
    pair = _pair(house)
    assert (pair.state, pair.missing, pair.differs) == ("behind", 1, False)
    with house.db.transaction() as session:
        report = Report(VO, 1, "f" * 64, datetime.now(UTC), {}, [], "1")
        assert acknowledging.acknowledge(session, "CESNET", report).differs_since is not None
        assert session.get_one(Replica, ("CESNET", VO)).held_sha256 == "f" * 64
