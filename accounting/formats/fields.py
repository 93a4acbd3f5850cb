"""The named values of one record on their way to a row: taken one by one, with notes on what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from accounting.formats.keyvalue import (
    TEXT_LIMIT,
    BadValue,
    decimal,
    fields_of,
    head_of,
    integer,
    moment,
    split_records,
    stated,
)
from accounting.formats.records import Judging, Note, Reading
from accounting.formats.rows import Row
from accounting.formats.times import clock, month_start, span

LONGEST_S = 100 * 366 * 86_400
MOST_MONTH_S = 10**14
"""Seconds that more than 37 million cores use in a month: beyond it the unit is wrong."""
T = TypeVar("T")


@dataclass(slots=True)
class Part:
    """One record as its framing gives it: number and first line from 1, its text, its values with their lines
    by field name, and what is wrong with the framing itself.
    """

    number: int
    line: int
    raw: str
    given: Mapping[str, tuple[str, int | None]]
    faults: list[Note] = field(default_factory=list)


def text_parts(text: str) -> Iterator[Part]:
    """The records of a message in APEL's text framing."""
    for record in split_records(text, head_of(text)):
        given, faults = fields_of(record)
        yield Part(record.number, record.line, record.raw, given, faults)


def unread(part: Part) -> Reading | None:
    """The verdict on a part whose framing is so wrong that it has no values; None for others."""
    if part.given or not part.faults:
        return None
    return Reading(part.number, part.line, part.raw, faults=part.faults)


