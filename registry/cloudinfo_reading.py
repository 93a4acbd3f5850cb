"""Reading what a site publishes of its cloud: GLUE 2.1 JSON, or LDIF of GLUE 2.0 or 2.1, as one GLUE 2.1 document.

Nothing of a sender is trusted: size, depth and characters are limited before anything is looked at; each fault names
its object and field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from hanse.errors import FieldFault, Refused, TooLarge
from registry.cloudinfo_ldif import document_of
from registry.ldif import LdifError
from registry.ldif import read as read_ldif
from registry.renderings.glue20_entity import vos_of
from registry.renderings.glue21_json import Document
from registry.schemas.cloudinfo import MODELS, REQUIRED
from registry.schemas.fields import iso, printable

MOST_BYTES: Final = 5 * 1024 * 1024
MOST_DEPTH: Final = 12
MOST_VALUES: Final = 300_000
MOST_CHARACTERS: Final = 10_000
MOST_FAULTS: Final = 100
EARLY: Final = timedelta(hours=1)
_GREATEST: Final = 2**53


@dataclass(frozen=True)
class Reading:
    """A document in order. `format` is what it came as; it holds from `created_at` until `valid_until`."""

    document: Document
    format: str
    created_at: datetime
    valid_until: datetime
    notes: tuple[str, ...] = ()

    @property
    def service(self) -> str:
        """The GLUE id of the cloud."""
        return str(self.document["CloudComputingService"][0]["ID"])

    @property
    def site(self) -> str:
        """The site that the document says it is of; "" when it says none."""
        about = self.document["CloudComputingService"][0].get("Associations") or {}
        return str(next(iter(about.get("AdminDomain") or ()), ""))

    @property
    def gocdb_id(self) -> str | None:
        """The service's key that the document names."""
        named = (self.document["CloudComputingService"][0].get("OtherInfo") or {}).get("gocdb_id")
        return None if named is None else str(named)


def read(content: bytes, now: datetime) -> Reading:
    """The document in `content`. Raises Refused with a fault for each object and field, or TooLarge."""
    if len(content) > MOST_BYTES:
        raise TooLarge(
            f"The document has {len(content):,} bytes, and at most {MOST_BYTES:,} are read. Publish the images of the"
            " federation only, or a document for each endpoint."
        )
    document, kind = _parsed(content)
    faults = list(_faults(document))[:MOST_FAULTS]
    if faults:
        raise _refusal(faults)
    kept: Document = {
        name: list(document.get(name) or ())
        for name in MODELS
        if name in document or name != "CloudComputingVirtualAccelerator"
    }
    service = kept["CloudComputingService"][0]
    created = _moment(service["CreationTime"])
    assert created is not None
    valid_until = created + timedelta(seconds=service["Validity"])
    late = list(_time_faults(service["ID"], created, valid_until, now))
    if late:
        raise _refusal(late)
    return Reading(kept, kind, created, valid_until, tuple(_notes(kept)))


def sites_named(content: bytes) -> set[str]:
    """Sites that a document says it is of, whether it is in order or not; none when it cannot be read."""
    try:
        document, _ = _parsed(content)
    except Refused:
        return set()
    services = document.get("CloudComputingService")
    found: set[str] = set()
    for one in services if isinstance(services, list) else []:
        about = one.get("Associations") if isinstance(one, dict) else None
        named = about.get("AdminDomain") if isinstance(about, dict) else None
        found |= {site for site in named if isinstance(site, str)} if isinstance(named, list) else set()
    return found


def _refusal(faults: list[FieldFault]) -> Refused:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return Refused(
        f"The document was not taken: {count}. The last good one stands; mend this one and send it again.",
        *faults,
    )


def _parsed(content: bytes) -> tuple[dict[str, Any], str]:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _refusal([FieldFault("document", f"is not UTF-8 text (byte {error.start + 1:,})")]) from None
    start = text.lstrip("\ufeff \t\r\n")[:2000]
    if start.startswith("{"):
        return _json(text.lstrip("\ufeff")), "glue21json"
    if start.lower().startswith(("dn:", "version:", "#")):
        return _ldif(text)
    raise _refusal([FieldFault("document", "is neither a JSON object nor LDIF; publish GLUE 2.1 JSON")])


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_constant=_no_number, parse_int=_whole)
    except RecursionError:
        raise _refusal([FieldFault("document", "is nested too deep")]) from None
    except ValueError as error:
        raise _refusal([FieldFault("document", f"is not JSON: {str(error)[:200]}")]) from None
    if not isinstance(found, dict):
        raise _refusal([FieldFault("document", "must be a JSON object whose keys are GLUE classes")])
    fault = _unfit(found)
    if fault is not None:
        raise _refusal([fault])
    return found


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number in JSON")


