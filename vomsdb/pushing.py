"""Telling the agents: each site that is due gets its signed manifests, and again, ever more rarely, until it acts."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.http import HttpError, fetch
from vomsdb import acknowledging, replication
from vomsdb.models import Agent, Attempt
from vomsdb.press import Press
from vomsdb.replication import Offer

_AT_ONCE = 8
ROUNDS = 20
#: Posts what an agent should know to it; the sentence of its answer, or HttpError.
Post = Callable[[str, Offer], str]


@dataclass(frozen=True)
class Pace:
    """Seconds a push may take, before its first repetition, and between two at most."""

    timeout_s: float
    retry_s: float
    retry_max_s: float

    def pause(self, failures: int) -> timedelta:
        """The pause after so many vain pushes: doubling, with a share of chance so that sites part."""
        seconds = min(self.retry_s * 2 ** min(failures, 20), self.retry_max_s)
        return timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - no secret, only spreading


def post(pace: Pace) -> Post:
    """Posts over HTTP. The documents are signed, so no credential goes along."""

    def to_agent(url: str, offer: Offer) -> str:
        address = url.rstrip("/") + "/hanse/manifests"
        answer = fetch("POST", address, json=offer.as_json(), deadline_s=pace.timeout_s, max_bytes=65536)
        if answer.status >= 300:
            detail = answer.body.decode("utf-8", "replace")[:300]
            raise HttpError(f"{address} answered {answer.status}: {detail}")
        return f"taken ({answer.status})"

    return to_agent


def push_due(db: Database, press: Press, pace: Pace, send: Post) -> tuple[int, int]:
    """Pushes to all agents that are due, some at the same time; (taken, refused or unreachable)."""
    taken = refused = 0
    with ThreadPoolExecutor(_AT_ONCE, "push") as pool:
        for _ in range(ROUNDS):
            with db.transaction() as session:
                due = _claim(session, pace)
            outcomes = list(pool.map(lambda agent: _push(db, press, pace, send, agent), due))
            taken, refused = taken + outcomes.count(True), refused + outcomes.count(False)
            if not due:
                break
    return taken, refused


class _Due(NamedTuple):
    """An agent to push to, and the time to which its next push was put off meanwhile."""

    site: str
    url: str
    claimed: datetime


def _claim(session: Session, pace: Pace) -> list[_Due]:
    """Takes what is due. Whoever dies with a claim leaves it due again a while later: nothing is dropped."""
    query = (
        select(Agent)
        .where(Agent.push_at <= func.now(), Agent.url.is_not(None))
        .order_by(Agent.push_at)
        .limit(200)
        .with_for_update(skip_locked=True)
    )
    claimed = []
    for agent in session.scalars(query):
        agent.push_at = datetime.now(UTC) + timedelta(seconds=2 * pace.timeout_s)
        claimed.append(_Due(agent.site, str(agent.url), agent.push_at))
    return claimed


def _push(db: Database, press: Press, pace: Pace, send: Post, due: _Due) -> bool:
    with db.transaction() as session:
        news = replication.news(session, due.site, press)
    try:
        answer, good = send(due.url, news.offer), True
    except HttpError as fault:
        answer, good = str(fault), False
    with db.transaction() as session:
        session.add(Attempt(site=due.site, way="push", good=good, answer=answer[:1000]))
        if good:
            replication.took(session, due.site, news.told)
        _plan(session, due, pace)
    return good


def _plan(session: Session, due: _Due, pace: Pace) -> None:
    """A push that was taken is followed up as well: only the acknowledgement counts."""
    session.flush()
    agent = session.scalar(select(Agent).where(Agent.site == due.site).with_for_update())
    if agent is None or agent.push_at != due.claimed:
        return  # somebody has something new to tell meanwhile, or the site has acknowledged
    if acknowledging.in_step(session, due.site):
        agent.push_at, agent.failures = None, 0
    else:
        agent.push_at = datetime.now(UTC) + pace.pause(agent.failures)
        agent.failures += 1
