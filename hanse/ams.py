"""The ARGO Messaging Service (AMS) on the wire: messages in their envelope, and a client that publishes and pulls.

What a server of ours answers is `hanse.web.ams`. Numbers in requests are strings, as argo-messaging wants them.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hanse.errors import HanseError, Refused
from hanse.http import Answer, Client, HttpError

INVALID: Final = "Invalid Message Arguments"
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class AmsMessage:
    """A message out of its envelope. `encoded` is false when its data was not base64; then `content` is that text."""

    content: bytes
    empaid: str = ""
    encoded: bool = True


def messages_of(body: bytes, at_most: int) -> list[AmsMessage]:
    """The messages of a publish request; its content type is not looked at, since ssmsend sends none.

    Raises Refused in AMS's words when it is no publish request, or one of more than `at_most` messages.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(INVALID) from None
    messages = content.get("messages") if isinstance(content, dict) else None
    if not isinstance(messages, list) or not 0 < len(messages) <= at_most:
        raise Refused(INVALID)
    return [message_of(message) for message in messages]


def message_of(message: object) -> AmsMessage:
    """One message of a request or of a pull. Raises Refused when it has not the form of one."""
    if not isinstance(message, dict):
        raise Refused(INVALID)
    data, attributes = message.get("data", ""), message.get("attributes") or {}
    if not isinstance(data, str) or not isinstance(attributes, dict):
        raise Refused(INVALID)
    empaid = attributes.get("empaid", "")
    empaid = empaid if isinstance(empaid, str) else json.dumps(empaid)
    try:
        return AmsMessage(base64.b64decode("".join(data.split()), validate=True), empaid)
    except (binascii.Error, ValueError):
        return AmsMessage(data.encode("utf-8", "replace"), empaid, encoded=False)


# --- client -----------------------------------------------------------------------------------------------


class AmsFault(HanseError):
    """AMS did not do what was asked; `code` is its status (0 = no answer), `passing` whether it may later."""

    def __init__(self, detail: str, code: int = 0, *, passing: bool = False) -> None:
        super().__init__(detail)
        self.code = code
        self.passing = passing


@dataclass(frozen=True)
class Pulled:
    """A message that waits for its acknowledgement. `number` is AMS's own id of it."""

    ack_id: str
    number: str
    message: AmsMessage


@dataclass
class Ams:
    """A project at an AMS, for the owner of `token`. Every call raises AmsFault with a sentence."""

    url: str
    project: str
    token: str = field(repr=False)
    ca: Path | None = None
    deadline_s: float = 10
    max_bytes: int = 64_000_000

    def __post_init__(self) -> None:
        self._client = Client(
            self.url, headers={"x-api-key": self.token}, ca=self.ca, deadline_s=self.deadline_s,
            max_bytes=self.max_bytes,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._client.close()

    def publish(self, topic: str, messages: Sequence[AmsMessage]) -> list[str]:
        """Publish; the ids that AMS gave the messages, in order."""
        sent = [
            {"attributes": {"empaid": each.empaid}, "data": base64.b64encode(each.content).decode()}
            for each in messages
        ]
        numbers = self._post(f"topics/{topic}:publish", {"messages": sent}).get("messageIds")
        if not isinstance(numbers, list) or len(numbers) != len(sent):
            raise AmsFault(
                f"{self.url} took {len(sent)} messages and did not give each an id; they are sent again later.",
                200,
                passing=True,
            )
        return [str(number) for number in numbers]

    def pull(self, subscription: str, at_most: int) -> list[Pulled]:
        """Up to `at_most` messages that nobody acknowledged yet; does not wait for one."""
        asked = {"maxMessages": str(at_most), "returnImmediately": "true"}
        received = self._post(f"subscriptions/{subscription}:pull", asked).get("receivedMessages")
        if not isinstance(received, list):
            raise AmsFault(f"{self.url} answered a pull without receivedMessages; is it an AMS?", 200)
        return [self._pulled(each) for each in received]

    def _pulled(self, received: object) -> Pulled:
        try:
            assert isinstance(received, dict)
            inside = received["message"]
            return Pulled(str(received["ackId"]), str(inside.get("messageId", "")), message_of(inside))
        except (AssertionError, KeyError, AttributeError, Refused):
            raise AmsFault(
                f"{self.url} answered a pull with something that is no message of AMS.", 200
            ) from None

    def acknowledge(self, subscription: str, ack_ids: Sequence[str]) -> bool:
        """Tell AMS that the messages are safe here; False when that came too late, and they will be sent again."""
        try:
            self._post(f"subscriptions/{subscription}:acknowledge", {"ackIds": list(ack_ids)})
        except AmsFault as fault:
            if fault.code == 408:
                return False
            raise
        return True

    def _post(self, call: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        path = f"v1/projects/{self.project}/{call}"
        try:
            answer = self._client.post(path, json=body)
            content = answer.json() if answer.status == 200 else None
        except HttpError as error:
            raise AmsFault(str(error), passing=True) from error
        if answer.status != 200:
            raise AmsFault(
                f"{self.url} answered {answer.status} to {call}: {_told(answer)}",
                answer.status,
                passing=answer.status in _PASSING,
            )
        return content if isinstance(content, dict) else {}


def _told(answer: Answer) -> str:
    """The message inside the envelope of an error, or the beginning of whatever came instead."""
    try:
        envelope = json.loads(answer.body)
        return str(envelope["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return answer.text.strip()[:300] or "(nothing)"
