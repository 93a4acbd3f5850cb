"""The queue of mails: what waits, what was delivered, what the relay refused."""

from __future__ import annotations

from flask import redirect, request
from werkzeug.wrappers import Response as BaseResponse

from hanse.mails import STATES
from hanse.web import Pages, ground, page
from registry import mails
from registry.finding import number_cursor
from registry.rights import RUN_FEDERATION
from registry.views.home import settings

pages = Pages("registry_mails_pages", __name__)
PAGE = 50


@pages.get("/mails", permission=RUN_FEDERATION)
def all_mails() -> BaseResponse:
    """Mails, the newest first, without their texts: codes stand in some."""
    asked = request.args.get("state", "")
    state = asked if asked in STATES else None
    with ground().db.transaction() as session:
        found = mails.listed(session, state, None, number_cursor(request.args.get("before")), PAGE + 1)
        counts = mails.count_by_state(session)
    return page(
        "registry/mails.html",
        title="Mails",
        sentence=_sentence(counts),
        crumbs=[("Roles", "/roles")],
        api="/api/v1/mails",
        csv="/api/v1/mails.csv",
        mails=found[:PAGE],
        before=found[PAGE - 1].id if len(found) > PAGE else None,
        state=state or "",
        states=[("", "any"), *((one, one) for one in STATES)],
        relay=settings().smtp_host,
    )


def _sentence(counts: dict[str, int]) -> str:
    waiting, failed = counts.get("pending", 0), counts.get("failed", 0)
    if not waiting and not failed:
        return "Nothing waits, and nothing was refused."
    return f"{waiting} wait, {failed} were given up."


@pages.post("/mails/<int:number>/again", permission=RUN_FEDERATION)
def again(number: int) -> BaseResponse:
    """Try a mail once more."""
    mails.again(ground().db, number)
    return redirect("/mails", 303)
