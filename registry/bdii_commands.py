"""`hanse registry bdii ...`: an LDAP server for clients of the old information system."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import click

from hanse.http import Client, HttpError
from registry import bdii as directories
from registry.bdii import BdiiError

DEFAULT_LDAP = "ldap://127.0.0.1:2170"


@click.group("bdii", help="An LDAP server (slapd) with all sites as GLUE 2.0, below o=glue.")
def bdii() -> None:
    """The commands of the BDII."""


@bdii.command("prepare", help="Write slapd.conf and a password into FOLDER, and print how to start slapd.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--ldap", default=DEFAULT_LDAP, show_default=True, help="Where slapd shall listen.")
def prepare_command(folder: Path, ldap: str) -> None:
    """What slapd needs; nothing is started."""
    try:
        made = directories.prepare(folder, ldap)
    except BdiiError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Wrote {made.configuration} and {made.password_file}. Start it with\n")
    click.echo(f"  {shlex.join(made.command)}\n\nand keep it in step with\n")
    click.echo(
        f"  hanse registry bdii refresh --url REGISTRY --ldap {ldap} --password-file {made.password_file} --every 300"
    )


@bdii.command("refresh", help="Fetch the federation as LDIF and make the LDAP server hold exactly that.")
@click.option("--url", required=True, envvar="HANSE_REGISTRY_URL", help="Address of the registry.")
@click.option("--ca", type=click.Path(path_type=Path, exists=True), help="CA file or folder to trust.")
@click.option("--ldap", default=DEFAULT_LDAP, show_default=True, help="Address of the LDAP server.")
@click.option(
    "--password-file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with the password that `prepare` wrote.",
)
@click.option("--bind-dn", default=directories.ROOT_DN, show_default=True, help="Who writes.")
@click.option(
    "--most-removed",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Refuse to remove more than this share of the entries at once.",
)
@click.option("--every", type=click.FloatRange(min=1), help="Stay, and refresh every so many seconds.")
def refresh_command(
    url: str,
    ca: Path | None,
    ldap: str,
    password_file: Path,
    bind_dn: str,
    most_removed: float,
    every: float | None,
) -> None:
    """One refresh, or one after the other; with --every a failure is told and the next one tried."""
    directory = directories.Directory(ldap, password_file, bind_dn)
    with Client(url, ca=ca, deadline_s=300, max_bytes=500_000_000) as client:
        while True:
            try:
                click.echo(_refresh(client, directory, most_removed))
            except (BdiiError, HttpError) as error:
                if every is None:
                    raise click.ClickException(str(error)) from error
                click.echo(f"Not refreshed: {error}", err=True)
            if every is None:
                return
            time.sleep(every)


def _refresh(client: Client, directory: directories.Directory, most_removed: float) -> str:
    answer = client.get("/api/v1/glue2.ldif")
    if not answer.ok:
        raise BdiiError(f"The registry answered {answer.status}: {answer.text[:200]}")
    done = directories.refresh(directory, answer.body.decode(), most_removed=most_removed)
    if done.none:
        return "In step already."
    return f"{done.added} entries added, {done.changed} changed, {done.removed} removed."
