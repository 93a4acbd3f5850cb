"""The pages: usage, how sites publish, and refused records. They ask the use cases that the API asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from flask import Response, redirect, request
from markupsafe import Markup
from werkzeug.wrappers import Response as BaseResponse

from accounting import publishing, quarantine, replay, report, summaries
from accounting.api import UsageQuery, limits, loader, question
from accounting.models import Message, RefusedRecord
from accounting.permissions import DISCARD, READ_ANY_REFUSED, READ_REFUSED, REPLAY
from accounting.summaries import Question
from hanse.errors import HanseError, Refused
from hanse.identity.permissions import PUBLIC, allows
from hanse.pages.words import age, count, number
from hanse.web import Pages, current_principal, ground, page

usage_pages = Pages(
    "accounting_pages",
    __name__,
    nav=[("Portal", "/usage"), ("Publishing", "/publishing"), ("Refused records", "/refused")],
)
GROUPS = {"vo": "VO", "site": "Site", "user": "User", "service": "Cloud service"}
PLURALS = {"vo": "VOs", "site": "sites", "user": "users", "service": "cloud services"}
UNITS = {"cpu_hours": "CPU hours", "wall_hours": "wall hours", "vms": "VMs"}
ROWS = 20
PERIODS = {"7": "7 days", "30": "30 days", "": "any time"}


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

    def read(self, session: Any, now: datetime) -> dict[str, Any]:
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
        self, session: Any, whole: summaries.Line, capacity: dict[str, float],
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

    def _choices(self, session: Any) -> dict[str, list[tuple[str, str]]]:
        sites, vos = summaries.known_names(session)
        months = _month_choices(
            {*self.months, *summaries.months_between(*report.period(None, None, date.today()))}
        )
        return {
            "measure": list(report.MEASURES.items()), "by": list(GROUPS.items()), "months": months,
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


@usage_pages.get("/publishing", permission=PUBLIC)
def publishing_status() -> Response:
    """Who publishes in time, and who does not."""
    now = datetime.now(UTC)
    bounds = limits()
    with ground().db.transaction() as session:
        found = publishing.statuses(session, bounds, now)
    late = [each for each in found if each.state != "in time"]
    sentence = Markup("<b>All {}</b> publish in time.").format(count(len(found), "site"))
    if late:
        sentence = Markup("<b>{} of {}</b> not in time: {}.").format(
            len(late), count(len(found), "site"), ", ".join(each.site for each in late[:4])
        )
    return page(
        "accounting/publishing.html", title="Publishing", sentence=sentence if found else "No site is known yet.",
        crumbs=[("Usage", "/usage")], api="/api/v1/publishing", csv="/api/v1/publishing.csv", refresh_s=30,
        statuses=found, now=now, warn_s=bounds.warning_days * 86_400, limit_s=bounds.critical_days * 86_400,
        may_see={each.site for each in found if allows(current_principal(), READ_ANY_REFUSED, f"site:{each.site}")},
    )  # fmt: skip


@usage_pages.get("/refused", permission=READ_ANY_REFUSED)
def refused_sites() -> BaseResponse:
    """Which of the reader's sites have refused records; with one site, that page."""
    principal = current_principal()
    with ground().db.transaction() as session:
        found = publishing.refused_sites(session, datetime.min.replace(tzinfo=UTC))
    operator = principal.has("federation_operator", "federation")
    own = [each for each in found if operator or allows(principal, READ_REFUSED, f"site:{each.site}")]
    sites = {
        scope.removeprefix("site:")
        for grant in principal.grants
        if (scope := grant.scope).startswith("site:")
    }
    if not operator and len(sites) == 1:
        return redirect(f"/refused/{quote(sites.pop())}", 303)
    total = sum(each.records for each in own)
    sentence = Markup("<b>{}</b> refused at {}.").format(count(total, "record"), count(len(own), "site"))
    return page(
        "accounting/refused_sites.html", title="Refused records", crumbs=[("Usage", "/usage")],
        sentence=sentence if own else "No record of your sites is refused.", sites=own, nobodys=replay.NOBODYS,
    )  # fmt: skip


@usage_pages.get("/refused/<site>", permission=READ_REFUSED)
def refused(site: str) -> Response:
    """Why records of a site were refused, and what to change."""
    return _refused_page(site)


