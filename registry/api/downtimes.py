"""/api/v1: downtimes."""

from __future__ import annotations

from hanse.identity.permissions import PUBLIC
from hanse.web import Api, current_principal, ground
from registry import downtimes, finding, states
from registry.api.answers import Body, NumberPath, page_of, read_revision, tagged, with_revision
from registry.rights import DECLARE_DOWNTIME
from registry.schemas.downtimes import (
    DowntimeEdit,
    DowntimeIn,
    DowntimeOut,
    DowntimePage,
    DowntimeQuery,
    DryRunQuery,
    EndIn,
)
from registry.schemas.sites import OneQuery

api = Api("registry_downtimes", __name__, "Downtimes")
Answer = tuple[Body, int, dict[str, str]]


@api.get(
    "/downtimes", permission=PUBLIC, summary="Downtimes, the newest first", responses={200: DowntimePage}
)
def list_downtimes(query: DowntimeQuery) -> Body:
    """With `since` and `until` those that share time with that span."""
    with ground().db.transaction() as session:
        found = finding.downtimes(session, query, query.limit + 1)
    shown = [with_revision(state) for state in found[: query.limit]]
    return page_of(found, query.limit, shown, shown[-1]["id"] if shown else "")


@api.post(
    "/downtimes",
    permission=DECLARE_DOWNTIME,
    summary="Declare a downtime",
    responses={201: DowntimeOut, 200: DowntimeOut},
)
def declare_downtime(query: DryRunQuery, body: DowntimeIn) -> Answer:
    """With `dry_run=true` everything is checked and nothing kept (200)."""
    if query.dry_run:
        tried = downtimes.try_out(ground().db, current_principal(), body)
        return {**tried, "revision": None, "updated_at": None}, 200, {}
    return _one(downtimes.declare(ground().db, current_principal(), body), status=201)


@api.get("/downtimes/<int:number>", permission=PUBLIC, summary="One downtime", responses={200: DowntimeOut})
def one_downtime(path: NumberPath, query: OneQuery) -> Answer:
    """A downtime as it is, or as it was."""
    return _one(path.number, query.as_of)


@api.patch(
    "/downtimes/<int:number>",
    permission=DECLARE_DOWNTIME,
    summary="Change a downtime",
    responses={200: DowntimeOut},
)
def change_downtime(path: NumberPath, body: DowntimeEdit) -> Answer:
    """Only the fields that are sent; it can be moved and made shorter, not longer."""
    downtimes.edit(ground().db, current_principal(), path.number, body, read_revision())
    return _one(path.number)


@api.post(
    "/downtimes/<int:number>/end",
    permission=DECLARE_DOWNTIME,
    summary="End a downtime early",
    responses={200: DowntimeOut},
)
def end_downtime(path: NumberPath, body: EndIn) -> Answer:
    """An ongoing downtime ends in 60 s, or only the `services` named, or those of the `sites` named."""
    downtimes.end_early(ground().db, current_principal(), path.number, body)
    return _one(path.number)


@api.delete(
    "/downtimes/<int:number>", permission=DECLARE_DOWNTIME, summary="Delete a downtime", responses={204: None}
)
def remove_downtime(path: NumberPath) -> None:
    """Only before it begins, and a scheduled one not in the last 24 h before."""
    downtimes.remove(ground().db, current_principal(), path.number, "", read_revision())


def _one(number: int, as_of: str | None = None, *, status: int = 200) -> Answer:
    with ground().db.transaction() as session:
        state = states.find(session, "downtime", str(number), as_of)
    body, _, headers = tagged(state, with_revision(state))
    return body, status, headers
