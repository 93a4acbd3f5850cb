"""`hanse init`."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hanse.database import Database
from hanse.doctor.rounds import services as installed
from hanse.errors import Refused
from hanse.identity.certificates import certificate_from_pem, slash_name
from hanse.installing.answers import Answers, ask, read
from hanse.installing.databases import create
from hanse.installing.writing import group_number, settings_text, share, write_private
from hanse.migrations import upgrade


@click.command()
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/etc/hanse"),
    show_default=True,
    help="Folder for hanse.toml and the secrets.",
)
@click.option(
    "--answers",
    "answers_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file with the answers; without it they are asked for.",
)
@click.option(
    "--group",
    metavar="GROUP",
    help="Group that may read hanse.toml and the secrets, as the users of the units must; without it the owner alone.",
)
def init(directory: Path, answers_file: Path | None, group: str | None) -> None:
    """Set up an installation: settings, secrets, databases with their tables, the first operator.

    The PostgreSQL is one that you run. May be run again: secrets and databases that are there are kept, users of
    databases get new passwords, and the settings file of before is kept beside the new one.
    """
    readers = group_number(group) if group else None
    answers = read(answers_file) if answers_file is not None else ask(_prompt)
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    services = installed()
    urls = {}
    for name in answers.services:
        urls[name] = create(answers.postgres, name)
        click.echo(f"database hanse_{name}: there, with its user")
    folder = directory / "secrets"
    folder.mkdir(exist_ok=True, mode=0o700)
    config = directory / "hanse.toml"
    text = settings_text(answers, services, urls, folder)
    tomllib.loads(text)  # what is written can be read
    if config.exists():
        before = directory / f"hanse.toml.before-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
        write_private(before, config.read_text(encoding="utf-8"))
    write_private(config, text)
    if readers is not None:
        share(config, folder, readers)
    click.echo(f"{config}: written, readable by its owner {f'and the group {group}' if group else 'alone'}")
    for name in answers.services:
        (answers.state / name).mkdir(parents=True, exist_ok=True, mode=0o750)
        upgrade(services[name].package, urls[name])
        click.echo(f"{name}: its tables are those of this version")
    if answers.operator is not None:
        _operator(answers, services, urls)
    click.echo(_next(answers, config))


def _prompt(question: str, default: str) -> str:
    return str(click.prompt(question, default=default, show_default=default != "")).strip()


def _operator(answers: Answers, services: dict[str, Any], urls: dict[str, str]) -> None:
    assert answers.operator is not None
    try:
        certificate = certificate_from_pem(answers.operator.read_bytes())
    except ValueError as error:
        raise Refused(f"operator: {answers.operator} is not a certificate in PEM.") from error
    name = slash_name(certificate)
    for service in answers.services:
        db = Database(urls[service], pool_size=1)
        try:
            services[service].add_operator(db, certificate, name.rpartition("/CN=")[2] or name)
        finally:
            db.close()
    click.echo(f"{name}: federation operator of {', '.join(answers.services)}")


def _next(answers: Answers, config: Path) -> str:
    lines = ["", "Next:", f"  hanse --config {config} doctor"]
    lines += [
        f"  hanse --config {config} {name} serve      (units: deploy/systemd)" for name in answers.services
    ]
    if answers.operator is None:
        lines.append(f"  hanse --config {config} {answers.services[0]} operator add --cert FILE")
    return "\n".join(lines)
