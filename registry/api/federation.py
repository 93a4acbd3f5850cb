"""/api/v1: the federation file, the overview."""

from __future__ import annotations

from flask import Response

from hanse.web import Api, current_principal, ground
from registry import directory, federation, overview, states
from registry.api.answers import Body
from registry.api.history import event_answer
from registry.renderings.federation_yaml import write
from registry.rights import READ_OVERVIEW, RUN_FEDERATION
from registry.schemas.federation import ApplyIn, FileIn, OverviewOut, PlanOut
from registry.schemas.sites import OneQuery

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
def export_file(query: OneQuery) -> Response:
    """`application/yaml`; planning with it changes nothing. `as_of` gives the federation as the log knew it."""
    text = write(federation.export(ground().db, current_principal(), query.as_of))
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


@api.get(
    "/overview",
    permission=READ_OVERVIEW,
    summary="The registry's part of the operator's page",
    responses={200: OverviewOut},
)
def read_overview(query: OneQuery) -> Body:
    """Sites by certification, the downtimes and changes of today (UTC), or of the day of `as_of`."""
    with ground().db.transaction() as session:
        moment = states.moment(session, query.as_of)
        if moment is None:
            seen = overview.look(session, directory.look(ground().db, session))
        else:
            seen = overview.look_then(ground().db, session, moment)
        return {
            "generated_at": seen.at,
            "revision": seen.revision,
            "sites": seen.sites,
            "services": seen.services,
            "endpoints": seen.endpoints,
            "downtimes_today": seen.downtimes,
            "changes_today": seen.changes_today,
            "changes": [event_answer(event) for event in seen.changes],
        }
