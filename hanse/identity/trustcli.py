"""`hanse trust`: the CAs that are trusted, how fresh their revocation lists are, and fetching new ones."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from hanse.identity.crl_refresh import refresh
from hanse.identity.trust import TrustError, TrustStore


@dataclass(frozen=True)
class _Row:
    ca: str
    next_update: datetime | None
    problem: str
    did: str


_DIRECTORY = click.option(
    "--trust-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="HANSE_TRUST_DIR",
    default=Path("/etc/grid-security/certificates"),
    show_default=True,
    help="Folder of CA certificates and revocation lists; also HANSE_TRUST_DIR.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")


@click.group()
def trust() -> None:
    """CAs that are trusted, and their revocation lists. Nobody gets in by a CA whose list has ended."""


@trust.command("status")
@_DIRECTORY
@_JSON
def status(trust_dir: Path, as_json: bool) -> None:
    """Say for each CA whether its revocation list holds. Exit code 1 when one does not."""
    store = _store(trust_dir)
    rows = [_Row(one.ca, one.next_update, one.problem or "", "") for one in store.crl_states()]
    for problem in store.anchors().problems:
        click.echo(problem, err=True)
    _show(rows, as_json)


@trust.command("refresh")
@_DIRECTORY
@click.option(
    "--timeout", type=click.FloatRange(1, 600), default=60, show_default=True, help="Seconds for each list."
)
@_JSON
def refresh_command(trust_dir: Path, timeout: float, as_json: bool) -> None:
    """Fetch new revocation lists, check them, and put them in place; running services take them at once.

    To be run every few hours (a systemd timer is in deploy/systemd). Exit code 1 when a CA is left without a
    list that holds; a list that could not be fetched while the present one holds is only told.
    """
    for problem in _store(trust_dir).anchors().problems:
        click.echo(problem, err=True)
    rows = [
        _Row(one.ca, one.next_update, one.problem, "new" if one.fetched else one.note)
        for one in refresh(trust_dir, deadline_s=timeout)
    ]
    _show(rows, as_json)


def _store(trust_dir: Path) -> TrustStore:
    store = TrustStore(trust_dir)
    try:
        store.anchors()
    except TrustError as error:
        raise click.ClickException(str(error)) from error
    return store


def _show(rows: list[_Row], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2, default=_written))
    else:
        for row in sorted(rows, key=lambda one: (one.problem == "", one.ca)):
            click.echo(f"{'BAD' if row.problem else 'ok ':3}  {_left(row.next_update):>12}  {row.ca}")
            for word in (row.problem, row.did):
                if word:
                    click.echo(f"{'':19}{word}")
        click.echo(f"{len(rows)} CAs, {sum(bool(row.problem) for row in rows)} without a list that holds")
    sys.exit(1 if any(row.problem for row in rows) else 0)


def _left(until: datetime | None) -> str:
    if until is None:
        return "no list"
    hours = (until - datetime.now(UTC)).total_seconds() / 3600
    return "ended" if hours <= 0 else f"{hours:.0f} h left" if hours < 72 else f"{hours / 24:.0f} days left"


def _written(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()
