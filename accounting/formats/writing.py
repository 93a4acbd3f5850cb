"""Records as messages in APEL's text framing, for federations above."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from accounting.formats.keyvalue import SEPARATOR


def message(head: str, records: Iterable[Mapping[str, object]]) -> str:
    """A message; fields that are None or "" are left out. A separator or a line end inside a text is replaced,
    since it would end the record.
    """
    return f"{head}\n" + "".join(f"{_lines(record)}{SEPARATOR}\n" for record in records)


def month_fields(month: int) -> dict[str, object]:
    """Month and Year of a month that counts as years * 12 + months - 1."""
    return {"Month": month % 12 + 1, "Year": month // 12}


def _lines(record: Mapping[str, object]) -> str:
    return "".join(f"{key}: {_value(value)}\n" for key, value in record.items() if value not in (None, ""))


def _value(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return " ".join(str(value).replace(SEPARATOR, "%").split("\n"))
