"""/usage: how much was used, by whom, and whether it is complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from flask import Response, request
from sqlalchemy.orm import Session

from accounting import asking, places, summaries
from accounting.api.common import limits
from accounting.asking import DIMENSIONS, MEASURES, Capacity, Line, Pivot
from accounting.places import Place
from accounting.views.portal import bubbles, words
from accounting.views.portal.address import CELLS, CHARTS, Address, read
from accounting.views.portal.choices import choices, cuts, filters, more_filters
from accounting.views.portal.figures import key_figures
from accounting.views.portal.grid import grid, name
from hanse.identity.permissions import PUBLIC
from hanse.pages.charts import MOST_SERIES, Stack, stacked
from hanse.pages.words import count
from hanse.web import Pages, current_principal, ground, page

usage_pages = Pages("accounting_usage_pages", __name__, nav=[("Portal", "/usage")])
LEGEND = 50
_DAY = "%-d %b"


@usage_pages.get("/usage", permission=PUBLIC)
def usage() -> Response:
    """How much was used, by whom, and whether it is complete."""
    view = read(request.args)
    now = datetime.now(UTC)
    with ground().db.transaction() as session:
        shown = _Shown.read(session, view, now).context()
    return page("accounting/usage.html", title="Usage", refresh_s=30, **shown)


@dataclass(frozen=True)
class _Shown:
    """Everything that was read for one view."""

    view: Address
    now: datetime
    over_time: Pivot
    crossed: Pivot
    whole: Line
    before: Line
    vms: int | None
    capacity: Capacity
    known: Sequence[Place]
    fresh: Sequence[summaries.Freshness]
    vos: Sequence[str]
    by_site: Mapping[str, float]

    @classmethod
    def read(cls, session: Session, view: Address, now: datetime) -> _Shown:
        """Raises Unauthorised or Forbidden when the view tells of people whom the reader may not see."""
        principal, asked, measure = current_principal(), view.question, view.question.figures
        known = places.places(session)
        held = asking.capacity(known, asked, now)
        lines = asking.ask(session, view.over_time, principal, _beside(view))
        crossed = asking.ask(session, view.crossed, principal)
        months = len(asking.months_between(asked.first, asked.last))
        earlier = replace(
            asked.grouped(),
            first=asking.months_back(asked.first, months),
            last=asking.months_back(asked.first, 1),
        )
        return cls(
            view, now,
            asking.pivot(lines, (view.by, view.each), measure, _times(view, now), held),
            asking.pivot(crossed, view.across, measure, _columns(view), held),
            asking.added(lines) if view.each == "month" else _whole(session, view),
            asking.added(asking.ask(session, earlier, principal)),
            _machines(session, view, lines),
            held, known, summaries.freshness(session), asking.known_vos(session, asked.kind),
            {
                site: measure.figure(sums) or 0
                for site, sums in _by_site(session, view, ((view.over_time, lines), (view.crossed, crossed))).items()
            },
        )  # fmt: skip

    def context(self) -> dict[str, Any]:
        """What the template shows."""
        view, asked, measure, now = self.view, self.view.question, self.view.question.figures, self.now
        concerned = {each.site: each for each in self.fresh if each.site in self.by_site}
        late = words.late_of(list(concerned.values()), limits(), now)
        by, mapped = DIMENSIONS[view.by], view.chart == "map"
        months = asking.months_between(asked.first, asked.last)
        table = grid(view, self.crossed, self.capacity)
        total, sites = self.over_time.total, len(self.by_site)
        return {
            "view": view, "measure": measure, "by": by, "table": self.over_time, "grid": table,
            "rows_by": DIMENSIONS[view.across[0]], "columns_by": DIMENSIONS[view.across[1]],
            "span": count(len(months), "month"), "period": f"{months[0]:%b %Y} to {months[-1]:%b %Y}",
            "sentence": words.sentence(view, total, sites, list(concerned.values()), late, now),
            "notes": words.notes(view, self.over_time, late, now),
            "remarks": _remarks(view), "kpis": key_figures(self, late),
            "drawn": None if mapped else self._chart(), "map": self._map() if mapped else None,
            "legend": self._legend(), "pivot_foot": _foot(table.left_out), "empty_words": _empty(view),
            "chart_links": [(label, view.url(chart=key), chosen) for key, label, chosen in _charts(view)],
            "cell_links": [(label, view.url(cells=key) + "#pivot", key == view.cells) for key, label in CELLS.items()],
            "choices": choices(view, self.known, self.vos), "filters": filters(view), "kept": _kept(view),
            "more_filters": more_filters(view, self.known), "cuts": cuts(view, current_principal()),
        } | _addresses(view)  # fmt: skip

    def _chart(self) -> Stack:
        view, measure = self.view, self.view.question.figures
        labels = _labels(view, self.over_time.columns)
        rows = (
            self.over_time.rows
            if measure.adds_up and view.chart != "lines"
            else self.over_time.rows[:MOST_SERIES]
        )
        series = {name(row.name, view.by): list(row.cells) for row in rows}
        beside = view.chart == "lines" or not measure.adds_up
        unit = measure.unit
        if view.chart == "share" and measure.adds_up:
            unit = f"% of {measure.unit}"
            series = {
                label: [_part(cell, total) for cell, total in zip(cells, self.over_time.totals, strict=True)]
                for label, cells in series.items()
            }
        unfinished = view.question.last >= self.now.date().replace(day=1)
        return stacked(
            labels, series, unit=unit, partial_last=unfinished, width=760, height=280, decimals=measure.decimals,
            tops=view.chart == "stacked" and view.each == "month", side_by_side=beside,
        )  # fmt: skip

    def _legend(self) -> list[dict[str, Any]]:
        """Totals by the chosen dimension: in the order of the stack while all have a colour of their own."""
        view, table = self.view, self.over_time
        few = len(table.rows) <= MOST_SERIES
        rows = list(table.rows[:LEGEND])
        marks = {row.name: min(number, MOST_SERIES) for number, row in enumerate(rows, 1)}
        if few and view.chart != "map":
            rows.reverse()
        return [
            {
                "label": name(row.name, view.by),
                "url": view.url(**{view.by: row.name}) if row.name not in ("", "unknown") else "",
                "figure": row.total,
                "share": row.total / table.total if row.total and table.total else 0,
                "mark": ""
                if view.chart == "map"
                else "alone"
                if len(table.rows) == 1
                else f"s{marks[row.name]}",
            }
            for row in rows
        ]

    def _map(self) -> bubbles.BubbleMap:
        measure = self.view.question.figures
        return bubbles.draw(
            self.by_site,
            self.known,
            lambda value: words.in_words(value, measure, words.unit(self.view)),
            lambda site: self.view.url(site=site),
        )


def _beside(view: Address) -> tuple[str, ...]:
    """Sums for the strip of key figures, and machines that begun, as far as the same table keeps them."""
    if view.each != "month":
        return ()
    asked = view.over_time
    names = (*asked.by, *(name for name, _ in asked.only))
    wanted: list[str] = []
    for sums in [*(MEASURES[each].sums for each in view.kind.measures[:4]), ("vms", asking.BEGUN)]:
        if view.kind.source(names, (*asked.figures.sums, *wanted, *sums)) is not None:
            wanted += sums
    return tuple(dict.fromkeys(wanted))


def _whole(session: Session, view: Address) -> Line:
    """Everything in one line, where the lines that are shown are days and tell less."""
    sums = asking.sums_of([each for each in view.kind.measures[:4] if MEASURES[each].per != asking.DECLARED])
    return asking.added(asking.ask(session, view.question.grouped(), current_principal(), sums))


def _machines(session: Session, view: Address, lines: Sequence[Line]) -> int | None:
    """Machines counted once: from the lines when they tell, else asked for."""
    if all(asking.BEGUN in line.sums for line in lines) and view.each == "month":
        return asking.once(view.over_time, lines)
    return asking.distinct_vms(session, view.question)


def _by_site(
    session: Session, view: Address, read: Sequence[tuple[asking.Question, Sequence[Line]]]
) -> dict[str, dict[str, float]]:
    """Sums by site: from what was read already when it tells the sites, else asked for."""
    asked, lines = next((each for each in read if "site" in each[0].by), (None, ()))
    if asked is None:
        asked = view.question.grouped("site")
        lines = asking.ask(session, asked, current_principal())
    at = asked.by.index("site")
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.values[at], []).append(line)
    return {site: asking.added(of_site).sums for site, of_site in found.items()}


def _part(cell: float | None, total: float | None) -> float | None:
    return None if cell is None or not total else cell * 100 / total


def _times(view: Address, now: datetime) -> list[str]:
    """Every month or day of the period, also those without usage."""
    asked = view.question
    if view.each == "month":
        return [f"{month:%Y-%m}" for month in asking.months_between(asked.first, asked.last)]
    end = min(asking.months_back(asked.last, -1).toordinal(), now.date().toordinal() + 1)
    return [
        f"{date.fromordinal(day):%Y-%m-%d}"
        for day in range(asked.first.toordinal(), max(end, asked.first.toordinal() + 1))
    ]


def _columns(view: Address) -> list[str] | None:
    """Months stand in their order; anything else by its total."""
    asked = view.question
    if view.across[1] != "month":
        return None
    return [f"{month:%Y-%m}" for month in asking.months_between(asked.first, asked.last)]


def _labels(view: Address, columns: Sequence[str]) -> list[str]:
    if view.each == "month":
        months = asking.months_between(view.question.first, view.question.last)
        return [words.short_month(month, index) for index, month in enumerate(months)]
    return [f"{date.fromisoformat(day):{_DAY}}" for day in columns]


def _charts(view: Address) -> list[tuple[str, str, bool]]:
    """What the measure can be drawn as, and which of it is: figures that do not add up are lines."""
    fitting = list(CHARTS) if view.question.figures.adds_up else ["lines", "map"]
    drawn = view.chart if view.chart in fitting else fitting[0]
    return [(key, CHARTS[key], key == drawn) for key in fitting]


def _kept(view: Address) -> list[tuple[str, str]]:
    """What the lists of the page leave as it is."""
    lists = ("measure", "from", "to", "by", "each", "site", "vo", "kind")
    return view.pairs(**dict.fromkeys(lists))


def _addresses(view: Address) -> dict[str, str]:
    """The same figures in other forms."""
    call = view.call("/api/v1/usage", view.by, view.each)
    return {
        "json": call, "api": call, "csv": view.call("/api/v1/usage.csv", view.by, view.each),
        "parquet": view.call("/api/v1/usage.parquet", view.by, view.each),
        "pivot_csv": view.call("/api/v1/usage.csv", *view.across),
        "permanent": _absolute(view.url()), "curl": f"curl '{_absolute(call)}'",
    }  # fmt: skip


def _remarks(view: Address) -> list[str]:
    found = []
    if view.dropped:
        found.append(f"Left out, since {view.kind.label} has not: {', '.join(view.dropped)}.")
    principal = current_principal()
    people = view.over_time.names_people or view.crossed.names_people
    if people and not principal.has("federation_operator", "federation"):
        found.append("Only usage of people whom you may see by name is counted here.")
    return found


def _foot(left_out: int) -> str:
    said = "– no usage was reported. Darker cells hold more."
    return f"{said} {count(left_out, 'more row')} stand in the sums and in the CSV." if left_out else said


def _empty(view: Address) -> str:
    if view.question.only:
        return "No record that was counted falls into these months and filters. Drop a filter, or choose other months."
    return f"No {view.kind.label.lower()} record that was counted falls into these months."


def _absolute(path: str) -> str:
    return ground().settings.url.rstrip("/") + path
