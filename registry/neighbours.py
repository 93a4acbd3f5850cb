"""What the pages ask of the other services: all at once, under one deadline, with the last good answer at hand."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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
    """An answer: `body` of the moment `at`. When `fault` says why none came now, it is the last good one, or empty."""

    service: str
    body: Mapping[str, Any] = field(default_factory=dict)
    at: datetime | None = None
    fault: str = ""
    absent: bool = False

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

    Never raises for a service that is silent or answers nonsense: its fault says so.
    """
    present = {name: question for name, question in questions.items() if _url(settings, question[0])}
    answers = {name: Heard(questions[name][0], absent=True) for name in questions.keys() - present.keys()}
    if present:
        with ThreadPoolExecutor(max_workers=len(present)) as workers:
            asked = {name: workers.submit(_ask, settings, *question) for name, question in present.items()}
            answers |= {name: one.result() for name, one in asked.items()}
    _remember(db, {_key(present[name]): one for name, one in answers.items() if one.fresh})
    return {
        name: one if one.fresh or one.absent else _last(db, questions[name], one)
        for name, one in answers.items()
    }


def _url(settings: RegistrySettings, service: str) -> str:
    return str(getattr(settings, f"{service}_url")).rstrip("/")


def _key(question: tuple[str, str]) -> str:
    return " ".join(question)


def _ask(settings: RegistrySettings, service: str, path: str) -> Heard:
    headers = {"Authorization": f"Bearer {settings.service_token.get_secret_value()}"}
    try:
        answer = fetch(
            "GET", _url(settings, service) + path, headers=headers, deadline_s=settings.card_deadline_s
        )
        body = answer.json() if answer.ok else None
    except HttpError as error:
        log.warning("neighbour_silent", service=service, path=path, reason=str(error))
        return Heard(service, fault=f"{NAMES[service]} does not answer")
    if not isinstance(body, dict):
        log.warning("neighbour_refused", service=service, path=path, status=answer.status)
        return Heard(service, fault=f"{NAMES[service]} answered {answer.status}")
    return Heard(service, body, datetime.now(UTC))


def _remember(db: Database, fresh: Mapping[str, Heard]) -> None:
    if not fresh:
        return
    rows = [{"question": key, "at": one.at, "body": dict(one.body)} for key, one in sorted(fresh.items())]
    statement = insert(HeardAnswer).values(rows)
    with db.transaction() as session:
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["question"],
                set_={"at": statement.excluded.at, "body": statement.excluded.body},
            )
        )


def _last(db: Database, question: tuple[str, str], silent: Heard) -> Heard:
    with db.transaction() as session:
        row = session.scalar(select(HeardAnswer).where(HeardAnswer.question == _key(question)))
    if row is None:
        return silent
    return Heard(silent.service, row.body, row.at, silent.fault)
