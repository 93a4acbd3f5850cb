"""The message formats: one file each, found here by its FORMAT. Adding a format is adding a file."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from accounting.formats.jsonframe import json_head
from accounting.formats.keyvalue import Head, head_of, shown
from accounting.formats.records import Format, Note, Unreadable
from accounting.formats.xmlframe import xml_head


@cache
def formats() -> dict[str, Format]:
    """Every format of this folder, by the header names it answers to."""
    table: dict[str, Format] = {}
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        made = getattr(importlib.import_module(f"{__name__}.{found.name}"), "FORMAT", None)
        if isinstance(made, Format):
            table.update(dict.fromkeys(made.heads, made))
    return table


def recognise(text: str) -> tuple[Format, Head, list[Note]]:
    """The format of a message, its header, and remarks on it. Raises Unreadable when no format answers."""
    if not text.strip():
        raise Unreadable("empty_message", "The message is empty; send the records with their header line.")
    head = _head(text)
    known = formats()
    found = known.get(head.name)
    if found is None:
        raise Unreadable(
            "unknown_format",
            f"The message begins with {_shown(text, head)}, which is no header that is read here; known:"
            f" {', '.join(sorted(known))}.",
            head.line,
        )
    if head.version in found.versions:
        return found, head, []
    taken = found.versions[-1]
    remark = Note(
        "unknown_version",
        "header",
        head.line,
        f"Version {head.version or 'none'} is not known; read as {taken}.",
    )
    return found, head, [remark]


def _head(text: str) -> Head:
    """What a message says of itself: XML by its namespace, JSON by its Type, others by their first line."""
    first = text.lstrip("\ufeff \t\r\n")[:1]
    return {"<": xml_head, "{": json_head}.get(first, head_of)(text)


def _shown(text: str, head: Head) -> str:
    line = text.strip().split("\n", 1)[0].strip()
    return shown(head.name if head.name and line[:1] in ("<", "{") else line)


__all__ = ["formats", "recognise"]
