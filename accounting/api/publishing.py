"""How sites publish, their messages, and the figures of the operator's page."""

from datetime import UTC, datetime
from typing import Any

from flask import Response
from pydantic import Field
from sqlalchemy import select

from accounting import publishing, replay, schemas, site_publishing
from accounting.api.common import SitePath, limits, number_before
from accounting.api.usage import fresh_out
from accounting.models import Message
from accounting.permissions import OVERVIEW, READ_ANY_REFUSED, READ_REFUSED
from accounting.publishing import Limits, SiteStatus
from hanse.errors import NotFound
from hanse.identity.permissions import PUBLIC
from hanse.web import (
    Api,
    CursorQuery,
    Listing,
    PathModel,
    authorise,
    csv_response,
    cursor_page,
    ground,
)

publishing_api = Api("accounting_publishing", __name__, "Publishing")


class MessagePath(PathModel):
    """A message by its number."""

    id: int = Field(ge=1, le=schemas.BIGGEST)


@publishing_api.get(
    "/publishing",
    permission=PUBLIC,
    summary="How each site publishes, longest silent first",
    responses={200: Listing[schemas.PublishingOut]},
)
def publishing_status() -> dict[str, Any]:
    """Counts are over the last 30 days."""
    return {"items": _statuses(), "next": None}


@publishing_api.get("/publishing.csv", permission=PUBLIC, summary="The same as CSV")
def publishing_csv() -> Response:
    """One line a site."""
    return csv_response(_statuses(), list(schemas.PublishingOut.model_fields), "publishing.csv")


def _statuses() -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    with ground().db.transaction() as session:
        found = publishing.statuses(session, limits(), now)
    return [vars(each) | {"age_s": each.age_s(now)} for each in found]


@publishing_api.get(
    "/sites/<site>/freshness",
    permission=PUBLIC,
    summary="How old a site's usage is, as a probe's result",
    responses={200: schemas.FreshnessOut},
)
def freshness(path: SitePath) -> dict[str, Any]:
    """State and code as Nagios has them, with the sentence; always 200 for a site that is known."""
    now, bounds = datetime.now(UTC), limits()
    with ground().db.transaction() as session:
        status = site_publishing.status_of(session, path.site, bounds, now)
    return freshness_out(status, bounds, now)


def freshness_out(status: SiteStatus, bounds: Limits, now: datetime) -> dict[str, Any]:
    """A site's state as FreshnessOut has it."""
    judged = site_publishing.freshness(status, bounds, now)
    return {
        "site": status.site, "state": judged.level, "code": judged.code, "reason": judged.reason,
        "age_s": status.age_s(now), "warning_s": bounds.warning_days * 86_400,
        "critical_s": bounds.critical_days * 86_400, "last_message_at": status.last_message_at,
        "measured_until": status.measured_until,
    }  # fmt: skip


@publishing_api.get(
    "/publishing/<site>",
    permission=PUBLIC,
    summary="How one site publishes, in detail",
    responses={200: schemas.SitePublishingOut},
)
def publishing_of_site(path: SitePath) -> dict[str, Any]:
    """Freshness, gaps by month, the sync check against the site's own counts, and messages of the last 90 days."""
    now, bounds = datetime.now(UTC), limits()
    with ground().db.transaction() as session:
        status = site_publishing.status_of(session, path.site, bounds, now)
        gaps = site_publishing.gaps(session, path.site).get(path.site, [])
        silent = site_publishing.silent_machines(session, path.site)
        sync = site_publishing.sync(session, path.site)
        days = site_publishing.by_day(session, path.site, now, 90)
    return {
        "freshness": freshness_out(status, bounds, now), "gaps": [f"{month:%Y-%m}" for month in gaps],
        "silent_machines": silent,
        "sync": [
            {
                "month": f"{each.month:%Y-%m}", "submit_host": each.submit_host, "said": each.said,
                "counted": each.counted, "difference": each.difference,
            }
            for each in sync
        ],
        "days": [vars(day) for day in days],
    }  # fmt: skip


@publishing_api.get(
    "/sites/<site>/messages",
    permission=READ_REFUSED,
    summary="Messages of a site, newest first",
    responses={200: Listing[schemas.MessageOut]},
)
def messages(path: SitePath, query: CursorQuery) -> dict[str, Any]:
    """What was received and what became of it."""
    before = number_before(query.cursor)
    statement = select(Message).where(Message.site == ("" if path.site == replay.NOBODYS else path.site))
    if before is not None:
        statement = statement.where(Message.id < before)
    with ground().db.transaction() as session:
        rows = session.scalars(statement.order_by(Message.id.desc()).limit(query.limit + 1)).all()
    return cursor_page(rows, query.limit, key=lambda row: (row.id,), show=message_out)


def message_out(row: Message) -> dict[str, Any]:
    """A message as MessageOut has it."""
    shown = {
        name: getattr(row, name)
        for name in schemas.MessageOut.model_fields
        if name not in ("sha256", "sender")
    }
    return shown | {"sha256": row.sha256.hex(), "sender": row.sender_name}


@publishing_api.get(
    "/messages/<int:id>",
    permission=READ_ANY_REFUSED,
    summary="One message",
    responses={200: schemas.MessageOut},
)
def message(path: MessagePath) -> dict[str, Any]:
    """By the number that publishing answered; for the site whose message it is."""
    with ground().db.transaction() as session:
        row = session.get(Message, path.id)
    if row is None:
        raise NotFound(f"There is no message {path.id}.")
    authorise(READ_ANY_REFUSED, f"site:{row.site}")
    return message_out(row)


@publishing_api.get(
    "/overview",
    permission=OVERVIEW,
    summary="Figures for the operator's page",
    responses={200: schemas.OverviewOut},
)
def overview() -> dict[str, Any]:
    """Refused records of 7 days, waiting messages, this month's CPU hours and the last 14 days."""
    now = datetime.now(UTC)
    with ground().db.transaction() as session:
        found = publishing.overview(session, limits(), now)
    return {
        "generated_at": now,
        "refused_7d": sum(each.records for each in found.refused),
        "refused_sites": [vars(each) for each in found.refused],
        "messages_waiting": found.waiting,
        "cpu_hours_month": found.cpu_s_month / 3600,
        "by_day": [{"day": day, "cpu_hours": hours} for day, hours in found.by_day],
        "late_sites": [fresh_out(each, each.state) for each in found.late],
    }  # fmt: skip
