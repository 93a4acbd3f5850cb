"""Sites: they join with a code and fetch what they lack; and telling all of them that it is time to."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session, defer

from hanse.errors import Forbidden, NotFound
from hanse.follow import followed
from hanse.identity.principals import Principal
from vomsdb import deltas, notices, publishing
from vomsdb import manifests as signing
from vomsdb.models import Agent, Attempt, JoinCode, Replica, Snapshot
from vomsdb.press import Press
from vomsdb.snapshots import Envelope

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
    signing.mark(session, [site])
    signing.write(session, press, site=site)
    agent = session.get(Agent, site) or Agent(site=site)
    agent.url = agent_url or known(session, site).get("agent_url")
    agent.version, agent.joined_at, agent.heard_at = version, row.used_at, row.used_at
    agent.failures, agent.push_at = 0, row.used_at if agent.url else None
    session.add(agent)
    session.add(Attempt(site=site, way="join", good=True, answer=f"agent {version} joined"))
    vos = select(Replica.vo).where(Replica.site == site).order_by(Replica.vo)
    return Joined(site, list(session.scalars(vos)))


# --- fetching -----------------------------------------------------------------------------------------------------


class Offer(NamedTuple):
    """What an agent gets, by pull and by push alike: envelopes of manifests and of the notice of keys."""

    manifests: list[dict[str, Any]]
    keys: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """The object that goes over the wire."""
        return self._asdict()


def offer(session: Session, site: str, press: Press) -> Offer:
    """Everything for the site's agent, which was heard of herewith."""
    found = Offer(current_manifests(session, site, press), notices.current(session, press))
    heard(session, site)
    return found


class News(NamedTuple):
    """What a push tells, and of which VO and moment each of its manifests is."""

    offer: Offer
    told: list[tuple[str, datetime]]


def news(session: Session, site: str, press: Press) -> News:
    """Manifests that the agent has not taken yet from a push, and those of which it does not hold the state."""
    signing.write(session, press, site=site, older_than=press.valid_for / 3)
    behind = Replica.held_sha256.is_distinct_from(Replica.sha256)
    untold = Replica.told_at.is_distinct_from(Replica.manifest_at)
    query = select(Replica.vo, Replica.manifest_at, Replica.manifest).where(Replica.site == site)
    rows = session.execute(
        query.where(Replica.manifest_at.is_not(None), behind | untold).order_by(Replica.vo)
    )
    found = [(vo, at, manifest) for vo, at, manifest in rows if at is not None and manifest is not None]
    offer = Offer([manifest for _vo, _at, manifest in found], notices.current(session, press))
    return News(offer, [(vo, at) for vo, at, _manifest in found])


_TOOK = text(
    """
    with told as (
        select r.site, r.vo, told.at from replica r
        join unnest(cast(:vos as text[]), cast(:times as timestamptz[])) told (vo, at) on told.vo = r.vo
        where r.site = :site order by r.vo for update of r
    )
    update replica r set told_at = told.at from told where r.site = told.site and r.vo = told.vo
    """
)


def took(session: Session, site: str, told: Sequence[tuple[str, datetime]]) -> None:
    """The agent took these manifests; one that was signed anew meanwhile is told again."""
    given = {"site": site, "vos": [vo for vo, _at in told], "times": [at for _vo, at in told]}
    session.execute(_TOOK, given)


def current_manifests(session: Session, site: str, press: Press) -> list[dict[str, Any]]:
    """The signed manifests of the site, none older than a third of their validity."""
    signing.write(session, press, site=site, older_than=press.valid_for / 3)
    query = select(Replica.manifest).where(Replica.site == site, Replica.manifest.is_not(None))
    return [envelope for envelope in session.scalars(query.order_by(Replica.vo)) if envelope is not None]


def heard(session: Session, site: str) -> None:
    """Notes that the agent was in touch, at most every ten seconds: agents may poll often."""
    recent = func.now() - text("interval '10 seconds'")
    stale = (Agent.heard_at.is_(None)) | (Agent.heard_at < recent)
    session.execute(update(Agent).where(Agent.site == site, stale).values(heard_at=func.now()))


