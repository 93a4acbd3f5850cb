"""What the pages ask of the other services: all at once, under one deadline, with the last good answer at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from hanse.database import Database
from hanse.http import HttpError, fetch
from registry.models import HeardAnswer
from registry.settings import RegistrySettings

NAMES = {"monitoring": "Monitoring", "accounting": "Accounting", "vomsdb": "Membership"}
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Heard:
    """An answer: `body` of the moment `at`. When `fault` says why none came now, it is the last good one, or empty.

    While a service repeats itself to the letter (`digest`) the body is the very same object.
    """

    service: str
    body: Mapping[str, Any] = field(default_factory=dict)
    at: datetime | None = None
    fault: str = ""
    absent: bool = False
    digest: bytes = field(default=b"", repr=False, compare=False)

    @property
    def known(self) -> bool:
        """Whether there is anything to show."""
        return self.at is not None

    @property
    def fresh(self) -> bool:
        """Whether it was answered just now."""
        return self.known and not self.fault

    @property
    def name(self) -> str:
        """What people call the service."""
        return NAMES[self.service]


def ask(
    db: Database, settings: RegistrySettings, questions: Mapping[str, tuple[str, str]]
) -> dict[str, Heard]:
    """Answers by the name of the question; a question is a service and a path below its address.

    An answer younger than `card_reuse_s` is taken again: many look at the same page at once. Never raises for a
    service that is silent or answers nonsense: its fault says so.
    """
    absent = {
        name: Heard(one[0], absent=True) for name, one in questions.items() if not _url(settings, one[0])
    }
    known = {
        name: one for name in questions.keys() - absent.keys() if (one := _recent(settings, questions[name]))
    }
    present = {name: one for name, one in questions.items() if name not in absent and name not in known}
    answers = {**absent, **known, **_ask_all(db, settings, present)}
    return {name: answers[name] for name in questions}


_answered: dict[tuple[str, str], Heard] = {}
"""The last answers by address and path; a process keeps few, since pages ask the same."""
KEPT = 200
_written: dict[tuple[str, str], datetime] = {}
"""When this process last wrote an answer down, by database and question."""
WRITE_S = 60
"""A page that only reads seldom writes: what outlives this process is at most so much older than what it showed."""


def _recent(settings: RegistrySettings, question: tuple[str, str]) -> Heard | None:
    known = _of_last(settings, question)
    if known is None:
        return None
    return known if _age_s(known.at, datetime.now(UTC)) < settings.card_reuse_s else None


def _ask_all(
    db: Database, settings: RegistrySettings, present: Mapping[str, tuple[str, str]]
) -> dict[str, Heard]:
    answers: dict[str, Heard] = {}
    if present:
        with ThreadPoolExecutor(max_workers=len(present)) as workers:
            asked = {
                name: workers.submit(_ask, settings, *question, _of_last(settings, question))
                for name, question in present.items()
            }
            answers |= {name: one.result() for name, one in asked.items()}
    fresh = {present[name]: one for name, one in answers.items() if one.fresh}
    if not settings.read_only:
        _remember(db, {_key(question): one for question, one in fresh.items()})
    if len(_answered) + len(fresh) > KEPT:
        _answered.clear()
    _answered.update({(_url(settings, service), path): one for (service, path), one in fresh.items()})
    return {
        name: one if one.fresh else _last(db, settings, present[name], one) for name, one in answers.items()
    }


def _of_last(settings: RegistrySettings, question: tuple[str, str]) -> Heard | None:
    """What this process heard last, however long ago."""
    return _answered.get((_url(settings, question[0]), question[1]))


def ask_alone(settings: RegistrySettings, service: str, path: str) -> Heard:
    """One answer for a job: asked anew, and not kept for pages. Never raises for a service that is silent."""
    return _ask(settings, service, path) if _url(settings, service) else Heard(service, absent=True)


def _url(settings: RegistrySettings, service: str) -> str:
    return str(getattr(settings, f"{service}_url")).rstrip("/")


def _key(question: tuple[str, str]) -> str:
    return " ".join(question)


def _ask(settings: RegistrySettings, service: str, path: str, known: Heard | None = None) -> Heard:
    headers = {"Authorization": f"Bearer {settings.service_token.get_secret_value()}"}
    try:
        answer = fetch(
            "GET", _url(settings, service) + path, headers=headers, deadline_s=settings.card_deadline_s
        )
        digest = hashlib.blake2b(answer.body, digest_size=16).digest()
        if answer.ok and known is not None and known.digest == digest:
            return replace(known, at=datetime.now(UTC))
        body = answer.json() if answer.ok else None
    except HttpError as error:
        log.warning("neighbour_silent", service=service, path=path, reason=str(error))
        return Heard(service, fault=f"{NAMES[service]} does not answer")
    if not isinstance(body, dict):
        log.warning("neighbour_refused", service=service, path=path, status=answer.status)
        return Heard(service, fault=f"{NAMES[service]} answered {answer.status}")
    return Heard(service, body, datetime.now(UTC), digest=digest)


def _remember(db: Database, fresh: Mapping[str, Heard]) -> None:
    """Write down, for other processes and for later, what was not written down for a minute."""
    now = datetime.now(UTC)
    due = [key for key in sorted(fresh) if _age_s(_written.get((db.url, key)), now) >= WRITE_S]
    if not due:
        return
    rows = [{"question": key, "at": fresh[key].at, "body": dict(fresh[key].body)} for key in due]
    statement = insert(HeardAnswer).values(rows)
    with db.transaction() as session:
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["question"],
                set_={"at": statement.excluded.at, "body": statement.excluded.body},
            )
        )
    if len(_written) > KEPT:
        _written.clear()
    _written.update({(db.url, key): now for key in due})


def _age_s(moment: datetime | None, now: datetime) -> float:
    return float("inf") if moment is None else (now - moment).total_seconds()


def _last(db: Database, settings: RegistrySettings, question: tuple[str, str], silent: Heard) -> Heard:
    known = _of_last(settings, question)
    if known is not None:
        return replace(known, fault=silent.fault)
    with db.transaction() as session:
        row = session.scalar(select(HeardAnswer).where(HeardAnswer.question == _key(question)))
    if row is None:
        return silent
    return Heard(silent.service, row.body, row.at, silent.fault)
