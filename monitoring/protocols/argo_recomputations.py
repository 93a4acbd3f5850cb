"""ARGO's /recomputations: asked for by whoever runs sites, decided by an operator."""

from typing import Any

from flask import Response, request
from pydantic import BaseModel, ConfigDict

from hanse.identity.permissions import SIGNED_IN
from hanse.web import Protocol, authorise, current_principal, ground
from monitoring.figures import recomputations
from monitoring.figures.recomputations import Asked
from monitoring.models.figures import Recomputation
from monitoring.permissions import DECIDE, RECOMPUTE
from monitoring.protocols.argo_words import body_as, created, day_of, demand_accept, speak, success

argo_recomputations = Protocol("argo_recomputations", __name__)
speak(argo_recomputations)
OURS = ("id", "status", "timestamp", "history", "date")


class StatusIn(BaseModel):
    """The status to turn to."""

    model_config = ConfigDict(extra="forbid")
    status: str


@argo_recomputations.route("/api/v2/recomputations", ["GET"], permission=SIGNED_IN)
def listed() -> Response:
    """All, latest first; `?report=`, `?date=` that they touch."""
    demand_accept()
    day = day_of(request.args["date"], "date") if request.args.get("date") else None
    with ground().db.transaction() as session:
        rows = recomputations.listed(session, request.args.get("report", ""), day)
        return success([told(row) for row in rows])


@argo_recomputations.route("/api/v2/recomputations/<recomputation>", ["GET"], permission=SIGNED_IN)
def one(recomputation: str) -> Response:
    """One."""
    with ground().db.transaction() as session:
        return success(told(recomputations.find(session, recomputation)))


@argo_recomputations.route("/api/v2/recomputations", ["POST"], permission=RECOMPUTE)
def ask() -> Response:
    """Ask for one, of what one answers for; it waits for an operator."""
    demand_accept()
    asked = body_as(Asked, OURS)
    with ground().db.transaction() as session:
        for scopes in recomputations.scopes_of(session, asked):
            authorise(RECOMPUTE, *scopes)
        made = recomputations.ask(session, asked, current_principal().name)
        return created(made.id, "Recomputation")


@argo_recomputations.route("/api/v2/recomputations/<recomputation>", ["PUT"], permission=DECIDE)
def change(recomputation: str) -> Response:
    """Replace one that waits."""
    demand_accept()
    asked = body_as(Asked, OURS)
    with ground().db.transaction() as session:
        row = recomputations.change(session, recomputation, asked, current_principal().name)
        return success([told(row)], message="Recomputation successfully updated")


@argo_recomputations.route("/api/v2/recomputations/<recomputation>", ["DELETE"], permission=DECIDE)
def remove(recomputation: str) -> Response:
    """Delete it; its days are counted anew."""
    demand_accept()
    with ground().db.transaction() as session:
        recomputations.remove(session, recomputation)
    return success(None, message="Recomputation successfully deleted")


@argo_recomputations.route("/api/v2/recomputations/<recomputation>/status", ["POST"], permission=DECIDE)
def decide(recomputation: str) -> Response:
    """Approve, reject, or note how far it is."""
    demand_accept()
    given = body_as(StatusIn)
    with ground().db.transaction() as session:
        recomputations.decide(session, recomputation, given.status, current_principal().name)
    return success(None, message=f"Recomputation status updated successfully to: {given.status}")


@argo_recomputations.route("/api/v2/recomputations/<recomputation>/status", ["DELETE"], permission=DECIDE)
def reset(recomputation: str) -> Response:
    """Back to pending."""
    demand_accept()
    with ground().db.transaction() as session:
        recomputations.reset(session, recomputation)
    return success(None, message="Recomputation status reset successfully to: pending")


def told(row: Recomputation) -> dict[str, Any]:
    """A recomputation as ARGO shows it."""
    return {
        "id": row.id,
        **row.body,
        "start_time": f"{row.starts:%Y-%m-%dT%H:%M:%SZ}",
        "end_time": f"{row.ends:%Y-%m-%dT%H:%M:%SZ}",
        "status": row.status,
        "timestamp": row.history[0]["timestamp"],
        "history": row.history,
    }
