"""`hanse demo`: a whole federation on one machine, to look at and to try things on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from demo.cast import SITES, site
from demo.cloud.faults import FAULTS, FaultFile
from demo.descendants import is_alive
from demo.layout import Layout, State, default_data
from demo.supervisor import AlreadyUp, running

_data = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="HANSE_DEMO_DATA",
    help="Folder of everything; default .demo in the checkout. Also HANSE_DEMO_DATA.",
)
_site_names = click.Choice([one.name for one in SITES], case_sensitive=False)


@click.group(name="demo", help="The demo federation: three simulated clouds, four services, a story.")
def group() -> None:
    """Nothing is done before a command."""


@group.command(help="Bring the demo up, in the foreground until Ctrl-C; goes on with what is in the folder.")
@_data
@click.option("--detach", is_flag=True, help="Return when it is up, and leave it running.")
@click.option(
    "--ports",
    type=click.Choice(["default", "free"]),
    default="default",
    show_default=True,
    help="Documented ports, or free ones; only asked when the folder is new.",
)
def up(data: Path | None, detach: bool, ports: str) -> None:
    folder = (data or default_data()).absolute()
    if detach:
        _up_detached(folder, ports)
    else:
        _up(folder, ports)


def _up(folder: Path, ports: str) -> None:
    from demo.up import Demo, NotUp, prepare
    from demo.welcome import welcome

    say = Progress(Console(), time.monotonic())
    try:
        layout = prepare(folder, ports, say)
        demo = Demo(layout, say)
        demo.supervisor.begin()
    except (AlreadyUp, OSError) as error:
        raise click.ClickException(str(error)) from error
    try:
        if demo.start():
            demo.mark_ready()
            welcome(layout, Console())
            demo.supervisor.watch()
        say("ending")
    except NotUp as error:
        raise click.ClickException(str(error)) from error
    finally:
        demo.supervisor.end()


class Progress:
    """Prints a line with the seconds since the start in front."""

    def __init__(self, console: Console, begun: float) -> None:
        self._console = console
        self._begun = begun

    def __call__(self, line: str) -> None:
        passed = f"{time.monotonic() - self._begun:6.1f} s"
        self._console.print(Text.assemble((passed, "dim"), "  ", line), soft_wrap=True, highlight=False)


def _up_detached(folder: Path, ports: str) -> None:
    from demo.welcome import welcome

    pid = running(folder / "run")
    if pid is not None:
        raise click.ClickException(f"A demo is up in {folder} already (process {pid}).")
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    (folder / "run").mkdir(exist_ok=True)
    (folder / "run" / "ready").unlink(missing_ok=True)
    command = [sys.executable, "-m", "hanse.cli", "demo", "up", "--data", str(folder), "--ports", ports]
    log = folder / "logs" / "supervisor.log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    shown = 0
    while not (folder / "run" / "ready").exists():
        shown = _show_from(log, shown)
        if child.poll() is not None:
            _show_from(log, shown)
            raise click.ClickException(f"The demo did not come up; see {log}.")
        time.sleep(0.1)
    welcome(_layout(folder), Console())


def _show_from(log: Path, shown: int) -> int:
    text = log.read_bytes()[shown:]
    end = text.rfind(b"\n") + 1
    click.echo(text[:end].decode(errors="replace"), nl=False)
    return shown + end


@group.command(help="Where everything is: addresses, credentials, files.")
@_data
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def status(data: Path | None, as_json: bool) -> None:
    from demo.status import status as told
    from demo.welcome import welcome

    layout = _layout((data or default_data()).absolute())
    seen = told(layout)
    if as_json:
        click.echo(json.dumps(seen, indent=1, ensure_ascii=False))
    if not seen["up"]:
        raise click.ClickException("The demo is not up; start it with `hanse demo up`.")
    if not as_json:
        welcome(layout, Console())


def _layout(folder: Path) -> Layout:
    state = State.read(folder)
    if state is None:
        raise click.ClickException(f"There is no demo in {folder}; start one with `hanse demo up`.")
    return Layout(folder, state.ports)


@group.command(help="End a demo that is up, and wait until every process of it is gone.")
@_data
def down(data: Path | None) -> None:
    folder = (data or default_data()).absolute()
    pid = running(folder / "run")
    if pid is None:
        click.echo("No demo is up there.")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 90
    while running(folder / "run") is not None or is_alive(pid):
        if time.monotonic() > deadline:
            raise click.ClickException(f"Process {pid} did not end within 90 s; see {folder / 'logs'}.")
        time.sleep(0.1)
    click.echo("The demo is down; its data stays.")


@group.command(name="break", help="Make the cloud of SITE fail.")
@click.argument("site_name", metavar="SITE", type=_site_names)
@click.option(
    "--how",
    type=click.Choice(list(FAULTS)),
    default="refuse",
    show_default=True,
    help="; ".join(f"{word}: {about}" for word, about in FAULTS.items()) + ".",
)
@_data
def break_(site_name: str, how: str, data: Path | None) -> None:
    layout = _layout((data or default_data()).absolute())
    FaultFile(layout.cloud(site(site_name))).set(how)
    click.echo(f"{site_name}: {FAULTS[how]}. `hanse demo mend {site_name}` heals it.")


@group.command(help="Heal the cloud of SITE.")
@click.argument("site_name", metavar="SITE", type=_site_names)
@_data
def mend(site_name: str, data: Path | None) -> None:
    layout = _layout((data or default_data()).absolute())
    FaultFile(layout.cloud(site(site_name))).clear()
    click.echo(f"{site_name} works again.")


@group.command(
    help="Play the story of a researcher, step by step; ends with an error at the first untrue step."
)
@_data
@click.option("--seed", type=int, default=None, help="Makes the researcher's name; default: by the clock.")
def story(data: Path | None, seed: int | None) -> None:
    from demo.calls import Untrue
    from demo.story import play

    layout = _layout((data or default_data()).absolute())
    try:
        play(layout, time.time_ns() // 10**6 % 10**9 if seed is None else seed, Console())
    except Untrue as error:
        raise click.ClickException(f"Not true: {error}") from error
