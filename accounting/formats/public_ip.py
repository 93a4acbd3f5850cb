"""APEL Public IP message v0.2: how many public addresses a project holds at the moment (JSON, as cASO sends)."""

from __future__ import annotations

from collections.abc import Iterator

from accounting.formats.cloud_fields import split_fqan
from accounting.formats.fields import Fields, Part, unread
from accounting.formats.jsonframe import json_parts
from accounting.formats.keyvalue import BadValue, shown
from accounting.formats.records import Format, Judging, Reading
from accounting.formats.rows import IpSnapshot
from accounting.formats.times import month_of

KNOWN = frozenset({
    "MeasurementTime", "SiteName", "CloudType", "CloudComputeService", "LocalUser", "LocalGroup", "GlobalUserName",
    "FQAN", "IPVersion", "IPCount", "uuid",
})  # fmt: skip
MOST_ADDRESSES = 2**32


def read(text: str, judging: Judging) -> Iterator[Reading]:
    """Judge every record of a public IP message by itself."""
    for part in json_parts(text):
        yield unread(part) or _judge(part, judging)


def _judge(part: Part, judging: Judging) -> Reading:
    """The specification demands LocalUser and GlobalUserName too; cASO has neither for a project's addresses."""
    fields = Fields(part, judging)
    fields.strange(KNOWN, "public IP records")
    site, measured = fields.key_text("SiteName"), fields.needed_time("MeasurementTime")
    fields.not_in_future("MeasurementTime", measured)
    fields.need("FQAN")
    fqan = fields.text("FQAN")
    vo, group, role = split_fqan(fqan)
    row = IpSnapshot(
        measured_at=measured,
        service=fields.text("CloudComputeService"),
        cloud_type=fields.text("CloudType"),
        local_user=fields.text("LocalUser"),
        local_group=fields.text("LocalGroup"),
        user_name=fields.text("GlobalUserName"),
        fqan=fqan,
        vo=vo,
        vo_group=group,
        vo_role=role,
        ip_version=fields.needed("IPVersion", read=_version),
        ip_count=fields.needed("IPCount", MOST_ADDRESSES),
    )
    subject = row.local_user or row.local_group
    return fields.reading(
        row,
        site_key="SiteName",
        site=site,
        subject=subject,
        vo=vo,
        month=month_of(measured) if measured else 0,
    )


def _version(value: str) -> int:
    if value not in ("4", "6"):
        raise BadValue(f"is {shown(value)}; write 4 or 6.")
    return int(value)


FORMAT = Format(title="public IP record", heads=("APEL Public IP message",), versions=("0.2",), read=read)
