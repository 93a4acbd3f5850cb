"""What `deploy/` holds is true: rules speak of figures that exist, units start commands that exist, under hardening."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from hanse.cli import main

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
METRIC = re.compile(r"\bhanse_[a-z_]+\b")
HARDENED = ("NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp")
# Programs that units start with something else than `hanse`.
OTHER = ("hanse-siteagent", "slapd")


def units() -> list[Path]:
    return sorted((ROOT / "deploy").rglob("*.service"))


def test_rules_speak_of_figures_that_exist() -> None:
    known = set(METRIC.findall((ROOT / "docs" / "reference" / "metrics.md").read_text()))
    for name in ("hanse.rules.yml", "hanse.rules.test.yml"):
        spoken = set(METRIC.findall((PROMETHEUS / name).read_text()))
        assert spoken
        assert spoken - known == set(), name


def test_each_alert_says_whose_it_is_and_what_to_do() -> None:
    groups = yaml.safe_load((PROMETHEUS / "hanse.rules.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["owner"] in ("hanse", "site", "federation"), rule["alert"]
        assert rule["labels"]["severity"] in ("info", "warning", "critical"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]


@pytest.mark.peer("prometheus")
def test_a_real_prometheus_takes_and_tries_them() -> None:
    for command in (
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "hanse.rules.yml"),
        ("test", "rules", "hanse.rules.test.yml"),
    ):
        ran = subprocess.run(
            ["promtool", *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("unit", units(), ids=lambda path: path.name)
def test_units_start_what_exists_under_hardening(unit: Path) -> None:
    read = configparser.RawConfigParser(strict=False)
    read.optionxform = str  # type: ignore[assignment, method-assign]
    read.read(unit)
    service = read["Service"]
    assert "Restart" in service or service.get("Type") == "oneshot"
    for key in HARDENED:
        assert service.get(key), f"{unit.name} has no {key}"
    words = service["ExecStart"].removeprefix("/usr/bin/env ").split()
    program = words[0].rpartition("/")[2]
    assert program in ("hanse", *OTHER), program
    if program == "hanse":
        _check_command(words[1:])


def _check_command(words: list[str]) -> None:
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        while words[0].startswith("-"):  # --config FILE
            words = words[2:]
        found = command.get_command(context, words[0])
        assert found is not None, words
        command, words = found, words[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in options, word
