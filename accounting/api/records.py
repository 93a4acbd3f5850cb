"""The stored records of a site, its figures as APEL would give them, and months that it told of twice."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from flask import Response
from pydantic import BaseModel, Field

from accounting import apel_view, asking, schemas, stored_records
from accounting.api.common import SitePath, apel_place
from accounting.formats.rows import CloudSummary
from accounting.permissions import READ_RECORDS
from accounting.stored_records import KINDS, Wanted
from hanse.web import Api, CursorQuery, Listing, QueryModel, after, csv_stream, cursor_page, ground

records_api = Api("accounting_records", __name__, "Records")
MOST_LINES = 1_000_000
Kind = Literal["vm", "job", "job_summary", "cloud_summary", "sync", "storage", "accelerator", "ip"]
APEL_COLUMNS = (*CloudSummary._fields, "began_anew")


class RecordsFilter(QueryModel):
    """Which records of the site."""

    kind: Kind = Field("vm", description="The kind of record.")
    from_month: str | None = Field(
        None, alias="from", pattern=schemas.MONTH, description="Only from this month on."
    )
    to_month: str | None = Field(
        None, alias="to", pattern=schemas.MONTH, description="Only up to this month."
    )
    subject: str | None = Field(
        None, max_length=255,
        description="Only of this machine, job, volume, submit host, service or project (local group).",
    )  # fmt: skip
    vo: str | None = Field(None, max_length=255, description="Only of this VO.")


class RecordsQuery(RecordsFilter, CursorQuery):
    """Which records, page by page."""


class MonthsQuery(QueryModel):
    """Months, both included; without them the twelve that end with the current one."""

    from_month: str | None = Field(
        None, alias="from", pattern=schemas.MONTH, description="First month, YYYY-MM."
    )
    to_month: str | None = Field(None, alias="to", pattern=schemas.MONTH, description="Last month, YYYY-MM.")


class MonthsPage(MonthsQuery, CursorQuery):
    """Months, page by page."""


class RecordOut(BaseModel):
    """One stored record. `fields` are those of its kind, times in UTC; `message_id` among them names its message."""

    kind: Kind
    fields: dict[str, Any]


class ApelOut(BaseModel):
    """Machines of a month in one group of APEL's. Seconds; network in GB, memory in MB, disk in GB, as sites count.

    `began_anew`: a counter fell, so that a figure is negative, as APEL gives it.
    """

    month: str
    service: str
    user_name: str
    vo: str
    vo_group: str
    vo_role: str
    status: str
    cloud_type: str
    image: str
    earliest_start: datetime | None
    latest_start: datetime | None
    wall_s: int
    cpu_s: int
    cpu_count: float
    network_in: int | None
    network_out: int | None
    memory_mb: int | None
    disk_gb: int | None
    benchmark_type: str
    benchmark: float
    vms: int
    began_anew: bool


class OverlapOut(BaseModel):
    """What a site told of a month beside what counts: `origin` does not count, `counted` does."""

    month: str
    kind: Literal["job", "cloud"]
    origin: str
    counted: str
    records: int = Field(description="Jobs or machines that are not counted.")
    wall_seconds: int
    cpu_seconds: int


@records_api.get(
    "/sites/<site>/records",
    permission=READ_RECORDS,
    summary="Stored records of a site",
    responses={200: Listing[RecordOut]},
)
def stored(path: SitePath, query: RecordsQuery) -> dict[str, Any]:
    """In the order of their keys, so that pages neither repeat nor miss a record that was there."""
    wanted = _wanted(path.site, query)
    with ground().db.transaction() as session:
        rows = stored_records.records(session, wanted, query.limit + 1, after(query.cursor))
    return cursor_page(
        rows,
        query.limit,
        key=lambda row: stored_records.key_of(query.kind, row),
        show=lambda row: {"kind": query.kind, "fields": _numbers(stored_records.shown(query.kind, row))},
    )


@records_api.get(
    "/sites/<site>/records.csv", permission=READ_RECORDS, summary="Stored records of a site as CSV"
)
def stored_csv(path: SitePath, query: RecordsFilter) -> Response:
    """At most a million lines; narrow the months for more."""
    rows = stored_records.every_record(ground().db, _wanted(path.site, query), MOST_LINES)
    lines = (stored_records.shown(query.kind, row) for row in rows)
    return csv_stream(lines, KINDS[query.kind].columns, f"{query.kind}-records-{path.site}.csv")


@records_api.get(
    "/sites/<site>/apel-summaries",
    permission=READ_RECORDS,
    summary="Cloud usage of a site as APEL would sum it",
    responses={200: Listing[ApelOut]},
)
def apel_summaries(path: SitePath, query: MonthsPage) -> dict[str, Any]:
    """Months are cut at the last report of each, not in proportion to time; only for comparing with old figures."""
    first, last = _months(query)
    place = apel_place(query.cursor)
    with ground().db.transaction() as session:
        rows = apel_view.apel_page(session, path.site, first, last, place, query.limit + 1)
    return cursor_page(
        rows, query.limit, key=lambda row: row[0], show=lambda row: _numbers(_apel_out(row[1]))
    )


@records_api.get("/sites/<site>/apel-summaries.csv", permission=READ_RECORDS, summary="The same as CSV")
def apel_summaries_csv(path: SitePath, query: MonthsQuery) -> Response:
    """One line a group."""
    return csv_stream(_apel(path.site, query), APEL_COLUMNS, f"apel-summaries-{path.site}.csv")


@records_api.get(
    "/sites/<site>/overlaps",
    permission=READ_RECORDS,
    summary="Months that a site told of in several ways",
    responses={200: Listing[OverlapOut]},
)
def told_twice(path: SitePath) -> dict[str, Any]:
    """Individual jobs count before summaries, these before normalised ones; machines before cloud summaries."""
    with ground().db.transaction() as session:
        found = stored_records.overlaps(session, path.site)
    items = [
        {
            "month": f"{row.month:%Y-%m}", "kind": row.kind, "origin": row.origin, "counted": row.counted,
            "records": row.records, "wall_seconds": row.wall_s, "cpu_seconds": row.cpu_s,
        }
        for row in found
    ]  # fmt: skip
    return {"items": items, "next": None}


def _wanted(site: str, query: RecordsFilter) -> Wanted:
    first = last = None
    if query.from_month or query.to_month:
        first, last = _months(query)
    return Wanted(site, query.kind, first, last, query.subject, query.vo)


def _months(query: RecordsFilter | MonthsQuery) -> tuple[date, date]:
    return asking.period(query.from_month, query.to_month, datetime.now(UTC).date())


def _apel(site: str, query: MonthsQuery) -> list[dict[str, Any]]:
    first, last = _months(query)
    with ground().db.transaction() as session:
        rows = list(apel_view.apel_rows(session, site, first, last))
    return [_apel_out(row) for row in rows]


def _apel_out(row: CloudSummary) -> dict[str, Any]:
    times = {
        name: None if (seconds := getattr(row, name)) is None else datetime.fromtimestamp(seconds, UTC)
        for name in ("earliest_start", "latest_start")
    }
    month = f"{row.month // 12}-{row.month % 12 + 1:02}"
    return {**row._asdict(), **times, "month": month, "began_anew": apel_view.began_anew(row)}


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """Decimals as JSON has them."""
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()}
