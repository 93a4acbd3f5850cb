"""Kept days as the 90-day bar shows them."""

from collections.abc import Iterable, Sequence
from typing import Any

from monitoring.algebra import State
from monitoring.words import KIND

_ORDER = (State.CRITICAL, State.WARNING, State.DOWNTIME, State.OK)


def day_state(line: Iterable[Sequence[Any]]) -> str:
    """What the bar of a day shows: the worst that lasted; downtime only where nothing was worse, "none" where nothing
    is known."""
    present = {state for _, state in line}
    return next((KIND[state] for state in _ORDER if state in present), "none")
