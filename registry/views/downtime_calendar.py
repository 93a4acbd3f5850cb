"""The calendar of downtimes: a month of days, or a week of hours, drawn by the server."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from flask import request
from pydantic import ValidationError
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import NotFound
from hanse.identity.permissions import PUBLIC
from hanse.web import Pages, current_principal, ground, page
from registry import downtime_finding
from registry.schemas.downtimes import DowntimeFilter
from registry.views.downtime_choices import choices, own_names
from registry.views.downtimes import past_of

pages = Pages("registry_downtime_calendar", __name__)
DAY: Final = timedelta(days=1)
HOURS: Final = tuple(range(0, 24, 4))
MOST: Final = 500
SHOWN_A_DAY: Final = 4


@dataclass(frozen=True)
class Bar:
    """A downtime on a day: from and to as shares of 100 of it, and the words beside it."""

    id: str
    sites: str
    severity: str
    state: str
    begins: float
    width: float
    words: str
    description: str


@dataclass(frozen=True)
class Day:
    """A day of the calendar with its downtimes; `inside` is False for the days that fill a month's first week."""

    date: date
    inside: bool
    today: bool
    bars: list[Bar]

    @property
    def hidden(self) -> int:
        """How many more there are than the square shows."""
        return max(len(self.bars) - SHOWN_A_DAY, 0)


@pages.get("/downtimes/calendar", permission=PUBLIC)
def calendar() -> BaseResponse:
    """`month=2026-12` or `week=2026-W49`, of all, of a site, an NGI, a VO, or of one's own sites."""
    today = datetime.now(UTC).date()
    first, last, view = _span(request.args.get("month"), request.args.get("week"), today)
    asked, as_of = _asked(), request.args.get("as_of") or None
    start = datetime.combine(first, datetime.min.time(), UTC)
    until = datetime.combine(last + DAY, datetime.min.time(), UTC)
    with ground().db.transaction() as session:
        query = asked.model_copy(update={"since": start, "until": until})
        found = [one.body for one in downtime_finding.find(session, query, as_of=as_of, limit=MOST)]
        mine = set(own_names(session, current_principal()))
        moment = past_of(session)
        offered = choices(session)
    if request.args.get("mine"):
        found = [body for body in found if mine & set(body["sites"])]
    found.sort(key=lambda body: (body["start"], int(body["id"])))
    month = first if view == "week" else _middle(first, last)
    days = [
        _day(first + number * DAY, month, view, today, bars)
        for number, bars in enumerate(_bars(found, start, (last - first).days + 1))
    ]
    return page(
        "registry/downtime_calendar.html",
        title="Calendar of downtimes",
        sentence=_sentence(found, view, month),
        crumbs=[("Sites", "/sites"), ("Downtimes", "/downtimes"), ("Calendar", "")],
        api=f"/api/v1/downtimes?since={start:%Y-%m-%dT%H:%M:%SZ}&until={until:%Y-%m-%dT%H:%M:%SZ}",
        view=view,
        weeks=[days[number : number + 7] for number in range(0, len(days), 7)],
        days=[day for day in days if day.bars or day.today],
        hours=HOURS,
        links=_links(first, month, view, today),
        name=f"{month:%B %Y}" if view == "month" else f"Week {first.isocalendar().week} of {first:%G}",
        mine=mine,
        moment=moment,
        **offered,
        subscribe="/downtimes.ics" + _kept_filters(),
    )


def _asked() -> DowntimeFilter:
    given = {name: request.args[name] for name in ("site", "ngi", "vo") if request.args.get(name)}
    try:
        return DowntimeFilter.model_validate(given)
    except ValidationError:
        raise NotFound("There is no calendar of such a site, NGI or VO.") from None


def _kept_filters() -> str:
    given = {name: request.args[name] for name in ("site", "ngi", "vo") if request.args.get(name)}
    return "?" + urlencode(given) if given else ""


