"""/publishing: who publishes in time, and who does not; /publishing/SITE: one site in detail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from flask import Response, request
from markupsafe import Markup

from accounting import publishing, site_publishing
from accounting.api.common import limits
from accounting.permissions import READ_ANY_REFUSED, READ_REFUSED
from accounting.publishing import SiteStatus
from accounting.site_publishing import Counted, Day
from hanse.identity.permissions import PUBLIC, allows
from hanse.pages.charts import Stack, stacked
from hanse.pages.words import age, count
from hanse.web import Pages, current_principal, ground, page

publishing_pages = Pages("accounting_publishing_pages", __name__, nav=[("Publishing", "/publishing")])
PERIODS = {"30": 30, "90": 90}
LATEST = 20


@publishing_pages.get("/publishing", permission=PUBLIC)
def publishing_status() -> Response:
    """Who publishes in time, and who does not."""
    now = datetime.now(UTC)
    bounds = limits()
    with ground().db.transaction() as session:
        found = publishing.statuses(session, bounds, now)
        gaps = site_publishing.gaps(session)
        sync = site_publishing.sync(session)
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
        gaps=gaps, sync=_by_site(sync),
        may_see={each.site for each in found if allows(current_principal(), READ_ANY_REFUSED, f"site:{each.site}")},
    )  # fmt: skip


def _by_site(sync: Sequence[Counted]) -> dict[str, tuple[int, int]]:
    """(counts that agree, counts) of each site that sends some."""
    found: dict[str, tuple[int, int]] = {}
    for each in sync:
        agree, every = found.get(each.site, (0, 0))
        found[each.site] = (agree + (each.difference == 0), every + 1)
    return found


@publishing_pages.get("/publishing/<site>", permission=PUBLIC)
def publishing_of_site(site: str) -> Response:
    """One site: how old its usage is, what is missing, what became of its messages."""
    now, bounds = datetime.now(UTC), limits()
    days = request.args.get("days", "30")
    days = days if days in PERIODS else "30"
    may_see = allows(current_principal(), READ_REFUSED, f"site:{site}")
    with ground().db.transaction() as session:
        status = site_publishing.status_of(session, site, bounds, now)
        received = site_publishing.by_day(session, site, now, PERIODS[days])
        read: dict[str, Any] = {
            "gaps": site_publishing.gaps(session, site).get(site, []),
            "sync": site_publishing.sync(session, site),
            "months": site_publishing.months_of(session, site)[-36:],
            "silent": site_publishing.silent_machines(session, site),
            "messages": site_publishing.messages(session, site, LATEST) if may_see else [],
        }
    judged = site_publishing.freshness(status, bounds, now)
    place = f"/publishing/{quote(site)}"
    return page(
        "accounting/publishing_site.html", title=f"{site}: publishing",
        crumbs=[("Usage", "/usage"), ("Publishing", "/publishing")], sentence=_sentence(status, read["gaps"], now),
        api=f"/api/v1/publishing/{quote(site)}", refresh_s=30, told=status, judged=judged, now=now,
        warn_s=bounds.warning_days * 86_400, limit_s=bounds.critical_days * 86_400, may_see=may_see,
        chart=_chart(received), days=received, probe=f"/api/v1/sites/{quote(site)}/freshness",
        periods=[(f"{each} days", f"{place}?days={each}", each == days) for each in PERIODS],
        peak=max((cpu for _, cpu in read["months"]), default=0), **read,
    )  # fmt: skip


def _sentence(status: SiteStatus, gaps: Sequence[Any], now: datetime) -> Markup:
    if status.last_message_at is None:
        return Markup("<b>{} has not published yet.</b> Its first signed message will show here.").format(
            status.site
        )
    said = Markup("<b>{} published {} ago</b>, {}.").format(
        status.site,
        age(now - status.last_message_at),
        "in time" if status.state == "in time" else status.state,
    )
    if status.refused_open:
        said += Markup(" {} refused still.").format(count(status.refused_open, "record is", "records are"))
    if gaps:
        said += Markup(" {} without usage between others.").format(count(len(gaps), "month is", "months are"))
    return said


def _chart(days: Sequence[Day]) -> Stack:
    """Records by day: loaded and refused upon each other."""
    series = {"loaded": [day.loaded or None for day in days]}
    if any(day.refused for day in days):
        series["refused"] = [day.refused or None for day in days]
    labels = [f"{day.day:%-d %b}" for day in days]
    return stacked(labels, series, unit="records", partial_last=True, width=760, height=200)
