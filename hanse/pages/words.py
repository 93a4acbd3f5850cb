"""How figures and times are written on a page: units, grouping commas, UTC on a 24 h clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import SupportsFloat
from urllib.parse import urlencode

from flask import request
from markupsafe import Markup, escape

Span = SupportsFloat | timedelta | None
NONE = "–"


def seconds_of(span: Span) -> float | None:
    """A span as seconds; numbers are seconds already."""
    if span is None:
        return None
    return span.total_seconds() if isinstance(span, timedelta) else float(span)


def age(span: Span) -> str:
    """A span by its two largest units: "51 min", "19 h 02 min", "2 d 19 h", "9 d".

    A whole number of days stays alone.
    """
    seconds = seconds_of(span)
    if seconds is None:
        return NONE
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60:02d} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if days < 7 and hours % 24 else f"{days} d"


def ago(moment_: datetime | str | None) -> float | None:
    """Seconds since a moment, for `age`."""
    then = _time(moment_)
    return None if then is None else (datetime.now(UTC) - then).total_seconds()


def number(value: SupportsFloat | None, decimals: int = 0) -> str:
    """1234567.8 -> "1,234,568"; None is a dash."""
    return NONE if value is None else f"{float(value):,.{decimals}f}"


def percent(share: SupportsFloat | None, decimals: int = 2) -> str:
    """A share of 1 as percent: 0.9069 -> "90.69 %"."""
    return NONE if share is None else f"{float(share) * 100:.{decimals}f} %"


def count(many: int, one: str, more: str | None = None) -> str:
    """ "1 site", "3 sites", "2 entries" with `more` for what takes no plain s."""
    return f"{many:,} {one if many == 1 else more or one + 's'}"


def _time(value: datetime | str | None) -> datetime | None:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value is None:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def day(value: datetime | date | str | None) -> str:
    """ "26 Nov 2026", the year left away in the current year."""
    if isinstance(value, date) and not isinstance(value, datetime):
        then = value
    else:
        moment_ = _time(value)
        if moment_ is None:
            return NONE
        then = moment_.date()
    year = "" if then.year == datetime.now(UTC).year else f" {then.year}"
    return f"{then.day} {then:%b}{year}"


def clock(value: datetime | str | None) -> str:
    """ "14:32" UTC."""
    then = _time(value)
    return NONE if then is None else f"{then:%H:%M}"


def moment(value: datetime | str | None) -> str:
    """ "Thu 26 Nov, 08:00", with the year when it is not this one."""
    then = _time(value)
    return NONE if then is None else f"{then:%a} {day(then)}, {then:%H:%M}"


def iso(value: datetime | str | None) -> str:
    """ISO 8601 in UTC with Z, for machines and `<time datetime>`."""
    then = _time(value)
    return "" if then is None else then.isoformat(timespec="seconds").replace("+00:00", "Z")


def with_query(**changed: object) -> str:
    """This page's address with some parameters set, or left out where the value is None."""
    pairs = [(name, value) for name, value in request.args.items(multi=True) if name not in changed]
    pairs += [(name, str(value)) for name, value in changed.items() if value is not None]
    return request.path + ("?" + urlencode(pairs) if pairs else "")


def options(pairs: Iterable[tuple[object, object]], chosen: object = "") -> Markup:
    """`<option>`s of (value, word), the one whose value is `chosen` selected; without a step of the template each."""
    wanted = "" if chosen is None else str(chosen)
    made = [
        f'<option value="{escape(value)}"{" selected" if str(value) == wanted else ""}>{escape(word)}</option>'
        for value, word in pairs
    ]
    return Markup("".join(made))  # noqa: S704 - each word was escaped