def _whole(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _unfit(document: Mapping[str, Any]) -> FieldFault | None:
    """What no field may hold, whatever its name: the first fault of the whole document."""
    waiting: list[tuple[str, object, int]] = [("document", document, 0)]
    seen = 0
    while waiting:
        where, value, depth = waiting.pop()
        seen += 1
        if seen > MOST_VALUES:
            return FieldFault("document", f"has more than {MOST_VALUES:,} values")
        if depth > MOST_DEPTH:
            return FieldFault(where, f"is nested deeper than {MOST_DEPTH} levels")
        fault = _unfit_value(value)
        if fault:
            return FieldFault(where, fault)
        if isinstance(value, dict):
            for key, inner in value.items():
                fault = _unfit_value(key) or ("is a key without an end" if len(key) > 300 else None)
                if fault:
                    return FieldFault(where, f"has a key that {fault}")
                waiting.append((key if where == "document" else f"{where}.{key}"[:300], inner, depth + 1))
        elif isinstance(value, list):
            waiting += [(f"{where}[{at}]"[:300], inner, depth + 1) for at, inner in enumerate(value, start=1)]
    return None


def _unfit_value(value: object) -> str | None:
    if isinstance(value, str):
        if len(value) > MOST_CHARACTERS:
            return f"has {len(value):,} characters, and at most {MOST_CHARACTERS:,} are kept"
        try:
            printable(value)
        except ValueError as error:
            return str(error)
    elif _is_too_great(value):
        return "is larger than any number that is kept"
    return None


def _is_too_great(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return not math.isfinite(value) or abs(value) > _GREATEST


def _ldif(text: str) -> tuple[dict[str, Any], str]:
    try:
        entries = read_ldif(text)
        document, kind = document_of(entries)
    except LdifError as error:
        raise _refusal([FieldFault("document", str(error))]) from None
    fault = _unfit(document)
    if fault is not None:
        raise _refusal([fault])
    return document, kind


def _faults(document: Mapping[str, Any]) -> Iterator[FieldFault]:
    shaped = True
    for name in REQUIRED:
        if name not in document:
            yield FieldFault(name, "the list is missing; an empty one may stand there")
            shaped = False
    for name in MODELS:
        if name not in document:
            continue
        objects = document[name]
        if not isinstance(objects, list):
            yield FieldFault(name, "must be a list of objects")
            shaped = False
            continue
        for at, one in enumerate(objects, start=1):
            found = list(_object_faults(name, at, one))
            shaped = shaped and not found
            yield from found
    services = document.get("CloudComputingService")
    if isinstance(services, list) and len(services) != 1:
        yield FieldFault("CloudComputingService", "a document describes one cloud: exactly one object")
        shaped = False
    if shaped or _all_objects(document):
        yield from _link_faults(document)


def _all_objects(document: Mapping[str, Any]) -> bool:
    lists = [document.get(name, []) for name in MODELS]
    return all(
        isinstance(objects, list)
        and all(
            isinstance(one, dict)
            and isinstance(one.get("ID"), str)
            and isinstance(one.get("Associations", {}), dict)
            and all(
                isinstance(linked, list) and all(isinstance(each, str) for each in linked)
                for linked in one.get("Associations", {}).values()
            )
            and isinstance(one.get("Rule", []), list)
            for one in objects
        )
        for objects in lists
    )


def _object_faults(name: str, at: int, one: object) -> Iterator[FieldFault]:
    number = one.get("ID") if isinstance(one, dict) else None
    called = f"{name} {number[:200]}" if isinstance(number, str) and number else f"{name} number {at}"
    try:
        made = MODELS[name].model_validate(one)
    except ValidationError as error:
        for finding in error.errors(include_url=False):
            field = ".".join(str(step) for step in finding["loc"]) or "the object"
            yield FieldFault(f"{called}: {field[:200]}", _reason(finding["type"], finding["msg"]))
        return
    if made.CreationTime is not None and _moment(made.CreationTime) is None:
        yield FieldFault(f"{called}: CreationTime", "must be a time such as 2026-11-24T14:00:00Z")


def _reason(kind: str, message: str) -> str:
    words = {
        "missing": "is missing",
        "model_type": "must be a JSON object",
        "model_attributes_type": "must be an object",
    }
    return words.get(kind) or message.removeprefix("Value error, ").replace("Input should", "should")


def _link_faults(document: Mapping[str, Any]) -> Iterator[FieldFault]:
    ids = {name: {one["ID"] for one in document.get(name) or ()} for name in MODELS}
    mapped = {
        share
        for policy in document.get("MappingPolicy") or ()
        if vos_of(policy)
        for share in _linked(policy, "Share")
    }
    for share in document.get("Share") or ():
        if share["ID"] not in mapped:
            yield FieldFault(
                f"Share {share['ID']}", "no MappingPolicy says for which VO; add one with PolicyUserDomain"
            )
    for name in ("CloudComputingImage", "CloudComputingInstanceType"):
        for one in document.get(name) or ():
            for share in _linked(one, "Share"):
                if share not in ids["Share"]:
                    yield FieldFault(f"{name} {one['ID']}: Associations.Share", f"there is no share {share}")
    for size in document.get("CloudComputingInstanceType") or ():
        for accelerator in _linked(size, "CloudComputingVirtualAccelerator"):
            if accelerator not in ids["CloudComputingVirtualAccelerator"]:
                yield FieldFault(
                    f"CloudComputingInstanceType {size['ID']}: Associations.CloudComputingVirtualAccelerator",
                    f"there is no accelerator {accelerator} in the list CloudComputingVirtualAccelerator",
                )


def _linked(one: Mapping[str, Any], kind: str) -> list[str]:
    return list((one.get("Associations") or {}).get(kind) or ())


def _moment(text: str) -> datetime | None:
    """A time; without a zone it is UTC (cloud-info-api)."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _time_faults(number: str, created: datetime, until: datetime, now: datetime) -> Iterator[FieldFault]:
    called = f"CloudComputingService {number}: CreationTime"
    if created > now + EARLY:
        yield FieldFault(called, f"lies in the future ({iso(created)}); set the clock of the machine")
    if until <= now:
        yield FieldFault(
            called, f"with its Validity the document held until {iso(until)}; publish a fresh one"
        )


def _notes(document: Document) -> Iterator[str]:
    if not document["CloudComputingImage"]:
        yield "No image is published, so nobody can start a machine from here."
    if not document["Share"]:
        yield "No share is published: the cloud shows for no VO."
