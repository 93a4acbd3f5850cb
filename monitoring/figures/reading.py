"""Figures by day, by month, or of a whole period: sites, their services and endpoints, and NGIs from their sites."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from monitoring.figures.ratios import Figures, Pair, mean_of_days, of_period, of_supergroup
from monitoring.models.figures import DayFigure, Profile, ProfileVersion
from monitoring.profiles.bodies import Weights

Granularity = Literal["daily", "monthly", "custom"]
Subject = tuple[str, str, str, str]  # NGI, site, service type, endpoint
NO_WEIGHT = Decimal(0)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which figures: of a report, a level, the days from `first` to `last` (both part of it); names narrow it."""

    report_id: str
    level: Literal["site", "service", "endpoint"]
    first: date
    last: date
    ngi: str = ""
    site: str = ""
    service: str = ""
    endpoint_id: str = ""


def rows(session: Session, asked: Asked) -> list[DayFigure]:
    """The kept days, by NGI, site, service, endpoint and day."""
    found = select(DayFigure).where(
        DayFigure.report_id == asked.report_id,
        DayFigure.level == asked.level,
        DayFigure.day >= asked.first,
        DayFigure.day <= asked.last,
    )
    for column, name in (
        (DayFigure.ngi, asked.ngi),
        (DayFigure.site, asked.site),
        (DayFigure.service, asked.service),
        (DayFigure.endpoint_id, asked.endpoint_id),
    ):
        if name:
            found = found.where(column == name)
    order = (DayFigure.ngi, DayFigure.site, DayFigure.service, DayFigure.endpoint_id, DayFigure.day)
    return list(session.scalars(found.order_by(*order)))


def figures_of(row: DayFigure) -> Figures:
    """A kept day as a value."""
    return Figures(row.availability, row.reliability, row.uptime, row.unknown, row.downtime)


def results(
    session: Session, asked: Asked, granularity: Granularity
) -> dict[Subject, list[tuple[str, Figures]]]:
    """The figures of each subject with the time that they stand for: a day, a month, or "" for the whole."""
    days: dict[Subject, list[tuple[date, Figures]]] = defaultdict(list)
    for row in rows(session, asked):
        days[row.ngi, row.site, row.service, row.endpoint_id].append((row.day, figures_of(row)))
    return {subject: by_time(found, granularity) for subject, found in days.items()}


def by_time(days: Sequence[tuple[date, Figures]], granularity: Granularity) -> list[tuple[str, Figures]]:
    """Days as they are, or put together by month or as a whole."""
    if granularity == "daily":
        return [(day.isoformat(), figures) for day, figures in days]
    parts: dict[str, list[Figures]] = defaultdict(list)
    for day, figures in days:
        parts[f"{day:%Y-%m}" if granularity == "monthly" else ""].append(figures)
    found = [(name, of_period(part)) for name, part in parts.items()]
    return [(name, figures) for name, figures in found if figures is not None]


def of_ngis(session: Session, asked: Asked, granularity: Granularity) -> dict[str, list[tuple[str, Pair]]]:
    """NGIs from their sites' days, weighted; months and periods are plain means of days."""
    weights = weights_between(session, asked.first, asked.last)
    members: dict[str, dict[date, list[tuple[Decimal, Decimal, Decimal]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows(session, asked):
        weight = weights[row.day].get(row.site, NO_WEIGHT)
        members[row.ngi][row.day].append((row.availability, row.reliability, weight))
    return {
        ngi: _ngi_by_time([(day, of_supergroup(sites)) for day, sites in sorted(days.items())], granularity)
        for ngi, days in members.items()
    }


def _ngi_by_time(days: Iterable[tuple[date, Pair]], granularity: Granularity) -> list[tuple[str, Pair]]:
    if granularity == "daily":
        return [(day.isoformat(), pair) for day, pair in days]
    parts: dict[str, list[Pair]] = defaultdict(list)
    for day, pair in days:
        parts[f"{day:%Y-%m}" if granularity == "monthly" else ""].append(pair)
    return [(name, mean_of_days(part)) for name, part in parts.items()]


def weights_between(session: Session, first: date, last: date) -> Mapping[date, Mapping[str, Decimal]]:
    """The weights of sites on each day: of the set that an operator keeps (the first by name), else of the default."""
    versions = session.execute(
        select(Profile.name, ProfileVersion.first_day, ProfileVersion.body, ProfileVersion.made_by)
        .join(ProfileVersion, ProfileVersion.profile_id == Profile.id)
        .where(Profile.kind == "weights", ProfileVersion.first_day <= last)
        .order_by(ProfileVersion.made_by.is_(None), Profile.name, ProfileVersion.first_day.desc())
    ).all()
    read = [
        (begins, {one.name: Decimal(str(one.value)) for one in Weights.model_validate(body).groups})
        for _, begins, body, _ in versions
    ]
    found = {}
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        found[day] = next((values for begins, values in read if begins <= day), {})
    return found
