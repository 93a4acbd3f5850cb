"""The agent's own folder: how it joined, what it holds, and what it has proved.

agent.json          how the site joined: server, certificate paths, federation, pinned keys, target files
held.json           the state that the target files were rendered from
applying.json       the state being applied; left behind only by a crash, and then applied again
snapshots/SHA.json  signed snapshots, named by the hash of their payload
snapshots/SHA.part  what came of a snapshot before the connection broke
accounts.json       pool accounts given out
acks.json           what the server accepted last, by VO
lock                held by the one process that works on the folder
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional

from siteagent.atomic import move_file, replace_file
from siteagent.documents import Authority, authorities_of, instant, stamp
from siteagent.errors import AgentError
from siteagent.keys import PinnedKey


@dataclass(frozen=True)
class Joined:
    """How this site joined; paths are absolute."""

    url: str
    site: str
    federation: str
    cert: str
    key: str
    ca: str
    keys: list[dict[str, Optional[str]]]
    targets: dict[str, str]
    pools: dict[str, str] = field(default_factory=dict)
    agent_url: Optional[str] = None
    keys_number: int = 0
    """Number of the notice of keys that was followed last; 0 = the keys are those of the day the site joined."""
    projects: dict[str, str] = field(default_factory=dict)
    """Keystone projects by VO or FQAN."""
    after_promise: str = "close"
    """Whether entries end when the server's promise does (close), or only at their own end (keep)."""
    removal_share: float = 0.25
    removal_floor: int = 10
    """A change that removes more members than both waits for a person."""

    def pinned(self) -> list[PinnedKey]:
        """The federation keys trusted since joining."""
        return [PinnedKey.parse(record) for record in self.keys]


@dataclass(frozen=True)
class HeldVO:
    """Which snapshot is applied for a VO, since when, and until when the server vouches for it."""

    vo: str
    seq: int
    sha256: str
    valid_until: datetime
    applied_at: datetime
    added: int
    removed: int
    generated_at: Optional[datetime] = None
    """When the manifest was made; None for one of an agent before 0.2."""
    authorities: Optional[tuple[Authority, ...]] = None
    """None while no manifest named them."""

    def record(self) -> dict[str, Any]:
        named = self.authorities
        known = None if named is None else [{"host": one.host, "lsc": list(one.lsc)} for one in named]
        return {
            **asdict(self),
            "valid_until": stamp(self.valid_until),
            "applied_at": stamp(self.applied_at),
            "generated_at": None if self.generated_at is None else stamp(self.generated_at),
            "authorities": known,
        }

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> HeldVO:
        made, known = record.get("generated_at"), record.get("authorities")
        return cls(
            **{
                **record,
                "generated_at": None if made is None else instant(made, "held.json: generated_at"),
                "authorities": None if known is None else authorities_of(known, "held.json"),
                "valid_until": instant(record["valid_until"], "held.json: valid_until"),
                "applied_at": instant(record["applied_at"], "held.json: applied_at"),
            }
        )


@dataclass(frozen=True)
class HeldState:
    """Everything that the target files are rendered from: VOs, and the moment that decided which entries had
    ended.
    """

    rendered_at: datetime
    vos: Mapping[str, HeldVO]


class StateDirectory:
    """The folder of one agent. Raises AgentError with the path when something in it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.accounts = path / "accounts.json"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process at a time works on the folder; others wait."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def joined(self) -> Joined:
        record = self._read("agent.json")
        if record is None:
            raise AgentError(f"{self.path} belongs to no joined site: run `hanse-siteagent join` first.")
        return Joined(**record)

    def save_joined(self, joined: Joined) -> None:
        self._write("agent.json", asdict(joined))

    def held(self) -> Optional[HeldState]:
        """The applied state, None before the first."""
        return _held_state(self._read("held.json"))

    def interrupted(self) -> Optional[HeldState]:
        """A state whose application a crash cut short."""
        return _held_state(self._read("applying.json"))

    def begin(self, state: HeldState) -> None:
        """Note what is about to be applied; from here on a crash is finished, not forgotten."""
        vos = {vo: held.record() for vo, held in state.vos.items()}
        self._write("applying.json", {"rendered_at": stamp(state.rendered_at), "vos": vos})

    def finish(self) -> None:
        """What was begun is now what the site holds: one rename."""
        move_file(self.path / "applying.json", self.path / "held.json")

    def snapshot(self, sha256: str) -> Optional[Mapping[str, Any]]:
        """The signed envelope of a snapshot, None if it was never fetched."""
        return self._read(f"snapshots/{sha256}.json")

    def save_snapshot(self, sha256: str, envelope: Mapping[str, Any]) -> None:
        (self.path / "snapshots").mkdir(exist_ok=True)
        self._write(f"snapshots/{sha256}.json", envelope)

    def part(self, sha256: str) -> Path:
        """Where what came of a snapshot is kept until all of it is there."""
        (self.path / "snapshots").mkdir(exist_ok=True)
        return self.path / "snapshots" / f"{sha256}.part"

    def drop_snapshots_except(self, keep: frozenset[str]) -> None:
        self._drop("*.j*", keep)

    def drop_parts_except(self, keep: frozenset[str]) -> None:
        """Forgets what came of other snapshots."""
        self._drop("*.part", keep)

    def _drop(self, pattern: str, keep: frozenset[str]) -> None:
        for path in (self.path / "snapshots").glob(pattern):
            if path.stem not in keep:
                path.unlink(missing_ok=True)

    def acks(self) -> dict[str, Any]:
        return dict(self._read("acks.json") or {})

    def save_acks(self, acks: Mapping[str, Any]) -> None:
        self._write("acks.json", acks)

    def _read(self, name: str) -> Optional[Mapping[str, Any]]:
        try:
            content = json.loads((self.path / name).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise AgentError(f"Cannot read {self.path / name}: {error}.") from error
        if not isinstance(content, dict):
            raise AgentError(f"{self.path / name} does not hold an object.")
        return content

    def _write(self, name: str, content: object) -> None:
        replace_file(self.path / name, json.dumps(content, indent=1, sort_keys=True).encode(), 0o600)


def _held_state(record: Optional[Mapping[str, Any]]) -> Optional[HeldState]:
    if record is None:
        return None
    vos = {vo: HeldVO.parse(body) for vo, body in record["vos"].items()}
    return HeldState(instant(record["rendered_at"], "held.json: rendered_at"), vos)
