"""`hanse monitoring ...`: beside serve, jobs, migrate and operator, the probe worker and single probes."""

import asyncio
import json
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from hanse.cli import database_of, service_group, settings_of
from monitoring.findings import Fault, Result, Status
from monitoring.nagios import plain, plugin_output
from monitoring.probes import PROBES
from monitoring.running import run, target_of
from monitoring.service import SERVICE
from monitoring.wire.certificates import Trust
from monitoring.wire.journals import FileJournal
from monitoring.worker import ProbeWorker

group = service_group(SERVICE)


@group.command()
def worker() -> None:
    """Run probes and send alerts until SIGTERM. Any number may run, on any number of machines."""
    settings = settings_of(SERVICE)
    db = database_of(SERVICE)
    stop = threading.Event()
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda *_: stop.set())
    try:
        ProbeWorker(db, settings).run(stop)
    finally:
        db.close()


class Plugin(click.Command):
    """A command whose wrong use is UNKNOWN (3): Nagios would take click's 2 for CRITICAL."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As click's, with a plugin's line and exit code for what it refuses."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as fault:
            raise _unknown(fault) from None

    def invoke(self, ctx: click.Context) -> Any:
        """As click's; options that only the probe can judge are refused here."""
        try:
            return super().invoke(ctx)
        except click.UsageError as fault:
            raise _unknown(fault) from None


def _unknown(fault: click.UsageError) -> click.exceptions.Exit:
    click.echo(f"PROBE UNKNOWN - {plain(fault.format_message())}")
    return click.exceptions.Exit(3)


@group.command(cls=Plugin)
@click.argument("name", type=click.Choice(sorted(PROBES)))
@click.option("--endpoint", required=True, help="Address to probe, such as https://cloud.example:8787/ooi.")
@click.option(
    "--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the probe; repeatable."
)
@click.option("--timeout", type=click.FloatRange(min=0.1), help="Wall-clock deadline in seconds.")
@click.option(
    "--ca-path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of CAs (*.pem) and revocation lists (*.r0); default: the system's CAs.",
)
@click.option(
    "--cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificate or proxy to show.",
)
@click.option(
    "--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its key, where it is apart."
)
@click.option(
    "--token-file", type=click.File(), help="File with the token for X-Auth-Token (occi-categories)."
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("~/.local/state/hanse/probe-machines.jsonl"),
    show_default=True,
    help="File in which occi-compute notes what it makes, so that the next run deletes what one left behind.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the whole result with phases as one JSON object."
)
def probe(
    name: str,
    endpoint: str,
    options: tuple[str, ...],
    timeout: float | None,
    ca_path: Path | None,
    cert: Path | None,
    key: Path | None,
    token_file: Any,
    journal: Path,
    as_json: bool,
) -> None:
    """Run the probe NAME once, as a Nagios plugin: one line, exit code 0 OK, 1 WARNING, 2 CRITICAL, 3
    UNKNOWN.

    Needs no settings and no database.
    """
    given = dict(_pair(option) for option in options)
    if token_file is not None:
        given["token"] = token_file.read().strip()
    credential = (cert, key or cert) if cert else None
    result = _run(
        name, endpoint, given, Trust(ca_path), credential, timeout, FileJournal(journal.expanduser())
    )
    click.echo(
        json.dumps({"probe": name, **asdict(result)}, indent=2) if as_json else plugin_output(name, result)
    )
    sys.exit(result.status.exit_code)


def _run(
    name: str,
    endpoint: str,
    options: dict[str, str],
    trust: Trust,
    credential: tuple[Path, Path] | None,
    timeout: float | None,
    journal: FileJournal,
) -> Result:
    try:
        target = target_of(endpoint, options)
    except Fault as fault:
        return Result(Status.UNKNOWN, fault.summary, fault.reason, 0.0)
    unknown = options.keys() - set(PROBES[name].options)
    if unknown:
        known = ", ".join(PROBES[name].options) or "none"
        return Result(
            Status.UNKNOWN, f"{name} has no option {min(unknown)}; it has {known}", "bad-option", 0.0
        )
    return asyncio.run(
        run(PROBES[name], target, trust, credential=credential, deadline_s=timeout, journal=journal)
    )


def _pair(option: str) -> tuple[str, str]:
    key, mark, value = option.partition("=")
    if not mark or not key:
        raise click.BadParameter(f"{option!r} is not KEY=VALUE", param_hint="--option")
    return key, value
