"""Figures by day, by month, or of a whole period: sites, their services and endpoints, and NGIs from their sites."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeVar

from sqlalchemy import Select, func, literal, select, text
from sqlalchemy.orm import Session

from monitoring.figures.ratios import Figures, Pair, mean_of_days, of_sums, of_supergroup
from monitoring.models.figures import DayFigure, Profile, ProfileVersion
from monitoring.profiles.bodies import Weights

Granularity = Literal["daily", "monthly", "custom"]
Subject = tuple[str, str, str, str]  # NGI, site, service type, endpoint
NO_WEIGHT = Decimal(0)
Statement = TypeVar("Statement", bound=Select[*tuple[Any, ...]])
_SUBJECT = (DayFigure.ngi, DayFigure.site, DayFigure.service, DayFigure.endpoint_id)


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
    """The kept days with their lines, by NGI, site, service, endpoint and day."""
    return list(session.scalars(_narrowed(select(DayFigure), asked).order_by(*_SUBJECT, DayFigure.day)))


def _narrowed(found: Statement, asked: Asked) -> Statement:
    found = found.where(
        DayFigure.report_id == asked.report_id,
        DayFigure.level == asked.level,
        DayFigure.day >= asked.first,
        DayFigure.day <= asked.last,
    )
    names = (asked.ngi, asked.site, asked.service, asked.endpoint_id)
    for column, name in zip(_SUBJECT, names, strict=True):
        if name:
            found = found.where(column == name)
    return found


def results(
    session: Session, asked: Asked, granularity: Granularity
) -> dict[Subject, list[tuple[str, Figures]]]:
    """The figures of each subject with the time that they stand for: a day, a month, or "" for the whole."""
    return _by_day(session, asked) if granularity == "daily" else _of_periods(session, asked, granularity)


def _by_day(session: Session, asked: Asked) -> dict[Subject, list[tuple[str, Figures]]]:
    found: dict[Subject, list[tuple[str, Figures]]] = defaultdict(list)
    figures = (
        DayFigure.availability,
        DayFigure.reliability,
        DayFigure.uptime,
        DayFigure.unknown,
        DayFigure.downtime,
    )
    statement = _narrowed(select(*_SUBJECT, DayFigure.day, *figures), asked).order_by(
        *_SUBJECT, DayFigure.day
    )
    for ngi, site, service, endpoint, day, *values in session.execute(statement):
        found[ngi, site, service, endpoint].append((day.isoformat(), Figures(*values)))
    return dict(found)


def _of_periods(
    session: Session, asked: Asked, granularity: Granularity
) -> dict[Subject, list[tuple[str, Figures]]]:
    """Months or the whole: the database adds the days' fractions up, exactly."""
    month = func.to_char(DayFigure.day, "YYYY-MM") if granularity == "monthly" else literal("")
    sums = (func.sum(DayFigure.uptime), func.sum(DayFigure.unknown), func.sum(DayFigure.downtime))
    statement = _narrowed(select(*_SUBJECT, month.label("month"), func.count(), *sums), asked)
    found: dict[Subject, list[tuple[str, Figures]]] = defaultdict(list)
    for ngi, site, service, endpoint, when, days, *added in session.execute(
        statement.group_by(*_SUBJECT, text("month")).order_by(*_SUBJECT, text("month"))
    ):
        found[ngi, site, service, endpoint].append((when, of_sums(days, *added)))
    return dict(found)


def of_ngis(session: Session, asked: Asked, granularity: Granularity) -> dict[str, list[tuple[str, Pair]]]:
    """NGIs from their sites' days, weighted; months and periods are plain means of days."""
    weights = weights_between(session, asked.first, asked.last)
    members: dict[str, dict[date, list[tuple[Decimal, Decimal, Decimal]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    columns = (DayFigure.ngi, DayFigure.site, DayFigure.day, DayFigure.availability, DayFigure.reliability)
    for ngi, site, day, availability, reliability in session.execute(_narrowed(select(*columns), asked)):
        members[ngi][day].append((availability, reliability, weights[day].get(site, NO_WEIGHT)))
    return {
        ngi: _ngi_by_time([(day, of_supergroup(sites)) for day, sites in sorted(days.items())], granularity)
        for ngi, days in sorted(members.items())
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
