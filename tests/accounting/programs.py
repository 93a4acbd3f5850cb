"""`hanse accounting ...` as a process of its own, over a house."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse.database import Database
from tests.accounting.conftest import House

ROOT = Path(__file__).resolve().parents[2]


def begin(
    house: House,
    command: str,
    *words: str,
    settings: Mapping[str, str | int | float] | None = None,
    out: int | IO[str] = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """`hanse accounting COMMAND WORDS` with the house's settings and these; errors go where the output goes."""
    known = house.settings
    given: dict[str, str | int | float] = {
        "database_url": house.db.url,
        "secret_key": "a secret of the tests alone",
        "trust_dir": str(known.trust_dir),
        "data_dir": str(known.data_dir),
        "tls_cert": str(known.tls_cert),
        "tls_key": str(known.tls_key),
        **(settings or {}),
    }
    config = known.data_dir / f"{command}.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in given.items()]
    config.write_text("\n".join(["[accounting]", *lines, ""]))
    hanse = Path(sys.executable).with_name("hanse")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HANSE_")}
    return subprocess.Popen(
        [hanse, "--config", config, "accounting", command, *words],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=out,
        stderr=subprocess.STDOUT,
    )


def wait_until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait until it is so; a slow machine may take its time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def end_backend_of(db: Database, session: Session) -> None:
    """Let the server end the connection that the session works on."""
    pid = session.scalar(text("select pg_backend_pid()"))
    with db.transaction() as other:
        other.execute(text("select pg_terminate_backend(:pid, 10000)"), {"pid": pid})
