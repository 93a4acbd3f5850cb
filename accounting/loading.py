"""From messages in the inbox to counted records and refused ones: the one pipeline, for every way in.

A message is judged and loaded in one transaction, alone or with others: either its verdict, its records, its
refusals and the notes for the summariser are all there, or nothing is and the message waits again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from accounting import inbox, judging, pseudonyms, quarantine, seen, signatures, summaries
from accounting.archive.kept import LOADING
from accounting.archive.turning import turn_away
from accounting.formats.records import Unreadable
from accounting.judging import WHOLE, Verdict
from accounting.judging import Selection as Selection
from accounting.models import Message
from accounting.settings import AccountingSettings
from accounting.signatures import Directory, Envelope
from accounting.stores import Placed, store_for
from hanse.database import Database, is_connection_loss, is_out_of_room
from hanse.errors import Refused, Unavailable
from hanse.follow import Follower
from hanse.identity.trust import TrustStore

MOST_ATTEMPTS = 5
NEVER = datetime.min.replace(tzinfo=UTC)
Claim = Callable[[Session], Sequence[Message]]
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What came of one message: its number, state and counts, and the reason when all of it was refused.

    `failed`: nothing came of it, since it could not be opened again or the loader failed; `reason` says why.
    """

    message: int
    state: str
    records: int
    loaded: int
    refused: int
    remarked: int
    reason: str
    failed: bool = False


def says_nothing(error: Exception) -> bool:
    """Whether no message is at fault: the database is away, has no room or gave another the way, or this process lacks
    the key of the pseudonyms. Then everything waits.
    """
    away = is_connection_loss(error) or is_out_of_room(error) or collided(error)
    return away or isinstance(error, pseudonyms.KeyMissing)


