"""Where the time of a check went, and its last answers: what an endpoint's page shows."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from monitoring.clock import database_time
from monitoring.models import Answer, Check, StoredResult
from monitoring.reading import checks_of

WIDTH = 100.0
USUAL = timedelta(days=7)
MOST_RESULTS = 2000
NAMES = {
    "lookup": "Name lookup",
    "connect": "TCP connect",
    "tls": "TLS handshake",
    "request": "Request sent",
    "first byte": "First byte",
    "body": "Body",
    "parse": "Parsed",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A phase as a bar on 100 units: where it begins, how wide, where it ends on a usual day."""

    name: str
    x: float
    width: float
    ms: float
    usual_ms: float | None
    usual_end: float | None
    seen: str


@dataclass(frozen=True, slots=True)
class View:
    """One check's last result with its bars; the raw answer only for those who may see it."""

    check: Check | None
    shown: StoredResult | None
    bars: tuple[Bar, ...]
    scale_ms: tuple[float, ...]
    usual_ms: float | None
    answer: Answer | None
    asked: StoredResult | None
    waiting: bool
    hours: tuple[str, ...]
    hourly_ms: tuple[float | None, ...]


def read(session: Session, endpoint_id: str, probe: str | None, *, signed_in: bool) -> View:
    """The check named `probe`, or the deepest that has been measured."""
    checks = checks_of(session, endpoint_id)
    measured = [check for check in checks if check.measured_at is not None]
    check = next((c for c in checks if c.probe == probe), None) or (
        max(measured, key=_depth) if measured else None
    )
    waiting = any(c.asked_at is not None for c in checks)
    if check is None:
        return View(None, None, (), (), None, None, _asked(session, checks), waiting, (), ())
    now = database_time(session)
    results = _results(session, check.id, now - USUAL)
    shown = results[0] if results else None
    usual = _usual(results)
    bars, scale = _bars(shown, usual)
    hours, hourly = _hourly(results, now)
    return View(
        check,
        shown,
        bars,
        scale,
        _median_ms([result.took_s for result in results if result.status == "ok"]),
        session.get(Answer, check.id) if signed_in else None,
        _asked(session, checks),
        waiting,
        hours,
        hourly,
    )


def _depth(check: Check) -> tuple[int, str]:
    return (len(check.needs), check.probe)


def _results(session: Session, check_id: int, since: datetime) -> list[StoredResult]:
    rows = select(StoredResult).where(StoredResult.check_id == check_id, StoredResult.started_at >= since)
    return list(session.scalars(rows.order_by(StoredResult.started_at.desc()).limit(MOST_RESULTS)))


def _asked(session: Session, checks: list[Check]) -> StoredResult | None:
    """The last result that a person asked for."""
    rows = select(StoredResult).where(
        StoredResult.check_id.in_([check.id for check in checks]), StoredResult.asked_by.is_not(None)
    )
    return session.scalars(rows.order_by(StoredResult.started_at.desc()).limit(1)).first()


def _usual(results: list[StoredResult]) -> dict[str, float]:
    """Median milliseconds of each phase of good results."""
    times: dict[str, list[float]] = defaultdict(list)
    for result in results:
        if result.status == "ok":
            for phase in result.phases:
                times[phase["name"]].append(phase["took_s"])
    return {name: median(values) * 1000 for name, values in times.items()}


def _bars(shown: StoredResult | None, usual: dict[str, float]) -> tuple[tuple[Bar, ...], tuple[float, ...]]:
    if shown is None or not shown.phases:
        return (), ()
    whole = max(shown.took_s * 1000, sum(usual.values()), 1.0)
    step = _step(whole)
    top = step * (int(whole / step) + 1)
    bars, usual_end = [], 0.0
    for phase in shown.phases:
        usual_ms = usual.get(phase["name"])
        usual_end += usual_ms or 0.0
        bars.append(_bar(phase, top, usual_ms, usual_end))
    return tuple(bars), tuple(number * step for number in range(int(top / step) + 1))


def _bar(phase: dict[str, Any], top: float, usual_ms: float | None, usual_end: float) -> Bar:
    began, took = phase["began_s"] * 1000, phase["took_s"] * 1000
    return Bar(
        NAMES.get(phase["name"], phase["name"].capitalize()),
        round(began / top * WIDTH, 2),
        round(max(took / top * WIDTH, 0.4), 2),
        took,
        usual_ms,
        round(usual_end / top * WIDTH, 2) if usual_ms is not None else None,
        phase["seen"],
    )


def _step(whole_ms: float) -> float:
    """A round step with four to ten of them in the whole."""
    step = 1.0
    while True:
        for factor in (1, 2, 5):
            if whole_ms / (step * factor) <= 6:
                return step * factor
        step *= 10


def _median_ms(seconds: list[float]) -> float | None:
    return median(seconds) * 1000 if seconds else None


def _hourly(results: list[StoredResult], now: datetime) -> tuple[tuple[str, ...], tuple[float | None, ...]]:
    """Median answer time in milliseconds of each of the last 24 hours; None = nothing good was measured."""
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [last - timedelta(hours=back) for back in range(23, -1, -1)]
    times: dict[datetime, list[float]] = defaultdict(list)
    for result in results:
        if result.status == "ok":
            times[result.started_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)].append(
                result.took_s
            )
    return tuple(f"{hour:%H:00}" for hour in hours), tuple(_median_ms(times[hour]) for hour in hours)
