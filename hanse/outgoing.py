"""Beneath `hanse.http`: connections that ask before they connect, and the watchdog that ends them on time."""

from __future__ import annotations

import contextvars
import http.client
import http.cookiejar
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, DecodeError, NewConnectionError, ReadTimeoutError

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
AddressPolicy = Callable[[IpAddress], bool] | None
_LEAST_TRY_S: Final = 0.25
# One header a category: text/occi answers carry more than the 100 that Python stops at.
http.client._MAXHEADERS = 2_000  # type: ignore[attr-defined]


class HttpError(Exception):
    """A request that got no answer, or none that may be used. The message is a sentence.

    `passing` tells whether the same request may succeed later; `late` whether the deadline was the reason.
    """

    def __init__(self, sentence: str, *, passing: bool = False, late: bool = False) -> None:
        super().__init__(sentence)
        self.passing = passing
        self.late = late


class _Forbidden(OSError):
    """The address policy said no."""


class _NoName(OSError):
    """The host name could not be looked up."""


class NoCookies(http.cookiejar.DefaultCookiePolicy):
    """Machines that talk to machines keep no cookies."""

    def set_ok(self, cookie: http.cookiejar.Cookie, request: object) -> bool:
        """Never store one."""
        return False

    def return_ok(self, cookie: http.cookiejar.Cookie, request: object) -> bool:
        """Never send one."""
        return False


def public_address(address: IpAddress) -> bool:
    """Address policy for addresses that strangers gave us: nothing but the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return public_address(inner)
    return address.is_global and not address.is_multicast


class Watchdog:
    """Ends every connection it guards when the time is up. A context manager around a whole request."""

    def __init__(self, deadline_s: float) -> None:
        self._ends = time.monotonic() + deadline_s
        self._lock = threading.Lock()
        self._guarded: list[socket.socket] = []
        self.fired = False
        self.policy: AddressPolicy = None
        self._timer = threading.Timer(max(deadline_s, 0), self._fire)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._timer.cancel()
        self._release()

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._ends - time.monotonic())

    @contextmanager
    def guarding(self, policy: AddressPolicy) -> Iterator[None]:
        """Connections that this thread makes or reuses in the block are guarded and asked about."""
        self.policy = policy
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            self._release()

    def guard(self, sock: socket.socket) -> None:
        """Take a second handle on the connection: it can be shut down even after TLS has wrapped it."""
        handle = socket.socket(fileno=socket.dup(sock.fileno()))
        with self._lock:
            self._guarded.append(handle)
            if self.fired:
                _shut(handle)

    def _fire(self) -> None:
        with self._lock:
            self.fired = True
            for handle in self._guarded:
                _shut(handle)

    def _release(self) -> None:
        with self._lock:
            for handle in self._guarded:
                handle.close()
            self._guarded.clear()


_current: contextvars.ContextVar[Watchdog | None] = contextvars.ContextVar("watchdog", default=None)


def _shut(handle: socket.socket) -> None:
    try:
        handle.shutdown(socket.SHUT_RDWR)
    except OSError:  # the other side was quicker
        return


# --- connections ------------------------------------------------------------------------------------------


def _connect(host: str, port: int, options: Any) -> socket.socket:
    """A connected socket to the first address that answers and that the policy lets pass."""
    watchdog = _current.get()
    assert watchdog is not None, "connections are made through hanse.http only"
    addresses = _look_up(host, port, watchdog.remaining())
    allowed = [a for a in addresses if watchdog.policy is None or watchdog.policy(_ip(a))]
    if not allowed:
        raise _Forbidden(f"{host} is at {_ip(addresses[0])}, where requests from here may not go")
    failure: OSError | None = None
    for left, address in zip(range(len(allowed), 0, -1), allowed, strict=True):
        share = max(
            watchdog.remaining() / left, _LEAST_TRY_S
        )  # an address that swallows packets leaves some time
        try:
            return _connect_to(address, share, options, watchdog)
        except OSError as error:
            failure = error
    assert failure is not None
    raise failure


_AddressInfo = tuple[int, int, int, tuple[Any, ...]]


def _connect_to(address: _AddressInfo, timeout: float, options: Any, watchdog: Watchdog) -> socket.socket:
    family, kind, protocol, target = address
    sock = socket.socket(family, kind, protocol)
    try:
        for option in options or ():
            sock.setsockopt(*option)
        sock.settimeout(timeout)
        sock.connect(target)
        watchdog.guard(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _ip(address: _AddressInfo) -> IpAddress:
    return ipaddress.ip_address(str(address[3][0]).partition("%")[0])


def _look_up(host: str, port: int, timeout: float) -> list[_AddressInfo]:
    """Addresses of a host. The system's resolver knows no deadline: its thread may be left behind."""
    answers: queue.SimpleQueue[list[_AddressInfo] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
            answers.put([(f, k, p, target) for f, k, p, _, target in found])
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))

    threading.Thread(target=ask, name="look-up", daemon=True).start()
    try:
        answer = answers.get(timeout=max(timeout, 0.001))
    except queue.Empty:
        raise TimeoutError(f"looking up {host} took too long") from None
    if isinstance(answer, OSError):
        raise _NoName(f"the name {host} cannot be looked up: {answer.strerror or answer}")
    return answer


