"""/publishing: who publishes in time, and who does not."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response
from markupsafe import Markup

from accounting import publishing
from accounting.api.common import limits
from accounting.permissions import READ_ANY_REFUSED
from hanse.identity.permissions import PUBLIC, allows
from hanse.pages.words import count
from hanse.web import Pages, current_principal, ground, page

publishing_pages = Pages("accounting_publishing_pages", __name__, nav=[("Publishing", "/publishing")])


@publishing_pages.get("/publishing", permission=PUBLIC)
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
