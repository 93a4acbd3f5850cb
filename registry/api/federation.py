"""/api/v1: the federation file, the log of changes, the overview."""

from __future__ import annotations

from flask import Response

from hanse.revisions import History, Revision
from hanse.web import Api, current_principal, ground
from registry import entities, federation, overview, states
from registry.api.answers import Body, SitePath
from registry.renderings.federation_yaml import write
from registry.rights import READ_LOG, READ_OVERVIEW, RUN_FEDERATION
from registry.schemas.federation import ApplyIn, EventPage, EventQuery, FileIn, OverviewOut, PlanOut

api = Api("registry_federation", __name__, "Federation")


@api.post(
    "/federation/plan",
    permission=RUN_FEDERATION,
    summary="What a federation file would change",
    responses={200: PlanOut},
)
def plan_file(body: FileIn) -> Body:
    """Nothing is kept; what applying would refuse is refused here already."""
    return plan_answer(federation.plan(ground().db, current_principal(), body.document, prune=body.prune))


@api.post(
    "/federation/apply",
    permission=RUN_FEDERATION,
    summary="Make the registry as a federation file says",
    responses={200: PlanOut},
)
def apply_file(body: ApplyIn) -> Body:
    """One revision with everything, or nothing."""
    done = federation.apply(
        ground().db,
        current_principal(),
        body.document,
        prune=body.prune,
        expected=body.plan,
        reason=body.reason,
    )
    return plan_answer(done)


@api.get("/federation/export", permission=RUN_FEDERATION, summary="The federation as a file")
def export_file() -> Response:
    """`application/yaml`; planning with it changes nothing."""
    text = write(federation.export(ground().db, current_principal()))
    answer = Response(text, content_type="application/yaml; charset=utf-8")
    answer.headers["Content-Disposition"] = 'attachment; filename="federation.yaml"'
    return answer


def plan_answer(plan: federation.Plan) -> Body:
    """A plan for the wire."""
    return {
        "plan": plan.fingerprint,
        "sentence": plan.sentence,
        "revision": plan.revision,
        "steps": [
            {
                "action": step.action,
                "kind": step.kind,
                "name": step.name,
                "changes": {key: list(pair) for key, pair in step.changes.items()},
                "sentence": step.sentence,
            }
            for step in plan.steps
        ],
    }


@api.get("/history", permission=READ_LOG, summary="Changes, the newest first", responses={200: EventPage})
def list_changes(query: EventQuery) -> Body:
    """Who changed what, when and why; of a site, a kind, an entity, or by one actor."""
    where = []
    if query.site is not None:
        where.append(states.of_site(query.site))
    if query.kind is not None:
        where.append(History.kind == query.kind)
    if query.id is not None:
        where.append(History.entity_id == query.id)
    if query.actor is not None:
        where.append(Revision.actor == query.actor)
    with ground().db.transaction() as session:
        found = states.events(session, where=where, before=query.before, limit=query.limit)
    return _events_page(found, query.limit)


@api.get(
    "/sites/<site>/history",
    permission=READ_LOG,
    summary="Changes of a site, the newest first",
    responses={200: EventPage},
)
def list_site_changes(path: SitePath, query: EventQuery) -> Body:
    """All that happened to the site and to what hangs on it."""
    return list_changes(query.model_copy(update={"site": path.site}))


def _events_page(found: list[states.Event], limit: int) -> Body:
    return {
        "items": [event_answer(event) for event in found],
        "next": found[-1].number if len(found) == limit else None,
    }


def event_answer(event: states.Event) -> Body:
    """A change for the wire."""
    return {
        "revision": event.revision,
        "at": event.at,
        "actor": event.actor,
        "actor_name": event.actor_name,
        "reason": event.reason,
        "kind": event.kind,
        "id": event.id,
        "op": event.op,
        "name": event.name,
        "changes": {key: list(pair) for key, pair in event.changes.items()},
    }


@api.get(
    "/overview",
    permission=READ_OVERVIEW,
    summary="The registry's part of the operator's page",
    responses={200: OverviewOut},
)
def read_overview() -> Body:
    """Sites by certification, the downtimes and changes of today (UTC)."""
    with ground().db.transaction() as session:
        seen = overview.look(session)
        return {
            "generated_at": seen.at,
            "revision": seen.revision,
            "sites": seen.sites,
            "services": seen.services,
            "endpoints": seen.endpoints,
            "downtimes_today": [entities.downtime_body(downtime) for downtime in seen.downtimes],
            "changes_today": seen.changes_today,
            "changes": [event_answer(event) for event in seen.changes],
        }
