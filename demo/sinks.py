"""Where the demo's mails and alerts end: an SMTP server that writes mails to a folder, a webhook that keeps
what it got.

`python -m demo.sinks --smtp-port P --http-port Q --mail DIR --webhooks FILE`; listens on the loopback
only. A mail or an alert is on disk before it is answered for.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from demo.cloud.journal import Journal
from demo.cloud.outbox import write_durably

_MAX = 2 * 1024 * 1024
_IDLE_S = 60
CHANGES = "/changes"
"""Where the registry tells of changes: kept apart, so that the file of alerts holds alerts alone."""


class MailSink:
    """As much SMTP (RFC 5321) as a sender without login needs; every mail becomes a file `<time>-<n>.eml`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        folder.mkdir(parents=True, exist_ok=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            await self._talk(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            pass  # a sender that leaves in the middle sends its mail again
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipients: list[str] = []
        await _say(writer, "220 demo.hanse.example keeps every mail")
        while line := await asyncio.wait_for(reader.readline(), _IDLE_S):
            verb = line[:4].upper().strip()
            if verb == b"RCPT":
                recipients.append(line.partition(b":")[2].strip().decode("utf-8", "replace"))
            if verb == b"DATA":
                await _say(writer, "354 go on, end with a line of one dot")
                self._keep(recipients, await _content(reader))
                recipients = []
            if verb == b"QUIT":
                await _say(writer, "221 goodbye")
                return
            await _say(writer, "250-demo.hanse.example\r\n250 SMTPUTF8" if verb == b"EHLO" else "250 fine")

    def _keep(self, recipients: list[str], content: bytes) -> None:
        name = f"{time.time_ns():020d}-{next(self._numbers)}.eml"
        envelope = "".join(f"X-Envelope-To: {one}\r\n" for one in recipients).encode()
        write_durably(self._folder / name, envelope + content)


async def _say(writer: asyncio.StreamWriter, line: str) -> None:
    writer.write(line.encode() + b"\r\n")
    await writer.drain()


async def _content(reader: asyncio.StreamReader) -> bytes:
    lines: list[bytes] = []
    size = 0
    while True:
        line = await asyncio.wait_for(reader.readuntil(b"\n"), _IDLE_S)
        size += len(line)
        if line.rstrip(b"\r\n") == b"." or size > _MAX:
            return b"".join(lines)
        lines.append(line[1:] if line.startswith(b"..") else line)


class WebhookSink:
    """Takes any POST, and appends `{received_at, path, body}` to a file; what comes to CHANGES, to one beside it."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._journal.rewrite(self._journal.lines())
        self._changes = Journal(path.with_name(f"changes-{path.name}"))
        self._changes.rewrite(self._changes.lines())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection with one request."""
        try:
            status = await asyncio.wait_for(self._take(reader), _IDLE_S)
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a sender that got no answer sends its alert again
        finally:
            writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> str:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _version = head[0].split(" ")
        length = next(
            (line.partition(":")[2] for line in head if line.lower().startswith("content-length:")), "0"
        )
        if method != "POST":
            return "405 Method Not Allowed"
        if not length.strip().isdigit() or int(length) > _MAX:
            return "413 Content Too Large"
        body = await reader.readexactly(int(length))
        try:
            content = json.loads(body)
        except ValueError:
            return "400 Bad Request"
        kept = self._changes if path == CHANGES else self._journal
        kept.append({"received_at": datetime.now(UTC).isoformat(), "path": path, "body": content})
        return "204 No Content"


async def run(smtp_port: int, http_port: int, mail: Path, webhooks: Path) -> None:
    """Serve both until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for deadly in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(deadly, stop.set)
    smtp = await asyncio.start_server(MailSink(mail).serve, "127.0.0.1", smtp_port)
    http = await asyncio.start_server(WebhookSink(webhooks).serve, "127.0.0.1", http_port)
    await stop.wait()
    smtp.close()
    http.close()


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.sinks", description=__doc__)
    parser.add_argument("--smtp-port", type=int, required=True, help="port of the SMTP server")
    parser.add_argument("--http-port", type=int, required=True, help="port of the webhook")
    parser.add_argument("--mail", type=Path, required=True, help="folder of the mails")
    parser.add_argument("--webhooks", type=Path, required=True, help="file of the alerts, JSON lines")
    given = parser.parse_args()
    asyncio.run(run(given.smtp_port, given.http_port, given.mail, given.webhooks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
