"""/refused/SITE/remarks: records that were counted, and what is remarkable about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

from flask import Response, request
from markupsafe import Markup

from accounting import quarantine, replay
from accounting.api.common import remark_after
from accounting.models import Remark
from accounting.permissions import READ_REFUSED
from accounting.views.refused import PERIODS, refused_pages
from hanse.pages.words import count
from hanse.web import ground, page
from hanse.web.listing import cursor_of

ROWS = 50
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@refused_pages.get("/refused/<site>/remarks", permission=READ_REFUSED)
def remarks(site: str) -> Response:
    """Records that were counted, and what is remarkable about them."""
    given = request.args
    days = given.get("days", "30") if given.get("days", "30") in PERIODS else "30"
    since = datetime.now(UTC) - timedelta(days=int(days)) if days else LONG_AGO
    code = given.get("code", "")[:100]
    with ground().db.transaction() as session:
        rows = quarantine.remarks(
            session,
            replay.own(site),
            since=since,
            code=code or None,
            after=remark_after(given.get("cursor")),
            limit=ROWS + 1,
        )
        kinds = quarantine.remark_counts(session, replay.own(site), since)
    more = len(rows) > ROWS
    place = f"/refused/{quote(site)}/remarks?{urlencode({'days': days, 'code': code})}"
    shown = rows[:ROWS]
    total = sum(records for _, records in kinds)
    return page(
        "accounting/remarks.html", title=f"{site}: accepted with a remark", within="/refused",
        crumbs=[("Usage", "/usage"), ("Refused records", "/refused"), (site, f"/refused/{quote(site)}")],
        sentence=_sentence(total, days), site=site, rows=shown, days=days, code=code, periods=list(PERIODS.items()),
        kinds=[(kind, quarantine.REMARKS.get(kind, kind), records) for kind, records in kinds],
        options=[("", "any"), *((kind, quarantine.REMARKS.get(kind, kind)) for kind, _ in kinds)],
        words=quarantine.REMARKS, next=f"{place}&{urlencode({'cursor': _cursor(shown)})}" if more else "",
        api=f"/api/v1/sites/{quote(site)}/remarks",
    )  # fmt: skip


def _cursor(rows: Sequence[Remark]) -> str:
    last = rows[-1]
    return cursor_of((last.message_id, last.code, last.field))


def _sentence(total: int, days: str) -> Markup:
    period = f"in {PERIODS[days]}" if days else "so far"
    if not total:
        return Markup("<b>No record was remarked upon {}.</b>").format(period)
    words = Markup("<b>{} counted with a remark {}.</b> Nothing has to be sent again.")
    return words.format(count(total, "record was", "records were"), period)
