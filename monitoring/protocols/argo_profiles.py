"""ARGO's configuration: profiles, weights and reports, read as of a day and written through the same use cases."""

from typing import Any

from flask import Response, request

from hanse.errors import Conflict
from hanse.identity.permissions import SIGNED_IN
from hanse.web import Protocol, current_principal, ground
from monitoring.permissions import PROFILES
from monitoring.profiles import kept
from monitoring.profiles.bodies import BODIES
from monitoring.protocols.argo_words import (
    ArgoFault,
    asked_day,
    body_as,
    created,
    demand_accept,
    speak,
    success,
)

argo_profiles = Protocol("argo_profiles", __name__)
speak(argo_profiles)
KINDS = {
    "metric_profiles": "metric",
    "aggregation_profiles": "aggregation",
    "operations_profiles": "operations",
    "thresholds_profiles": "thresholds",
    "weights": "weights",
    "reports": "report",
}
_ANY = "/api/v2/<kind>"
_ONE = f"{_ANY}/<profile>"


@argo_profiles.route(_ANY, ["GET"], permission=SIGNED_IN)
def profiles(kind: str) -> Response:
    """All of a kind as of `?date`, or the one called `?name`."""
    with ground().db.transaction() as session:
        found = kept.in_force(session, _kind(kind), asked_day(), request.args.get("name", ""))
        return success([told(version) for version in found])


@argo_profiles.route(_ONE, ["GET"], permission=SIGNED_IN)
def one_profile(kind: str, profile: str) -> Response:
    """One as of `?date`."""
    with ground().db.transaction() as session:
        return success([told(kept.find(session, _kind(kind), profile, asked_day()))])


@argo_profiles.route(_ANY, ["POST"], permission=PROFILES)
def create(kind: str) -> Response:
    """A new one, in force from `?date` (today) on."""
    demand_accept()
    body = body_as(BODIES[_kind(kind)])
    with ground().db.transaction() as session:
        made = kept.create(session, _kind(kind), body, asked_day(), current_principal().name)
    return created(made.id, kept.WORDS[_kind(kind)].capitalize())


@argo_profiles.route(_ONE, ["PUT"], permission=PROFILES)
def change(kind: str, profile: str) -> Response:
    """What it says from `?date` (today) on."""
    demand_accept()
    body = body_as(BODIES[_kind(kind)])
    with ground().db.transaction() as session:
        made = kept.change(session, _kind(kind), profile, body, asked_day(), current_principal().name)
        said = told(made)
    return success([said], message=f"{kept.WORDS[_kind(kind)].capitalize()} successfully updated")


@argo_profiles.route(_ONE, ["DELETE"], permission=PROFILES)
def remove(kind: str, profile: str) -> Response:
    """Delete it with all its versions; 409 while a report uses it."""
    demand_accept()
    try:
        with ground().db.transaction() as session:
            kept.remove(session, _kind(kind), profile)
    except Conflict as fault:
        raise ArgoFault(409, str(fault)) from None
    return success(None, message=f"{kept.WORDS[_kind(kind)].capitalize()} successfully deleted")


def _kind(name: str) -> str:
    """Our word for a resource. Raises 404."""
    if name not in KINDS:
        raise ArgoFault(404, f"There is no resource {name[:60]!r}; there are {', '.join(KINDS)} and others.")
    return KINDS[name]


def told(version: kept.Version) -> dict[str, Any]:
    """A version as ARGO shows it: its id and since when first; reports have no date."""
    body = dict(version.body)
    if version.kind == "report":
        return {"id": version.id, **body}
    return {"id": version.id, "date": version.first_day.isoformat(), **body}
