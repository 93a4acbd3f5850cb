"""Usage asked for: the same questions as the portal's, as JSON, CSV and Parquet."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Response
from pydantic import Field

from accounting import asking, exports, publishing, schemas, summaries
from accounting.api.common import limits
from accounting.asking import DIMENSIONS, KINDS, MEASURES, TIMES, Question
from hanse.identity.permissions import PUBLIC
from hanse.web import Api, QueryModel, csv_stream, current_principal, ground, saved_as, spooled

usage_api = Api("accounting_usage", __name__, "Usage")
MOST_ROWS = 100_000
FILTERS = tuple(name for name in DIMENSIONS if name not in TIMES)
SECONDS = {"cpu_hours": "cpu_seconds", "wall_hours": "wall_seconds"}


def _filter(what: str) -> Any:
    return Field([], max_length=100, description=f"Only {what}; may stand several times.")


class UsageQuery(QueryModel):
    """A question about usage."""

    kind: schemas.Kind | None = Field(
        None, description="Kind of usage; default that of the measure, else cloud."
    )
    measure: schemas.Measure | None = Field(
        None,
        description="What `value` is; default the kind's first. `GET /api/v1/usage/measures` lists them.",
    )
    from_month: str | None = Field(
        None, alias="from", pattern=schemas.MONTH, description="First month, YYYY-MM."
    )
    to_month: str | None = Field(
        None, alias="to", pattern=schemas.MONTH, description="Last month; default the current."
    )
    by: str = Field(
        "month",
        max_length=200,
        description="Dimensions, comma-separated, as vo,month; `GET /api/v1/usage/measures` lists them.",
    )
    site: list[str] = _filter("these sites")
    ngi: list[str] = _filter("sites of these NGIs")
    country: list[str] = _filter("sites of these countries")
    vo: list[str] = _filter("these VOs")
    discipline: list[str] = _filter("VOs of these disciplines")
    group: list[str] = _filter("these VO groups")
    role: list[str] = _filter("these VO roles")
    user: list[str] = _filter("these users, by their global name")
    service: list[str] = _filter("these cloud services")
    status: list[str] = _filter("machines of these statuses")
    image: list[str] = _filter("machines of these images")
    cores: list[str] = _filter("machines or jobs of so many cores")
    benchmark: list[str] = _filter("these benchmarks, as `HEPSPEC06 12.50`")
    submit_host: list[str] = _filter("jobs of these submit hosts")
    infrastructure: list[str] = _filter("jobs of these infrastructures")
    system: list[str] = _filter("these storage systems")
    storage_share: list[str] = _filter("these storage shares")
    media: list[str] = _filter("these storage media")
    type: list[str] = _filter("accelerators of these types")
    model: list[str] = _filter("accelerators of these models")
    ip_version: list[str] = _filter("addresses of these versions, 4 or 6")


def question(query: UsageQuery) -> Question:
    """The use case's question from the address. Raises Refused."""
    today = datetime.now(UTC).date()
    only = {name: getattr(query, name) for name in FILTERS}
    return asking.asked(
        query.kind or "", query.measure or "", query.from_month, query.to_month, query.by, only, today
    )


@usage_api.get(
    "/usage", permission=PUBLIC, summary="Usage by any dimensions", responses={200: schemas.UsageOut}
)
def usage(query: UsageQuery) -> dict[str, Any]:
    """Usage of a kind by month, day, site, NGI, country, VO, discipline and more. Users only for those entitled to
    see them.
    """
    asked, now = question(query), datetime.now(UTC)
    with ground().db.transaction() as session:
        found = exports.held(session, asked, current_principal(), MOST_ROWS)
        shown = row_writer(asked)
        total = shown(found.total)
        if "vms" in total and "day" not in asked.by:
            total["distinct_vms"] = asking.distinct_vms(session, asked)
        fresh = summaries.freshness(session)
    judge = limits().judge
    states = {each.site: judge(each.last_message_at, now) for each in fresh}
    in_time = [each.measured_until for each in fresh if states[each.site] == "in time"]
    return {
        "from": f"{asked.first:%Y-%m}", "to": f"{asked.last:%Y-%m}", "kind": asked.kind, "measure": asked.measure,
        "unit": asked.figures.unit, "by": list(asked.by), "rows": [shown(row) for row in found.rows],
        "total": total,
        "complete_until": min(in_time, default=None),
        "late": [fresh_out(each, states[each.site]) for each in fresh if states[each.site] != "in time"],
        "generated_at": now,
    }  # fmt: skip


def row_writer(asked: Question) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """How rows of an answer become UsageRow: beside hours the exact seconds."""
    beside = asking.beside(asked)
    hidden = asked.measure if asked.measure not in beside else ""
    hours = [(name, seconds) for name, seconds in SECONDS.items() if name in beside]

    def write(row: dict[str, Any]) -> dict[str, Any]:
        shown = {name: value for name, value in row.items() if name != hidden}
        for name, seconds in hours:
            shown[seconds] = round(row[name] * 3600)
        return shown | {"value": row[asked.measure]}

    return write


@usage_api.get("/usage.csv", permission=PUBLIC, summary="The same as CSV")
def usage_csv(query: UsageQuery) -> Response:
    """One line a group, with the dimensions that were asked for, the measures beside and the measure."""
    asked = question(query)
    rows = exports.rows(ground().db, asked, current_principal())
    return csv_stream(rows, exports.columns(asked), _filename(asked, "csv"))


@usage_api.get("/usage.parquet", permission=PUBLIC, summary="The same as Parquet")
def usage_parquet(query: UsageQuery) -> Response:
    """Dimensions as text, months and days as dates, measures as doubles."""
    asked = question(query)
    rows = exports.rows(ground().db, asked, current_principal())
    answer = spooled(exports.parquet(exports.columns(asked), rows), "application/vnd.apache.parquet")
    return saved_as(answer, _filename(asked, "parquet"))


def _filename(asked: Question, suffix: str) -> str:
    return f"usage-{asked.kind}-{asked.first:%Y-%m}-{asked.last:%Y-%m}.{suffix}"


@usage_api.get(
    "/usage/measures",
    permission=PUBLIC,
    summary="What can be asked of usage",
    responses={200: schemas.MeasuresOut},
)
def measures() -> dict[str, Any]:
    """Each kind of usage with its measures, units and dimensions."""
    return {"kinds": [_kind_out(kind.name, kind.measures) for kind in KINDS.values()]}


def _kind_out(name: str, measures: Sequence[str]) -> dict[str, Any]:
    return {
        "kind": name,
        "label": KINDS[name].label,
        "measures": [
            {"measure": each, "label": MEASURES[each].label, "unit": MEASURES[each].unit} for each in measures
        ],
        "dimensions": list(KINDS[name].dimensions),
    }


def fresh_out(each: summaries.Freshness | publishing.SiteStatus, state: str) -> dict[str, Any]:
    """Until when a site's usage is known, as SiteFreshness has it."""
    return {
        "site": each.site,
        "last_message_at": each.last_message_at,
        "measured_until": each.measured_until,
        "state": state,
    }
