"""What the commands that move a service in from another product have in common: who does it, and their options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from hanse.identity.principals import FEDERATION, Grant, Principal

Command = Callable[..., Any]

#: Who can read the database's address may write into it anyhow.
HERE: Final = Principal(
    key="machine",
    kind="service",
    name="the command on the machine",
    grants=frozenset({Grant("federation_operator", FEDERATION)}),
)
PREFER: Final = click.option(
    "--prefer",
    type=click.Choice(["ours", "theirs"]),
    default="ours",
    show_default=True,
    help="Who wins where both sides changed a field, or where they differ at the first import.",
)
PLAN: Final = click.option("--plan", "only_plan", is_flag=True, help="Show what would be done, and stop.")
YES: Final = click.option("--yes", is_flag=True, help="Do not ask.")


def with_options(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """The command with the options, which `--help` shows in this order."""
    for option in reversed(options):
        command = option(command)
    return command
