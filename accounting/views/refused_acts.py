"""What is done on the pages of refused records: replaying, with progress where they are many; discarding; undoing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

from flask import Response, redirect, request
from markupsafe import Markup
from werkzeug.wrappers import Response as BaseResponse

from accounting import bulk_replay, quarantine, replay
from accounting.api.common import demand_as_site, loader
from accounting.models import ReplayRun
from accounting.permissions import DISCARD, READ_REFUSED, REPLAY
from accounting.views.refused import (
    MOST_AT_ONCE,
    MOST_UNDONE,
    numbers,
    refused_page,
    refused_pages,
    whole_number,
)
from hanse.errors import HanseError
from hanse.pages.words import count, number
from hanse.web import current_principal, ground, page

WORKING_S = 2


@refused_pages.post("/refused/<site>/replay", permission=REPLAY)
def replay_form(site: str) -> BaseResponse:
    """Run the chosen records through the pipeline again; many of them in the background."""
    given, by = request.form, current_principal().name
    as_site = given.get("as_site") or None
    try:
        ids = _ids(site)
        demand_as_site(as_site)
        if len(ids) > MOST_AT_ONCE:
            choice = bulk_replay.Choice(
                given.get("code", ""), given.get("field", ""), None, as_site, _since()
            )
            with ground().db.transaction() as session:
                run = bulk_replay.ask(session, site, choice, by)
            return redirect(f"/refused/{quote(site)}/replays/{run.id}", 303)
        done = replay.replay(loader(), site, ids, as_site=as_site, by=by)
    except HanseError as error:
        return refused_page(site, problem=error.detail, status=422)
    said = f"{count(done.counted, 'record')} counted."
    if done.refused:
        said += f" {number(done.refused)} still refused: {done.reason}"
    return _back(site, said=said)


@refused_pages.post("/refused/<site>/discard", permission=DISCARD)
def discard_form(site: str) -> BaseResponse:
    """Take the chosen records off the list, with the reason."""
    ids, why = _ids(site), request.form.get("why", "").strip()
    if not ids or len(why) > 1000:
        problem = (
            "Choose at least one record to discard."
            if not ids
            else "The reason has at most 1,000 characters."
        )
        return refused_page(site, problem=problem, status=422)
    done = replay.discard(loader(), site, ids, current_principal().name, why)
    undo = ",".join(map(str, ids)) if len(ids) <= MOST_UNDONE else ""
    return _back(site, said=f"{count(done, 'record')} discarded.", undo=undo)


@refused_pages.post("/refused/<site>/take-back", permission=DISCARD)
def take_back_form(site: str) -> BaseResponse:
    """Put discarded records back among the refused ones."""
    ids = numbers(request.form.get("ids", "")) or _ids(site)
    try:
        done = replay.take_back(loader(), site, ids, current_principal().name)
    except HanseError as error:
        return refused_page(site, problem=error.detail, status=422)
    return _back(site, said=f"{count(done, 'record is', 'records are')} on the list again.")


def _back(site: str, **words: str) -> BaseResponse:
    told = {name: value for name, value in words.items() if value}
    return redirect(f"/refused/{quote(site)}?{urlencode(told)}", 303)


def _since() -> datetime | None:
    """The beginning of the period that the page shows; None = of any age."""
    days = request.form.get("days", "")
    return datetime.now(UTC) - timedelta(days=int(days)) if days in ("7", "30") else None


def _ids(site: str) -> list[int]:
    """The records ticked, or with `all` every one of the group that is shown."""
    if request.form.get("all") != "true":
        found = (whole_number(text) for text in request.form.getlist("id"))
        return [number_ for number_ in found if number_ is not None]
    with ground().db.transaction() as session:
        rows = quarantine.records(
            session, replay.own(site), state="refused", since=_since(), code=request.form.get("code"),
            field=request.form.get("field", ""), limit=replay.MOST_AT_ONCE,
        )  # fmt: skip
    return [row.id for row in rows]


@refused_pages.get("/refused/<site>/replays/<int:run>", permission=READ_REFUSED)
def replay_progress(site: str, run: int) -> Response:
    """How far a replay of many has come."""
    with ground().db.transaction() as session:
        found = bulk_replay.one(session, site, run)
    cause = quarantine.cause(found.code)
    return page(
        "accounting/replay_run.html", title=f"{site}: replay {run}", sentence=_progress(found),
        crumbs=[("Usage", "/usage"), ("Refused records", "/refused"), (site, f"/refused/{quote(site)}")],
        api=f"/api/v1/sites/{quote(site)}/replays", run=found, cause=cause, site=site, within="/refused",
        refresh_s=WORKING_S if found.state in bulk_replay.OPEN else None,
    )  # fmt: skip


def _progress(run: ReplayRun) -> Markup:
    if run.state == "waiting":
        return Markup("<b>{} wait</b> for the process that replays.").format(count(run.records, "record"))
    if run.state == "running":
        return Markup("<b>{} of {}</b> replayed.").format(number(run.done), count(run.records, "record"))
    if run.state == "failed":
        return Markup("<b>Ended after {} of {}.</b> {}").format(
            number(run.done), count(run.records, "record"), run.reason
        )
    said = Markup("<b>{} of {} counted.</b>").format(number(run.counted), count(run.records, "record"))
    return said + Markup(" {} refused still.").format(number(run.refused)) if run.refused else said