def _refused_page(site: str, problem: str = "", status: int = 200) -> Response:
    now, given = datetime.now(UTC), request.args
    days = given.get("days", "7") if given.get("days", "7") in PERIODS else "7"
    state = given.get("state", "refused") if given.get("state") in ("replayed", "discarded") else "refused"
    own = "" if site == replay.NOBODYS else site
    since = now - timedelta(days=int(days)) if days else None
    with ground().db.transaction() as session:
        groups = quarantine.groups(session, own, since, state)
        chosen = _chosen_group(groups)
        before = _whole_number(given.get("before"))
        rows = quarantine.records(
            session, own, state=state, since=since, code=chosen.code if chosen else None,
            field=chosen.field if chosen else None, before=before, limit=ROWS + 1,
        )  # fmt: skip
        record = _chosen_record(session, own, rows)
        detail = _detail(session, record) if record else None
        figures = quarantine.figures(session, own, now)
    name = site if own else "Nobody's"
    return page(
        "accounting/refused.html", title=f"{name}: refused records", status=status, problem=problem,
        crumbs=[("Usage", "/usage"), ("Refused records", "/refused")], sentence=_why_sentence(groups, figures, days, state),
        api=f"/api/v1/sites/{quote(site)}/refused-records" + (f"?days={days}" if days else ""),
        csv=f"/api/v1/sites/{quote(site)}/refused-records.csv" + (f"?days={days}" if days else ""),
        site=site, groups=groups, chosen=chosen, rows=rows[:ROWS], more=len(rows) > ROWS, record=record,
        detail=detail, figures=figures, days=days, state=state, periods=list(PERIODS.items()), before=before,
        may_replay=state == "refused" and allows(current_principal(), REPLAY, f"site:{site}"), said=given.get("said", ""),
        whole=sum(group.records for group in groups), place=_place(site, chosen, days, state),
    )  # fmt: skip


def _chosen_group(groups: Sequence[quarantine.Group]) -> quarantine.Group | None:
    wanted = request.args.get("code"), request.args.get("field")
    for group in groups:
        if (group.code, group.field) == wanted:
            return group
    return groups[0] if groups else None


def _chosen_record(session: Any, site: str, rows: Sequence[RefusedRecord]) -> RefusedRecord | None:
    wanted = _whole_number(request.args.get("record"))
    if wanted is not None:
        return quarantine.one(session, site, wanted)
    return rows[0] if rows else None


def _whole_number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


def _detail(session: Any, record: RefusedRecord) -> dict[str, Any]:
    """The text with its bad lines, and the message that it came in."""
    lines = quarantine.raw_text(session, record).split("\n")
    first = record.first_line or 1
    marks = {
        fault["line"]: quarantine.short(fault["code"]) for fault in reversed(record.faults) if fault["line"]
    }
    message = session.get_one(Message, record.message_id)
    return {
        "lines": lines,
        "first": first,
        "marks": marks,
        "message": message,
        "cause": quarantine.cause(record.code),
    }


def _why_sentence(
    groups: Sequence[quarantine.Group], figures: quarantine.Figures, days: str, state: str
) -> Markup:
    found = sum(group.records for group in groups)
    period = f"in {PERIODS[days]}" if days else "so far"
    if not found:
        return Markup("<b>No record is {} {}.</b> {} were loaded in 7 days.").format(
            state, period, count(figures.loaded, "record")
        )
    words = Markup("<b>{} {} {} {}.</b>").format(
        count(found, "record"), "is" if found == 1 else "are", state, period
    )
    ready = sum(group.records for group in groups if group.cause.replayable)
    if state == "refused" and ready:
        words += Markup(" {} can be counted without a resend, once the cause is mended.").format(
            number(ready)
        )
    return words


def _place(site: str, group: quarantine.Group | None, days: str, state: str) -> str:
    pairs = [("days", days), ("state", state)]
    if group is not None:
        pairs += [("code", group.code), ("field", group.field)]
    return f"/refused/{quote(site)}?{urlencode(pairs)}"


@usage_pages.post("/refused/<site>/replay", permission=REPLAY)
def replay_form(site: str) -> BaseResponse:
    """Run the chosen records through the pipeline again."""
    return _act(site, "replay")


@usage_pages.post("/refused/<site>/discard", permission=DISCARD)
def discard_form(site: str) -> BaseResponse:
    """Take the chosen records off the list."""
    return _act(site, "discard")


def _act(site: str, what: str) -> BaseResponse:
    by, ids = current_principal().name, _ids(site)
    try:
        if what == "discard":
            said = f"{count(replay.discard(loader(), site, ids, by), 'record')} discarded."
        else:
            done = replay.replay(loader(), site, ids, as_site=request.form.get("as_site") or None, by=by)
            said = f"{count(done.counted, 'record')} counted."
            if done.refused:
                said += f" {number(done.refused)} still refused: {done.reason}"
    except HanseError as error:
        return _refused_page(site, problem=error.detail, status=422)
    return redirect(f"/refused/{quote(site)}?{urlencode({'said': said})}", 303)


def _ids(site: str) -> list[int]:
    """The records ticked, or with `all` every one of the group that is shown."""
    if request.form.get("all") != "true":
        return [
            number_ for text in request.form.getlist("id") if (number_ := _whole_number(text)) is not None
        ]
    days = request.form.get("days", "")
    since = datetime.now(UTC) - timedelta(days=int(days)) if days in ("7", "30") else None
    own = "" if site == replay.NOBODYS else site
    with ground().db.transaction() as session:
        rows = quarantine.records(
            session, own, state="refused", since=since, code=request.form.get("code"),
            field=request.form.get("field", ""), limit=replay.MOST_AT_ONCE,
        )  # fmt: skip
    return [row.id for row in rows]
