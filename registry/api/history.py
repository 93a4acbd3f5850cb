"""/api/v1: the audit trail, one revision, differences between two moments, undo."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from hanse.revisions import History, head
from hanse.web import Api, current_principal, ground
from registry import comparing, states, trail, undo
from registry.api.answers import Body, NumberPath, SitePath
from registry.rights import READ_LOG
from registry.schemas.history import (
    DiffPage,
    DiffQuery,
    EventPage,
    EventQuery,
    RevisionOut,
    UndoIn,
    UndoneOut,
)

api = Api("registry_history", __name__, "History", csv=True)


@api.get(
    "/history",
    permission=READ_LOG,
    summary="Changes, the newest first",
    responses={200: EventPage},
    revised=True,
)
def list_changes(query: EventQuery) -> Body:
    """Who changed what, when and why: of a site, an NGI, a kind, an entity, by a person, in a span of time."""
    with ground().db.transaction() as session:
        known = upto(session, query.as_of)
        found = trail.events(session, wanted(query), where=known, before=query.before, limit=query.limit)
    return {
        "items": [event_answer(event) for event in found],
        "next": found[-1].number if len(found) == query.limit else None,
    }


@api.get(
    "/sites/<site>/history",
    permission=READ_LOG,
    summary="Changes of a site, the newest first",
    responses={200: EventPage},
)
def list_site_changes(path: SitePath, query: EventQuery) -> Body:
    """All that happened to the site and to what hangs on it."""
    return list_changes(query.model_copy(update={"site": path.site}))


def wanted(query: EventQuery) -> trail.Wanted:
    """The part of the trail that a query means."""
    return trail.Wanted(**query.model_dump(exclude={"before", "limit", "as_of"}))


def upto(session: Session, as_of: str | None) -> list[ColumnElement[bool]]:
    """The part of the log that there was at a moment; all of it for None. Raises Refused for what is no moment."""
    number = states.number_at(session, as_of)
    return [] if number is None else [History.from_revision <= number]


@api.get("/revisions/<int:number>", permission=READ_LOG, summary="One revision", responses={200: RevisionOut})
def one_revision(path: NumberPath) -> Body:
    """All that it changed, and whether it can be undone."""
    with ground().db.transaction() as session:
        looked = undo.look(session, path.number)
    first = looked.events[0]
    return {
        "revision": first.revision,
        "at": first.at,
        "actor": first.actor,
        "actor_name": first.actor_name,
        "reason": first.reason,
        "items": [event_answer(event) for event in looked.events],
        "undo": looked.verdict,
        "sentence": looked.sentence,
        "lost": [vars(one) for one in looked.lost],
    }


@api.post(
    "/revisions/<int:number>/undo",
    permission=READ_LOG,
    summary="Undo a revision",
    responses={201: UndoneOut},
)
def undo_revision(path: NumberPath, body: UndoIn) -> tuple[Body, int]:
    """As a new change, by the rules and with the rights that such a change needs. 409 names what would be lost."""
    done = undo.undo(ground().db, current_principal(), path.number, body.reason, overwrite=body.overwrite)
    return {"revision": done.revision, "undone": path.number, "reason": done.reason}, 201


@api.get("/diff", permission=READ_LOG, summary="What differs between two moments", responses={200: DiffPage})
def differences(query: DiffQuery) -> Body:
    """Added, removed and changed with the fields: of the federation, an NGI, a site, a kind."""
    with ground().db.transaction() as session:
        before, until = span(session, query.since, query.until)
        which = trail.Wanted(site=query.site, ngi=query.ngi, kind=query.kind)
        found = comparing.compare(
            session, before, until, which, beyond=comparing.beyond(query.cursor), limit=query.limit
        )
    return {
        "from_revision": before,
        "to_revision": until,
        "items": [difference_answer(one) for one in found],
        "next": comparing.cursor(found, query.limit),
    }


def span(session: Any, since: str, until: str | None) -> tuple[int, int]:
    """Two moments as revisions, the earlier first. Raises Refused for what is no moment."""
    newest = head(session)
    first, last = states.number_at(session, since), states.number_at(session, until)
    ends = sorted((newest if first is None else first, newest if last is None else min(last, newest)))
    return ends[0], ends[1]


def difference_answer(one: comparing.Difference) -> Body:
    """A difference for the wire."""
    return {**vars(one), "changes": {key: list(pair) for key, pair in one.changes.items()}}


def event_answer(event: trail.Event) -> Body:
    """A change for the wire."""
    return {**vars(event), "changes": {key: list(pair) for key, pair in event.changes.items()}}
