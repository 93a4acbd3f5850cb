"""What the portal says about its figures: the sentence, the key figures, and what stands out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

from markupsafe import Markup

from accounting import asking
from accounting.asking import Measure, Pivot
from accounting.publishing import Limits
from accounting.summaries import Freshness
from accounting.views.portal.address import Address
from hanse.pages.words import age, count, number

MILLION = 1_000_000


def large(value: float, decimals: int = 0) -> tuple[str, str]:
    """A figure and the word behind it: ("6.95", "million"), ("734,257", "")."""
    for limit, word in ((1000 * MILLION, "billion"), (MILLION, "million")):
        if abs(value) >= limit:
            return f"{value / limit:.2f}", word
    return number(value, decimals), ""


def in_words(value: float | None, measure: Measure, unit: str) -> str:
    """A figure with its unit."""
    if value is None:
        return f"No {unit}"
    return " ".join(word for word in (*large(value, measure.decimals), unit) if word)


def unit(view: Address) -> str:
    """The unit of a sum over all that is shown."""
    asked = view.question
    months = len(asking.months_between(asked.first, asked.last))
    return asked.figures.unit_over(2 if view.each == "day" else months, view.each)


def late_of(fresh: Sequence[Freshness], limits: Limits, now: datetime) -> list[Freshness]:
    """Sites whose last message is too old, longest silent first."""
    late = [each for each in fresh if limits.judge(each.last_message_at, now) != "in time"]
    return sorted(late, key=lambda each: each.last_message_at)


def sentence(
    view: Address,
    total: float | None,
    sites: int,
    fresh: Sequence[Freshness],
    late: Sequence[Freshness],
    now: datetime,
) -> Markup:
    """How much, at how many sites, and whether it is complete."""
    asked, measure = view.question, view.question.figures
    if total is None:
        return Markup("No usage is known from {} to {}.").format(long(asked.first), long(asked.last))
    months = count(len(asking.months_between(asked.first, asked.last)), "month")
    said = Markup("<b>{}</b> in {} at {}.").format(
        in_words(total, measure, unit(view)), months, count(sites, "site")
    )
    in_time = [each.measured_until for each in fresh if each not in late]
    if in_time and asked.last >= now.date().replace(day=1):
        said += Markup(" Complete to {}").format(f"{min(in_time):%-d %b, %H:%M}")
        said += Markup(", except {}.").format(silent(late, now)) if late else Markup(".")
    return said


def silent(late: Sequence[Freshness], now: datetime) -> str:
    """The longest silent site, and how many others."""
    others = f" and {count(len(late) - 1, 'other')}" if len(late) > 1 else ""
    return f"{late[0].site} (last message {age(late[0].age(now))} ago){others}"


def notes(view: Address, table: Pivot, late: Sequence[Freshness], now: datetime) -> list[Markup]:
    """What stands out beside the chart: the period that has not ended, the largest rise, sites that are silent."""
    found = [_unfinished(view, table, now), _rise(view, table, now)]
    if late:
        names = Markup(", ").join(
            Markup('<a href="/publishing/{}">{}</a> (no message for {})').format(
                each.site, each.site, age(each.age(now))
            )
            for each in late[:3]
        )
        more = f" and {len(late) - 3} more" if len(late) > 3 else ""
        found.append(Markup("{} not in time: {}{}.").format(count(len(late), "site"), names, more))
    return [words for words in found if words]


def _unfinished(view: Address, table: Pivot, now: datetime) -> Markup:
    asked, measure = view.question, view.question.figures
    if asked.last < now.date().replace(day=1) or not table.totals:
        return Markup("")
    begin = datetime(now.year, now.month, 1, tzinfo=UTC)
    after = asking.months_back(begin.date(), -1)
    share = (now - begin) / (datetime(after.year, after.month, 1, tzinfo=UTC) - begin)
    said = Markup("{} is not complete (lighter, to {}).").format(f"{now:%B}", f"{now:%-d %b, %H:%M}")
    last = table.totals[-1]
    if last and view.each == "month" and measure.adds_up and measure.scale != 1 and share > 0.1:
        said += Markup(" At its pace it would reach {}.").format(number(last / share))
    return said


def _rise(view: Address, table: Pivot, now: datetime) -> Markup:
    """The largest rise from one finished month to the next, and what rose most."""
    if view.each != "month" or not view.question.figures.adds_up:
        return Markup("")
    finished = len(table.columns) - (view.question.last >= now.date().replace(day=1))
    rises = [(_rose(table.totals, at), at) for at in range(1, finished)]
    most, at = max(rises, default=(0.0, 0))
    if most <= 0:
        return Markup("")
    own = [(_rose(row.cells, at), row.name) for row in table.rows]
    part, name = max(own)
    month = f"{datetime.strptime(table.columns[at], '%Y-%m').replace(tzinfo=UTC):%B}"
    said = Markup("{} rose by {}").format(month, number(most, view.question.figures.decimals))
    if len(table.rows) > 1 and part > most / 2:
        return said + Markup(', most of it <a href="{}">{}</a>.').format(
            view.url(**{view.by: name}), name or "unnamed"
        )
    return said + Markup(".")


def _rose(figures: Sequence[float | None], at: int) -> float:
    return (figures[at] or 0) - (figures[at - 1] or 0)


def short_month(month: date, index: int) -> str:
    """A label below the chart; the year where it begins."""
    return f"{month:%b %Y}" if index == 0 or month.month == 1 else f"{month:%b}"


def long(month: date) -> str:
    """A month in a sentence."""
    return f"{month:%B %Y}"


def change(now_: float, before: float, span: str) -> str:
    """How a total compares with that of the period before: "+31 % on the 12 months before"."""
    if not before:
        return "nothing in the period before"
    return f"{(now_ - before) / before * 100:+.0f} % on the {span} before"
