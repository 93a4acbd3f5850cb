"""The database: is it there, new enough, writable, migrated, with enough connections, and is its clock ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.doctor.advice import Advice, Patient, bad, good, note
from hanse.migrations import heads, is_current

OLDEST_VERSION = 150000
MOST_APART_S = 2.0
_PART = "database"
_LOOK = text(
    "select current_setting('server_version_num')::int as version, current_setting('server_version') as shown,"
    " current_setting('max_connections')::int as connections, pg_is_in_recovery() as standby,"
    " current_setting('transaction_read_only') = 'on' as read_only, clock_timestamp() as now,"
    " current_setting('synchronous_commit') as commits, current_setting('fsync') as fsync,"
    " has_schema_privilege('public', 'create') as may_create, pg_database_size(current_database()) as bytes"
)


def database(patient: Patient) -> Iterator[Advice]:
    """Everything about the service's database."""
    db = Database(patient.settings.database_url, pool_size=1)
    try:
        with db.transaction() as session:
            before = datetime.now(UTC)
            seen = dict(session.execute(_LOOK).mappings().one())
            between = before + (datetime.now(UTC) - before) / 2
            yield from _server(patient, seen)
            yield _clock(abs((seen["now"] - between).total_seconds()))
            yield _migrations(patient, session, seen)
    except SQLAlchemyError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        do = "Start PostgreSQL, or correct database_url: host, port, user, password and database must be right."
        yield bad(_PART, f"It cannot be reached: {reason}", do)
    finally:
        db.close()


def _server(patient: Patient, seen: dict[str, Any]) -> Iterator[Advice]:
    if seen["version"] < OLDEST_VERSION:
        yield bad(_PART, f"PostgreSQL is {seen['shown']}.", "Install PostgreSQL 15 or newer.")
    if seen["standby"] or seen["read_only"]:
        do = (
            "Point database_url at the primary (target_session_attrs=read-write), or lift the read-only mode."
        )
        yield bad(_PART, "It only reads: nothing can be stored.", do)
    if seen["fsync"] != "on" or seen["commits"] == "off":
        do = "Set fsync and synchronous_commit to on: what is acknowledged must outlive a power cut."
        yield bad(_PART, "It acknowledges what is not on the disk yet.", do)
    settings = patient.settings
    wanted = settings.workers * settings.threads * 2 + 16
    if seen["connections"] < wanted:
        said = f"It takes {seen['connections']} connections; {patient.name} may open {wanted}."
        yield note(_PART, said, "Raise max_connections, lower workers or threads, or put a pooler in front.")
    size = seen["bytes"] / 2**20
    yield good(_PART, f"PostgreSQL {seen['shown']}, {size:,.0f} MB, up to {seen['connections']} connections.")


def _clock(apart_s: float) -> Advice:
    if apart_s > MOST_APART_S:
        said = f"This machine and the database are {apart_s:.1f} s apart."
        return bad("clock", said, "Run a time service (chrony, systemd-timesyncd) on both.")
    return good("clock", f"{apart_s * 1000:.0f} ms from the database's.")


def _migrations(patient: Patient, session: Session, seen: dict[str, Any]) -> Advice:
    do = f"Run `hanse {patient.name} migrate` (with the services of the older version stopped)."
    try:
        current = is_current(patient.package, session.connection())
    except SQLAlchemyError as error:
        return bad("migrations", f"They cannot be read: {str(error.__cause__ or error).splitlines()[0]}", do)
    if current:
        return good(
            "migrations", f"The tables are those of this version ({', '.join(heads(patient.package))})."
        )
    if not seen["may_create"]:
        do += (
            " The user of database_url may not make tables: grant it CREATE on the schema public, or own it."
        )
    return bad("migrations", "The tables are not those of this version.", do)
