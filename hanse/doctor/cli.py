"""`hanse doctor`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from hanse.doctor.advice import Advice, Level
from hanse.doctor.rounds import configured, look, services

_MARKS = {Level.GOOD: "ok", Level.NOTE: "note", Level.BAD: "BAD"}


@click.command()
@click.argument("names", metavar="[SERVICE]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Show also what is in order.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: advice by service.")
@click.pass_context
def doctor(ctx: click.Context, names: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Look at every part of an installation, and say what is wrong and what to do. Changes nothing.

    Without a SERVICE all that the settings speak of. Run it as the user that runs the service: it looks at what
    that user may read. Exit code 0: nothing stands in the way; 1: something does.
    """
    config = (ctx.find_root().obj or {}).get("config")
    installed = services()
    unknown = [name for name in names if name not in installed]
    if unknown:
        raise click.UsageError(f"There is no service {unknown[0]}; there are {', '.join(sorted(installed))}.")
    found = {name: list(look(installed[name], config)) for name in names or configured(config)}
    if as_json:
        click.echo(json.dumps({name: [_row(one) for one in rows] for name, rows in found.items()}, indent=2))
    else:
        for name, rows in found.items():
            _show(name, rows, everything)
    sys.exit(1 if any(one.level is Level.BAD for rows in found.values() for one in rows) else 0)


def _row(one: Advice) -> dict[str, str]:
    return {**asdict(one), "level": one.level.name.lower()}


def _show(name: str, rows: list[Advice], everything: bool) -> None:
    counts = {level: sum(one.level is level for one in rows) for level in Level}
    click.echo(
        f"{name}: {counts[Level.GOOD]} in order, {counts[Level.NOTE]} to note, {counts[Level.BAD]} bad"
    )
    for one in sorted(rows, key=lambda row: -row.level):
        if one.level is Level.GOOD and not everything:
            continue
        click.echo(f"  {_MARKS[one.level]:4}  {one.part}: {one.said}")
        if one.do:
            click.echo(f"{'':8}{one.do}")
