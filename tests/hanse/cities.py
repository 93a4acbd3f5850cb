"""A service of the tests, complete and small: `python cities.py COMMAND ...` is its command line."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import click
from flask import Flask
from pydantic import Field

from hanse.cli import HanseCommands, database_of, service_group, settings_of
from hanse.database import Database, GroundBase
from hanse.errors import FieldFault, Refused
from hanse.jobs import Job
from hanse.service import Service
from hanse.settings import ServiceSettings


class CitySettings(ServiceSettings):
    slow_s: float = Field(0, description="Seconds that the job takes.")


def create_app(settings: CitySettings) -> Flask:
    return Flask("cities")


def jobs(settings: CitySettings, db: Database) -> list[Job]:
    def count() -> str:
        (settings.data_dir / "started").touch()
        time.sleep(settings.slow_s)
        return f"Counted at {datetime.now(UTC)}."

    return [Job("count", count, every_s=0.5)]


SERVICE = Service(
    name="cities",
    package="cities",
    settings=CitySettings,
    create_app=create_app,
    jobs=jobs,
    metadatas=(GroundBase.metadata,),
)
group = service_group(SERVICE)


@group.command()
def where() -> None:
    """Say which database it is."""
    click.echo(settings_of(SERVICE).database_url)
    with database_of(SERVICE).transaction() as session:
        click.echo(session.connection().exec_driver_sql("select 7").scalar())


@group.command()
def refuse() -> None:
    """Fail as a use case does."""
    raise Refused("Lübeck is full.", FieldFault("vcpu", "64 of 64 are taken"))


@click.group(cls=HanseCommands)
@click.option("--config", envvar="HANSE_CONFIG", type=click.Path(path_type=Path))
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """As `hanse` itself, with this service's commands."""
    ctx.obj = {"config": config}


main.add_command(group)

if __name__ == "__main__":
    main()
