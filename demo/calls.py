"""Calls to the services as a person or a machine makes them: with its own certificate or token, patient
with restarts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hanse.http import Answer, HttpError, fetch

T = TypeVar("T")
PATIENCE_S = 60.0
_PAUSE_S = 0.3
_PASSING = frozenset({429, 502, 503, 504})


class Untrue(Exception):
    """Something that had to be true is not; the sentence says what was seen instead."""


class NotYet(Exception):
    """What is waited for has not come about; the sentence says what was answered, for the case that it never
    does.
    """


class Caller:
    """Somebody's calls to one address. `who` is named when something goes wrong."""

    def __init__(
        self, who: str, url: str, ca: Path, cert: tuple[Path, Path] | None = None, token: str = ""
    ) -> None:
        self.who = who
        self._url = url.rstrip("/")
        self._ca = ca
        self._cert = cert
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(
        self,
        method: str,
        path: str,
        json: object = None,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> Answer:
        """One request, whatever its answer, repeated while there is none because a process is being
        restarted.

        Raises Untrue after `patience_s`. A request may so arrive twice; the caller's steps are made to
        bear that.
        """
        deadline = time.monotonic() + patience_s
        while True:
            try:
                answer = fetch(
                    method,
                    self._url + path,
                    json=json,
                    body=body,
                    headers=self._headers | (headers or {}),
                    cert=self._cert,
                    ca=self._ca,
                    deadline_s=15,
                )
            except HttpError as error:
                trouble = str(error)
            else:
                if answer.status not in _PASSING:
                    return answer
                trouble = f"{self._url}{path} answered {answer.status}: {answer.text[:200]}"
            if time.monotonic() > deadline:
                raise Untrue(f"{self.who} got no answer: {trouble}")
            time.sleep(_PAUSE_S)

    def get(self, path: str) -> Any:
        """The JSON at `path`. Raises Untrue unless the answer is 200."""
        return self._json(self.ask("GET", path), "GET", path)

    def send(self, method: str, path: str, json: object = None) -> Any:
        """A change; the JSON of the answer. Raises Untrue unless the answer is 2xx."""
        return self._json(self.ask(method, path, json), method, path)

    def _json(self, answer: Answer, method: str, path: str) -> Any:
        if not answer.ok:
            raise Untrue(f"{self.who}: {method} {path} was answered {answer.status}: {answer.text[:300]}")
        return answer.json() if answer.body else None


def until(what: str, look: Callable[[], T | None], patience_s: float = PATIENCE_S) -> T:
    """The first value of `look` that counts as true; it is asked again and again, and may raise NotYet.

    Raises Untrue, naming `what` and the last reason given, after `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    reason = ""
    while True:
        try:
            found = look()
        except NotYet as error:
            found, reason = None, f" Last answer: {error}"
        if found:
            return found
        if time.monotonic() > deadline:
            raise Untrue(f"It did not come true within {patience_s:g} s: {what}.{reason}")
        time.sleep(_PAUSE_S)
