"""Replication: signed state to every site, acknowledged by hash, and how late the latest is."""

from __future__ import annotations

import base64
import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import delete, select, update

from hanse.database import Followed, JobRun
from hanse.errors import Forbidden, NotFound, Refused
from hanse.http import HttpError
from hanse.jobs import run_jobs
from siteagent import cli as siteagent
from tests.tls import serving
from vomsdb import acknowledging, groups, manifests, promise, publishing, pushing, replication, suspensions
from vomsdb.acknowledging import Report
from vomsdb.jobs import jobs
from vomsdb.models import Agent, Attempt, Member, Replica, Snapshot, VoChange
from vomsdb.promise import Pair, Promise
from vomsdb.pushing import Pace
from vomsdb.snapshots import DocumentError, Envelope, Manifest, SigningKey, canonical, digest, opened

VO = "training.egi.eu"
PROMISE = Promise(timedelta(hours=18), timedelta(hours=24))
PACE = Pace(timeout_s=2, retry_s=30, retry_max_s=7200)


def _publish(house: Any) -> None:
    with house.db.transaction() as session:
        publishing.follow_the_registry(session)
        publishing.publish_changed(session, house.press)


def _pair(house: Any, site: str = "CESNET", vo: str = VO) -> Pair:
    with house.db.transaction() as session:
        return promise.pairs(session, PROMISE, site=site, vo=vo)[0]


def _newest(house: Any, vo: str = VO) -> Snapshot:
    with house.db.transaction() as session:
        found = session.scalars(
            select(Snapshot).where(Snapshot.vo == vo).order_by(Snapshot.seq.desc())
        ).first()
    assert found is not None
    return found


def _ack(house: Any, snapshot: Snapshot | None = None, site: str = "CESNET", **changes: Any) -> None:
    held = snapshot or _newest(house)
    given: dict[str, Any] = {
        "vo": held.vo,
        "seq": held.seq,
        "sha256": held.sha256,
        "applied_at": datetime.now(UTC),
        "counts": {"members": held.members},
        "errors": [],
        "agent_version": "1",
    }
    with house.db.transaction() as session:
        acknowledging.acknowledge(session, site, Report(**{**given, **changes}))


def _members(snapshot: Snapshot) -> list[dict[str, Any]]:
    return list(json.loads(snapshot.payload)["members"])


# --- documents ----------------------------------------------------------------------------------------------------


def test_documents_have_one_spelling_and_a_signature_that_holds(tmp_path: Path) -> None:
    key = SigningKey.at(tmp_path / "key.pem")
    assert SigningKey.at(tmp_path / "key.pem").key_id == key.key_id
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0
    manifest = Manifest("F", "CESNET", VO, 3, "a" * 64, "2026-11-24T14:00:00Z", "2026-11-27T14:00:00Z")
    wire = key.sign(manifest.payload()).as_json()
    read = Envelope.from_json(json.loads(json.dumps(wire)))
    assert opened(read, {key.key_id: key.public_key}, "manifest")["site"] == "CESNET"
    with pytest.raises(DocumentError, match="not a snapshot"):
        opened(read, {key.key_id: key.public_key}, "snapshot")
    bent = Envelope(read.payload.replace(b"CESNET", b"BIFIXX"), read.signature, read.key_id)
    with pytest.raises(DocumentError, match="does not match"):
        opened(bent, {key.key_id: key.public_key}, "manifest")
    with pytest.raises(DocumentError, match="not known here"):
        opened(read, {}, "manifest")
    assert canonical({"b": "ä", "a": 1}) == '{"a":1,"b":"ä"}'.encode()


def test_an_envelope_that_is_none_is_refused() -> None:
    for body in ({}, {"payload": "%%", "signature": "", "key_id": ""}):
        with pytest.raises(DocumentError):
            Envelope.from_json(body)


# --- publishing ---------------------------------------------------------------------------------------------------


