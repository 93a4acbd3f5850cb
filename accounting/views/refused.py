"""/refused: why records were refused, what to change, and replaying them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from flask import Response, redirect, request
from markupsafe import Markup
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from accounting import bulk_replay, publishing, quarantine, replay
from accounting.models import Message, RefusedRecord
from accounting.permissions import DISCARD, READ_ANY_REFUSED, READ_REFUSED, REPLAY
from hanse.identity.permissions import allows
from hanse.pages.words import count, number
from hanse.web import Pages, current_principal, ground, page

refused_pages = Pages("accountingrefused_pages", __name__, nav=[("Refused records", "/refused")])
ROWS = 20
MOST_AT_ONCE = 200
"""Records that are replayed while the reader waits; more are worked off in the background."""
MOST_UNDONE = 200
PERIODS = {"7": "7 days", "30": "30 days", "": "any time"}


@refused_pages.get("/refused", permission=READ_ANY_REFUSED)
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


@refused_pages.get("/refused/<site>", permission=READ_REFUSED)
def refused(site: str) -> Response:
    """Why records of a site were refused, and what to change."""
    return refused_page(site)


def refused_page(site: str, problem: str = "", status: int = 200) -> Response:
    """The page of a site, with what went wrong when something was asked of it."""
    now, given = datetime.now(UTC), request.args
    days = given.get("days", "7") if given.get("days", "7") in PERIODS else "7"
    state = given.get("state", "refused") if given.get("state") in ("replayed", "discarded") else "refused"
    own = "" if site == replay.NOBODYS else site
    since = now - timedelta(days=int(days)) if days else None
    with ground().db.transaction() as session:
        groups = quarantine.groups(session, own, since, state)
        chosen = _chosen_group(groups)
        before = whole_number(given.get("before"))
        rows = quarantine.records(
            session, own, state=state, since=since, code=chosen.code if chosen else None,
            field=chosen.field if chosen else None, before=before, limit=ROWS + 1,
        )  # fmt: skip
        record = _chosen_record(session, own, rows)
        detail = _detail(session, record) if record else None
        figures = quarantine.figures(session, own, now)
        runs = [run for run in bulk_replay.recent(session, site, 3) if run.state in bulk_replay.OPEN]
    name = site if own else "Nobody's"
    return page(
        "accounting/refused.html", title=f"{name}: refused records", status=status, problem=problem,
        crumbs=[("Usage", "/usage"), ("Refused records", "/refused")],
        sentence=_why_sentence(groups, figures, days, state),
        api=f"/api/v1/sites/{quote(site)}/refused-records" + (f"?days={days}" if days else ""),
        csv=f"/api/v1/sites/{quote(site)}/refused-records.csv" + (f"?days={days}" if days else ""),
        site=site, groups=groups, chosen=chosen, rows=rows[:ROWS], more=len(rows) > ROWS, record=record,
        detail=detail, figures=figures, days=days, state=state, periods=list(PERIODS.items()), before=before,
        may_replay=state == "refused" and allows(current_principal(), REPLAY, f"site:{site}"),
        may_take_back=state == "discarded" and allows(current_principal(), DISCARD, f"site:{site}"),
        said=given.get("said", ""), undo=given.get("undo", "") if numbers(given.get("undo", "")) else "",
        runs=runs, beside=_beside(rows[:ROWS], record), many=MOST_AT_ONCE,
        whole=sum(group.records for group in groups), place=_place(site, chosen, days, state),
    )  # fmt: skip


def _chosen_group(groups: Sequence[quarantine.Group]) -> quarantine.Group | None:
    wanted = request.args.get("code"), request.args.get("field")
    for group in groups:
        if (group.code, group.field) == wanted:
            return group
    return groups[0] if groups else None


def _chosen_record(session: Session, site: str, rows: Sequence[RefusedRecord]) -> RefusedRecord | None:
    wanted = whole_number(request.args.get("record"))
    if wanted is not None:
        return quarantine.one(session, site, wanted)
    return rows[0] if rows else None


def _beside(rows: Sequence[RefusedRecord], record: RefusedRecord | None) -> tuple[int | None, int | None]:
    """The records before and after the chosen one in the list."""
    ids = [row.id for row in rows]
    if record is None or record.id not in ids:
        return None, None
    at = ids.index(record.id)
    return ids[at - 1] if at else None, ids[at + 1] if at + 1 < len(ids) else None


def numbers(text: str) -> list[int]:
    """Numbers with commas between them; what is none is left out."""
    return [number_ for part in text.split(",")[:MOST_UNDONE] if (number_ := whole_number(part)) is not None]


def whole_number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


def _detail(session: Session, record: RefusedRecord) -> dict[str, Any]:
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
