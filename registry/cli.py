"""`hanse registry ...`: the service's own commands, and the federation file over the API."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from hanse.cli import service_group
from hanse.http import Client, HttpError
from registry.bdii_commands import bdii
from registry.service import SERVICE

group = service_group(SERVICE)
group.add_command(bdii)
_Command = Callable[..., None]
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


def _connection(command: _Command) -> _Command:
    """Options that say where the registry is and who asks."""
    options = [
        click.option("--url", required=True, envvar="HANSE_REGISTRY_URL", help="Address of the registry."),
        click.option("--cert", type=_FILE, help="Own certificate, PEM; with --key, on the TLS side."),
        click.option("--key", type=_FILE, help="Key of the certificate, PEM, without a passphrase."),
        click.option(
            "--ca", type=click.Path(path_type=Path, exists=True), help="CA file or folder to trust."
        ),
        click.option("--token-file", type=_FILE, help="File with a token, instead of a certificate."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _client(
    url: str, cert: Path | None, key: Path | None, ca: Path | None, token_file: Path | None
) -> Client:
    if (cert is None) != (key is None):
        raise click.UsageError("Give --cert and --key together.")
    if cert is None and token_file is None:
        raise click.UsageError("Say who you are: --cert and --key, or --token-file.")
    token = token_file.read_text(encoding="utf-8").strip() if token_file else ""
    return Client(url, token=token, cert=(cert, key) if cert and key else None, ca=ca, deadline_s=120)


def _ask(client: Client, method: str, path: str, json: object = None, body: bytes | None = None) -> Any:
    try:
        answer = client.fetch(method, path, json=json, body=body)
    except HttpError as error:
        raise click.ClickException(str(error)) from error
    if answer.ok:
        return answer
    try:
        told = answer.json()
    except HttpError:
        raise click.ClickException(f"The registry answered {answer.status}: {answer.text[:300]}") from None
    faults = [f"\n  {one['field']}: {one['reason']}" for one in told.get("errors", [])]
    raise click.ClickException(
        told.get("detail", f"The registry answered {answer.status}.") + "".join(faults)
    )


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
@click.argument("file", type=_FILE)
@click.option("--prune", is_flag=True, help="Also remove what the file does not name.")
@_connection
def plan_command(file: Path, prune: bool, **connection: Any) -> None:
    """Ask the registry what would change."""
    with _client(**connection) as client:
        body = {"document": _read(file), "prune": prune}
        plan = _ask(client, "POST", "/api/v1/federation/plan", body).json()
    _show(plan)
    sys.exit(2 if plan["steps"] else 0)


@group.command("apply", help="Make the registry as a federation file says, after showing what changes.")
@click.argument("file", type=_FILE)
@click.option("--prune", is_flag=True, help="Also remove what the file does not name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--reason", default="", help="Why; stands in the log.")
@_connection
def apply_command(file: Path, prune: bool, yes: bool, reason: str, **connection: Any) -> None:
    """Plan, ask, apply exactly that plan."""
    with _client(**connection) as client:
        body = {"document": _read(file), "prune": prune}
        plan = _ask(client, "POST", "/api/v1/federation/plan", body).json()
        _show(plan)
        if not plan["steps"]:
            return
        if not yes:
            click.confirm("Apply this?", abort=True)
        done = _ask(
            client, "POST", "/api/v1/federation/apply", {**body, "plan": plan["plan"], "reason": reason}
        ).json()
    click.echo(f"Applied as revision {done['revision']}.")


@group.command("export", help="Write the federation as a file; - writes to the terminal.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@_connection
def export_command(file: Path, **connection: Any) -> None:
    """Fetch the federation file."""
    with _client(**connection) as client:
        text = _ask(client, "GET", "/api/v1/federation/export").text
    if str(file) == "-":
        click.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8")
        click.echo(f"Wrote {file}.")


@group.command(
    "publish", help="Publish cloud-info documents of a site: files as cloud-info-provider writes them."
)
@click.argument("files", type=_FILE, nargs=-1, required=True)
@click.option("--site", required=True, help="The site whose clouds they describe.")
@click.option("--gocdb-id", help="Key of the service, when the document does not name it.")
@_connection
def publish_command(files: tuple[Path, ...], site: str, gocdb_id: str | None, **connection: Any) -> None:
    """Each file is one document; the first that is refused ends the command."""
    query = f"?gocdb_id={quote(gocdb_id)}" if gocdb_id else ""
    with _client(**connection) as client:
        for file in files:
            answer = _ask(client, "PUT", f"/v1/sites/{quote(site)}/cloudinfo{query}", body=file.read_bytes())
            if answer.status == 204:
                click.echo(f"{file}: stood already.")
                continue
            told = answer.json()
            click.echo(f"{file}: {told['state']}, holds until {told['valid_until']}.")
            for note in told["notes"]:
                click.echo(f"  {note}")