def collided(error: Exception) -> bool:
    """Whether PostgreSQL ended the transaction in favour of another: a deadlock, or no serial order."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in ("40P01", "40001")


class _AskRegistryFirst(Exception):
    """Roll back and look at the registry before refusing."""


@dataclass
class Loader:
    """Judges and loads messages. `refresh` brings the copy of the registry up to date (None = cannot); under
    `pseudonym_key` names are known that must not be stored.
    """

    db: Database
    envelope: Envelope
    future_tolerance_s: int = 3600
    refresh: Callable[[], object] | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    pseudonym_key: str = ""
    _refreshed_at: datetime = NEVER

    def load_batch(self) -> list[Outcome]:
        """Load several waiting messages at once, a few sites' that no other loader is busy with; [] when none waits.

        Messages that cannot be loaded together are loaded one by one.
        """
        claimed: list[int] = []
        try:
            return self._load(inbox.claim_batch, claimed)
        except Exception as error:
            if not claimed or says_nothing(error):
                raise
            log.exception("messages could not be loaded together", messages=claimed)
            if len(claimed) == 1:
                return [self._note_failure(claimed[0], error)]
        outcomes = [self._load_if_waiting(number) for number in claimed]
        return [outcome for outcome in outcomes if outcome is not None]

    def load_next(self) -> Outcome | None:
        """Load the oldest waiting message that nobody else has; None when there is none."""
        return self._load_one(inbox.claim_next, WHOLE, "")

    def load(self, number: int, selection: Selection = WHOLE, by: str = "") -> Outcome | None:
        """Load message `number`, or load it (or the selected records of it) again, on behalf of `by`."""
        return self._load_one(lambda session: inbox.claim(session, number), selection, by)

    def load_again(self, number: int, selection: Selection, by: str) -> Outcome | None:
        """As `load`, among others that must not wait for it: what cannot be opened any more has failed."""
        try:
            return self.load(number, selection, by)
        except Refused as refused:
            return Outcome(number, "loaded", 0, 0, 0, 0, refused.detail, failed=True)

    def _load_if_waiting(self, number: int) -> Outcome | None:
        def claim(session: Session) -> list[Message]:
            return [message for message in inbox.claim(session, number) if message.state == "waiting"]

        return self._load_one(claim, WHOLE, "")

    def _load_one(self, claim: Claim, selection: Selection, by: str) -> Outcome | None:
        claimed: list[int] = []
        try:
            outcomes = self._load(claim, claimed, selection, by)
        except Refused:
            raise
        except Exception as error:
            if not claimed or says_nothing(error):
                raise
            log.exception("message could not be processed", message=claimed[0])
            return self._note_failure(claimed[0], error)
        return outcomes[0] if outcomes else None

    def _load(
        self, claim: Claim, claimed: list[int], selection: Selection = WHOLE, by: str = ""
    ) -> list[Outcome]:
        try:
            return self._attempt(claim, claimed, selection, by, ask_first=True)
        except _AskRegistryFirst:
            self.look_at_registry()
            return self._attempt(claim, claimed, selection, by, ask_first=False)

    def _attempt(
        self, claim: Claim, claimed: list[int], selection: Selection, by: str, *, ask_first: bool
    ) -> list[Outcome]:
        """One transaction; fills `claimed` with the numbers of its messages as soon as they are known."""
        with self.db.transaction() as session:
            # before any message: who archives or replaces a name waits for loaders first and for messages then
            session.execute(LOADING)
            messages = claim(session)
            claimed[:] = [message.id for message in messages]
            if not messages:
                return []
            if all(message.state == "waiting" for message in messages):
                # Lost in a crash of the database, the transaction is lost whole, and the messages wait again. A
                # replay is told to somebody as done, and so it is safe first.
                session.execute(text("set local synchronous_commit = off"))
            known = signatures.directory(session)
            judged = [(message, self.judge(message, known, selection)) for message in messages]
            for message, verdict in judged:
                if ask_first and verdict.asks_the_registry() and self._may_refresh(message):
                    raise _AskRegistryFirst
                if verdict.unreadable and message.state == "loaded":
                    # What was counted once stays counted; a replay that cannot even open the message changes
                    # nothing.
                    raise Refused(verdict.unreadable.reason)
            return self._write(session, judged, selection, by)

    def judge(self, message: Message, known: Directory, selection: Selection = WHOLE) -> Verdict:
        """Open, verify, read and place a message. Writes nothing."""
        return judging.judge(message, known, self.envelope, self.future_tolerance_s, selection)

    def _write(
        self, session: Session, judged: Sequence[tuple[Message, Verdict]], selection: Selection, by: str
    ) -> list[Outcome]:
        summaries.lock_sites(session, {site for _, verdict in judged for site in verdict.placed})
        for message, verdict in judged:
            again = seen.count_as_first_received(session, message, verdict.statement)
            if again is not None:
                verdict.say(verdict.site, 0, again)
        verdicts = [verdict for _, verdict in judged]
        turn_away(session, verdicts)
        pseudonyms.hide(session, verdicts, self.pseudonym_key)
        _store(self.db, session, judged)
        now = self.now()
        for message, verdict in judged:
            _keep(session, message, verdict, by, now)
            _conclude(message, verdict, selection, now)
        session.flush()
        return [_outcome(message, verdict) for message, verdict in judged]

    def _may_refresh(self, message: Message) -> bool:
        return self.refresh is not None and self._refreshed_at < max(
            message.received_at, self.now() - timedelta(seconds=5)
        )

    def look_at_registry(self) -> None:
        """Bring the copy of the registry up to date if that is possible now; a registry that is away changes
        nothing.
        """
        self._refreshed_at = self.now()
        try:
            if self.refresh is not None:
                self.refresh()
        except Unavailable as error:
            log.warning("the registry cannot be asked before refusing", error=error.detail)

    def _note_failure(self, number: int, error: Exception) -> Outcome:
        """Count a failure that is ours, not the message's; after the last attempt it is refused so that
        others pass.
        """
        with self.db.transaction() as session:
            (message,) = inbox.claim(session, number)
            message.attempts += 1
            wait = timedelta(seconds=min(10 * 4**message.attempts, 3600))
            message.retry_at = self.now() + wait
            if message.attempts < MOST_ATTEMPTS or message.state != "waiting":
                words = (
                    f"The loader failed on message {number} ({type(error).__name__}); the log has the cause."
                )
                return Outcome(number, message.state, 0, 0, 0, 0, words, failed=True)
            reason = (
                f"The loader failed {message.attempts} times on this message ({type(error).__name__}); nothing of it"
                " is counted. The operator finds the cause in the log and replays it."
            )
            verdict = judging.refused(message.site, Unreadable("not_processed", reason))
            quarantine.keep(session, message, verdict.refusals)
            _conclude(message, verdict, WHOLE, self.now())
            return _outcome(message, verdict)


def _store(db: Database, session: Session, judged: Sequence[tuple[Message, Verdict]]) -> None:
    """Hand the good rows to the stores of their types, and note what must be summed and whom we heard of."""
    due: list[tuple[str, str, date]] = []
    until: dict[str, int] = {}
    by_number = {message.id: verdict for message, verdict in judged}
    for row_type, placed in _by_type(judged).items():
        store = store_for(row_type)
        touched = store.store(db, session, placed)
        due.extend((store.kind, site, month) for site, month in touched.months)
        for said in touched.said:
            by_number[said.message_id].say(said.site, said.record, said.note)
        for each in placed:
            latest = max(map(store.until, map(itemgetter(1), each.rows)))
            until[each.site] = max(until.get(each.site, 0), latest)
    summaries.mark_due(session, due)
    summaries.note_publishing(session, _heard(judged, until))


def _by_type(judged: Sequence[tuple[Message, Verdict]]) -> dict[type, list[Placed[object]]]:
    """The good rows by their type, one Placed a message and site, in the order of the receipts."""
    made: dict[type, list[Placed[object]]] = {}
    for message, verdict in sorted(judged, key=lambda each: each[0].receipt):
        for site, rows in verdict.placed.items():
            for row_type in {type(row) for _, row in rows}:
                of_type = [each for each in rows if type(each[1]) is row_type]
                made.setdefault(row_type, []).append(Placed(site, message.id, message.receipt, of_type))
    return made


def _heard(
    judged: Sequence[tuple[Message, Verdict]], until: dict[str, int]
) -> list[tuple[str, int, datetime, datetime]]:
    """For each site its last message, when that came, and until when its records tell of usage."""
    last: dict[str, Message] = {}
    for message, verdict in judged:
        for site in verdict.placed:
            if site not in last or message.received_at >= last[site].received_at:
                last[site] = message
    return [
        (site, message.id, message.received_at, datetime.fromtimestamp(until[site], UTC))
        for site, message in last.items()
    ]


def _keep(session: Session, message: Message, verdict: Verdict, by: str, now: datetime) -> None:
    """Write what was refused and remarked, and settle what was refused before and counts now."""
    quarantine.keep(session, message, verdict.refusals)
    for site, notes in verdict.remarks.items():
        quarantine.remark(session, message, site, notes)
    if message.judged_at is None:  # the first time there is nothing to settle
        return
    for site, rows in verdict.placed.items():
        quarantine.settle(session, message.id, [number for number, _ in rows], by, now, site)
    if verdict.unreadable is None:
        # a refusal of the whole message is settled: its records are judged one by one now
        quarantine.settle(session, message.id, [0], by, now)


def _conclude(message: Message, verdict: Verdict, selection: Selection, now: datetime) -> None:
    """The message's own row: verdict and counts. A replay of some records moves them from refused to loaded."""
    message.judged_at, message.retry_at = now, None
    if selection.within is not None and verdict.unreadable is None:
        return  # it was counted whole before
    if selection.numbers is not None and verdict.unreadable is None:
        message.loaded += verdict.loaded
        message.refused = max(0, message.refused - verdict.loaded)
        return
    bad = verdict.unreadable
    message.state = "refused" if bad else "loaded"
    message.code, message.reason = (bad.code, bad.reason) if bad else ("", "")
    message.signer, message.format = verdict.signer, verdict.format
    message.site = verdict.site
    message.records, message.loaded = verdict.records, verdict.loaded
    message.refused = len(verdict.refusals) if not bad else 0
    message.remarked = len({number for notes in verdict.remarks.values() for number, _ in notes if number})


def _outcome(message: Message, verdict: Verdict) -> Outcome:
    return Outcome(
        message=message.id,
        state=message.state,
        records=verdict.records,
        loaded=verdict.loaded,
        refused=len(verdict.refusals),
        remarked=message.remarked,
        reason=message.reason,
    )


def counted(outcomes: Sequence[Outcome]) -> tuple[int, int]:
    """(records loaded, records or whole messages refused) over several messages."""
    return sum(each.loaded for each in outcomes), sum(each.refused for each in outcomes)


def make_loader(settings: AccountingSettings, db: Database) -> Loader:
    """The pipeline as the settings say."""
    refresh = None
    if settings.registry_url:
        token = settings.service_token.get_secret_value()
        refresh = Follower(db, "registry", settings.registry_url, token).pull
    envelope = Envelope(TrustStore(settings.trust_dir), settings.tls_cert, settings.tls_key)
    key = settings.pseudonym_key.get_secret_value()
    return Loader(db, envelope, settings.future_tolerance_s, refresh, pseudonym_key=key)
