"""APEL-cloud-message v0.2 and v0.4: one cumulative snapshot of a virtual machine a record.

Rules from APEL's cloud record definition where the failure table (docs/accounting.md) does not say otherwise:
a record is judged alone, an unknown key is ignored with a remark, and a time ahead of the receipt is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal

from accounting.formats import cloud_columns
from accounting.formats.cloud_fields import (
    IGNORED,
    KEYS,
    LONGEST_S,
    MOST_CORES,
    NUMBERS,
    STATUSES,
    TEXTS,
)
from accounting.formats.cloud_fields import split_fqan as split_fqan
from accounting.formats.keyvalue import BadValue, RawRecord, fields_of, head_of, split_records, stated
from accounting.formats.records import Bulk, Format, Judging, Note, Reading, VmSnapshot
from accounting.formats.times import END_OF_TIME, clock, month_of, span


def read(text: str, judging: Judging) -> Iterator[Reading]:
    """Judge every record of a cloud message by itself."""
    for record in split_records(text, head_of(text)):
        yield _Record(record, judging).reading()


def bulk(text: str, judging: Judging) -> Bulk | None:
    """The good records of a message at once, the others for `read`; None when all of them are."""
    found = cloud_columns.plain(text, judging)
    if found is None:
        return None
    plain, odd = found

    def careful(numbers: Collection[int]) -> Iterator[Reading]:
        for record in split_records(text, head_of(text)):
            if record.number in numbers:
                yield _Record(record, judging).reading()

    return Bulk(sum(map(len, plain.values())) + len(odd), plain, frozenset(odd), careful)


class _Record:
    """One record on its way from lines to a row: values as far as they are good, notes on what is not."""

    def __init__(self, record: RawRecord, judging: Judging) -> None:
        self.record = record
        self.judging = judging
        self.given, self.faults = fields_of(record)
        self.remarks: list[Note] = []
        self.texts: dict[str, str] = {}
        self.numbers: dict[str, int | Decimal | None] = {}

    def reading(self) -> Reading:
        """The verdict."""
        for key, (value, line) in self.given.items():
            self._take(key, value, line)
        self._demand()
        measured_at = self._measured_at()
        if not self.faults:
            self._compare(measured_at)
        vo, group, role = split_fqan(self.texts.get("FQAN", ""))
        reading = Reading(
            number=self.record.number,
            line=self.record.line,
            raw=self.record.raw,
            site_name=self.texts.get("SiteName", ""),
            site_line=self._line("SiteName"),
            subject=self.texts.get("MachineName") or self.texts.get("VMUUID", ""),
            vo=vo,
            cpu_s=self._int("CpuDuration"),
            month=_month(measured_at),
            faults=sorted(self.faults, key=lambda fault: (fault.line is None, fault.line)),
            remarks=self.remarks,
        )
        if not self.faults and measured_at is not None:
            reading.row = self._row(measured_at, vo, group, role)
        return reading

    def _take(self, key: str, value: str, line: int) -> None:
        if key in TEXTS:
            self._take_text(key, stated(value) or "", line)
        elif key in NUMBERS:
            self._take_number(key, stated(value), line)
        elif key not in IGNORED:
            self._remark(
                "unknown_field",
                key[:60],
                f"{key[:60] or 'An empty key'} is not a field of cloud records; ignored.",
            )

    def _take_text(self, key: str, value: str, line: int) -> None:
        if "\x00" in value:
            self._fault("nul_in_text", key, f"{key} holds a NUL character; send printable text.")
            value = value.replace("\x00", "\u2400")
        limit = TEXTS[key]
        if len(value) > limit and key in KEYS:
            self._fault(
                "name_too_long", key, f"{key} has {len(value)} characters; at most {limit} can be told apart."
            )
        elif len(value) > limit:
            self._remark("name_cut", key, f"{key} had {len(value)} characters; the first {limit} were kept.")
        self.texts[key] = value[:limit]

    def _take_number(self, key: str, value: str | None, line: int) -> None:
        try:
            self.numbers[key] = None if value is None else NUMBERS[key](value)
        except BadValue as bad:
            self._fault("bad_value", key, f"{key} {bad}")

    def _demand(self) -> None:
        for key in ("VMUUID", "SiteName"):
            if not self.texts.get(key):
                self._fault(
                    "missing_field", key, f"{key} is missing; without it the record belongs to nobody."
                )

    def _measured_at(self) -> int | None:
        """When the counters were read: at the end of a completed machine, else when the record was made.

        Without either, start + suspended + wall (APEL), which is what cASO means by leaving RecordCreateTime
        out.
        """
        started, ended = self._int("StartTime"), self._int("EndTime")
        completed = self._status() == "completed"
        counted = None
        if started is not None:
            counted = started + (self._int("SuspendDuration") or 0) + (self._int("WallDuration") or 0)
        if completed and ended is None:
            measured = counted if counted is not None else self._int("RecordCreateTime")
            if measured is not None:
                words = "Status is completed and EndTime is not given; taken as start + wall."
                self._remark("completed_without_end", "EndTime", words)
        elif completed:
            measured = ended
        else:
            measured = self._int("RecordCreateTime")
            if measured is None:
                measured = counted if counted is not None else ended
        if measured is None and not self.faults:
            self._fault(
                "no_time",
                "StartTime",
                "None of RecordCreateTime, StartTime and EndTime is given: the usage has no month.",
            )
        return measured

    def _compare(self, measured_at: int | None) -> None:
        assert measured_at is not None
        started, ended = self._int("StartTime"), self._int("EndTime")
        if started is not None and ended is not None and ended < started:
            self._fault(
                "end_before_start", "EndTime",
                f"EndTime {clock(ended)} is before StartTime {clock(started)}; check the clock of the machine.",
            )  # fmt: skip
        for key in ("StartTime", "EndTime", "RecordCreateTime"):
            self._not_in_future(key, self._int(key))
        if not self.faults:
            self._not_in_future("WallDuration", measured_at)
        self._plausible(measured_at, started)

    def _not_in_future(self, key: str, seconds: int | None) -> None:
        ahead = self.judging.future_tolerance_s
        if seconds is None or seconds <= self.judging.received_at + ahead:
            return
        what = (
            f"{key} {clock(seconds)}"
            if key != "WallDuration"
            else f"StartTime and WallDuration reach {clock(seconds)}, which"
        )
        self._fault(
            "time_in_future", key,
            f"{what} lies more than {span(ahead)} after the message came ({clock(self.judging.received_at)}); check"
            " the clock of the machine.",
        )  # fmt: skip

    def _plausible(self, measured_at: int, started: int | None) -> None:
        wall, cpu = self._int("WallDuration"), self._int("CpuDuration")
        cores = self._decimal("CpuCount")
        if wall is not None and wall > LONGEST_S:
            self._fault(
                "bad_value",
                "WallDuration",
                f"WallDuration is {wall} s, more than 100 years; the unit is seconds.",
            )
        if cpu is not None and cpu > LONGEST_S * MOST_CORES:
            self._fault(
                "bad_value", "CpuDuration", f"CpuDuration is {cpu} s, more than 10,000 cores in 100 years."
            )
        if wall is None:
            self._remark(
                "no_wall", "WallDuration", "WallDuration is not given; the record adds no wall time."
            )
        if cpu is None:
            self._remark("no_cpu", "CpuDuration", "CpuDuration is not given; the record adds no CPU time.")
        if wall is not None and cpu is not None and cores and cpu > wall * cores:
            most = f"WallDuration {wall} s times {cores.normalize():f} cores"
            self._remark(
                "cpu_beyond_wall", "CpuDuration", f"CpuDuration {cpu} s is more than {most}; counted as sent."
            )
        if wall is not None and started is not None and wall > max(measured_at - started, 0) + 1:
            life = f"the {measured_at - started} s since StartTime"
            self._remark(
                "wall_beyond_life",
                "WallDuration",
                f"WallDuration {wall} s is longer than {life}; counted as sent.",
            )

    def _status(self) -> str:
        return self.texts.get("Status", "").lower()

    def _known_status(self) -> str:
        status = self._status() or "unknown"
        if status in STATUSES:
            return status
        self._remark(
            "unknown_status", "Status", f'Status "{self.texts["Status"]}" is not known; kept as unknown.'
        )
        return "unknown"

    def _row(self, measured_at: int, vo: str, group: str, role: str) -> VmSnapshot:
        text, number = self.texts.get, self._int
        wall = number("WallDuration") or 0
        started = number("StartTime")
        return VmSnapshot(
            vmuuid=self.texts["VMUUID"],
            measured_at=measured_at,
            started_at=max(measured_at - wall - (number("SuspendDuration") or 0), 0)
            if started is None
            else started,
            ended_at=number("EndTime"),
            wall_s=number("WallDuration"),
            cpu_s=number("CpuDuration"),
            suspend_s=number("SuspendDuration"),
            cpu_count=self._decimal("CpuCount") or Decimal(0),
            status=self._known_status(),
            service=text("CloudComputeService", ""),
            machine_name=text("MachineName", ""),
            local_user=text("LocalUserId", ""),
            local_group=text("LocalGroupId", ""),
            user_name=text("GlobalUserName", ""),
            fqan=text("FQAN", ""),
            vo=vo,
            vo_group=group,
            vo_role=role,
            network_type=text("NetworkType", ""),
            network_in=number("NetworkInbound"),
            network_out=number("NetworkOutbound"),
            public_ips=number("PublicIPCount"),
            memory_mb=number("Memory"),
            disk_gb=number("Disk"),
            benchmark_type=text("BenchmarkType", ""),
            benchmark=self._decimal("Benchmark") or Decimal(0),
            storage_record=text("StorageRecordId", ""),
            image=text("ImageId", ""),
            cloud_type=text("CloudType", ""),
        )

    def _int(self, key: str) -> int | None:
        value = self.numbers.get(key)
        return value if isinstance(value, int) else None

    def _decimal(self, key: str) -> Decimal | None:
        value = self.numbers.get(key)
        return value if isinstance(value, Decimal) else None

    def _line(self, key: str) -> int | None:
        return self.given[key][1] if key in self.given else None

    def _fault(self, code: str, key: str, reason: str) -> None:
        self.faults.append(Note(code, key, self._line(key), reason))

    def _remark(self, code: str, key: str, reason: str) -> None:
        self.remarks.append(Note(code, key, self._line(key), reason))


def _month(seconds: int | None) -> int | None:
    return month_of(seconds) if seconds is not None and 0 <= seconds < END_OF_TIME else None


FORMAT = Format(
    title="cloud record", heads=("APEL-cloud-message",), versions=("v0.2", "v0.4"), read=read, bulk=bulk
)
