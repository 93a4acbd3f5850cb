"""The reference part of the manual, written from what is really there: commands, settings and metrics.

`python -m hanse.manual docs/reference` writes the pages; a test of the architecture compares them with the tree.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
from pydantic_core import PydanticUndefined

from hanse.service import Service
from hanse.settings import ServiceSettings
from hanse.web.health import METRICS as ground_metrics


def services() -> list[Service[Any]]:
    """The services that are installed, in the order of their names in the top bar."""
    found = {point.name: point.load() for point in entry_points(group="hanse.services")}
    order = ["registry", "accounting", "monitoring", "vomsdb"]
    return [found[name] for name in sorted(found, key=lambda name: (name not in order, name))]


def settings_page() -> str:
    """Every key of every service: name, environment variable, default, what it means."""
    lines = [
        "# Settings",
        "",
        "Written by `python -m hanse.manual docs/reference`.",
        "",
        "One TOML file (`--config` or `HANSE_CONFIG`): `[common]` for all services, `[<service>]` for one.",
        "Every key is also an environment variable, `HANSE_<KEY>` for all services or `HANSE_<SERVICE>_<KEY>`",
        "for one. Keys marked *secret* can stand in a file of their own: `<key>_file` in TOML, `..._FILE` in the",
        "environment.",
        "",
        "## [common]",
        "",
        *_settings_table(ServiceSettings, without=frozenset()),
    ]
    for service in services():
        own = _settings_table(service.settings, without=frozenset(ServiceSettings.model_fields))
        lines += ["", f"## [{service.name}]", "", *own]
    return "\n".join(lines) + "\n"


def _settings_table(model: type[ServiceSettings], without: frozenset[str]) -> list[str]:
    rows = [
        f"| `{name}` | {_default(field.default, field.default_factory)} | "
        f"{field.description or ''}{' *secret*' if 'Secret' in str(field.annotation) else ''} |"
        for name, field in model.model_fields.items()
        if name not in without
    ]
    return ["| key | default | meaning |", "|---|---|---|", *rows] if rows else ["No keys of its own."]


def _default(value: Any, factory: Any) -> str:
    if factory is not None:
        value = factory()
    if value is PydanticUndefined:
        return "needed"
    if "Secret" in type(value).__name__ or value in ("", None, {}, [], ()):
        return "empty"
    return f"`{value}`"


def commands_page(program: click.Group) -> str:
    """Every command with its help and options."""
    lines = ["# Commands", "", "Written by `python -m hanse.manual docs/reference`.", ""]
    for path, command in _commands(program, ("hanse",)):
        lines += [f"## `{' '.join(path)}`", "", _plain(command.help or command.short_help or ""), ""]
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                names = ", ".join(parameter.opts + parameter.secondary_opts)
                lines.append(f"* `{names}` {_plain(parameter.help or '')}".rstrip())
            elif isinstance(parameter, click.Argument):
                lines.append(f"* `{parameter.human_readable_name}`")
        lines.append("")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in sorted(command.list_commands(context)):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from _commands(inner, (*path, name))
    else:
        yield path, command


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\b", "")).strip()


def program_page(parser: argparse.ArgumentParser) -> str:
    """A program that is not `hanse`: each of its commands with help, arguments and options."""
    lines = [f"# {parser.prog}", "", "Written by `python -m hanse.manual docs/reference`.", ""]
    lines += [_plain(parser.description or ""), ""]
    for command in _subparsers(parser):
        lines += [f"## `{command.prog}`", "", _plain(command.description or ""), ""]
        for action in command._actions:
            names = ", ".join(action.option_strings) or action.dest
            lines.append(f"* `{names}` {_plain((action.help or '') % vars(action))}".rstrip())
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _subparsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    return [
        command
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for command in action.choices.values()
    ]


def metrics_page() -> str:
    """Every figure of /metrics with its meaning; those of the ground floor first."""
    lines = ["# Metrics", "", "Written by `python -m hanse.manual docs/reference`.", ""]
    lines += ["Every service answers `/metrics` on its plain side; the figures come from its database.", ""]
    groups = [("every service", ground_metrics)]
    groups += [(service.name, import_module(f"{service.package}.app").METRICS) for service in services()]
    for heading, described in groups:
        lines += [f"## {heading}", "", "| metric | meaning |", "|---|---|"]
        lines += [f"| `{name}` | {text} |" for name, text in described.items()] + [""]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """File name -> text of each page."""
    from hanse.cli import main as program

    programs = {
        f"{point.name}.md": program_page(point.load()()) for point in entry_points(group="hanse.programs")
    }
    return {
        **programs,
        "settings.md": settings_page(),
        "commands.md": commands_page(program),
        "metrics.md": metrics_page(),
    }


def main(folder: str) -> None:
    """Write the pages into `folder`."""
    for name, text in pages().items():
        Path(folder, name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/reference")
