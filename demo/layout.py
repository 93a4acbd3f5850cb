"""Where everything of a demo federation lies.

state.json            ports, and whether the federation was set up
hanse.toml            settings of the services (holds secrets, mode 600)
federation.yaml       sites as the operator applied them
ca/  people/          the CA; a certificate, key, p12 and token for each person
vomses  vomsdir/      how clients and sites know the attribute authority
clouds/SITE  agents/SITE    what each simulated cloud and each site agent keeps
mail/  webhooks.jsonl       mails that were sent, alerts that were received
postgres/  run/  logs/      the private PostgreSQL, process ids, logs
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from demo.cast import Person, Site

CHECKOUT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Layout:
    """Paths below the folder of one demo federation, and its ports."""

    data: Path
    ports: dict[str, int]

    @property
    def settings(self) -> Path:
        """The services' settings file."""
        return self.data / "hanse.toml"

    @property
    def ca(self) -> Path:
        """The CA's folder."""
        return self.data / "ca"

    @property
    def trust(self) -> Path:
        """CA certificates and revocation lists, as services and clients read them."""
        return self.ca / "trust"

    @property
    def bundle(self) -> Path:
        """One file with the CA certificate."""
        return self.ca / "ca.cert.pem"

    @property
    def people(self) -> Path:
        """Credentials of people."""
        return self.data / "people"

    @property
    def mail(self) -> Path:
        """Mails that were sent."""
        return self.data / "mail"

    @property
    def webhooks(self) -> Path:
        """Alerts that the webhook received, a JSON object a line."""
        return self.data / "webhooks.jsonl"

    @property
    def vomses(self) -> Path:
        """The line by which clients find the attribute authority."""
        return self.data / "vomses"

    @property
    def vomsdir(self) -> Path:
        """The .lsc files by which sites know it."""
        return self.data / "vomsdir"

    @property
    def postgres(self) -> Path:
        """The private PostgreSQL's folder."""
        return self.data / "postgres"

    @property
    def run(self) -> Path:
        """Process ids."""
        return self.data / "run"

    @property
    def logs(self) -> Path:
        """Logs, one a process."""
        return self.data / "logs"

    def url(self, service: str) -> str:
        """The plain address of a service."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def tls_url(self, service: str) -> str:
        """The TLS address of a service."""
        return f"https://127.0.0.1:{self.ports[service + '_tls']}"

    def cloud(self, site: Site) -> Path:
        """The folder of a simulated cloud."""
        return self.data / "clouds" / site.name

    def agent(self, site: Site) -> Path:
        """The folder of a site agent."""
        return self.data / "agents" / site.name

    def cloud_url(self, site: Site) -> str:
        """A cloud's OCCI address, with a final slash."""
        return f"https://127.0.0.1:{self.ports['cloud ' + site.name]}{site.path}"

    def agent_url(self, site: Site) -> str:
        """Where a site agent takes pushes."""
        return f"http://127.0.0.1:{self.ports['agent ' + site.name]}"

    def certificate(self, slug: str) -> tuple[Path, Path]:
        """Certificate and key of a host or robot, by the name they were issued under."""
        return self.ca / "certs" / f"{slug}.cert.pem", self.ca / "certs" / f"{slug}.key.pem"

    def credential(self, person: Person) -> tuple[Path, Path]:
        """Certificate and key of a person."""
        return self.people / f"{person.slug}.cert.pem", self.people / f"{person.slug}.key.pem"

    def token(self, person: Person) -> Path:
        """The file with a person's token."""
        return self.people / f"{person.slug}.token"

    def site_token(self, site: Site) -> Path:
        """The file with a site's token, by which its cloud publishes usage."""
        return self.cloud(site) / "token"


@dataclass
class State:
    """What state.json remembers."""

    ports: dict[str, int]
    set_up: bool = False

    @classmethod
    def read(cls, data: Path) -> State | None:
        """The state of the demo in `data`; None when there is none."""
        try:
            record = json.loads((data / "state.json").read_text())
        except FileNotFoundError:
            return None
        return cls(ports=record["ports"], set_up=record["set_up"])

    def write(self, data: Path) -> None:
        """Replace state.json."""
        draft = data / ".state.json.new"
        draft.write_text(json.dumps({"ports": self.ports, "set_up": self.set_up}, indent=1))
        draft.replace(data / "state.json")


def default_data() -> Path:
    """`.demo` of the checkout; for root, a folder in /var/lib/hanse when `nobody` cannot enter the
    checkout.
    """
    inside = CHECKOUT / ".demo"
    if os.geteuid() != 0 or all(
        folder.stat().st_mode & stat.S_IXOTH for folder in (CHECKOUT, *CHECKOUT.parents)
    ):
        return inside
    digest = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
    return Path(f"/var/lib/hanse/demo-{digest}")


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner can read; whole or not at all."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(content)
    draft.replace(path)
