"""What a probe found: one status, one sentence, one reason word, figures, and where the time went.

The reason is a stable word ("tcp-refused"): the state machine, dependencies and tests go by it, people by
the sentence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Ours = Literal["", "ours"]


class Status(StrEnum):
    """The four results of a check, in Nagios' words; `exit_code` is the plugin's."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"

    @property
    def exit_code(self) -> int:
        """0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (Nagios plugin guidelines)."""
        return list(Status).index(self)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number as perfdata has it; `value` None = could not be measured ("U")."""

    label: str
    value: float | None
    unit: Literal["", "s", "B", "%", "c"] = ""
    warning: str = ""
    critical: str = ""


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of a check: when it began (seconds from the start), how long it took, what was seen."""

    name: str
    began_s: float
    took_s: float
    seen: str = ""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What was asked and answered, for people to read: secrets replaced, at most some 32 KB of body."""

    request: str
    reply_head: str
    reply_body: str
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe function returns. `reason` is empty when all is well."""

    status: Status
    summary: str
    reason: str = ""
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """A finding with its measured time and trace: what is stored and shown."""

    status: Status
    summary: str
    reason: str
    took_s: float
    figures: tuple[Figure, ...] = ()
    phases: tuple[Phase, ...] = ()
    answer: RawAnswer | None = None


class Fault(Exception):
    """A check that ended early. `status` is CRITICAL for the site's fault, UNKNOWN for ours."""

    def __init__(self, reason: str, summary: str, status: Status = Status.CRITICAL) -> None:
        super().__init__(summary)
        self.reason = reason
        self.summary = summary
        self.status = status


@dataclass(frozen=True, slots=True)
class Target:
    """What to probe: an endpoint's address and the options of this check (threshold days, token, ...)."""

    url: str
    host: str
    port: int
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def tls(self) -> bool:
        """Whether the address asks for TLS."""
        return self.url.startswith("https:")
