"""Answers that are kept, so that an unchanged registry is not asked and written out again for each of its consumers.

A kept answer is a file: a head line with the revision of the log that it shows, then the answer as it is sent. It holds
as long as no later revision touched one of the kinds of entities that the answer is made of. All processes of a machine
share the files; each is written whole under another name and then renamed, so two that write at once do no harm, and
whoever reads sees the one or the other. The folder is bounded in bytes and in files; what was not asked for longest
goes first.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import structlog
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from hanse.revisions import History, feed_epoch, head

log = structlog.get_logger("registry.gocdb")
MOST_FILES: Final = 500
SMALLEST: Final = 16_384  # bytes; what is smaller is made sooner than it is found
_MAGIC: Final = b"hanse-gocdb-1"
_SUFFIX: Final = ".answer"
_MOST_REMEMBERED: Final = 2000
_REFRESH_S: Final = 60
_LONGEST_WAIT_S: Final = 30


class Kept(NamedTuple):
    """An answer and the ETag it is known by."""

    body: bytes
    etag: str


class _Head(NamedTuple):
    epoch: str
    revision: int
    etag: str
    length: int


class KeptAnswers:
    """The answers kept in `folder`, `limit` bytes of them at most; with 0 none is kept."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._verified: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[str, threading.Event] = {}

    @contextmanager
    def making(self, key: str) -> Iterator[bool]:
        """Around making the answer under `key`: True when somebody else of this process has just made it, so that it
        is worth looking again; whoever comes second waits for the first, not longer than half a minute.
        """
        with self._lock:
            before = self._making.get(key)
            if before is None:
                mine = self._making[key] = threading.Event()
        if before is not None:
            before.wait(_LONGEST_WAIT_S)
            yield True
            return
        try:
            yield False
        finally:
            with self._lock:
                del self._making[key]
            mine.set()

    def find(self, session: Session, key: str, kinds: Collection[str]) -> Kept | None:
        """The answer under `key`, when nothing of `kinds` has changed since; None otherwise."""
        if not self._limit:
            return None
        path = self._path(key)
        try:
            with path.open("rb") as file:
                known = _read_head(file.readline(200))
                if known is None or not self._holds(session, key, known, kinds):
                    return None
                body = file.read(known.length + 1)
                age = time.time() - os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("kept_answer_unreadable", path=str(path), reason=str(error))
            return None
        if len(body) != known.length:
            return None
        if age > _REFRESH_S:
            _touch(path)
        return Kept(body, known.etag)

    def keep(self, key: str, epoch: str, revision: int, body: bytes) -> Kept:
        """Keep `body`, which shows the log as it was at `revision`."""
        kept = Kept(body, hashlib.blake2b(body, digest_size=16).hexdigest())
        if SMALLEST <= len(body) <= self._limit // 4:
            known = _Head(epoch, revision, kept.etag, len(body))
            try:
                self._write(self._path(key), known, body)
                self._prune()
            except OSError as error:  # a full or closed disk costs time, not the answer
                log.warning("answer_not_kept", folder=str(self._folder), reason=str(error))
        return kept

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"

    def _holds(self, session: Session, key: str, known: _Head, kinds: Collection[str]) -> bool:
        newest = head(session)
        with self._lock:
            since = self._verified.get((key, known.revision), known.revision)
        if known.epoch != feed_epoch(session) or newest < known.revision:
            return False
        if newest <= since:
            return True
        touched = exists().where(History.from_revision > since, History.kind.in_(sorted(kinds)))
        if session.scalar(select(touched)):
            return False
        with self._lock:
            self._verified[key, known.revision] = newest
            self._verified.move_to_end((key, known.revision))
            while len(self._verified) > _MOST_REMEMBERED:
                self._verified.popitem(last=False)
        return True

    def _write(self, path: Path, known: _Head, body: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")  # for its owner alone
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_head_line(known))
                file.write(body)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _prune(self) -> None:
        """Take away what was not asked for longest, until the folder is within its bounds."""
        found = []
        for entry in os.scandir(self._folder):
            try:
                facts = entry.stat()
            except FileNotFoundError:  # another process prunes too
                continue
            if entry.name.endswith(_SUFFIX) or time.time() - facts.st_mtime > 600:  # a part whose writer died
                found.append((facts.st_mtime, facts.st_size, Path(entry.path)))
        found.sort()
        size = sum(one[1] for one in found)
        while found and (size > self._limit or len(found) > MOST_FILES):
            _, bytes_less, path = found.pop(0)
            path.unlink(missing_ok=True)
            size -= bytes_less


def _head_line(known: _Head) -> bytes:
    return b" ".join(
        [_MAGIC, known.epoch.encode(), b"%d" % known.revision, known.etag.encode(), b"%d\n" % known.length]
    )


def _read_head(line: bytes) -> _Head | None:
    parts = line.split()
    if len(parts) != 5 or parts[0] != _MAGIC or not (parts[2].isdigit() and parts[4].isdigit()):
        return None
    return _Head(parts[1].decode(), int(parts[2]), parts[3].decode(), int(parts[4]))


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:  # taken away, or kept by somebody else: its age is only a hint
        log.debug("kept_answer_not_touched", path=str(path))
