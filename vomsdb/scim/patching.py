"""PATCH of RFC 7644, section 3.5.2, on a resource in memory: what it should be afterwards. Nothing is decided here."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from vomsdb.scim import described
from vomsdb.scim.faults import ScimRefused, bad_path, bad_syntax, bad_value, unchangeable
from vomsdb.scim.filters import Both, Compare, Either, Filter, Not, Within, parse_path
from vomsdb.scim.names import EXTENSIONS, PATCH, plain

MOST: Final = 500
_KINDS: Final = ("add", "remove", "replace")
_Attributes = Mapping[str, Mapping[str, Any]]
_SCHEMAS: Final[dict[str, _Attributes]] = {
    entry["id"]: {attribute["name"].lower(): attribute for attribute in entry["attributes"]}
    for entry in described.schemas("")
}


def operations_of(body: Any) -> list[tuple[str, str | None, Any]]:
    """(kind, path or None, value) of each operation, in order. Raises ScimRefused."""
    if not isinstance(body, dict) or PATCH not in (body.get("schemas") or []):
        raise bad_syntax(f"A PATCH is an object whose schemas hold {PATCH}.")
    listed = body.get("Operations")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST:
        raise bad_syntax(f"Operations is a list of 1 to {MOST} operations.")
    found = []
    for one in listed:
        kind = str(one.get("op")).lower() if isinstance(one, dict) else ""
        path = one.get("path") if isinstance(one, dict) else None
        if kind not in _KINDS or not (path is None or isinstance(path, str)):
            raise bad_syntax("An operation has op (add, remove or replace), a path, and a value.")
        found.append((kind, path, one.get("value")))
    return found


def patched(
    resource: Mapping[str, Any], operations: list[tuple[str, str | None, Any]], schema: str
) -> dict[str, Any]:
    """A copy of the resource as it should be after the operations. Raises ScimRefused."""
    changed = copy.deepcopy(dict(resource))
    for kind, path, value in operations:
        if path is None:
            _merged(changed, kind, value, schema)
        else:
            _apply(changed, kind, path, value, schema)
    if resource.get("externalId") and "externalId" not in changed:
        changed["externalId"] = ""  # taken; one that a resource does not name at all would stay
    return changed


def _merged(resource: dict[str, Any], kind: str, value: Any, schema: str) -> None:
    """An operation without a path: its value holds attributes, each as if it were the path."""
    if kind == "remove":
        raise ScimRefused("noTarget", "What is removed must be named by a path.")
    if not isinstance(value, dict):
        raise bad_value("Without a path the value is an object of attributes.")
    for name, inner in value.items():
        if name.lower() in ("schemas", "id", "meta"):
            continue
        _apply(resource, kind, name, inner, schema)


def _apply(resource: dict[str, Any], kind: str, path: str, value: Any, schema: str) -> None:
    extension = next((one for one in EXTENSIONS if path.strip().lower() == one.lower()), None)
    if extension is not None:
        if not isinstance(value, dict) or kind == "remove":
            raise bad_value(f"{extension} is changed by its attributes.")
        for name, inner in value.items():
            _apply(resource, kind, f"{extension}:{name}", inner, schema)
        return
    name, wanted, sub = parse_path(path)
    name, home, attributes = _home(resource, plain(name), schema)
    name, _, dotted = name.partition(".")
    attribute = attributes.get(name)
    if attribute is None:
        raise bad_path(f"There is no attribute {path[:80]}.")
    if attribute["mutability"] == "readOnly":
        raise unchangeable(f"{attribute['name']} is not changed here. {attribute['description']}")
    within = _sub_attribute(attribute, sub or dotted)
    if attribute["multiValued"]:
        _many(home, attribute, kind, wanted, within, value)
    elif wanted is not None:
        raise bad_path(f"{attribute['name']} has one value; a filter does not fit.")
    else:
        _one(home, attribute["name"], kind, within, value)


def _home(resource: dict[str, Any], name: str, schema: str) -> tuple[str, dict[str, Any], _Attributes]:
    """The name inside its schema, the object that holds the attribute, and what attributes there are."""
    for extension in EXTENSIONS:
        if name.startswith(extension.lower() + ":"):
            held = resource.setdefault(extension, {})
            return name[len(extension) + 1 :], held, _SCHEMAS[extension]
    own = {
        "externalid": {
            "name": "externalId",
            "mutability": "readWrite",
            "multiValued": False,
            "description": "",
        }
    }
    return name, resource, {**_SCHEMAS[schema], **own}


def _sub_attribute(attribute: Mapping[str, Any], name: str) -> str:
    """The name of a sub-attribute as it is spelt; "" when none is meant."""
    if not name:
        return ""
    for inner in attribute.get("subAttributes", ()):
        if inner["name"].lower() == name.lower():
            if inner["mutability"] == "readOnly":
                raise unchangeable(f"{attribute['name']}.{inner['name']} is not changed here.")
            return str(inner["name"])
    raise bad_path(f"{attribute['name']} has no {name[:80]}.")


def _one(home: dict[str, Any], name: str, kind: str, within: str, value: Any) -> None:
    if within:
        held = home.setdefault(name, {})
        if kind == "remove":
            held.pop(within, None)
        else:
            held[within] = value
    elif kind == "remove":
        home.pop(name, None)
    elif isinstance(home.get(name), dict) and isinstance(value, dict):  # parts that are not named stay
        home[name] = {**home[name], **value}
    else:
        home[name] = value


def _many(
    home: dict[str, Any],
    attribute: Mapping[str, Any],
    kind: str,
    wanted: Filter | None,
    within: str,
    value: Any,
) -> None:
    name = attribute["name"]
    held: list[Any] = home.setdefault(name, [])
    if wanted is not None:
        _chosen(held, kind, wanted, within, value, name)
    elif within:
        for entry in held:
            _one(entry, within, kind, "", value)
    elif kind == "replace":
        home[name] = _entries(value, name)
    elif kind == "add":
        held.extend(entry for entry in _entries(value, name) if not any(_same(entry, one) for one in held))
    elif value is None:
        home[name] = []
    else:
        gone = _entries(value, name)
        home[name] = [one for one in held if not any(_same(entry, one) for entry in gone)]


def _chosen(held: list[Any], kind: str, wanted: Filter, within: str, value: Any, name: str) -> None:
    """Values that fulfil the filter: changed, or taken."""
    found = [entry for entry in held if matches(wanted, entry)]
    if not found:
        if kind == "remove":
            return
        if not (isinstance(wanted, Compare) and wanted.operator == "eq" and within):
            raise ScimRefused("noTarget", f"No value of {name} fulfils the filter of the path.")
        found = [{wanted.attribute: wanted.value}]  # `emails[type eq "work"].value`, where there was none
        held.extend(found)
    for entry in found:
        if kind == "remove" and not within:
            held.remove(entry)
        elif within:
            _one(entry, within, kind, "", value)
        elif isinstance(value, dict):
            entry.update(value)
        else:
            raise bad_value(f"A value of {name} is an object.")


def _entries(value: Any, name: str) -> list[dict[str, Any]]:
    listed = value if isinstance(value, list) else [value]
    entries = [{"value": entry} if isinstance(entry, str) else entry for entry in listed]
    if len(entries) > 10 * MOST or not all(isinstance(entry, dict) for entry in entries):
        raise bad_value(f"{name} is a list of objects.")
    return entries


def _same(entry: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """The same value: by `value` where there is one, otherwise by all that is given."""
    if "value" in entry:
        return bool(entry["value"] == other.get("value"))
    return all(other.get(name) == inner for name, inner in entry.items())


def matches(wanted: Filter, entry: Any) -> bool:
    """Whether an object in memory fulfils the filter; names in small letters, text without regard to capitals."""
    match wanted:
        case Not(inner):
            return not matches(inner, entry)
        case Both(left, right):
            return matches(left, entry) and matches(right, entry)
        case Either(left, right):
            return matches(left, entry) or matches(right, entry)
        case Within():
            raise bad_path("One filter inside another is not understood here.")
        case Compare(attribute, operator, value):
            held = _lookup(entry, attribute)
            return _compared(held, operator, value)


def _lookup(entry: Any, attribute: str) -> Any:
    found = entry
    for part in attribute.split("."):
        named = {name.lower(): inner for name, inner in found.items()} if isinstance(found, dict) else {}
        found = named.get(part)
    return found


def _compared(held: Any, operator: str, value: Any) -> bool:
    if operator == "pr":
        return held not in (None, "", [], {})
    if isinstance(held, str) and isinstance(value, str):
        left, right = held.lower(), value.lower()
        texts = {"co": right in left, "sw": left.startswith(right), "ew": left.endswith(right)}
        if operator in texts:
            return texts[operator]
        return {"gt": left > right, "ge": left >= right, "lt": left < right, "le": left <= right}.get(
            operator, (left == right) == (operator == "eq")
        )
    same = bool(type(held) is type(value) and held == value)
    return same if operator == "eq" else not same if operator == "ne" else False


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What `after` says that differs from `before`, one level into the extensions; what is the same is not done."""
    found: dict[str, Any] = {}
    for name, value in after.items():
        held = before.get(name)
        if name in EXTENSIONS and isinstance(value, dict) and isinstance(held, dict):
            inner = {key: each for key, each in value.items() if held.get(key) != each}
            if inner:
                found[name] = inner
        elif held != value:
            found[name] = _renamed(held, value) if name.lower() == "name" else value
    return found


def _renamed(held: Any, value: Any) -> Any:
    """A name without the whole one where only parts of it changed, so that these count; parts not named stay."""
    if not (isinstance(held, dict) and isinstance(value, dict)):
        return value
    whole_changed = value.get("formatted") not in (None, held.get("formatted"))
    if whole_changed or all(held.get(part) == text for part, text in value.items()):
        return value
    return {part: text for part, text in {**held, **value}.items() if part != "formatted"}
