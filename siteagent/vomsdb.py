"""The calls of a site to the VO membership service, over TLS with the site's host certificate."""

from __future__ import annotations

import json
import time
from typing import Any, Mapping, NamedTuple, Optional
from urllib.parse import quote

import requests

from siteagent.errors import AgentError, Unreachable

_MAX_BYTES = 64 * 1024 * 1024


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

    def manifests(self, site: str) -> Optional[list[object]]:
        """The manifests of the site, None if they are as they were. Raises AgentError, Unreachable."""
        answer = self._call("GET", f"/replication/sites/{quote(site, safe='')}/manifests", etag=self._etag)
        if answer.status == 304:
            return None
        manifests = _object(answer.content).get("manifests")
        if not isinstance(manifests, list):
            raise Unreachable("The membership service answered without a list of manifests.")
        self._etag = answer.etag
        return manifests

    def forget_etag(self) -> None:
        """Ask for the whole list next time: what came last was not applied completely."""
        self._etag = ""

    def snapshot(self, vo: str, sha256: str) -> Mapping[str, Any]:
        """The signed snapshot with this hash. Raises AgentError, Unreachable."""
        return _object(self._call("GET", f"/replication/vos/{quote(vo, safe='')}/snapshots/{sha256}").content)

    def acknowledge(self, site: str, ack: Mapping[str, Any]) -> None:
        """Report what the site holds. Raises AgentError, Unreachable."""
        self._call("POST", f"/replication/sites/{quote(site, safe='')}/acks", ack)

    def _call(self, method: str, path: str, body: object = None, etag: str = "") -> Answer:
        headers = {"Accept": "application/json"}
        if etag:
            headers["If-None-Match"] = etag
        ends = time.monotonic() + self._deadline_s
        try:
            with self._session.request(
                method,
                self._url + path,
                json=body,
                headers=headers,
                timeout=(5, 10),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = _read(response, ends)
                return _answer(response, content, f"{method} {path}")
        except (
            OSError
        ) as error:  # what requests raises is one, and so is a certificate file that is not there
            raise Unreachable(f"{self._url} cannot be reached: {_reason(error)}") from error


def _read(response: requests.Response, ends: float) -> bytes:
    """The body, under a wall-clock deadline and a size cap: requests' own time-out is per read."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(65536):
        parts.append(part)
        size += len(part)
        if size > _MAX_BYTES:
            raise Unreachable(f"The answer is larger than {_MAX_BYTES} bytes.")
        if time.monotonic() > ends:
            raise Unreachable("The answer did not end in time.")
    return b"".join(parts)


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
