"""The CPU time that declared vCPUs could have given, by site, NGI, country and month."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from accounting.asking.dimensions import PLACES
from accounting.asking.question import Question, months_back, months_between
from accounting.places import Place


@dataclass(frozen=True)
class Capacity:
    """vCPUs of the places that a question covers, and the seconds of its months up to now."""

    places: tuple[Place, ...]
    seconds: Mapping[str, float]
    _vcpus: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)

    def cpu_s(self, group: Mapping[str, str]) -> float:
        """CPU seconds that the places of a group (dimension -> value) could have given in its months."""
        where = tuple((name, group[name]) for name in PLACES if name in group)
        if where not in self._vcpus:
            self._vcpus[where] = sum(each.vcpu or 0 for each in self.places if each.fits(where))
        month = group.get("month")
        spent = sum(self.seconds.values()) if month is None else self.seconds.get(month, 0)
        return self._vcpus[where] * spent


def capacity(places: Iterable[Place], question: Question, now: datetime) -> Capacity:
    """The capacity that a question's usage is measured by: that of the places which its filters let through."""
    filters = [(name, values) for name, values in question.only if name in PLACES]
    covered = tuple(each for each in places if all(each.value(name) in values for name, values in filters))
    seconds = {
        f"{month:%Y-%m}": _seconds(month, now) for month in months_between(question.first, question.last)
    }
    return Capacity(covered, seconds)


def _seconds(month: date, now: datetime) -> float:
    """How much of a month has gone by."""
    after = months_back(month, -1)
    begin = datetime(month.year, month.month, 1, tzinfo=UTC)
    end = min(datetime(after.year, after.month, 1, tzinfo=UTC), now)
    return max((end - begin).total_seconds(), 0.0)
