"""What leads a site from the state of a VO that it holds to the newest one: one delta, or else the whole snapshot.

A delta names both states by their hashes, lists the members that are new or changed as they are now, and those that are
gone (tombstones). It carries the signature of the later snapshot: who applies it has that snapshot, byte for byte, and
can prove it as if it had been fetched whole. It is made when the first site asks for it, signed once, and kept.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from hanse.errors import NotFound
from vomsdb.models import Delta, Snapshot
from vomsdb.press import Press
from vomsdb.snapshots import Envelope, canonical


def between(session: Session, before: Snapshot, after: Snapshot, press: Press) -> Envelope:
    """The signed delta from one snapshot of a VO to a later one. Raises NotFound where the snapshot is the way."""
    if before.vo != after.vo or before.seq >= after.seq:
        raise NotFound(f"There is no way from change {before.seq} to change {after.seq}; fetch the snapshot.")
    kept = session.get(Delta, (before.sha256, after.sha256))
    if kept is None or kept.key_id != press.key.key_id:
        kept = _made(session, before, after, press)
    return Envelope(kept.payload, kept.signature, kept.key_id)


def _made(session: Session, before: Snapshot, after: Snapshot, press: Press) -> Delta:
    content = payload(before, after)
    if len(content) > len(after.payload):
        raise NotFound(f"Most of {after.vo} has changed since change {before.seq}; fetch the snapshot.")
    envelope = press.key.sign(content)
    values = {
        "from_sha256": before.sha256,
        "to_sha256": after.sha256,
        "payload": content,
        "signature": envelope.signature,
        "key_id": envelope.key_id,
    }
    made = insert(Delta).values(**values)
    session.execute(made.on_conflict_do_update(index_elements=["from_sha256", "to_sha256"], set_=values))
    return Delta(**values)


def payload(before: Snapshot, after: Snapshot) -> bytes:
    """The canonical bytes of the delta between two snapshots of a VO."""
    old, new = _members(before), _members(after)
    return canonical(
        {
            "type": "delta",
            "federation": json.loads(after.payload)["federation"],
            "vo": after.vo,
            "seq": after.seq,
            "prev_hash": before.sha256,
            "sha256": after.sha256,
            "changed": [member for number, member in new.items() if old.get(number) != member],
            "removed": sorted(old.keys() - new.keys()),
            "snapshot": {
                "signature": base64.b64encode(after.signature).decode("ascii"),
                "key_id": after.key_id,
            },
        }
    )


def _members(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    return {member["id"]: member for member in json.loads(snapshot.payload)["members"]}
