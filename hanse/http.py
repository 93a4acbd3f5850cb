"""The one way out: HTTP requests under a wall-clock deadline, a size cap and a policy of where they may go.

A read timeout is no deadline: a server that sends one byte a second would hold a worker for hours. Here a
watchdog shuts the connection down when the time is up, whatever phase it is in.
"""

from __future__ import annotations

import json as jsonlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError as Urllib3Error

from hanse import outgoing
from hanse.outgoing import HttpError, IpAddress, Watchdog, public_address

__all__ = ["Answer", "Client", "HttpError", "IpAddress", "Policy", "fetch", "public_address"]

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CREDENTIALS: Final = frozenset({"authorization", "cookie", "x-api-key"})
_CHUNK: Final = 64 * 1024


@dataclass(frozen=True)
class Policy:
    """Where a request may go and how often it is tried.

    `redirects`: how many are followed (GET and HEAD only; with 0 the redirect is the answer). A request that
    carries credentials never leaves its origin. `address`: asked about every IP address before a connection
    to it, after the name was looked up, so that it cannot point elsewhere later. `retry_any`: repeat methods
    that are not idempotent, too.
    """

    redirects: int = 0
    address: Callable[[IpAddress], bool] | None = None
    retry_any: bool = False
    backoff_s: float = 0.2


@dataclass(frozen=True)
class Answer:
    """What a server answered. `body` is decoded (gzip and the like); header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_s: float
    url: str = ""

    @property
    def ok(self) -> bool:
        """True for 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as UTF-8; bytes that are none show as replacement characters."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body parsed as JSON. Raises HttpError when it is none."""
        try:
            return jsonlib.loads(self.body)
        except ValueError as error:
            raise HttpError(
                f"{_shown(self.url)} answered {self.status} with a body that is not JSON."
            ) from error


@dataclass(frozen=True)
class _Request:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    cert: tuple[Path, Path] | None
    ca: Path | None
    deadline_s: float
    max_bytes: int
    policy: Policy

    @property
    def has_credentials(self) -> bool:
        parts = urlsplit(self.url)
        named = any(name.lower() in _CREDENTIALS for name in self.headers)
        return named or self.cert is not None or parts.username is not None


def fetch(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    json: object = None,
    cert: tuple[Path, Path] | None = None,
    ca: Path | None = None,
    deadline_s: float = 10,
    max_bytes: int = 10_000_000,
    retries: int = 0,
    policy: Policy | None = None,
) -> Answer:
    """Send one request and return the answer, whatever its status.

    `deadline_s` is the wall clock for everything: looking up the name, all tries, redirects, the last byte.
    `max_bytes` caps the decoded body. `json` is sent as JSON. `cert` is (certificate file, key file), `ca`
    the file or hashed folder of CAs that the server's certificate must come from.
    """
    with _session() as session:
        request = _request(method, url, headers, body, json, cert, ca, deadline_s, max_bytes, policy)
        return _send_with_retries(session, request, retries)


@dataclass
class Client:
    """Many requests to one place: keeps connections, token and certificate. Close it, or use it with `with`.

    `token` is sent as `Authorization: Bearer`. Paths are joined to `url`; they cannot lead to another origin.
    """

    url: str
    token: str = field(default="", repr=False)
    cert: tuple[Path, Path] | None = None
    ca: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    deadline_s: float = 10
    max_bytes: int = 10_000_000
    retries: int = 0
    policy: Policy = field(default_factory=Policy)

    def __post_init__(self) -> None:
        self._session = _session()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that were kept."""
        self._session.close()

    def fetch(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        json: object = None,
        deadline_s: float | None = None,
    ) -> Answer:
        """As the function `fetch`, below the client's address. Raises HttpError."""
        url = path if "://" in path else f"{self.url.rstrip('/')}/{path.lstrip('/')}"
        if _origin(url) != _origin(self.url):
            raise HttpError(f"{_shown(url)} is not below {_shown(self.url)}: the token stays at home.")
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        merged = {**self.headers, **own, **(headers or {})}
        deadline = self.deadline_s if deadline_s is None else deadline_s
        request = _request(
            method, url, merged, body, json, self.cert, self.ca, deadline, self.max_bytes, self.policy
        )
        return _send_with_retries(self._session, request, self.retries)

    def get(self, path: str) -> Answer:
        """GET below the client's address."""
        return self.fetch("GET", path)

    def post(self, path: str, json: object = None, *, body: bytes | None = None) -> Answer:
        """POST below the client's address."""
        return self.fetch("POST", path, json=json, body=body)


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = (
        False  # no proxy, no .netrc, no CA bundle from the environment: what is sent is what is said
    )
    session.cookies.set_policy(outgoing.NoCookies())
    for scheme in ("http://", "https://"):
        session.mount(scheme, outgoing.GuardedAdapter())
    return session


