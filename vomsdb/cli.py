"""`hanse vomsdb ...`: what each service has, the attribute authority, and replication by hand."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import timedelta

import click

from hanse.cli import database_of, service_group, settings_of
from hanse.database import Database
from vomsdb import promise, pushing, replication
from vomsdb.import_commands import import_group
from vomsdb.jobs import pace_of, press_of
from vomsdb.promise import Pair, Promise
from vomsdb.protocols import voms_authority
from vomsdb.service import SERVICE
from vomsdb.settings import VomsdbSettings

group = service_group(SERVICE)
group.add_command(import_group(lambda: database_of(SERVICE)))


@group.command("aa", help="Run the attribute authority in the foreground; it alone reads aa_key.")
def attribute_authority() -> None:
    """Until SIGTERM or SIGINT."""
    voms_authority.run(settings_of(SERVICE))


@group.command("replicate", help="Sign fresh manifests and tell the sites now.")
@click.option("--site", "sites", multiple=True, help="Only this site; may be repeated.")
@click.option("--wait", "wait_s", type=float, default=0, help="Seconds to wait until all are in step.")
def replicate(sites: tuple[str, ...], wait_s: float) -> None:
    """Exits with 1 when --wait was given and a pair is not in step at the end."""
    settings, db = settings_of(SERVICE), database_of(SERVICE)
    with closing(db):
        _replicate(settings, db, sites, wait_s)


def _replicate(settings: VomsdbSettings, db: Database, sites: tuple[str, ...], wait_s: float) -> None:
    press, pace = press_of(settings), pace_of(settings)
    with db.transaction() as session:
        told, pairs = replication.tell_all(session, press, list(sites) or None, timedelta(0))
    taken, refused = pushing.push_due(db, press, pace, pushing.post(pace))
    click.echo(f"{pairs} manifests signed for {told} sites; {taken} agents took them, {refused} did not.")
    if wait_s:
        behind = _wait(db, settings, sites, wait_s)
        for pair in behind:
            click.echo(f"{pair.site} {pair.vo}: {pair.why}, {pair.missing} changes missing")
        if behind:
            raise click.exceptions.Exit(1)
        click.echo("All pairs are in step.")


def _wait(db: Database, settings: VomsdbSettings, sites: tuple[str, ...], wait_s: float) -> list[Pair]:
    promised = Promise(timedelta(seconds=settings.late_after_s), timedelta(seconds=settings.breach_after_s))
    ends = time.monotonic() + wait_s
    while True:
        with db.transaction() as session:
            pairs = promise.pairs(session, promised)
        behind = [p for p in pairs if p.state != promise.IN_STEP and (not sites or p.site in sites)]
        if not behind or time.monotonic() >= ends:
            return behind
        time.sleep(0.5)
