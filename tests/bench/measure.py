"""Measuring, and saying it: a figure with its unit, beside what the same work costs without us, and the limit."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Times:
    """How long the calls took, in milliseconds; `cpu` is the median of this process's own work, which others' lengthen
    least, and `cpu_p95` its 95th percentile.
    """

    p50: float
    p95: float
    calls: int
    cpu: float
    cpu_p95: float


def times(call: Callable[[int], Any], calls: int = 100, warm: int = 5) -> Times:
    """Wall-clock times of `call(number)`, one after the other; the first `warm` are not counted."""
    for number in range(warm):
        call(number)
    taken, worked = [], []
    for number in range(calls):
        began, busy = time.perf_counter(), time.process_time()
        call(warm + number)
        taken.append((time.perf_counter() - began) * 1000)
        worked.append((time.process_time() - busy) * 1000)
    return Times(
        p50=statistics.median(taken),
        p95=statistics.quantiles(taken, n=20)[18],
        calls=calls,
        cpu=statistics.median(worked),
        cpu_p95=statistics.quantiles(worked, n=20)[18],
    )


def line(
    name: str,
    figure: float,
    unit: str,
    peer: str = "",
    peer_figure: float | None = None,
    peer_unit: str = "",
    *,
    limit: float | None = None,
    at_least: bool = False,
) -> None:
    """One line of the table: name, figure, unit; the peer's; the limit (or what must be reached, `at_least`), and
    whether it is kept.
    """
    beside = "" if peer_figure is None else f"{peer} {peer_figure:,.4g} {peer_unit or unit}"
    kept = ""
    if limit is not None:
        within = figure >= limit if at_least else figure <= limit
        kept = f"{'at least' if at_least else 'limit'} {limit:g} {unit}: {'kept' if within else 'NOT KEPT'}"
    print(f"{name:<58} {figure:>10,.4g} {unit:<6} {beside:<44} {kept}".rstrip(), flush=True)


def both(
    name: str, found: Times, peer: str = "", beside: Times | None = None, *, limit: float | None = None
) -> None:
    """Lines for the median and for the 95th percentile, which has the limit."""
    line(f"{name}, CPU", found.cpu, "ms", peer, beside.cpu if beside else None)
    line(f"{name}, CPU p95", found.cpu_p95, "ms", peer, beside.cpu_p95 if beside else None)
    line(f"{name}, p50", found.p50, "ms", peer, beside.p50 if beside else None)
    line(f"{name}, p95", found.p95, "ms", peer, beside.p95 if beside else None, limit=limit)
