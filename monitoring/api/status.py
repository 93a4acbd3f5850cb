"""/api/v1/status, overview, probes: the federation now."""

from typing import Any

from flask import Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.identity.permissions import PUBLIC
from hanse.web import Api, csv_response, ground
from monitoring import reading, schemas, story
from monitoring.api import asking
from monitoring.api.endpoints import endpoint_state
from monitoring.clock import database_time
from monitoring.models import Check, Worker
from monitoring.permissions import OVERVIEW
from monitoring.probes import PROBES

status_api = Api("monitoring_status", __name__, "Status")
SITE_COLUMNS = ("site", "place", "state", "since", "cause", "availability_30d", "reliability_30d")
ALIVE_S = 30


@status_api.get(
    "/status", permission=PUBLIC, summary="Sites and endpoints now", responses={200: schemas.StatusOut}
)
def status(query: asking.StatusQuery) -> schemas.StatusOut:
    """State since when, cause and open incident of everything that is monitored; worst first."""
    with ground().db.transaction() as session:
        return read_status(
            session, with_days=query.days, with_endpoints=query.endpoints, only_site=query.site
        )


@status_api.get("/status.csv", permission=PUBLIC, summary="Sites now, as CSV")
def status_csv() -> Response:
    """One line a site."""
    with ground().db.transaction() as session:
        sites = read_status(session, with_days=False).sites
    return csv_response(
        [site.model_dump(include=set(SITE_COLUMNS)) for site in sites], SITE_COLUMNS, "status.csv"
    )


@status_api.get(
    "/overview", permission=OVERVIEW, summary="For the operator's page", responses={200: schemas.OverviewOut}
)
def overview() -> schemas.OverviewOut:
    """What fails now and whose it is, and how many sites are in which state."""
    with ground().db.transaction() as session:
        lines = reading.site_lines(session)
        return schemas.OverviewOut(
            generated_at=database_time(session),
            failing=[schemas.Failing.model_validate(entry) for entry in reading.failing(session)],
            sites=schemas.Counts(**reading.counts(lines)),
            endpoints_total=sum(len(line.endpoints) for line in lines),
            incidents_open=story.count_open(session),
            doubting=story.is_doubting(session),
        )


@status_api.get(
    "/probes", permission=PUBLIC, summary="Probes and workers", responses={200: schemas.ProbesOut}
)
def probes() -> schemas.ProbesOut:
    """Which probes there are, how often they run, and whether anybody runs them."""
    with ground().db.transaction() as session:
        return read_probes(session)


def read_status(
    session: Session, *, with_days: bool, with_endpoints: bool = True, only_site: str | None = None
) -> schemas.StatusOut:
    """The status as API and page show it; the counts and the sentence are always the federation's."""
    lines = reading.site_lines(session)
    shown = [line for line in lines if only_site in (None, line.name)]
    histories = reading.histories(session, "site", [line.name for line in shown])
    closely = _closely(session, shown) if with_days and only_site else {}
    sites = [
        schemas.SiteState(
            site=line.name,
            place=line.place,
            state=line.state,
            since=line.since,
            cause=line.cause,
            availability_30d=histories[line.name].availability,
            reliability_30d=histories[line.name].reliability,
            endpoints=[
                endpoint_state(endpoint).model_copy(update=closely.get(endpoint.id, {}))
                for endpoint in line.endpoints
            ]
            if with_endpoints
            else [],
            days=[schemas.DayOut(**day) for day in histories[line.name].days] if with_days else [],
        )
        for line in shown
    ]
    counts = reading.counts(lines)
    return schemas.StatusOut(
        generated_at=database_time(session),
        sentence=status_sentence(counts, doubting=story.is_doubting(session)),
        counts=schemas.Counts(**counts),
        sites=sites,
    )


def _closely(session: Session, sites: list[reading.SiteLine]) -> dict[str, dict[str, Any]]:
    """What is told of the endpoints of one site beyond their states, by id."""
    ids = [endpoint.id for site in sites for endpoint in site.endpoints]
    histories = reading.histories(session, "endpoint", ids)
    measured = dict(
        session.execute(
            select(Check.endpoint_id, func.max(Check.measured_at))
            .where(Check.endpoint_id.in_(ids), Check.active)
            .group_by(Check.endpoint_id)
        ).all()
    )
    return {
        one: {
            "measured_at": measured.get(one),
            "availability_30d": histories[one].availability,
            "days": [schemas.DayOut(**day) for day in histories[one].days],
        }
        for one in ids
    }


def status_sentence(counts: dict[str, int], *, doubting: bool) -> str:
    """The state of the federation in one line."""
    total = counts["total"]
    if doubting:
        return "Monitoring reaches no site at present; its own network is in doubt"
    if not total:
        return "No site is monitored yet"
    for word, verb in (("down", "down"), ("degraded", "degraded"), ("unknown", "unknown")):
        if counts[word]:
            be = "is" if counts[word] == 1 else "are"
            return f"{counts[word]} of {total} monitored sites {be} {verb}"
    return (
        f"All {total} monitored sites are in order" if not counts["downtime"] else "Nothing is down unplanned"
    )


def read_probes(session: Session) -> schemas.ProbesOut:
    """The probes with how many checks use each, the workers, and what is late."""
    now = database_time(session)
    used = {row.probe: row.used for row in session.execute(_USED)}
    rows = session.scalars(select(Worker).order_by(Worker.started_at))
    return schemas.ProbesOut(
        probes=[
            schemas.ProbeOut(
                name=probe.name,
                title=probe.title,
                period_s=probe.period_s,
                retry_s=probe.retry_s,
                deadline_s=probe.deadline_s,
                needs=list(probe.needs),
                options=list(probe.options),
                checks=used.get(probe.name, 0),
            )
            for probe in PROBES.values()
        ],
        workers=[
            schemas.WorkerOut(
                name=row.name,
                started_at=row.started_at,
                seen_at=row.seen_at,
                alive=(now - row.seen_at).total_seconds() < ALIVE_S,
                running=row.running,
                done=row.done,
                dropped=row.dropped,
            )
            for row in rows
        ],
        latest_result_at=session.scalar(select(func.max(Check.measured_at))),
        overdue=session.scalar(_OVERDUE) or 0,
        missed=int(session.scalar(select(func.coalesce(func.sum(Check.missed), 0)).where(Check.active)) or 0),
    )


_USED = select(Check.probe, func.count().label("used")).where(Check.active).group_by(Check.probe)
_OVERDUE = (
    select(func.count())
    .select_from(Check)
    .where(
        Check.active, Check.next_at < func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, ALIVE_S)
    )
)
