"""Judgements as they stand in the rows of checks and sites."""

from collections import defaultdict
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from monitoring import timeline
from monitoring.algebra import State, both, either
from monitoring.judgement import Standing
from monitoring.models import Check, Endpoint, Site


def read_standing(check: Check) -> Standing:
    """The standing kept in a check's row."""
    candidate = State(check.candidate) if check.candidate else None
    return Standing(
        State(check.judged), check.judged_since, candidate, check.candidate_since, check.candidate_count
    )


def write_standing(session: Session, check: Check, standing: Standing, reason: str) -> None:
    """Keep the standing, and a change of the judgement on the check's timeline."""
    if standing.judged != check.judged and standing.since is not None:
        timeline.append(session, "check", str(check.id), standing.judged, standing.since, reason)
    check.judged, check.judged_since = standing.judged, standing.since
    check.candidate, check.candidate_since = standing.candidate, standing.candidate_since
    check.candidate_count = standing.count


def site_state(endpoints: list[Endpoint]) -> State:
    """ARGO's fold: a service is up when one of its endpoints is, a site when all its services are. Where
    that is OK and yet an endpoint is not, WARNING: it counts as up, and says so."""
    by_type: dict[str, list[State]] = defaultdict(list)
    for endpoint in endpoints:
        by_type[endpoint.service_type].append(State(endpoint.state))
    folded = both(either(states) for states in by_type.values())
    if folded == State.OK and any(endpoint.state != State.OK for endpoint in endpoints):
        return State.WARNING
    return folded


def fold_site(session: Session, site: Site, at: datetime) -> None:
    """Bring the (locked) site in line with its endpoints; a change holds from `at`."""
    session.flush()
    endpoints = list(session.scalars(select(Endpoint).where(Endpoint.site == site.name, Endpoint.active)))
    state = site_state(endpoints)
    if state == site.state:
        return
    timeline.append(session, "site", site.name, state, at)
    site.since = at if site.state == State.MISSING else max(at, site.since)
    site.state = state
