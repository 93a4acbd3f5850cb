"""Putting a backup back: checked before anything is touched, into empty databases or, when asked, over what is there.

A restored log begins a new life (epoch), so that every follower reads all of it again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from hanse.database import Database
from hanse.doctor.advice import Patient
from hanse.errors import Refused
from hanse.keeping import places
from hanse.keeping.backup import BEFORE, Kept, Manifest, Part, in_order
from hanse.keeping.programs import program, run
from hanse.migrations import knows, upgrade
from hanse.revisions import new_epoch

_OTHERS = text(
    "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    " and backend_type = 'client backend'"
)
#: Connections that were just closed are counted for a moment.
WAIT_S: Final = 2.0


def restore(folder: Path, patients: Sequence[Patient], *, replace: bool = False) -> Iterator[str]:
    """Put the services back, telling each step. Raises Refused, before anything is touched where it can be known."""
    manifest = Manifest.read(folder)
    missing = [one.name for one in patients if one.name not in manifest.services]
    if missing:
        raise Refused(f"{folder} holds nothing of {', '.join(missing)}.")
    chosen = [(one, manifest.services[one.name]) for one in in_order(patients)]
    programs = {}
    for patient, kept in chosen:
        for part in (kept.dump, kept.files, *kept.others.values()):
            _check_part(folder, part)
        if not all(knows(patient.package, head) for head in kept.heads):
            raise Refused(
                f"The backup of {patient.name} is from a newer version of Hanse: install that one first."
            )
        programs[patient.name] = program("pg_restore", _check_place(patient, replace))
        places.check_replaceable(places.places(patient).values())
    yield f"{folder} is whole, made {manifest.made_at} by Hanse {manifest.hanse}"
    for patient, kept in chosen:
        _put_back(folder, patient, kept, programs[patient.name])
        yield f"{patient.name}: restored"
        for key in sorted(kept.others.keys() - places.places(patient).keys()):
            left = kept.others[key].file
            yield f"{patient.name}: {left} stays in the backup, since {key} is not in the settings"


def _check_part(folder: Path, part: Part) -> None:
    path = folder / Path(part.file).name
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    if digest != part.sha256:
        raise Refused(f"{path} is not what was written: its hash is another. Take another backup.")


def _check_place(patient: Patient, replace: bool) -> int:
    """PostgreSQL's major version; Refused while somebody uses the database, or when it is not empty."""
    db = Database(patient.settings.database_url, pool_size=1)
    try:
        with db.engine.connect() as connection:
            others = _others(connection)
            if others:
                said = f"{others} connections use the database of {patient.name}"
                raise Refused(f"{said}: stop the service first.")
            if _tables(connection) and not replace:
                said = f"The database of {patient.name} is not empty"
                raise Refused(f"{said}; --replace puts the backup in the place of what is there.")
            return int(connection.execute(text("show server_version_num")).scalar_one()) // 10_000
    except SQLAlchemyError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise Refused(f"The database of {patient.name} cannot be reached: {reason}") from error
    finally:
        db.close()


def _others(connection: Connection) -> int:
    """How many others use the database; who is just going is waited for."""
    ends = time.monotonic() + WAIT_S
    while True:
        others = int(connection.execute(_OTHERS).scalar_one())
        if not others or time.monotonic() > ends:
            return others
        connection.rollback()  # one transaction sees the same connections for its whole life
        time.sleep(0.1)


def _tables(connection: Connection) -> int:
    """Tables that a restore would replace; where one was cut short, those of before it."""
    counted = text(
        "select count(*) from pg_tables"
        " where schemaname = case when to_regnamespace(:before) is null then 'public' else :before end"
    )
    return int(connection.execute(counted, {"before": BEFORE}).scalar_one())


def _put_back(folder: Path, patient: Patient, kept: Kept, pg_restore: Path) -> None:
    """Beside what is there, which goes only when all of it succeeded."""
    url, targets = patient.settings.database_url, places.places(patient)
    parts = {places.DATA_DIR: kept.files, **kept.others}
    db = Database(url, pool_size=1)
    try:
        _settle(db, targets)
        archives = {key: folder / Path(part.file).name for key, part in parts.items() if key in targets}
        changed = places.unpack(archives, targets)
        with db.transaction() as session:
            session.execute(text(f"alter schema public rename to {BEFORE}"))
            session.execute(text("create schema public"))
        try:
            words: list[str | Path] = [
                "--exit-on-error",
                "--single-transaction",
                "--no-owner",
                "--no-privileges",
            ]
            run(pg_restore, url, [*words, folder / Path(kept.dump.file).name])
            upgrade(patient.package, url)
            with db.transaction() as session:
                if session.execute(text("select to_regclass('feed_identity')")).scalar() is not None:
                    new_epoch(session)
                if patient.restored is not None:
                    patient.restored(session)
                session.execute(text(f"drop schema {BEFORE} cascade"))
                places.change(changed)
        finally:
            _settle(db, targets)
    finally:
        db.close()


def _settle(db: Database, targets: Mapping[str, Path]) -> None:
    """End what was begun: undone while the tables of before are there, else finished."""
    with db.transaction() as session:
        if session.execute(text(f"select to_regnamespace('{BEFORE}')")).scalar() is None:
            places.finish(targets.values())
            return
        places.undo(targets.values())
        session.execute(text("drop schema if exists public cascade"))
        session.execute(text(f"alter schema {BEFORE} rename to public"))
