"""/api/v1/availability: figures of NGIs, sites, services and endpoints by day, month or period; as CSV too."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from flask import Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, Refused
from hanse.identity.permissions import PUBLIC
from hanse.web import Api, QueryModel, csv_response, ground
from monitoring.figures import noting, reading
from monitoring.figures.reading import Asked
from monitoring.profiles import kept
from monitoring.profiles.bodies import Report

availability_api = Api("monitoring_availability", __name__, "Availability")
COLUMNS = (
    "ngi",
    "site",
    "service",
    "endpoint",
    "time",
    "availability",
    "reliability",
    "uptime",
    "unknown",
    "downtime",
)
MOST_DAYS = 400
MOST_DAYS_BELOW = 31  # of all sites' services or endpoints at once


class FiguresQuery(QueryModel):
    """Which figures."""

    report: str = Field("Default", max_length=200)
    level: Literal["ngi", "site", "service", "endpoint"] = "site"
    first: date | None = Field(
        None,
        description="First UTC day, at most 399 before `last`, and 30 for services or endpoints of all sites; without"
        " it the first of that month.",
    )
    last: date | None = Field(None, description="Last UTC day; without it today.")
    granularity: Literal["daily", "monthly", "custom"] = "custom"
    ngi: str = Field("", max_length=200)
    site: str = Field("", max_length=200)
    service: str = Field("", max_length=200)


class FigureRow(BaseModel):
    """Percent and fractions of a day, month ("2026-05") or the whole ("" as time).

    Percent: -1 = undefined (a day of which nothing is known), null = nothing to say (an NGI)."""

    ngi: str
    site: str
    service: str
    endpoint: str
    time: str
    availability: float | None
    reliability: float | None
    uptime: float | None = None
    unknown: float | None = None
    downtime: float | None = None


class FiguresOut(BaseModel):
    """The figures, and what the federation promises (percent)."""

    report: str
    first: date
    last: date
    availability_promised: float
    reliability_promised: float
    items: list[FigureRow]


@availability_api.get(
    "/availability",
    permission=PUBLIC,
    summary="Availability and reliability",
    responses={200: FiguresOut},
)
def availability(query: FiguresQuery) -> FiguresOut:
    """By ARGO's formulas; months and periods from the means of the days' fractions."""
    with ground().db.transaction() as session:
        return read_figures(session, query)


@availability_api.get("/availability.csv", permission=PUBLIC, summary="Availability and reliability, as CSV")
def availability_csv(query: FiguresQuery) -> Response:
    """A line for each subject and time."""
    with ground().db.transaction() as session:
        found = read_figures(session, query)
    name = f"availability-{found.first}-{found.last}.csv"
    return csv_response([row.model_dump() for row in found.items], COLUMNS, name)


def read_figures(session: Session, query: FiguresQuery) -> FiguresOut:
    """The figures as API and page show them. Raises NotFound when there is no such report, Refused for more days of all
    sites' services or endpoints than are read at once."""
    today = noting.today(session)
    last = query.last or today
    first = query.first or last.replace(day=1)
    if (last - first).days >= MOST_DAYS:
        first = last - timedelta(days=MOST_DAYS - 1)
    if query.level in ("service", "endpoint") and not query.site and (last - first).days >= MOST_DAYS_BELOW:
        said = f"The {query.level}s of all sites are told for {MOST_DAYS_BELOW} days at once"
        reason = f"is at most {MOST_DAYS_BELOW - 1} days before last unless a site is named"
        raise Refused(f"{said}; name a site or ask for fewer.", FieldFault("first", reason))
    version = kept.named(session, "report", query.report, last)
    promised = Report.model_validate(version.body).thresholds
    rows = _ngi_rows if query.level == "ngi" else _rows
    return FiguresOut(
        report=version.name,
        first=first,
        last=last,
        availability_promised=promised.availability,
        reliability_promised=promised.reliability,
        items=rows(session, query, version.id, first, last),
    )


def _rows(session: Session, query: FiguresQuery, report: str, first: date, last: date) -> list[FigureRow]:
    level: Literal["site", "service", "endpoint"] = "site" if query.level == "ngi" else query.level
    asked = Asked(report, level, first, last, query.ngi, query.site, query.service)
    return [
        FigureRow(
            ngi=ngi,
            site=site,
            service=service,
            endpoint=endpoint,
            time=time,
            availability=_number(one.availability),
            reliability=_number(one.reliability),
            uptime=_number(one.uptime),
            unknown=_number(one.unknown),
            downtime=_number(one.downtime),
        )
        for (ngi, site, service, endpoint), found in reading.results(
            session, asked, query.granularity
        ).items()
        for time, one in found
    ]


def _ngi_rows(session: Session, query: FiguresQuery, report: str, first: date, last: date) -> list[FigureRow]:
    asked = Asked(report, "site", first, last, query.ngi, query.site)
    return [
        FigureRow(
            ngi=ngi,
            site="",
            service="",
            endpoint="",
            time=time,
            availability=_number(pair.availability),
            reliability=_number(pair.reliability),
        )
        for ngi, found in reading.of_ngis(session, asked, query.granularity).items()
        for time, pair in found
    ]


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
