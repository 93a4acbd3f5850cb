"""What was typed on the way to a downtime, read as the use case takes it, with what is wrong of it by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from hanse.errors import FieldFault, HanseError, Refused
from hanse.web import current_principal, ground
from hanse.web.wire import faults_of
from registry import downtime_series, downtimes
from registry.schemas.downtimes import DowntimeIn, RepeatIn

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "what": ("sites", "services", "endpoints", "severity", "description"),
    "when": ("start", "end", "every", "times"),
    "impact": (),
    "confirm": (),
}
Typed = dict[str, Any]


@dataclass(frozen=True)
class Meant:
    """What was typed, as the use case takes it, with what is wrong of it by field."""

    form: DowntimeIn | None
    repeat: RepeatIn | None = None
    faults: Mapping[str, str] = field(default_factory=dict)

    def of_step(self, step: str) -> dict[str, str]:
        """The faults of the fields of a step."""
        return {name: reason for name, reason in self.faults.items() if name in FIELDS[step]}


def read(typed: Typed) -> Meant:
    """What was typed as a downtime, and every fault with it, by the field of the form."""
    values: dict[str, Any] = {
        "sites": list(dict.fromkeys(typed["sites"])),
        "severity": typed["severity"] or "OUTAGE",
        "description": typed["description"],
        "end": _moment(typed["end"]),
        "start": _moment(typed["start"]),
        "services": typed["services"],
        "endpoints": typed["endpoints"],
    }
    values = {name: value for name, value in values.items() if value not in (None, [], "")}
    faults: dict[str, str] = {}
    if "sites" not in values:
        faults["sites"] = "choose at least one"
    form, repeat = None, None
    try:
        form = DowntimeIn.model_validate(values)
    except ValidationError as error:
        faults |= {fault.field.partition(".")[0]: _sentence(fault) for fault in faults_of(error)}
    if typed["every"]:
        try:
            repeat = RepeatIn.model_validate({"every": typed["every"], "times": int(typed["times"] or 0)})
        except (ValidationError, ValueError):
            faults["times"] = "must be a number from 2 to 60"
    if form is not None and not faults:
        faults |= _refused(form, repeat)
    elif faults.keys() == {"end"} and not typed["end"]:
        faults |= _refused_whenever(values)
    return Meant(form, repeat, faults)


def _refused_whenever(values: Mapping[str, Any]) -> dict[str, str]:
    """What would be refused at any time, while none was typed: found with an hour that keeps the rules of times."""
    start = datetime.now(UTC) + timedelta(minutes=5)
    tried = {**values, "start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()}
    found = _refused(DowntimeIn.model_validate(tried), None)
    return {name: reason for name, reason in found.items() if name in FIELDS["what"]}


def _refused(form: DowntimeIn, repeat: RepeatIn | None) -> dict[str, str]:
    """What the rules say of the whole; nothing is kept. Who may not, or names what is not there, is told at `sites`."""
    try:
        downtimes.try_out(ground().db, current_principal(), form)
        if repeat is not None:
            downtime_series.spans(form.start or datetime.now(UTC), form.end, repeat)
    except Refused as error:
        named = {"repeat": "every", "site": "sites", "service_ends": "services"}
        return {named.get(fault.field, fault.field): fault.reason for fault in error.fields} or {
            "sites": error.detail
        }
    except HanseError as error:
        return {"sites": error.detail}
    return {}


def _sentence(fault: FieldFault) -> str:
    return "is needed" if fault.reason in ("is missing", "is too short or empty") else fault.reason


def _moment(text: str) -> str | None:
    """What a browser's date and time field gives, as UTC."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
