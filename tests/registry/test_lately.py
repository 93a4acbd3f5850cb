"""What is made of shared objects is kept for these very objects, and no longer than few others are asked about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from registry.absence import Away
from registry.directory import Federation
from registry.lately import Lately


def test_the_same_objects_are_not_made_of_twice() -> None:
    kept: Lately[list[int]] = Lately()
    one, same = [1], [1]
    first = kept.get((one,), "a", lambda: [*one, 2])
    assert kept.get((one,), "a", lambda: []) is first
    assert kept.get((one,), "b", lambda: [3]) == [3]
    assert kept.get((same,), "a", lambda: [4]) == [4]


def test_an_object_that_is_held_cannot_be_taken_for_another() -> None:
    kept: Lately[int] = Lately(3)
    for number in range(200):  # each list would come at the place of the one before, were that not held
        assert kept.get(([number],), None, lambda number=number: number) == number  # type: ignore[misc]


def test_only_the_last_are_kept() -> None:
    kept: Lately[int] = Lately(2)
    made: list[int] = []
    objects = [object() for _ in range(3)]

    def make(number: int) -> int:
        made.append(number)
        return number

    for number in (0, 1, 2, 2, 0):
        kept.get((objects[number],), None, lambda number=number: make(number))  # type: ignore[misc]
    assert made == [0, 1, 2, 0]


def test_sites_that_are_away_are_looked_at_again_when_a_service_is_back() -> None:
    now = datetime.now(UTC)
    known = Federation(
        "e", 7, {}, (), frozenset(), Away(frozenset({"BIFI"}), now + timedelta(minutes=1)), 0, 0
    )
    assert known.holds("e", 7, now)
    assert not known.holds("e", 7, now + timedelta(minutes=1))
    assert not known.holds("e", 8, now)
    assert not known.holds("f", 7, now)
