"""The outbox of a cloud: signed messages wait as files until the accounting server has acknowledged them with
200.

    outbox/<time>-<empaid>.msg    messages not acknowledged yet, oldest first
    sent.jsonl                    the sender's own count: one line an acknowledged message

A message keeps its `empaid` over every attempt, so that a server which answered just before we were killed
can tell that it has it already. As with ssmsend: 200 with a message id is success, everything else is
tried again later.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from demo.cloud.journal import Journal
from hanse.http import HttpError, fetch

log = logging.getLogger("demo.cloud")
TOPIC = "eu-egi-cloud-accounting"
STORAGE_TOPIC = "eu-egi-storage-accounting"
_BACK_OFF_S = (0.5, 1, 2, 4, 8)


class Outbox:
    """A durable queue of messages in a folder. One process writes, one thread sends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "outbox"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sent = Journal(folder / "sent.jsonl")

    def put(self, message: bytes, records: int, topic: str = TOPIC) -> str:
        """Store a signed message for a topic; it is durable when this returns. Returns its empaid."""
        nanoseconds = time.time_ns()
        empaid = f"{nanoseconds // 10**9:08x}/{nanoseconds // 1000 & 0xFFFFFFFF:08x}{secrets.token_hex(3)}"
        content = json.dumps(
            {
                "empaid": empaid,
                "records": records,
                "topic": topic,
                "data": base64.b64encode(message).decode(),
                "sha256": hashlib.sha256(message).hexdigest(),
            }
        )
        write_durably(self._folder / f"{nanoseconds:020d}-{empaid.replace('/', '-')}.msg", content.encode())
        return empaid

    def waiting(self) -> list[Path]:
        """Messages to send, oldest first."""
        return sorted(self._folder.glob("*.msg"))

    def acknowledged(self, path: Path, message_id: str) -> None:
        """Count the message as received, then drop it; killed in between, it is sent and counted once
        more.
        """
        message = json.loads(path.read_text())
        self._sent.append(
            {name: message[name] for name in ("empaid", "records", "sha256")} | {"message_id": message_id}
        )
        path.unlink()


class Sender:
    """Publishes what waits in the outbox."""

    def __init__(self, outbox: Outbox, url: str, token: Path, ca: Path, site: str) -> None:
        self._outbox = outbox
        self._topics = f"{url.rstrip('/')}/v1/projects/accounting/topics"
        self._token = token
        self._ca = ca
        self._site = site

    def run(self, stop: threading.Event, wake: threading.Event) -> None:
        """Send whatever waits, whenever `wake` is set, until `stop`."""
        failures = 0
        while not stop.is_set():
            failures = 0 if self.send_all(stop) else min(failures + 1, len(_BACK_OFF_S) - 1)
            wake.wait(_BACK_OFF_S[failures] if failures else 1.0)
            wake.clear()

    def send_all(self, stop: threading.Event) -> bool:
        """Send what waits; False as soon as one message was not acknowledged."""
        for path in self._outbox.waiting():
            if stop.is_set():
                return True
            try:
                self._outbox.acknowledged(path, self._publish(path))
            except (HttpError, FileNotFoundError) as error:  # the token comes when the site is set up
                log.warning("usage of %s is not acknowledged yet: %s", self._site, error)
                return False
        return True

    def _publish(self, path: Path) -> str:
        """The id that the server gave the message. Raises HttpError for anything but a 200 with an id."""
        message = json.loads(path.read_text())
        body = {"messages": [{"attributes": {"empaid": message["empaid"]}, "data": message["data"]}]}
        answer = fetch(
            "POST",
            f"{self._topics}/{message.get('topic', TOPIC)}:publish",  # older ones have none
            headers={"x-api-key": self._token.read_text().strip()},
            json=body,
            ca=self._ca,
            deadline_s=10,
        )
        if answer.status != 200:
            raise HttpError(f"publishing was answered {answer.status}: {answer.body[:200]!r}")
        ids: Sequence[str] = answer.json().get("messageIds") or ()
        if not ids:
            raise HttpError("publishing was answered 200 without a message id")
        return ids[0]


def write_durably(path: Path, content: bytes) -> None:
    """Write a file that is whole and on disk when this returns."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
