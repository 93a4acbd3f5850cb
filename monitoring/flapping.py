"""Flapping: an endpoint that changes again and again is one incident that stays open until it is calm."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from monitoring.models import IncidentEndpoint, StatusChange


@dataclass(frozen=True, slots=True)
class FlapRule:
    """From how many changes within the window on, and how long without one until it is over."""

    changes: int = 4
    calm: timedelta = timedelta(minutes=30)
    window: timedelta = timedelta(hours=1)


def is_flapping(session: Session, endpoint_id: str, at: datetime, rule: FlapRule) -> bool:
    """Whether the endpoint changed between good and bad that often in the window before `at`."""
    first = select(func.min(StatusChange.id)).where(
        StatusChange.level == "endpoint", StatusChange.subject == endpoint_id
    )
    changes = (
        select(func.count())
        .select_from(StatusChange)
        .where(
            StatusChange.level == "endpoint",
            StatusChange.subject == endpoint_id,
            StatusChange.at > at - rule.window,
            StatusChange.state.in_(("ok", "warning", "critical")),
            StatusChange.id != first.scalar_subquery(),
        )
    )
    return (session.scalar(changes) or 0) >= rule.changes


def is_calm(session: Session, number: int, at: datetime, rule: FlapRule) -> bool:
    """Whether no endpoint of the incident changed for as long as the rule says."""
    last = (
        select(func.max(StatusChange.at))
        .join(IncidentEndpoint, IncidentEndpoint.endpoint_id == StatusChange.subject)
        .where(StatusChange.level == "endpoint", IncidentEndpoint.number == number)
    )
    changed = session.scalar(last)
    return changed is None or at - changed >= rule.calm
