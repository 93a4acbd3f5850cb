"""An accounting for the benches: a database of its own on a durable server, sites with their certificates, messages."""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from accounting.inbox import Arrival, Inbox, Sender
from accounting.loading import Loader
from accounting.signatures import Envelope
from demo.ca import CertificateAuthority, Issued
from hanse import cms
from hanse.database import Database, Followed
from hanse.identity.principals import X509Identity
from hanse.identity.trust import TrustStore
from hanse.migrations import upgrade
from hanse.postgres import PrivatePostgres
from tests.accounting.records import DAY, NOW, epoch, message, record

START = epoch(NOW) - 100 * DAY
VOS = ("training.egi.eu", "fedcloud.egi.eu", "chipster", "biomed")


@dataclass(frozen=True)
class House:
    """The server, the database's address, the sites' certificates, and what opens messages."""

    server: PrivatePostgres
    url: str
    hosts: dict[str, Issued]
    envelope: Envelope
    folder: Path

    def loader(self, db: Database) -> Loader:
        """A loader over a connection of its own."""
        return Loader(db, self.envelope)

    def empty(self, db: Database) -> None:
        """Forget all messages and figures."""
        tables = "vm_snapshot, vm_month, usage_day, usage_summary, usage_month, summary_due, message, seen_signature"
        with db.transaction() as session:
            session.execute(text(f"truncate {tables} cascade"))
            session.execute(text("analyze"))


def open_house(sites: int) -> tuple[House, Database]:
    """Make it; it is taken away at the end of this process."""
    stack = ExitStack()
    atexit.register(stack.close)
    folder = Path(tempfile.mkdtemp(prefix="hanse-bench-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    data = Path(tempfile.mkdtemp(prefix="hanse-bench-postgres-"))
    stack.callback(shutil.rmtree, data, ignore_errors=True)
    server = stack.enter_context(PrivatePostgres(data, durable=True))
    server.create_database("accounting")
    upgrade("accounting", server.dsn("accounting"))
    db = Database(server.dsn("accounting"))
    stack.callback(db.close)
    ca = CertificateAuthority.create(folder / "ca", "/C=EU/O=Hanse Demo/CN=Hanse Demo CA")
    hosts = {name: _host(ca, name) for name in (f"SITE-{n:02}" for n in range(1, sites + 1))}
    with db.transaction() as session:
        for name, host in hosts.items():
            session.add_all(_followed(name, host))
    service = ca.issue("/C=EU/O=Hanse Demo/OU=Services/CN=localhost", host="localhost")
    envelope = Envelope(TrustStore(ca.trust_dir), service.cert_path, service.key_path)
    return House(server, db.url, hosts, envelope, folder), db


def _host(ca: CertificateAuthority, site: str) -> Issued:
    name = f"acct.{site.lower()}.example"
    return ca.issue(f"/C=EU/O=Hanse Demo/OU={site}/CN={name}", host=name)


def _followed(site: str, host: Issued) -> list[Followed]:
    key = X509Identity.from_certificate(host.cert).key
    body: dict[str, Any] = {
        "id": site,
        "name": site,
        "certification": "Certified",
        "usage_site_names": [site],
    }
    held = {"id": key, "site": site, "key": key, "not_before": None, "not_after": None}
    return [
        Followed(source="registry", kind="site", id=site, body=body, revision=1),
        Followed(source="registry", kind="host_certificate", id=f"{site} {key}", body=held, revision=1),
    ]


def texts(sites: Sequence[str], messages: int, records: int = 1000) -> list[tuple[str, str]]:
    """(site, message) in the order in which they come: the sites in turn, each telling of its machines anew every
    day. Each machine belongs to one of the site's hundred users, who have one VO, two images and two sizes each.
    """
    dice = random.Random(20261125)
    machines = {site: [_machine(dice, site, n) for n in range(records)] for site in sites}
    made: list[tuple[str, str]] = []
    for number in range(messages):
        site, tick = sites[number % len(sites)], number // len(sites)
        reports = [_report(each, START + tick * DAY) for each in machines[site]]
        made.append((site, message(*reports)))
    return made


def _machine(dice: random.Random, site: str, number: int) -> dict[str, Any]:
    user = dice.randrange(100)
    vo = VOS[user % len(VOS)]
    return {
        "VMUUID": str(uuid.UUID(int=dice.getrandbits(128))), "SiteName": site, "CloudComputeService": f"{site}-CLOUD",
        "MachineName": f"vm-{number}", "LocalUserId": f"u{user:04}", "LocalGroupId": f"g{vo}",
        "GlobalUserName": f"/C=EU/O=Hanse Demo/OU=People/CN=Person {user} of {site}",
        "FQAN": f"/{vo}/Role=NULL/Capability=NULL", "StartTime": START - dice.randrange(DAY, 3 * DAY),
        "CpuCount": 2 ** (user % 3 + dice.randrange(2)), "ImageId": f"image-{user % 9 + dice.randrange(2)}",
    }  # fmt: skip


def _report(machine: dict[str, Any], measured: int) -> dict[str, Any]:
    wall = measured - machine["StartTime"]
    counters = {"WallDuration": wall, "CpuDuration": wall * machine["CpuCount"], "RecordCreateTime": measured}
    return record(**{**machine, **counters})


def signed_texts(house: House, made: Sequence[tuple[str, str]]) -> list[tuple[str, bytes]]:
    """(site, signed message)."""
    return [
        (site, cms.sign(body.encode(), house.hosts[site].cert, house.hosts[site].key)) for site, body in made
    ]


def send(house: House, db: Database, made: Sequence[tuple[str, str]], tag: str = "") -> list[int]:
    """Sign the messages and put them into the inbox; their numbers."""
    box = Inbox(db, 10_000_000)
    numbers: list[int] = []
    for number, (site, signed) in enumerate(signed_texts(house, made)):
        sender = Sender(f"token:{site}", site, site)
        numbers += box.accept([Arrival(signed, f"{tag}/{number}")], sender, source="ams")
    return numbers
