"""What can go wrong, in sentences a person can act on. No HTTP here: `hanse.web` maps classes to statuses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldFault:
    """One wrong field: its name, why it is wrong, and, for a list of records, the record's number from 1."""

    field: str
    reason: str
    record: int | None = None


class HanseError(Exception):
    """Base of all errors a caller may be shown. `detail` is one sentence; `fields` names what was wrong."""

    def __init__(self, detail: str, *fields: FieldFault) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields: tuple[FieldFault, ...] = fields

    def __str__(self) -> str:
        if not self.fields:
            return self.detail
        faults = "; ".join(_fault_text(fault) for fault in self.fields)
        return f"{self.detail} ({faults})"


def _fault_text(fault: FieldFault) -> str:
    where = fault.field if fault.record is None else f"record {fault.record}, {fault.field}"
    return f"{where}: {fault.reason}"


class Refused(HanseError):
    """The request was understood, and a rule says no (422)."""


class NotFound(HanseError):
    """There is no such thing (404)."""


class Conflict(HanseError):
    """It collides with what is there already (409)."""


class Forbidden(HanseError):
    """The caller is known and may not do this (403)."""


class Unauthorised(HanseError):
    """The caller has to say who they are (401)."""


class TooLarge(HanseError):
    """The body is bigger than the limit (413)."""


class Unavailable(HanseError):
    """Something that is needed is away at the moment; the same request may work later (503)."""
