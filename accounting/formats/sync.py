"""APEL-sync-message v0.1: how many jobs a site itself has counted, by submit host and month."""

from __future__ import annotations

from collections.abc import Iterator

from accounting.formats.fields import MOST_MONTH_S, Fields, text_parts
from accounting.formats.records import Format, Judging, Reading
from accounting.formats.rows import SyncCount

KNOWN = frozenset({"Site", "SubmitHost", "NumberOfJobs", "Month", "Year", "UpdateTime"})


def read(text: str, judging: Judging) -> Iterator[Reading]:
    """Judge every record of a sync message by itself."""
    for part in text_parts(text):
        fields = Fields(part, judging)
        fields.strange(KNOWN, "sync records")
        site, host = fields.key_text("Site"), fields.text("SubmitHost")
        row = SyncCount(fields.month(), host, fields.needed("NumberOfJobs", MOST_MONTH_S))
        yield fields.reading(row, site_key="Site", site=site, subject=host, month=row.month)


FORMAT = Format(title="sync record", heads=("APEL-sync-message",), versions=("v0.1",), read=read)
