"""The order of the story."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from rich.console import Console

from demo.calls import Untrue
from demo.layout import Layout
from demo.story import computing, credential, guarding, joining, watching
from demo.story.scene import Scene
from hanse.http import HttpError
from hanse.occi.client import OcciError


def play(layout: Layout, seed: int, console: Console) -> None:
    """Play every step; raises Untrue at the first that is not true."""
    begun = time.monotonic()
    scene = Scene(layout, seed, console)
    console.print(f"The story of {scene.researcher.name} (seed {seed})", highlight=False)
    try:
        _play(scene)
    except (HttpError, OcciError) as error:
        raise Untrue(str(error)) from error
    console.print(
        f"[bold green]Everything was true.[/bold green] {time.monotonic() - begun:.1f} s", highlight=False
    )


def _play(scene: Scene) -> None:
    since = datetime.now(UTC)
    head = joining.head_of_feed(scene)
    request = joining.apply(scene)
    joining.confirm(scene)
    joining.approve(scene, request)
    joining.in_the_feed(scene, head)
    joining.at_the_sites(scene)
    proxy = credential.get_proxy(scene)
    bills = computing.run_machines(scene, proxy)
    computing.usage_arrives(scene, bills, since)
    broken, in_downtime = watching.choose(scene)
    watching.breaks_and_recovers(scene, broken)
    watching.downtime_mutes(scene, in_downtime)
    guarding.wrong_signer(scene, broken, in_downtime)
    guarding.suspend(scene, broken, proxy)
