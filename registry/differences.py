"""What differs between two states of an entity, field by field; lists are compared by what their parts are, not as one.

A path names a value inside a body: ("capacity", "vcpu"), ("endpoints", "#12", "url"), ("scopes", "=EGI"). Written for
people it is `capacity.vcpu`, `endpoints[main].url`, `scopes[EGI]`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final

Body = dict[str, Any]
Path = tuple[str, ...]
Pair = tuple[Any, Any]

# What makes a part of a list the same part as before; the first keys that all parts have.
_IDENTITY: Final[Mapping[str, tuple[str, ...]]] = {
    "contacts": ("kind", "name"),
    "supports": ("vo",),
    "endpoints": ("id",),
}
_USUAL: Final = (("id",), ("key",), ("name",))


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


def flat(body: Mapping[str, Any]) -> dict[Path, Any]:
    """Every single value of a body by its path."""
    found: dict[Path, Any] = {}
    for field, value in body.items():
        _flatten((field,), value, found)
    return found


def _flatten(path: Path, value: Any, found: dict[Path, Any]) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _flatten((*path, key), inner, found)
    elif isinstance(value, list):
        for mark, part in zip(marks(path[-1], value), value, strict=True):
            if isinstance(part, Mapping):
                _flatten((*path, mark), part, found)
            else:
                found[(*path, mark)] = part
    else:
        found[path] = value


def marks(field: str, parts: list[Any]) -> list[str]:
    """What each part of a list is called in paths: `#` and its identity, `=` and the value of a plain one."""
    keys = _keys(field, parts)
    seen: dict[str, int] = {}
    found = []
    for number, part in enumerate(parts):
        if not isinstance(part, Mapping):
            mark = f"={part}"
        elif keys:
            mark = "#" + " ".join(str(part[key]) for key in keys)
        else:
            mark = f"#{number + 1}"
        seen[mark] = seen.get(mark, 0) + 1
        found.append(mark if seen[mark] == 1 else f"{mark} ({seen[mark]})")
    return found


def _keys(field: str, parts: list[Any]) -> tuple[str, ...]:
    tables = [part for part in parts if isinstance(part, Mapping)]
    choices = (_IDENTITY[field], *_USUAL) if field in _IDENTITY else _USUAL
    return next((keys for keys in choices if all(key in part for part in tables for key in keys)), ())


def paths_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[Path, Pair]:
    """Every path whose value differs, as (old, new); `MISSING` where there was, or is, none."""
    before, after = flat(old), flat(new)
    return {
        path: (before.get(path, MISSING), after.get(path, MISSING))
        for path in {**before, **after}
        if not _same(before.get(path, MISSING), after.get(path, MISSING))
    }


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):  # True is no 1
        return left is right
    return bool(left == right)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Pair]:
    """What differs as people read it: {"endpoints[main].url": (old, new)}. A part that came or went is one entry."""
    names = {**_names(old), **_names(new)}
    found: dict[str, Pair] = {}
    done: set[Path] = set()
    for path, (before, after) in paths_changed(old, new).items():
        part = _part_of(path, old, new)
        if part is None:
            found[written(path, names)] = (_null(before), _null(after))
        elif part not in done:
            done.add(part)
            found[written(part, names)] = (_at(old, part), _at(new, part))
    return found


def _part_of(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> Path | None:
    """The part of a list that holds the path, when the whole part came or went."""
    for depth in range(2, len(path) + 1):
        if path[depth - 1][:1] in ("#", "=") and _is_list(path[: depth - 1], old, new):
            part = path[:depth]
            if _at(old, part) is None or _at(new, part) is None:
                return part
    return None


def _is_list(path: Path, *bodies: Mapping[str, Any]) -> bool:
    return any(isinstance(_at(body, path), list) for body in bodies)


def _at(body: Mapping[str, Any], path: Path) -> Any:
    """The value at a path; None where there is none."""
    here: Any = body
    for depth, step in enumerate(path):
        if isinstance(here, list):
            field = path[depth - 1]
            here = dict(zip(marks(field, here), here, strict=True)).get(step)
        elif isinstance(here, Mapping):
            here = here.get(step)
        else:
            return None
    return here


def _null(value: Any) -> Any:
    return None if value is MISSING else value


def _names(body: Mapping[str, Any]) -> dict[Path, str]:
    """What people call the parts of lists: an endpoint by its name, not by its number."""
    return {
        (field, mark): str(part.get("name") or mark[1:]) if field != "contacts" else mark[1:]
        for field, value in body.items()
        if isinstance(value, list)
        for mark, part in zip(marks(field, value), value, strict=True)
        if isinstance(part, Mapping)
    }


def written(path: Path, names: Mapping[Path, str] | None = None) -> str:
    """A path for people."""
    words = path[0]
    for depth, step in enumerate(path[1:], 2):
        if step[:1] in ("#", "="):
            words += f"[{(names or {}).get(path[:depth], step[1:])}]"
        else:
            words += f".{step}"
    return words


def with_values(body: Mapping[str, Any], values: Mapping[Path, Any]) -> Body:
    """A copy of the body with the values at their paths; `MISSING` takes one out, and a part without values goes."""
    made = copy.deepcopy(dict(body))
    tables: dict[str, dict[str, Any]] = {}
    for field in {path[0] for path in values if len(path) > 1}:
        value = made.get(field)
        if isinstance(value, list) or (value is None and _speaks_of_list(field, values)):
            present = value or []
            tables[field] = dict(zip(marks(field, present), present, strict=True))
    for path, value in values.items():
        _set(tables if path[0] in tables else made, path, value)
    for field, table in tables.items():
        made[field] = [part for part in table.values() if not isinstance(part, dict) or flat(part)]
    return made


def _speaks_of_list(field: str, values: Iterable[Path]) -> bool:
    return any(path[0] == field and path[1][:1] in ("#", "=") for path in values if len(path) > 1)


def _set(table: dict[str, Any], path: Path, value: Any) -> None:
    *way, last = path
    here = table
    for step in way:
        inner = here.get(step)
        if not isinstance(inner, dict):
            if value is MISSING:
                return
            inner = here[step] = {}
        here = inner
    if value is MISSING:
        here.pop(last, None)
    else:
        here[last] = value
