"""The agent is a wheel of its own: old Pythons, and nothing of ours or of Flask's at a site."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

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
