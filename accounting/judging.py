"""What a message amounts to: whose it is, which records are good, which are refused and why. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from accounting import inbox, signatures
from accounting.formats import recognise
from accounting.formats.records import Bulk, Judging, Note, Reading, Unreadable
from accounting.models import Message
from accounting.quarantine import Refusal
from accounting.signatures import Directory, Envelope, Speaker

ABOUT_THE_REGISTRY = frozenset({"unknown_signer", "signer_lapsed", "not_signers_site", "unknown_site"})


@dataclass(frozen=True)
class Selection:
    """A part of a message: records by number (None = all), judged as if their SiteName were `as_site`.

    `named`: only these are judged so (None = all). `within`: nothing but the records of this site and month.
    """

    numbers: frozenset[int] | None = None
    as_site: str | None = None
    named: frozenset[int] | None = None
    within: tuple[str, date] | None = None

    def holds(self, reading: Reading) -> bool:
        """Whether a record is chosen, as far as its number and month tell."""
        if self.numbers is not None and reading.number not in self.numbers:
            return False
        month = self.within and self.within[1]
        return month is None or reading.month == month.year * 12 + month.month - 1

    def site_for(self, number: int) -> str | None:
        """The site that a record is judged for; None = as it says."""
        return self.as_site if self.named is None or number in self.named else None


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

    def say(self, site: str, record: int, note: Note) -> None:
        """Add a remark."""
        self.remarks.setdefault(site, []).append((record, note))


def judge(
    message: Message,
    known: Directory,
    envelope: Envelope,
    future_tolerance_s: int,
    selection: Selection = WHOLE,
) -> Verdict:
    """Open, verify, read and place a message."""
    verdict = Verdict(site=message.sender_site)
    try:
        speaker, content = _open(message, known, envelope, verdict)
        text = _decoded(content)
        format_, _, notes = recognise(text)
        verdict.format = format_.title
        judging = Judging(int(message.received_at.timestamp()), future_tolerance_s)
        bulk = format_.bulk(text, judging) if format_.bulk and selection == WHOLE else None
        if bulk is not None:
            _judge_bulk(verdict, bulk, speaker, known)
        else:
            for reading in format_.read(text, judging):
                verdict.records += 1
                if selection.holds(reading):
                    _judge_record(verdict, reading, speaker, known, selection.site_for(reading.number))
            _leave(verdict, selection, known)
    except Unreadable as bad:
        return refused(verdict.site, bad, verdict)
    verdict.site = verdict.site or min(verdict.placed, default="")
    if not verdict.records:
        notes.append(Note("no_records", "", None, "The message has a header and no records."))
    for note in notes:
        verdict.say(verdict.site, 0, note)
    return verdict


def refused(site: str, bad: Unreadable, found: Verdict | None = None) -> Verdict:
    """The verdict on a message of which nothing counts; `found` is what was found out about it before."""
    refusal = Refusal(
        site,
        [Note(bad.code, "", bad.line, bad.reason)],
        Reading(number=0, line=1, raw="", subject="whole message"),
    )
    verdict = Verdict(site, refusals=[refusal], unreadable=bad)
    if found is not None:
        verdict.signer, verdict.statement, verdict.format = found.signer, found.statement, found.format
    return verdict


def _open(message: Message, known: Directory, envelope: Envelope, verdict: Verdict) -> tuple[Speaker, bytes]:
    if message.code == inbox.NOT_BASE64:
        raise Unreadable(message.code, message.reason)
    if message.archived_at is not None:
        raise Unreadable(
            "archived",
            f"The raw message lies in the archive. The operator brings it back (hanse accounting restore"
            f" {message.received_at:%Y-%m}); then replay.",
        )
    if message.redacted_at is not None:
        raise Unreadable(
            "redacted",
            "A name in this message was replaced on request, so its signature holds no longer and it cannot be"
            " replayed. Send the records again.",
        )
    if not message.body.strip():
        raise Unreadable("empty_message", "The message is empty; send the records with their header line.")
    speaker, opened = signatures.hear(envelope, message, known)
    verdict.signer, verdict.statement = opened.signer, opened.statement
    if speaker.sites:
        verdict.site = message.sender_site if message.sender_site in speaker.sites else min(speaker.sites)
    return speaker, opened.content


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


def _judge_bulk(verdict: Verdict, bulk: Bulk, speaker: Speaker, known: Directory) -> None:
    """Place the good records of each SiteName together; those with anything to say about are judged alone."""
    verdict.records = bulk.records
    alone = set(bulk.odd)
    for site_name, rows in bulk.plain.items():
        where = signatures.place(Reading(0, 1, "", site_name=site_name), speaker, known)
        if isinstance(where, Note):
            alone.update(number for number, _ in rows)
        else:
            verdict.placed.setdefault(where, []).extend(rows)
    for reading in bulk.careful(alone) if alone else ():
        _judge_record(verdict, reading, speaker, known, None)
    for rows in verdict.placed.values():
        rows.sort(key=_number)


def _number(numbered: tuple[int, object]) -> int:
    return numbered[0]


def _judge_record(
    verdict: Verdict, reading: Reading, speaker: Speaker, known: Directory, as_site: str | None
) -> None:
    if as_site is not None:
        reading.site_name = as_site
        if reading.row is not None:  # without a row the fault of its SiteName is why there is none
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


def _leave(verdict: Verdict, selection: Selection, known: Directory) -> None:
    """Of records of several sites, leave those of the chosen one alone."""
    if selection.within is None:
        return
    site, _ = selection.within
    verdict.placed = {one: rows for one, rows in verdict.placed.items() if one == site}
    verdict.remarks = {one: notes for one, notes in verdict.remarks.items() if one == site}
    verdict.refusals = [
        refusal
        for refusal in verdict.refusals
        if refusal.reading.number in (selection.named or ())
        or site in known.called(refusal.reading.site_name)
    ]


def _whose(verdict: Verdict, reading: Reading, known: Directory) -> str:
    """The site that gets to see a refused record: the signer's, else (administrator's files) the one it
    names.
    """
    if verdict.site:
        return verdict.site
    called = known.called(reading.site_name)
    return next(iter(called)) if len(called) == 1 else ""