def _span(month: str | None, week: str | None, today: date) -> tuple[date, date, str]:
    """The first and the last day that are drawn: whole weeks from Monday. Raises NotFound for no month or week."""
    try:
        if week:
            found = re.fullmatch(r"([0-9]{4})-W([0-9]{1,2})", week)
            if found is None or not 1 < int(found[1]) < 9999:
                raise ValueError
            monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
            return monday, monday + 6 * DAY, "week"
        if month and not re.fullmatch(r"[0-9]{4}-[0-9]{2}", month):
            raise ValueError
        first = date.fromisoformat(f"{month}-01") if month else today.replace(day=1)
        if not 1 < first.year < 9999:
            raise ValueError
    except ValueError:
        raise NotFound("There is no such month or week; write month=2026-12 or week=2026-W49.") from None
    last = first.replace(day=monthrange(first.year, first.month)[1])
    return first - first.weekday() * DAY, last + (6 - last.weekday()) * DAY, "month"


def _middle(first: date, last: date) -> date:
    """The first of the month that whole weeks from `first` to `last` show."""
    return (first + (last - first) / 2).replace(day=1)


def _day(day: date, month: date, view: str, today: date, bars: list[Bar]) -> Day:
    inside = view == "week" or (day.year, day.month) == (month.year, month.month)
    return Day(day, inside, day == today, bars)


def _bars(found: Sequence[dict[str, Any]], first: datetime, days: int) -> list[list[Bar]]:
    """Bars of each day from `first`, in the order of the downtimes; a day that begins at an end is free of it."""
    bars: list[list[Bar]] = [[] for _ in range(days)]
    for body in found:
        start, end = datetime.fromisoformat(body["start"]), datetime.fromisoformat(body["end"])
        begins, ends = (start - first) // DAY, (end - first - timedelta.resolution) // DAY
        for number in range(max(begins, 0), min(ends, days - 1) + 1):
            bars[number].append(_bar(body, start, end, first + number * DAY))
    return bars


def _bar(body: dict[str, Any], start: datetime, end: datetime, midnight: datetime) -> Bar:
    first, last = max(start, midnight), min(end, midnight + DAY)
    begins = (first - midnight) / DAY * 100
    whole = first == midnight and last == midnight + DAY
    opened = f"{first:%H:%M}" if start >= midnight else "00:00"
    closed = f"{last:%H:%M}" if end < midnight + DAY else "24:00"
    return Bar(
        id=body["id"],
        sites=", ".join(body["sites"]),
        severity=body["severity"],
        state=body["state"],
        begins=round(begins, 2),
        width=round(max((last - first) / DAY * 100, 1), 2),
        words="all day" if whole else f"{opened}-{closed}",
        description=body["description"],
    )


def _sentence(found: Sequence[dict[str, Any]], view: str, month: date) -> str:
    outages = sum(body["severity"] == "OUTAGE" for body in found)
    many = f"{len(found)} downtime{'' if len(found) == 1 else 's'}"
    when = f"{month:%B %Y}" if view == "month" else "this week"
    return f"{many} in {when}, {outages} of them outages." if found else f"No downtime in {when}."


def _links(first: date, month: date, view: str, today: date) -> dict[str, str]:
    """Addresses of the span before, the span after, the present, and the other view, with the same filters."""
    if view == "month":
        before, following = month - DAY, month + timedelta(days=32)
        other = today if (today.year, today.month) == (month.year, month.month) else month
        return {
            "before": _address(month=f"{before:%Y-%m}"),
            "after": _address(month=f"{following:%Y-%m}"),
            "now": _address(month=f"{today:%Y-%m}"),
            "other": _address(week=_iso_week(other)),
        }
    return {
        "before": _address(week=_iso_week(first - 7 * DAY)),
        "after": _address(week=_iso_week(first + 7 * DAY)),
        "now": _address(week=_iso_week(today)),
        "other": _address(month=f"{first + 3 * DAY:%Y-%m}"),
    }


def _iso_week(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


def _address(**span: str) -> str:
    kept = [(name, value) for name, value in request.args.items(multi=True) if name not in ("month", "week")]
    return "/downtimes/calendar?" + urlencode([*kept, *span.items()])
