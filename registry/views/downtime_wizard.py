"""The way to a downtime in four steps: what, when, impact, confirm. What is typed is kept as a draft at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from flask import redirect, request
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import HanseError, NotFound, Refused
from hanse.web import FormFaults, Pages, current_principal, ground, page
from hanse.web.wire import faults_of
from registry import downtime_drafts, downtime_series, downtimes
from registry.models import Service, Site
from registry.rights import DECLARE_DOWNTIME
from registry.schemas.downtime_drafts import DraftIn
from registry.schemas.downtimes import SeriesIn
from registry.schemas.fields import iso
from registry.views import downtime_impact, saving
from registry.views import downtime_wizard_words as words
from registry.views.downtime_choices import own_names
from registry.views.downtime_wizard_reading import FIELDS, Meant, Typed, read
from registry.views.downtime_wizard_words import STEPS
from registry.views.saving import Saved

pages = Pages("registry_downtime_wizard", __name__)
LISTS: Final = frozenset({"sites", "services", "endpoints"})
MOST_OFFERED = 1000
FEW: Final = 12
"""So many own sites are shown to be ticked; of more one is searched for."""


@pages.get("/downtimes/new", permission=DECLARE_DOWNTIME)
def new() -> BaseResponse:
    """A step of the way; without a draft the first, filled in from the address (`site`, `again=ID`, times)."""
    key = request.args.get("draft")
    typed = _stored(key) if key else _from_address(request.args)
    step = request.args.get("step", "what")
    if step not in STEPS:
        raise NotFound("There is no such step; they are what, when, impact and confirm.")
    meant = read(typed)
    for earlier in STEPS[: STEPS.index(step)]:
        if meant.of_step(earlier):
            return show(earlier, typed, key, meant.of_step(earlier))
    return show(step, typed, key, {})


@pages.post("/downtimes/new", permission=DECLARE_DOWNTIME)
def go() -> BaseResponse:
    """Keep what was typed, then go where the button says; what is wrong is said before the next step."""
    step, act = request.form.get("step", "what"), request.form.get("act", "next")
    if step not in STEPS:
        raise NotFound("There is no such step; they are what, when, impact and confirm.")
    key, typed = _typed_now(step, request.form)
    if saving.is_check():
        return _checked(step, typed)
    if act == "add" or act.startswith("remove:"):
        return _to("what", _keep(_with_sites(typed, act), key))
    if act.startswith("move:"):
        return _to(step, _keep(_moved(typed, act.removeprefix("move:")), key))
    key = _keep(typed, key)
    if act == "back":
        return _to(STEPS[max(STEPS.index(step) - 1, 0)], key)
    meant = read(typed)
    wrong = meant.of_step(step)
    if wrong:
        return show(step, typed, key, wrong)
    if step == "confirm":
        return _declare(typed, key, meant)
    return _to(STEPS[STEPS.index(step) + 1], key)


def _checked(step: str, typed: Typed) -> BaseResponse:
    """What this step would be refused for, while it is typed. Later steps are not looked at: they are not filled in."""
    wrong = read(typed).of_step(step)
    shown = {name: str(typed.get(name) or "") for name in FIELDS[step]}
    needed = any(not shown[name] for name in wrong)
    found: Saved[bool] = Saved(
        None if wrong else True, FormFaults(shown, wrong), 422 if wrong else 303, parsed=not needed
    )
    return saving.told_so_far(shown, found, words.LABELS)


@pages.post("/downtimes/drafts/<key>/discard", permission=DECLARE_DOWNTIME)
def discard(key: str) -> BaseResponse:
    """Throw a draft away."""
    downtime_drafts.discard(ground().db, current_principal(), key)
    return redirect("/downtimes", 303)


def _stored(key: str) -> Typed:
    with ground().db.transaction() as session:
        return _clean(downtime_drafts.find(session, current_principal(), key).body)


def _clean(body: Mapping[str, Any]) -> Typed:
    return DraftIn.model_validate({k: v for k, v in body.items() if k in DraftIn.model_fields}).model_dump()


def _from_address(args: MultiDict[str, str]) -> Typed:
    again = args.get("again", "")
    with ground().db.transaction() as session:
        if again.isdigit() and len(again) < 16:
            return _again(session, int(again))
        mine = own_names(session, current_principal())
    sites = [name for name in dict.fromkeys(args.getlist("site")) if name in mine]
    plain = {name: args.get(name, "")[:4000] for name in ("severity", "description", "start", "end")}
    services = [one for one in args.getlist("service") if one.isdigit()][:1000]
    return _clean({"sites": sites or (mine if len(mine) == 1 else []), "services": services, **plain})


def _again(session: Session, number: int) -> Typed:
    """What downtime `number` was, to be declared at another time."""
    form = downtime_series.form_of(session, number, None, None)
    return _clean(
        {
            "sites": form.names,
            "services": [str(one) for one in form.services or ()],
            "endpoints": [str(one) for one in form.endpoints or ()],
            "severity": form.severity,
            "description": form.description,
        }
    )


def _typed_now(step: str, given: MultiDict[str, str]) -> tuple[str | None, Typed]:
    """The draft with the fields of this step as they were just typed. A draft that is gone begins anew."""
    key = given.get("draft") or None
    typed: Typed = _clean({})
    if key is not None:
        try:
            typed = _stored(key)
        except NotFound:
            key = None
    fresh = {
        name: given.getlist(name) if name in LISTS else given.get(name, "").strip() for name in FIELDS[step]
    }
    if step == "what":
        added = [name.strip() for name in given.getlist("add_site") if name.strip()]
        fresh["sites"] = list(dict.fromkeys([*fresh["sites"], *added]))
    try:
        return key, _clean({**typed, **fresh})
    except ValidationError as error:
        raise Refused("The form holds more than a downtime can.", *faults_of(error)) from None


def _with_sites(typed: Typed, act: str) -> Typed:
    """Without the site that the button names; services of it go along."""
    name = act.removeprefix("remove:") if act.startswith("remove:") else None
    sites = [one for one in dict.fromkeys(typed["sites"]) if one != name]
    with ground().db.transaction() as session:
        kept = {
            str(number)
            for number in session.scalars(select(Service.id).join(Site).where(Site.name.in_(sites)))
        }
    return {**typed, "sites": sites, "services": [one for one in typed["services"] if one in kept]}


def _moved(typed: Typed, days: str) -> Typed:
    """The same hours some days later; what cannot be read stays as it was typed."""
    if not days.isdigit() or int(days) > 60:
        return typed
    moved = {}
    for name in ("start", "end"):
        try:
            moved[name] = (datetime.fromisoformat(typed[name]) + timedelta(days=int(days))).isoformat()[:16]
        except ValueError:
            return typed
    return {**typed, **moved}


def _keep(typed: Typed, key: str | None) -> str:
    return downtime_drafts.save(ground().db, current_principal(), typed, key)


def _to(step: str, key: str) -> BaseResponse:
    return redirect(words.address(step, key), 303)


def show(step: str, typed: Typed, key: str | None, faults: Mapping[str, str]) -> BaseResponse:
    """A step with what was typed; with faults it says how many fields must be mended."""
    count = len(faults)
    summary = (
        f"{count} {'field' if count == 1 else 'fields'} must be mended before you go on." if count else ""
    )
    form = FormFaults(typed, dict(faults), summary)
    meant = read(typed)
    if step in ("impact", "confirm") and meant.form is not None:
        return downtime_impact.show(step, typed, key, meant.form, meant.repeat, form)
    with ground().db.transaction() as session:
        mine = own_names(session, current_principal())
        blocks = site_blocks(session, typed["sites"])
        zones = sorted({site.timezone for site, _ in blocks if site.timezone})
    if not mine:
        return _no_site()
    chosen = {site.name for site, _ in blocks}
    return page(
        f"registry/downtime_{step}.html",
        title="Declare a downtime",
        sentence=f"Step {STEPS.index(step) + 1} of 4. Nothing is declared before the last.",
        crumbs=[("Sites", "/sites"), ("Downtimes", "/downtimes"), ("New", "")],
        status=422 if faults else 200,
        api="POST /api/v1/downtimes?dry_run=true",
        step=step,
        steps=words.steps(step, typed, key),
        draft=key or "",
        form=form,
        labels=words.LABELS,
        blocks=blocks,
        offered=[name for name in mine if name not in chosen][:MOST_OFFERED],
        few=FEW,
        zones=zones,
        now=datetime.now(UTC).replace(second=0, microsecond=0),
    )


def site_blocks(session: Session, names: Sequence[str]) -> list[tuple[Site, list[Service]]]:
    """The chosen sites that are there, with their services, in the order in which they were chosen."""
    sites = {site.name: site for site in session.scalars(select(Site).where(Site.name.in_(names)))}
    found: dict[int, list[Service]] = {site.id: [] for site in sites.values()}
    for service in session.scalars(select(Service).where(Service.site_id.in_(found)).order_by(Service.id)):
        found[service.site_id].append(service)
    return [(sites[name], found[sites[name].id]) for name in dict.fromkeys(names) if name in sites]


def _no_site() -> BaseResponse:
    return page(
        "registry/downtime_no_site.html",
        title="Declare a downtime",
        sentence="There is no site at which you may.",
        crumbs=[("Sites", "/sites"), ("Downtimes", "/downtimes"), ("New", "")],
    )


def _declare(typed: Typed, key: str, meant: Meant) -> BaseResponse:
    if meant.form is None:
        return _to("what", key)
    db, principal = ground().db, current_principal()
    try:
        if meant.repeat is None:
            number = downtimes.declare(db, principal, meant.form)
        else:
            made = downtime_series.declare(db, principal, SeriesIn(downtime=meant.form, repeat=meant.repeat))
            number = made[0].id or 0
    except HanseError as error:
        told = FormFaults.of(error, typed)
        return downtime_impact.show("confirm", typed, key, meant.form, meant.repeat, told)
    downtime_drafts.discard(db, principal, key)
    return redirect(f"/downtimes/{number}?declared={iso(datetime.now(UTC))[:19]}", 303)
