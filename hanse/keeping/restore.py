"""Putting a backup back: checked before anything is touched, into empty databases or, when asked, over what is there.

A restored log begins a new life (epoch), so that every follower reads all of it again.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from hanse.database import Database
from hanse.doctor.advice import Patient
from hanse.errors import Refused
from hanse.keeping.backup import Kept, Manifest, Part, in_order
from hanse.keeping.programs import program, run
from hanse.migrations import knows, upgrade
from hanse.revisions import new_epoch

_OTHERS = text(
    "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
)


def restore(folder: Path, patients: Sequence[Patient], *, replace: bool = False) -> Iterator[str]:
    """Put the services back, telling each step. Raises Refused, before anything is touched where it can be known."""
    manifest = Manifest.read(folder)
    missing = [one.name for one in patients if one.name not in manifest.services]
    if missing:
        raise Refused(f"{folder} holds nothing of {', '.join(missing)}.")
    chosen = [(one, manifest.services[one.name]) for one in in_order(patients)]
    servers = {}
    for patient, kept in chosen:
        for part in (kept.dump, kept.files):
            _check_part(folder, part)
        if not all(knows(patient.package, head) for head in kept.heads):
            raise Refused(
                f"The backup of {patient.name} is from a newer version of Hanse: install that one first."
            )
        servers[patient.name] = _check_place(patient, replace)
    yield f"{folder} is whole, made {manifest.made_at} by Hanse {manifest.hanse}"
    for patient, kept in chosen:
        _put_back(folder, patient, kept, servers[patient.name], replace)
        yield f"{patient.name}: restored"


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
            others = connection.execute(_OTHERS).scalar_one()
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


def _tables(connection: Connection) -> int:
    counted = text("select count(*) from pg_tables where schemaname = 'public'")
    return int(connection.execute(counted).scalar_one())


def _put_back(folder: Path, patient: Patient, kept: Kept, server: int, replace: bool) -> None:
    url = patient.settings.database_url
    db = Database(url, pool_size=1)
    try:
        if replace:
            with db.transaction() as session:
                session.execute(text("drop schema public cascade"))
                session.execute(text("create schema public"))
        words: list[str | Path] = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"]
        run(program("pg_restore", server), url, [*words, folder / kept.dump.file])
        upgrade(patient.package, url)
        with db.transaction() as session:
            if session.execute(text("select to_regclass('feed_identity')")).scalar() is not None:
                new_epoch(session)
            if patient.restored is not None:
                patient.restored(session)
    finally:
        db.close()
    _files(folder / kept.files.file, patient.settings.data_dir)


def _files(archive: Path, target: Path) -> None:
    """The service's files; those of before stand beside them, in `<data_dir>.before`."""
    if target.is_dir() and any(target.iterdir()):
        before = target.with_name(target.name + ".before")
        if before.exists():
            shutil.rmtree(before)
        target.rename(before)
    target.mkdir(parents=True, exist_ok=True, mode=0o750)
    with tarfile.open(archive, "r:gz") as packed:
        packed.extractall(target, filter="data")
