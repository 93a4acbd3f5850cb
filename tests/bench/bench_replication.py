"""Replication at 100,000 members, 200 VOs and 1,000 sites: one change everywhere in 60 s, a daily run in 600 s.

The service is whole: jobs, database, HTTP (without the socket). The agents are simulated in this process: each verifies
the signature, site and sequence of every manifest and the signature of every delta with the code of the site's agent.
What a delta leads to is the same at all sites and is computed once; that work of a site's own is a line of its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from hanse.database import Followed
from hanse.identity.tokens import token_key
from siteagent.deltas import envelope_after
from siteagent.documents import Manifest, Snapshot
from siteagent.keys import Keyring, PinnedKey
from tests.bench.big_vos import FULL, VO, Size, big_vos
from tests.bench.measure import line
from tests.vomsdb.conftest import House
from vomsdb import acknowledging, promise, pushing, replication, suspensions
from vomsdb.jobs import publish
from vomsdb.models import Agent, Member, Replica
from vomsdb.promise import Promise
from vomsdb.pushing import Pace
from vomsdb.replication import Offer

CHANGE_S, DAY_S = 60, 600
PACE = Pace(timeout_s=30, retry_s=60, retry_max_s=7200)
PROMISE = Promise(timedelta(hours=18), timedelta(hours=24))


@dataclass
class Sites:
    """All agents: what each holds of each VO, and what was sent to them."""

    house: House
    keyring: Keyring
    held: dict[str, dict[str, Snapshot]] = field(default_factory=dict)
    made: dict[tuple[str, str], Snapshot] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    sent: int = 0
    applying_s: float = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def push(self, site: str, offer: Offer) -> str:
        """What an agent does with a push: verify, fetch one delta, acknowledge everything."""
        now = datetime.now(UTC)
        held, acks = self.held[site], []
        for envelope in offer.manifests:
            opened = self.keyring.open(envelope, now)
            manifest = Manifest.parse(opened, self.house.settings.federation, site, now)
            if held[manifest.vo].sha256 != manifest.sha256:
                held[manifest.vo] = self._follow(site, held[manifest.vo], manifest)
            acks.append(_ack(manifest, now))
            self._count(envelope["payload"])
        self._acknowledge(site, acks, now)
        return "taken (202)"

    def _follow(self, site: str, before: Snapshot, manifest: Manifest) -> Snapshot:
        path = f"/replication/vos/{manifest.vo}/deltas/{before.sha256}/{manifest.sha256}"
        answer = self._call(site, "GET", path)
        self._count(answer.text)
        envelope: Any = answer.json
        opened = self.keyring.open(envelope, datetime.now(UTC))
        with self.lock:
            way = (before.sha256, manifest.sha256)
            if way not in self.made:
                self.made[way] = self._apply(before, opened, manifest)
            return self.made[way]

    def _apply(self, before: Snapshot, opened: Any, manifest: Manifest) -> Snapshot:
        federation, began = self.house.settings.federation, time.thread_time()
        whole = envelope_after(before, opened, federation, manifest.sha256)
        after = Snapshot.parse(
            self.keyring.open(whole, datetime.now(UTC)), federation, manifest.vo, manifest.sha256
        )
        self.applying_s = time.thread_time() - began
        return after

    def _acknowledge(self, site: str, acks: list[dict[str, Any]], now: datetime) -> None:
        body = {"acks": acks, "sent_at": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        answer = self._call(site, "POST", f"/replication/sites/{site}/acks", body)
        assert answer.json is not None
        assert all(one["in_step"] for one in answer.json["acks"]), answer.text[:300]

    def _call(self, site: str, method: str, path: str, body: object = None) -> TestResponse:
        answer = self.house.app.test_client().open(path, method=method, json=body, headers=self.headers[site])
        assert answer.status_code == 200, answer.text[:300]
        return answer

    def _count(self, text: str) -> None:
        with self.lock:
            self.sent += len(text)


def _ack(manifest: Manifest, now: datetime) -> dict[str, Any]:
    return {
        "vo": manifest.vo,
        "seq": manifest.seq,
        "sha256": manifest.sha256,
        "applied_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "counts": {},
        "errors": [],
        "agent_version": "bench",
    }


def main(size: Size = FULL) -> None:
    """Print the table; raises when a pair is not in step at the end of a run."""
    house = big_vos(size)
    with _measured(house, f"first snapshots and manifests, {size.members:,} members", None):
        publish(house.db, house.press)
    sites = _joined(house)
    with house.db.transaction() as session:
        pairs = len(session.execute(select(Replica.site)).all())
    line("pairs of site and VO", pairs, "")
    _one_change(house, sites, size)
    quiet = _daily_run(house, sites, "a full daily run, nothing changed", 0)
    _daily_run(house, sites, "a full daily run, 20 members changed", 20)
    _idle(house)
    _ten_thousand(size, pairs, quiet)


@contextmanager
def _measured(house: House, name: str, limit: float | None) -> Iterator[list[float]]:
    """Lines for the clock and for the work of service, agents and PostgreSQL together, in seconds.

    The block may ask for both afterwards. Work is what a busy machine lengthens least.
    """
    found: list[float] = []
    began, busy, stored = time.perf_counter(), time.process_time(), _database_s(house)
    yield found
    own, database = time.process_time() - busy, _database_s(house) - stored
    found.extend((time.perf_counter() - began, own + database))
    line(f"{name}, by the clock", found[0], "s", limit=limit)
    line(f"{name}, work", found[1], "s", "of it PostgreSQL", database, limit=limit)


def _database_s(house: House) -> float:
    """Processor seconds of PostgreSQL and all its processes, ended ones included."""
    with house.db.transaction() as session:
        backend = int(session.scalar(text("select pg_backend_pid()")) or 0)
    server = _stat(backend)[1]
    children = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    own = sum(_stat(pid)[11] + _stat(pid)[12] for pid in children if _stat(pid)[1] == server)
    return (own + sum(_stat(server)[11:15])) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[int]:
    """Fields 3 and on of /proc/PID/stat, the letter of the state as 0; zeros for a process that has ended."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return [0] * 20
    return [0, *map(int, words[1:20])]


