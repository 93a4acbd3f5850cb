"""Turns machines into signed usage messages: the past once, changes at once, running machines every few
seconds.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from demo.cloud.configuration import CloudConfiguration
from demo.cloud.history import generated_past
from demo.cloud.machines import Machine, Machines
from demo.cloud.outbox import Outbox, write_durably
from demo.cloud.usage import UsageRecord, message
from hanse.cms import sign

log = logging.getLogger("demo.cloud")


class Reporter:
    """Writes usage messages of one cloud into its outbox, signed with the site's host certificate."""

    def __init__(self, configuration: CloudConfiguration, machines: Machines, outbox: Outbox) -> None:
        self._configuration = configuration
        self._machines = machines
        self._outbox = outbox
        self._past = configuration.folder / "past-reported"

    def report_past(self, now: datetime) -> None:
        """The generated past, once. Killed half-way it begins again: the same records, which change
        nothing.
        """
        if self._past.exists():
            return
        configuration = self._configuration
        for batch in generated_past(configuration.site, configuration.vos, configuration.seed, now):
            self._put(batch)
        write_durably(self._past, b"done\n")

    def report_machines(self) -> int:
        """Report the machines that exist or were deleted since; returns how many."""
        gone = self._machines.unreported()
        records = [_record(machine) for machine in [*self._machines.all(), *gone]]
        if records:
            self._put(records)
            self._machines.forget(machine.id for machine in gone)
        return len(records)

    def run(self, stop: threading.Event, changed: threading.Event, put: Callable[[], None]) -> None:
        """Report until `stop`: when `changed` is set, and every few seconds while a machine exists."""
        self.report_past(datetime.now(UTC))
        put()
        while not stop.is_set():
            if self.report_machines():
                put()
            changed.wait(self._configuration.usage_every_s)
            changed.clear()

    def _put(self, records: list[UsageRecord]) -> None:
        text = message(self._configuration.site, self._configuration.cloud_type, records)
        # Read each time: a renewed host certificate counts at once.
        cert = x509.load_pem_x509_certificate(self._configuration.cert.read_bytes())
        key = load_pem_private_key(self._configuration.key.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._outbox.put(sign(text.encode(), cert, key), len(records))


def _record(machine: Machine) -> UsageRecord:
    return UsageRecord(
        uuid=machine.id,
        name=machine.title,
        account=machine.account,
        dn=machine.dn,
        vo=machine.vo,
        fqan=machine.fqan,
        image=machine.image,
        created=int(machine.created),
        end=None if machine.deleted is None else math.ceil(machine.deleted),
        running=machine.active,
        wall_s=max(1, round(machine.wall_s)),
        idle_s=round(machine.idle_s),
        vcpu=machine.size.vcpu,
        memory_mb=machine.size.memory_mb,
        disk_gb=machine.size.disk_gb,
        taken=int(machine.changed),
    )
