"""What can be measured, and how a figure comes from sums: by adding up, or as a ratio of two sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

DECLARED: Final = "declared_s"
"""A sum that no table holds: the CPU seconds that declared vCPUs could have given; `accounting.asking.places`."""
HOUR: Final = 3600
TB: Final = 10**12
MONTH: Final = 365.25 * 86_400 / 12
"""Seconds of a mean month: a terabyte that stayed all of a year makes twelve TB-months."""


@dataclass(frozen=True)
class Measure:
    """`over` are the sums that are added up, `scale` how many of their units make one of the figure.

    With `per` the figure is a ratio: percent of that sum. Ratios of groups do not add up; their sums do. `counted` is
    what a count counts: over several months a sum of counts is one of "VM-months".
    """

    label: str
    unit: str
    over: tuple[str, ...]
    scale: float = 1
    per: str = ""
    decimals: int = 0
    counted: str = ""

    @cached_property
    def sums(self) -> tuple[str, ...]:
        """Every sum that a table must give."""
        return tuple(dict.fromkeys(name for name in (*self.over, self.per) if name and name != DECLARED))

    @property
    def adds_up(self) -> bool:
        """Whether figures of groups can be added."""
        return not self.per

    def unit_over(self, periods: int, each: str) -> str:
        """The unit of a sum over so many months or days."""
        return f"{self.counted}-{each}s" if self.counted and periods > 1 else self.unit

    def figure(self, sums: Mapping[str, float]) -> float | None:
        """The figure in the measure's unit; None where a ratio has nothing below its line."""
        above = sum(sums.get(name, 0) for name in self.over)
        if not self.per:
            return above if self.scale == 1 else above / self.scale  # counts stay whole
        below = sums.get(self.per, 0)
        return above * 100 / below if below else None


MEASURES: Final[Mapping[str, Measure]] = {
    "cpu_hours": Measure("CPU hours", "CPU hours", ("cpu_s",), HOUR),
    "wall_hours": Measure("Wall hours", "wall hours", ("wall_s",), HOUR),
    "core_hours": Measure("Wall hours × cores", "core hours", ("wall_core_s",), HOUR),
    "normalised_cpu_hours": Measure(
        "Normalised CPU hours", "normalised CPU hours", ("normalised_cpu_s",), HOUR
    ),
    "normalised_wall_hours": Measure(
        "Normalised wall hours", "normalised wall hours", ("normalised_wall_s",), HOUR
    ),
    "vms": Measure("VMs", "VMs", ("vms",), counted="VM"),
    "jobs": Measure("Jobs", "jobs", ("jobs",)),
    "efficiency": Measure("CPU efficiency", "% of wall × cores", ("cpu_s",), per="wall_core_s", decimals=1),
    "share": Measure(
        "Share of declared capacity", "% of declared capacity", ("cpu_s",), per=DECLARED, decimals=1
    ),
    "network": Measure("Network traffic", "GB in and out", ("network_in", "network_out")),
    "gpu_hours": Measure("GPU hours", "GPU hours", ("available_s",), HOUR),
    "gpu_active_hours": Measure("Active GPU hours", "active GPU hours", ("active_s",), HOUR),
    "gpu_use": Measure(
        "Use of accelerators", "% of the time available", ("active_s",), per="available_s", decimals=1
    ),
    "storage": Measure("Storage", "TB-months", ("byte_s",), TB * MONTH, decimals=2),
    "public_ips": Measure("Public IPs", "public IPs, mean of a month", ("ips",), decimals=1, counted="IP"),
}
