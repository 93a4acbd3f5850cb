"""Names replaced by pseudonyms on request: the same name always by the same one, and nobody without the key finds the
name again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounting.judging import Verdict
from accounting.models import Pseudonym
from hanse.database import Database
from hanse.errors import Refused

PREFIX = "pseudonym-"
SHORTEST_LEFT = 6
"""What is left of a name without its letters beyond ASCII is looked for from so many on: "na" is in any text."""
_HEX = re.compile(r"\\u[0-9a-f]{4}")
NOBODY = PREFIX + "of-nobody"
"""Stands beside what the key makes of no name: by it another key is known."""
OTHER_KEY = (
    "Names were replaced by pseudonyms here under another pseudonym_key, so this process would not know them. Set the"
    " one that the other processes of accounting have; the messages wait."
)
NO_KEY = (
    "Names cannot be replaced: set pseudonym_key, the same for all processes of accounting, and keep it apart from the"
    " database."
)


class KeyMissing(Refused):
    """There are names to hide and no key to know them by, or another: nothing that may name somebody can be stored."""


@dataclass(frozen=True)
class Hidden:
    """A name and what stands in its place. The name is never stored."""

    name: str
    digest: bytes
    pseudonym: str

    def forms(self) -> list[str]:
        """The name as texts, JSON and XML write it, longest first."""
        escaped = json.dumps(self.name)[1:-1]
        in_json = {
            escaped,
            _HEX.sub(lambda found: found[0][:2] + found[0][2:].upper(), escaped),
            json.dumps(self.name, ensure_ascii=False)[1:-1],
        }
        in_xml = escape(self.name, {'"': "&quot;", "'": "&apos;"})
        forms = {
            self.name,
            *in_json,
            *(form.replace("/", r"\/") for form in in_json),
            escape(self.name),
            in_xml,
            in_xml.encode("ascii", "xmlcharrefreplace").decode(),
        }
        caso = self.name.encode("ascii", "ignore").decode()  # cASO leaves out what is not ASCII
        if len(caso) >= SHORTEST_LEFT:
            forms.add(caso)
        return sorted(forms, key=len, reverse=True)

    def spellings(self) -> list[tuple[bytes, bytes]]:
        """(name, pseudonym) in every form, in UTF-8, longest first."""
        return [(form.encode(), self.pseudonym.encode()) for form in self.forms()]


def hidden(key: str, name: str) -> Hidden:
    """The pseudonym of a name under the key. Raises KeyMissing without a key."""
    if not key:
        raise KeyMissing(NO_KEY)
    digest = hmac.new(key.encode(), name.encode("utf-8", "replace"), hashlib.sha256).digest()
    return Hidden(name, digest, PREFIX + digest[:12].hex())


def demand_key(db: Database, key: str) -> None:
    """Raise KeyMissing when there are names to hide and no key, or another."""
    with db.transaction() as session:
        known = _known(session)
    if known and not key:
        raise KeyMissing(
            "Names were replaced by pseudonyms here, and this process has no key to know them by. Set"
            " pseudonym_key as the other processes of accounting have it; the messages wait."
        )
    demand_same(known, key)


def demand_same(known: Mapping[bytes, str], key: str) -> None:
    """Raise KeyMissing when the pseudonyms by digest were made under another key."""
    if NOBODY in known.values() and key and known.get(hidden(key, "").digest) != NOBODY:
        raise KeyMissing(OTHER_KEY)


def remember_key(session: Session, key: str) -> None:
    """Let another key be known as such from now on. Raises KeyMissing when this is one."""
    demand_same(_known(session), key)
    row = insert(Pseudonym).values(digest=hidden(key, "").digest, name=NOBODY, made_by="")
    session.execute(row.on_conflict_do_nothing())


def forget_name(session: Session, what: Hidden) -> None:
    """Take a name off the list again; with the last one any key may be the first."""
    session.execute(delete(Pseudonym).where(Pseudonym.digest == what.digest))
    others = select(Pseudonym.digest).where(Pseudonym.name != NOBODY).limit(1)
    if session.scalar(others) is None:
        session.execute(delete(Pseudonym))


def _known(session: Session) -> dict[bytes, str]:
    return {digest: name for digest, name in session.execute(select(Pseudonym.digest, Pseudonym.name))}


def hide(session: Session, verdicts: Iterable[Verdict], key: str) -> None:
    """Replace names that are to be hidden in records that are about to be stored.

    Raises KeyMissing when there are such names and no key to know them by, or another.
    """
    known = _known(session)
    if not known:
        return
    demand_same(known, key)
    names: dict[str, str] = {"": ""}
    for verdict in verdicts:
        for site, rows in verdict.placed.items():
            verdict.placed[site] = [(number, _hidden_row(row, names, known, key)) for number, row in rows]


def _hidden_row(row: Any, names: dict[str, str], known: dict[bytes, str], key: str) -> object:
    name = getattr(row, "user_name", "")
    if name not in names:
        names[name] = known.get(hidden(key, name).digest, name)
    return row if names[name] == name else row._replace(user_name=names[name])
