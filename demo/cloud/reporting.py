"""Turns machines into signed usage messages: the past once, changes at once, running machines every few
seconds, and with them their GPUs, addresses and volumes.
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
from demo.cloud.history import generated_messages
from demo.cloud.machines import Machines
from demo.cloud.outbox import STORAGE_TOPIC, TOPIC, Outbox, write_durably
from demo.cloud.resources import Addresses, Volume, accelerators, addresses, month_start, storage
from demo.cloud.things import Machine
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
        known = self._configuration
        past = generated_messages(
            known.site, known.cloud_type, known.capacity.vcpu, known.vos, known.seed, now
        )
        for text, records in past:
            self._put(text, records)
        write_durably(self._past, b"done\n")

    def report_machines(self) -> int:
        """Report the machines and volumes that exist or were deleted since; returns how many."""
        gone, volumes_gone = self._machines.unreported(), self._machines.unreported_volumes()
        records = [_record(machine) for machine in [*self._machines.all(), *gone]]
        now = int(self._machines.now())
        made = [Volume.made(one, now) for one in [*self._machines.volumes(), *volumes_gone]]
        if records:
            known = self._configuration
            self._put(message(known.site, known.cloud_type, records), len(records))
            self._report_resources(records)
        volumes = [*map(Volume.of, records), *made]
        if volumes:
            self._put(storage(self._configuration.site, volumes), len(volumes))
        self._machines.forget(machine.id for machine in gone)
        self._machines.forget_volumes(volume.id for volume in volumes_gone)
        return len(records) + len(made)

    def _report_resources(self, records: list[UsageRecord]) -> None:
        """What the same machines have beside processors: GPUs, and public addresses while they exist."""
        known = self._configuration
        with_gpu = [record for record in records if record.gpus]
        if with_gpu:
            month = month_start(with_gpu[0].taken)
            self._put(accelerators(known.site, known.cloud_type, with_gpu, month), len(with_gpu))
        held = Addresses.of([record for record in records if record.end is None])
        if held:
            taken = max(record.taken for record in records)
            self._put(addresses(known.site, known.cloud_type, held, taken), len(held))

    def run(self, stop: threading.Event, changed: threading.Event, put: Callable[[], None]) -> None:
        """Report until `stop`: when `changed` is set, and every few seconds while a machine exists."""
        self.report_past(datetime.now(UTC))
        put()
        while not stop.is_set():
            if self.report_machines():
                put()
            changed.wait(self._configuration.usage_every_s)
            changed.clear()

    def _put(self, text: str, records: int) -> None:
        # Read each time: a renewed host certificate counts at once.
        cert = x509.load_pem_x509_certificate(self._configuration.cert.read_bytes())
        key = load_pem_private_key(self._configuration.key.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        topic = STORAGE_TOPIC if text.startswith("<") else TOPIC
        self._outbox.put(sign(text.encode(), cert, key), records, topic)


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
        gpus=machine.size.gpus,
        public_ips=len(machine.interfaces),
    )
