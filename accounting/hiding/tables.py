"""The name in records, sums and whatever was written about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Table, and_, any_, bindparam, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from accounting import usage
from accounting.models import Base
from accounting.pseudonyms import Hidden
from accounting.stores import addresses, cloud_summaries, job_summaries
from accounting.stores.vm_figures import MONTH_GROUP

KEYED: Final[Mapping[str, Callable[[Any], bytes]]] = {
    "ip_snapshot": addresses.key_of,
    "received_job_summary": job_summaries.key_of,
    "received_cloud_summary": cloud_summaries.key_of,
}
"""Tables whose column `key` is made of the name, among others."""
PARTS: Final = ("vm_month", "usage_summary")
"""Tables whose column `part` is made of the name, among others (`usage.part_of`)."""
TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "refused_record": ("raw", "reason", "subject"),
    "replay_run": ("reason",),
    "remark": ("reason",),
    "message": ("reason",),
    "finding": ("fact", "subject", "sentence", "reason"),
    "usage_event": ("sentence",),
    "mail": ("subject", "body"),
}
_FAULTS = text(
    "update refused_record set faults = replace(faults::text, :name, :pseudonym)::jsonb"
    " where position(:name in faults::text) > 0"
)
_REFERENCES = "select distinct message_id from {} where user_name = :name"


def tables_with_names() -> list[Table]:
    """Every table that names users."""
    return [table for table in Base.metadata.sorted_tables if "user_name" in table.c]


def messages_of(session: Session, name: str) -> set[int]:
    """Numbers of the messages that brought records of this name, as far as the records tell."""
    found: set[int] = set()
    for table in tables_with_names():
        if "message_id" in table.c:
            found.update(session.scalars(text(_REFERENCES.format(table.name)), {"name": name}))
    return found


def replace(session: Session, what: Hidden) -> int:
    """Replace the name everywhere; returns in how many rows of records and sums."""
    count = 0
    for table in tables_with_names():
        if table.name in KEYED:
            count += _keyed(session, table, what)
        elif table.name in PARTS:
            count += _parts(session, table, what)
        elif isinstance(table.c.user_name.type, ARRAY):
            there = literal(what.name) == any_(table.c.user_name)
            values = func.array_replace(table.c.user_name, what.name, what.pseudonym)
            count += session.execute(update(table).where(there).values(user_name=values)).rowcount  # type: ignore[attr-defined]
        else:
            changed = update(table).where(table.c.user_name == what.name).values(user_name=what.pseudonym)
            count += session.execute(changed).rowcount  # type: ignore[attr-defined]
    return count + _texts(session, what)


def _keyed(session: Session, table: Table, what: Hidden) -> int:
    rows = session.execute(select(table).where(table.c.user_name == what.name)).mappings().all()
    key = [column.name for column in table.primary_key]
    same = and_(*(table.c[name] == bindparam(f"old_{name}") for name in key))
    changed = update(table).where(same).values(user_name=what.pseudonym, key=bindparam("new_key"))
    given = [
        {f"old_{name}": row[name] for name in key} | {"new_key": key_after(table.name, row, what)}
        for row in rows
    ]
    if given:
        session.connection().execute(changed, given)
    return len(given)


def key_after(table: str, row: Mapping[Any, Any], what: Hidden) -> bytes:
    """The key of a row once its name is replaced."""
    return KEYED[table](_Fields(dict(row) | {"user_name": what.pseudonym}))


class _Fields:
    """A row whose columns are attributes, as the stores' own rows have them."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)


def _parts(session: Session, table: Table, what: Hidden) -> int:
    columns = [table.c[name] for name in MONTH_GROUP]
    combinations = select(table.c.part, *columns).where(table.c.user_name == what.name).distinct()
    count = 0
    at = MONTH_GROUP.index("user_name")
    for part, *group in session.execute(combinations).all():
        group[at] = what.pseudonym
        changed = (
            update(table)
            .where(table.c.part == part, table.c.user_name == what.name)
            .values(user_name=what.pseudonym, part=usage.part_of(group))
        )
        count += session.execute(changed).rowcount  # type: ignore[attr-defined]
    return count


def _texts(session: Session, what: Hidden) -> int:
    """What was written about records: names in sentences and raw texts, as those write them. Not counted: they are no
    records.
    """
    for form in what.forms():
        given = {"name": form, "pseudonym": what.pseudonym}
        for table, columns in TEXTS.items():
            replaced = ", ".join(f"{column} = replace({column}, :name, :pseudonym)" for column in columns)
            found = " or ".join(f"position(:name in {column}) > 0" for column in columns)
            session.execute(text(f"update {table} set {replaced} where {found}"), given)  # noqa: S608 - our own names
        in_json = {"name": json.dumps(form, ensure_ascii=False)[1:-1], "pseudonym": what.pseudonym}
        session.execute(_FAULTS, in_json)
    return 0
