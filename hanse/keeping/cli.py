"""`hanse backup` and `hanse restore`."""

from __future__ import annotations

from pathlib import Path

import click

from hanse.doctor.advice import Patient
from hanse.doctor.rounds import configured, services
from hanse.keeping.backup import back_up
from hanse.keeping.restore import restore


def _patients(ctx: click.Context, names: tuple[str, ...]) -> list[Patient]:
    config = (ctx.find_root().obj or {}).get("config")
    installed = services()
    unknown = [name for name in names if name not in installed]
    if unknown:
        raise click.UsageError(f"There is no service {unknown[0]}; there are {', '.join(sorted(installed))}.")
    return [
        Patient(
            name,
            installed[name].package,
            installed[name].settings.load(name, config),
            installed[name].restored,
            installed[name].kept,
        )
        for name in names or configured(config)
    ]


@click.command("backup")
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@click.argument("names", metavar="[SERVICE]...", nargs=-1)
@click.pass_context
def backup(ctx: click.Context, target: Path, names: tuple[str, ...]) -> None:
    """Back up the services that the settings speak of into a new folder below TARGET, while they run.

    Databases and the services' own files; not the settings and the secrets in /etc/hanse, which want a safe of their
    own. A folder without `.part` at the end of its name is whole.
    """
    for told in back_up(_patients(ctx, names), target):
        click.echo(told)


@click.command("restore")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("names", metavar="[SERVICE]...", nargs=-1)
@click.option(
    "--replace", is_flag=True, help="In the place of what is there; without it databases must be empty."
)
@click.pass_context
def restore_command(ctx: click.Context, folder: Path, names: tuple[str, ...], replace: bool) -> None:
    """Put a backup back, with the services stopped; then `hanse doctor`, and start them.

    A backup of an older version is brought to this one. Every service that follows a restored one reads it again.
    """
    for told in restore(folder, _patients(ctx, names), replace=replace):
        click.echo(told)
