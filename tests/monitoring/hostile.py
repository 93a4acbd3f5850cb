"""Local servers that misbehave in a chosen way: `with serving(answer) as port:`."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Queue
from threading import Thread
from typing import Any

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server on loopback whose every connection is `talk`; its port."""
    place: Queue[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Queue()
    thread = Thread(target=lambda: asyncio.run(_serve(talk, tls, place)))
    thread.start()
    port, loop, over = place.get(timeout=10)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


async def _serve(talk: Talk, tls: ssl.SSLContext | None, place: "Queue[Any]") -> None:
    talks: set[asyncio.Task[Any]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        with suppress(OSError, EOFError, asyncio.CancelledError):
            await talk(reader, writer)
            writer.close()
            await writer.wait_closed()
        writer.transport.abort()
        talks.discard(task)

    over = asyncio.Event()
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    place.put((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), over))
    await over.wait()
    server.close()
    for task in list(talks):
        task.cancel()
    await asyncio.gather(*talks, return_exceptions=True)
    await asyncio.sleep(0.01)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """The head of a request."""
    return await reader.readuntil(b"\r\n\r\n")


def saying(answer: bytes, requests: list[bytes] | None = None) -> Talk:
    """Answers every request with these bytes and closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        if requests is not None:
            requests.append(request)
        writer.write(answer)
        await writer.drain()

    return talk


def http(status: str = "200 OK", body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """An HTTP answer."""
    lines = [
        f"HTTP/1.1 {status}",
        *headers,
        f"Content-Length: {len(body) if length is None else length}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + body


def slowly(answer: bytes, pause_s: float) -> Talk:
    """One byte, a pause, the next."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for byte in answer:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(pause_s)

    return talk


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the request and never answers."""
    await asyncio.sleep(3600)


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Closes before an answer."""
    await read_request(reader)


async def hang_up_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Closes without reading."""


def flood(head: bytes, block: bytes) -> Talk:
    """A head, then the block for ever."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head)
        while True:
            writer.write(block)
            await writer.drain()

    return talk
