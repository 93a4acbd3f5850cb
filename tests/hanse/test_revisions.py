"""The revision log: in order under concurrency, and one truth in history, current and as_of."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from hanse import revisions
from hanse.database import Database
from hanse.errors import Refused
from hanse.revisions import Actor, Change, as_of, change, changes_since, current, history_of
from hanse.revisions.writing import _same

INGRID = Actor("person:1", "Ingrid Holm")
LAURA = Actor("person:2", "Laura Gil")


def put(db: Database, entity_id: str, body: dict[str, Any], kind: str = "site") -> int | None:
    with db.transaction() as session, change(session, INGRID, "a test") as changes:
        changes.put(kind, entity_id, body)
    return changes.number


def delete(db: Database, entity_id: str, kind: str = "site") -> int | None:
    with db.transaction() as session, change(session, INGRID, "a test") as changes:
        changes.delete(kind, entity_id)
    return changes.number


def test_a_change_is_read_back_with_who_and_why(ground: Database) -> None:
    with ground.transaction() as session, change(session, LAURA, "BIFI moved") as changes:
        changes.put("site", "2", {"name": "BIFI"})
    with ground.transaction() as session:
        (entry,) = history_of(session, "site", "2")
        assert current(session, "site") == {"2": {"name": "BIFI"}}
    assert (entry.revision, entry.until, entry.op, entry.body) == (1, None, "put", {"name": "BIFI"})
    assert (entry.actor, entry.actor_name, entry.reason) == ("person:2", "Laura Gil", "BIFI moved")
    assert datetime.now(UTC) - entry.at < timedelta(seconds=30)


def test_what_is_so_already_writes_nothing(ground: Database) -> None:
    assert put(ground, "1", {"name": "CESNET", "vcpu": 64}) == 1
    assert put(ground, "1", {"vcpu": 64, "name": "CESNET"}) is None
    assert delete(ground, "9") is None
    with ground.transaction() as session:
        assert session.scalar(text("select count(*) from revision")) == 1
        assert len(history_of(session, "site", "1")) == 1


def test_true_and_one_are_two_values(ground: Database) -> None:
    put(ground, "1", {"production": 1})
    assert put(ground, "1", {"production": True}) == 2
    with ground.transaction() as session:
        assert current(session, "site")["1"]["production"] is True


def test_a_huge_float_is_not_written_again_and_again(ground: Database) -> None:
    put(ground, "1", {"number": 1e22, "small": 1e-7, "whole": 64.0})
    assert put(ground, "1", {"number": 1e22, "small": 1e-7, "whole": 64.0}) is None


def test_the_number_may_be_asked_for_inside_the_block(ground: Database) -> None:
    put(ground, "1", {"name": "CESNET"})
    with ground.transaction() as session, change(session, INGRID, "why") as changes:
        assert changes.number == 2
        changes.put("site", "3", {"name": "UKIM", "since_revision": changes.number})
    assert changes.number == 2
    with ground.transaction() as session, change(session, INGRID, "nothing after all") as changes:
        assert changes.number == 3
    assert changes.number is None
    assert put(ground, "4", {}) == 3


def test_two_blocks_of_one_transaction_are_two_revisions(ground: Database) -> None:
    with ground.transaction() as session:
        with change(session, INGRID, "first") as first:
            first.put("site", "1", {"name": "CESNET"})
        with change(session, LAURA, "second") as second:
            second.put("site", "1", {"name": "CESNET-MCC"})
    assert (first.number, second.number) == (1, 2)
    with ground.transaction() as session:
        assert [entry.until for entry in history_of(session, "site", "1")] == [2, None]


def test_an_error_inside_the_block_leaves_no_trace(ground: Database) -> None:
    def fail() -> None:
        with ground.transaction() as session, change(session, INGRID, "why") as changes:
            changes.put("site", "1", {"name": "CESNET"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with ground.transaction() as session:
        assert current(session, "site") == {}
        assert revisions.head(session) == 0


@pytest.mark.parametrize("bad", ["a\x00b", "half \ud800 a pair"])
def test_text_that_postgresql_cannot_hold_is_refused_with_a_sentence(ground: Database, bad: str) -> None:
    with pytest.raises(Refused, match="take it out"):
        put(ground, "1", {"name": bad})


def test_text_that_only_looks_like_a_nul_is_kept(ground: Database) -> None:
    put(ground, "1", {"name": r"a \u0000 b"})
    with ground.transaction() as session:
        assert current(session, "site")["1"]["name"] == r"a \u0000 b"


def test_as_of_a_time_and_as_of_a_number_agree(ground: Database) -> None:
    put(ground, "1", {"name": "CESNET"})
    put(ground, "1", {"name": "CESNET-MCC"})
    delete(ground, "1")
    with ground.transaction() as session:
        entries = history_of(session, "site", "1")
        assert [entry.op for entry in entries] == ["put", "put", "delete"]
        for entry in entries:
            assert as_of(session, "site", entry.at) == as_of(session, "site", entry.revision)
        assert as_of(session, "site", entries[0].at - timedelta(seconds=1)) == {}
        assert as_of(session, "site", 2) == {"1": {"name": "CESNET-MCC"}}
        with pytest.raises(ValueError, match="aware"):
            as_of(session, "site", datetime(2026, 11, 24))


def test_times_never_run_backwards_along_the_numbers(ground: Database) -> None:
    put(ground, "1", {"n": 1})
    with ground.transaction() as session:  # as after a clock that was set back
        session.execute(text("update revision set at = at + interval '1 hour'"))
    put(ground, "1", {"n": 2})
    with ground.transaction() as session:
        first, second = history_of(session, "site", "1")
    assert first.at <= second.at


# --- the feed ---


def read_all(db: Database, limit: int, since: int = 0) -> tuple[dict[tuple[str, str], Any], int]:
    """Follow the feed to its end like a stranger who knows only the pages."""
    copy: dict[tuple[str, str], Any] = {}
    while True:
        with db.transaction() as session:
            page = changes_since(session, since, limit)
        for each in page.changes:
            if each.op == "put":
                copy[(each.kind, each.id)] = each.body
            else:
                copy.pop((each.kind, each.id), None)
        since = page.next
        if since >= page.head:
            return copy, since


def test_the_first_page_has_what_is_current_only(ground: Database) -> None:
    put(ground, "1", {"name": "CESNET"})
    put(ground, "1", {"name": "CESNET-MCC"})
    put(ground, "2", {"name": "BIFI"})
    delete(ground, "2")
    with ground.transaction() as session:
        page = changes_since(session, 0, 500)
    assert page.bootstrap
    assert [(each.id, each.body) for each in page.changes] == [("1", {"name": "CESNET-MCC"})]
    assert (page.head, page.next) == (4, 4)


def test_after_a_cursor_every_change_comes_deletions_too(ground: Database) -> None:
    for number in range(3):
        put(ground, "1", {"n": number})
    delete(ground, "1")
    with ground.transaction() as session:
        page = changes_since(session, 1, 500)
    assert [(each.revision, each.op, each.body) for each in page.changes] == [
        (2, "put", {"n": 1}),
        (3, "put", {"n": 2}),
        (4, "delete", None),
    ]
    assert not page.bootstrap
    as_json = page.changes[0].as_json()
    assert {"revision", "at", "actor", "reason", "kind", "id", "op", "body"} <= as_json.keys()
    assert as_json["at"].endswith("Z")


def test_a_revision_is_never_cut_in_two(ground: Database) -> None:
    with ground.transaction() as session, change(session, INGRID, "federation.yaml") as changes:
        for number in range(7):
            changes.put("site", str(number), {"n": number})
    put(ground, "8", {"n": 8})
    with ground.transaction() as session:
        page = changes_since(session, 0, 3)
    assert len(page.changes) == 7
    assert (page.next, page.head) == (1, 2)


def test_an_empty_log_has_a_page_and_an_epoch(ground: Database) -> None:
    with ground.transaction() as session:
        page = changes_since(session, 0, 10)
    with ground.transaction() as session:
        again = changes_since(session, 0, 10)
        assert revisions.new_epoch(session) != page.epoch
    assert (page.head, page.next, page.changes) == (0, 0, [])
    assert page.epoch == again.epoch


# --- concurrency ---


def test_numbers_commit_in_order_under_overlapping_transactions(ground: Database) -> None:
    """The second wants a number while the first holds one and has not committed: it has to wait."""
    first_has_number, let_first_commit = threading.Event(), threading.Event()
    numbers: dict[str, int | None] = {}

    def first() -> None:
        with ground.transaction() as session:
            with change(session, INGRID, "slow") as changes:
                changes.put("site", "1", {"by": "first"})
            numbers["first"] = changes.number
            first_has_number.set()
            assert let_first_commit.wait(20)

    def second() -> None:
        with ground.transaction() as session:
            with change(session, LAURA, "quick") as changes:
                changes.put("site", "2", {"by": "second"})
            numbers["second"] = changes.number

    slow = threading.Thread(target=first)
    slow.start()
    assert first_has_number.wait(20)
    quick = threading.Thread(target=second)
    quick.start()
    quick.join(0.5)
    assert quick.is_alive(), "the second transaction got a number before the first had committed"
    with ground.transaction() as session:
        assert changes_since(session, 0, 10).head == 0
    let_first_commit.set()
    slow.join(20)
    quick.join(20)
    assert numbers == {"first": 1, "second": 2}


def test_no_reader_of_the_feed_misses_a_change_while_many_write(ground: Database) -> None:
    writers, each_writes = 6, 25
    done = threading.Event()
    seen: list[int] = []

    def write(writer: int) -> None:
        for number in range(each_writes):
            with ground.transaction() as session:
                with change(session, INGRID, "load") as changes:
                    changes.put("thing", f"{writer}.{number}", {"n": number})
                time.sleep(0.002)  # hold the number a while before the commit
                if number % 10 == 9:
                    session.rollback()

    def read() -> None:
        since = 0
        while True:
            last_round = done.is_set()
            with ground.transaction() as session:
                page = changes_since(session, since, 7)
            if since == 0 and not page.changes:
                continue
            seen.extend(each.revision for each in page.changes)
            since = page.next
            if last_round and since >= page.head:
                return

    put(ground, "first", {})  # the reader starts behind the bootstrap page
    reader = threading.Thread(target=read)
    reader.start()
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    done.set()
    reader.join(60)
    with ground.transaction() as session:
        committed = list(session.scalars(text("select number from revision order by number")))
    assert committed == list(range(1, len(committed) + 1)), "numbers have gaps"
    assert seen == committed


def test_two_who_change_the_same_entity_at_once_leave_one_line_of_history(ground: Database) -> None:
    barrier = threading.Barrier(5)

    def write(number: int) -> None:
        barrier.wait(10)
        put(ground, "1", {"n": number})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with ground.transaction() as session:
        entries = history_of(session, "site", "1")
    assert [entry.revision for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.until for entry in entries] == [2, 3, 4, 5, None]


def test_rows_of_the_caller_are_locked_before_the_feed_is(ground: Database, monkeypatch: Any) -> None:
    """The block flushes the caller's rows first: the other order lets two writers wait for each other."""
    order: list[str] = []
    write = Change.write

    def noted(self: Change) -> None:
        order.append("feed")
        write(self)

    monkeypatch.setattr(Change, "write", noted)
    with ground.transaction() as session:
        flush = session.flush
        monkeypatch.setattr(session, "flush", lambda *args: (order.append("rows"), flush(*args)))
        with change(session, INGRID, "why") as changes:
            changes.put("site", "1", {})
    assert order[:2] == ["rows", "feed"]


