"""Messages of AMS taken out of their envelope: whatever comes, it is messages or a refusal in AMS's words."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from hanse.ams import AmsMessage, message_of, messages_of
from hanse.errors import Refused

JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(),
    lambda inside: (
        some.lists(inside, max_size=3)
        | some.dictionaries(
            some.sampled_from(["messages", "data", "attributes", "empaid", "x"]), inside, max_size=3
        )
    ),
    max_leaves=12,
)


@settings(max_examples=80)
@given(JSON)
def test_any_json_is_messages_or_refused_in_amss_words(content: object) -> None:
    body = json.dumps(content).encode("utf-8", "surrogatepass")
    try:
        said = messages_of(body, 10)
    except Refused as refusal:
        said = [AmsMessage(refusal.detail.encode())]
    assert said == [AmsMessage(b"Invalid Message Arguments")] or "messages" in str(content)
    assert 0 < len(said) <= 10


@settings(max_examples=60)
@given(some.binary(max_size=300))
def test_any_bytes_are_messages_or_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        messages_of(body, 10)


@settings(max_examples=60)
@given(some.binary(max_size=300), some.text(max_size=40), some.booleans())
def test_a_message_comes_out_as_it_went_in(content: bytes, empaid: str, lined: bool) -> None:
    coded = (base64.encodebytes(content) if lined else base64.b64encode(content)).decode()
    assert message_of({"data": coded, "attributes": {"empaid": empaid}}) == AmsMessage(content, empaid)


def test_at_most_so_many_messages_are_taken_at_once() -> None:
    body = json.dumps({"messages": [{"data": ""}] * 3}).encode()
    assert len(messages_of(body, 3)) == 3
    with pytest.raises(Refused):
        messages_of(body, 2)


def test_what_is_not_base64_is_kept_and_said_so() -> None:
    assert message_of({"data": "no base64!"}) == AmsMessage(b"no base64!", encoded=False)
