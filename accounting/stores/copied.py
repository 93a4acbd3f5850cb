"""Columns of values as PostgreSQL's COPY reads them in text form: a whole column at a time, since the rows are many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from accounting.stores.vm_tally import day_of

NULL: Final = "\\N"
_FEW: Final = 4
_SPECIAL: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def lines(*columns: Iterable[str]) -> str:
    """Columns as lines, each with its end."""
    return "\n".join([*map("\t".join, zip(*columns, strict=True)), ""])


def texts(column: Sequence[str]) -> Sequence[str]:
    """Texts; what has a meaning to COPY is written so that it stands for itself."""
    together = "".join(column)
    if any(special in together for special in ("\\", "\t", "\n", "\r")):
        return [value.translate(_SPECIAL) for value in column]
    return column


def integers(column: Sequence[int | None]) -> Iterable[str]:
    """Whole numbers; each of a few is written once."""
    different = set(column)
    if len(different) * _FEW > len(column):
        return map(_shown, column)
    shown = {value: _shown(value) for value in different}
    return map(shown.__getitem__, column)


def decimals(column: Sequence[Decimal]) -> Iterable[str]:
    """Decimals; most are the same few objects, and looking at what they are worth takes longer than writing them."""
    shown = {id(value): value for value in column}
    return map({key: str(value) for key, value in shown.items()}.__getitem__, map(id, column))


def arrays(column: Sequence[Sequence[int | None] | None]) -> Iterable[str]:
    """Arrays of whole numbers."""
    for value in column:
        yield (
            NULL if value is None else f"{{{','.join('NULL' if one is None else str(one) for one in value)}}}"
        )


def _shown(value: int | None) -> str:
    return NULL if value is None else str(value)


class Clock(dict[int | None, str]):
    """Epoch seconds as PostgreSQL reads times. The same times come again, and the days are few."""

    def __init__(self) -> None:
        super().__init__({None: NULL})
        self._days: dict[int, str] = {}

    def __missing__(self, seconds: int | None) -> str:
        assert seconds is not None
        day = seconds // 86_400
        if day not in self._days:
            self._days[day] = day_of(day).isoformat()
        at = self[seconds] = (
            f"{self._days[day]} {seconds % 86_400 // 3600}:{seconds // 60 % 60}:{seconds % 60}+00"
        )
        return at

    def times(self, column: Sequence[int | None]) -> Iterable[str]:
        """Times of a column."""
        return map(self.__getitem__, column)
