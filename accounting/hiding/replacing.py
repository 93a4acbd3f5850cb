"""The whole of it: everything in one transaction but the archive files, which follow one by one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.dialects.postgresql import insert

from accounting import events
from accounting.archive.keeping import alone
from accounting.archive.kept import ARCHIVING
from accounting.forwarding.due import note_named
from accounting.hiding import archives, messages, tables
from accounting.models import Pseudonym
from accounting.pseudonyms import NO_KEY, PREFIX, forget_name, hidden, remember_key
from accounting.signatures import Envelope
from hanse.database import Database
from hanse.errors import Conflict, NotFound, Refused


@dataclass(frozen=True)
class Replaced:
    """What stands in the name's place, in how many rows, messages and archive files; and how many messages could not be
    looked into.
    """

    pseudonym: str
    rows: int
    messages: int
    archives: int
    closed: int


def replace_name(
    db: Database, key: str, name: str, *, folder: Path, envelope: Envelope, by: str, now: datetime
) -> Replaced:
    """Replace `name` (GlobalUserName as records carry it) everywhere, and in good records that come later. Raw messages
    and refused records that come later hold it as it was sent, until the same call replaces it in them too.

    Raises Conflict without a key, NotFound when the name is nowhere. Killed half-way, the same call completes it. No
    loader stores anything meanwhile.
    """
    if name.startswith(PREFIX):
        raise Refused(f'"{name}" is a pseudonym already.')
    if not key:
        raise Conflict(NO_KEY)
    what = hidden(key, name)
    with alone(db):
        with db.transaction() as session:
            session.execute(ARCHIVING)
            remember_key(session, key)
            row = insert(Pseudonym).values(digest=what.digest, name=what.pseudonym, made_by=by)
            session.execute(row.on_conflict_do_nothing())
            of_rows = tables.messages_of(session, name)
            in_bodies = messages.replace(session, what, of_rows, envelope, now)
            note_named(session, name)
            in_rows = tables.replace(session, what)
        in_files = archives.replace(db, folder, what, now)
        if not (in_rows or in_bodies.replaced or in_files):
            with db.transaction() as session:
                held = session.get_one(Pseudonym, what.digest)
                if held.made_at >= now:  # asked for now, and for nothing
                    forget_name(session, what)
            raise NotFound("Nobody of this name has used anything; write the name as the records carry it.")
        words = (
            f"A person's name was replaced by {what.pseudonym} in {in_rows:,} rows, {in_bodies.replaced:,} messages and"
            f" {in_files:,} archive files."
        )
        if in_bodies.closed:
            words += f" {in_bodies.closed:,} messages could not be opened, and were not looked into."
        with db.transaction() as session:
            events.tell(session, "pseudonymise", words, by=by)
    return Replaced(what.pseudonym, in_rows, in_bodies.replaced, in_files, in_bodies.closed)
