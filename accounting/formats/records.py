"""What a format makes of a message: one reading a record, good or faulty, with the line that made it so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple


class Unreadable(Exception):
    """The whole message cannot be read as records; `reason` is a sentence for the site, `line` from 1 where
    known.
    """

    def __init__(self, code: str, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class Note:
    """Something to say about a record: a fault that refuses it, or a remark that does not.

    `code` is stable for grouping (`time_in_future`), `line` the line of the message from 1 (None: no single
    line).
    """

    code: str
    field: str
    line: int | None
    reason: str


class VmSnapshot(NamedTuple):
    """One cumulative report about one virtual machine. Times are epoch seconds UTC, durations seconds since
    its start.

    `wall_s` and `cpu_s` are None when the record does not state them. Texts are "" when absent. Memory is in
    MB, disk in GB, network as the site counts it (specification: GB).
    """

    vmuuid: str
    measured_at: int
    started_at: int
    ended_at: int | None
    wall_s: int | None
    cpu_s: int | None
    suspend_s: int | None
    network_in: int | None
    network_out: int | None
    memory_mb: int | None
    disk_gb: int | None
    public_ips: int | None
    service: str
    vo: str
    vo_group: str
    vo_role: str
    user_name: str
    status: str
    image: str
    cpu_count: Decimal
    benchmark_type: str
    benchmark: Decimal
    machine_name: str
    local_user: str
    local_group: str
    fqan: str
    network_type: str
    storage_record: str
    cloud_type: str


@dataclass(slots=True)
class Reading:
    """One record as read: `row` when it is good (of a type that `accounting/stores` knows), else `faults`, the
    first being the one to show.

    `number` counts records from 1, `line` is where the record begins, `raw` its lines as they came.
    `subject`, `vo`, `cpu_s` and `month` (years * 12 + months - 1) describe it in lists as far as they could
    be read.
    """

    number: int
    line: int
    raw: str
    site_name: str = ""
    site_line: int | None = None
    subject: str = ""
    vo: str = ""
    cpu_s: int | None = None
    month: int | None = None
    row: object | None = None
    faults: list[Note] = field(default_factory=list)
    remarks: list[Note] = field(default_factory=list)


@dataclass(frozen=True)
class Judging:
    """What a format needs to know besides the text: when the message came, and how far ahead clocks may be
    (s).
    """

    received_at: int
    future_tolerance_s: int = 3600


@dataclass(frozen=True)
class Bulk:
    """A message whose good records were read together: how many records it has, the (number, row) of those that
    are good without a remark by their SiteName, the numbers of the others, and how to read records one by one.
    """

    records: int
    plain: Mapping[str, Sequence[tuple[int, object]]]
    odd: frozenset[int]
    careful: Callable[[Collection[int]], Iterator[Reading]]


@dataclass(frozen=True)
class Format:
    """One format: the header names that it answers to, the versions it knows, and how it reads a message.

    `read(text, judging)` yields a Reading a record, in order, and raises Unreadable when there are no records
    to judge one by one. `title` names it to people ("cloud record"). `bulk`, where a format has it, reads the same
    faster, or gives None when it cannot.
    """

    title: str
    heads: tuple[str, ...]
    versions: tuple[str, ...]
    read: Callable[[str, Judging], Iterator[Reading]]
    bulk: Callable[[str, Judging], Bulk | None] | None = None
