"""The JSON API: parses, calls a use case, renders."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, current_app
from pydantic import Field
from sqlalchemy import select

from accounting import publishing, quarantine, replay, report, schemas, summaries
from accounting.loading import Loader
from accounting.models import Message, RefusedRecord
from accounting.permissions import DISCARD, OVERVIEW, READ_ANY_REFUSED, READ_REFUSED, REPLAY
from accounting.publishing import Limits
from accounting.settings import AccountingSettings
from accounting.summaries import Line, Question
from hanse.errors import NotFound
from hanse.identity.permissions import PUBLIC
from hanse.web import (
    Api,
    CursorQuery,
    Listing,
    PathModel,
    QueryModel,
    after,
    authorise,
    csv_response,
    current_principal,
    cursor_page,
    ground,
)

usage_api = Api("accounting_usage", __name__, "Usage")
refused_api = Api("accounting_refused", __name__, "Refused records")
publishing_api = Api("accounting_publishing", __name__, "Publishing")
MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"
CSV_USAGE = ("month", "site", "service", "vo", "user", "cpu_hours", "wall_hours", "vms")
CSV_REFUSED = (
    "id", "message", "record", "site", "site_name", "code", "field", "line", "reason", "subject", "vo", "cpu_hours",
    "month", "received_at", "state",
)  # fmt: skip


class UsageQuery(QueryModel):
    """A question about usage."""

    from_month: str | None = Field(None, alias="from", pattern=MONTH, description="First month, YYYY-MM.")
    to_month: str | None = Field(
        None, alias="to", pattern=MONTH, description="Last month; default the current."
    )
    by: str = Field(
        "month", max_length=100, description="Dimensions, comma-separated: month site vo user service."
    )
    measure: schemas.Measure = Field("cpu_hours", description="What rows sort by within the API's own pages.")
    site: list[str] = Field([], max_length=100, description="Only these sites.")
    vo: list[str] = Field([], max_length=100, description="Only these VOs.")
    user: list[str] = Field([], max_length=100, description="Only these users.")


class SitePath(PathModel):
    """A site by its name; `-` = records that are nobody's."""

    site: str = Field(max_length=255)


class RecordPath(SitePath):
    """A refused record of a site."""

    id: int = Field(ge=1, le=schemas.BIGGEST)


class MessagePath(PathModel):
    """A message by its number."""

    id: int = Field(ge=1, le=schemas.BIGGEST)


class RefusedQuery(CursorQuery):
    """Which refused records."""

    state: schemas.RecordState = "refused"
    days: int | None = Field(None, ge=1, le=3660, description="Only of the last days.")
    code: str | None = Field(None, max_length=100)
    field: str | None = Field(None, max_length=255)


def limits() -> Limits:
    """After how many days of silence a site is late."""
    settings = ground().settings
    assert isinstance(settings, AccountingSettings)
    return Limits(settings.publishing_warning_days, settings.publishing_critical_days)


def loader() -> Loader:
    """The pipeline of this service, for replays."""
    held = current_app.extensions["accounting.loader"]
    assert isinstance(held, Loader)
    return held


def question(query: UsageQuery) -> Question:
    """The use case's question from the address. Raises Refused."""
    first, last = report.period(query.from_month, query.to_month, datetime.now(UTC).date())
    return Question(
        first, last, report.parse_by(query.by), tuple(query.site), tuple(query.vo), tuple(query.user)
    )


@usage_api.get(
    "/usage", permission=PUBLIC, summary="CPU hours, wall hours and VMs", responses={200: schemas.UsageOut}
)
def usage(query: UsageQuery) -> dict[str, Any]:
    """Monthly usage by site, VO, user or cloud service. Users only for those entitled to see them."""
    asked, now = question(query), datetime.now(UTC)
    judge = limits().judge
    with ground().db.transaction() as session:
        lines = report.ask(session, asked, current_principal())
        whole = report.ask(
            session,
            Question(asked.first, asked.last, (), asked.sites, asked.vos, asked.users),
            current_principal(),
        )
        distinct = None if asked.users else summaries.distinct_vms(session, asked)
        fresh = summaries.freshness(session)
    states = {each.site: judge(each.last_message_at, now) for each in fresh}
    in_time = [each.measured_until for each in fresh if states[each.site] == "in time"]
    total = whole[0] if whole else Line((), 0, 0, 0)
    return {
        "from": f"{asked.first:%Y-%m}", "to": f"{asked.last:%Y-%m}", "by": list(asked.by), "measure": query.measure,
        "rows": [usage_row(asked.by, line) for line in lines],
        "total": {
            "cpu_hours": total.cpu_s / 3600, "wall_hours": total.wall_s / 3600, "vms": total.vms,
            "distinct_vms": distinct,
        },
        "complete_until": min(in_time, default=None),
        "late": [_fresh(each, states[each.site]) for each in fresh if states[each.site] != "in time"],
        "generated_at": now,
    }  # fmt: skip


@usage_api.get("/usage.csv", permission=PUBLIC, summary="The same as CSV")
def usage_csv(query: UsageQuery) -> Response:
    """One line a group, with the dimensions that were asked for."""
    asked = question(query)
    with ground().db.transaction() as session:
        lines = report.ask(session, asked, current_principal())
    columns = [name for name in CSV_USAGE if name in asked.by or name not in summaries.DIMENSIONS]
    rows = [usage_row(asked.by, line) for line in lines]
    return csv_response(rows, columns, f"usage-{asked.first:%Y-%m}-{asked.last:%Y-%m}.csv")


def usage_row(by: tuple[str, ...], line: Line) -> dict[str, Any]:
    """A line with its dimensions by name."""
    return dict(zip(by, line.values, strict=True)) | {
        "cpu_hours": line.cpu_s / 3600, "wall_hours": line.wall_s / 3600, "vms": line.vms,
        "cpu_seconds": line.cpu_s, "wall_seconds": line.wall_s,
    }  # fmt: skip


def _fresh(each: summaries.Freshness | publishing.SiteStatus, state: str) -> dict[str, Any]:
    return {
        "site": each.site,
        "last_message_at": each.last_message_at,
        "measured_until": each.measured_until,
        "state": state,
    }


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
    key = after(query.cursor)
    before = key[0] if key and isinstance(key[0], int) and 0 < key[0] <= schemas.BIGGEST else None
    since = datetime.now(UTC) - timedelta(days=query.days) if query.days else None
    with ground().db.transaction() as session:
        return quarantine.records(
            session, "" if site == replay.NOBODYS else site, state=query.state, since=since, code=query.code,
            field=query.field, before=before, limit=limit,
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
        "decided_at": row.decided_at, "decided_by": row.decided_by,
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
    return {"discarded": replay.discard(loader(), path.site, body.ids, current_principal().name)}


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
    "/sites/<site>/messages",
    permission=READ_REFUSED,
    summary="Messages of a site, newest first",
    responses={200: Listing[schemas.MessageOut]},
)
def messages(path: SitePath, query: CursorQuery) -> dict[str, Any]:
    """What was received and what became of it."""
    key = after(query.cursor)
    statement = select(Message).where(Message.site == ("" if path.site == replay.NOBODYS else path.site))
    if key and isinstance(key[0], int) and 0 < key[0] <= schemas.BIGGEST:
        statement = statement.where(Message.id < key[0])
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
        "late_sites": [_fresh(each, each.state) for each in found.late],
    }  # fmt: skip
