"""Killed at any instant of publishing, pushing or acknowledging: nothing is lost or stands twice, and it goes on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from tests.vomsdb.test_replication import PACE, _ack, _code, _join, _newest, _pair
from vomsdb import acknowledging, pushing, suspensions
from vomsdb.jobs import publish
from vomsdb.models import Agent, Member, Snapshot
from vomsdb.replication import Offer

VO = "training.egi.eu"


class Killed(BaseException):
    """Stands for the end of the process: what was not committed is gone."""


@contextmanager
def _killed_at(house: Any, step: int) -> Iterator[list[int]]:
    """Before the `step`th statement or commit the process ends; the list counts those that were reached."""
    taken = [0]

    def reached(*_arguments: Any, **_options: Any) -> None:
        taken[0] += 1
        if taken[0] > step:
            raise Killed

    for name in ("before_cursor_execute", "commit"):
        event.listen(house.db.engine, name, reached)
    try:
        yield taken
    finally:
        for name in ("before_cursor_execute", "commit"):
            event.remove(house.db.engine, name, reached)


def _steps(seed: int) -> Iterator[int]:
    """Instants, not all of them, others with another seed; those near the beginning more closely."""
    chance, step = random.Random(seed), 0
    while step < 400:
        yield step
        step += chance.randint(1, 2 + step // 8)


def _until_it_ends(
    house: Any, seed: int, change: Callable[[], None], work: Callable[[], Any]
) -> Iterator[None]:
    """Kills the work ever later, each time after another change, until it runs to its end."""
    for step in _steps(seed):
        change()
        killed = True
        with _killed_at(house, step):
            try:
                work()
                killed = False
            except Killed:
                pass
        yield
        if not killed:
            assert step > 5
            return
    pytest.fail("the work never ended")


@pytest.fixture
def changing(house: Any) -> Callable[[], None]:
    """Each call suspends Anna Lindqvist, or lets her in again; a site with an agent waits for it."""
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    publish(house.db, house.press)
    _join(house, _code(house), url="http://agent.invalid")

    def change() -> None:
        with house.db.transaction() as session:
            if session.get_one(Member, member.id).state == "active":
                suspensions.suspend(session, member.id, "OTHER", "a test", marta)
            else:
                suspensions.restore(session, member.id, "over", marta)

    return change


def _sequence(house: Any) -> tuple[int, int]:
    with house.db.transaction() as session:
        query = select(func.count(), func.max(Snapshot.seq)).where(Snapshot.vo == VO)
        count, highest = session.execute(query).one()
    return count, highest


def test_publishing_killed_at_any_instant_gives_each_number_once(house: Any, changing: Any) -> None:
    for _killed in _until_it_ends(house, 1, changing, lambda: publish(house.db, house.press)):
        publish(house.db, house.press)
        count, highest = _sequence(house)
        assert count == highest
        pair = _pair(house)
        assert (pair.expected_seq, pair.expected_sha256) == (highest, _newest(house).sha256)


def _answers(house: Any) -> Callable[[str, Offer], str]:
    """An agent that acknowledges at once what it is told."""

    def taken(_url: str, _offer: Offer) -> str:
        for vo in (VO, "chipster"):
            _ack(house, _newest(house, vo))
        return "taken (202)"

    return taken


def _due_now(house: Any) -> None:
    with house.db.transaction() as session:
        session.execute(update(Agent).values(push_at=datetime.now(UTC) - timedelta(seconds=1)))


def test_a_push_killed_at_any_instant_is_made_again(house: Any, changing: Any) -> None:
    def change() -> None:
        changing()
        publish(house.db, house.press)
        _due_now(house)

    def push() -> None:
        pushing.push_due(house.db, house.press, PACE, _answers(house))

    for _killed in _until_it_ends(house, 2, change, push):
        with house.db.transaction() as session:
            done = acknowledging.in_step(session, "CESNET")
            waits = session.get_one(Agent, "CESNET").push_at is not None
        assert done or waits
        _due_now(house)
        push()
        assert _pair(house).state == "in_step"


def test_an_acknowledgement_killed_at_any_instant_is_taken_when_it_comes_again(
    house: Any, changing: Any
) -> None:
    def change() -> None:
        changing()
        publish(house.db, house.press)

    for _killed in _until_it_ends(house, 3, change, lambda: _ack(house)):
        _ack(house)
        pair = _pair(house)
        assert (pair.state, pair.missing, pair.held_sha256) == ("in_step", 0, _newest(house).sha256)
