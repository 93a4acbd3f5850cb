"""The strip of key figures above the chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from accounting import asking
from accounting.asking import MEASURES, PLACES, Capacity, Line
from accounting.summaries import Freshness
from accounting.views.portal import words
from accounting.views.portal.address import Address
from hanse.pages.words import count, number


class Figures(Protocol):
    """What the strip needs of what was read."""

    @property
    def view(self) -> Address:
        """The view."""

    @property
    def whole(self) -> Line:
        """Everything in one line."""

    @property
    def before(self) -> Line:
        """The same of the period before."""

    @property
    def vms(self) -> int | None:
        """Machines, each once."""

    @property
    def capacity(self) -> Capacity:
        """What was declared."""

    @property
    def fresh(self) -> Sequence[Freshness]:
        """Until when the usage of each site is known."""

    @property
    def by_site(self) -> Mapping[str, float]:
        """Sites with usage."""


def key_figures(read: Figures, late: Sequence[Freshness]) -> list[dict[str, Any]]:
    """The measure first, then others of its kind, then who publishes in time."""
    asked = read.view.question
    span = count(len(asking.months_between(asked.first, asked.last)), "month")
    names = list(dict.fromkeys((asked.measure, *read.view.kind.measures)))
    shown = [_measure(read, name, span) for name in names if _told(read, name)][:3]
    shown.append(_in_time(read, late))
    share = _share(read)
    return [*shown, share] if share else shown


def _told(read: Figures, name: str) -> bool:
    """Whether the sums of a measure were read, and it is no share of the capacity, which has its own place."""
    return MEASURES[name].per != asking.DECLARED and read.whole.sums.keys() >= set(MEASURES[name].sums)


def _measure(read: Figures, name: str, span: str) -> dict[str, Any]:
    measure, sums = MEASURES[name], read.whole.sums
    figure, word = words.large(measure.figure(sums) or 0, measure.decimals)
    context = "" if measure.unit.lower() == measure.label.lower() else measure.unit
    made: dict[str, Any] = {"label": measure.label, "figure": figure, "unit": word, "context": context}
    if name == read.view.question.measure:
        made["label"] = f"{measure.label}, {span}"
        before = measure.figure(read.before.sums) or 0
        if measure.adds_up:
            made["context"] = words.change(measure.figure(sums) or 0, before, span)
    elif name == "wall_hours" and sums.get("cpu_s") and sums.get("wall_s"):
        made["context"] = f"{sums['cpu_s'] / sums['wall_s']:.2f} CPUs busy on average"
    if name == "vms" and read.vms is not None:
        made["figure"], made["unit"] = words.large(read.vms)
        made["context"] = f"{number(sums['vms'])} VM-months"
    if not measure.adds_up:
        made["unit"] = "%"
    return made


def _in_time(read: Figures, late: Sequence[Freshness]) -> dict[str, Any]:
    concerned = [each for each in read.fresh if each.site in read.by_site]
    silent = list(late)
    context: Any = "no site is late"
    if silent:
        context = f"{silent[0].site} silent" + (
            f" and {count(len(silent) - 1, 'other')}" if len(silent) > 1 else ""
        )
    return {
        "label": "Publishing on time", "figure": str(len(concerned) - len(silent)),
        "unit": f"of {count(len(concerned), 'site')}", "context": context, "url": "/publishing",
    }  # fmt: skip


def _share(read: Figures) -> dict[str, Any] | None:
    """CPU time of declared capacity, where no filter hides a part of the sites' usage."""
    asked = read.view.question
    declared = read.capacity.cpu_s({})
    if "cpu_s" not in read.whole.sums or not declared or any(name not in PLACES for name, _ in asked.only):
        return None
    vcpus = sum(place.vcpu or 0 for place in read.capacity.places)
    return {
        "label": "Of declared capacity", "figure": f"{read.whole.sums['cpu_s'] / declared * 100:.0f}", "unit": "%",
        "context": f"{number(vcpus)} vCPU at {count(len(read.capacity.places), 'site')}",
    }  # fmt: skip
