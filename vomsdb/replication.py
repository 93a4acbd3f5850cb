"""Sites: they join with a code, fetch what they lack, and say what they hold; and how old the oldest news is."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from hanse.errors import Forbidden, NotFound, Refused
from hanse.follow import followed
from hanse.identity.principals import Principal
from vomsdb import publishing
from vomsdb.models import (
    Acknowledgement,
    Agent,
    Attempt,
    JoinCode,
    Replica,
    Snapshot,
    VoChange,
)
from vomsdb.publishing import Press

# --- joining ------------------------------------------------------------------------------------------------------


def new_join_code(session: Session, site: str, within: timedelta, by: Principal) -> tuple[str, datetime]:
    """(code, its end) for the agent of a site that the registry knows; raises NotFound."""
    known(session, site)
    code = secrets.token_hex(16)  # no leading dash: it is typed after `--code`
    expires_at = datetime.now(UTC) + within
    session.add(JoinCode(code_hash=_hash(code), site=site, created_by=by.name, expires_at=expires_at))
    return code, expires_at


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def known(session: Session, site: str) -> Mapping[str, Any]:
    """The site as the registry tells it; raises NotFound."""
    for body in followed(session, "registry", "site").values():
        if body.get("name") == site:
            return body
    raise NotFound(f"The registry knows no site {site}.")


@dataclass(frozen=True)
class Joined:
    """What a site learns when it joins."""

    site: str
    vos: list[str]


def join(
    session: Session, site: str, code: str, version: str, agent_url: str | None, by: Principal, press: Press
) -> Joined:
    """The agent of the site is let in, once for each code. Raises Forbidden or NotFound."""
    row = session.scalar(select(JoinCode).where(JoinCode.code_hash == _hash(code)).with_for_update())
    if row is None or row.site != site:
        raise Forbidden(
            f"This join code is not one of {site}. A site administrator makes them in Membership."
        )
    if row.used_at is not None:
        raise Forbidden("This join code was used already; make a new one.")
    if row.expires_at <= datetime.now(UTC):
        raise Forbidden("This join code has expired; make a new one.")
    if not by.has("site_machine", f"site:{site}"):
        raise Forbidden(
            f"{by.name} is not a host certificate of {site}. Enter it in the registry, then join again."
        )
    row.used_at = datetime.now(UTC)
    publishing.follow_the_registry(session)
    publishing.write_manifests(session, press, site=site, older_than=timedelta(0))
    agent = session.get(Agent, site) or Agent(site=site)
    agent.url = agent_url or known(session, site).get("agent_url")
    agent.version, agent.joined_at, agent.heard_at = version, row.used_at, row.used_at
    agent.failures, agent.push_at = 0, row.used_at if agent.url else None
    session.add(agent)
    session.add(Attempt(site=site, way="join", good=True, answer=f"agent {version} joined"))
    vos = select(Replica.vo).where(Replica.site == site).order_by(Replica.vo)
    return Joined(site, list(session.scalars(vos)))


# --- fetching -----------------------------------------------------------------------------------------------------


def manifests(session: Session, site: str, press: Press) -> list[dict[str, Any]]:
    """The signed manifests of the site for its agent, which was heard of herewith."""
    found = current_manifests(session, site, press)
    heard(session, site)
    return found


def current_manifests(session: Session, site: str, press: Press) -> list[dict[str, Any]]:
    """The signed manifests of the site, none older than a third of their validity."""
    publishing.write_manifests(session, press, site=site, older_than=press.valid_for / 3)
    query = select(Replica.manifest).where(Replica.site == site, Replica.manifest.is_not(None))
    return [envelope for envelope in session.scalars(query.order_by(Replica.vo)) if envelope is not None]


def heard(session: Session, site: str) -> None:
    """Notes that the agent was in touch, at most every ten seconds: agents may poll often."""
    recent = func.now() - text("interval '10 seconds'")
    stale = (Agent.heard_at.is_(None)) | (Agent.heard_at < recent)
    session.execute(update(Agent).where(Agent.site == site, stale).values(heard_at=func.now()))


def snapshot_for(session: Session, vo: str, sha256: str, sites: Sequence[str]) -> Snapshot:
    """A snapshot, for an agent of a site that supports the VO; raises Forbidden or NotFound."""
    served = select(Replica.site).where(Replica.vo == vo, Replica.site.in_(sites)).limit(1)
    site = session.scalar(served)
    if site is None:
        raise Forbidden(f"None of your sites supports {vo}; its shares are in the registry.")
    snapshot = session.get(Snapshot, sha256)
    if snapshot is None or snapshot.vo != vo:
        raise NotFound(f"{vo} has no snapshot {sha256[:16]}; fetch the manifests again.")
    session.add(Attempt(site=site, vo=vo, way="pull", good=True, answer=f"change {snapshot.seq} fetched"))
    return snapshot


# --- acknowledging ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """What a site says it holds of a VO now, read back from its own files."""

    vo: str
    seq: int
    sha256: str
    applied_at: datetime
    counts: Mapping[str, int]
    errors: Sequence[str]
    agent_version: str


def acknowledge(session: Session, site: str, report: Report) -> Replica:
    """Writes down what the site holds; replicated means that the hash is the expected one. Raises Refused."""
    replica = session.scalar(
        select(Replica).where(Replica.site == site, Replica.vo == report.vo).with_for_update()
    )
    if replica is None:
        raise Refused(f"{site} does not support {report.vo}.")
    now = datetime.now(UTC)
    held = session.get(Snapshot, report.sha256)
    if held is not None and held.vo == report.vo and held.revision >= replica.held_revision:
        _confirm(session, replica, held, now)
    elif replica.differs_since is None:
        replica.differs_since = now
    replica.held_seq, replica.held_sha256 = report.seq, report.sha256
    replica.acked_at, replica.applied_at = now, report.applied_at
    replica.counts, replica.errors = dict(report.counts), list(report.errors)
    session.add(_noted(replica, report))
    _settle(session, site, report.agent_version)
    return replica


def _confirm(session: Session, replica: Replica, held: Snapshot, now: datetime) -> None:
    news = select(func.count(), func.min(VoChange.at)).where(
        VoChange.vo == replica.vo,
        VoChange.revision > replica.held_revision,
        VoChange.revision <= held.revision,
    )
    changes, oldest = session.execute(news).one()
    if changes:
        session.add(
            Acknowledgement(
                site=replica.site,
                vo=replica.vo,
                at=now,
                sha256=held.sha256,
                changes=changes,
                oldest_change_at=max(oldest, replica.since),
            )
        )
    replica.held_revision, replica.differs_since = held.revision, None


def _noted(replica: Replica, report: Report) -> Attempt:
    in_step = report.sha256 == replica.sha256
    if report.errors:
        answer = "; ".join(report.errors)
    elif in_step:
        answer = f"holds change {report.seq}, {report.counts.get('members', 0)} members"
    else:
        answer = f"holds {report.sha256[:12]}, not the expected {(replica.sha256 or '')[:12]}"
    good = in_step and not report.errors
    return Attempt(site=replica.site, vo=replica.vo, way="ack", good=good, answer=answer[:1000])


def _settle(session: Session, site: str, version: str) -> None:
    """Nothing more is pushed to a site that holds everything."""
    session.flush()
    values: dict[str, Any] = {"version": version[:100], "heard_at": func.now(), "failures": 0}
    if in_step(session, site):
        values["push_at"] = None
    session.execute(update(Agent).where(Agent.site == site).values(**values))


def in_step(session: Session, site: str) -> bool:
    """Whether the site holds what it should of every VO."""
    behind = Replica.held_sha256.is_distinct_from(Replica.sha256)
    return session.scalar(select(Replica.site).where(Replica.site == site, behind).limit(1)) is None


# --- telling all --------------------------------------------------------------------------------------------------


def tell_all(
    session: Session, press: Press, sites: Sequence[str] | None, spread: timedelta
) -> tuple[int, int]:
    """Fresh manifests for all pairs and a push to every agent; (sites, pairs).

    `spread` parts the sites over a while, each always at the same place in it. Raises NotFound for unknown sites.
    """
    publishing.follow_the_registry(session)
    publishing.publish_changed(session, press)
    known_sites = set(session.scalars(select(Replica.site).distinct()))
    if unknown := sorted(set(sites or ()) - known_sites):
        raise NotFound(f"{unknown[0]} is not a site that supports one of the VOs.")
    chosen = sorted(known_sites if sites is None else set(sites))
    pairs = 0
    now = datetime.now(UTC)
    for site in chosen:
        pairs += publishing.write_manifests(session, press, site=site)
        push_at = now + spread * _place(site)
        told = update(Agent).where(Agent.site == site, Agent.url.is_not(None))
        session.execute(told.values(push_at=func.least(Agent.push_at, push_at), failures=0))
    return len(chosen), pairs


def _place(site: str) -> float:
    """Where in the spread a site stands, between 0 and 1: always the same, and even over many sites."""
    return int.from_bytes(hashlib.sha256(site.encode()).digest()[:4], "big") / 2**32
