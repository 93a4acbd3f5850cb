"""Twelve months of generated usage, so that a new demo federation has a past: the same for the same seed and
moment.

It goes through the same outbox, signature and publish call as the usage of real requests.
"""

from __future__ import annotations

import heapq
import random
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from demo.cloud.dialects import IMAGES, SIZES
from demo.cloud.resources import Addresses, Volume, accelerators, addresses, storage
from demo.cloud.usage import UsageRecord, message

RECORDS_A_MESSAGE = 100
MONTHS = 12
DAY_S = 86_400
_MACHINES = 2700
_SIZES = {size.term: size for size in SIZES}
# Small machines are many, and few have a GPU, as on the clouds this was modelled on.
_CHOSEN_SIZES = ("small",) * 9 + ("medium",) * 4 + ("large", "gpu")
_HOURS = (2, 4, 10, 24, 72, 200)
_NAMESPACE = uuid.UUID("6f0f6a52-3c6e-4d3b-8a4e-1b6a5a2f9c10")
PEOPLE = (
    "Ada Nowak",
    "Bruno Keller",
    "Clara Jensen",
    "Dimitar Ilievski",
    "Elena Ruiz",
    "Filip Horák",
    "Greta Lund",
    "Hugo Marín",
    "Ivana Stojanova",
    "Jakub Dvořák",
    "Katrin Vogel",
    "Luis Ortega",
)


@dataclass(frozen=True)
class _Life:
    """A machine's record when it ended, or as it stands now."""

    record: UsageRecord
    until: int

    def at(self, taken: int) -> UsageRecord:
        """The record as it stood at a moment of its life."""
        share = (taken - self.record.created) / max(1, self.until - self.record.created)
        wall, idle = int(self.record.wall_s * share), int(self.record.idle_s * share)
        return replace(self.record, end=None, wall_s=max(1, wall), idle_s=idle, taken=taken)


def generated_messages(
    site: str, cloud_type: str, vcpu: int, vos: Sequence[str], seed: int, now: datetime
) -> Iterator[tuple[str, int]]:
    """(text, records) of every message of the past: machines, then the GPUs, addresses and storage of each month."""
    for batch in generated_past(site, vcpu, vos, seed, now):
        yield message(site, cloud_type, batch), len(batch)
    lives = _lives(site, vcpu, vos, seed, now)
    starts = _month_starts(now)
    for begin, end in zip(starts, [*starts[1:], now], strict=True):
        yield from _resources(site, cloud_type, lives, int(begin.timestamp()), int(end.timestamp()))


def generated_past(
    site: str, vcpu: int, vos: Sequence[str], seed: int, now: datetime
) -> Iterator[list[UsageRecord]]:
    """Batches of records of machines, one message each, in order of time: the twelve months before this one, and this
    one up to now. Every machine is reported at the end of each day, and when it ends; never do more run than fit.
    """
    records = [record for life in _lives(site, vcpu, vos, seed, now) for record in _reports(life)]
    records.sort(key=lambda record: (record.taken, record.uuid))
    for first in range(0, len(records), RECORDS_A_MESSAGE):
        yield records[first : first + RECORDS_A_MESSAGE]


def _lives(site: str, vcpu: int, vos: Sequence[str], seed: int, now: datetime) -> list[_Life]:
    begin = _month_starts(now)[0]
    dice = random.Random(f"{seed} {site} {begin:%Y-%m}")  # noqa: S311 - a past to look at, no secret
    wanted = [_life(site, vos, dice, number, begin, now) for number in range(_MACHINES)]
    return list(_fitting(sorted(wanted, key=lambda life: life.record.created), vcpu))


def _fitting(lives: Iterable[_Life], vcpu: int) -> Iterator[_Life]:
    """Those that found room when they came, by order of creation; the others were refused, and never were."""
    running: list[tuple[int, int]] = []
    free = vcpu
    for life in lives:
        while running and running[0][0] <= life.record.created:
            free += heapq.heappop(running)[1]
        if life.record.vcpu <= free:
            free -= life.record.vcpu
            heapq.heappush(running, (life.until, life.record.vcpu))
            yield life


def _month_starts(now: datetime) -> list[datetime]:
    this = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    index = this.year * 12 + this.month - 1
    return [
        this.replace(year=month // 12, month=month % 12 + 1) for month in range(index - MONTHS, index + 1)
    ]


def _life(
    site: str, vos: Sequence[str], dice: random.Random, number: int, begin: datetime, now: datetime
) -> _Life:
    span = (now - begin).total_seconds()
    # the federation grows: later months have more machines than the first
    created = int(begin.timestamp() + span * 0.99 * dice.random() ** 0.8)
    lasted = int(dice.choice(_HOURS) * 3600 * dice.uniform(0.4, 1.6))
    size, person = _SIZES[dice.choice(_CHOSEN_SIZES)], dice.choice(PEOPLE)
    vo = vos[0] if dice.random() < 0.7 else vos[-1]
    idle = int(lasted * dice.choice((0, 0, 0, 0.1)))
    until = min(created + lasted, int(now.timestamp()))
    record = UsageRecord(
        uuid=str(uuid.uuid5(_NAMESPACE, f"{site} {begin:%Y-%m} {number}")),
        name=f"{person.split()[0].lower()}-{number}",
        account=f"{vo.split('.')[0]}{PEOPLE.index(person) + 100}",
        dn=f"/C=EU/O=Hanse Demo/OU=People/CN={person}",
        vo=vo,
        fqan=f"/{vo}",
        image=dice.choice(sorted(IMAGES)),
        created=created,
        end=until if created + lasted <= now.timestamp() else None,
        running=True,
        wall_s=max(60, until - created - idle),
        idle_s=idle,
        vcpu=size.vcpu,
        memory_mb=size.memory_mb,
        disk_gb=size.disk_gb,
        taken=until,
        gpus=size.gpus,
    )
    return _Life(record, until)


def _reports(life: _Life) -> Iterator[UsageRecord]:
    """One at the end of each day that the machine outlived, and the last one."""
    first = life.record.created // DAY_S + 1
    for day in range(first, life.until // DAY_S + 1):
        taken = day * DAY_S - 1
        if life.record.created < taken < life.until:
            yield life.at(taken)
    yield life.record


def _resources(
    site: str, cloud_type: str, lives: Sequence[_Life], begin: int, end: int
) -> Iterator[tuple[str, int]]:
    """GPUs, public addresses at the month's end, and volumes, of the machines that lived in a month."""
    alive = [life for life in lives if life.record.created < end and life.until > begin]
    standing = [life.at(min(life.until, end - 1)) for life in alive]
    with_gpu = [record for record in standing if record.gpus]
    if with_gpu:
        yield accelerators(site, cloud_type, with_gpu, begin), len(with_gpu)
    last = [life.record for life in alive if life.until >= end - 1]
    if last:
        counted = Addresses.of(last)
        yield addresses(site, cloud_type, counted, end - 1), len(counted)
    volumes = [Volume.of(record) for record in standing if record.taken - record.created >= DAY_S]
    for first in range(0, len(volumes), RECORDS_A_MESSAGE):
        part = volumes[first : first + RECORDS_A_MESSAGE]
        yield storage(site, part), len(part)
