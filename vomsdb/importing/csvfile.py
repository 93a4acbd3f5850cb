"""Members as a table: a line a certificate, lines with the same id are one person.

Columns: subject and issuer (needed), id, name, email, institution, groups (with `;` or blanks), since, until,
suspended (a code), reason, certificate_suspended (a reason), signed (a time, or no), attributes (`name=value`, with `;`
between them). The first line names them, in any order; unknown ones are refused.
"""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from hashlib import sha256

from hanse.errors import FieldFault, Refused, TooLarge
from vomsdb.importing.records import CertificateRecord, Contents, PersonRecord, enough, moment_or_note

MAX_BYTES = 100_000_000
LONGEST_ID = 200
COLUMNS = (
    "id",
    "subject",
    "issuer",
    "name",
    "email",
    "institution",
    "groups",
    "since",
    "until",
    "suspended",
    "reason",
    "certificate_suspended",
    "signed",
    "attributes",
)
_NO = ("no", "false", "0")


def read(content: bytes) -> Contents:
    """Everybody in the table. Raises Refused naming the column, or the line that is no line of the table."""
    if len(content) > MAX_BYTES:
        raise TooLarge(f"The table has {len(content):,} bytes; {MAX_BYTES:,} are read at most.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        raise Refused("The table cannot be read.", FieldFault(f"line {line}", "is not UTF-8")) from None
    contents = Contents("a table", "csv")
    people: dict[str, PersonRecord] = {}
    for line, row in _rows(text):
        _add(contents, people, line, row)
        enough(people)
    contents.people = list(people.values())
    contents.name_what_people_hold()
    return contents


def _rows(text: str) -> list[tuple[int, dict[str, str]]]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        named = [name.strip().lower() for name in reader.fieldnames or ()]
        _check_columns(named)
        reader.fieldnames = named
        found = []
        for row in reader:
            if None in row or None in row.values():
                reason = f"has not as many fields as the {len(named)} columns"
                raise Refused("The table cannot be read.", FieldFault(f"line {reader.line_num}", reason))
            found.append((reader.line_num, {name: value.strip() for name, value in row.items()}))
        return found
    except csv.Error as fault:
        place = f"line {reader.reader.line_num}"
        raise Refused("The table cannot be read.", FieldFault(place, str(fault))) from None


def _check_columns(named: list[str]) -> None:
    unknown = [name for name in named if name not in COLUMNS]
    missing = [name for name in ("subject", "issuer") if name not in named]
    if unknown or missing or len(set(named)) < len(named):
        reason = f"must name the columns among {', '.join(COLUMNS)}, each once, subject and issuer always"
        wrong = f"; unknown: {', '.join(unknown)[:200]}" if unknown else ""
        raise Refused("The table cannot be read.", FieldFault("line 1", reason + wrong))


def _add(contents: Contents, people: dict[str, PersonRecord], line: int, row: dict[str, str]) -> None:
    record = f"line {line}"
    subject, issuer = row["subject"], row["issuer"]
    # without an id the certificate is it; a digest, so that no name is kept when the person is forgotten
    given = row.get("id", "")
    key = given[:LONGEST_ID] or "certificate " + sha256(f"{subject}\n{issuer}".encode()).hexdigest()[:32]
    if len(given) > LONGEST_ID or not key.isprintable():
        raise Refused(
            "The table cannot be read.", FieldFault(record, f"id: {LONGEST_ID} printable signs at most")
        )
    certificate = CertificateRecord(subject, issuer, row.get("certificate_suspended", ""))
    if (before := people.get(key)) is not None:
        people[key] = replace(before, certificates=(*before.certificates, certificate))
        return
    signed = row.get("signed", "")
    refused = signed.lower() in _NO
    people[key] = PersonRecord(
        key=key,
        record=record,
        name=row.get("name", ""),
        email=row.get("email", ""),
        institution=row.get("institution", ""),
        certificates=(certificate,),
        fqans=tuple(sorted(set(row.get("groups", "").replace(";", " ").split()))),
        attributes=_attributes(contents, record, row.get("attributes", "")),
        since=moment_or_note(contents, record, "since", row.get("since", "")),
        until=moment_or_note(contents, record, "until", row.get("until", "")),
        code=row.get("suspended", ""),
        reason=row.get("reason", ""),
        signed_at=None if refused else moment_or_note(contents, record, "signed", signed),
        signed=(not refused) if signed else None,
    )


def _attributes(contents: Contents, record: str, text: str) -> dict[str, str]:
    found = {}
    for part in (one.strip() for one in text.split(";") if one.strip()):
        name, equals, value = part.partition("=")
        if equals and name.strip() and value.strip():
            found[name.strip()] = value.strip()
        else:
            contents.note(record, "attributes", f"{part[:60]!r} must read name=value")
    return found
