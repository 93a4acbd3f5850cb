"""/usage/apel/SITE: cloud usage of a site by month as it is counted here, beside what APEL would say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from urllib.parse import quote, urlencode

from flask import Response, request
from markupsafe import Markup
from sqlalchemy.orm import Session

from accounting import apel_view, asking
from accounting.permissions import READ_RECORDS
from accounting.views.portal.page import usage_pages
from accounting.views.portal.words import long
from hanse.errors import Refused
from hanse.pages.words import number
from hanse.web import current_principal, ground, page

SUMS = ("cpu_s", "wall_s")
Sums = dict[str, float]


@dataclass(frozen=True)
class Month:
    """Seconds of CPU and wall time of a month: counted here, and as APEL cuts it."""

    month: date
    ours: Mapping[str, float]
    apel: Mapping[str, float]

    def difference(self, name: str) -> float:
        """Hours that APEL has more (or less)."""
        return (self.apel.get(name, 0) - self.ours.get(name, 0)) / 3600


@usage_pages.get("/usage/apel/<site>", permission=READ_RECORDS)
def as_apel(site: str) -> Response:
    """Cloud usage of a site by month, with APEL's figures beside it."""
    first, last = asking.period(request.args.get("from"), request.args.get("to"), datetime.now(UTC).date())
    problem = ""
    with ground().db.transaction() as session:
        ours = _ours(session, site, first, last)
        try:
            theirs = _theirs(session, site, first, last)
        except Refused as archived:
            theirs, problem = {}, archived.detail
    months = [
        Month(month, ours.get(month, {}), theirs.get(month, {}))
        for month in asking.months_between(first, last)
    ]
    period = urlencode({"from": f"{first:%Y-%m}", "to": f"{last:%Y-%m}"})
    api = f"/api/v1/sites/{quote(site, safe='')}/apel-summaries"
    return page(
        "accounting/usage_apel.html", title=f"{site}: months as APEL cuts them", within="/usage",
        crumbs=[("Usage", "/usage"), (site, f"/usage?{urlencode({'site': site})}&{period}")],
        sentence=_sentence(months, problem), site=site, months=months, problem=problem, sums=SUMS,
        total=Month(first, _all([each.ours for each in months]), _all([each.apel for each in months])),
        first=first, last=last, choices=_choices(first, last), usual=f"/usage?{urlencode({'site': site})}&{period}",
        api=f"{api}?{period}", csv=f"{api}.csv?{period}",
    )  # fmt: skip


def _ours(session: Session, site: str, first: date, last: date) -> dict[date, Sums]:
    months = (f"{first:%Y-%m}", f"{last:%Y-%m}")
    question = asking.asked("cloud", "cpu_hours", *months, "month", {"site": [site]}, last)
    lines = asking.ask(session, question, current_principal(), SUMS)
    return {
        datetime.strptime(line.values[0], "%Y-%m").replace(tzinfo=UTC).date(): line.sums for line in lines
    }


def _theirs(session: Session, site: str, first: date, last: date) -> dict[date, Sums]:
    found: dict[date, Sums] = {}
    for row in apel_view.apel_rows(session, site, first, last):
        sums = found.setdefault(date(row.month // 12, row.month % 12 + 1, 1), dict.fromkeys(SUMS, 0.0))
        for name in SUMS:
            sums[name] += getattr(row, name)
    return found


def _all(given: list[Mapping[str, float]]) -> Sums:
    return {name: sum(each.get(name, 0) for each in given) for name in SUMS}


def _choices(first: date, last: date) -> list[tuple[str, str]]:
    this = datetime.now(UTC).date().replace(day=1)
    months = {*asking.months_between(asking.months_back(this, 35), this), first, last}
    return [(f"{month:%Y-%m}", f"{month:%b %Y}") for month in sorted(months, reverse=True)]


def _sentence(months: list[Month], problem: str) -> Markup:
    span = f"from {long(months[0].month)} to {long(months[-1].month)}"
    if problem:
        return Markup("<b>APEL's figures cannot be made {}.</b>").format(span)
    ours, theirs = (
        _all([getattr(each, name) for each in months])["cpu_s"] / 3600 for name in ("ours", "apel")
    )
    said = Markup("<b>{} CPU hours</b> {}; as APEL cuts months <b>{}</b>.")
    return said.format(number(ours), span, number(theirs))
