"""Which services are looked at, and the checks of each, in order."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from hanse.doctor import databases, files, network
from hanse.doctor.advice import Advice, Check, Patient, bad
from hanse.service import Service
from hanse.settings import SettingsError

CHECKS: tuple[Check, ...] = (
    network.machine,
    databases.database,
    files.certificates,
    files.secrets,
    files.trust,
    files.disk,
    network.ports,
    network.neighbours,
    network.mail,
)


def services() -> dict[str, Service[Any]]:
    """All services that are installed, by name."""
    return {point.name: point.load() for point in entry_points(group="hanse.services")}


def configured(config: Path | None, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Names of the services that the settings file or the environment speaks of; all when neither speaks of one."""
    known = sorted(point.name for point in entry_points(group="hanse.services"))
    tables: Mapping[str, Any] = {}
    if config is not None:
        try:
            tables = tomllib.loads(config.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            tables = {}  # reading the settings of each service says what is wrong with the file
    named = [name for name in known if name in tables or f"HANSE_{name.upper()}_DATABASE_URL" in environ]
    return named or known


def look(service: Service[Any], config: Path | None, checks: Sequence[Check] = CHECKS) -> Iterator[Advice]:
    """Everything about one service; first its settings, without which there is nothing to look at."""
    try:
        settings = service.settings.load(service.name, config)
    except SettingsError as error:
        yield bad(
            "settings", str(error), "Correct the settings; docs/reference/settings.md explains every key."
        )
        return
    patient = Patient(service.name, service.package, settings)
    for check in checks:
        yield from check(patient)
