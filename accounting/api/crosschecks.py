"""Cross-checks: what was found, and what people decide about it; and the log of what was done to the figures."""

from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from accounting import crosschecks, events, schemas
from accounting.api.answers import CheckOut, DecisionIn, EventOut, FindingOut, FindingState
from accounting.api.common import number_before
from accounting.asking.sight import sight_of
from accounting.crosschecks.listing import state_of
from accounting.models import Finding, UsageEvent
from accounting.permissions import DECIDE_FINDING, READ_EVENTS, READ_FINDINGS
from hanse.web import Api, CursorQuery, Listing, PathModel, current_principal, cursor_page, ground

crosschecks_api = Api("accounting_crosschecks", __name__, "Cross-checks", csv=True)


class FindingPath(PathModel):
    """A finding by its number."""

    id: int = Field(ge=1, le=schemas.BIGGEST)


class FindingQuery(CursorQuery):
    """Which findings."""

    kind: str = Field("", max_length=50, description="Only of this check.")
    site: str = Field("", max_length=255)
    vo: str = Field("", max_length=255)
    state: FindingState = "open"


class EventQuery(CursorQuery):
    """Which events."""

    site: str = Field("", max_length=255)
    kind: str = Field("", max_length=50)


@crosschecks_api.get(
    "/cross-checks",
    permission=READ_FINDINGS,
    summary="Findings of the cross-checks, newest first",
    responses={200: Listing[FindingOut]},
)
def findings(query: FindingQuery) -> dict[str, Any]:
    """Of the caller's sites and VOs; an operator sees all."""
    wanted = crosschecks.Wanted(query.kind, query.site, query.vo, query.state)
    with ground().db.transaction() as session:
        rows = crosschecks.findings(
            session, current_principal(), wanted, before=number_before(query.cursor), limit=query.limit + 1
        )
    return cursor_page(rows, query.limit, key=lambda row: (row.id,), show=finding_out)


@crosschecks_api.get(
    "/cross-checks/kinds",
    permission=READ_FINDINGS,
    summary="The checks, with how many findings each has",
    responses={200: Listing[CheckOut]},
)
def kinds() -> dict[str, Any]:
    """Counted over the caller's sites and VOs."""
    with ground().db.transaction() as session:
        found = crosschecks.counts(session, current_principal(), crosschecks.Wanted())
    items = [{"kind": one.kind, "title": one.title, "mend": one.mend, **one.states} for one in found]
    return {"items": items, "next": None}


@crosschecks_api.get(
    "/cross-checks/<int:id>", permission=READ_FINDINGS, summary="One finding", responses={200: FindingOut}
)
def finding(path: FindingPath) -> dict[str, Any]:
    """Also when it is gone."""
    with ground().db.transaction() as session:
        return finding_out(crosschecks.one(session, current_principal(), path.id))


@crosschecks_api.post(
    "/cross-checks/<int:id>/decision",
    permission=DECIDE_FINDING,
    summary="Say that somebody is at it, or that it is in order",
    responses={200: FindingOut},
)
def decide(path: FindingPath, body: DecisionIn) -> dict[str, Any]:
    """By its owner or an operator. What is accepted stays so when it is found again; it needs a reason."""
    decided = crosschecks.accept if body.decision == "accepted" else crosschecks.acknowledge
    with ground().db.transaction() as session:
        return finding_out(decided(session, current_principal(), path.id, body.reason, datetime.now(UTC)))


@crosschecks_api.delete(
    "/cross-checks/<int:id>/decision",
    permission=DECIDE_FINDING,
    summary="Take the decision back",
    responses={200: FindingOut},
)
def undo(path: FindingPath) -> dict[str, Any]:
    """The finding is open again; both the decision and this stay in the log."""
    with ground().db.transaction() as session:
        return finding_out(crosschecks.take_back(session, current_principal(), path.id))


def finding_out(row: Finding) -> dict[str, Any]:
    """A finding as FindingOut has it."""
    shown = {name: getattr(row, name) for name in FindingOut.model_fields if hasattr(row, name)}
    month = f"{row.month:%Y-%m}" if row.month else None
    return shown | {"state": state_of(row), "month": month, "cpu_hours": row.cpu_s / 3600}


@crosschecks_api.get(
    "/usage-events",
    permission=READ_EVENTS,
    summary="What was done to the figures, newest first",
    responses={200: Listing[EventOut]},
)
def usage_events(query: EventQuery) -> dict[str, Any]:
    """Months taken out, replays, discards, decisions, archives. Decisions about findings for their sites alone."""
    with ground().db.transaction() as session:
        sight = sight_of(session, current_principal())
        rows = events.listed(
            session, site=query.site, kind=query.kind, sites=None if sight.everything else sight.sites,
            before=number_before(query.cursor), limit=query.limit + 1,
        )  # fmt: skip
    return cursor_page(rows, query.limit, key=lambda row: (row.id,), show=event_out)


def event_out(row: UsageEvent) -> dict[str, Any]:
    """An event as EventOut has it."""
    shown = {name: getattr(row, name) for name in EventOut.model_fields}
    return shown | {"month": f"{row.month:%Y-%m}" if row.month else None}
