"""Usage of the last months, of machines and of jobs, grouped, for the checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from sqlalchemy import text

from accounting.crosschecks.found import Scene

Used = tuple[tuple[str, ...], int, date, date]
_COLUMNS = frozenset({"site", "vo", "user_name"})
USAGE = """
    (select site, month, vo, user_name, cpu_s from usage_summary
     union all select site, month, vo, user_name, cpu_s from job_summary) u
"""


def used(scene: Scene, by: Sequence[str], where: str = "true") -> Iterator[Used]:
    """(values of `by`, CPU seconds, first month, last month) since the scene's first month, by `by`.

    `by` and `where` come from the checks, never from outside.
    """
    assert set(by) <= _COLUMNS
    columns = ", ".join(by)
    statement = text(
        f"select {columns}, sum(cpu_s), min(month), max(month) from {USAGE}"  # noqa: S608
        f" where month >= :first and {where} group by {columns} order by {columns}"
    )
    for *values, cpu_s, first, last in scene.session.execute(statement, {"first": scene.first}):
        yield tuple(values), int(cpu_s or 0), first, last
