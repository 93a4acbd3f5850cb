"""Which endpoints there were on a day: kept from day to day, since the registry's feed tells the present alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, timedelta
from typing import Any

from sqlalchemy import cast, func, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.types import String

from monitoring import feed
from monitoring.models import Check, Endpoint, StatusChange
from monitoring.models.figures import TopologyRow

NO_NGI = "NO_NGI"
_FIELDS = (
    "site",
    "ngi",
    "service_type",
    "service_id",
    "hostname",
    "url",
    "production",
    "certification",
    "scopes",
)


def keep(session: Session, today: date) -> int:
    """Bring the rows that hold now in line with what is monitored; how many changed.

    What changed holds from today on. An endpoint that was never here holds since its first measurement."""
    wanted = _wanted(session)
    open_rows = {
        row.endpoint_id: row
        for row in session.scalars(select(TopologyRow).where(TopologyRow.last_day.is_(None)))
    }
    known = set(session.scalars(select(TopologyRow.endpoint_id)))
    new = [endpoint_id for endpoint_id in wanted if endpoint_id not in known]
    began = _first_days(session, new)
    changed = 0
    for endpoint_id in sorted(wanted.keys() | open_rows.keys()):
        values, row = wanted.get(endpoint_id), open_rows.get(endpoint_id)
        if values is not None and row is not None and values == _values(row):
            continue
        changed += 1
        _turn(session, endpoint_id, row, values, began.get(endpoint_id, today), today)
    session.flush()
    return changed


def _turn(
    session: Session,
    endpoint_id: str,
    row: TopologyRow | None,
    values: Mapping[str, Any] | None,
    began: date,
    today: date,
) -> None:
    """End the row that held, begin the one that holds; within a day the last that is known counts."""
    first = began if row is None else today
    if row is not None and row.first_day < today:
        row.last_day = today - timedelta(days=1)
    elif row is not None and values is not None:
        for name, value in values.items():
            setattr(row, name, value)
        return
    elif row is not None:
        row.last_day = today
        return
    if values is None:
        return
    again = session.get(TopologyRow, (endpoint_id, first))
    if again is None:
        session.add(TopologyRow(endpoint_id=endpoint_id, first_day=first, **values))
        return
    for name, value in {**values, "last_day": None}.items():  # withdrawn and back within a day
        setattr(again, name, value)


def _values(row: TopologyRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _FIELDS}


def _wanted(session: Session) -> dict[str, dict[str, Any]]:
    sites = feed.sites(session)
    bodies = {str(body["id"]): body for body in feed.endpoints(session)}
    found = {}
    for row in session.scalars(select(Endpoint).where(Endpoint.active)):
        site, body = sites.get(row.site, {}), bodies.get(row.id, {})
        found[row.id] = {
            "site": row.site,
            "ngi": str(site.get("ngi") or NO_NGI),
            "service_type": row.service_type,
            "service_id": row.service_id,
            "hostname": row.hostname,
            "url": row.url,
            "production": bool(body.get("production", True)) and bool(site.get("production", True)),
            "certification": str(site.get("certification") or ""),
            "scopes": sorted(map(str, body.get("scopes") or site.get("scopes") or [])),
        }
    return found


def _first_days(session: Session, endpoints: Sequence[str]) -> dict[str, date]:
    if not endpoints:
        return {}
    first = (
        select(Check.endpoint_id, func.min(StatusChange.at))
        .join(
            StatusChange, (StatusChange.level == "check") & (StatusChange.subject == cast(Check.id, String))
        )
        .where(Check.endpoint_id.in_(endpoints))
        .group_by(Check.endpoint_id)
    )
    return {endpoint_id: at.astimezone(UTC).date() for endpoint_id, at in session.execute(first)}


def of_day(session: Session, day: date) -> list[TopologyRow]:
    """The endpoints of a day, by site, service type and host."""
    rows = select(TopologyRow).where(
        TopologyRow.first_day <= day, or_(TopologyRow.last_day.is_(None), TopologyRow.last_day >= day)
    )
    return list(
        session.scalars(
            rows.order_by(
                TopologyRow.site, TopologyRow.service_type, TopologyRow.hostname, TopologyRow.endpoint_id
            )
        )
    )


def host_names(rows: Sequence[TopologyRow]) -> dict[str, str]:
    """The name of each endpoint in ARGO's answers: its host, with its id where the service has another on that host."""
    same = Counter((row.site, row.service_type, row.hostname) for row in rows)
    return {
        row.endpoint_id: row.hostname
        if same[row.site, row.service_type, row.hostname] == 1
        else f"{row.hostname}_{row.endpoint_id}"
        for row in rows
    }
