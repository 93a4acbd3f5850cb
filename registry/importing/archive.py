"""Saved answers as one archive: how a command sends them to a registry elsewhere."""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Final

from hanse.errors import FieldFault, Refused, TooLarge
from registry.importing.gocdb_reader import method_of

MAX_BYTES: Final = 200_000_000
MAX_FILES: Final = 2000


def pack(documents: Mapping[str, Sequence[bytes]]) -> str:
    """A zip file of the documents, base64; members are called `get_site.1.xml`."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for method, pages in sorted(documents.items()):
            for at, page in enumerate(pages, start=1):
                archive.writestr(zipfile.ZipInfo(f"{method}.{at}.xml"), page, zipfile.ZIP_DEFLATED)
    return base64.b64encode(held.getvalue()).decode()


def unpack(text: str) -> tuple[dict[str, list[bytes]], list[tuple[str, str]]]:
    """The documents by method, and what could not be used as (name, why).

    Raises Refused for what is no archive, TooLarge for one that would unfold beyond MAX_BYTES: sizes are counted while
    reading, whatever the archive says of itself.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(text, validate=True)))
    except (binascii.Error, ValueError, zipfile.BadZipFile) as error:
        raise Refused(
            "This is no archive.", FieldFault("archive", f"send a zip file in base64 ({error})")
        ) from None
    documents: dict[str, list[bytes]] = {}
    unread: list[tuple[str, str]] = []
    left = MAX_BYTES
    members = archive.infolist()
    if len(members) > MAX_FILES:
        raise TooLarge(f"The archive has {len(members):,} files; {MAX_FILES:,} are read at most.")
    for member in sorted(members, key=lambda one: one.filename):
        method = method_of(member.filename.rpartition("/")[2])
        if method is None:
            unread.append((member.filename[:200], "is named after no method that is imported"))
            continue
        content = _read(archive, member, left)
        left -= len(content)
        documents.setdefault(method, []).append(content)
    return documents, unread


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    try:
        with archive.open(member) as file:
            content = file.read(most + 1)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, ValueError) as error:
        fault = FieldFault(member.filename[:200], f"cannot be unpacked: {error}")
        raise Refused("The archive is damaged.", fault) from None
    if len(content) > most:
        raise TooLarge(f"The archive unfolds to more than {MAX_BYTES:,} bytes.")
    return content
