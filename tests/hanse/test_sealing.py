"""Secrets that are kept sealed: read again with the secret that sealed them, and with no other."""

from __future__ import annotations

import pytest

from hanse.sealing import Seal, Unreadable


def test_what_is_sealed_is_read_again_and_seen_by_nobody() -> None:
    seal = Seal(["a secret of the tests"], "webhooks")
    sealed = seal.close("whsec_größer")
    assert "whsec" not in sealed
    assert sealed.isascii()
    assert seal.open(sealed) == "whsec_größer"
    assert seal.close("whsec_größer") != sealed, "two that are equal must not be seen to be"


@pytest.mark.parametrize(
    "other",
    [Seal(["another secret"], "webhooks"), Seal(["a secret of the tests"], "tokens")],
    ids=["another secret", "another purpose"],
)
def test_another_secret_or_another_purpose_reads_nothing(other: Seal) -> None:
    sealed = Seal(["a secret of the tests"], "webhooks").close("whsec_x")
    with pytest.raises(Unreadable):
        other.open(sealed)


def test_what_was_damaged_is_refused() -> None:
    seal = Seal(["a secret of the tests"], "webhooks")
    sealed = seal.close("whsec_x")
    with pytest.raises(Unreadable):
        seal.open(sealed[:-3] + "AAA")
    with pytest.raises(Unreadable):
        seal.open("whsec_x")


def test_a_secret_is_changed_without_losing_anything() -> None:
    sealed = Seal(["old"], "webhooks").close("whsec_x")
    both = Seal(["new", "old"], "webhooks")
    assert both.open(sealed) == "whsec_x"
    assert not both.is_new(sealed)
    anew = both.close(both.open(sealed))
    assert both.is_new(anew)
    assert Seal(["new"], "webhooks").open(anew) == "whsec_x"
