"""Quarantine beyond single records: replays of many with their progress, discards taken back, remarks."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from accounting import bulk_replay, quarantine, replay, schemas
from accounting.api.answers import RecordsIn, RemarkOut, ReplayRunIn, ReplayRunOut, TakenBackOut
from accounting.api.common import SitePath, demand_as_site, loader, remark_after
from accounting.asking.question import parse_month
from accounting.models import Remark, ReplayRun
from accounting.permissions import DISCARD, READ_REFUSED, REPLAY
from hanse.web import Api, CursorQuery, Listing, current_principal, cursor_page, ground

quarantine_api = Api("accounting_quarantine", __name__, "Refused records", csv=True)


class RunPath(SitePath):
    """A replay of many of a site."""

    id: int = Field(ge=1, le=schemas.BIGGEST)


class RemarkQuery(CursorQuery):
    """Which remarks."""

    days: int = Field(7, ge=1, le=3660, description="Of the last days.")
    code: str | None = Field(None, max_length=100)


@quarantine_api.post(
    "/sites/<site>/replays",
    permission=REPLAY,
    summary="Replay all refused records with one cause",
    responses={202: ReplayRunOut},
)
def ask_replay(path: SitePath, body: ReplayRunIn) -> tuple[dict[str, Any], int]:
    """In the background, in portions; ask for its progress. One at a time for a site and cause."""
    month = parse_month(body.month, "month") if body.month else None
    choice = bulk_replay.Choice(body.code, body.field, month, body.as_site)
    demand_as_site(body.as_site)
    with ground().db.transaction() as session:
        run = bulk_replay.ask(session, path.site, choice, current_principal().name)
        return run_out(run), 202


@quarantine_api.get(
    "/sites/<site>/replays",
    permission=READ_REFUSED,
    summary="The latest replays of many, newest first",
    responses={200: Listing[ReplayRunOut]},
)
def replays(path: SitePath) -> dict[str, Any]:
    """Ten of them."""
    with ground().db.transaction() as session:
        found = bulk_replay.recent(session, path.site)
    return {"items": [run_out(run) for run in found], "next": None}


@quarantine_api.get(
    "/sites/<site>/replays/<int:id>",
    permission=READ_REFUSED,
    summary="How far a replay of many is",
    responses={200: ReplayRunOut},
)
def replay_progress(path: RunPath) -> dict[str, Any]:
    """`done` of `records`; when its state is done or failed, nothing moves any more."""
    with ground().db.transaction() as session:
        return run_out(bulk_replay.one(session, path.site, path.id))


def run_out(run: ReplayRun) -> dict[str, Any]:
    """A replay of many as ReplayRunOut has it."""
    shown = {name: getattr(run, name) for name in ReplayRunOut.model_fields}
    return shown | {"month": f"{run.month:%Y-%m}" if run.month else None}


@quarantine_api.post(
    "/sites/<site>/refused-records/take-back",
    permission=DISCARD,
    summary="Put discarded records back on the list of refused ones",
    responses={200: TakenBackOut},
)
def take_back(path: SitePath, body: RecordsIn) -> dict[str, int]:
    """What was discarded by mistake; it can be replayed again."""
    return {"taken_back": replay.take_back(loader(), path.site, body.ids, current_principal().name)}


@quarantine_api.get(
    "/sites/<site>/remarks",
    permission=READ_REFUSED,
    summary="Records that were accepted with a remark, newest first",
    responses={200: Listing[RemarkOut]},
)
def remarks(path: SitePath, query: RemarkQuery) -> dict[str, Any]:
    """One line a message, remark and field, with how many records it concerns and the first of them."""
    since = datetime.now(UTC) - timedelta(days=query.days)
    with ground().db.transaction() as session:
        rows = quarantine.remarks(
            session, replay.own(path.site), since=since, code=query.code, after=remark_after(query.cursor),
            limit=query.limit + 1,
        )  # fmt: skip
    return cursor_page(
        rows, query.limit, key=lambda row: (row.message_id, row.code, row.field), show=remark_out
    )


def remark_out(row: Remark) -> dict[str, Any]:
    """A remark as RemarkOut has it."""
    shown = {name: getattr(row, name) for name in RemarkOut.model_fields if hasattr(row, name)}
    return shown | {"message": row.message_id, "title": quarantine.REMARKS.get(row.code, row.code)}
