"""The lists of the usage page: what can be chosen, and which filters hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from accounting import asking
from accounting.asking import DECLARED, DIMENSIONS, KINDS, MEASURES, MOST_MONTHS_BY_DAY, PLACES, TIMES
from accounting.permissions import READ_RECORDS
from accounting.places import Place
from accounting.views.portal.address import Address
from hanse.identity.permissions import allows
from hanse.identity.principals import Principal

Options = list[tuple[str, str]]
BACK = 36


def choices(view: Address, known: Sequence[Place], vos: Sequence[str]) -> dict[str, Options]:
    """The options of each list, as (value, words)."""
    kind = view.kind
    sites = [place.site for place in known]
    return {
        "measure": [(name, MEASURES[name].label) for name in kind.measures],
        "months": _months(view),
        "by": [(name, DIMENSIONS[name].label) for name in kind.dimensions if name not in TIMES],
        "rows": [(name, DIMENSIONS[name].label) for name in kind.dimensions if name != "day"],
        "each": _each(view),
        "site": [("", f"all {len(sites)}"), *_named(sites, view.question.wanted("site"))],
        "vo": [("", f"all {len(vos)}"), *_named([vo for vo in vos if vo], view.question.wanted("vo"))],
        "kind": [(each.name, each.label) for each in KINDS.values()],
    }


def _named(values: Sequence[str], chosen: Sequence[str]) -> Options:
    """The values, and what was chosen by address although it is none of them."""
    return [(value, value) for value in dict.fromkeys((*values, *chosen))]


def _months(view: Address) -> Options:
    """The last three years, and every month of the period."""
    this = datetime.now(UTC).date().replace(day=1)
    months = {
        *asking.months_between(asking.months_back(this, BACK - 1), this),
        view.question.first,
        view.question.last,
    }
    return [(f"{month:%Y-%m}", f"{month:%b %Y}") for month in sorted(months, reverse=True)]


def _each(view: Address) -> Options:
    """Days are offered where they are kept and the period is short."""
    asked = view.question
    months = len(asking.months_between(asked.first, asked.last))
    names = (view.by, "day", *(name for name, _ in asked.only))
    kept = view.kind.source(names, asked.figures.sums) is not None and asked.figures.per != DECLARED
    days = [("day", "day")] if kept and months <= MOST_MONTHS_BY_DAY else []
    return [("month", "month"), *days]


def cuts(view: Address, principal: Principal) -> list[tuple[str, str, bool]]:
    """How months are cut, where the reader may see both ways: of one site's clouds."""
    asked = view.question
    sites = asked.wanted("site")
    if asked.kind != "cloud" or len(sites) != 1:
        return []
    if not allows(principal, READ_RECORDS, f"site:{sites[0]}"):
        return []
    period = urlencode({"from": f"{asked.first:%Y-%m}", "to": f"{asked.last:%Y-%m}"})
    other = f"/usage/apel/{quote(sites[0], safe='')}?{period}"
    return [("in proportion to time", view.url(), True), ("as APEL cuts them", other, False)]


def filters(view: Address) -> list[tuple[str, str, str]]:
    """The filters that hold: what, which value, and the page without it."""
    return [
        (DIMENSIONS[name].title, value, view.without(name, value))
        for name, values in view.question.only
        for value in values
    ]


def more_filters(view: Address, known: Sequence[Place]) -> list[tuple[str, str, Options]]:
    """Every other filter of this kind: (name, label, options), without options where a person types the value."""
    found = []
    for name in view.kind.dimensions:
        if name in (*TIMES, "site", "vo"):
            continue
        options: Options = []
        if name in PLACES:
            values = sorted({place.value(name) for place in known})
            options = [("", "any"), *((value, value) for value in values)]
        found.append((name, DIMENSIONS[name].title, options))
    return found
