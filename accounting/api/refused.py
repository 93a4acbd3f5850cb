"""Refused records of a site: read, replayed, discarded."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response
from pydantic import Field

from accounting import quarantine, replay, schemas
from accounting.api.common import SitePath, demand_as_site, loader, number_before
from accounting.models import RefusedRecord
from accounting.permissions import DISCARD, READ_REFUSED, REPLAY
from hanse.web import Api, CursorQuery, Listing, csv_response, current_principal, cursor_page, ground

refused_api = Api("accounting_refused", __name__, "Refused records")
CSV_REFUSED = (
    "id", "message", "record", "site", "site_name", "code", "field", "line", "reason", "subject", "vo", "cpu_hours",
    "month", "received_at", "state",
)  # fmt: skip


class RecordPath(SitePath):
    """A refused record of a site."""

    id: int = Field(ge=1, le=schemas.BIGGEST)


class RefusedQuery(CursorQuery):
    """Which refused records."""

    state: schemas.RecordState = "refused"
    days: int | None = Field(None, ge=1, le=3660, description="Only of the last days.")
    code: str | None = Field(None, max_length=100)
    field: str | None = Field(None, max_length=255)


@refused_api.get(
    "/sites/<site>/refused-records",
    permission=READ_REFUSED,
    summary="Refused records of a site, newest first",
    responses={200: Listing[schemas.RefusedOut]},
)
def refused_records(path: SitePath, query: RefusedQuery) -> dict[str, Any]:
    """`-` as the site lists what is nobody's: signed by a certificate of no site, and published without one."""
    rows = _refused(path.site, query, limit=query.limit + 1)
    return cursor_page(rows, query.limit, key=lambda row: (row.id,), show=refused_out)


@refused_api.get(
    "/sites/<site>/refused-records.csv", permission=READ_REFUSED, summary="Refused records of a site as CSV"
)
def refused_records_csv(path: SitePath, query: RefusedQuery) -> Response:
    """At most 10,000 lines."""
    rows = _refused(path.site, query, limit=10_000)
    return csv_response([refused_out(row) for row in rows], CSV_REFUSED, f"refused-{path.site}.csv")


def _refused(site: str, query: RefusedQuery, limit: int) -> list[RefusedRecord]:
    since = datetime.now(UTC) - timedelta(days=query.days) if query.days else None
    with ground().db.transaction() as session:
        return quarantine.records(
            session, "" if site == replay.NOBODYS else site, state=query.state, since=since, code=query.code,
            field=query.field, before=number_before(query.cursor), limit=limit,
        )  # fmt: skip


def refused_out(row: RefusedRecord) -> dict[str, Any]:
    """A refused record as RefusedOut has it."""
    cause = quarantine.cause(row.code)
    return {
        "id": row.id, "message": row.message_id, "record": row.record, "site": row.site, "site_name": row.site_name,
        "code": row.code, "field": row.field, "line": row.line, "reason": row.reason, "mend": cause.mend,
        "replayable": cause.replayable, "subject": row.subject, "vo": row.vo,
        "cpu_hours": None if row.cpu_s is None else row.cpu_s / 3600,
        "month": f"{row.month:%Y-%m}" if row.month else None, "received_at": row.received_at, "state": row.state,
        "decided_at": row.decided_at, "decided_by": row.decided_by, "decided_why": row.decided_why,
    }  # fmt: skip


@refused_api.get(
    "/sites/<site>/refused-records/<int:id>",
    permission=READ_REFUSED,
    summary="One refused record with its text",
    responses={200: schemas.RefusedDetail},
)
def refused_record(path: RecordPath) -> dict[str, Any]:
    """Every fault, and the record as it came, with the line of the message at which it begins."""
    with ground().db.transaction() as session:
        row = quarantine.one(session, "" if path.site == replay.NOBODYS else path.site, path.id)
        raw = quarantine.raw_text(session, row)
    return refused_out(row) | {"faults": row.faults, "first_line": row.first_line, "raw": raw}


@refused_api.post(
    "/sites/<site>/refused-records/replay",
    permission=REPLAY,
    summary="Run refused records through the pipeline again",
    responses={200: schemas.ReplayOut},
)
def replay_records(path: SitePath, body: schemas.ReplayIn) -> dict[str, Any]:
    """After the cause was mended. Counts each record once; the later receipt counts. Record 0 = the whole
    message.
    """
    demand_as_site(body.as_site)
    done = replay.replay(loader(), path.site, body.ids, as_site=body.as_site, by=current_principal().name)
    return {"counted": done.counted, "refused": done.refused, "reason": done.reason}


@refused_api.post(
    "/sites/<site>/refused-records/discard",
    permission=DISCARD,
    summary="Take refused records off the list uncounted",
    responses={200: schemas.DiscardOut},
)
def discard_records(path: SitePath, body: schemas.DiscardIn) -> dict[str, int]:
    """They stay readable as discarded."""
    by = current_principal().name
    return {"discarded": replay.discard(loader(), path.site, body.ids, by, body.reason)}
