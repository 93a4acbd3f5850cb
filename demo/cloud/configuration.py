"""What one simulated cloud is told, as JSON: `python -m demo.cloud --config FILE`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from demo.cloud.things import Capacity


@dataclass(frozen=True)
class CloudConfiguration:
    """Paths are absolute. `folder` holds the journal, the outbox and the file `fault`. `cert` signs usage,
    `tls_cert` is shown by the server.

    `network` is the first three numbers of the addresses given to machines; `usage_every_s` how often running
    machines are reported; `vos` the VOs of the generated past. `registry_url` is where the cloud tells what it
    offers ("" = nowhere), `quotas` the virtual processors of each VO.
    """

    site: str
    dialect: str
    cloud_type: str
    port: int
    path: str
    folder: Path
    capacity: Capacity
    network: str
    trust_dir: Path
    cert: Path
    key: Path
    tls_cert: Path
    tls_key: Path
    expired_cert: Path
    expired_key: Path
    vomsdir: Path
    mapping: Path
    ams_url: str
    ams_token: Path
    ca: Path
    vos: tuple[str, ...]
    seed: int = 1
    usage_every_s: float = 5.0
    registry_url: str = ""
    quotas: dict[str, int] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The address that clients use, with a final slash."""
        return f"https://127.0.0.1:{self.port}{self.path}"

    def write(self, path: Path) -> None:
        """Write the file that `read` reads."""
        path.write_text(json.dumps(asdict(self), indent=1, default=str))

    @classmethod
    def read(cls, path: Path) -> CloudConfiguration:
        """Raises OSError, ValueError or TypeError for a file that is not one."""
        record: dict[str, Any] = json.loads(path.read_text())
        for name in _PATHS:
            record[name] = Path(record[name])
        record["capacity"] = Capacity(**record["capacity"])
        record["vos"] = tuple(record["vos"])
        return cls(**record)


_PATHS = (
    "folder",
    "trust_dir",
    "cert",
    "key",
    "tls_cert",
    "tls_key",
    "expired_cert",
    "expired_key",
    "vomsdir",
    "mapping",
    "ams_token",
    "ca",
)