def _serves(session: Session, vo: str, sites: Sequence[str]) -> str:
    """The one of the caller's sites that supports the VO; raises Forbidden."""
    served = select(Replica.site).where(Replica.vo == vo, Replica.site.in_(sites)).limit(1)
    site = session.scalar(served)
    if site is None:
        raise Forbidden(f"None of your sites supports {vo}; its shares are in the registry.")
    return site


def _found(session: Session, vo: str, sha256: str, press: Press) -> Snapshot:
    """The snapshot, under the key that signs now; raises NotFound."""
    snapshot = session.get(
        Snapshot, sha256, options=[defer(Snapshot.payload)]
    )  # megabytes, read only when needed
    if snapshot is None or snapshot.vo != vo:
        raise NotFound(f"{vo} has no snapshot {sha256[:16]}; fetch the manifests again.")
    if snapshot.key_id != press.key.key_id:
        envelope = press.key.sign(snapshot.payload)
        snapshot.signature, snapshot.key_id = envelope.signature, envelope.key_id
    return snapshot


def snapshot_for(session: Session, vo: str, sha256: str, sites: Sequence[str], press: Press) -> Envelope:
    """A snapshot, for an agent of a site that supports the VO; raises Forbidden or NotFound."""
    site = _serves(session, vo, sites)
    found = _found(session, vo, sha256, press)
    session.add(Attempt(site=site, vo=vo, way="pull", good=True, answer=f"change {found.seq} fetched whole"))
    return Envelope(found.payload, found.signature, found.key_id)


def delta_for(
    session: Session, vo: str, before: str, after: str, sites: Sequence[str], press: Press
) -> Envelope:
    """What leads from one state of the VO to a later one; raises Forbidden, NotFound where there is no such way."""
    site = _serves(session, vo, sites)
    old, new = (_found(session, vo, sha256, press) for sha256 in (before, after))
    made = deltas.between(session, old, new, press)
    answer = f"changes {old.seq} to {new.seq} fetched"
    session.add(Attempt(site=site, vo=vo, way="pull", good=True, answer=answer))
    return made


# --- telling all --------------------------------------------------------------------------------------------------


def tell_all(
    session: Session, press: Press, sites: Sequence[str] | None, spread: timedelta
) -> tuple[int, int]:
    """Fresh manifests for all pairs and a push to every agent; (sites, pairs).

    `spread` parts the sites over a while, each always at the same place in it. The manifests are only marked here, and
    signed when the site's turn comes. Raises NotFound for unknown sites.
    """
    publishing.follow_the_registry(session)
    known_sites = set(session.scalars(select(Replica.site).distinct()))
    if unknown := sorted(set(sites or ()) - known_sites):
        raise NotFound(f"{unknown[0]} is not a site that supports one of the VOs.")
    chosen = known_sites if sites is None else set(sites)
    pairs = signing.mark(session, None if sites is None else sorted(chosen))
    publishing.publish_changed(session, press)
    _call(session, chosen, spread)
    return len(chosen), pairs


def _call(session: Session, sites: Set[str], spread: timedelta) -> None:
    """A push to each agent at its place in the spread, or sooner if it was due sooner."""
    now = datetime.now(UTC)
    reachable = select(Agent.site, Agent.push_at).where(Agent.url.is_not(None)).order_by(Agent.site)
    due = []
    for site, push_at in session.execute(reachable.with_for_update()):
        if site in sites:
            place = now + spread * _place(site)
            due.append({"site": site, "push_at": min(push_at or place, place), "failures": 0})
    if due:
        session.execute(update(Agent), due)
        session.expire_all()


def _place(site: str) -> float:
    """Where in the spread a site stands, between 0 and 1: always the same, and even over many sites."""
    return int.from_bytes(hashlib.sha256(site.encode()).digest()[:4], "big") / 2**32