def test_a_snapshot_tells_the_active_members_and_is_named_by_its_hash(house: Any) -> None:
    anna, tomas = house.join("Anna Lindqvist"), house.join("Tomás Vidal")
    with house.db.transaction() as session:
        suspensions.suspend(session, tomas.id, "OTHER", "paused", house.principal("Marta Kowalska"))
    _publish(house)
    snapshot = _newest(house)
    assert digest(snapshot.payload) == snapshot.sha256
    (member,) = _members(snapshot)
    identity = house.principal("Anna Lindqvist").x509
    assert member["id"] == str(anna.id)
    assert base64.b64decode(member["certs"][0]["subject_der"]) == identity.subject_der
    assert member["certs"][0]["dn_slash"] == "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"
    assert member["certs"][0]["dn_rfc2253"] == "CN=Anna Lindqvist,OU=People,O=Hanse Demo,C=EU"
    assert (member["fqans"], member["state"]) == ([f"/{VO}"], "active")
    assert datetime.fromisoformat(member["not_after"]) == anna.until.replace(microsecond=0)


def test_names_outside_ascii_are_spelt_as_grid_mapfiles_want_them(house: Any) -> None:
    house.join("Tomás Vidal")
    _publish(house)
    assert _members(_newest(house))[0]["certs"][0]["dn_slash"].endswith(r"/CN=Tom\xC3\xA1s Vidal")


def test_every_change_raises_the_sequence_and_no_change_makes_no_snapshot(house: Any) -> None:
    house.join("Anna Lindqvist")
    _publish(house)
    first = _newest(house)
    _publish(house)
    assert _newest(house).sha256 == first.sha256
    house.join("Tomás Vidal")
    _publish(house)
    assert _newest(house).seq == first.seq + 1


