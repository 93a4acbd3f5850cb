"""Who probes what, when: due checks are leased in batches, so that any number of workers share the work.

A check is due every `period_s` counted from its last due time, not from its end, and every `retry_s` while
its judgement may turn. Due times that nobody could serve are counted (`missed`), never silently forgotten.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from hanse.errors import NotFound
from monitoring.clock import database_time
from monitoring.models import Check, Endpoint

LEASE_MARGIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Lease:
    """A check that is ours to run until `until`. `due_at` None = it was not due, only asked for by
    `asked_by`."""

    check_id: int
    key: str
    probe: str
    url: str
    host: str
    options: dict[str, str]
    deadline_s: float
    due_at: datetime | None
    asked_by: str | None
    until: datetime


_CLAIM = text(
    """
    with due as (
        select c.id, c.next_at, case when c.next_at <= clock_timestamp() then c.next_at end as due_at,
               exists (select from probe_check n where n.endpoint_id = c.endpoint_id and n.active
                       and n.probe = any(c.needs) and n.measured = 'critical') and c.asked_at is null as held
        from probe_check c
        where c.active and (c.next_at <= clock_timestamp() or c.asked_at is not null)
          and (c.lease_until is null or c.lease_until < clock_timestamp())
          and c.host <> all(:busy)
        order by c.asked_at nulls last, c.next_at
        limit :limit
        for update of c skip locked
    )
    update probe_check c set
        lease_owner = case when due.held then null else :owner end,
        lease_until = case when due.held then null
                      else clock_timestamp() + make_interval(secs => c.deadline_s + :margin) end,
        held_since = case when due.held then coalesce(c.held_since, clock_timestamp()) else c.held_since end,
        missed = c.missed + (case when c.asked_at is null and c.measured is not null
                 then greatest(floor(extract(epoch from clock_timestamp() - due.next_at) / c.period_s), 0)
                 else 0 end )::bigint,
        next_at = case when due.next_at > clock_timestamp() then due.next_at
                  else due.next_at + make_interval(secs => c.period_s * (1 + greatest(
                       floor(extract(epoch from clock_timestamp() - due.next_at) / c.period_s), 0))) end
    from due, endpoint e where c.id = due.id and e.id = c.endpoint_id returning c.id, c.probe, e.url,
    c.host, c.options, c.deadline_s, due.due_at, c.asked_at, c.asked_by,
              c.lease_until, due.held
    """
)


def claim(session: Session, owner: str, limit: int, busy: Collection[str] = ()) -> list[Lease]:
    """Up to `limit` due checks, those asked for first, then the most overdue; none on the hosts in `busy`.

    Checks held back by a failing one that they need are put off by a period, not returned."""
    rows = session.execute(
        _CLAIM, {"owner": owner, "limit": limit, "busy": list(busy), "margin": LEASE_MARGIN_S}
    ).mappings()
    return [
        Lease(
            row["id"],
            f"{owner} {row['lease_until'].timestamp():.6f}",
            row["probe"],
            row["url"],
            row["host"],
            row["options"],
            row["deadline_s"],
            row["due_at"],
            row["asked_by"] if row["asked_at"] else None,
            row["lease_until"],
        )
        for row in rows
        if not row["held"]
    ]


def give_back(session: Session, leases: Collection[Lease], owner: str) -> None:
    """Return leases that were not used: the checks are due again at once."""
    ids = [lease.check_id for lease in leases]
    if ids:
        session.execute(
            update(Check)
            .where(Check.id.in_(ids), Check.lease_owner == owner)
            .values(
                lease_owner=None, lease_until=None, next_at=func.least(Check.next_at, func.clock_timestamp())
            )
        )


def ask(session: Session, endpoint_id: str, by: str, probe: str = "") -> int:
    """Put the endpoint's checks (or one) first in the queue, for `by`; how many. Raises NotFound."""
    statement = update(Check).where(Check.endpoint_id == endpoint_id, Check.active)
    if probe:
        statement = statement.where(Check.probe == probe)
    asked = session.execute(
        statement.values(asked_at=func.clock_timestamp(), asked_by=by).returning(Check.id)
    ).all()
    if not asked:
        raise NotFound(f"No check {probe or 'of this endpoint'} is run; open the endpoint to see what is.")
    return len(asked)


def hurry(session: Session, check: Check, within_s: float) -> None:
    """Make the check due within so many seconds, if it is not sooner."""
    soon = database_time(session) + timedelta(seconds=within_s)
    check.next_at = min(check.next_at, soon)


def due_soon(session: Session) -> datetime | None:
    """When the next check is due; None when there is none. For the worker's sleep."""
    return session.scalar(select(func.min(Check.next_at)).join(Endpoint).where(Check.active, Endpoint.active))
