"""How a command of ours speaks to a registry: where it is, who asks, and its faults as sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from hanse.http import Answer, Client, HttpError
from hanse.moving_in import Command, with_options

FILE: Final = click.Path(path_type=Path, dir_okay=False, exists=True)
DEADLINE_S: Final = 600


def connection(command: Command, *, url_needed: bool = True) -> Command:
    """Options that say where the registry is and who asks."""
    options = [
        click.option(
            "--url", required=url_needed, envvar="HANSE_REGISTRY_URL", help="Address of the registry."
        ),
        click.option("--cert", type=FILE, help="Own certificate, PEM; with --key, on the TLS side."),
        click.option("--key", type=FILE, help="Key of the certificate, PEM, without a passphrase."),
        click.option(
            "--ca", type=click.Path(path_type=Path, exists=True), help="CA file or folder to trust."
        ),
        click.option("--token-file", type=FILE, help="File with a token, instead of a certificate."),
    ]
    return with_options(command, options)


def client_of(
    url: str, cert: Path | None, key: Path | None, ca: Path | None, token_file: Path | None
) -> Client:
    """A client for the options of `connection`. Raises UsageError when nobody is named."""
    if (cert is None) != (key is None):
        raise click.UsageError("Give --cert and --key together.")
    if cert is None and token_file is None:
        raise click.UsageError("Say who you are: --cert and --key, or --token-file.")
    return Client(
        url,
        token=token_of(token_file),
        cert=(cert, key) if cert and key else None,
        ca=ca,
        deadline_s=DEADLINE_S,
        max_bytes=100_000_000,
    )


def token_of(file: Path | None) -> str:
    """The token in a file; "" without one."""
    return file.read_text(encoding="utf-8").strip() if file else ""


def ask(client: Client, method: str, path: str, json: object = None, body: bytes | None = None) -> Answer:
    """The answer when it is a good one. Raises ClickException with the registry's own sentence otherwise."""
    try:
        answer = client.fetch(method, path, json=json, body=body)
    except HttpError as error:
        raise click.ClickException(str(error)) from error
    if answer.ok:
        return answer
    try:
        told: Any = answer.json()
    except HttpError:
        raise click.ClickException(f"The registry answered {answer.status}: {answer.text[:300]}") from None
    faults = [f"\n  {one['field']}: {one['reason']}" for one in told.get("errors", [])]
    raise click.ClickException(
        told.get("detail", f"The registry answered {answer.status}.") + "".join(faults)
    )
