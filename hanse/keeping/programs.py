"""PostgreSQL's own pg_dump and pg_restore, of a version that fits the server; passwords never stand in a command."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy.engine import make_url

from hanse.errors import Refused
from hanse.postgres import PostgresError, find_binaries

_VERSION = re.compile(r"\(PostgreSQL\)\s+(\d+)")


def program(name: str, server_major: int) -> Path:
    """The path of pg_dump or pg_restore, not older than the server. Raises Refused when there is none."""
    for path in _candidates(name):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        found = _VERSION.search(said.stdout)
        if found is not None and int(found[1]) >= server_major:
            return path
    raise Refused(
        f"There is no {name} of PostgreSQL {server_major} or newer here: install postgresql-client-{server_major},"
        " or name the folder of PostgreSQL's programs in HANSE_PG_BIN."
    )


def _candidates(name: str) -> list[Path]:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    with suppress(PostgresError):  # without a server of our own there may still be the client's programs
        folders.insert(0, find_binaries())
    found = [folder / name for folder in folders if (folder / name).is_file()]
    on_path = shutil.which(name)
    return [*found, *([Path(on_path)] if on_path else [])]


def run(path: Path, url: str, words: Sequence[str | Path]) -> None:
    """Run it against the database at `url`. Raises Refused with its last words."""
    place = make_url(url).set(drivername="postgresql")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    if place.password:
        environment["PGPASSWORD"] = str(place.password)
    shown = place.set(password=None).render_as_string(hide_password=False)
    command = [str(path), "--no-password", *map(str, words), "--dbname", shown]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ended.returncode != 0:
        said = ended.stderr.strip().splitlines() or ["nothing"]
        raise Refused(f"{path.name} failed: {' '.join(said[-3:])[:600]}")
