"""Declared against observed: a site's differences with what to do, the operators' list, the card of the site's page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import redirect, request
from markupsafe import Markup
from pydantic import ValidationError
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.errors import FieldFault, HanseError, Refused
from hanse.web import FormFaults, Pages, current_principal, ground, page
from registry import cloud_history, cloudinfo, drift, drift_past, states
from registry.drifting.difference import Difference
from registry.models import CloudDocument, CloudRefusal
from registry.recording import find_site
from registry.rights import EDIT_SITE, PUBLISH_CLOUD, READ_DRIFT, check_site, may_site
from registry.schemas.cloudinfo import AcceptIn, IgnoreIn
from registry.schemas.fields import parse_time
from registry.views import saving
from registry.views.parts import Part, SiteLook

pages = Pages("registry_drift_pages", __name__)


@pages.get("/drift", permission=READ_DRIFT)
def all_drift() -> BaseResponse:
    """Sites that publish, those that differ most first."""
    as_of = request.args.get("as_of")
    with ground().db.transaction() as session:
        moment = states.moment(session, as_of)
        if moment is None:
            found = drift.of_all(session, current_principal())
        else:
            found = drift_past.of_all(session, current_principal(), moment)
    count = sum(one.open for one in found)
    differing = sum(bool(one.open) for one in found)
    return page(
        "registry/drift_sites.html",
        title="Declared against observed",
        sentence=Markup("<b>{}</b> open at {} of {} sites that publish.").format(
            "1 difference is" if count == 1 else f"{count} differences are", differing, len(found)
        ),
        crumbs=[("Sites", "/sites")],
        api="/api/v1/drift",
        csv="/api/v1/drift.csv",
        sites=found,
        now=datetime.now(UTC) if moment is None else moment.at,
    )


@pages.get("/sites/<name>/drift", permission=READ_DRIFT)
def site_drift(name: str) -> BaseResponse:
    """Where the registry and what the site publishes differ."""
    as_of = request.args.get("as_of")
    with ground().db.transaction() as session:
        moment = states.moment(session, as_of)
        if moment is None:
            return _page(name, FormFaults())
        state = states.find_named(session, "site", name, as_of)
        row = drift_past.row_of(session, state)
        check_site(current_principal(), READ_DRIFT, row)
        found = drift_past.of_site(session, state, moment)
        documents = cloud_history.of_site(session, row, moment.at)
        stood = {one.id for one in cloud_history.then(session, moment.at, site_ids=[row.id], stale=True)}
    return _drawn(name, found, documents, stood, moment.at)


def _page(name: str, form: FormFaults, *, status: int = 200) -> BaseResponse:
    principal = current_principal()
    with ground().db.transaction() as session:
        site = find_site(session, name)
        check_site(principal, READ_DRIFT, site)
        found = drift.of_site(session, site)
        documents = cloud_history.of_site(session, site)
        standing = {one.id for one in documents if one.current}
        refused = cloudinfo.refusals(session, site) if may_site(principal, PUBLISH_CLOUD, site) else []
        may_edit = may_site(principal, EDIT_SITE, site)
    return _drawn(
        name,
        found,
        documents,
        standing,
        datetime.now(UTC),
        refused=refused,
        may_edit=may_edit,
        form=form,
        status=status,
    )


def _drawn(
    name: str,
    found: Sequence[Difference],
    documents: Sequence[CloudDocument],
    standing: Collection[int],
    at: datetime,
    *,
    refused: Sequence[CloudRefusal] = (),
    may_edit: bool = False,
    form: FormFaults | None = None,
    status: int = 200,
) -> BaseResponse:
    """The page, now or at a moment; `standing` are the documents that count then."""
    open_ones = [one for one in found if not one.ignored]
    return page(
        "registry/drift.html",
        title=f"Drift of {name}",
        sentence=_sentence(name, len(open_ones), published=bool(documents)),
        crumbs=[("Sites", "/sites"), (name, f"/sites/{name}")],
        api=f"/api/v1/sites/{name}/drift",
        status=status,
        name=name,
        open_ones=open_ones,
        ignored=[one for one in found if one.ignored],
        documents=documents,
        standing=standing,
        refused=refused,
        may_edit=may_edit,
        form=form or FormFaults(),
        done=request.args.get("done", "")[:200],
        now=at,
    )


def _sentence(name: str, count: int, *, published: bool) -> Markup:
    if not published:
        return Markup("<b>{} publishes nothing of its clouds</b>, so there is nothing to compare.").format(
            name
        )
    if not count:
        return Markup("<b>What {} publishes is what the registry declares.</b>").format(name)
    things = "1 thing differs" if count == 1 else f"{count} things differ"
    return Markup("<b>{}</b> between what {} publishes and what the registry declares.").format(things, name)


@pages.post("/sites/<name>/drift/accept", permission=EDIT_SITE)
def accept(name: str) -> BaseResponse:
    """Take the observed side over."""
    kept = request.form.to_dict()
    try:
        form = AcceptIn(fact=kept.get("fact", "")[:2500] or "?")
        drift.accept(ground().db, current_principal(), name, form)
    except HanseError as error:
        return _page(name, FormFaults.of(error, kept), status=422)
    return redirect(f"/sites/{name}/drift", 303)


@pages.post("/sites/<name>/drift/ignore", permission=EDIT_SITE)
def ignore(name: str) -> BaseResponse:
    """Find a difference to be in order."""
    kept = request.form.to_dict()
    if saving.is_check():
        return _ignoring_checked(name, kept)
    try:
        drift.ignore(ground().db, current_principal(), name, _ignoring(kept))
    except HanseError as error:
        return _page(name, FormFaults.of(error, kept), status=422)
    except (ValidationError, ValueError) as error:
        return _page(name, FormFaults(kept, *_faults(error)), status=422)
    return redirect(f"/sites/{name}/drift", 303)


def _ignoring_checked(name: str, kept: Mapping[str, str]) -> BaseResponse:
    def act(db: Database, form: IgnoreIn) -> str:
        drift.ignore(db, current_principal(), name, form)
        return name

    def parse() -> IgnoreIn:
        try:
            return _ignoring(kept)
        except ValidationError:
            raise
        except ValueError as error:  # a date that is none
            raise Refused("Not saved.", FieldFault("until", str(error))) from None

    return saving.checked(kept, parse, act, {"reason": "Why", "until": "Until"})


def _ignoring(kept: Mapping[str, str]) -> IgnoreIn:
    until = kept.get("until", "").strip()
    moment = parse_time(f"{until}T23:59:59Z" if len(until) == len("2026-11-24") else until) if until else None
    return IgnoreIn(fact=kept.get("fact", "")[:2500] or "?", reason=kept.get("reason", ""), until=moment)


def _faults(error: ValidationError | ValueError) -> tuple[dict[str, str], str]:
    if not isinstance(error, ValidationError):
        return {"until": str(error)}, "Not saved."
    words = {"string_too_short": "is missing: say why the difference is in order"}
    faults = {
        str(one["loc"][0]): words.get(one["type"]) or one["msg"].removeprefix("Value error, ")
        for one in error.errors()
    }
    return faults, "Not saved."


@pages.post("/sites/<name>/drift/notice", permission=EDIT_SITE)
def notice(name: str) -> BaseResponse:
    """Look at an ignored difference again."""
    try:
        drift.notice(ground().db, current_principal(), name, request.form.get("fact", "")[:2500])
    except HanseError as error:
        return _page(name, FormFaults.of(error, {}), status=422)
    return redirect(f"/sites/{name}/drift", 303)


def _published(look: SiteLook) -> Mapping[str, Any] | None:
    """What the site publishes of its clouds, and how many things differ for those who may mend it."""
    if look.row is None:
        return None
    documents = cloudinfo.current(look.session, look.row.name)
    may = may_site(look.principal, READ_DRIFT, look.row)
    refused = cloudinfo.refusals(look.session, look.row) if may else []
    newest = max((one.heard_at for one in documents), default=None)
    since = [one for one in refused if newest is None or one.heard_at > newest]
    found = drift.of_site(look.session, look.row, look.now, documents) if may else []
    return {
        "documents": documents,
        "may": may,
        "open": sum(not one.ignored for one in found),
        "refused": since,
        "shares": [
            (document, share) for document in documents for share in document.facts["shares"] if share["vo"]
        ],
    }


PUBLISHED = Part("published", "left", _published, past=False)
