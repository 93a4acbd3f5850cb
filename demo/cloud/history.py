"""Two months of generated usage, so that a new demo federation has a past: the same for the same seed and
month.

It goes through the same outbox, signature and publish call as the usage of real requests.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from demo.cloud.dialects import IMAGES, SIZES
from demo.cloud.usage import UsageRecord

RECORDS_A_MESSAGE = 100
_MACHINES = 160
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


def generated_past(site: str, vos: Sequence[str], seed: int, now: datetime) -> Iterator[list[UsageRecord]]:
    """Batches of records, one message each, in order of time: two months before this one, and this one up
    to now.
    """
    months = _month_starts(now)
    dice = random.Random(f"{seed} {site} {months[0]:%Y-%m}")  # noqa: S311 - a past to look at, no secret
    lives = [_life(site, vos, dice, number, months[0], now) for number in range(_MACHINES)]
    for begin, end in zip(months, [*months[1:], now], strict=True):
        records = list(_month(lives, int(begin.timestamp()), int(end.timestamp())))
        records.sort(key=lambda record: (record.taken, record.uuid))
        for first in range(0, len(records), RECORDS_A_MESSAGE):
            yield records[first : first + RECORDS_A_MESSAGE]


def _month_starts(now: datetime) -> list[datetime]:
    this = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    starts = [this]
    for _ in range(2):
        first = starts[0]
        year, month = (first.year, first.month - 1) if first.month > 1 else (first.year - 1, 12)
        starts.insert(0, first.replace(year=year, month=month))
    return starts


def _life(
    site: str, vos: Sequence[str], dice: random.Random, number: int, begin: datetime, now: datetime
) -> _Life:
    span = (now - begin).total_seconds()
    created = int(begin.timestamp() + dice.uniform(0, span * 0.98))
    # Most machines live hours, some weeks, as on the clouds this was modelled on.
    lasted = int(dice.choice((4, 10, 30, 80, 250)) * 3600 * dice.uniform(0.4, 1.6))
    size, person = dice.choice(SIZES[:3]), dice.choice(PEOPLE)
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
    )
    return _Life(record, until)


def _month(lives: Sequence[_Life], begin: int, end: int) -> Iterator[UsageRecord]:
    """The last record in this month of each machine that lived in it."""
    for life in lives:
        record = life.record
        if record.created >= end or life.until < begin:
            continue
        if life.until < end:
            yield record
        else:
            taken = end - 1
            share = (taken - record.created) / max(1, life.until - record.created)
            wall, idle = int(record.wall_s * share), int(record.idle_s * share)
            yield replace(record, end=None, wall_s=max(1, wall), idle_s=idle, taken=taken)