class _Guarded:
    """Mixed into urllib3's connections: made through `_connect`, and guarded again when reused."""

    host: str
    port: int
    sock: Any
    socket_options: Any

    def _new_conn(self) -> socket.socket:
        return _connect(self.host, self.port or 80, self.socket_options)

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        watchdog = _current.get()
        if watchdog is not None and self.sock is not None:
            watchdog.guard(self.sock)
        super().putrequest(*args, **kwargs)  # type: ignore[misc]


class _GuardedHttp(_Guarded, HTTPConnection):
    pass


class _GuardedHttps(_Guarded, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _GuardedHttp


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedHttps


class GuardedAdapter(HTTPAdapter):
    """The adapter of requests whose connections are guarded."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        """As in requests, with our classes of pools."""
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


# --- sentences --------------------------------------------------------------------------------------------


def late(shown: str, deadline_s: float) -> HttpError:
    """The deadline passed."""
    return HttpError(f"{shown} did not finish its answer within {deadline_s:g} s.", passing=True, late=True)


def explained(error: Exception, shown: str, watchdog: Watchdog, deadline_s: float) -> HttpError:
    """The sentence for whatever went wrong beneath."""
    if watchdog.fired or watchdog.remaining() == 0:
        return late(shown, deadline_s)
    for cause in _causes(error):
        found = _explained_cause(cause, shown)
        if found is not None:
            return found
    return HttpError(f"{shown} cannot be reached: {error}.", passing=isinstance(error, OSError))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what lies beneath it, innermost last: causes, reasons, arguments."""
    seen: list[BaseException] = [error]
    for current in seen:
        yield current
        for inner in (
            getattr(current, "reason", None),
            current.__cause__,
            current.__context__,
            *current.args,
        ):
            if isinstance(inner, BaseException) and inner not in seen:
                seen.append(inner)


def _explained_cause(cause: BaseException, shown: str) -> HttpError | None:
    match cause:
        case _Forbidden():
            return HttpError(f"{shown} was not asked: {cause}.")
        case _NoName():
            return HttpError(f"{shown} cannot be reached: {cause}.", passing=True)
        case ssl.SSLCertVerificationError():
            return HttpError(f"{shown} shows a certificate that is not accepted: {cause.verify_message}.")
        case ssl.SSLError():
            return HttpError(f"{shown} does not agree on TLS: {cause.reason or cause}.", passing=False)
        case ConnectionRefusedError():
            return HttpError(f"{shown} refuses connections: nothing listens there.", passing=True)
        case ConnectionResetError() | BrokenPipeError() | requests.exceptions.ChunkedEncodingError():
            return HttpError(f"{shown} closed the connection in the middle.", passing=True)
        case http.client.IncompleteRead():
            return HttpError(f"{shown} closed the connection in the middle.", passing=True)
        case http.client.HTTPException():
            return HttpError(f"{shown} does not answer in HTTP: {cause or type(cause).__name__}.")
        case DecodeError():
            return HttpError(f"{shown} answers with a body whose compression is broken.")
        case TimeoutError() | ConnectTimeoutError() | ReadTimeoutError():
            return HttpError(f"{shown} did not answer in time.", passing=True, late=True)
        case requests.exceptions.InvalidURL() | requests.exceptions.InvalidHeader():
            return HttpError(f"{shown} cannot be asked: {cause}.")
        case NewConnectionError() if not cause.__cause__:
            return HttpError(f"{shown} cannot be reached.", passing=True)
        case _:
            return None
