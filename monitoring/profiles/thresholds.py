"""Rules on perfdata, as ARGO reads them: a range names the values to which its status applies.

That is the opposite of Nagios' own reading, where the range names the values that are well. Warning is tried before
critical; several labels combine like metrics (the worst wins). Units are not converted.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from monitoring.algebra import AND, State

# SI units that ARGO's own parser fails on are read here, and like all units left as they are.
_VALUE = re.compile(r"^([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(s|ms|us|%|B|KB|MB|TB|c)?$")
_ITEM = re.compile(r"\s*(?:'((?:[^']|'')+)'|([^\s'=]+))=(\S+)")
_INFINITE = float("inf")


@dataclass(frozen=True, slots=True)
class Range:
    """The values to which a status applies."""

    low: float
    high: float
    outside: bool = False

    def applies(self, value: float) -> bool:
        """Strictly inside; with `@` on the border or outside."""
        if self.outside:
            return value <= self.low or value >= self.high
        return self.low < value < self.high


@dataclass(frozen=True, slots=True)
class Limits:
    """The ranges of one label."""

    label: str
    warning: Range | None
    critical: Range | None

    def state_of(self, value: float) -> State | None:
        """WARNING, CRITICAL or None = neither range applies."""
        if self.warning is not None and self.warning.applies(value):
            return State.WARNING
        if self.critical is not None and self.critical.applies(value):
            return State.CRITICAL
        return None


@dataclass(frozen=True, slots=True)
class Ruling:
    """That a rule replaced a status, and by which words."""

    state: State
    rule: str


def read_range(text: str) -> Range:
    """`10`, `10:`, `~:10`, `10:20` or `@10:20`. Raises ValueError with a sentence."""
    outside, words = text.startswith("@"), text.removeprefix("@")
    low, colon, high = words.partition(":")
    if not colon:
        low, high = "0", low or "no number"
    try:
        found = Range(
            -_INFINITE if low in ("~", "") else float(low), _INFINITE if high == "" else float(high), outside
        )
    except ValueError:
        raise ValueError(f"{text!r} is no range; write 10, 10:, ~:10, 10:20 or @10:20") from None
    if not found.low <= found.high:
        raise ValueError(f"The range {text!r} begins after its end")
    return found


def read_rule(text: str) -> list[Limits]:
    """`freshness=10s;30;50:60;0;100 entries=1;3;2:0;10` as ranges by label; the value given before the first `;` is an
    example and counts for nothing. Raises ValueError with a sentence."""
    found, at = [], 0
    while at < len(text.rstrip()):
        item = _ITEM.match(text, at)
        if item is None:
            raise ValueError(f"{text[at : at + 40]!r} is no label=value;warning;critical")
        at = item.end()
        label = (item[1] or item[2]).replace("''", "'")
        value, *ranges = item[3].split(";")
        if not _VALUE.match(value) and value != "U":
            raise ValueError(f"{value!r} of {label} is no number with a unit of s ms us % B KB MB TB c")
        warning, critical = ([*ranges, "", ""])[:2]
        found.append(
            Limits(
                label,
                _lenient(warning) if warning else None,
                _lenient(critical) if critical else None,
            )
        )
    if not found:
        raise ValueError("A rule needs at least one label=value;warning;critical")
    return found


def _lenient(text: str) -> Range:
    """As `read_range`, and a range whose end lies before its beginning (`2:0`, in ARGO's own example) never applies."""
    low, colon, high = text.removeprefix("@").partition(":")
    try:
        backwards = bool(colon) and float(low) > float(high)
    except ValueError:
        backwards = False
    return Range(_INFINITE, -_INFINITE) if backwards else read_range(text)


def chosen(rules: Iterable[tuple[str, str, str, str]], metric: str, host: str, group: str) -> str | None:
    """The rule text that counts for a metric: of (metric, host, group, thresholds) the most specific.

    Group and host come before host, host before group, and that before the metric alone."""
    best: tuple[int, str] | None = None
    for of_metric, of_host, of_group, text in rules:
        if of_metric != metric or of_host not in ("", host) or of_group not in ("", group):
            continue
        weight = (2 if of_host else 0) + (1 if of_group else 0)
        if best is None or weight > best[0]:
            best = (weight, text)
    return best[1] if best else None


def judged(rule: str, values: Mapping[str, float | None]) -> Ruling | None:
    """The status that the rule puts in the place of the probe's; None = no range applies, the probe's stays."""
    state: State | None = None
    for limits in read_rule(rule):
        value = values.get(limits.label)
        found = limits.state_of(value) if value is not None else None
        if found is not None:
            state = found if state is None else AND[state, found]
    return Ruling(state, rule) if state is not None else None
