"""Answers that are kept: valid as long as nothing they show has changed, whole at any moment, bounded."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.revisions import Actor, change, feed_epoch, head, new_epoch
from registry.gocdb.kept import SMALLEST, Kept, KeptAnswers

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
        return answers.keep(key, feed_epoch(session), head(session), body)


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
        answers.keep("k", feed_epoch(session), head(session) + 5, BODY)  # from before it was restored
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
            answers.keep("k", epoch, revision, body)
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


def test_two_who_ask_at_once_have_one_answer_made(answers: KeptAnswers, db: Database) -> None:
    made: list[str] = []
    begun, others = threading.Event(), 4

    def ask(name: str) -> None:
        with answers.making("k") as again:
            if again and find(answers, db) is not None:
                return
            made.append(name)
            begun.set()
            waiting.wait(30)
            keep(answers, db)

    waiting = threading.Event()
    first = threading.Thread(target=ask, args=("first",))
    first.start()
    assert begun.wait(30)
    rest = [threading.Thread(target=ask, args=(str(number),)) for number in range(others)]
    for thread in rest:
        thread.start()
    waiting.set()
    for thread in [first, *rest]:
        thread.join(30)
    assert made == ["first"]


def test_after_one_that_failed_the_next_makes_the_answer(answers: KeptAnswers) -> None:
    def fail() -> None:
        with answers.making("k") as again:
            assert not again
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    with answers.making("k") as again:
        assert not again
