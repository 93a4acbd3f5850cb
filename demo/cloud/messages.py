"""A request to a simulated cloud as it came, and what is answered; no sockets here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """One request as it came; `chain` is what the client showed in the TLS handshake, leaf first."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""
    chain: Sequence[x509.Certificate] = ()

    def header(self, name: str) -> str:
        """The first header of this name, empty if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


@dataclass(frozen=True)
class Response:
    """Status, headers without Content-Length, and body."""

    status: int
    headers: Headers = ()
    body: bytes = b""


class Problem(Exception):
    """An answer that is not what the client hoped for: status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def text(status: int, sentence: str) -> Response:
    """An answer in words."""
    return Response(status, (("Content-Type", "text/plain; charset=utf-8"),), sentence.encode() + b"\n")


def done() -> Response:
    """Done, with nothing to say."""
    return Response(204, (("Content-Type", "text/plain"),))
