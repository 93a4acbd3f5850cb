"""Which entities of the feeds hold at a moment: `not_before` and `not_after` of their bodies."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any


def those_valid(bodies: Iterable[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Those that hold now: from not_before on, until before not_after; a date nobody can read never holds."""
    return [b for b in bodies if _begun(b.get("not_before"), now) and not _ended(b.get("not_after"), now)]


def _begun(value: object, now: datetime) -> bool:
    moment = _moment(value)
    return value is None or (moment is not None and moment <= now)


def _ended(value: object, now: datetime) -> bool:
    moment = _moment(value)
    return value is not None and (moment is None or moment <= now)


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
