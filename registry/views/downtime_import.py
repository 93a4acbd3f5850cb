"""Planned downtimes from a calendar file: choose it, look at what would become of each event, then take it."""

from __future__ import annotations

from typing import Annotated

from flask import request
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.errors import FieldFault, HanseError, Refused
from hanse.pages.words import count
from hanse.web import FormFaults, Pages, current_principal, ground, page
from registry import downtime_import
from registry.downtime_import import Outcome
from registry.renderings.ical_reading import MOST_BYTES
from registry.rights import DECLARE_DOWNTIME
from registry.settings import RegistrySettings
from registry.views import saving
from registry.views.downtime_choices import own_names

pages = Pages("registry_downtime_import", __name__)
LABELS = {"calendar": "Calendar", "site": "Site"}
WORDS = {
    "declare": ("ok", "new"),
    "change": ("working", "changed"),
    "cancel": ("downtime", "cancelled"),
    "nothing": ("dot", "left as it is"),
    "refuse": ("down", "refused"),
}


@pages.get("/downtimes/import", permission=DECLARE_DOWNTIME)
def choose() -> BaseResponse:
    """Choose or paste a calendar."""
    return _page("", request.args.get("site", ""), [], FormFaults(), looked=False, taken=False)


@pages.post("/downtimes/import", permission=DECLARE_DOWNTIME)
def take() -> BaseResponse:
    """The first time what would become of each event; with `act=take` it is done."""
    given = request.files.get("file")
    raw = given.read(MOST_BYTES + 1) if given is not None else b""
    raw = raw or request.form.get("calendar", "").encode("utf-8", "replace")
    site, taken = request.form.get("site", ""), request.form.get("act") == "take"
    settings = ground().settings
    assert isinstance(settings, RegistrySettings)
    importer = downtime_import.Importer(ground().db, settings, current_principal(), dry_run=not taken)
    text = raw.decode("utf-8", "replace")
    if saving.is_check():
        return _checked(text, site)
    try:
        found = downtime_import.take(importer, raw, site or None)
    except HanseError as error:
        told = FormFaults.of(error, {"calendar": text, "site": site})
        return _page(text, site, [], told, looked=False, taken=False)
    return _page(text, site, found, FormFaults(), looked=True, taken=taken)


class _Calendar(BaseModel):
    """The form: a calendar, and the site that is meant where an event names none."""

    calendar: Annotated[str, Field(min_length=1)]
    site: str = ""


def _checked(text: str, site: str) -> BaseResponse:
    """What would be refused, of the file or of the text; nothing is declared."""
    settings = ground().settings
    assert isinstance(settings, RegistrySettings)

    def act(db: Database, form: _Calendar) -> int:
        importer = downtime_import.Importer(db, settings, current_principal(), dry_run=True)
        found = downtime_import.take(importer, form.calendar.encode(), form.site or None)
        refused = [one for one in found if one.action == "refuse"]
        if refused:
            told = f"{len(refused)} of {count(len(found), 'event')} would be refused"
            raise Refused(f"{told}.", FieldFault("calendar", f"{told}; {_first_words(refused[0])}"))
        return len(found)

    kept = {"calendar": text, "site": site}
    return saving.checked(kept, lambda: _Calendar(**kept), act, LABELS, all_told=True)


def _first_words(outcome: Outcome) -> str:
    faults = "; ".join(f"{fault.field}: {fault.reason}" for fault in outcome.faults)
    return f"line {outcome.wish.line}: {outcome.words}" + (f" ({faults})" if faults else "")


def _page(
    text: str, site: str, found: list[Outcome], form: FormFaults, *, looked: bool, taken: bool
) -> BaseResponse:
    with ground().db.transaction() as session:
        mine = own_names(session, current_principal())
    counted = {action: sum(one.action == action for one in found) for action in WORDS}
    return page(
        "registry/downtime_import.html",
        title="Downtimes from a calendar",
        sentence=_sentence(counted, looked=looked, taken=taken),
        crumbs=[("Sites", "/sites"), ("Downtimes", "/downtimes"), ("From a calendar", "")],
        status=422 if form else 200,
        api="POST /api/v1/downtimes/import?dry_run=true",
        text=text,
        site=site,
        sites=[("", "none: events name their site"), *((name, name) for name in mine)],
        found=found,
        form=form,
        looked=looked,
        taken=taken,
        words=WORDS,
        work=sum(counted[action] for action in ("declare", "change", "cancel")),
    )


def _sentence(counted: dict[str, int], *, looked: bool, taken: bool) -> str:
    if not looked:
        return "Each event of the file is looked at before anything is declared."
    done = [f"{many} {WORDS[action][1]}" for action, many in counted.items() if many]
    if not done:
        return "The file holds no event."
    events = count(sum(counted.values()), "event")
    return f"{events}: {', '.join(done)}." + ("" if taken else " Nothing is declared yet.")
