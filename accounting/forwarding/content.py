"""What a site-month says upward: its summaries as rows, and the rows as texts of APEL's messages.

Clouds are told as APEL would have summed them (`apel_view`): a higher federation sees the figures that it is used to,
negative months included.
A group that was told before and is gone is told as zero: APEL replaces summaries by their key and forgets none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounting.apel_view import apel_jobs, apel_rows
from accounting.formats import cloud_summary, job_summary
from accounting.formats.rows import CloudSummary, JobSummary
from accounting.forwarding.due import CLOUD, JOBS
from accounting.models import ReceivedCloudSummary
from accounting.stores.received import has_machines

MOST_RECORDS: Final = 1000
MOST_BYTES: Final = 650_000
"""Of one message's text: signed and in base64 twice it stays below the 1.5 MB that AMS takes."""
Row = CloudSummary | JobSummary
Group = list[Any]


@dataclass(frozen=True)
class Kind:
    """One kind of summary: where its rows come from, what of a row is measured and what names it, and its texts."""

    name: str
    rows: Callable[[Session, str, date], Iterable[Row]]
    make: Callable[..., Row]
    nothing: Mapping[str, object]
    write: Callable[[str, Sequence[Any]], str]
    part_of: Callable[[Row], str] = lambda _row: ""

    def group(self, row: Row) -> Group:
        """What tells a row apart from others, fit for JSON."""
        told = row._asdict()
        return [[name, _plain(value)] for name, value in told.items() if name not in self.nothing]

    def zero(self, group: Group) -> Row:
        """The row that says that nothing is left of a group."""
        named = {name: Decimal(value) if name in _DECIMALS else value for name, value in group}
        return self.make(**named, **self.nothing)


_DECIMALS: Final = frozenset({"cpu_count", "benchmark", "service_level"})


def _plain(value: object) -> object:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


def _cloud_rows(session: Session, site: str, month: date) -> Iterable[Row]:
    """As APEL sums the machines; what the site has summed itself where it reports none."""
    if has_machines(session, site, month):
        return apel_rows(session, site, month, month)
    wanted = select(ReceivedCloudSummary).where(
        ReceivedCloudSummary.site == site, ReceivedCloudSummary.month == month
    )
    return [_received(stored) for stored in session.scalars(wanted)]


def _received(stored: ReceivedCloudSummary) -> CloudSummary:
    """A summary as it came, in the form that it had then."""
    return CloudSummary(**{name: _in_rows(getattr(stored, name)) for name in CloudSummary._fields})


def _in_rows(value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp())
    return value.year * 12 + value.month - 1 if isinstance(value, date) else value


def _job_rows(session: Session, site: str, month: date) -> Iterable[Row]:
    return apel_jobs(session, site, month, month)


def _write_jobs(site: str, rows: Sequence[JobSummary]) -> str:
    return job_summary.write_normalised(site, rows) if rows[0].normalised else job_summary.write(site, rows)


KINDS: Final[Mapping[str, Kind]] = {
    CLOUD: Kind(
        CLOUD, _cloud_rows, CloudSummary,
        {"earliest_start": None, "latest_start": None, "wall_s": 0, "cpu_s": 0, "network_in": 0, "network_out": 0,
         "memory_mb": 0, "disk_gb": 0, "vms": 0, "cloud_type": ""},
        cloud_summary.write,
    ),
    JOBS: Kind(
        JOBS, _job_rows, JobSummary,
        {"earliest_end": None, "latest_end": None, "wall_s": 0, "cpu_s": 0, "norm_wall_s": 0, "norm_cpu_s": 0,
         "jobs": 0},
        _write_jobs, lambda row: str(isinstance(row, JobSummary) and row.normalised),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Content:
    """The texts of a site-month in order, how many records each has, a hash of what counts, and every group that is
    told, with whether it counts still (else it is told as zero).
    """

    texts: tuple[str, ...]
    records: tuple[int, ...]
    digest: bytes
    groups: tuple[tuple[Group, bool], ...]


def content_of(session: Session, kind: Kind, site: str, month: date, told: Iterable[Group]) -> Content:
    """What there is to tell of a site-month; `told` are the groups that the higher federation may hold already."""
    rows: dict[str, Row] = {}
    for row in kind.rows(session, site, month):
        key = _key(kind.group(row))
        rows[key] = _together(kind, rows[key], row) if key in rows else row
    counts = frozenset(rows)
    for group in told:
        rows.setdefault(_key(group), kind.zero(group))
    ordered = sorted(rows, key=lambda key: (kind.part_of(rows[key]), key))
    texts = {key: kind.write(site, [rows[key]]) for key in ordered}
    parts = list(_parts(kind, [(rows[key], len(texts[key].encode())) for key in ordered]))
    return Content(
        texts=tuple(kind.write(site, part) for part in parts),
        records=tuple(len(part) for part in parts),
        digest=hashlib.sha256("".join(texts[key] for key in ordered if key in counts).encode()).digest(),
        groups=tuple((json.loads(key), key in counts) for key in ordered),
    )


def _together(kind: Kind, one: Row, other: Row) -> Row:
    """Two rows of one group as one: what is measured added up, first and last times kept."""
    first, second = one._asdict(), other._asdict()
    joined: dict[str, object] = {}
    for name in kind.nothing:
        if isinstance(first[name], str):  # says nothing that counts
            continue
        known = [value for value in (first[name], second[name]) if value is not None]
        join = min if name.startswith("earliest") else max if name.startswith("latest") else sum
        joined[name] = join(known) if known else None
    return kind.make(**{**first, **joined})


def _key(group: Group) -> str:
    return json.dumps(group, ensure_ascii=False)


def _parts(kind: Kind, rows: Sequence[tuple[Row, int]]) -> Iterator[list[Row]]:
    """The rows (with the length of each as text) in messages: of one type each, neither too many nor too large."""
    part: list[Row] = []
    size = 0
    for row, adds in rows:
        full = len(part) >= MOST_RECORDS or size + adds > MOST_BYTES
        if part and (full or kind.part_of(part[0]) != kind.part_of(row)):
            yield part
            part, size = [], 0
        part.append(row)
        size += adds
    if part:
        yield part
