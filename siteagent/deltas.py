"""Deltas: from the state of a VO that a site holds to a later one, which is then as if it had been fetched whole."""

from __future__ import annotations

import base64
from typing import Any, Mapping

from siteagent.documents import (
    Opened,
    Snapshot,
    canonical,
    digest,
    expect,
    sequence_of,
    sha256_of,
    text_of,
)
from siteagent.errors import Refused


def envelope_after(before: Snapshot, opened: Opened, federation: str, sha256: str) -> Mapping[str, Any]:
    """The signed envelope of the snapshot `sha256`, made from the one held and a delta whose signature holds.

    The chain is kept by hashes: the delta must begin at what is held, and what it leads to must have the hash that
    the manifest names. Raises Refused.
    """
    content, vo = opened.content, before.vo
    expect(content, "delta", federation)
    if content.get("vo") != vo or sha256_of(content, "prev_hash", vo) != before.sha256:
        raise Refused(f"The delta of {vo} does not begin at what this site holds.")
    members = {str(member["id"]): member for member in before.content["members"]}
    for gone in _list(content, "removed", vo):
        members.pop(str(gone), None)
    for member in _list(content, "changed", vo):
        members[text_of(_object(member, vo), "id", f"delta of {vo}: member")] = member
    ordered = [members[number] for number in sorted(members)]
    payload = canonical({**before.content, "seq": sequence_of(content, vo), "members": ordered})
    if digest(payload) != sha256:
        raise Refused(f"The delta of {vo} does not lead to the state that the manifest names.")
    signed = _object(content.get("snapshot"), vo)
    return {
        "payload": base64.b64encode(payload).decode(),
        "signature": text_of(signed, "signature", f"delta of {vo}"),
        "key_id": text_of(signed, "key_id", f"delta of {vo}"),
    }


def _list(content: Mapping[str, Any], name: str, vo: str) -> list[Any]:
    value = content.get(name)
    if not isinstance(value, list):
        raise Refused(f"The delta of {vo} has no list {name}.")
    return value


def _object(value: object, vo: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Refused(f"The delta of {vo} does not have the form of one.")
    return value
