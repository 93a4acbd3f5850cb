"""A small membership service of the tests' own: signs documents as a federation does, and counts what it
is asked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from siteagent.agent import Agent
from siteagent.cli import main
from siteagent.state import StateDirectory
from siteagent.vomsdb import VomsdbClient

FEDERATION = "Research Cloud Federation · demo"
VO = "training.egi.eu"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def member(name: str, **changes: Any) -> dict[str, Any]:
    """A member called `name`, as a snapshot lists one."""
    dn = changes.pop("dn", f"/C=EU/O=Hanse Demo/OU=People/CN={name}")
    cert = {
        "subject_der": base64.b64encode(f"subject {dn}".encode()).decode(),
        "issuer_der": base64.b64encode(b"issuer").decode(),
        "dn_slash": dn,
        "dn_rfc2253": f"CN={name},OU=People,O=Hanse Demo,C=EU",
    }
    record = {"id": name, "certs": [cert], "fqans": [f"/{VO}"], "state": "active", "not_after": None}
    return {**record, **changes}


class Signer:
    """A federation key."""

    def __init__(self, not_after: datetime | None = None) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._not_after = not_after
        self.public = self._key.public_key().public_bytes_raw()
        self.key_id = hashlib.sha256(self.public).hexdigest()[:16]

    def described(self) -> dict[str, Any]:
        until = None if self._not_after is None else stamp(self._not_after)
        return {
            "key_id": self.key_id,
            "public_key": base64.b64encode(self.public).decode(),
            "not_after": until,
        }

    def seal(self, payload: bytes) -> dict[str, str]:
        return {
            "payload": base64.b64encode(payload).decode(),
            "signature": base64.b64encode(self._key.sign(payload)).decode(),
            "key_id": self.key_id,
        }


@dataclass
class Federation:
    """What the server of the tests says, and what it was told."""

    signer: Signer = field(default_factory=Signer)
    now: datetime = NOW
    manifests: dict[str, dict[str, str]] = field(default_factory=dict)
    snapshots: dict[str, dict[str, str]] = field(default_factory=dict)
    acks: list[dict[str, Any]] = field(default_factory=list)
    sent_at: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    fault: int | None = None
    keys: list[dict[str, str]] = field(default_factory=list)
    deltas: dict[str, dict[str, str]] = field(default_factory=dict)
    cut: int | None = None
    """A snapshot's connection breaks after so many bytes."""
    unwanted: set[str] = field(default_factory=set)
    """VOs of which the server does not want to hear."""
    codes: set[str] = field(default_factory=lambda: {"one-time"})

    def snapshot(self, members: list[dict[str, Any]], seq: int, vo: str = VO, **changes: Any) -> str:
        """Sign a snapshot; returns its hash."""
        payload = canonical(
            {
                "type": "snapshot",
                "federation": FEDERATION,
                "vo": vo,
                "seq": seq,
                "members": sorted(members, key=lambda one: one["id"]),
                **changes,
            }
        )
        sha256 = hashlib.sha256(payload).hexdigest()
        self.snapshots[sha256] = self.signer.seal(payload)
        return sha256

    def manifest(self, sha256: str, /, seq: int, vo: str = VO, **changes: Any) -> dict[str, str]:
        """A signed manifest for CESNET, valid for three days."""
        record = {
            "type": "manifest",
            "federation": FEDERATION,
            "site": "CESNET",
            "vo": vo,
            "seq": seq,
            "sha256": sha256,
            "generated_at": stamp(self.now),
            "valid_until": stamp(self.now + timedelta(days=3)),
        }
        return self.signer.seal(canonical({**record, **changes}))

    def publish(self, members: list[dict[str, Any]], /, seq: int, vo: str = VO, **changes: Any) -> str:
        """Make this the state that CESNET should hold; returns its hash."""
        sha256 = self.snapshot(members, seq, vo)
        self.manifests[vo] = self.manifest(sha256, **({"seq": seq, "vo": vo} | changes))
        return sha256

    def _content(self, sha256: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(base64.b64decode(self.snapshots[sha256]["payload"]))
        return content

    def delta(self, before: str, after: str, /, **changes: Any) -> None:
        """Offer a signed delta between two snapshots."""
        old, new = self._content(before), self._content(after)
        was = {one["id"]: one for one in old["members"]}
        now = {one["id"]: one for one in new["members"]}
        record = {
            "type": "delta",
            "federation": FEDERATION,
            "vo": new["vo"],
            "seq": new["seq"],
            "prev_hash": before,
            "sha256": after,
            "changed": [one for number, one in now.items() if was.get(number) != one],
            "removed": sorted(was.keys() - now.keys()),
            "snapshot": {name: self.snapshots[after][name] for name in ("signature", "key_id")},
        }
        self.deltas[f"{before}/{after}"] = self.signer.seal(canonical({**record, **changes}))

    def notice(self, number: int, *keys: Signer, by: Sequence[Signer]) -> None:
        """Tell which keys are good, under each of the keys `by`."""
        record = {"type": "keys", "federation": FEDERATION, "number": number}
        payload = canonical({**record, "keys": [key.described() for key in keys]})
        self.keys = [signer.seal(payload) for signer in by]


class _Handler(BaseHTTPRequestHandler):
    def _say(self, status: int, body: object, etag: str = "") -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if status != 304:
            self.wfile.write(content)

    def do_GET(self) -> None:
        federation: Federation = self.server.federation  # type: ignore[attr-defined]
        federation.calls.append(f"GET {self.path}")
        if federation.fault:
            self._say(federation.fault, {"detail": "out of order"})
        elif self.path.endswith("/manifests"):
            body = {"manifests": list(federation.manifests.values()), "keys": federation.keys}
            etag = f'"{hashlib.sha256(canonical(body)).hexdigest()}"'
            same = self.headers.get("If-None-Match") == etag
            self._say(304 if same else 200, body, etag)
        elif "/deltas/" in self.path:
            found = federation.deltas.get(self.path.partition("/deltas/")[2])
            self._say(200 if found else 404, found or {"detail": "No such delta."})
        else:
            sha256 = self.path.rpartition("/")[2]
            self._snapshot(federation, federation.snapshots.get(sha256))

    def _snapshot(self, federation: Federation, found: dict[str, str] | None) -> None:
        if found is None:
            self._say(404, {"detail": "No such snapshot."})
            return
        content = json.dumps(found).encode()
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content) if federation.cut is None else start + federation.cut
        self.wfile.write(content[start:end])
        federation.calls[-1] += f" from {start}"

    def do_POST(self) -> None:
        federation: Federation = self.server.federation  # type: ignore[attr-defined]
        federation.calls.append(f"POST {self.path}")
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if federation.fault:
            self._say(federation.fault, {"detail": "out of order"})
        elif self.path == "/replication/join":
            self._join(federation, body)
        else:
            refused = [ack["vo"] for ack in body["acks"] if ack["vo"] in federation.unwanted]
            federation.acks.extend(ack for ack in body["acks"] if ack["vo"] not in refused)
            federation.sent_at.append(body["sent_at"])
            self._say(200, {"refused": [f"CESNET does not support {vo}." for vo in refused]})

    def _join(self, federation: Federation, body: dict[str, Any]) -> None:
        if body["code"] not in federation.codes:
            self._say(403, {"detail": "This code was used, or never existed."})
            return
        federation.codes.discard(body["code"])
        keys = [federation.signer.described()]
        self._say(200, {"federation": FEDERATION, "site": body["site"], "keys": keys, "vos": [VO]})

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


