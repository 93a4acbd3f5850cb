"""Times of records, and how sentences show them. Months count as years * 12 + months - 1, all in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from accounting.formats.keyvalue import EARLIEST, BadValue, integer, shown

END_OF_TIME = 253402300800
_ISO = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?\Z", re.ASCII
)  # the subset of ISO 8601 that XML Schema calls dateTime
_DURATION = re.compile(
    r"P(?:(?P<days>\d{1,9})D)?(?:T(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,18})(?:\.\d{1,9})?S)?)?\Z",
    re.ASCII,
)


def month_of(seconds: int) -> int:
    """The month in which an epoch second lies."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.year * 12 + moment.month - 1


def month_start(month: int) -> int:
    """The epoch second at which a month begins."""
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp())


def clock(seconds: int) -> str:
    """A time as sentences show it."""
    if seconds >= END_OF_TIME:
        return f"{seconds} s"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: int) -> str:
    """A length of time as sentences show it."""
    return f"{seconds // 3600} h" if seconds % 3600 == 0 else f"{seconds} s"


def iso_moment(value: str) -> int:
    """Epoch seconds of an XML dateTime; without a zone it is UTC (cASO). Fractions are cut. Raises BadValue."""
    try:
        if not _ISO.match(value):
            raise ValueError
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise BadValue(f"is {shown(value)}; write a time such as 2026-11-24T08:00:00Z.") from None
    seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if not EARLIEST <= seconds < END_OF_TIME:
        raise BadValue(f"is {value}, a time before the year 2000 or after 9999; check the clock.")
    return seconds


def iso_duration(value: str) -> int:
    """Seconds of an XML duration in days, hours, minutes and seconds; fractions are cut. Raises BadValue."""
    found = _DURATION.match(value)
    if not found or value.endswith(("P", "T")):
        raise BadValue(f"is {shown(value)}; write a duration such as PT1H30M or PT5400S.")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return integer(str(days * 86_400 + hours * 3600 + minutes * 60 + seconds))
