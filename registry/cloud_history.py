"""What clouds published before: which document stood at a moment, and which of the old ones are kept.

The newest documents of a cloud are all kept, of those before the last of each day. One that goes leaves its time to the
one before it, so that a look at the past still finds what was published then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, undefer

from registry.models import CloudDocument, Site

ALL_KEPT: Final = 24
"""How many of the newest documents of a cloud are kept, however many came in a day."""


def then(
    session: Session,
    at: datetime,
    *,
    site_ids: Iterable[int] | None = None,
    stale: bool = False,
    whole: bool = False,
) -> list[CloudDocument]:
    """The document of each cloud that stood at a moment, with its facts, by the number of the site.

    Of some sites, or of all; with those that were too old by then (`stale`); with their text
    (`whole`).
    """
    came = select(CloudDocument.id).where(CloudDocument.received_at <= at)
    if site_ids is not None:
        came = came.where(CloudDocument.site_id.in_(list(site_ids)))
    newest = came.ext(distinct_on(CloudDocument.site_id, CloudDocument.service)).order_by(
        CloudDocument.site_id,
        CloudDocument.service,
        CloudDocument.created_at.desc(),
        CloudDocument.id.desc(),
    )
    asked = select(CloudDocument).where(CloudDocument.id.in_(newest)).options(undefer(CloudDocument.facts))
    if whole:
        asked = asked.options(undefer(CloudDocument.body))
    found = session.scalars(asked.order_by(CloudDocument.site_id, CloudDocument.service))
    return [one for one in found if stale or one.held_until > at]


def of_site(session: Session, site: Site, until: datetime | None = None) -> list[CloudDocument]:
    """All documents of a site that are kept, or those that had come by a moment; the newest first."""
    asked = select(CloudDocument).where(CloudDocument.site_id == site.id)
    if until is not None:
        asked = asked.where(CloudDocument.received_at <= until)
    return list(session.scalars(asked.order_by(CloudDocument.received_at.desc(), CloudDocument.id.desc())))


@dataclass(frozen=True)
class Kept:
    """A document as far as keeping it goes."""

    id: int
    received_at: datetime
    held_until: datetime
    current: bool


def forget_old(session: Session, document: CloudDocument, days: float, now: datetime) -> None:
    """Forget what need not be kept of the cloud of `document`: after the newest one, one a day for `days` days."""
    rows = session.execute(
        select(
            CloudDocument.id,
            CloudDocument.received_at,
            CloudDocument.valid_until,
            CloudDocument.stood_until,
            CloudDocument.current,
        )
        .where(CloudDocument.site_id == document.site_id, CloudDocument.service == document.service)
        .order_by(CloudDocument.received_at, CloudDocument.id)
    )
    held = [Kept(row.id, row.received_at, row.stood_until or row.valid_until, row.current) for row in rows]
    gone, stood = thinned(held, now - timedelta(days=days))
    for number, until in stood.items():
        session.execute(update(CloudDocument).where(CloudDocument.id == number).values(stood_until=until))
    session.execute(delete(CloudDocument).where(CloudDocument.id.in_(gone)))


def thinned(held: Sequence[Kept], since: datetime) -> tuple[list[int], dict[int, datetime]]:
    """Of documents in the order in which they came: which go, and until when those stay to have stood that answer for
    them.
    """
    last_of_day = {one.received_at.astimezone(UTC).date(): one.id for one in held if one.received_at >= since}
    stays = {one.id for one in held[-ALL_KEPT:]} | set(last_of_day.values())
    gone: list[int] = []
    stood: dict[int, datetime] = {}
    before: Kept | None = None
    for one in held:
        if one.current or one.id in stays:
            before = one
            continue
        gone.append(one.id)
        if before is not None:
            stood[before.id] = max(stood.get(before.id, before.held_until), one.held_until)
    return gone, stood
