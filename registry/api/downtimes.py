"""/api/v1: downtimes."""

from __future__ import annotations

from hanse.identity.permissions import PUBLIC
from hanse.web import Api, current_principal, ground
from registry import downtime_finding, downtime_import, downtime_series, downtimes, finding, impact, states
from registry.api.answers import Body, NumberPath, page_of, read_revision, tagged, with_revision
from registry.rights import DECLARE_DOWNTIME
from registry.schemas.downtimes import (
    CloneIn,
    DowntimeEdit,
    DowntimeIn,
    DowntimeOut,
    DowntimePage,
    DowntimeQuery,
    DryRunQuery,
    EndIn,
    ImpactOut,
    ImportIn,
    ImportOut,
    ImportQuery,
    SeriesIn,
    SeriesOut,
)
from registry.schemas.sites import OneQuery
from registry.settings import RegistrySettings

api = Api("registry_downtimes", __name__, "Downtimes", csv=True)
Answer = tuple[Body, int, dict[str, str]]


@api.get(
    "/downtimes",
    permission=PUBLIC,
    summary="Downtimes, the newest first",
    responses={200: DowntimePage},
    revised=True,
)
def list_downtimes(query: DowntimeQuery) -> Body:
    """With `since` and `until` those that share time with that span."""
    with ground().db.transaction() as session:
        after = finding.number_cursor(query.cursor)
        found = downtime_finding.find(session, query, as_of=query.as_of, after=after, limit=query.limit + 1)
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


@api.post(
    "/downtimes/impact",
    permission=DECLARE_DOWNTIME,
    summary="Whom a downtime would hit",
    responses={200: ImpactOut},
)
def impact_of_downtime(body: DowntimeIn) -> Body:
    """The body of a declaration; everything is checked as if it were declared, and nothing kept."""
    settings = ground().settings
    assert isinstance(settings, RegistrySettings)
    return impact.body_of(impact.before_declaring(ground().db, settings, current_principal(), body))


@api.post(
    "/downtimes/series",
    permission=DECLARE_DOWNTIME,
    summary="Declare a downtime that is repeated",
    responses={201: SeriesOut, 200: SeriesOut},
)
def declare_series(query: DryRunQuery, body: SeriesIn) -> tuple[Body, int]:
    """All in one revision, or none. With `dry_run=true` each is told with what would be refused (200)."""
    act = downtime_series.tell if query.dry_run else downtime_series.declare
    found = act(ground().db, current_principal(), body)
    items = [
        {
            "start": one.start,
            "end": one.end,
            "classification": one.classification,
            "id": None if one.id is None else str(one.id),
            "faults": [{"field": fault.field, "reason": fault.reason} for fault in one.faults],
        }
        for one in found
    ]
    return {"items": items}, 200 if query.dry_run else 201


@api.post(
    "/downtimes/import",
    permission=DECLARE_DOWNTIME,
    summary="Declare the planned downtimes of a calendar",
    responses={200: ImportOut},
)
def import_downtimes(query: ImportQuery, body: ImportIn) -> Body:
    """Each event is declared, changes the downtime of the same UID, or is refused with a reason."""
    settings = ground().settings
    assert isinstance(settings, RegistrySettings)
    importer = downtime_import.Importer(ground().db, settings, current_principal(), query.dry_run)
    found = downtime_import.take(importer, body.calendar.encode("utf-8", "surrogatepass"), query.site)
    return {"items": [downtime_import.body_of(one) for one in found]}


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


@api.post(
    "/downtimes/<int:number>/clone",
    permission=DECLARE_DOWNTIME,
    summary="Declare a downtime again at another time",
    responses={201: DowntimeOut},
)
def clone_downtime(path: NumberPath, body: CloneIn) -> Answer:
    """The same sites, services and endpoints, severity and description; the rules hold as for any new one."""
    number = downtime_series.clone(ground().db, current_principal(), path.number, body)
    return _one(number, status=201)


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
