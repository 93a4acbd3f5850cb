"""Refuses records of months that lie in the archive: to count them, what came after them must be at hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting.archive.kept import open_since
from accounting.formats.records import Note, Reading, VmSnapshot
from accounting.judging import Verdict
from accounting.quarantine import Refusal
from accounting.stores import store_for

Numbered = tuple[int, Any]


def turn_away(session: Session, verdicts: Iterable[Verdict]) -> None:
    """Move records that cannot be counted while a month is archived from the good ones to the refused ones.

    The transaction holds LOADING: nothing is archived until it ends.
    """
    since = open_since(session)
    if not since:
        return
    for verdict in verdicts:
        for site, rows in verdict.placed.items():
            turned = _too_old(rows, since) | _without_past(session, site, rows, since.get("vm"))
            if turned:
                verdict.placed[site] = [each for each in rows if each[0] not in turned]
                refused = [(number, row) for number, row in rows if number in turned]
                verdict.refusals += [_refusal(site, number, row, turned[number]) for number, row in refused]
        verdict.placed = {site: rows for site, rows in verdict.placed.items() if rows}


def _too_old(rows: Sequence[Numbered], since: dict[str, date]) -> dict[int, date]:
    """Number and month of the records that tell of an archived month."""
    found = {}
    for number, row in rows:
        row_type: type = type(row)
        store = store_for(row_type)
        moment = datetime.fromtimestamp(store.until(row), UTC).date()
        if moment < since.get(store.kind, date.min):
            found[number] = moment.replace(day=1)
    return found


# Machines that have used something before the first open day, and of which no report before this one is at hand.
_PAST = text(
    """
    select t.number, (select max(m.month) from vm_month m
                       where m.site = :site and m.vmuuid = t.vmuuid and m.month < :since)
      from unnest(cast(:numbers as int[]), cast(:vms as text[]), cast(:at as timestamptz[]))
           as t (number, vmuuid, at)
     where exists (select from vm_month m where m.site = :site and m.vmuuid = t.vmuuid and m.month < :since)
       and not exists (select from vm_snapshot s where s.site = :site and s.vmuuid = t.vmuuid
                        and s.measured_at <= t.at)
    """
)


def _without_past(
    session: Session, site: str, rows: Sequence[Numbered], since: date | None
) -> dict[int, date]:
    """Number of the reports of machines whose last report before them lies in the archive, and the month of that."""
    machines = [(number, row) for number, row in rows if isinstance(row, VmSnapshot)]
    if since is None or not machines:
        return {}
    moments = {number: datetime.fromtimestamp(row.measured_at, UTC) for number, row in machines}
    given = {
        "site": site, "since": since, "numbers": list(moments), "vms": [row.vmuuid for _, row in machines],
        "at": list(moments.values()),
    }  # fmt: skip
    return {number: month for number, month in session.execute(_PAST, given)}


def _refusal(site: str, number: int, row: Any, month: date) -> Refusal:
    reason = (
        f"Records of {month:%B %Y}, which this one must be counted against, lie in the archive. The operator brings"
        f" them back (hanse accounting restore {month:%Y-%m}); then replay."
    )
    reading = Reading(
        number=number,
        line=1,
        raw="",
        site_name=site,
        subject=getattr(row, "vmuuid", "") or getattr(row, "local_job_id", ""),
        vo=getattr(row, "vo", ""),
        cpu_s=getattr(row, "cpu_s", None),
        month=month.year * 12 + month.month - 1,
    )
    return Refusal(site, [Note("month_archived", "", None, reason)], reading)