def test_changes_that_cancel_each_other_are_at_the_sites_already(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    _publish(house)
    _ack(house)
    before = _newest(house)
    with house.db.transaction() as session:
        suspensions.suspend(session, member.id, "OTHER", "a test", marta)
    with house.db.transaction() as session:
        suspensions.restore(session, member.id, "over", marta)
    assert _pair(house).state == "behind"
    _publish(house)
    assert _newest(house).sha256 == before.sha256
    assert _pair(house).state == "in_step"


def test_a_pair_follows_the_registry(house: Any) -> None:
    _publish(house)
    with house.db.transaction() as session:
        assert {(p.site, p.vo) for p in promise.pairs(session, PROMISE)} == {
            ("CESNET", VO),
            ("CESNET", "chipster"),
            ("BIFI", VO),
        }
        session.execute(delete(Followed).where(Followed.id == "BIFI"))
        publishing.follow_the_registry(session)
        assert {p.site for p in promise.pairs(session, PROMISE)} == {"CESNET"}


def test_manifests_are_renewed_before_they_end(house: Any) -> None:
    _publish(house)
    with house.db.transaction() as session:
        assert manifests.write(session, house.press, older_than=house.press.valid_for / 3) == 0
        old = datetime.now(UTC) - timedelta(days=2)
        session.execute(update(Replica).values(manifest_at=old))
        assert manifests.write(session, house.press, older_than=house.press.valid_for / 3) == 3


# --- acknowledging ------------------------------------------------------------------------------------------------


def test_replicated_means_that_the_hash_is_the_expected_one(house: Any) -> None:
    house.join("Anna Lindqvist")
    _publish(house)
    assert (_pair(house).state, _pair(house).why) == ("behind", "no agent has joined")
    _ack(house)
    pair = _pair(house)
    assert (pair.state, pair.age_s, pair.missing, pair.held_sha256) == (
        "in_step",
        None,
        0,
        _newest(house).sha256,
    )


@pytest.mark.parametrize(("hours", "state"), [(1, "behind"), (18, "late"), (24, "breach"), (100, "breach")])
def test_the_age_of_the_oldest_unacknowledged_change_is_the_promise(
    house: Any, hours: int, state: str
) -> None:
    _publish(house)
    _ack(house)
    house.join("Anna Lindqvist")
    house.join("Tomás Vidal")
    then = datetime.now(UTC) - timedelta(hours=hours, minutes=1)
    with house.db.transaction() as session:
        newest = select(VoChange.revision).where(VoChange.vo == VO).order_by(VoChange.revision.desc())
        second = session.scalars(newest).all()[1]
        session.execute(update(VoChange).where(VoChange.revision == second).values(at=then))
        session.execute(update(Replica).values(since=then - timedelta(days=30)))
    pair = _pair(house)
    assert (pair.state, pair.missing) == (state, 2)
    assert pair.age_s == pytest.approx(hours * 3600 + 60, abs=30)


def test_a_site_that_edits_its_file_shows(house: Any) -> None:
    house.join("Anna Lindqvist")
    _publish(house)
    _ack(house)
    _ack(house, sha256="e" * 64, errors=["grid-mapfile was changed by other hands"])
    pair = _pair(house)
    assert (pair.state, pair.differs) == ("behind", True)
    assert pair.why == "grid-mapfile was changed by other hands"
    _ack(house)
    assert _pair(house).state == "in_step"


def test_a_site_that_falls_back_to_an_older_state_shows(house: Any) -> None:
    house.join("Anna Lindqvist")
    _publish(house)
    old = _newest(house)
    house.join("Tomás Vidal")
    _publish(house)
    _ack(house)
    _ack(house, old)
    assert _pair(house).differs


def test_an_acknowledgement_of_a_vo_the_site_does_not_support_is_refused(house: Any) -> None:
    _publish(house)
    with pytest.raises(Refused, match="BIFI does not support chipster"):
        _ack(house, _newest(house, "chipster"), site="BIFI")


def test_confirmations_are_measured(house: Any) -> None:
    house.join("Anna Lindqvist")
    _publish(house)
    _ack(house)
    with house.db.transaction() as session:
        speed = promise.speed(session)
        assert speed.confirmed >= 1
        assert speed.median_s is not None
        assert len(promise.days(session)) == 30


# --- joining ------------------------------------------------------------------------------------------------------


def _code(house: Any, site: str = "CESNET", hours: float = 1) -> str:
    with house.db.transaction() as session:
        return replication.new_join_code(
            session, site, timedelta(hours=hours), house.principal("Ingrid Holm")
        )[0]


def _join(house: Any, code: str, site: str = "CESNET", by: str = "CESNET", url: str | None = None) -> Any:
    with house.db.transaction() as session:
        return replication.join(session, site, code, "1", url, house.machine(by), house.press)


def test_a_join_code_works_once_in_time_and_for_its_site(house: Any) -> None:
    code = _code(house)
    assert _join(house, code).vos == ["chipster", VO]
    with pytest.raises(Forbidden, match="used already"):
        _join(house, code)
    with pytest.raises(Forbidden, match="has expired"):
        _join(house, _code(house, hours=-1))
    with pytest.raises(Forbidden, match="not one of BIFI"):
        _join(house, _code(house), site="BIFI", by="BIFI")
    with pytest.raises(NotFound):
        _code(house, "NOWHERE")


def test_join_codes_can_be_typed_after_an_option(house: Any) -> None:
    """One with a dash in front would be taken for an option: one federation in twenty would not start."""
    assert all(re.fullmatch("[0-9a-f]{32}", _code(house)) for _ in range(100))


def test_a_code_in_the_wrong_hands_is_of_no_use_and_stays_good(house: Any) -> None:
    code = _code(house)
    with pytest.raises(Forbidden, match="not a host certificate of CESNET"):
        _join(house, code, by="BIFI")
    assert _join(house, code).site == "CESNET"


# --- pushing ------------------------------------------------------------------------------------------------------


def _due(house: Any) -> datetime | None:
    with house.db.transaction() as session:
        return session.get_one(Agent, "CESNET").push_at


def test_a_push_is_repeated_ever_more_rarely_until_the_site_confirms(house: Any) -> None:
    house.join("Anna Lindqvist")
    _publish(house)
    _join(house, _code(house), url="http://agent.invalid")
    sent: list[int] = []

    def away(_url: str, offer: replication.Offer) -> str:
        sent.append(len(offer.manifests))
        raise HttpError("agent.invalid cannot be reached")

    pauses = []
    for _ in range(4):
        with house.db.transaction() as session:
            session.execute(update(Agent).values(push_at=datetime.now(UTC) - timedelta(seconds=1)))
        assert pushing.push_due(house.db, house.press, PACE, away) == (0, 1)
        due = _due(house)
        assert due is not None
        pauses.append((due - datetime.now(UTC)).total_seconds())
    assert sent == [2, 2, 2, 2]
    assert all(later > sooner for sooner, later in itertools.pairwise(pauses))
    assert pushing.push_due(house.db, house.press, PACE, away) == (0, 0)
    for vo in (VO, "chipster"):
        _ack(house, _newest(house, vo))
    assert _due(house) is None
    with house.db.transaction() as session:
        answers = [a.answer for a in session.scalars(select(Attempt).where(Attempt.way == "push"))]
    assert answers == ["agent.invalid cannot be reached"] * 4


def test_a_push_that_was_taken_counts_only_when_it_is_acknowledged(house: Any) -> None:
    _publish(house)
    _join(house, _code(house), url="http://agent.invalid")
    assert pushing.push_due(house.db, house.press, PACE, lambda _u, _m: "taken (202)") == (1, 0)
    assert _due(house) is not None


def test_a_suspension_does_not_wait_for_the_pause(house: Any) -> None:
    member = house.join("Anna Lindqvist")
    _publish(house)
    _join(house, _code(house), url="http://agent.invalid")
    late = datetime.now(UTC) + timedelta(hours=2)
    with house.db.transaction() as session:
        session.execute(update(Agent).values(push_at=late, failures=9))
    house.join("Tomás Vidal")
    _publish(house)
    assert _due(house) == late
    with house.db.transaction() as session:
        suspensions.suspend(
            session, member.id, "SECURITY_INCIDENT", "key lost", house.principal("Marta Kowalska")
        )
    _publish(house)
    due = _due(house)
    assert due is not None
    assert due <= datetime.now(UTC)


def test_a_daily_run_renews_every_manifest_and_spreads_the_sites(house: Any) -> None:
    _publish(house)
    _join(house, _code(house), url="http://agent.invalid")
    with house.db.transaction() as session:
        assert replication.tell_all(session, house.press, None, timedelta(hours=1)) == (2, 3)
        with pytest.raises(NotFound):
            replication.tell_all(session, house.press, ["NOWHERE"], timedelta(0))
    due = _due(house)
    assert due is not None
    assert due < datetime.now(UTC) + timedelta(hours=1)


def test_a_scheduled_replication_runs_by_itself_and_stands_in_the_run_log(house: Any) -> None:
    _publish(house)
    _join(house, _code(house), url="http://agent.invalid")
    settings = house.settings.model_copy(update={"replication_interval_s": 1})
    replicate = [job for job in jobs(settings, house.db) if job.name == "replication"]
    stop = threading.Event()
    running = threading.Thread(target=run_jobs, args=(house.db, replicate, stop))
    running.start()
    deadline = time.monotonic() + 30
    runs: list[JobRun] = []
    while len(runs) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
        with house.db.transaction() as session:
            query = select(JobRun).where(JobRun.job == "replication", JobRun.outcome == "ok")
            runs = list(session.scalars(query.order_by(JobRun.due_at)))
    stop.set()
    running.join()
    assert len(runs) >= 2
    assert len({run.due_at for run in runs}) == len(runs)
    assert {run.detail for run in runs} == {"3 manifests to sign for 2 sites."}


# --- with the site's own agent, over TLS --------------------------------------------------------------------------


@dataclass
class Site:
    """CESNET's agent and the files that it writes."""

    house: Any
    url: str
    folder: Path
    bundle: Path

    def run(self, *words: str) -> int:
        return siteagent.main([words[0], "--state", str(self.folder), *words[1:]])

    def join(self, code: str) -> int:
        host = self.house.cast.host("CESNET")
        files = ["--cert", str(host.cert_path), "--key", str(host.key_path), "--ca", str(self.bundle)]
        return self.run("join", "--url", self.url, "--site", "CESNET", "--code", code, *files)

    @property
    def gridmap(self) -> str:
        return (self.folder / "grid-mapfile").read_text()


@pytest.fixture
def site(house: Any, ca: Any, tmp_path: Path) -> Iterator[Site]:
    with serving(house.app, house.settings) as url:
        yield Site(house, url, tmp_path / "agent", ca.bundle)


def test_the_agent_joins_applies_and_proves_it(site: Site) -> None:
    house = site.house
    member = house.join("Anna Lindqvist")
    _publish(house)
    assert site.join(_code(house)) == 0
    assert site.run("pull") == 0
    assert "/CN=Anna Lindqvist" in site.gridmap
    assert _pair(house).state == "in_step"
    assert _pair(house, vo="chipster").state == "in_step"
    with house.db.transaction() as session:
        suspensions.suspend(session, member.id, "OTHER", "paused", house.principal("Marta Kowalska"))
    _publish(house)
    assert _pair(house).state == "behind"
    site.run("pull", "--allow-mass-removal")
    assert "Anna" not in site.gridmap
    assert _pair(house).state == "in_step"


def test_what_a_person_at_the_site_adds_shows_at_the_next_acknowledgement(site: Site) -> None:
    house = site.house
    house.join("Anna Lindqvist")
    _publish(house)
    site.join(_code(house))
    site.run("pull")
    path = site.folder / "grid-mapfile"
    path.write_text(path.read_text() + '"/C=EU/CN=Mallory" .training\n')
    site.run("pull")
    with house.db.transaction() as session:
        acks = list(session.scalars(select(Attempt).where(Attempt.way == "ack").order_by(Attempt.id)))
    assert any(not ack.good for ack in acks)


def _client(site: Site, who: Any | None) -> requests.Session:
    client = requests.Session()
    client.trust_env, client.verify = False, str(site.bundle)
    if who is not None:
        client.cert = (str(who.cert_path), str(who.key_path))
    return client


def test_only_the_sites_own_machine_fetches_and_acknowledges(site: Site) -> None:
    house = site.house
    house.join("Anna Lindqvist")
    _publish(house)
    cast, snapshot = house.cast, _newest(house)
    manifests = f"{site.url}/replication/sites/CESNET/manifests"
    document = f"{site.url}/replication/vos/{VO}/snapshots/{snapshot.sha256}"
    other = f"{site.url}/replication/vos/chipster/snapshots/{_newest(house, 'chipster').sha256}"
    assert _client(site, cast.host("CESNET")).get(manifests).status_code == 200
    assert _client(site, cast.host("CESNET")).get(document).status_code == 200
    assert (
        _client(site, cast.host("CESNET"))
        .get(f"{site.url}/replication/vos/{VO}/snapshots/{'0' * 64}")
        .status_code
        == 404
    )
    assert _client(site, cast.host("BIFI")).get(manifests).status_code == 403
    assert _client(site, cast.host("BIFI")).get(other).status_code == 403
    assert _client(site, cast["Anna Lindqvist"]).get(document).status_code == 403
    assert _client(site, None).get(manifests).status_code == 401
    forged = {
        "SSL-CLIENT-S-DN": "/C=EU/O=Hanse Demo/OU=CESNET/CN=acct.cesnet.example",
        "SSL-CLIENT-VERIFY": "SUCCESS",
    }
    assert _client(site, None).get(manifests, headers=forged).status_code == 401
    body = {"vo": VO, "seq": 1, "sha256": "x", "applied_at": "2026-11-24T14:00:00Z"}
    refused = _client(site, cast.host("CESNET")).post(f"{site.url}/replication/sites/CESNET/acks", json=body)
    assert refused.status_code == 422
    assert refused.headers["Content-Type"] == "application/problem+json"


def test_manifests_are_not_sent_twice(site: Site) -> None:
    _publish(site.house)
    client = _client(site, site.house.cast.host("CESNET"))
    first = client.get(f"{site.url}/replication/sites/CESNET/manifests")
    assert len(first.json()["manifests"]) == 2
    again = client.get(
        f"{site.url}/replication/sites/CESNET/manifests", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


def test_a_group_reaches_the_site_with_the_member(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        groups.create_group(session, VO, f"/{VO}/students", "", marta)
    with house.db.transaction() as session:
        groups.give(session, member.id, f"/{VO}/students", marta)
    _publish(house)
    assert _members(_newest(house))[0]["fqans"] == [f"/{VO}", f"/{VO}/students"]
    with house.db.transaction() as session:
        assert session.get(Member, member.id) is not None
