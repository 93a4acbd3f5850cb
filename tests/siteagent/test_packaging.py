"""The agent is a wheel of its own: old Pythons, and nothing of ours or of Flask's at a site."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from siteagent.cli import parser

PACKAGE = Path(__file__).parents[2] / "siteagent"
MODULES = sorted(PACKAGE.rglob("*.py"))
ALLOWED = {"siteagent", "requests", "cryptography", "__future__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_parses_on_python_3_9_and_imports_only_what_a_site_has(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert {name for name in imported if name not in sys.stdlib_module_names} <= ALLOWED


UNITS = sorted((PACKAGE.parent / "deploy" / "siteagent").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_the_units_start_what_there_is_and_write_only_where_they_may(unit: Path) -> None:
    lines = dict(
        line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line and line[0] != "#"
    )
    program, *words = lines["ExecStart"].split()[1:]
    assert program == "hanse-siteagent"
    options = parser().parse_args(words)
    assert options.state == Path("/var/lib") / lines["StateDirectory"]
    assert lines["ProtectSystem"] == "strict"
    assert lines["NoNewPrivileges"] == "yes"


def test_the_timer_starts_the_unit_that_pulls_once() -> None:
    (timer,) = (PACKAGE.parent / "deploy" / "siteagent").glob("*.timer")
    assert timer.with_suffix(".service") in UNITS
    assert "Persistent=yes" in timer.read_text()
