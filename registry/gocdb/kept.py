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
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
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
_MOST_WAITS: Final = 3


class Kept(NamedTuple):
    """An answer and the ETag it is known by."""

    body: bytes
    etag: str


class Made(NamedTuple):
    """An answer as it was made: in which life of the log (`epoch`), and which revision of it the answer shows."""

    epoch: str
    revision: int
    body: bytes


class _Head(NamedTuple):
    epoch: str
    revision: int
    etag: str
    length: int


@dataclass
class _Turn:
    """Somebody makes an answer, and `waiters` wait for it; `made` stays None when it could not be made."""

    done: threading.Event = field(default_factory=threading.Event)
    made: Made | None = None
    waiters: int = 0


class KeptAnswers:
    """The answers kept in `folder`, `limit` bytes of them at most; with 0 none is kept."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._verified: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._lock = threading.Lock()
        self._turns: dict[str, _Turn] = {}

    def have(self, key: str, look: Callable[[Made | None], Kept | None], make: Callable[[], Made]) -> Kept:
        """The answer under `key`: what `look` finds, or else what `make` makes.

        Of those in this process who ask at the same moment one makes it. The others wait for that one, not longer than
        half a minute, and `look` is given what it made: also an answer that is too small or too large for a file. One
        that no longer holds is made anew. Where nothing is kept nobody waits.
        """
        if not self._limit:
            return self.keep(key, make())
        found = look(None)
        for _ in range(_MOST_WAITS):
            if found is not None:
                return found
            turn, mine = self._turn(key)
            if mine:
                return self._take(key, turn, look, make)
            if not turn.done.wait(_LONGEST_WAIT_S):
                break
            found = look(turn.made)
        return found or self.keep(key, make())

    def _turn(self, key: str) -> tuple[_Turn, bool]:
        """The turn at the answer, and whether it is the caller's own."""
        with self._lock:
            turn = self._turns.get(key)
            if turn is not None:
                turn.waiters += 1
                return turn, False
            mine = self._turns[key] = _Turn()
            return mine, True

    def _take(
        self, key: str, turn: _Turn, look: Callable[[Made | None], Kept | None], make: Callable[[], Made]
    ) -> Kept:
        try:
            found = look(None)  # the one before may have ended between looking and coming here
            if found is None:
                turn.made = make()
                found = self.keep(key, turn.made)
            return found
        finally:
            with self._lock:
                del self._turns[key]
            turn.done.set()

    def find(
        self, session: Session, key: str, kinds: Collection[str], handed: Made | None = None
    ) -> Kept | None:
        """The answer under `key`, when nothing of `kinds` has changed since; None otherwise.

        `handed` is one that somebody has just made, and is looked at first.
        """
        if not self._limit:
            return None
        if handed is not None:
            kept = _named(handed.body)
            if self._holds(session, key, _head_of(handed, kept), kinds):
                return kept
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

    def keep(self, key: str, made: Made) -> Kept:
        """Keep an answer in a file, unless it is too small or too large for one."""
        kept = _named(made.body)
        if SMALLEST <= len(made.body) <= self._limit // 4:
            try:
                self._write(self._path(key), _head_of(made, kept), made.body)
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


def code_of(folder: Path) -> str:
    """A name for the program text in `folder`: what other code wrote out is not given for this one's."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _named(body: bytes) -> Kept:
    return Kept(body, hashlib.blake2b(body, digest_size=16).hexdigest())


def _head_of(made: Made, kept: Kept) -> _Head:
    return _Head(made.epoch, made.revision, kept.etag, len(made.body))


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
