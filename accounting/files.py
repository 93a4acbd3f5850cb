"""Message files from a disk into the inbox, as the administrator of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from accounting import inbox, summaries
from accounting.inbox import Arrival, Inbox, Sender
from accounting.loading import Loader, Outcome
from hanse.errors import Refused

ADMINISTRATOR = Sender("local:administrator", "the administrator of this machine")
LARGEST_BYTES = 100_000_000


@dataclass(frozen=True)
class Loaded:
    """A file and what came of it."""

    path: Path
    outcome: Outcome


def find(paths: Sequence[Path]) -> Iterator[Path]:
    """The files named, and those in the directories named, in order; hidden ones and locks of a dirq are left
    out.
    """
    for path in paths:
        if path.is_dir():
            inside = (each for each in path.rglob("*") if each.is_file())
            yield from sorted(
                each for each in inside if not each.name.startswith(".") and each.suffix != ".lck"
            )
        elif path.exists():
            yield path
        else:
            raise Refused(f"There is no file {path}.")


def load(loader: Loader, box: Inbox, path: Path) -> Loaded:
    """Load one file through the inbox. The same bytes loaded again are judged again and count once.

    Raises Refused for a file that cannot be read; Unavailable when the inbox is full.
    """
    body = _read(path)
    number = _again(loader, body)
    if number is None:
        number = box.accept([Arrival(body, empaid=path.name)], ADMINISTRATOR, source="load")[0]
    outcome = loader.load(number)
    assert outcome is not None
    summaries.summarise(loader.db)
    return Loaded(path, outcome)


def _again(loader: Loader, body: bytes) -> int | None:
    with loader.db.transaction() as session:
        return inbox.send_again(session, body)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise Refused(f"{path} has more than {LARGEST_BYTES:,} bytes; split it.")
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from None
