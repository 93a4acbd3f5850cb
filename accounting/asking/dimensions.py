"""What usage can be grouped and filtered by, in the field's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Dimension:
    """A way to group. `of` is the dimension under which it is kept where it is looked up (the NGI of a site)."""

    label: str
    plural: str
    of: str = ""

    @property
    def title(self) -> str:
        """The label at the beginning of a line."""
        return self.label[0].upper() + self.label[1:]


DIMENSIONS: Final[Mapping[str, Dimension]] = {
    "month": Dimension("month", "months"),
    "day": Dimension("day", "days"),
    "site": Dimension("site", "sites"),
    "ngi": Dimension("NGI", "NGIs", of="site"),
    "country": Dimension("country", "countries", of="site"),
    "vo": Dimension("VO", "VOs"),
    "discipline": Dimension("discipline", "disciplines", of="vo"),
    "group": Dimension("VO group", "VO groups"),
    "role": Dimension("VO role", "VO roles"),
    "user": Dimension("user", "users"),
    "service": Dimension("cloud service", "cloud services"),
    "status": Dimension("status", "statuses"),
    "image": Dimension("image", "images"),
    "cores": Dimension("number of cores", "numbers of cores"),
    "benchmark": Dimension("benchmark", "benchmarks"),
    "submit_host": Dimension("submit host", "submit hosts"),
    "infrastructure": Dimension("infrastructure", "infrastructures"),
    "system": Dimension("storage system", "storage systems"),
    "storage_share": Dimension("storage share", "storage shares"),
    "media": Dimension("storage medium", "storage media"),
    "type": Dimension("accelerator type", "accelerator types"),
    "model": Dimension("accelerator model", "accelerator models"),
    "ip_version": Dimension("IP version", "IP versions"),
}
TIMES: Final = ("month", "day")
PLACES: Final = ("site", "ngi", "country")
