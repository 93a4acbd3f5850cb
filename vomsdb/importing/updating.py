"""A member that is here already, beside what the other service says of it now and what it said at the last import."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy.orm import Session

from hanse.errors import HanseError
from hanse.identity.principals import Principal
from vomsdb import aups, certificates, generic_attributes, groups, members, suspensions
from vomsdb.importing.admitting import set_attribute
from vomsdb.importing.judged import Judged, Shown
from vomsdb.ledger import actor, iso, revision
from vomsdb.members import Held
from vomsdb.models import Member, Person, Vo

Prefer = Literal["ours", "theirs"]
Last = Mapping[str, Any]
_REASON = "changed at the other membership service"


def update(
    session: Session, vo: Vo, member: Member, one: Judged, last: Last, prefer: Prefer, by: Principal
) -> list[str]:
    """What was changed, in words; what stays although they differ is told in the notes of `one`."""
    updating = _Updating(session, vo, member, one, last, prefer, by)
    updating.certificates()
    updating.fqans()
    updating.attributes()
    updating.person()
    updating.lifetime()
    updating.signature()
    updating.recorded()
    updating.suspension()
    return updating.changes


class _Updating:
    """One member, field by field."""

    def __init__(
        self, session: Session, vo: Vo, member: Member, one: Judged, last: Last, prefer: Prefer, by: Principal
    ) -> None:
        self._session, self._vo, self._member, self._one = session, vo, member, one
        self._last, self._prefer, self._by = last, prefer, by
        self.changes: list[str] = []
        self._written = False

    def _takes(self, name: str, ours: str | None, theirs: str | None, before: str | None) -> bool:
        """Whether theirs is written: theirs changed since, and ours did not, or `prefer` says so."""
        if theirs == ours or (name in self._last and theirs == before):
            return False
        free = ours == before if name in self._last else not ours
        if free or self._prefer == "theirs":
            return True
        self._one.notes.append(f"{name}: ours stays, theirs differs")
        return False

    def _changed(self, words: str) -> None:
        self.changes.append(words)
        self._written = True

    # --- what is the person's ---

    def person(self) -> None:
        """Name, address and institution, known again by their digests."""
        person, one = self._session.get_one(Person, self._member.person_id), self._one
        for name in ("name", "email", "institution"):
            theirs, ours = getattr(one, name), getattr(person, name)
            before = self._last.get(name)
            if theirs and self._takes(name, one.digest(ours) if ours else None, one.digest(theirs), before):
                setattr(person, name, theirs)
                self._changed(name)

    # --- the membership ---

    def lifetime(self) -> None:
        """The end of the membership; one that lies ahead again makes an ended one active."""
        member, theirs = self._member, self._one.record.until
        if theirs is None or not self._takes(
            "until", iso(member.until), iso(theirs), self._last.get("until")
        ):
            return
        now = datetime.now(UTC)
        member.until, member.end_reminded = self._one.until(now, self._vo.membership_days), None
        if member.state == "expired" and member.until > now and not self._one.code:
            member.state = "active"
        self._changed(f"until {member.until:%d %b %Y}")

    def signature(self) -> None:
        """A newer signature there ends what is asked here."""
        member, record = self._member, self._one.record
        if not record.signed or record.signed_at is None or member.aup_due is None:
            return
        if record.signed_at > member.aup_signed_at and self._last.get("signed") != iso(record.signed_at):
            self._sign(record.signed_at)
            self._changed("AUP signed")

    def recorded(self) -> None:
        """The revision of what was written to the rows themselves."""
        if not self._written:
            return
        self._session.flush()
        words = f"imported again, {self._one.record.record}: {', '.join(self.changes)}"
        with revision(self._session, actor(self._by), words[:500]) as ledger:
            members.put(self._session, ledger, self._member)
            ledger.sites_differ(self._vo.name)

    def suspension(self) -> None:
        """A suspension there counts here, unless it was ended here since; its end there ends that one and no other."""
        member, one, before = self._member, self._one, self._last.get("suspended")
        ends_anyway = one.state(member.until, datetime.now(UTC)) == "expired"
        if one.code and member.state == "active" and not ends_anyway:
            if before == one.code:
                one.notes.append("suspended there, and restored here since the last import")
                return
            if one.code == "FAILED_TO_SIGN_AUP":  # whoever restores them later leaves them the AUP to sign
                member.aup_due = member.aup_due or datetime.now(UTC)
            suspensions.suspend_as(self._session, member, one.code, one.reason, actor(self._by))
            self.changes.append("suspended")
        elif not one.code and member.state == "suspended":
            if before and before == member.suspension_code:
                self._signed_there(before)
                suspensions.restore_as(self._session, member, _REASON, actor(self._by))
                self.changes.append("restored")
            else:
                one.notes.append("suspended here, and not there; it stays suspended")

    def _signed_there(self, code: str) -> None:
        """Who is no longer suspended there for the AUP has signed it, or has the days of the AUP where none is told."""
        member = self._member
        if code != "FAILED_TO_SIGN_AUP" or member.aup_due is None:
            return
        days = aups.in_force(self._session, self._vo.name).days_to_sign
        member.aup_due = datetime.now(UTC) + timedelta(days=days)
        if self._one.record.signed is not False:
            self._sign(self._one.record.signed_at or datetime.now(UTC))

    def _sign(self, at: datetime) -> None:
        member = self._member
        member.aup_version, member.aup_signed_at = self._vo.aup_version, at
        member.aup_due, member.aup_reminded = None, None
        member.aup_signed_by = "the other membership service, at the import"

    # --- what it holds ---

    def certificates(self) -> None:
        """Certificates that came, went, were suspended or restored there since the last import."""
        profile = members.profile(self._session, self._member.id)
        held = {each.certificate.key: each for each in profile.certificates}
        before: Mapping[str, bool] = self._last.get("certificates", {})
        theirs = {shown.identity.key: shown for shown in self._one.certificates}
        for key, shown in theirs.items():
            if key in held:
                self._suspended(shown, held[key], before.get(key))
            elif key not in before:
                self._act(f"certificate {shown.identity.subject_slash}", lambda one=shown: self._added(one))
        for key in before:
            if key not in theirs and key in held:
                number, subject = held[key].certificate.id, held[key].certificate.subject
                self._act(
                    f"certificate {subject} taken",
                    lambda at=number: certificates.drop(
                        self._session, self._member.id, at, _REASON, self._by
                    ),
                )

    def _added(self, shown: Shown) -> None:
        certificates.add(self._session, self._member.id, shown.identity, self._by)
        if shown.suspended:
            found = certificates.known(self._session, shown.identity.key)
            assert found is not None
            certificates.suspend_certificate(
                self._session, self._member.id, found.id, shown.suspended, self._by
            )

    def _suspended(self, shown: Shown, held: Held, before: bool | None) -> None:
        theirs, ours, number = bool(shown.suspended), held.state == "suspended", held.certificate.id
        if theirs in (ours, before):
            return
        member = self._member.id
        if theirs:
            self._act(
                "a certificate suspended",
                lambda: certificates.suspend_certificate(
                    self._session, member, number, shown.suspended, self._by
                ),
            )
        elif before:
            self._act(
                "a certificate restored",
                lambda: certificates.restore_certificate(self._session, member, number, _REASON, self._by),
            )

    def fqans(self) -> None:
        """Groups and roles that came or went there since the last import."""
        held = set(members.profile(self._session, self._member.id).fqans)
        before = set(self._last.get("fqans", ()))
        theirs = set(self._one.record.fqans)
        for fqan in sorted(theirs - before - held):
            self._act(fqan, lambda at=fqan: groups.give(self._session, self._member.id, at, self._by))
        for fqan in sorted((before - theirs) & held - {f"/{self._vo.name}"}, reverse=True):
            self._act(
                f"{fqan} taken", lambda at=fqan: groups.take(self._session, self._member.id, at, self._by)
            )

    def attributes(self) -> None:
        """The member's own values."""
        held = {row.name: row.value for row in generic_attributes.of_member(self._session, self._member)}
        before: Mapping[str, str] = self._last.get("attributes", {})
        theirs = self._one.record.attributes
        for name, value in sorted(theirs.items()):
            ours = held.get(name)
            digest, present = self._one.digest(value), None if ours is None else self._one.digest(ours)
            if digest == present or digest == before.get(name):
                continue
            if (present is None or present == before.get(name) or self._prefer == "theirs") and set_attribute(
                self._session, self._member, name, value, self._one, self._by
            ):
                self.changes.append(f"attribute {name}")
        for name in sorted(set(before) - set(theirs)):
            if name in held and self._one.digest(held[name]) == before[name]:
                generic_attributes.unset_of_member(
                    self._session, self._vo.name, self._member.id, name, self._by
                )
                self.changes.append(f"attribute {name} taken")

    def _act(self, words: str, act: Any) -> None:
        """One use case; what it refuses is told."""
        try:
            with self._session.begin_nested():
                act()
        except HanseError as fault:
            self._one.notes.append(f"{words[:120]}: {fault.detail}")
        else:
            self.changes.append(words)