# --- history, current and as_of agree, whatever happens ---

BODIES = st.dictionaries(
    st.sampled_from(["name", "vcpu", "production"]),
    st.booleans()
    | st.none()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    max_size=3,
)
ENTITIES = st.tuples(st.sampled_from(["site", "grant"]), st.sampled_from(["1", "2", "3"]))
STEPS = st.lists(st.dictionaries(ENTITIES, st.none() | BODIES, max_size=3), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(steps=STEPS, limit=st.integers(1, 5))
def test_history_current_and_as_of_agree(ground: Database, steps: list[dict[Any, Any]], limit: int) -> None:
    with ground.transaction() as session:
        for table in ("history", "revision", "feed_identity"):
            session.execute(text(f"delete from {table}"))
    world: dict[tuple[str, str], Any] = {}
    worlds = [dict(world)]
    for step in steps:
        storable = {key: body for key, body in step.items() if body is None or storable_text(body)}
        with ground.transaction() as session, change(session, INGRID, "step") as changes:
            for (kind, entity_id), body in storable.items():
                changes.delete(kind, entity_id) if body is None else changes.put(kind, entity_id, body)
                world.pop((kind, entity_id), None) if body is None else world.update(
                    {(kind, entity_id): body}
                )
        if changes.number is not None:
            assert changes.number == len(worlds)
            worlds.append(dict(world))
        else:
            assert same(world, worlds[-1])
    with ground.transaction() as session:
        for number, expected in enumerate(worlds):
            assert same(told(session, number), expected)
        assert same(
            {(kind, id_): body for kind in ("site", "grant") for id_, body in current(session, kind).items()},
            world,
        )
    assert same(read_all(ground, limit)[0], world)
    for since in range(1, len(worlds)):
        assert read_all(ground, limit, since)[1] == len(worlds) - 1


def storable_text(body: dict[str, Any]) -> bool:
    return not any(isinstance(value, str) and "\x00" in value for value in body.values())


def told(session: Any, number: int) -> dict[Any, Any]:
    return {
        (kind, id_): body for kind in ("site", "grant") for id_, body in as_of(session, kind, number).items()
    }


def same(left: Any, right: Any) -> bool:
    return bool(
        _same({str(key): body for key, body in left.items()}, {str(key): body for key, body in right.items()})
    )


def test_what_is_to_be_forgotten_leaves_every_state(ground: Database) -> None:
    put(ground, "7", {"name": "Anna Lindqvist", "email": "anna@lab.example", "site": "BIFI"}, "person")
    put(ground, "7", {"name": "Anna Lindqvist", "email": "a.l@lab.example", "site": "BIFI"}, "person")
    put(ground, "8", {"name": "Laura Gil", "email": "laura@bifi.example"}, "person")
    with ground.transaction() as session, change(session, INGRID, "Personal data erased") as changes:
        changes.redact("person", "7", ["name", "email"])
    assert changes.number == 4
    nobody = {"name": None, "email": None, "site": "BIFI"}
    with ground.transaction() as session:
        entries = history_of(session, "person", "7")
        assert [(entry.revision, entry.until, entry.body) for entry in entries] == [
            (1, 2, nobody),
            (2, 4, nobody),
            (4, None, nobody),
        ]
        # a follower who has read everything is told; one who starts in the middle never learns it
        assert [(one.id, one.body) for one in changes_since(session, 3, 100).changes] == [("7", nobody)]
        told = [one.body for one in changes_since(session, 1, 100).changes if one.id == "7"]
        assert told == [nobody, nobody]
        assert current(session, "person")["8"]["name"] == "Laura Gil"
    with ground.transaction() as session:
        assert "lindqvist" not in str(session.execute(text("select * from history")).all()).lower()


def test_forgetting_twice_writes_one_revision(ground: Database) -> None:
    put(ground, "7", {"name": "Anna Lindqvist"}, "person")
    for expected in (2, None):
        with ground.transaction() as session, change(session, INGRID, "Personal data erased") as changes:
            changes.redact("person", "7", ["name"])
        assert changes.number == expected


def test_a_person_is_forgotten_and_removed_in_one_revision(ground: Database) -> None:
    put(ground, "7", {"name": "Anna Lindqvist", "contacts": [{"name": "Anna Lindqvist"}]}, "person")
    with ground.transaction() as session, change(session, INGRID, "Personal data erased") as changes:
        changes.redact("person", "7", lambda body: {**body, "name": None, "contacts": []})
        changes.delete("person", "7")
    with ground.transaction() as session:
        bodies = [(entry.op, entry.body) for entry in history_of(session, "person", "7")]
    assert bodies == [("put", {"name": None, "contacts": []}), ("delete", None)]


def test_an_erased_person_acts_under_no_name(ground: Database) -> None:
    with ground.transaction() as session, change(session, LAURA, "BIFI moved") as changes:
        changes.put("site", "2", {"name": "BIFI"})
    put(ground, "3", {"name": "UKIM"})
    with ground.transaction() as session:
        assert revisions.forget_actor(session, [LAURA.key], "somebody who left") == 1
        named = {entry.actor_name for entry in history_of(session, "site", "2")}
        assert named == {"somebody who left"}
        assert history_of(session, "site", "3")[0].actor_name == "Ingrid Holm"
