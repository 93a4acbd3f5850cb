"""Usage asked for: the same questions as the portal's."""

from datetime import UTC, datetime
from typing import Any

from flask import Response
from pydantic import Field

from accounting import publishing, report, schemas, summaries
from accounting.api.common import limits
from accounting.summaries import Line, Question
from hanse.identity.permissions import PUBLIC
from hanse.web import Api, QueryModel, csv_response, current_principal, ground

usage_api = Api("accounting_usage", __name__, "Usage")
MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"
CSV_USAGE = ("month", "site", "service", "vo", "user", "cpu_hours", "wall_hours", "vms")


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
        "late": [fresh_out(each, states[each.site]) for each in fresh if states[each.site] != "in time"],
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


def fresh_out(each: summaries.Freshness | publishing.SiteStatus, state: str) -> dict[str, Any]:
    return {
        "site": each.site,
        "last_message_at": each.last_message_at,
        "measured_until": each.measured_until,
        "state": state,
    }
