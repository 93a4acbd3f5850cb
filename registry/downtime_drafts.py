"""Drafts of downtimes: what somebody typed and has not declared, and what monitoring's outages propose.

A draft is no record of the federation: it stands outside the revision log, is seen by its owner alone (a proposal: by
all who may declare at its site), and goes after seven days without a change.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from registry import neighbours
from registry.models import DowntimeDraft, Site
from registry.rights import DECLARE_DOWNTIME, may_site
from registry.rules import BACKDATING
from registry.schemas.fields import iso, parse_time
from registry.settings import RegistrySettings

KEPT: Final = timedelta(days=7)
MOST: Final = 50
MOST_BYTES: Final = 64_000
MOST_PROPOSALS: Final = 20
_INCIDENT: Final = "incident "

Typed = Mapping[str, Any]


def save(db: Database, principal: Principal, typed: Typed, key: str | None = None) -> str:
    """Keep what was typed, under `key` or a new one; returns the key. Raises NotFound for a draft of others.

    Whoever goes on with a proposal gets an own draft of it; the proposal stays for the others.
    """
    if len(json.dumps(typed, ensure_ascii=False).encode()) > MOST_BYTES:
        raise Refused("The draft was not kept.", FieldFault("draft", f"is longer than {MOST_BYTES:,} bytes"))
    with db.transaction() as session:
        draft = None if key is None else find(session, principal, key)
        if draft is None or draft.owner is None:
            draft = DowntimeDraft(key=secrets.token_urlsafe(18), owner=_owner(principal), reason="")
            session.add(draft)
        draft.body = dict(typed)
        draft.changed_at = datetime.now(UTC)
        session.flush()
        _keep_newest(session, _owner(principal))
        return draft.key


def _owner(principal: Principal) -> str:
    return f"person:{principal.person}" if principal.person else principal.key


def _keep_newest(session: Session, owner: str) -> None:
    own = select(DowntimeDraft.key).where(DowntimeDraft.owner == owner)
    newest = own.order_by(DowntimeDraft.changed_at.desc(), DowntimeDraft.key).limit(MOST)
    session.execute(
        delete(DowntimeDraft).where(DowntimeDraft.owner == owner, DowntimeDraft.key.not_in(newest))
    )


def find(session: Session, principal: Principal, key: str) -> DowntimeDraft:
    """A draft of one's own, or a proposal for one's site. Raises NotFound for any other."""
    draft = session.get(DowntimeDraft, key)
    if draft is None or not _may_see(principal, draft) or draft.changed_at < datetime.now(UTC) - KEPT:
        raise NotFound("There is no such draft; drafts are kept for 7 days.")
    return draft


def _may_see(principal: Principal, draft: DowntimeDraft) -> bool:
    if draft.site is not None:
        return may_site(principal, DECLARE_DOWNTIME, draft.site)
    return draft.owner == _owner(principal)


def of(session: Session, principal: Principal) -> list[DowntimeDraft]:
    """One's own drafts and the proposals for one's sites, the latest first."""
    wanted = select(DowntimeDraft).where(
        or_(DowntimeDraft.owner == _owner(principal), DowntimeDraft.site_id.is_not(None)),
        DowntimeDraft.changed_at >= datetime.now(UTC) - KEPT,
    )
    found = session.scalars(wanted.order_by(DowntimeDraft.changed_at.desc(), DowntimeDraft.key))
    return [draft for draft in found if _may_see(principal, draft)]


def discard(db: Database, principal: Principal, key: str) -> None:
    """Throw a draft away. A proposal is emptied, so that it is not made again while its outage lasts."""
    with db.transaction() as session:
        draft = find(session, principal, key)
        if draft.proposal is None:
            session.delete(draft)
        else:
            draft.changed_at = datetime.now(UTC) - KEPT - timedelta(days=1)


def tidy(db: Database, settings: RegistrySettings) -> str:
    """Forget old drafts and propose downtimes for outages that last; a sentence for the run log."""
    with db.transaction() as session:
        old = DowntimeDraft.changed_at < datetime.now(UTC) - KEPT
        gone = session.execute(
            delete(DowntimeDraft).where(old, DowntimeDraft.proposal.is_(None)).returning(DowntimeDraft.key)
        ).all()
    return f"{len(gone)} drafts were forgotten; {propose(db, settings)}"


def propose(db: Database, settings: RegistrySettings) -> str:
    """A draft for each site outage that has lasted `propose_downtime_after_s` and lies in no downtime.

    Proposals whose incident is over are withdrawn. While monitoring is silent nothing changes.
    """
    if not settings.propose_downtime_after_s or not settings.monitoring_url:
        return "no downtime is proposed."
    heard = neighbours.ask_alone(settings, "monitoring", "/api/v1/incidents?state=open&limit=500")
    if not heard.fresh:
        return f"{heard.fault or 'Monitoring is not known'}: no downtime is proposed."
    before = datetime.now(UTC) - timedelta(seconds=settings.propose_downtime_after_s)
    lasting = {
        _INCIDENT + str(one["number"]): one
        for one in heard.body.get("items", ())
        if one.get("site") and one.get("muted_by") is None and parse_time(one["began_at"]) <= before
    }
    with db.transaction() as session:
        known = set(
            session.scalars(select(DowntimeDraft.proposal).where(DowntimeDraft.proposal.is_not(None)))
        )
        withdrawn = known - lasting.keys()
        session.execute(delete(DowntimeDraft).where(DowntimeDraft.proposal.in_(withdrawn)))
    new = sorted(lasting.keys() - known)[:MOST_PROPOSALS]
    made = sum(_propose(db, settings, proposal, lasting[proposal]) for proposal in new)
    return f"{made} downtimes were proposed, {len(withdrawn)} proposals withdrawn."


def _propose(db: Database, settings: RegistrySettings, proposal: str, incident: Mapping[str, Any]) -> bool:
    """One draft from an incident; its endpoints are asked for, and without an answer the next run tries again."""
    heard = neighbours.ask_alone(settings, "monitoring", f"/api/v1/incidents/{int(incident['number'])}")
    if not heard.fresh:
        return False
    began = max(parse_time(incident["began_at"]), datetime.now(UTC) - BACKDATING + timedelta(hours=1))
    cause = str(incident.get("cause") or incident.get("title") or "")
    body = {
        "sites": [incident["site"]],
        "endpoints": [str(one["id"]) for one in heard.body.get("endpoints", ()) if "id" in one],
        "severity": "OUTAGE" if incident.get("severity") == "down" else "WARNING",
        "start": iso(began.replace(second=0, microsecond=0)),
        "description": cause,
    }
    with db.transaction() as session:
        site = session.scalar(select(Site).where(Site.name == incident["site"]))
        if site is None:
            return False
        why = f"Incident {incident['number']}: {incident.get('title') or 'an outage'} since {incident['began_at']}"
        draft = DowntimeDraft(
            key=secrets.token_urlsafe(18), site_id=site.id, proposal=proposal, reason=why, body=body
        )
        session.add(draft)
    return True
