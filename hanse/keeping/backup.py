"""Making a backup: complete when it has its name, and checked by the hashes of its manifest when it is used.

The followers are dumped before those that they follow, so no copy of a feed is newer than the feed itself; a restored
service that is behind asks for what it lacks. Each dump is one snapshot of its database.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from hanse.database import Database
from hanse.doctor.advice import Patient
from hanse.errors import Refused
from hanse.keeping.places import DATA_DIR, pack, places, sync
from hanse.keeping.programs import program, run
from hanse.migrations import heads, is_current

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
#: Followers first; who is not named comes before them.
ORDER: Final = ("accounting", "monitoring", "vomsdb", "registry")
#: Where a restore keeps the tables of before; there only when one was cut short.
BEFORE: Final = "hanse_before"


@dataclass(frozen=True)
class Part:
    """A file of a backup."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Kept:
    """What a backup has of one service: `heads` are the migrations that its tables are at, `others` the files that its
    settings have elsewhere, by setting.
    """

    package: str
    heads: list[str]
    server: int
    dump: Part
    files: Part
    others: dict[str, Part] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """A whole backup."""

    format: int
    made_at: str
    hanse: str
    services: dict[str, Kept]

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Raises Refused for what is not a backup, or not a complete one."""
        try:
            given: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if given["format"] != FORMAT:
                raise Refused(f"{folder} is a backup of another form ({given['format']}).")
            kept = {name: _kept(one) for name, one in given["services"].items()}
            return cls(FORMAT, str(given["made_at"]), str(given["hanse"]), kept)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Refused(
                f"{folder} is not a whole backup: its {MANIFEST} cannot be read ({error})."
            ) from error


def _kept(given: dict[str, Any]) -> Kept:
    dump, files = Part(**given["dump"]), Part(**given["files"])
    others = {key: Part(**one) for key, one in given.get("others", {}).items()}
    return Kept(given["package"], list(given["heads"]), int(given["server"]), dump, files, others)


def in_order(patients: Sequence[Patient]) -> list[Patient]:
    """Followers before those that they follow."""
    return sorted(patients, key=lambda one: ORDER.index(one.name) if one.name in ORDER else -1)


def back_up(patients: Sequence[Patient], target: Path, now: datetime | None = None) -> Iterator[str]:
    """Make a backup below `target`, telling each step; the last word is its folder. Raises Refused.

    A backup that is not whole has a name that ends in `.part`, and is taken away by the next one.
    """
    made_at = now or datetime.now(UTC)
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in target.glob("hanse-*.part"):
        shutil.rmtree(left)
    folder = target / f"hanse-{made_at:%Y%m%dT%H%M%SZ}"
    if folder.exists():
        raise Refused(f"{folder} is there already.")
    partly = folder.with_name(folder.name + ".part")
    partly.mkdir(mode=0o700)
    services = {}
    for patient in in_order(patients):
        services[patient.name] = _service(patient, partly)
        made = services[patient.name]
        size = sum(part.bytes for part in (made.dump, made.files, *made.others.values()))
        yield f"{patient.name}: {size / 2**20:,.1f} MB"
    manifest = Manifest(FORMAT, made_at.isoformat(), version("hanse"), services)
    _durably(partly / MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
    partly.rename(folder)
    sync(target)
    yield str(folder)


def _service(patient: Patient, folder: Path) -> Kept:
    server = check_current(patient)
    dump = folder / f"{patient.name}.dump"
    words: list[str | Path] = [
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        f"--exclude-schema={BEFORE}",
    ]
    run(program("pg_dump", server), patient.settings.database_url, [*words, "--file", dump])
    sources = places(patient)
    parts = {}
    for key, source in sources.items():
        if key == DATA_DIR or source.exists():
            archive = folder / f"{patient.name}.{'files' if key == DATA_DIR else key}.tar.gz"
            pack(archive, source, key, without=[one for one in sources.values() if one != source])
            parts[key] = _part(archive)
    files = parts.pop(DATA_DIR)
    return Kept(patient.package, list(heads(patient.package)), server, _part(dump), files, parts)


def check_current(patient: Patient) -> int:
    """PostgreSQL's major version; Refused when the database is away or of another version of Hanse."""
    db = Database(patient.settings.database_url, pool_size=1)
    try:
        with db.engine.connect() as connection:
            if not is_current(patient.package, connection):
                raise Refused(
                    f"The tables of {patient.name} are not of this version; run `hanse {patient.name} migrate`."
                )
            return int(connection.execute(text("show server_version_num")).scalar_one()) // 10_000
    except SQLAlchemyError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise Refused(f"The database of {patient.name} cannot be reached: {reason}") from error
    finally:
        db.close()


def _part(path: Path) -> Part:
    path.chmod(0o600)
    with path.open("rb+") as stream:
        digest = hashlib.file_digest(stream, "sha256")
        os.fsync(stream.fileno())
    return Part(path.name, path.stat().st_size, digest.hexdigest())


def _durably(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
