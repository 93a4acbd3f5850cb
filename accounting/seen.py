"""What was signed and accepted before: an old message in a new envelope counts as the old one, never as news."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounting.formats.records import Note
from accounting.models import Message, SeenSignature


def count_as_first_received(session: Session, message: Message, statement: bytes) -> Note | None:
    """Give a message that was signed and sent before the receipt that it had then; the remark that says so.

    Where two reports are of one time the one with the higher receipt counts, so a message that somebody copied and
    sends again cannot undo what its site corrected since. `statement` is Opened.statement.
    """
    if not statement or message.source == "load":
        return None
    new = {"digest": statement, "message_id": message.id, "receipt": message.receipt}
    once = insert(SeenSignature).values(new).on_conflict_do_nothing()
    if session.scalar(once.returning(SeenSignature.message_id)) is not None:
        return None
    first = session.get_one(SeenSignature, statement)
    if first.message_id == message.id:
        return None
    message.receipt = first.receipt
    return Note(
        "sent_before",
        "",
        None,
        f"This is message {first.message_id} again, with the same signature. It counts as of then.",
    )
