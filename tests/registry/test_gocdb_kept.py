"""Answers that are kept: valid as long as nothing they show has changed, whole at any moment, bounded."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

import registry
from hanse.database import Database
from hanse.revisions import Actor, change, feed_epoch, head, new_epoch
from registry.gocdb.kept import SMALLEST, Kept, KeptAnswers, Made, code_of

BODY = b"<results/>" * SMALLEST
KINDS = frozenset({"site"})


@pytest.fixture
def answers(tmp_path: Path) -> KeptAnswers:
    return KeptAnswers(tmp_path / "answers", 10 * len(BODY))


def write(db: Database, kind: str, name: str) -> None:
    with db.transaction() as session, change(session, Actor("x", "Ingrid Holm"), "") as recorded:
        recorded.put(kind, name, {"name": name})


def keep(answers: KeptAnswers, db: Database, key: str = "k", body: bytes = BODY) -> Kept:
    with db.transaction() as session:
        return answers.keep(key, Made(feed_epoch(session), head(session), body))


def find(answers: KeptAnswers, db: Database, key: str = "k") -> Kept | None:
    with db.transaction() as session:
        return answers.find(session, key, KINDS)


@pytest.fixture
def db(database_for) -> Database:  # type: ignore[no-untyped-def]
    db: Database = database_for("registry")
    write(db, "site", "CESNET")
    return db


def test_an_answer_holds_until_something_in_it_changes(answers: KeptAnswers, db: Database) -> None:
    assert find(answers, db) is None
    kept = keep(answers, db)
    assert find(answers, db) == kept
    write(db, "person", "1")
    assert find(answers, db) == kept
    write(db, "site", "BIFI")
    assert find(answers, db) is None


def test_the_change_is_seen_also_after_others_that_did_not_matter(answers: KeptAnswers, db: Database) -> None:
    keep(answers, db)
    for number in range(3):
        write(db, "person", str(number))
        assert find(answers, db) is not None
    write(db, "site", "BIFI")
    write(db, "person", "9")
    assert find(answers, db) is None


def test_another_process_finds_it(answers: KeptAnswers, db: Database, tmp_path: Path) -> None:
    kept = keep(answers, db)
    assert find(KeptAnswers(tmp_path / "answers", 10**9), db) == kept


def test_a_restored_database_finds_nothing(answers: KeptAnswers, db: Database) -> None:
    with db.transaction() as session:
        answers.keep("k", Made(feed_epoch(session), head(session) + 5, BODY))  # from before it was restored
    assert find(answers, db) is None
    keep(answers, db)
    with db.transaction() as session:
        new_epoch(session)
    assert find(answers, db) is None


def test_half_a_file_is_none(answers: KeptAnswers, db: Database, tmp_path: Path) -> None:
    keep(answers, db)
    (file,) = (tmp_path / "answers").glob("*.answer")
    whole = file.read_bytes()
    for broken in (whole[:-1], whole + b"x", b"", b"nonsense\n", whole[:40]):
        file.write_bytes(broken)
        assert find(answers, db) is None
    file.write_bytes(whole)
    assert find(answers, db) is not None


def test_the_folder_is_bounded_and_private(answers: KeptAnswers, db: Database, tmp_path: Path) -> None:
    for number in range(30):
        keep(answers, db, f"k{number}")
        os.utime(tmp_path / "answers" / f"k{number}.answer", (number, number))
    files = list((tmp_path / "answers").iterdir())
    assert sum(file.stat().st_size for file in files) <= 10 * len(BODY)
    assert find(answers, db, "k29") is not None
    assert find(answers, db, "k0") is None
    assert (tmp_path / "answers").stat().st_mode & 0o077 == 0
    assert files[0].stat().st_mode & 0o077 == 0


def test_small_and_huge_answers_are_not_kept(answers: KeptAnswers, db: Database) -> None:
    for body in (b"<results/>", BODY * 5):
        assert keep(answers, db, "k", body).body == body
        assert find(answers, db) is None


def test_a_folder_that_cannot_be_written_costs_no_answer(db: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    answers = KeptAnswers(tmp_path / "file" / "answers", 10 * len(BODY))
    assert keep(answers, db).body == BODY
    assert find(answers, db) is None


def test_none_is_kept_with_no_room(db: Database, tmp_path: Path) -> None:
    answers = KeptAnswers(tmp_path / "answers", 0)
    keep(answers, db)
    assert find(answers, db) is None
    assert not (tmp_path / "answers").exists()


def test_writers_at_once_leave_one_whole_answer(db: Database, tmp_path: Path) -> None:
    """As two processes that render at the same moment: each has its own KeptAnswers over one folder."""
    bodies = [bytes([65 + number]) * len(BODY) for number in range(4)]
    with db.transaction() as session:
        epoch, revision = feed_epoch(session), head(session)
    wrong: list[str] = []

    def run(body: bytes) -> None:
        answers = KeptAnswers(tmp_path / "answers", 100 * len(BODY))
        for _ in range(15):
            answers.keep("k", Made(epoch, revision, body))
            with Session(db.engine) as session:
                found = answers.find(session, "k", KINDS)
            if found is None or found.body not in bodies:
                wrong.append("torn")

    threads = [threading.Thread(target=run, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(list((tmp_path / "answers").iterdir())) == 1


class Asking:
    """Some who ask for the answer "k" at the same moment; the first is held back until `others` wait for it."""

    def __init__(
        self, answers: KeptAnswers, db: Database, bodies: list[bytes | None], others: int = 4
    ) -> None:
        self.made: list[bytes | None] = []
        self.got: list[Kept] = []
        self.faults: list[Exception] = []
        self.at_the_end = lambda: None
        self._answers, self._db, self._bodies, self._others = answers, db, bodies, others

    def run(self) -> None:
        threads = [threading.Thread(target=self._ask) for _ in range(self._others + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()

    def _ask(self) -> None:
        try:
            self.got.append(self._answers.have("k", self._look, self._make))
        except ValueError as fault:
            self.faults.append(fault)

    def _look(self, handed: Made | None) -> Kept | None:
        with self._db.transaction() as session:
            return self._answers.find(session, "k", KINDS, handed)

    def _make(self) -> Made:
        body = self._bodies[len(self.made)]
        self.made.append(body)
        with self._db.transaction() as session:
            made = Made(feed_epoch(session), head(session), body or b"")
        if len(self.made) == 1:
            self._await_others()
            self.at_the_end()
        if body is None:
            raise ValueError("no")
        return made

    def _await_others(self) -> None:
        deadline = time.monotonic() + 60
        while self._answers._turns["k"].waiters < self._others:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.mark.parametrize("body", [BODY, b"<results/>", BODY * 5], ids=["kept", "too small", "too large"])
def test_those_who_ask_at_once_have_one_answer_made(answers: KeptAnswers, db: Database, body: bytes) -> None:
    asking = Asking(answers, db, [body])
    asking.run()
    assert asking.made == [body]
    assert [one.body for one in asking.got] == [body] * 5
    assert len({one.etag for one in asking.got}) == 1


def test_who_waited_is_not_given_what_changed_meanwhile(answers: KeptAnswers, db: Database) -> None:
    """Somebody writes while the answer is made, then asks: what that one wrote is in it."""
    asking = Asking(answers, db, [b"before", *[b"after"] * 4])
    asking.at_the_end = lambda: write(db, "site", "BIFI")
    asking.run()
    assert sorted(one.body for one in asking.got) == [b"after"] * 4 + [b"before"]


def test_after_one_that_failed_another_makes_the_answer(answers: KeptAnswers, db: Database) -> None:
    asking = Asking(answers, db, [None, BODY])
    asking.run()
    assert len(asking.faults) == 1
    assert asking.made == [None, BODY]
    assert [one.body for one in asking.got] == [BODY] * 4


def test_with_no_room_nobody_waits(db: Database, tmp_path: Path) -> None:
    """Each makes its own; all are in the making at the same moment, which none that waits could be."""
    answers, together = KeptAnswers(tmp_path / "answers", 0), threading.Barrier(3, timeout=60)
    got: list[bytes] = []

    def make() -> Made:
        together.wait()
        return Made("1", 1, BODY)

    threads = [
        threading.Thread(target=lambda: got.append(answers.have("k", lambda _: None, make).body))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == [BODY] * 3


@pytest.mark.parametrize(
    "changed", ["gocdb/sites.py", "renderings/gocdb_xml.py", "protocols/gocdb_methods.py"]
)
def test_other_code_has_other_answers(tmp_path: Path, changed: str) -> None:
    """What was kept before an upgrade is not given after it, whichever module of the registry is another one."""
    copy = tmp_path / "registry"
    shutil.copytree(Path(registry.__file__).parent, copy, ignore=shutil.ignore_patterns("*.pyc", "templates"))
    before = code_of(copy)
    assert code_of(Path(registry.__file__).parent) == before
    with (copy / changed).open("a") as file:
        file.write("# another version\n")
    assert code_of(copy) != before
