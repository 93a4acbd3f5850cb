"""An import as it is carried out: planned by doing it and taking it back, then done, in one transaction of one VO.

It can be repeated until the day of the move. Three values meet in each field: ours, theirs, and what theirs was at the
last import. Who changed it since wins; where both did, or where it is the first time and they differ, `prefer` decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, HanseError, Refused
from hanse.identity.principals import Principal
from vomsdb import generic_attributes, lifetimes, members, vos
from vomsdb.importing import structure
from vomsdb.importing.admitting import admit
from vomsdb.importing.judged import Judged, judged
from vomsdb.importing.records import Contents, PersonRecord
from vomsdb.importing.report import Action, Finding, Report
from vomsdb.importing.structure import sentence
from vomsdb.importing.updating import update
from vomsdb.ledger import actor
from vomsdb.mails import quiet
from vomsdb.models import Certificate, ImportedRecord, Member, Person, Vo

KIND = "member"


@dataclass(frozen=True)
class Options:
    """How to import: who wins, whether people hear of it, and what happens to those the other side no longer has."""

    prefer: Literal["ours", "theirs"] = "ours"
    mails: bool = False
    ask_to_sign: bool = False
    """Whoever is not known to have signed the AUP is asked to, instead of being taken at the other side's word."""
    remove_gone: bool = False


def came_from(session: Session, member: Member) -> list[tuple[str, str]]:
    """(system, number there) of a member that an import brought or knew again, by system."""
    query = select(ImportedRecord.kind, ImportedRecord.key).where(
        ImportedRecord.vo == member.vo, ImportedRecord.entity_id == str(member.id)
    )
    return [(kind, key) for kind, key in session.execute(query.order_by(ImportedRecord.kind))]


class _TakeBack(Exception):
    """Ends the transaction of a plan without keeping it."""


def plan(db: Database, vo: str, contents: Contents, options: Options, by: Principal) -> Report:
    """What would be done; nothing is kept. Raises Refused, Conflict, NotFound."""
    report = Report(contents.source, vo)
    try:
        with db.transaction() as session:
            _run(session, vo, contents, options, by, report)
            raise _TakeBack
    except _TakeBack:
        return report


def take_over(
    db: Database, vo: str, contents: Contents, options: Options, by: Principal, expected: str | None = None
) -> Report:
    """Does it, or nothing: Conflict when it is not what the plan with the fingerprint `expected` said."""
    report = Report(contents.source, vo)
    with db.transaction() as session:
        _run(session, vo, contents, options, by, report)
        if expected not in (None, report.fingerprint):
            raise Conflict("The VO changed since the plan was made; look at a new plan.")
    return report


def _run(
    session: Session, vo: str, contents: Contents, options: Options, by: Principal, report: Report
) -> None:
    row = vos.found(session, vo)
    if row.state == "closed":
        raise Refused(f"{vo} is closed and takes no members.")
    with quiet(session, quiet=not options.mails):
        _hold(session, vo)
        taking = _Taking(session, row, contents, options, by, report)
        report.findings += structure.build(session, vo, contents, by)
        for record in contents.people:
            taking.person(record)
        taking.gone()
    report.unread, report.remarks = contents.unread, contents.remarks


def _hold(session: Session, vo: str) -> None:
    """The VO and its members, before the log's lock, as everybody takes them."""
    session.scalars(select(Vo).where(Vo.name == vo).with_for_update(key_share=True)).one()
    session.scalars(select(Member.id).where(Member.vo == vo).order_by(Member.id).with_for_update()).all()


