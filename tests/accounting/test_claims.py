"""Which messages loaders take beside one another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from accounting import inbox
from accounting.inbox import Arrival, Inbox, Sender
from hanse.database import Database
from tests.accounting.conftest import House

SITES = ("BIFI", "CESNET", "UKIM")


def wait_in_turn(house: House, rounds: int, size: int = 1000) -> dict[str, list[int]]:
    """Messages of the sites in turn, by site."""
    box = Inbox(house.db, 1000)
    numbers: dict[str, list[int]] = {site: [] for site in SITES}
    for round_ in range(rounds):
        for site in SITES:
            body = f"{site} {round_} ".encode().ljust(size, b"x")
            sender = Sender(f"token:{site}", site, site)
            numbers[site] += box.accept([Arrival(body, f"{site}{round_}")], sender, source="ams")
    return numbers


@contextmanager
def claiming(db: Database) -> Iterator[list[int]]:
    """What a loader claims, while the block lasts."""
    with db.transaction() as session:
        yield [message.id for message in inbox.claim_batch(session)]


def test_loaders_beside_one_another_take_messages_of_different_senders(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "BATCH_BYTES", 2500)
    numbers = wait_in_turn(house, 3)
    with claiming(house.db) as first, claiming(house.db) as second, claiming(house.db) as third:
        assert (first, second, third) == tuple(numbers[site][:2] for site in SITES)


def test_a_batch_is_filled_with_what_other_senders_have(house: House) -> None:
    numbers = wait_in_turn(house, 2)
    with claiming(house.db) as all_of_them, claiming(house.db) as nothing:
        assert all_of_them == sorted(number for of_site in numbers.values() for number in of_site)
        assert nothing == []


def test_where_others_have_all_senders_what_they_left_is_taken(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a second loader would stand still while one site sends very much."""
    monkeypatch.setattr(inbox, "BATCH_BYTES", 2500)
    numbers = wait_in_turn(house, 4)
    with ExitStack() as others:
        for _ in SITES:
            others.enter_context(claiming(house.db))
        left = sorted(number for of_site in numbers.values() for number in of_site[2:])
        with claiming(house.db) as beside:
            assert beside == left[:2]


def test_a_message_larger_than_a_batch_is_taken_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "BATCH_BYTES", 500)
    numbers = wait_in_turn(house, 2)
    with claiming(house.db) as first:
        assert first == numbers["BIFI"][:1]
