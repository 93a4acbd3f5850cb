"""What was refused: kept with its reason until it is replayed or discarded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import and_, case, func, literal, null, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounting.formats.records import Note, Reading
from accounting.inbox import plain
from accounting.models import Message, RefusedRecord, Remark
from hanse.errors import NotFound

SHOWN_BYTES = 65_536
MOST_REMARKS = 200
MOST_FAULTS = 100


@dataclass(frozen=True)
class Cause:
    """A reason in general: its title, who mends it and how, and whether a replay can succeed without a
    resend.
    """

    title: str
    mend: str
    replayable: bool = False


CAUSES: dict[str, Cause] = {
    "not_signers_site": Cause(
        "SiteName is not one of the signer's sites", "The site: set site_name in its publisher", True
    ),
    "unknown_site": Cause("SiteName is not in the registry", "The operator: register the site", True),
    "ambiguous_site": Cause("SiteName belongs to several sites", "The operator: one site a name", True),
    "unknown_signer": Cause(
        "The signing certificate is not registered", "The site: add it to its host certificates", True
    ),
    "signer_lapsed": Cause(
        "The registration of the certificate was not valid", "The site: register it anew", True
    ),
    "bad_signature": Cause("The signature does not hold", "The site: certificate, CA or transport"),
    "not_signed": Cause("The message is not signed", "The site: sign with the host certificate"),
    "not_decrypted": Cause("The message cannot be decrypted", "The site: encrypt for this server, or do not"),
    "not_base64": Cause("The data attribute is not base64", "The site: its publisher"),
    "not_utf8": Cause("The message is not UTF-8", "The site: encoding of names"),
    "empty_message": Cause("The message is empty", "The site: its publisher"),
    "unknown_format": Cause("The format is not read here", "The operator: load this format", True),
    "not_processed": Cause("The loader failed on the message", "The operator: see the log", True),
    "end_before_start": Cause("EndTime is before StartTime", "The site: clock of the machine"),
    "time_in_future": Cause("A time lies in the future", "The site: clock of the machine"),
    "bad_value": Cause("A value does not fit its field", "The site: its exporter"),
    "missing_field": Cause("A mandatory field is missing", "The site: its exporter"),
    "no_time": Cause("The record has no time", "The site: its exporter"),
    "line_without_colon": Cause("A line has no colon", "The site: its exporter"),
    "separator_in_value": Cause("%% stands inside a value", "The site: names without %%"),
    "name_too_long": Cause("A key is too long", "The site: shorter names"),
    "archived": Cause(
        "The raw message lies in the archive", "The operator: hanse accounting restore, then replay", True
    ),
    "redacted": Cause("A name in the message was replaced on request", "The site: send the records again"),
    "month_archived": Cause(
        "The month is archived", "The operator: hanse accounting restore, then replay", True
    ),
    "outside_of_month": Cause("A time lies outside of the summary's month", "The site: its exporter"),
    "mixed_benchmarks": Cause("Two figures are of different benchmarks", "The site: its exporter"),
    "broken_json": Cause("The text is no JSON", "The site: its exporter"),
    "broken_xml": Cause("The text is no XML", "The site: its exporter"),
    "doctype": Cause("The XML declares a document type", "The site: its exporter"),
    "no_record_list": Cause("The JSON has no list of records", "The site: its exporter"),
    "not_a_record": Cause("An element is no record", "The site: its exporter"),
    "nul_in_text": Cause("A NUL character in a text", "The site: its exporter"),
}
REMARKS: dict[str, str] = {
    "cpu_beyond_wall": "CPU above wall × cores",
    "wall_beyond_life": "wall time above the machine's life",
    "unknown_field": "unknown field",
    "unknown_status": "unknown status",
    "unknown_version": "unknown version",
    "name_cut": "name cut to its limit",
    "completed_without_end": "completed without EndTime",
    "no_wall": "no wall time stated",
    "no_cpu": "no CPU time stated",
    "no_records": "message without records",
    "sent_before": "the same signed message again",
    "repeated_record": "same machine and time twice",
    "reset": "counter began anew",
    "cpu_reset": "CPU counter fell",
    "resize": "CPU fell with a resize",
    "told_twice": "a month told in two ways",
    "no_service_level": "no ServiceLevel",
    "zero_service_level": "ServiceLevel 0",
    "unknown_infrastructure": "neither grid nor local",
    "no_duration": "storage without duration",
    "negative_sum": "a sum below zero, counted as 0",
    "reaches_into_archive": "reaches into an archived month",
    "beyond_month": "accelerator available for more than its month",
    "active_beyond_available": "accelerator active for longer than available",
    "unknown_accelerator": "unknown type of accelerator",
}


def cause(code: str) -> Cause:
    """The general reason for a code; one that newer code wrote shows itself."""
    return CAUSES.get(code, Cause(code, "The site"))


@dataclass(frozen=True)
class Refusal:
    """One record to keep: whose it is, its faults (the first is shown), and as much of it as could be read."""

    site: str
    faults: Sequence[Note]
    reading: Reading


def keep(session: Session, message: Message, refusals: Iterable[Refusal]) -> None:
    """Write refusals of a message. One that was refused before is renewed; one that was discarded stays
    discarded, and one that was replayed is refused again.
    """
    replayed = RefusedRecord.state == "replayed"
    reopened = {
        "state": case((replayed, "refused"), else_=RefusedRecord.state),
        "decided_at": case((replayed, null()), else_=RefusedRecord.decided_at),
        "decided_by": case((replayed, ""), else_=RefusedRecord.decided_by),
    }
    rows = [_row(message, refusal) for refusal in refusals]
    for start in range(0, len(rows), 500):
        statement = insert(RefusedRecord).values(rows[start : start + 500])
        renewed = {name: statement.excluded[name] for name in rows[0] if name not in ("message_id", "record")}
        once = ["message_id", "record"]
        session.execute(statement.on_conflict_do_update(index_elements=once, set_=renewed | reopened))


def _row(message: Message, refusal: Refusal) -> dict[str, object]:
    first, reading = refusal.faults[0], refusal.reading
    month = date(reading.month // 12, reading.month % 12 + 1, 1) if reading.month else None
    return {
        "message_id": message.id, "record": reading.number, "site": refusal.site,
        "site_name": plain(reading.site_name)[:255], "code": first.code, "field": plain(first.field)[:255],
        "line": first.line, "reason": plain(first.reason),
        "faults": [_fault(fault) for fault in refusal.faults[:MOST_FAULTS]],
        "first_line": reading.line, "raw": plain(reading.raw), "subject": plain(reading.subject)[:255],
        "vo": plain(reading.vo)[:255], "cpu_s": reading.cpu_s, "month": month, "received_at": message.received_at,
    }  # fmt: skip


def _fault(note: Note) -> dict[str, object]:
    return asdict(note) | {"reason": plain(note.reason), "field": plain(note.field)}


def settle(
    session: Session, message_id: int, numbers: Sequence[int], by: str, at: datetime, site: str = ""
) -> None:
    """Mark refused records of a message that have been counted now, for `site`."""
    session.execute(
        update(RefusedRecord)
        .where(
            RefusedRecord.message_id == message_id,
            RefusedRecord.record.in_(numbers),
            RefusedRecord.state == "refused",
        )
        .values(state="replayed", decided_at=at, decided_by=by, counted_for=site)
    )


def discard(session: Session, site: str, ids: Sequence[int], by: str, at: datetime, why: str = "") -> int:
    """Take refused records off the list; they stay readable, and can be taken back. Returns how many."""
    statement = (
        update(RefusedRecord)
        .where(RefusedRecord.site == site, RefusedRecord.id.in_(ids), RefusedRecord.state == "refused")
        .values(state="discarded", decided_at=at, decided_by=by, decided_why=plain(why))
    )
    return len(session.scalars(statement.returning(RefusedRecord.id)).all())


def take_back(session: Session, site: str, ids: Sequence[int]) -> int:
    """Put discarded records back among the refused ones. Returns how many."""
    statement = (
        update(RefusedRecord)
        .where(RefusedRecord.site == site, RefusedRecord.id.in_(ids), RefusedRecord.state == "discarded")
        .values(state="refused", decided_at=None, decided_by="", decided_why="")
    )
    return len(session.scalars(statement.returning(RefusedRecord.id)).all())


def remark(session: Session, message: Message, site: str, notes: Sequence[tuple[int, Note]]) -> None:
    """Write remarks on counted records of a message, (record, note) each, gathered by code and field.

    Beyond `MOST_REMARKS` of them further fields stand together under their code: a message of a hundred thousand
    invented fields must not make as many rows.
    """
    gathered: dict[tuple[str, str], dict[str, object]] = {}
    counts: dict[tuple[str, str], int] = {}
    for number, note in notes:
        key = (note.code, plain(note.field)[:255])
        if key not in gathered and len(gathered) >= MOST_REMARKS:
            key = (note.code, "")
        counts[key] = counts.get(key, 0) + 1
        gathered.setdefault(
            key,
            {
                "record": number,
                "line": note.line,
                "reason": plain(note.reason),
                "received_at": message.received_at,
            },
        )
    for (code, field), row in gathered.items():
        statement = insert(Remark).values(
            message_id=message.id, site=site, code=code, field=field, records=counts[code, field], **row
        )
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["message_id", "site", "code", "field"],
                set_={"records": statement.excluded.records, "reason": statement.excluded.reason},
            )
        )


def remarks(
    session: Session,
    site: str,
    *,
    since: datetime,
    code: str | None = None,
    after: tuple[int, str, str] | None = None,
    limit: int = 51,
) -> list[Remark]:
    """Remarks on records of a site, newest message first, after (message, code, field)."""
    statement = select(Remark).where(Remark.site == site, Remark.received_at >= since)
    if code:
        statement = statement.where(Remark.code == code)
    if after is not None:
        message, *rest = after
        later = tuple_(Remark.code, Remark.field) > tuple_(*map(literal, rest))
        statement = statement.where(
            or_(Remark.message_id < message, and_(Remark.message_id == message, later))
        )
    ordered = statement.order_by(Remark.message_id.desc(), Remark.code, Remark.field)
    return list(session.scalars(ordered.limit(limit)))


def remark_counts(session: Session, site: str, since: datetime) -> list[tuple[str, int]]:
    """(code, records) of the remarks on records of a site, most records first."""
    records = func.sum(Remark.records)
    statement = select(Remark.code, records).where(Remark.site == site, Remark.received_at >= since)
    ordered = statement.group_by(Remark.code).order_by(records.desc(), Remark.code)
    return [(code, int(many)) for code, many in session.execute(ordered)]


@dataclass(frozen=True)
class Group:
    """Refused records of one site with one cause and field."""

    code: str
    field: str
    records: int
    first: datetime
    latest: datetime

    @property
    def cause(self) -> Cause:
        """The cause in words."""
        return cause(self.code)


def groups(session: Session, site: str, since: datetime | None, state: str = "refused") -> list[Group]:
    """Why records of a site were refused, most records first."""
    received = RefusedRecord.received_at
    statement = (
        select(RefusedRecord.code, RefusedRecord.field, func.count(), func.min(received), func.max(received))
        .where(RefusedRecord.site == site, RefusedRecord.state == state)
        .group_by(RefusedRecord.code, RefusedRecord.field)
        .order_by(func.count().desc(), RefusedRecord.code)
    )
    if since is not None:
        statement = statement.where(RefusedRecord.received_at >= since)
    return [Group(*row) for row in session.execute(statement)]


def records(
    session: Session, site: str, *, state: str, since: datetime | None, code: str | None, field: str | None,
    before: int | None = None, limit: int = 20,
) -> list[RefusedRecord]:  # fmt: skip
    """Refused records of a site, newest message first; `before` is the id to go on from."""
    statement = select(RefusedRecord).where(RefusedRecord.site == site, RefusedRecord.state == state)
    if since is not None:
        statement = statement.where(RefusedRecord.received_at >= since)
    if code is not None:
        statement = statement.where(RefusedRecord.code == code)
    if field is not None:
        statement = statement.where(RefusedRecord.field == field)
    if before is not None:
        statement = statement.where(RefusedRecord.id < before)
    return list(session.scalars(statement.order_by(RefusedRecord.id.desc()).limit(limit)))


def one(session: Session, site: str, number: int) -> RefusedRecord:
    """A refused record of a site. Raises NotFound."""
    row = session.get(RefusedRecord, number)
    if row is None or row.site != site:
        raise NotFound(f"There is no refused record {number} of {site or 'nobody'}.")
    return row


def raw_text(session: Session, row: RefusedRecord) -> str:
    """The text of a record as it came; of a whole message its first part, as far as it is text."""
    if row.record:
        return row.raw
    body = session.scalars(
        select(func.substr(Message.body, 1, SHOWN_BYTES)).where(Message.id == row.message_id)
    ).one()
    return plain(bytes(body).decode("utf-8", "replace"))


SHORT = {
    "not_signers_site": "not a site of the signer",
    "unknown_site": "not a site of the registry",
    "ambiguous_site": "used by several sites",
    "end_before_start": "before StartTime",
    "time_in_future": "in the future",
    "bad_value": "does not fit the field",
    "line_without_colon": "no colon",
    "separator_in_value": "%% inside a line",
    "name_too_long": "too long for a key",
    "nul_in_text": "NUL character",
    "not_utf8": "not UTF-8",
    "unknown_format": "no header that is read here",
}


def short(code: str) -> str:
    """The reason in a few words, to stand beside the line."""
    return SHORT.get(code, cause(code).title.lower())


@dataclass(frozen=True)
class Figures:
    """A site in figures: 7 days of messages and records, hours that are refused still, 30 days of replays."""

    messages: int
    records: int
    loaded: int
    refused: int
    last_message_at: datetime | None
    hours_not_counted: float
    oldest: datetime | None
    remarks: int
    remark: str
    replayed: int
    replayed_at: datetime | None
    replayed_by: str


def figures(session: Session, site: str, now: datetime) -> Figures:
    """The key figures of a site's page of refused records."""
    week, month = now - timedelta(days=7), now - timedelta(days=30)
    messages, records_, loaded, last = session.execute(
        select(
            func.count(), func.coalesce(func.sum(Message.records), 0), func.coalesce(func.sum(Message.loaded), 0),
            func.max(Message.received_at),
        ).where(Message.site == site, Message.received_at >= week)
    ).one()  # fmt: skip
    open_ = (RefusedRecord.site == site, RefusedRecord.state == "refused")
    recent = func.count().filter(RefusedRecord.received_at >= week)
    hours = func.coalesce(func.sum(RefusedRecord.cpu_s), 0) / 3600.0
    refused, not_counted, oldest = session.execute(
        select(recent, hours, func.min(RefusedRecord.received_at)).where(*open_)
    ).one()
    remarks = session.execute(
        select(Remark.code, func.sum(Remark.records))
        .where(Remark.site == site, Remark.received_at >= week)
        .group_by(Remark.code)
        .order_by(func.sum(Remark.records).desc())
    ).all()
    replayed = (
        RefusedRecord.site == site,
        RefusedRecord.state == "replayed",
        RefusedRecord.decided_at >= month,
    )
    latest = session.scalars(
        select(RefusedRecord).where(*replayed).order_by(RefusedRecord.decided_at.desc()).limit(1)
    ).first()
    return Figures(
        messages=messages, records=int(records_), loaded=int(loaded), refused=int(refused), last_message_at=last,
        hours_not_counted=float(not_counted or 0), oldest=oldest,
        remarks=int(sum(each[1] for each in remarks)),
        remark=REMARKS.get(remarks[0][0], remarks[0][0]) if remarks else "",
        replayed=session.scalar(select(func.count()).select_from(RefusedRecord).where(*replayed)) or 0,
        replayed_at=latest.decided_at if latest else None, replayed_by=latest.decided_by if latest else "",
    )  # fmt: skip
