"""/usage: how much was used, by whom, and whether it is complete."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from markupsafe import Markup
from sqlalchemy.orm import Session

from accounting import report, summaries
from accounting.api.common import limits
from accounting.api.usage import UsageQuery, question
from accounting.summaries import Question
from hanse.errors import Refused
from hanse.identity.permissions import PUBLIC
from hanse.pages.words import age, count, number
from hanse.web import Pages, current_principal, ground, page

usage_pages = Pages("accounting_usage_pages", __name__, nav=[("Portal", "/usage")])
GROUPS = {"vo": "VO", "site": "site", "user": "user", "service": "cloud service"}
PLURALS = {"vo": "VOs", "site": "sites", "user": "users", "service": "cloud services"}
UNITS = {"cpu_hours": "CPU hours", "wall_hours": "wall hours", "vms": "VMs"}


@usage_pages.get("/usage", permission=PUBLIC)
def usage() -> Response:
    """How much was used, by whom, and whether it is complete."""
    view = _UsageView.from_address()
    now = datetime.now(UTC)
    with ground().db.transaction() as session:
        shown = view.read(session, now)
    return page("accounting/usage.html", title="Usage", refresh_s=30, **shown)


class _UsageView:
    """What the address asks the usage page for."""

    def __init__(self, measure: str, by: str, asked: Question) -> None:
        self.measure, self.by, self.asked = measure, by, asked
        self.months = summaries.months_between(asked.first, asked.last)

    @classmethod
    def from_address(cls) -> _UsageView:
        """Raises Refused naming the parameter that cannot be read."""
        given = request.args
        by = given.get("by") or "vo"
        measure = given.get("measure") or "cpu_hours"
        if by not in GROUPS or measure not in report.MEASURES:
            raise Refused(
                "There is no such view; choose a measure and a grouping from the lists of the page."
            )
        query = UsageQuery.model_construct(
            from_month=given.get("from") or None,
            to_month=given.get("to") or None,
            by=by,
            site=[name for name in given.getlist("site") if name],
            vo=[name for name in given.getlist("vo") if name],
            user=[name for name in given.getlist("user") if name],
        )
        return cls(measure, by, question(query))

    def read(self, session: Session, now: datetime) -> dict[str, Any]:
        """Everything that the template shows."""
        principal = current_principal()
        lines = report.ask(session, self._by(self.by, "month"), principal)
        columns = [f"{month:%Y-%m}" for month in self.months]
        monthly = report.table(lines, self.measure, columns)
        across = "vo" if self.by == "site" else self.by
        pivot = report.table(report.ask(session, self._by("site", across), principal), self.measure)
        whole = (report.ask(session, self._by(), principal) or [summaries.Line((), 0, 0, 0)])[0]
        capacity = report.capacity_hours(session, self.asked.first, self.asked.last, now)
        fresh = summaries.freshness(session)
        return {
            "view": self,
            "months": [_month(month, index) for index, month in enumerate(self.months)],
            "table": monthly,
            "series": {name or f"no {GROUPS[self.by]}": values for name, values, _ in monthly.rows},
            "partial": self.asked.last >= now.date().replace(day=1),
            "pivot": pivot,
            "across": GROUPS[across],
            "capacity": capacity,
            "peak": max((cell or 0 for _, cells, _ in pivot.rows for cell in cells), default=0),
            "kpis": self._kpis(session, whole, capacity, fresh, now),
            "sentence": self._sentence(monthly, pivot, fresh, now),
            "note": self._note(monthly, now),
            "choices": self._choices(session),
            "api": self._call("/api/v1/usage", f"{self.by},month"),
            "csv": self._call("/api/v1/usage.csv", f"{self.by},month"),
            "permanent": self._permanent(),
            "unit": UNITS[self.measure],
            "group": GROUPS[self.by],
            "groups": PLURALS[self.by],
        }

    def _by(self, *by: str) -> Question:
        asked = self.asked
        return Question(asked.first, asked.last, by, asked.sites, asked.vos, asked.users)

    def _kpis(
        self, session: Session, whole: summaries.Line, capacity: dict[str, float],
        fresh: Sequence[summaries.Freshness], now: datetime,
    ) -> list[dict[str, Any]]:  # fmt: skip
        asked, span = self.asked, count(len(self.months), "month")
        late = [each for each in fresh if limits().judge(each.last_message_at, now) != "in time"]
        used = set(asked.sites) or {each.site for each in fresh}
        declared = sum(hours for site, hours in capacity.items() if site in used)
        cores = (
            f"VMs use {whole.cpu_s / whole.wall_s:.2f} CPUs on average" if whole.wall_s else "no usage yet"
        )
        found = [
            {"label": f"CPU hours, {span}", "figure": number(whole.cpu_s / 3600), "context": cores},
            {"label": "Wall hours", "figure": number(whole.wall_s / 3600), "context": "sum over all VMs"},
            {
                "label": "VMs",
                "figure": number(0 if asked.users else summaries.distinct_vms(session, asked)),
                "context": f"{number(whole.vms)} VM-months",
            },
            {
                "label": "Publishing on time",
                "figure": str(len(fresh) - len(late)),
                "unit": f"of {count(len(fresh), 'site')}",
                "context": _silent(late, now) if late else "no site is late",
                "url": "/publishing",
            },
        ]
        if declared and not asked.vos and not asked.users:
            share = whole.cpu_s / 3600 / declared
            words = f"{number(declared)} CPU hours declared"
            found.append(
                {
                    "label": "Of declared capacity",
                    "figure": f"{share * 100:.0f}",
                    "unit": "%",
                    "context": words,
                }
            )
        return found

    def _sentence(
        self, monthly: report.Table, pivot: report.Table, fresh: Sequence[summaries.Freshness], now: datetime
    ) -> Markup:
        if not monthly.rows:
            return Markup("No usage is known from {} to {}.").format(
                *map(_long, (self.asked.first, self.asked.last))
            )
        late = [each for each in fresh if limits().judge(each.last_message_at, now) != "in time"]
        in_time = [each.measured_until for each in fresh if each not in late]
        known = Markup(" Complete to {}").format(f"{min(in_time):%-d %b, %H:%M}") if in_time else Markup("")
        if late and in_time:
            known += Markup(", except {}").format(_silent(late, now))
        return Markup("<b>{} {}</b> in {} at {}.{}{}").format(
            number(monthly.total), UNITS[self.measure], count(len(self.months), "month"),
            count(len(pivot.rows), "site"), known, "." if known else "",
        )  # fmt: skip

    def _note(self, monthly: report.Table, now: datetime) -> str:
        if self.asked.last < now.date().replace(day=1) or not monthly.totals:
            return ""
        begin = datetime(now.year, now.month, 1, tzinfo=UTC)
        after = summaries.months_back(begin.date(), -1)
        share = (now - begin) / (datetime(after.year, after.month, 1, tzinfo=UTC) - begin)
        words = f"{now:%B} is not complete (lighter, to {now:%-d %b, %H:%M})."
        if self.measure != "vms" and share > 0.1:
            words += f" At its pace it would reach {number(monthly.totals[-1] / share)}."
        return words

    def _choices(self, session: Session) -> dict[str, list[tuple[str, str]]]:
        sites, vos = summaries.known_names(session)
        months = _month_choices(
            {*self.months, *summaries.months_between(*report.period(None, None, datetime.now(UTC).date()))}
        )
        return {
            "measure": list(report.MEASURES.items()), "months": months,
            "by": [(key, word[0].upper() + word[1:]) for key, word in GROUPS.items()],
            "site": [("", f"all {len(sites)}"), *((name, name) for name in sites)],
            "vo": [("", f"all {len(vos)}"), *((name, name) for name in vos if name)],
        }  # fmt: skip

    def _pairs(self) -> list[tuple[str, str]]:
        asked = self.asked
        pairs = [("from", f"{asked.first:%Y-%m}"), ("to", f"{asked.last:%Y-%m}")]
        for name, values in (("site", asked.sites), ("vo", asked.vos), ("user", asked.users)):
            pairs += [(name, value) for value in values]
        return pairs

    def _call(self, path: str, by: str) -> str:
        return f"{path}?{urlencode([('measure', self.measure), ('by', by), *self._pairs()], safe=',')}"

    def _permanent(self) -> str:
        base = ground().settings.url.rstrip("/")
        return f"{base}/usage?{urlencode([('measure', self.measure), ('by', self.by), *self._pairs()])}"


def _month(month: date, index: int) -> str:
    return f"{month:%b %Y}" if index == 0 or month.month == 1 else f"{month:%b}"


def _long(month: date) -> str:
    return f"{month:%B %Y}"


def _month_choices(months: set[date]) -> list[tuple[str, str]]:
    return [(f"{month:%Y-%m}", f"{month:%b %Y}") for month in sorted(months, reverse=True)]


def _silent(late: Sequence[summaries.Freshness], now: datetime) -> str:
    worst = min(late, key=lambda each: each.last_message_at)
    others = f" and {count(len(late) - 1, 'other')}" if len(late) > 1 else ""
    return f"{worst.site} (last message {age(worst.age(now))} ago){others}"
