"""Ids of groups in SCIM: the path, written so that it stands in an address; paths never change."""

from __future__ import annotations

import base64
import binascii
import re

_PATH = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")


def id_of(path: str) -> str:
    """The id of a group."""
    return base64.urlsafe_b64encode(path.encode()).rstrip(b"=").decode()


def path_of(text: str) -> str | None:
    """The path that an id stands for; None for what is no id of ours."""
    if not text.isascii() or len(text) > 1000:
        return None
    try:
        path = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return path if _PATH.fullmatch(path) and id_of(path) == text else None
