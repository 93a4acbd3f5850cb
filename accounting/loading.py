"""From a message in the inbox to counted records and refused ones: the one pipeline, for every way in.

A message is judged and loaded in one transaction: either its verdict, its records, its refusals and the notes
for the summariser are all there, or nothing is and the message waits again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting import inbox, quarantine, seen, signatures, summaries
from accounting.formats import recognise
from accounting.formats.records import Judging, Note, Reading, Unreadable
from accounting.models import Message
from accounting.quarantine import Refusal
from accounting.settings import AccountingSettings
from accounting.signatures import Directory, Envelope, Speaker
from accounting.stores import Placed, store_for
from hanse.database import Database, is_connection_loss
from hanse.errors import Refused, Unavailable
from hanse.follow import Follower
from hanse.identity.trust import TrustStore

MOST_ATTEMPTS = 5
NEVER = datetime.min.replace(tzinfo=UTC)
ABOUT_THE_REGISTRY = frozenset({"unknown_signer", "signer_lapsed", "not_signers_site", "unknown_site"})
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Selection:
    """A part of a message: records by number (None = all), judged as if their SiteName were `as_site`."""

    numbers: frozenset[int] | None = None
    as_site: str | None = None


WHOLE = Selection()


@dataclass
class Verdict:
    """What a message amounts to: whose it is, its good rows by site, its refused records, and remarks by
    site.
    """

    site: str
    signer: str = ""
    statement: bytes = b""
    format: str = ""
    records: int = 0
    placed: dict[str, list[tuple[int, object]]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    remarks: dict[str, list[tuple[int, Note]]] = field(default_factory=dict)
    unreadable: Unreadable | None = None

    @property
    def loaded(self) -> int:
        """How many records are good."""
        return sum(map(len, self.placed.values()))

    def asks_the_registry(self) -> bool:
        """Whether a newer copy of the registry might judge otherwise."""
        codes = {refusal.faults[0].code for refusal in self.refusals}
        return bool(codes & ABOUT_THE_REGISTRY)


@dataclass(frozen=True)
class Outcome:
    """What came of one message: its number, state and counts, and the reason when all of it was refused."""

    message: int
    state: str
    records: int
    loaded: int
    refused: int
    remarked: int
    reason: str


class _AskRegistryFirst(Exception):
    """Roll back and look at the registry before refusing."""


@dataclass
class Loader:
    """Judges and loads messages. `refresh` brings the copy of the registry up to date (None = cannot)."""

    db: Database
    envelope: Envelope
    future_tolerance_s: int = 3600
    refresh: Callable[[], object] | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _refreshed_at: datetime = NEVER

    def load_next(self) -> Outcome | None:
        """Load the oldest waiting message that nobody else has; None when there is none."""
        return self._load(None, WHOLE, "")

    def load(self, number: int, selection: Selection = WHOLE, by: str = "") -> Outcome | None:
        """Load message `number`, or load it (or the selected records of it) again, on behalf of `by`."""
        return self._load(number, selection, by)

    def _load(self, number: int | None, selection: Selection, by: str) -> Outcome | None:
        try:
            return self._attempt(number, selection, by, ask_first=True)
        except _AskRegistryFirst:
            self.look_at_registry()
            return self._attempt(number, selection, by, ask_first=False)

    def _attempt(
        self, number: int | None, selection: Selection, by: str, *, ask_first: bool
    ) -> Outcome | None:
        claimed: int | None = None
        try:
            with self.db.transaction() as session:
                message = inbox.claim(session, number)
                if message is None:
                    return None
                claimed = message.id
                known = signatures.directory(session)
                verdict = self.judge(message, known, selection)
                if ask_first and verdict.asks_the_registry() and self._may_refresh(message):
                    raise _AskRegistryFirst
                if verdict.unreadable and message.state == "loaded":
                    # What was counted once stays counted; a replay that cannot even open the message changes
                    # nothing.
                    raise Refused(verdict.unreadable.reason)
                return self._write(session, message, verdict, selection, by)
        except (_AskRegistryFirst, Refused):
            raise
        except Exception as error:
            if claimed is None or is_connection_loss(error):
                raise
            log.exception("message could not be processed", message=claimed)
            return self._note_failure(claimed, error)

    def judge(self, message: Message, known: Directory, selection: Selection = WHOLE) -> Verdict:
        """Open, verify, read and place a message. Writes nothing."""
        verdict = Verdict(site=message.sender_site)
        try:
            speaker, content = self._open(message, known, verdict)
            format_, _, notes = recognise(_decoded(content))
            verdict.format = format_.title
            judging = Judging(int(message.received_at.timestamp()), self.future_tolerance_s)
            for reading in format_.read(_decoded(content), judging):
                verdict.records += 1
                if selection.numbers is None or reading.number in selection.numbers:
                    _judge_record(verdict, reading, speaker, known, selection.as_site)
        except Unreadable as bad:
            verdict.unreadable = bad
            verdict.refusals = [_whole(verdict.site, bad)]
            verdict.placed, verdict.remarks, verdict.records = {}, {}, 0
            return verdict
        if not verdict.records:
            notes.append(Note("no_records", "", None, "The message has a header and no records."))
        if notes:
            verdict.remarks.setdefault(verdict.site, []).extend((0, note) for note in notes)
        return verdict

    def _open(self, message: Message, known: Directory, verdict: Verdict) -> tuple[Speaker, bytes]:
        if message.code == inbox.NOT_BASE64:
            raise Unreadable(message.code, message.reason)
        if not message.body.strip():
            raise Unreadable(
                "empty_message", "The message is empty; send the records with their header line."
            )
        speaker, opened = signatures.hear(self.envelope, message, known)
        verdict.signer, verdict.statement = opened.signer, opened.statement
        if speaker.sites:
            verdict.site = message.sender_site if message.sender_site in speaker.sites else min(speaker.sites)
        return speaker, opened.content

    def _write(
        self, session: Session, message: Message, verdict: Verdict, selection: Selection, by: str
    ) -> Outcome:
        _lock_sites(session, verdict.placed)
        again = seen.count_as_first_received(session, message, verdict.statement)
        if again is not None:
            verdict.remarks.setdefault(verdict.site, []).append((0, again))
        until = _store(self.db, session, message, verdict)
        quarantine.keep(session, message, verdict.refusals)
        for site, notes in verdict.remarks.items():
            quarantine.remark(session, message, site, notes)
        numbers = [number for rows in verdict.placed.values() for number, _ in rows]
        if verdict.unreadable is None:
            numbers.append(
                0
            )  # a refusal of the whole message is settled: its records are judged one by one now
        now = self.now()
        quarantine.settle(session, message.id, numbers, by, now)
        summaries.note_publishing(session, message.id, message.received_at, until)
        _conclude(session, message, verdict, selection, now)
        return _outcome(message, verdict)

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
            message = inbox.claim(session, number)
            assert message is not None
            message.attempts += 1
            wait = timedelta(seconds=min(10 * 4**message.attempts, 3600))
            message.retry_at = self.now() + wait
            if message.attempts < MOST_ATTEMPTS or message.state != "waiting":
                return Outcome(number, message.state, 0, 0, 0, 0, f"{type(error).__name__}: {error}")
            reason = (
                f"The loader failed {message.attempts} times on this message ({type(error).__name__}); nothing of it"
                " is counted. The operator finds the cause in the log and replays it."
            )
            bad = Unreadable("not_processed", reason)
            verdict = Verdict(message.site, unreadable=bad, refusals=[_whole(message.site, bad)])
            quarantine.keep(session, message, verdict.refusals)
            _conclude(session, message, verdict, WHOLE, self.now())
            return _outcome(message, verdict)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(
            "not_utf8",
            f"Byte {error.start + 1} of the message (line {line}) is 0x{content[error.start]:02x}, which is not UTF-8."
            " Encode names as UTF-8 and send the message again.",
            line,
        ) from None


def _whole(site: str, bad: Unreadable) -> Refusal:
    note = Note(bad.code, "", bad.line, bad.reason)
    return Refusal(site, [note], Reading(number=0, line=1, raw="", subject="whole message"))


def _judge_record(
    verdict: Verdict, reading: Reading, speaker: Speaker, known: Directory, as_site: str | None
) -> None:
    if as_site is not None:
        reading.site_name = as_site
        reading.faults = [fault for fault in reading.faults if fault.field != "SiteName"]
    if reading.faults or reading.row is None:
        verdict.refusals.append(Refusal(_whose(verdict, reading, known), reading.faults, reading))
        return
    where = signatures.place(reading, speaker, known)
    if isinstance(where, Note):
        verdict.refusals.append(Refusal(_whose(verdict, reading, known), [where], reading))
        return
    verdict.placed.setdefault(where, []).append((reading.number, reading.row))
    verdict.remarks.setdefault(where, []).extend((reading.number, note) for note in reading.remarks)
    verdict.site = verdict.site or where


def _whose(verdict: Verdict, reading: Reading, known: Directory) -> str:
    """The site that gets to see a refused record: the signer's, else (administrator's files) the one it
    names.
    """
    if verdict.site:
        return verdict.site
    called = known.called(reading.site_name)
    return next(iter(called)) if len(called) == 1 else ""


def _lock_sites(session: Session, sites: Iterable[str]) -> None:
    """Take the lock of each site until the transaction ends: two loaders never write records of one site at once."""
    for site in sorted(sites):
        session.execute(text("select pg_advisory_xact_lock(hashtextextended(:site, 7))"), {"site": site})


def _store(db: Database, session: Session, message: Message, verdict: Verdict) -> list[tuple[str, datetime]]:
    """Hand the good rows to the stores of their types; returns until when each site told of usage."""
    by_type: dict[type, dict[str, list[tuple[int, object]]]] = {}
    for site, rows in verdict.placed.items():
        for number, row in rows:
            by_type.setdefault(type(row), {}).setdefault(site, []).append((number, row))
    due: list[tuple[str, str, date]] = []
    until: dict[str, int] = {}
    for row_type, by_site in by_type.items():
        store = store_for(row_type)
        placed = [Placed(site, message.id, message.receipt, rows) for site, rows in by_site.items()]
        touched = store.store(db, session, placed)
        due.extend((store.kind, site, month) for site, month in touched.months)
        for said in touched.said:
            verdict.remarks.setdefault(said.site, []).append((said.record, said.note))
        for site, rows in by_site.items():
            until[site] = max(until.get(site, 0), *(store.until(row) for _, row in rows))
    summaries.mark_due(session, due)
    return [(site, datetime.fromtimestamp(seconds, UTC)) for site, seconds in until.items()]


def _conclude(
    session: Session, message: Message, verdict: Verdict, selection: Selection, now: datetime
) -> None:
    """The message's own row: verdict and counts. A replay of some records moves them from refused to loaded."""
    message.judged_at, message.retry_at = now, None
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
    session.flush()


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
    return Loader(db, envelope, settings.future_tolerance_s, refresh)