@pytest.fixture
def federation() -> Federation:
    return Federation()


@pytest.fixture
def url(federation: Federation) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.federation = federation  # type: ignore[attr-defined]
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@dataclass
class Site:
    """The site CESNET after it joined."""

    federation: Federation
    url: str
    state: Path

    def agent(self, **options: Any) -> Agent:
        client = VomsdbClient(self.url, *self.credential, deadline_s=5)
        return Agent(StateDirectory(self.state), client, clock=lambda: self.federation.now, **options)

    def join(self, *arguments: str, code: str = "one-time") -> int:
        options = ["--url", self.url, "--site", "CESNET", "--code", code, "--state", str(self.state)]
        files = [
            word
            for name, path in zip(("cert", "key", "ca"), self.credential, strict=True)
            for word in (f"--{name}", path)
        ]
        return main(["join", *options, *files, *arguments])

    @property
    def credential(self) -> list[str]:
        """Paths of certificate, key and CA; over plain HTTP nobody looks into them."""
        paths = [self.state.parent / name for name in ("host.pem", "host.key", "ca.pem")]
        for path in paths:
            path.touch()
        return [str(path) for path in paths]

    @property
    def gridmap(self) -> list[str]:
        """The lines of the grid-mapfile that are not comments."""
        text = (self.state / "grid-mapfile").read_text()
        return [line for line in text.splitlines() if not line.startswith("#")]

    @property
    def identities(self) -> list[dict[str, Any]]:
        document: dict[str, Any] = json.loads((self.state / "mapping.json").read_text())
        return list(document["identities"])


@pytest.fixture
def site(federation: Federation, url: str, tmp_path: Path) -> Site:
    joined = Site(federation, url, tmp_path / "agent")
    assert joined.join() == 0
    return joined
