"""The record of one check while it runs: phases with times, and the raw exchange with secrets taken out."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from monitoring.findings import Phase, RawAnswer

KEPT_BODY = 32_768
_SECRET_HEADERS = frozenset(
    {"authorization", "x-auth-token", "x-subject-token", "x-api-key", "cookie", "set-cookie"}
)


class Trace:
    """Phases in the order they ran. `current` names the one under way: what a time-out is blamed on."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.phases: list[Phase] = []
        self.current = "start"
        self.answer: RawAnswer | None = None

    def elapsed_s(self) -> float:
        """Seconds since the check began."""
        return time.perf_counter() - self._start

    @contextmanager
    def phase(self, name: str) -> Iterator["Step"]:
        """Time a step; the block may set `.seen`. A step that fails is recorded too."""
        before, self.current = self.current, name
        began, step = self.elapsed_s(), Step()
        try:
            yield step
        except BaseException as fault:
            step.seen = step.seen or f"not done: {fault or type(fault).__name__}"
            self.phases.append(Phase(name, began, self.elapsed_s() - began, step.seen))
            raise
        self.phases.append(Phase(name, began, self.elapsed_s() - began, step.seen))
        self.current = before

    def exchanged(self, request: str, head: str, body: bytes) -> None:
        """Keep the last exchange, as people may see it."""
        shown = body[:KEPT_BODY].decode("utf-8", "replace")
        self.answer = RawAnswer(request, head, shown, len(body))


class Step:
    """What a phase saw, in a few words."""

    def __init__(self) -> None:
        self.seen = ""


def shown_headers(headers: Sequence[tuple[str, str]]) -> str:
    """Header lines for people; the value of one that carries a secret is replaced by its length."""
    return "\n".join(f"{name}: {_shown(name, value)}" for name, value in headers)


def _shown(name: str, value: str) -> str:
    if name.lower() in _SECRET_HEADERS:
        return f"hidden ({len(value)} characters)"
    return value
