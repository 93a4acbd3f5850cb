"""Pulling from the subscription of an existing AMS, so that a federation can move over without touching its sites.

A message is acknowledged after it is in the inbox, committed. Whatever dies in between, AMS sends it again, and the
inbox knows it by empaid and hash; what is acknowledged too late comes again the same way.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Final

import structlog
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from accounting.arrivals import arrival_of
from accounting.inbox import Inbox, Sender
from accounting.models import PullState
from accounting.settings import AccountingSettings
from hanse.ams import Ams, AmsFault, Pulled
from hanse.database import Database, is_connection_loss, is_out_of_room
from hanse.errors import Refused, Unavailable

LONGEST_WAIT_S: Final = 300.0
MOST_LATE: Final = 10
log = structlog.get_logger(__name__)


@dataclass
class Puller:
    """Empties one subscription into the inbox. `at_most` bounds one pull; late acknowledgements make it smaller."""

    ams: Ams
    subscription: str
    db: Database
    inbox: Inbox
    at_most: int = 100
    poll_s: float = 5.0
    _size: int = field(init=False)
    _late_in_a_row: int = 0

    def __post_init__(self) -> None:
        self._size = self.at_most

    @property
    def source(self) -> str:
        """The subscription as people know it."""
        return f"{self.ams.url}/v1/projects/{self.ams.project}/subscriptions/{self.subscription}"

    def pull(self) -> int:
        """Bring what waits, at most one pull of it, into the inbox; how many messages came.

        Raises AmsFault, Unavailable (the inbox is full) or a database error; nothing is acknowledged then.
        """
        try:
            received = self.ams.pull(self.subscription, self._size)
        except AmsFault as fault:
            if not fault.code:  # no answer, or one that is too large: fewer messages may pass
                self._size = max(self._size // 2, 1)
            raise
        if received:
            self._keep(received)
        self._note(len(received))
        return len(received)

    def _keep(self, received: list[Pulled]) -> None:
        sender = Sender(f"ams:{self.source}", self.source)
        arrivals = [arrival_of(each.message) for each in received]
        self.inbox.accept(arrivals, sender, source="pull", topic=self.subscription)
        in_time = self.ams.acknowledge(self.subscription, [each.ack_id for each in received])
        self._late_in_a_row = 0 if in_time else self._late_in_a_row + 1
        if in_time:
            self._size = min(self._size * 2, self.at_most)
        else:
            self._size = max(self._size // 2, 1)
            log.warning("acknowledged too late; the messages come again and count once", next_pull=self._size)

    def pull_all(self) -> int:
        """Pull until nothing waits; how many messages came. Raises as `pull`, and Unavailable when none is settled."""
        count = 0
        while came := self.pull():
            count += came
            if self._late_in_a_row >= MOST_LATE:
                raise Unavailable(
                    f"{self.source} took none of {MOST_LATE} acknowledgements in time; the messages are safe here and"
                    " come again. Give the subscription a longer ackDeadlineSeconds."
                )
        return count

    def run(self, stop: Event) -> None:
        """Pull until `stop` is set; waits longer after each failure in a row, up to five minutes."""
        failures = 0
        while not stop.is_set():
            try:
                came = self.pull()
                failures = 0
                if not came:
                    stop.wait(self.poll_s)
            except (AmsFault, Unavailable) as error:
                failures += 1
                log.warning("pulling failed", source=self.source, reason=error.detail, failures=failures)
                self._note_failure(error.detail)
                stop.wait(pause_s(failures))
            except SQLAlchemyError as error:
                if not (is_connection_loss(error) or is_out_of_room(error)):
                    raise
                failures += 1
                log.warning("pulling waits for the database", error=str(error.__cause__ or error))
                stop.wait(pause_s(failures))

    def _note(self, messages: int) -> None:
        """Write down that the subscription was read, for metrics and people."""
        now = func.clock_timestamp()
        told = {"pulled_at": now, "error": ""} | ({"message_at": now} if messages else {})
        statement = insert(PullState).values(source=self.source, messages=messages, **told)
        changed = {**told, "messages": PullState.messages + messages}
        with self.db.transaction() as session:
            session.execute(statement.on_conflict_do_update(index_elements=["source"], set_=changed))

    def _note_failure(self, reason: str) -> None:
        try:
            statement = insert(PullState).values(source=self.source, error=reason)
            with self.db.transaction() as session:
                session.execute(
                    statement.on_conflict_do_update(index_elements=["source"], set_={"error": reason})
                )
        except SQLAlchemyError as error:  # the database may be what failed; the log has the reason
            log.warning("the failure could not be written down", error=str(error.__cause__ or error))


def pause_s(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 1, 2, 4 .. 300, spread by a quarter."""
    spread = random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, no secret
    return min(2.0 ** min(failures - 1, 20), LONGEST_WAIT_S) * spread


@contextmanager
def make_puller(settings: AccountingSettings, db: Database) -> Iterator[Puller]:
    """The puller that the settings describe. Raises Refused with a sentence when they describe none."""
    if not settings.pull_url or not settings.pull_subscription:
        raise Refused("There is nothing to pull from: set pull_url, pull_subscription and pull_token_file.")
    token = settings.pull_token.get_secret_value()
    with Ams(settings.pull_url, settings.pull_project, token, settings.pull_ca) as ams:
        inbox = Inbox(db, settings.inbox_max_waiting)
        yield Puller(ams, settings.pull_subscription, db, inbox, settings.pull_at_most, settings.pull_poll_s)