def _request(
    method: str,
    url: str,
    headers: Mapping[str, str] | None,
    body: bytes | None,
    json: object,
    cert: tuple[Path, Path] | None,
    ca: Path | None,
    deadline_s: float,
    max_bytes: int,
    policy: Policy | None,
) -> _Request:
    if body is not None and json is not None:
        raise ValueError("Give a body or json, not both.")
    sent = {"User-Agent": "hanse", **(headers or {})}
    if json is not None:
        body = jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
        if not any(name.lower() == "content-type" for name in sent):
            sent["Content-Type"] = "application/json"
    return _Request(method.upper(), url, sent, body, cert, ca, deadline_s, max_bytes, policy or Policy())


# --- tries ------------------------------------------------------------------------------------------------


def _send_with_retries(session: requests.Session, request: _Request, retries: int) -> Answer:
    """Repeat what may succeed later, within the one deadline, waiting twice as long each time."""
    begun = time.monotonic()
    repeatable = request.method in _IDEMPOTENT or request.policy.retry_any
    tries_left = retries if repeatable else 0
    with Watchdog(request.deadline_s) as watchdog:
        attempt = 0
        while True:
            failure: HttpError | None = None
            answer: Answer | None = None
            try:
                answer = _follow(session, request, watchdog, begun)
            except HttpError as error:
                failure = error
            again = failure.passing if failure else answer is not None and answer.status in _TRY_AGAIN
            pause = _pause(request.policy.backoff_s, attempt, answer)
            if not again or attempt >= tries_left or watchdog.remaining() <= pause:
                break
            time.sleep(pause)
            attempt += 1
    if failure is not None:
        raise failure
    assert answer is not None
    return answer


def _pause(backoff_s: float, attempt: int, answer: Answer | None) -> float:
    jittered: float = backoff_s * 2**attempt * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, no secret
    asked = _retry_after(answer.headers.get("Retry-After", "")) if answer else 0.0
    return max(jittered, asked)


def _retry_after(value: str) -> float:
    """Seconds that a server asks for, given as seconds or as a date (RFC 9110, 10.2.3); 0 otherwise."""
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def _follow(session: requests.Session, request: _Request, watchdog: Watchdog, begun: float) -> Answer:
    """Send, and follow redirects as far as the policy allows."""
    url = request.url
    for _ in range(request.policy.redirects + 1):
        answer = _send(session, request, url, watchdog, begun)
        location = answer.headers.get("Location")
        if answer.status not in _REDIRECTS or location is None or request.method not in ("GET", "HEAD"):
            return answer
        if request.policy.redirects == 0:
            return answer
        url = _next(request, url, location)
    raise HttpError(f"{_shown(request.url)} redirects more than {request.policy.redirects} times.")


def _next(request: _Request, url: str, location: str) -> str:
    target = urljoin(url, location)
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
        raise HttpError(f"{_shown(url)} redirects from https to {_shown(target)}, which is not followed.")
    if request.has_credentials and _origin(target) != _origin(request.url):
        raise HttpError(
            f"{_shown(url)} redirects to {_shown(target)}, and credentials do not go to another server."
        )
    return target


def _send(session: requests.Session, request: _Request, url: str, watchdog: Watchdog, begun: float) -> Answer:
    shown = _shown(url)
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise HttpError(f"{shown} is not an http or https address.")
    try:
        with watchdog.guarding(request.policy.address):
            prepared = session.prepare_request(
                requests.Request(request.method, url, headers=request.headers, data=request.body)
            )
            with session.send(
                prepared, stream=True, allow_redirects=False, **_options(request, watchdog)
            ) as got:
                body = _read(got, request.max_bytes, shown)
                headers = CaseInsensitiveDict({k: str(v) for k, v in got.headers.items()})
                status = got.status_code
    except (requests.RequestException, Urllib3Error, OSError, ValueError) as error:
        raise outgoing.explained(error, shown, watchdog, request.deadline_s) from error
    if watchdog.fired:  # the end of a body without a length looks the same when the watchdog cut it off
        raise outgoing.late(shown, request.deadline_s)
    return Answer(status, headers, body, time.monotonic() - begun, url)


def _options(request: _Request, watchdog: Watchdog) -> dict[str, Any]:
    """Arguments of requests. The timeout is only the floor under the watchdog."""
    return {
        "timeout": max(watchdog.remaining(), 0.001),
        "verify": str(request.ca) if request.ca else True,
        "cert": (str(request.cert[0]), str(request.cert[1])) if request.cert else None,
    }


def _read(response: requests.Response, max_bytes: int, shown: str) -> bytes:
    announced = response.headers.get("Content-Length", "")
    has_body = response.request.method != "HEAD"
    if has_body and announced.isdigit() and int(announced) > max_bytes:
        raise HttpError(f"{shown} answers with {announced} bytes; {max_bytes} is the most that is read.")
    body = bytearray()
    while chunk := response.raw.read1(_CHUNK, decode_content=True):  # what is there, not a full chunk
        body += chunk
        if len(body) > max_bytes:
            raise HttpError(f"{shown} answers with more than {max_bytes} bytes, the most that is read.")
    return bytes(body)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return (
        parts.scheme,
        (parts.hostname or "").lower(),
        parts.port or (443 if parts.scheme == "https" else 80),
    )


def _shown(url: str) -> str:
    """The address for a message: without name, password and query, which may hold secrets."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
