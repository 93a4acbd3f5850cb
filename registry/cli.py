"""`hanse registry ...`: the service's own commands, and the federation file over the API."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from hanse.cli import database_of, service_group, settings_of
from registry import webhook_secrets
from registry.bdii_commands import bdii
from registry.import_commands import import_group
from registry.remote import FILE, ask, client_of, connection
from registry.service import SERVICE

group = service_group(SERVICE)
group.add_command(bdii)
group.add_command(import_group(lambda: database_of(SERVICE)))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise click.ClickException(f"{file} is not UTF-8 text.") from None


def _show(plan: dict[str, Any]) -> None:
    for step in plan["steps"]:
        click.echo("  " + step["sentence"])
    click.echo(plan["sentence"])


@group.command(
    "plan", help="Show what a federation file would change; exit code 2 when there is a difference."
)
@click.argument("file", type=FILE)
@click.option("--prune", is_flag=True, help="Also remove what the file does not name.")
@connection
def plan_command(file: Path, prune: bool, **target: Any) -> None:
    """Ask the registry what would change."""
    with client_of(**target) as client:
        body = {"document": _read(file), "prune": prune}
        plan = ask(client, "POST", "/api/v1/federation/plan", body).json()
    _show(plan)
    sys.exit(2 if plan["steps"] else 0)


@group.command("apply", help="Make the registry as a federation file says, after showing what changes.")
@click.argument("file", type=FILE)
@click.option("--prune", is_flag=True, help="Also remove what the file does not name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--reason", default="", help="Why; stands in the log.")
@connection
def apply_command(file: Path, prune: bool, yes: bool, reason: str, **target: Any) -> None:
    """Plan, ask, apply exactly that plan."""
    with client_of(**target) as client:
        body = {"document": _read(file), "prune": prune}
        plan = ask(client, "POST", "/api/v1/federation/plan", body).json()
        _show(plan)
        if not plan["steps"]:
            return
        if not yes:
            click.confirm("Apply this?", abort=True)
        done = ask(
            client, "POST", "/api/v1/federation/apply", {**body, "plan": plan["plan"], "reason": reason}
        ).json()
    click.echo(f"Applied as revision {done['revision']}.")


@group.command("export", help="Write the federation as a file; - writes to the terminal.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@connection
def export_command(file: Path, **target: Any) -> None:
    """Fetch the federation file."""
    with client_of(**target) as client:
        text = ask(client, "GET", "/api/v1/federation/export").text
    if str(file) == "-":
        click.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8")
        click.echo(f"Wrote {file}.")


@group.command(
    "publish", help="Publish cloud-info documents of a site: files as cloud-info-provider writes them."
)
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--site", required=True, help="The site whose clouds they describe.")
@click.option("--gocdb-id", help="Key of the service, when the document does not name it.")
@connection
def publish_command(files: tuple[Path, ...], site: str, gocdb_id: str | None, **target: Any) -> None:
    """Each file is one document; the first that is refused ends the command."""
    query = f"?gocdb_id={quote(gocdb_id)}" if gocdb_id else ""
    with client_of(**target) as client:
        for file in files:
            answer = ask(client, "PUT", f"/v1/sites/{quote(site)}/cloudinfo{query}", body=file.read_bytes())
            if answer.status == 204:
                click.echo(f"{file}: stood already.")
                continue
            told = answer.json()
            click.echo(f"{file}: {told['state']}, holds until {told['valid_until']}.")
            for note in told["notes"]:
                click.echo(f"  {note}")


@group.command("reseal", help="After secret_key was changed: seal the secrets of webhooks with the new one.")
def reseal_command() -> None:
    """On the registry's own machine, with the settings of the service. Exit code 1 when some are lost."""
    with closing(database_of(SERVICE)) as db:
        sealed, lost = webhook_secrets.seal_again(db, settings_of(SERVICE))
    click.echo(f"{sealed} secrets sealed anew.")
    if lost:
        raise click.ClickException(
            f"{lost} cannot be read with secret_key or any of previous_secret_keys: put the old key there and run"
            " this again, or their owners make new secrets on the pages of their webhooks."
        )
