"""/api/v1/endpoints: state, checks, measurements, raw answers, probe now."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Response
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, NotFound, Refused
from hanse.identity.permissions import PUBLIC, SIGNED_IN
from hanse.web import Api, Listing, after, authorise, csv_response, current_principal, cursor_page, ground
from monitoring import alerts, reading, schedule, schemas, story
from monitoring.api import asking
from monitoring.models import Answer, Check, Endpoint, StoredResult
from monitoring.permissions import PROBE
from monitoring.probes import PROBES
from monitoring.words import kind

endpoints_api = Api("monitoring_endpoints", __name__, "Endpoints")
ENDPOINT_COLUMNS = ("id", "site", "service_type", "url", "state", "since", "cause", "incident")


def endpoint_state(line: reading.EndpointLine) -> schemas.EndpointState:
    """An endpoint's line on the wire."""
    return schemas.EndpointState(
        id=line.id,
        site=line.site,
        service_type=line.service_type,
        url=line.url,
        state=line.state,
        since=line.since,
        cause=line.cause,
        incident=line.incident,
    )


@endpoints_api.get(
    "/endpoints", permission=PUBLIC, summary="Monitored endpoints", responses={200: schemas.EndpointsOut}
)
def endpoints(query: asking.EndpointsQuery) -> schemas.EndpointsOut:
    """Worst first."""
    return schemas.EndpointsOut(items=[endpoint_state(line) for line in _lines(query)])


@endpoints_api.get("/endpoints.csv", permission=PUBLIC, summary="Monitored endpoints, as CSV")
def endpoints_csv(query: asking.EndpointsQuery) -> Response:
    """One line an endpoint."""
    rows = [endpoint_state(line).model_dump() for line in _lines(query)]
    return csv_response(rows, ENDPOINT_COLUMNS, "endpoints.csv")


def _lines(query: asking.EndpointsQuery) -> list[reading.EndpointLine]:
    with ground().db.transaction() as session:
        return [
            line
            for line in reading.endpoint_lines(session)
            if query.site in (None, line.site) and query.state in (None, line.state)
        ]


@endpoints_api.get(
    "/endpoints/<endpoint>", permission=PUBLIC, summary="One endpoint", responses={200: schemas.EndpointOut}
)
def one_endpoint(path: asking.EndpointPath) -> schemas.EndpointOut:
    """State, checks, and availability of the last 30 days. Contacts only for those who are signed in."""
    with ground().db.transaction() as session:
        return read_endpoint(session, story.endpoint(session, path.endpoint))


def read_endpoint(session: Session, row: Endpoint) -> schemas.EndpointOut:
    """One endpoint, as API and page show it."""
    history = reading.histories(session, "endpoint", [row.id])[row.id]
    line = next((line for line in reading.endpoint_lines(session) if line.id == row.id), None)
    contacts = alerts.contacts(session, row.site) if current_principal().signed_in else []
    return schemas.EndpointOut(
        id=row.id,
        site=row.site,
        service_type=row.service_type,
        url=row.url,
        state=kind(row.state),
        since=row.since,
        cause=line.cause if line is not None else "",
        incident=line.incident if line is not None else None,
        judged=kind(row.judged),
        availability_30d=history.availability,
        reliability_30d=history.reliability,
        contacts=[schemas.Contact(**contact) for contact in contacts],
        checks=[check_out(check) for check in reading.checks_of(session, row.id)],
    )


def check_out(check: Check) -> schemas.CheckOut:
    """A check on the wire."""
    return schemas.CheckOut(
        probe=check.probe,
        title=PROBES[check.probe].title if check.probe in PROBES else check.probe,
        state=reading.check_kind(check),
        since=check.judged_since,
        measured=check.measured,
        measured_at=check.measured_at,
        reason=check.reason,
        summary=check.summary,
        held=check.held_since is not None,
        needs=check.needs,
        period_s=check.period_s,
        next_at=check.next_at,
        missed=check.missed,
    )


@endpoints_api.get(
    "/endpoints/<endpoint>/results",
    permission=PUBLIC,
    summary="Measurements of an endpoint",
    responses={200: Listing[schemas.ResultOut]},
)
def results(path: asking.EndpointPath, query: asking.ResultsQuery) -> dict[str, Any]:
    """Latest first, of all its checks or one."""
    key = after(query.cursor)
    with ground().db.transaction() as session:
        story.endpoint(session, path.endpoint)
        rows = select(StoredResult, Check.probe).join(Check).where(Check.endpoint_id == path.endpoint)
        if query.probe:
            rows = rows.where(Check.probe == query.probe)
        if key:
            began, number = _result_key(key)
            rows = rows.where(tuple_(StoredResult.started_at, StoredResult.id) < tuple_(began, number))
        rows = rows.order_by(StoredResult.started_at.desc(), StoredResult.id.desc()).limit(query.limit + 1)
        found = [(row, probe) for row, probe in session.execute(rows)]
    return cursor_page(
        found, query.limit, key=lambda pair: (pair[0].started_at.isoformat(), pair[0].id), show=_result_out
    )


def _result_out(pair: tuple[StoredResult, str]) -> schemas.ResultOut:
    row, probe = pair
    return schemas.ResultOut(
        id=row.id,
        probe=probe,
        due_at=row.due_at,
        started_at=row.started_at,
        took_s=row.took_s,
        status=row.status,
        reason=row.reason,
        summary=row.summary,
        figures=row.figures,
        phases=row.phases,
        asked_by=row.asked_by,
        worker=row.worker,
    )


@endpoints_api.get(
    "/endpoints/<endpoint>/answers/<probe>",
    permission=SIGNED_IN,
    summary="The last raw answer of a check",
    responses={200: schemas.RawAnswerOut},
)
def raw_answer(path: asking.AnswerPath) -> schemas.RawAnswerOut:
    """What was asked and answered, word for word; secrets are taken out before it is stored."""
    with ground().db.transaction() as session:
        found = session.scalars(
            select(Answer).join(Check).where(Check.endpoint_id == path.endpoint, Check.probe == path.probe)
        ).first()
    if found is None:
        raise NotFound("No raw answer of this check is kept.")
    return schemas.RawAnswerOut(
        at=found.at,
        request=found.request,
        reply_head=found.reply_head,
        reply_body=found.reply_body,
        body_bytes=found.body_bytes,
    )


@endpoints_api.post(
    "/endpoints/<endpoint>/probe",
    permission=PROBE,
    summary="Probe now",
    responses={202: schemas.ProbeNowOut},
)
def probe_now(path: asking.EndpointPath, body: asking.ProbeNow) -> tuple[schemas.ProbeNowOut, int]:
    """Put the checks first in the queue. Their results are shown, and not counted for availability."""
    with ground().db.transaction() as session:
        row = story.endpoint(session, path.endpoint)
        authorise(PROBE, f"site:{row.site}")
        asked = schedule.ask(session, row.id, current_principal().name, body.probe or "")
    return schemas.ProbeNowOut(asked=asked), 202


def _result_key(key: Sequence[str | int]) -> tuple[datetime, int]:
    """The cursor's time and number; Refused when it is another list's."""
    try:
        began, number = key
        if isinstance(began, str) and isinstance(number, int) and 0 <= number <= schemas.BIGGEST:
            return datetime.fromisoformat(began).astimezone(UTC), number
    except (ValueError, OverflowError):
        pass
    raise Refused(
        "The cursor is of another list.", FieldFault("cursor", "take it from `next` of the page before")
    )
