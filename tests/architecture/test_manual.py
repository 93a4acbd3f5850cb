"""The manual tells what is there: every command, every setting, every metric."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from hanse.manual import pages
from tests.architecture.seeds import SEEDS
from tests.architecture.test_routes import enter_roles, token_of

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("registry", "accounting", "monitoring", "vomsdb")


def test_reference_is_as_written_from_the_code() -> None:
    for name, text in pages().items():
        assert (ROOT / "docs" / "reference" / name).read_text() == text, (
            f"run python -m hanse.manual ({name})"
        )


@pytest.mark.parametrize("service", SERVICES)
def test_every_metric_is_in_the_manual_of(
    service: str, fresh_database: Any, settings_for: Callable[..., Any], cast: Any
) -> None:
    described = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    module = import_module(f"{service}.service")
    with fresh_database(service) as db:
        enter_roles(db)
        app = module.SERVICE.create_app(settings_for(module.SERVICE.settings, service, db))
        try:
            SEEDS[service](app, db, cast, token_of("federation_operator"))
            text = app.test_client().get("/metrics").text
        finally:
            app.extensions["hanse"].db.close()
    names = set(re.findall(r"^# TYPE (\S+)", text, re.M)) | set(
        getattr(import_module(f"{service}.app"), "METRICS", {})
    )
    assert names
    assert {name for name in names if f"`{name}`" not in described} == set()


def test_every_page_of_the_manual_is_reached_from_its_index() -> None:
    linked = set()
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                resolved = (page.parent / target).resolve()
                assert resolved.exists(), f"{page.relative_to(ROOT)} links to {target}, which is not there"
                linked.add(resolved)
    everything = {page.resolve() for page in (ROOT / "docs").rglob("*.md")}
    assert everything - linked - {(ROOT / "docs" / "index.md").resolve()} == set()
