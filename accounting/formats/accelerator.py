"""APEL-accelerator-message v0.1: GPUs and their like that a machine had in a month (JSON, as cASO sends)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from accounting.formats.cloud_fields import split_fqan
from accounting.formats.fields import Fields, Part, unread
from accounting.formats.jsonframe import json_parts
from accounting.formats.records import Format, Judging, Reading
from accounting.formats.rows import AcceleratorRecord
from accounting.formats.times import month_start

KNOWN = frozenset({
    "MeasurementMonth", "MeasurementYear", "AssociatedRecordType", "AssociatedRecord", "GlobalUserName", "FQAN",
    "SiteName", "Count", "Cores", "ActiveDuration", "AvailableDuration", "BenchmarkType", "Benchmark", "Type", "Model",
    "CloudType", "CloudComputeService", "uuid",
})  # fmt: skip
TYPES = {"gpu": "GPU", "fpga": "FPGA", "other": "Other"}


def read(text: str, judging: Judging) -> Iterator[Reading]:
    """Judge every record of an accelerator message by itself."""
    for part in json_parts(text):
        yield unread(part) or _judge(part, judging)


def _judge(part: Part, judging: Judging) -> Reading:
    fields = Fields(part, judging)
    fields.strange(KNOWN, "accelerator records")
    site, machine = fields.key_text("SiteName"), fields.key_text("AssociatedRecord")
    month = fields.month("MeasurementMonth", "MeasurementYear")
    count = _count(fields)
    available, active = _durations(fields, month, count)
    fields.need("FQAN")
    fqan = fields.text("FQAN")
    vo, group, role = split_fqan(fqan)
    _demand_cloud(fields)
    row = AcceleratorRecord(
        vmuuid=machine,
        month=month,
        type=_type(fields),
        model=fields.text("Model"),
        accelerators=count,
        cores=fields.decimal("Cores"),
        available_s=available,
        active_s=active,
        benchmark_type=fields.text("BenchmarkType", 50),
        benchmark=fields.decimal("Benchmark"),
        service=fields.text("CloudComputeService"),
        cloud_type=fields.text("CloudType"),
        user_name=fields.text("GlobalUserName"),
        fqan=fqan,
        vo=vo,
        vo_group=group,
        vo_role=role,
    )
    return fields.reading(row, site_key="SiteName", site=site, subject=machine, vo=vo, month=month)


def _count(fields: Fields) -> Decimal:
    fields.need("Count")
    count = fields.decimal("Count")
    if count > 1000:
        fields.fault("bad_value", "Count", f"Count is {count}, more accelerators than a machine can have.")
    return count


def _durations(fields: Fields, month: int, count: Decimal) -> tuple[int, int]:
    """AvailableDuration and ActiveDuration, in seconds. Available for longer than the month lasts gets a remark, up to
    month x Count; beyond, it is a fault.
    """
    available = fields.needed("AvailableDuration")
    stated = fields.number("ActiveDuration")
    active = available if stated is None else stated
    if month:
        length = month_start(month + 1) - month_start(month)
        if available > length * max(count, Decimal(1)):
            words = f"AvailableDuration is {available} s and the month has {length} s; the unit is seconds."
            fields.fault("bad_value", "AvailableDuration", words)
        elif available > length:
            words = f"AvailableDuration {available} s is longer than the month; counted as sent, for each of Count."
            fields.remark("beyond_month", "AvailableDuration", words)
    if active > available:
        words = (
            f"ActiveDuration {active} s is longer than AvailableDuration {available} s; counted as available."
        )
        fields.remark("active_beyond_available", "ActiveDuration", words)
    return available, min(active, available)


def _demand_cloud(fields: Fields) -> None:
    if (
        fields.need("AssociatedRecordType")
        and (fields.stated("AssociatedRecordType") or "").lower() != "cloud"
    ):
        words = "AssociatedRecordType is not cloud; accelerators of other records are not counted here."
        fields.fault("bad_value", "AssociatedRecordType", words)


def _type(fields: Fields) -> str:
    fields.need("Type")
    told = fields.text("Type")
    found = TYPES.get(told.lower())
    if told and found is None:
        words = f'Type "{told[:60]}" is none of GPU, FPGA and Other; counted as Other.'
        fields.remark("unknown_accelerator", "Type", words)
    return found or "Other"


FORMAT = Format(title="accelerator record", heads=("APEL-accelerator-message",), versions=("0.1",), read=read)
