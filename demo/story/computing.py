"""Machines at every site, what is refused, and the usage that comes back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from demo.calls import PATIENCE_S, Untrue, until
from demo.cast import SITES, Site
from demo.cloud.dialects import SIZES
from demo.story.joining import identity
from demo.story.scene import Scene, require
from hanse.occi.client import OcciClient, OcciError
from hanse.occi.model import (
    COMPUTE,
    COMPUTE_ACTION,
    NETWORK,
    NETWORK_INTERFACE,
    OS_TPL,
    RESOURCE_TPL,
    Link,
)

T = TypeVar("T")
_VCPU = {size.term: size.vcpu for size in SIZES}


@dataclass
class Bill:
    """What a machine must have been charged for, at least and at most, in CPU seconds."""

    least: float = 0.0
    most: float = 0.0

    def add(self, size: str, surely_s: float, perhaps_s: float) -> None:
        """A machine of `size` ran surely this long, and perhaps as long as that."""
        # Records carry whole seconds, at least one.
        self.least += _VCPU[size] * max(1.0, surely_s - 1)
        self.most += _VCPU[size] * (perhaps_s + 1)


@dataclass
class _Run:
    site: Site
    cloud: OcciClient
    title: str
    size: str
    asked: float
    place: str = ""
    active: float = 0.0


def run_machines(scene: Scene, proxy: Path) -> dict[str, Bill]:
    """A machine at each site, one too many refused, all deleted; what each site must charge for."""
    scene.step("A virtual machine over OCCI at each site")
    runs = [_start(scene, site, proxy, "small") for site in SITES]
    scene.step("What exceeds a site's capacity is refused")
    runs += [run for site in SITES for run in _fill(scene, site, proxy)]
    # A few seconds, so that there is something to count.
    time.sleep(max(0.0, 2.5 - (time.monotonic() - runs[0].active)))
    scene.step("The machines are stopped and deleted")
    bills = {site.name: Bill() for site in SITES}
    for run in runs:
        _end(run, bills[run.site.name])
    for site in SITES:
        with _cloud(scene, site, proxy) as cloud:
            left = patient(partial(cloud.list, COMPUTE), f"the list of machines at {site.name}")
        require(not left, f"machines are left at {site.name}: {left}")
    scene.saw(f"{len(runs)} machines are gone")
    return bills


def _cloud(scene: Scene, site: Site, proxy: Path) -> OcciClient:
    return OcciClient(
        scene.layout.cloud_url(site), cert=(proxy, proxy), ca=scene.layout.bundle, deadline_s=10
    )


def patient(work: Callable[[], T], what: str, patience_s: float = PATIENCE_S) -> T:
    """Do it again while the cloud gives no answer. Raises Untrue after a while, OcciError for a refusal."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return work()
        except OcciError as error:
            if error.status not in (0, 502, 503) or time.monotonic() > deadline:
                raise
            time.sleep(0.3)
        if time.monotonic() > deadline:
            raise Untrue(f"It did not come true: {what}.")


def _start(scene: Scene, site: Site, proxy: Path, size: str) -> _Run:
    cloud = _cloud(scene, site, proxy)
    run = _Run(site, cloud, f"story-{uuid.uuid4().hex[:12]}", size, time.monotonic())
    try:
        run.place = patient(lambda: _create(run), f"a machine at {site.name}")
    except OcciError as error:
        if size == "small":
            raise Untrue(f"{site.name} started no machine: {error}") from error
        raise
    run.active = until(f"the machine at {site.name} is active", lambda: _active(run))
    described = patient(lambda: cloud.describe(run.place), "the description")
    address = next(
        (str(link.attributes.get("occi.networkinterface.address", "")) for link in described.links), ""
    )
    scene.saw(f"{site.name}: {size} machine {run.place.rpartition('/')[2]} is active at {address}")
    return run


def _create(run: _Run) -> str:
    """Create the machine, unless an earlier try whose answer was lost has made it."""
    cloud = run.cloud
    for place in cloud.list(COMPUTE):
        if cloud.describe(place).attributes.get("occi.core.title") == run.title:
            return place
    model = cloud.query()
    image = model.children_of(OS_TPL)[0].identifier
    size = next(one.identifier for one in model.children_of(RESOURCE_TPL) if one.term == run.size)
    own_id = str(uuid.uuid4())
    public = Link(cloud.collection(NETWORK) + "public", (NETWORK,), categories=(NETWORK_INTERFACE,))
    attributes = {"occi.core.title": run.title, "occi.core.id": own_id}
    return cloud.create(COMPUTE, mixins=[image, size], attributes=attributes, links=[public])


def _active(run: _Run) -> float | None:
    described = patient(lambda: run.cloud.describe(run.place), f"the machine at {run.site.name}")
    return time.monotonic() if described.attributes.get("occi.compute.state") == "active" else None


def _fill(scene: Scene, site: Site, proxy: Path) -> list[_Run]:
    """Start huge machines until the site has no room; the refusal must name what is short."""
    runs: list[_Run] = []
    while True:
        try:
            runs.append(_start(scene, site, proxy, "huge"))
        except OcciError as error:
            require(
                "vCPU" in str(error) or "RAM" in str(error), f"{site.name} refused without a reason: {error}"
            )
            scene.saw(f"{site.name}: {error}")
            return runs
        require(len(runs) < 4, f"{site.name} has no end")


def _end(run: _Run, bill: Bill) -> None:
    """Stop, then delete. Between the first call and the last answer it may have run or not."""
    with run.cloud:
        begun = time.monotonic()
        try:
            patient(lambda: run.cloud.act(run.place, COMPUTE_ACTION + "stop"), "stopping")
        except OcciError as error:
            raise Untrue(f"stopping a machine at {run.site.name} was refused: {error}") from error
        patient(lambda: run.cloud.delete(run.place), "deleting")
    bill.add(run.size, begun - run.active, time.monotonic() - run.asked)


def usage_arrives(scene: Scene, bills: dict[str, Bill], since: datetime) -> None:
    """The researcher reads the own CPU hours in the portal's API, and they are what the machines ran."""
    scene.step("Usage arrives: the CPU hours of the researcher in accounting")
    for site in SITES:
        bill = bills[site.name]
        seconds = until(
            f"{site.name} charges {bill.least:.0f} to {bill.most:.0f} CPU seconds",
            partial(_charged, scene, site, since, bill),
        )
        scene.saw(
            f"{site.name}: {seconds / 3600:.4f} CPU hours ({seconds} s; the machines ran {bill.least:.0f} to"
            f" {bill.most:.0f} s)"
        )


def _charged(scene: Scene, site: Site, since: datetime, bill: Bill) -> int | None:
    """CPU seconds at the site when they are enough. Raises Untrue when they are too many: something was
    doubled.
    """
    name = identity(scene).subject_slash
    period = f"from={since:%Y-%m}&to={datetime.now(UTC):%Y-%m}"
    rows = scene.me("accounting").get(f"/api/v1/usage?by=site,vo,user&{period}&user={quote(name)}")["rows"]
    seconds = sum(
        int(row["cpu_seconds"]) for row in rows if (row["site"], row["vo"]) == (site.name, scene.vo)
    )
    require(
        seconds <= bill.most + 1,
        f"{site.name} charges {seconds} CPU seconds, more than the {bill.most:.0f} possible",
    )
    return seconds if seconds >= bill.least else None
