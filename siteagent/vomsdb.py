"""The calls of a site to the VO membership service, over TLS with the site's host certificate."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple, Optional, Sequence
from urllib.parse import quote

import requests

from siteagent.documents import stamp
from siteagent.errors import AgentError, Unreachable
from siteagent.server import Offer

_MAX_BYTES = 256 * 1024 * 1024


class Answer(NamedTuple):
    """Status, ETag (empty if none) and decoded JSON of an answer."""

    status: int
    etag: str
    content: Any


class VomsdbClient:
    """Replication calls against one server. A call takes at most `deadline_s` seconds of wall-clock time."""

    def __init__(self, url: str, cert: str, key: str, ca: str, deadline_s: float = 30.0) -> None:
        self._url = url.rstrip("/")
        self._deadline_s = deadline_s
        self._session = requests.Session()
        # Proxies and .netrc of whoever runs the agent must not decide where a host certificate is shown.
        self._session.trust_env = False
        self._session.cert = (cert, key)
        self._session.verify = ca
        self._etag = ""

    def join(self, site: str, code: str, agent_version: str, agent_url: Optional[str]) -> Mapping[str, Any]:
        """Spend a one-time code; returns `{federation, site, keys, vos}`. Raises AgentError, Unreachable."""
        body = {"site": site, "code": code, "agent_version": agent_version, "agent_url": agent_url}
        return _object(self._call("POST", "/replication/join", body).content)

    def offer(self, site: str) -> Optional[Offer]:
        """The manifests of the site and the notice of keys, None if they are as they were."""
        answer = self._call("GET", f"/replication/sites/{quote(site, safe='')}/manifests", etag=self._etag)
        if answer.status == 304:
            return None
        try:
            offer = Offer.parse(answer.content)
        except ValueError as error:
            raise Unreachable(f"The membership service answered without manifests: {error}") from error
        self._etag = answer.etag
        return offer

    def forget_etag(self) -> None:
        """Ask for the whole list next time: what came last was not applied completely."""
        self._etag = ""

    def delta(self, vo: str, before: str, after: str) -> Optional[Mapping[str, Any]]:
        """The signed delta between two states, None where the server has none."""
        path = f"/replication/vos/{quote(vo, safe='')}/deltas/{before}/{after}"
        answer = self._call("GET", path, absent=True)
        return None if answer.status == 404 else _object(answer.content)

    def snapshot(self, vo: str, sha256: str, part: Path) -> Mapping[str, Any]:
        """The signed snapshot with this hash. After a broken connection the next call goes on where it broke."""
        path = f"/replication/vos/{quote(vo, safe='')}/snapshots/{sha256}"
        self._download(path, f'"{sha256}"', part)
        try:
            return _object(json.loads(part.read_bytes()))
        except ValueError as error:
            raise Unreachable(f"The snapshot of {vo} came damaged; it is fetched anew.") from error
        finally:
            part.unlink()

    def acknowledge(self, site: str, acks: Sequence[Mapping[str, Any]], sent_at: datetime) -> Sequence[str]:
        """Report what the site holds; a sentence for each report that the server did not want."""
        body = {"acks": list(acks), "sent_at": stamp(sent_at)}
        answer = self._call("POST", f"/replication/sites/{quote(site, safe='')}/acks", body)
        refused = _object(answer.content).get("refused", [])
        return [str(sentence) for sentence in refused] if isinstance(refused, list) else []

    def _download(self, path: str, etag: str, part: Path) -> None:
        """Adds to `part` what it lacks. Raises AgentError, Unreachable; what came until then stays in it."""
        start = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={start}-", "If-Range": etag} if start else {}
        with self._asked("GET", path, None, headers) as (response, ends):
            if response.status_code == 416:
                part.unlink()
                raise Unreachable("What came of the snapshot before does not fit; it is fetched anew.")
            if response.status_code not in (200, 206):
                _answer(response, _read(response, ends), f"GET {path}")
            whole = int(response.headers.get("Content-Length") or 0)
            with part.open("ab" if response.status_code == 206 else "wb") as file:
                came = 0
                for piece in _pieces(response, ends, start):
                    file.write(piece)
                    came += len(piece)
            if came < whole:
                raise Unreachable(
                    f"The snapshot broke off after {came} of {whole} bytes; the rest comes next time."
                )

    def _call(
        self, method: str, path: str, body: object = None, etag: str = "", absent: bool = False
    ) -> Answer:
        """`absent`: 404 is an answer and no error."""
        headers = {"If-None-Match": etag} if etag else {}
        with self._asked(method, path, body, headers) as (response, ends):
            content = _read(response, ends)
            if absent and response.status_code == 404:
                return Answer(404, "", None)
            return _answer(response, content, f"{method} {path}")

    @contextmanager
    def _asked(
        self, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> Iterator[tuple[requests.Response, float]]:
        """The answer with its body unread, and the moment at which the deadline is over."""
        ends = time.monotonic() + self._deadline_s
        try:
            with self._session.request(
                method,
                self._url + path,
                json=body,
                headers={"Accept": "application/json", **headers},
                timeout=(5, 10),
                allow_redirects=False,
                stream=True,
            ) as response:
                yield response, ends
        except (
            OSError
        ) as error:  # what requests raises is one, and so is a certificate file that is not there
            raise Unreachable(f"{self._url} cannot be reached: {_reason(error)}") from error


def _read(response: requests.Response, ends: float) -> bytes:
    return b"".join(_pieces(response, ends))


def _pieces(response: requests.Response, ends: float, size: int = 0) -> Iterator[bytes]:
    """The body, under a wall-clock deadline and a size cap: requests' own time-out is per read."""
    for piece in response.iter_content(65536):
        size += len(piece)
        if size > _MAX_BYTES:
            raise Unreachable(f"The answer is larger than {_MAX_BYTES} bytes.")
        yield piece
        if time.monotonic() > ends:
            raise Unreachable("The answer did not end in time.")


def _answer(response: requests.Response, content: bytes, call: str) -> Answer:
    status = response.status_code
    if status == 304:
        return Answer(status, response.headers.get("ETag", ""), None)
    try:
        document = json.loads(content) if content else None
    except ValueError:
        document = None
    if 200 <= status < 300:
        return Answer(status, response.headers.get("ETag", ""), document)
    detail = document.get("detail") if isinstance(document, dict) else None
    sentence = f"{call} was answered {status}" + (f": {detail}" if detail else ".")
    raise (AgentError if 400 <= status < 500 and status != 429 else Unreachable)(sentence)


def _object(content: object) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise Unreachable("The membership service answered with something that is not a JSON object.")
    return content


def _reason(error: OSError) -> str:
    reason: BaseException = error
    while reason.__cause__ is not None or (reason.args and isinstance(reason.args[0], BaseException)):
        reason = reason.__cause__ or reason.args[0]
    return str(getattr(reason, "reason", None) or reason)[:300]