def _joined(house: House) -> Sites:
    """Every site has joined and holds what it should, so that runs begin as on any day."""
    key = PinnedKey(house.press.key.public_key.public_bytes_raw(), None)
    sites = Sites(house, Keyring([key]))
    wholes: dict[str, Snapshot] = {}
    with house.db.transaction() as session:
        session.execute(
            text("update replica set held_sha256 = sha256, held_seq = seq, told_at = manifest_at, acked_at = now(),"
                 " held_revision = (select max(revision) from vo_change c where c.vo = replica.vo)")
        )  # fmt: skip
        pairs = list(session.execute(select(Replica.site, Replica.vo, Replica.sha256).order_by(Replica.site)))
        for site in {site for site, _vo, _sha256 in pairs}:
            session.execute(insert(Agent).values(site=site, url=site, version="bench"))
            sites.headers[site] = _known(session, site)
        for _site, vo, sha256 in pairs:
            if sha256 not in wholes:
                found = replication.snapshot_for(session, vo, sha256, list(sites.headers), house.press)
                opened = sites.keyring.open(found.as_json(), datetime.now(UTC))
                wholes[sha256] = Snapshot.parse(opened, house.press.federation, vo, sha256)
    for site, vo, sha256 in pairs:
        sites.held.setdefault(site, {})[vo] = wholes[sha256]
    return sites


def _known(session: Session, site: str) -> dict[str, str]:
    """The headers of a machine that the registry's feed knows for the site."""
    token = f"hanse_bench_{site}"
    key = token_key(token)
    body = {"principal": key, "role": "site_machine", "scope": f"site:{site}", "name": f"acct.{site}"}
    session.add(Followed(source="registry", kind="grant", id=f"{key} {site}", body=body, revision=1))
    return {"Authorization": f"Bearer {token}"}


def _one_change(house: House, sites: Sites, size: Size) -> None:
    """A suspension in the VO that every site supports."""
    with house.db.transaction() as session:
        member = session.scalars(select(Member.id).where(Member.vo == VO).order_by(Member.id)).first()
    assert member is not None
    sites.sent = 0
    name = f"one suspension at all {size.sites:,} sites"
    with _measured(house, name, CHANGE_S):
        with house.db.transaction() as session:
            suspensions.suspend(
                session, member, "SECURITY_INCIDENT", "bench", house.principal("Marta Kowalska")
            )
        publish(house.db, house.press)
        _push(house, sites)
    line(f"{name}, sent", sites.sent / 1e6, "MB", "whole snapshots", size.sites * _weight(sites) / 1e6, "MB")
    line(f"of it a site's own work, VO of {size.biggest:,}", sites.applying_s, "s")


def _weight(sites: Sites) -> float:
    (held,) = {snapshot.sha256: snapshot for one in sites.held.values() for snapshot in [one[VO]]}.values()
    return len(str(held.content)) * 4 / 3


def _push(house: House, sites: Sites) -> None:
    taken, refused = pushing.push_due(house.db, house.press, PACE, sites.push)
    assert refused == 0
    assert taken > 0
    with house.db.transaction() as session:
        found = promise.pairs(session, PROMISE)
        assert all(pair.state == promise.IN_STEP for pair in found), "a pair is not in step"
        assert acknowledging.in_step(session, found[0].site)


def _daily_run(house: House, sites: Sites, name: str, changes: int) -> float:
    """The run of every day: fresh manifests, a push to every site, and its word on every VO; seconds of work."""
    with house.db.transaction() as session:
        chosen = select(Member.id).where(Member.state == "active").order_by(Member.id % 9973).limit(changes)
        for member in session.scalars(chosen).all():
            suspensions.suspend(session, member, "OTHER", "bench", house.principal("Ingrid Holm"))
    sites.sent = 0
    with _measured(house, name, DAY_S) as found:
        with house.db.transaction() as session:
            replication.tell_all(session, house.press, None, timedelta(0))
        _push(house, sites)
    line(f"{name}, sent", sites.sent / 1e6, "MB")
    return found[1]


def _idle(house: House) -> None:
    """The look for changes every two seconds, when there is nothing."""
    followed: set[object] = set()
    publish(house.db, house.press, followed)
    began, busy = time.perf_counter(), time.process_time()
    for _ in range(20):
        publish(house.db, house.press, followed)
    line("a look for changes when there is none", (time.perf_counter() - began) / 20 * 1000, "ms")
    line("a look for changes when there is none, CPU", (time.process_time() - busy) / 20 * 1000, "ms")


def _ten_thousand(size: Size, pairs: int, quiet: float) -> None:
    """What ten times the sites would need, by the cost of a pair on a quiet day."""
    seconds = quiet * 10_000 / size.sites
    line("10,000 sites: work of a quiet day at this cost a pair", seconds, "s")
    line("10,000 sites: share of one machine over a day", seconds / 864, "%")
    line("cost of a pair and day", quiet / pairs * 1000, "ms")


if __name__ == "__main__":
    main()
