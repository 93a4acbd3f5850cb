"""`hanse accounting ...`: beside serve, jobs, migrate and operator, loading files and running a loader."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path

import click

from accounting import files
from accounting.forwarding.sending import make_forwarder
from accounting.inbox import Inbox
from accounting.jobs import cross_check
from accounting.keeping_commands import commands
from accounting.loading import Outcome, counted, make_loader
from accounting.pseudonyms import demand_key
from accounting.pulling import make_puller
from accounting.service import SERVICE
from accounting.settings import AccountingSettings
from accounting.worker import Worker
from hanse.cli import service_group, settings_of
from hanse.database import Database

group = service_group(SERVICE)
BEHIND_THE_INBOX = 5
"""How far loaders stand back for processes that people and publishers wait for."""
for made in commands(lambda: settings_of(SERVICE)):
    group.add_command(made)


@group.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def load(paths: tuple[Path, ...], as_json: bool) -> None:
    """Load message files or directories as the administrator: same pipeline, same checks.

    Plain files speak for every site of the registry; a signed one only for its signer's. Prints how many
    records were loaded and how many quarantined, with the reason of each whole message that was refused.
    """
    settings = settings_of(SERVICE)
    db = Database(settings.database_url)
    demand_key(db, settings.pseudonym_key.get_secret_value())
    loader, box = make_loader(settings, db), Inbox(db, settings.inbox_max_waiting)
    done: list[files.Loaded] = []
    for path in files.find(paths):
        done.append(files.load(loader, box, path))
        if not as_json:
            _print(done[-1])
    _print_total([each.outcome for each in done], as_json)


def _print(loaded: files.Loaded) -> None:
    outcome = loaded.outcome
    click.echo(
        f"{loaded.path}: {outcome.loaded} loaded, {outcome.refused} quarantined, {outcome.remarked} remarked"
    )
    if outcome.reason:
        click.echo(f"  {outcome.reason}")


def _print_total(outcomes: list[Outcome], as_json: bool) -> None:
    loaded, refused = counted(outcomes)
    if as_json:
        click.echo(json.dumps({"messages": len(outcomes), "loaded": loaded, "quarantined": refused}))
    else:
        click.echo(f"{len(outcomes)} messages: {loaded} records loaded, {refused} quarantined")


@group.command()
@click.option("--once", is_flag=True, help="Load what waits now, then end.")
def worker(once: bool) -> None:
    """Run a loader: messages from the inbox to counted records, until SIGTERM. Any number may run."""
    settings = settings_of(SERVICE)
    db = Database(settings.database_url)
    demand_key(db, settings.pseudonym_key.get_secret_value())
    made = _worker(settings, db)
    stop = _until_told()
    os.nice(BEHIND_THE_INBOX)
    if once:
        while made.work(stop):
            pass
    else:
        made.run(stop)
    db.close()
    sys.exit(0)


def _worker(settings: AccountingSettings, db: Database) -> Worker:
    return Worker(make_loader(settings, db), settings.worker_poll_s, bool(settings.registry_url))


@group.command()
@click.option("--once", is_flag=True, help="Pull what waits now, then end; 1 when it cannot.")
def pull(once: bool) -> None:
    """Pull messages from the subscription of an AMS that others run (settings pull_*), until SIGTERM.

    Each message is stored before it is acknowledged. One process is enough; a second one does no harm.
    """
    settings = settings_of(SERVICE)
    db = Database(settings.database_url)
    with make_puller(settings, db) as puller:
        if once:
            click.echo(f"{puller.pull_all()} messages came from {puller.source}.")
        else:
            puller.run(_until_told())
    db.close()
    sys.exit(0)


@group.command("cross-check")
def cross_check_command() -> None:
    """Compare usage with what registry and membership say, now, and tell the owners of what is new."""
    settings = settings_of(SERVICE)
    db = Database(settings.database_url)
    click.echo(cross_check(settings, db))
    db.close()


@group.command("forward")
@click.option("--again", is_flag=True, help="Send also what was sent before and has not changed.")
@click.option("--site", help="With --again: only this site.")
@click.option("--month", type=click.DateTime(["%Y-%m"]), help="With --again: only this month, YYYY-MM.")
def forward_command(again: bool, site: str | None, month: datetime | None) -> None:
    """Send month summaries to a higher federation (settings forward_*): those that differ from what it holds.

    What could not be sent waits, and the next run goes on with it.
    """
    if (site or month) and not again:
        raise click.UsageError("--site and --month say what to send again: add --again.")
    settings = settings_of(SERVICE)
    db = Database(settings.database_url)
    with make_forwarder(settings, db) as forwarder:
        if again:
            forwarder.again(site, month.date() if month else None)
        click.echo(forwarder.forward().sentence)
    db.close()


def _until_told() -> threading.Event:
    """An event that SIGTERM or Ctrl-C sets."""
    stop = threading.Event()
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda *_: stop.set())
    return stop