class _Taking:
    """One import into one VO."""

    def __init__(
        self, session: Session, vo: Vo, contents: Contents, options: Options, by: Principal, report: Report
    ) -> None:
        self._session, self._vo, self._contents = session, vo, contents
        self._options, self._by, self._report = options, by, report
        rows = session.scalars(
            select(ImportedRecord).where(ImportedRecord.vo == vo.name, ImportedRecord.kind == contents.system)
        )
        self._memory = {row.key: row for row in rows}
        self._seen: set[int] = set()

    def person(self, record: PersonRecord) -> None:
        """One record becomes a member, or changes the member that it became before, or is told to be neither."""
        one = judged(record)
        try:
            with self._session.begin_nested():
                finding = self._taken(one)
        except HanseError as fault:
            notes = (*one.notes, sentence(fault))
            finding = Finding("skip", KIND, record.record, one.name, notes=notes)
        self._report.findings.append(finding)

    def _taken(self, one: Judged) -> Finding:
        record = one.record
        if not one.certificates:
            raise Refused("No certificate of it can be used, and sites know people by certificates.")
        remembered = self._memory.get(record.key)
        member = None if remembered is None else self._session.get(Member, int(remembered.entity_id))
        if member is None:
            member = self._member_of(one)
        if member is None:
            return self._added(one)
        self._check_once(member, one)
        if member.state == "removed":
            note = "was removed here since the last import"
            return Finding("keep", KIND, record.record, one.name, notes=(*one.notes, note))
        last = {} if remembered is None else remembered.values
        changes = update(self._session, self._vo, member, one, last, self._options.prefer, self._by)
        self._remember(one, member)
        action: Action = "change" if changes else "same"
        return Finding(action, KIND, record.record, one.name, tuple(changes), tuple(one.notes))

    def _check_once(self, member: Member, one: Judged) -> None:
        """Two records must not become one member in silence: the second would undo the first."""
        if member.id in self._seen:
            raise Conflict(
                f"Another record of this import is member {member.id} already; are both one person there?"
            )
        self._seen.add(member.id)

    def _member_of(self, one: Judged) -> Member | None:
        """Whoever has one of the certificates, as a member of this VO."""
        for person_id in self._people_of(one):
            living = select(Member).where(
                Member.vo == self._vo.name, Member.person_id == person_id, Member.state != "removed"
            )
            if (found := self._session.scalar(living)) is not None:
                return found
        return None

    def _people_of(self, one: Judged) -> list[int]:
        keys = [shown.identity.key for shown in one.certificates]
        known = select(Certificate.key, Certificate.person_id).where(Certificate.key.in_(keys))
        found = {key: person_id for key, person_id in self._session.execute(known)}
        return list(dict.fromkeys(found[key] for key in keys if key in found))

    def _added(self, one: Judged) -> Finding:
        people = self._people_of(one)
        owner = self._session.get_one(Person, people[0]) if people else None
        asked = self._options.ask_to_sign
        member = admit(self._session, self._vo, one, owner, asked, self._contents.source, self._by)
        self._seen.add(member.id)
        self._remember(one, member)
        changes = (f"{member.state} until {member.until:%d %b %Y}",)
        return Finding("add", KIND, one.record.record, one.name, changes, tuple(one.notes))

    def _remember(self, one: Judged, member: Member) -> None:
        """Their number stays known beside ours, with what was read now."""
        row = self._memory.get(one.record.key)
        values = self._taken_values(one, member, {} if row is None else row.values)
        if row is None:
            row = ImportedRecord(
                vo=self._vo.name,
                kind=self._contents.system,
                key=one.record.key,
                entity_id=str(member.id),
                values=values,
            )
            self._session.add(row)
            self._memory[one.record.key] = row
        elif row.values != values or row.entity_id != str(member.id):
            row.entity_id, row.values, row.imported_at = str(member.id), values, datetime.now(UTC)
        self._session.flush()

    def _taken_values(self, one: Judged, member: Member, before: Mapping[str, Any]) -> dict[str, Any]:
        """What was read, without what could not be given this time, so that the next import tries it again."""
        values = one.values()
        profile = members.profile(self._session, member.id)
        values_held = generic_attributes.of_member(self._session, member)
        held = {
            "certificates": {each.certificate.key for each in profile.certificates},
            "fqans": set(profile.fqans),
            "attributes": {row.name for row in values_held},
        }
        for name, now in held.items():
            kept = now | set(before.get(name, ()))
            read = values[name]
            values[name] = (
                {key: value for key, value in read.items() if key in kept}
                if isinstance(read, dict)
                else [key for key in read if key in kept]
            )
        return values

    def gone(self) -> None:
        """Members that earlier imports brought and that the other side no longer has."""
        read = {record.key for record in self._contents.people}
        for key in sorted(set(self._memory) - read):
            member = self._session.get(Member, int(self._memory[key].entity_id))
            if member is None or member.state == "removed" or member.id in self._seen:
                continue
            name = self._session.get_one(Person, member.person_id).name
            if self._options.remove_gone:
                reason = f"no longer in {self._contents.source}"
                lifetimes.remove_as(self._session, [member], reason, actor(self._by))
                finding = Finding("change", KIND, f"member {member.id}", name, ("removed",))
            else:
                note = "is no longer there; remove the member, or import with --remove-gone"
                finding = Finding("keep", KIND, f"member {member.id}", name, notes=(note,))
            self._report.findings.append(finding)
