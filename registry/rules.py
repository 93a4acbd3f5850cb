"""Rules of the field that need no database: certification steps and downtimes (GOCDB 5.12)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from hanse.errors import FieldFault, Refused

NOTICE: Final = timedelta(hours=24)
BACKDATING: Final = timedelta(hours=48)
GRACE: Final = timedelta(seconds=60)

# GOCDB lets everything else pass, also Certified -> Candidate.
_BARRED: Final = {"Suspended": frozenset({"Certified"}), "Closed": frozenset({"*"})}
_FROM_CANDIDATE: Final = frozenset({"Uncertified", "Closed"})


def check_certification_step(old: str, new: str, *, operator: bool) -> None:
    """Refuse a step that needs a federation operator. Operators may take any step."""
    if operator or old == new:
        return
    barred = _BARRED.get(old, frozenset())
    if new in barred or "*" in barred or (old == "Candidate" and new not in _FROM_CANDIDATE):
        raise Refused(
            f"A site that is {old} cannot become {new} at once; ask a federation operator.",
            FieldFault("status", f"{old} to {new} needs a federation operator"),
        )


def classification(start: datetime, now: datetime) -> str:
    """SCHEDULED with more than 24 h of notice, else UNSCHEDULED."""
    return "SCHEDULED" if start > now + NOTICE else "UNSCHEDULED"


def state_at(start: datetime, end: datetime, now: datetime) -> str:
    """planned, ongoing or ended."""
    if now < start:
        return "planned"
    return "ongoing" if now < end else "ended"


def new_downtime_faults(start: datetime, end: datetime, now: datetime) -> list[FieldFault]:
    """What is wrong with the times of a downtime that is to be declared."""
    faults = []
    if end <= start:
        faults.append(FieldFault("end", "must be later than the start"))
    if start < now - BACKDATING:
        faults.append(FieldFault("start", "lies more than 48 h in the past; begin it within the last 48 h"))
    return faults


def edit_faults(
    old: tuple[datetime, datetime], new: tuple[datetime, datetime], kind: str, now: datetime
) -> list[FieldFault]:
    """What is wrong with changing a downtime of class `kind` from times `old` to `new` (start, end)."""
    (old_start, old_end), (start, end) = old, new
    if old_end <= now:
        return [FieldFault("end", "the downtime has ended and can no longer be changed")]
    if kind == "SCHEDULED" and old_start - NOTICE <= now:
        return [
            FieldFault(
                "start",
                "a scheduled downtime is fixed from 24 h before its start; end it early if it is over",
            )
        ]
    faults = []
    if end <= start:
        faults.append(FieldFault("end", "must be later than the start"))
    if end - start > old_end - old_start:
        faults.append(FieldFault("end", "a downtime cannot be made longer; declare another one after it"))
    if start != old_start and start <= now:
        faults.append(FieldFault("start", "a new start must lie in the future"))
    return faults


@dataclass(frozen=True)
class Times:
    """When a downtime begins and ends, and which of its services end before it does."""

    start: datetime
    end: datetime
    service_ends: Mapping[int, datetime] = field(default_factory=dict)

    def end_of(self, service: int) -> datetime:
        """When the service is back."""
        return min(self.service_ends.get(service, self.end), self.end)


def service_end_faults(
    old: Times | None, new: Times, services: Collection[int], now: datetime
) -> list[FieldFault]:
    """What is wrong with the services' own ends; `old` are the times before an edit, None for a new downtime.

    For each service holds what holds for the whole: it ends after the start, its downtime never grows, and what has
    ended stays so.
    """
    faults = []
    for service, end in sorted(new.service_ends.items()):
        if service not in services:
            faults.append(FieldFault("service_ends", f"{service} is not affected by this downtime"))
        elif end <= new.start:
            faults.append(FieldFault("service_ends", f"service {service} must end later than the start"))
        elif old is None and end > new.end:
            faults.append(FieldFault("service_ends", f"service {service} cannot end after the downtime"))
    if old is None:
        return faults
    for service in sorted(services):
        ended = service in old.service_ends and old.end_of(service) <= now
        if ended and new.end_of(service) != old.end_of(service):
            faults.append(FieldFault("service_ends", f"service {service} has ended already"))
        elif new.end_of(service) - new.start > old.end_of(service) - old.start:
            faults.append(
                FieldFault("service_ends", f"the downtime of service {service} cannot be made longer")
            )
    return faults


def delete_fault(start: datetime, kind: str, now: datetime) -> FieldFault | None:
    """Why the downtime cannot be deleted; None when it can."""
    if start <= now:
        return FieldFault("id", "the downtime has begun; end it instead")
    if kind == "SCHEDULED" and start - NOTICE <= now:
        return FieldFault("id", "a scheduled downtime cannot be deleted in the 24 h before its start")
    return None
