"""Reading LDIF (RFC 2849), and the changes that lead from one tree to another, for ldapmodify."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from registry.renderings.glue2_ldif import line

MOST_ENTRIES: Final = 500_000
Name = tuple[tuple[str, str], ...]


class LdifError(ValueError):
    """A line that is not LDIF; the sentence names its number from 1."""


@dataclass(frozen=True)
class Entry:
    """An entry with its attributes in the order in which they came; names as written."""

    dn: str
    attributes: Mapping[str, Sequence[str]]

    def first(self, name: str) -> str:
        """The first value of an attribute, "" without one."""
        return next(iter(self.attributes.get(name, ())), "")


def read(text: str) -> list[Entry]:
    """The entries of an LDIF text. Raises LdifError, with the number of the line."""
    entries: list[Entry] = []
    attributes: dict[str, list[str]] = {}
    name: str | None = None
    for number, key, value in _pairs(text):
        if key == "":
            if name is not None:
                entries.append(Entry(name, attributes))
            name, attributes = None, {}
        elif key.lower() == "dn":
            if name is not None:
                raise LdifError(f"line {number}: a second dn in one entry; an empty line ends an entry")
            name = value
        elif name is None:
            if key.lower() != "version" or entries:
                raise LdifError(f"line {number}: {key[:40]} stands before any dn")
        else:
            attributes.setdefault(key, []).append(value)
        if len(entries) > MOST_ENTRIES:
            raise LdifError(f"line {number}: more than {MOST_ENTRIES:,} entries")
    return entries


def _pairs(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, attribute and value; an empty attribute for the end of an entry."""
    for number, whole in _unfolded(text):
        if not whole:
            yield number, "", ""
            continue
        if whole.startswith("#"):
            continue
        found = re.match(r"([A-Za-z0-9][A-Za-z0-9.;_-]*):(:|<)? *", whole)
        if found is None:
            raise LdifError(f"line {number}: is no attribute and value: {whole[:60]!r}")
        value = whole[found.end() :]
        if found[2] == "<":
            raise LdifError(f"line {number}: a value from an address is not read")
        yield number, found[1], _decoded(number, value) if found[2] else value
    yield 0, "", ""


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    parts: list[str] = []
    begun = 0
    # only line feeds end a line: a value may hold other characters that Python takes for line ends
    for number, raw in enumerate(text.split("\n"), start=1):
        text_line = raw.removesuffix("\r")
        if text_line.startswith(" ") and parts and parts[0]:
            parts.append(text_line[1:])
            continue
        if parts:
            yield begun, "".join(parts)
        parts, begun = [text_line], number
    if parts:
        yield begun, "".join(parts)


def _decoded(number: int, value: str) -> str:
    try:
        return base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise LdifError(f"line {number}: is not base64 of UTF-8 text") from None


def name_of(dn: str) -> Name:
    """A distinguished name as (attribute, value) pairs, from the entry up; the same for every way to write it."""
    return tuple(_pair(part) for part in _split(dn))


def _split(dn: str) -> Iterator[str]:
    part, escaped = "", False
    for character in dn:
        if character == "," and not escaped:
            yield part
            part = ""
            continue
        part += character
        escaped = character == "\\" and not escaped
    if part:
        yield part


def _pair(part: str) -> tuple[str, str]:
    attribute, _, value = part.partition("=")
    # spaces beside the separators mean nothing, unless they are escaped
    value = re.sub(r"(?<!\\) +\Z", "", value.lstrip(" "))
    raw = re.sub(
        rb"\\([0-9A-Fa-f]{2}|.)",
        lambda found: bytes([int(found[1], 16)]) if len(found[1]) == 2 else found[1],
        value.encode(),
        flags=re.DOTALL,
    )
    return attribute.strip(" ").lower(), raw.decode(errors="replace")


@dataclass(frozen=True)
class Changes:
    """How to get from one tree to another; `added`, `changed` and `removed` count entries.

    `text` is for ldapmodify: first goes what must make room for an entry of its name, then comes what is new or
    different, last goes what nothing refers to any more.
    """

    text: str
    added: int
    changed: int
    removed: int

    @property
    def none(self) -> bool:
        """Whether both are the same already."""
        return not (self.added or self.changed or self.removed)


def changes(old: Sequence[Entry], new: Sequence[Entry]) -> Changes:
    """The changes from `old` to `new`: removals from the leaves up, additions from the root down.

    An entry whose object classes differ cannot be modified: it goes, with all below it, and comes again.
    """
    before = {name_of(entry.dn): entry for entry in old}
    after = {name_of(entry.dn): entry for entry in new}
    replaced = {
        name for name in before.keys() & after.keys() if _classes(before[name]) != _classes(after[name])
    }
    in_the_way = [name for name in before if _below(name, replaced)]
    gone = [name for name in before if name not in after and not _below(name, replaced)]
    kept = before.keys() - {*in_the_way, *gone}
    added = [_addition(after[name]) for name in sorted(after.keys() - kept, key=len)]
    modified = [text for name in after if name in kept and (text := _modification(before[name], after[name]))]
    return Changes(
        text="".join([_removals(before, in_the_way), *added, *modified, _removals(before, gone)]),
        added=len(added),
        changed=len(modified),
        removed=len(in_the_way) + len(gone),
    )


def _removals(before: Mapping[Name, Entry], names: Sequence[Name]) -> str:
    return "".join(_removal(before[name].dn) for name in sorted(names, key=len, reverse=True))


def _below(name: Name, tops: set[Name]) -> bool:
    return any(name[at:] in tops for at in range(len(name)))


def _classes(entry: Entry) -> set[str]:
    return {value.lower() for value in _of(entry, "objectclass")}


def _of(entry: Entry, name: str) -> list[str]:
    return [value for key, values in entry.attributes.items() if key.lower() == name for value in values]


def _removal(dn: str) -> str:
    return line("dn", dn) + "changetype: delete\n\n"


def _addition(entry: Entry) -> str:
    # "dn" may be folded over several lines; what follows it is the attributes alone
    attributes = "".join(line(name, value) for name, values in entry.attributes.items() for value in values)
    return line("dn", entry.dn) + "changetype: add\n" + attributes + "\n"


def _modification(old: Entry, new: Entry) -> str:
    keys = {key.lower(): key for key in (*old.attributes, *new.attributes)}
    steps = []
    for lowered, key in keys.items():
        if lowered == "objectclass":
            continue
        before, after = _of(old, lowered), _of(new, lowered)
        if sorted(before) != sorted(after):
            verb = "replace" if after else "delete"
            steps.append(f"{verb}: {key}\n" + "".join(line(key, value) for value in after) + "-\n")
    if not steps:
        return ""
    return line("dn", new.dn) + "changetype: modify\n" + "".join(steps) + "\n"
