"""The speed of cores in job records: ServiceLevelType and ServiceLevel, or since v0.4 one dictionary."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

from accounting.formats.fields import Fields
from accounting.formats.keyvalue import BadValue, decimal, integer, shown

PREFERRED = ("hepscore23", "hepspec", "si2k")
"""Benchmarks in the order in which one is kept where a record gives several (APEL)."""
MOST_NORMALISED_S = 10**17
_PAIR = re.compile(r"\s*[\"']?(\w{1,40})[\"']?\s*:\s*([^,{}:\s]{1,40})\s*\Z", re.ASCII)
T = TypeVar("T")


def service_level(fields: Fields) -> tuple[str, Decimal]:
    """Benchmark and speed of a core. A record without them counts with factor 1 and a remark (the
    specification allows it; APEL does not).
    """
    value, name = fields.stated("ServiceLevel"), fields.stated("ServiceLevelType")
    if value is None and name is None:
        fields.remark("no_service_level", "ServiceLevel", "No ServiceLevel is given; normalised by factor 1.")
        return "", Decimal(1)
    if value is not None and value.startswith("{"):
        levels = fields.take("ServiceLevel", lambda text: dictionary(text, decimal))
        kind, level = preferred(levels) if levels else ("", None)
    elif value is None or name is None:
        missing = "ServiceLevel" if value is None else "ServiceLevelType"
        fields.fault("missing_field", missing, f"{missing} is missing while the other is given; give both.")
        return "", Decimal(1)
    else:
        kind, level = fields.take("ServiceLevelType", _benchmark) or "", fields.take("ServiceLevel", decimal)
    if level is not None and not level:
        fields.remark(
            "zero_service_level", "ServiceLevel", "ServiceLevel is 0: normalised, this counts nothing."
        )
    return kind, Decimal(1) if level is None else level


def normalised(fields: Fields) -> tuple[str, int, int]:
    """Benchmark, normalised wall and CPU seconds of a summary that its site has normalised.

    A plain number has no benchmark (""); in dictionaries both must be of the same one.
    """
    found: list[dict[str, int]] = []
    for key in ("NormalisedWallDuration", "NormalisedCpuDuration"):
        fields.need(key)
        found.append(fields.take(key, _by_benchmark) or {})
    walls, cpus = found
    if fields.faults:
        return "", 0, 0
    if set(walls) != set(cpus):
        both = f"{_listed(walls)} and {_listed(cpus)}"
        fields.fault(
            "mixed_benchmarks", "NormalisedCpuDuration",
            f"NormalisedWallDuration and NormalisedCpuDuration are of different benchmarks ({both}); use one.",
        )  # fmt: skip
        return "", 0, 0
    kind, wall = preferred(walls)
    return kind, wall, cpus[kind]


def dictionary(value: str, read: Callable[[str], T]) -> dict[str, T]:
    """The values of `{hepscore23: 12.5, hepspec: 10}` by benchmark. Raises BadValue."""
    if not value.endswith("}"):
        raise BadValue(f"is {shown(value)}; close the braces.")
    made: dict[str, T] = {}
    for piece in value[1:-1].split(","):
        pair = _PAIR.match(piece)
        if not pair:
            raise BadValue(f"is {shown(value)}; write {{hepscore23: 12.5}}.")
        name = _benchmark(pair[1])
        if name in made:
            raise BadValue(f"names {name} twice; give each benchmark once.")
        made[name] = read(pair[2])
    return made


def preferred(values: dict[str, T]) -> tuple[str, T]:
    """The benchmark that is kept, with its value; `values` is not empty."""
    name = next((each for each in PREFERRED if each in values), "")
    return name, values[name]


def _by_benchmark(value: str) -> dict[str, int]:
    if value.startswith("{"):
        return dictionary(value, _seconds)
    return {"": _seconds(value)}


def _seconds(value: str) -> int:
    number = integer(value)
    if number > MOST_NORMALISED_S:
        raise BadValue(f"is {number}, more than {MOST_NORMALISED_S}; the unit is seconds x service level.")
    return number


def _benchmark(value: str) -> str:
    name = value.lower()
    if name not in PREFERRED:
        raise BadValue(f"names the benchmark {shown(value)}; known are hepspec, hepscore23 and si2k.")
    return name


def _listed(values: dict[str, int]) -> str:
    return ", ".join(name or "none" for name in values)