class Fields:
    """A record's values, taken by a format; notes gather in `faults` and `remarks`."""

    def __init__(self, part: Part, judging: Judging) -> None:
        self.part = part
        self.judging = judging
        self.faults = list(part.faults)
        self.remarks: list[Note] = []

    def stated(self, key: str) -> str | None:
        """The value of a field; None when it is absent or says nothing."""
        return stated(self.part.given[key][0]) if key in self.part.given else None

    def line(self, key: str) -> int | None:
        """The line of a field."""
        return self.part.given[key][1] if key in self.part.given else None

    def fault(self, code: str, key: str, reason: str) -> None:
        """Refuse the record."""
        self.faults.append(Note(code, key, self.line(key), reason))

    def remark(self, code: str, key: str, reason: str) -> None:
        """Say something about the record that does not refuse it."""
        self.remarks.append(Note(code, key, self.line(key), reason))

    def take(self, key: str, read: Callable[[str], T]) -> T | None:
        """A field's value as `read` makes it; a BadValue becomes a fault. None when nothing is stated or good."""
        value = self.stated(key)
        if value is None:
            return None
        try:
            return read(value)
        except BadValue as bad:
            self.fault("bad_value", key, f"{key} {bad}")
            return None

    def need(self, key: str) -> bool:
        """Refuse the record when the field is absent; returns whether it is there."""
        if self.stated(key) is None:
            self.fault("missing_field", key, f"{key} is missing; the record cannot be counted without it.")
            return False
        return True

    def text(self, key: str, limit: int = TEXT_LIMIT) -> str:
        """A text, cut to `limit` with a remark."""
        value = self._printable(key)
        if len(value) > limit:
            self.remark("name_cut", key, f"{key} had {len(value)} characters; the first {limit} were kept.")
        return value[:limit]

    def key_text(self, key: str) -> str:
        """A mandatory text that tells records apart: cutting it could make two things one, so it is refused."""
        self.need(key)
        value = self._printable(key)
        if len(value) > TEXT_LIMIT:
            long = f"{key} has {len(value)} characters; at most {TEXT_LIMIT} can be told apart."
            self.fault("name_too_long", key, long)
        return value[:TEXT_LIMIT]

    def _printable(self, key: str) -> str:
        value = self.stated(key) or ""
        if "\x00" not in value:
            return value
        self.fault("nul_in_text", key, f"{key} holds a NUL character; send printable text.")
        return value.replace("\x00", "\u2400")

    def number(self, key: str, most: int | None = None, read: Callable[[str], int] = integer) -> int | None:
        """A whole number of 0 or more, at most `most`."""
        value = self.take(key, read)
        if value is not None and most is not None and value > most:
            self.fault("bad_value", key, f"{key} is {value}, more than {most}; check the unit.")
            return None
        return value

    def needed(self, key: str, most: int | None = None, read: Callable[[str], int] = integer) -> int:
        """A mandatory whole number; 0 in a record that is refused."""
        self.need(key)
        return self.number(key, most, read) or 0

    def decimal(self, key: str) -> Decimal:
        """A number of 0 or more with three decimals; 0 when absent."""
        return self.take(key, decimal) or Decimal(0)

    def needed_time(self, key: str, read: Callable[[str], int | None] = moment) -> int:
        """A mandatory time; 0 in a record that is refused."""
        if not self.need(key):
            return 0
        before = len(self.faults)
        value = self.take(key, read)
        if value is None and len(self.faults) == before:
            self.fault("missing_field", key, f"{key} is 0; the record cannot be counted without it.")
        return value or 0

    def month(self, month_key: str = "Month", year_key: str = "Year") -> int:
        """The month of two mandatory fields, which may not begin after the receipt; 0 in a refused record."""
        month = self.number(month_key) if self.need(month_key) else None
        year = self.number(year_key) if self.need(year_key) else None
        if month is not None and not 1 <= month <= 12:
            self.fault("bad_value", month_key, f"{month_key} is {month}; write 1 to 12.")
            month = None
        if year is not None and not 2000 <= year <= 9999:
            self.fault("bad_value", year_key, f"{year_key} is {year}; write four digits from 2000 on.")
            year = None
        if not month or not year:
            return 0
        index = year * 12 + month - 1
        if month_start(index) > self.judging.received_at + self.judging.future_tolerance_s:
            came = f"after the message came ({clock(self.judging.received_at)})"
            self.fault("time_in_future", month_key, f"The month {year}-{month:02} begins {came}.")
            return 0
        return index

    def not_in_future(self, key: str, seconds: int | None, ahead: int = 0) -> None:
        """Refuse a time later than the receipt by more than `ahead` seconds and what the settings allow."""
        ahead = max(ahead, self.judging.future_tolerance_s)
        if seconds is not None and seconds > self.judging.received_at + ahead:
            came = f"more than {span(ahead)} after the message came ({clock(self.judging.received_at)})"
            self.fault("time_in_future", key, f"{key} {clock(seconds)} lies {came}; check the clock.")

    def ordered(self, first: str, begin: int | None, last: str, end: int | None) -> None:
        """Refuse an end before its beginning."""
        if begin and end and end < begin:
            reason = f"{last} {clock(end)} is before {first} {clock(begin)}; check the clock of the machine."
            self.fault("end_before_start", last, reason)

    def strange(self, known: Collection[str], what: str) -> None:
        """Remark on fields that `what` ("job records") do not have; they are ignored."""
        for key in self.part.given:
            if key not in known:
                name = key[:60] or "An empty key"
                self.remark("unknown_field", key[:60], f"{name} is not a field of {what}; ignored.")

    def reading(
        self, row: Row, *, site_key: str, site: str, subject: str, vo: str = "", cpu_s: int | None = None,
        month: int = 0,
    ) -> Reading:  # fmt: skip
        """The verdict: the row if nothing refuses it, and how lists show the record."""
        return Reading(
            number=self.part.number,
            line=self.part.line,
            raw=self.part.raw,
            site_name=site,
            site_line=self.line(site_key),
            subject=subject,
            vo=vo,
            cpu_s=cpu_s,
            month=month or None,
            row=None if self.faults else row,
            faults=sorted(self.faults, key=lambda fault: (fault.line is None, fault.line)),
            remarks=self.remarks,
        )
