"""One line of history a service, and the tables that it makes are the tables of the models."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from hanse.migrations import differences, heads

SERVICES = ("registry", "accounting", "monitoring", "vomsdb")


@pytest.mark.parametrize("service", SERVICES)
def test_one_migration_head_in(service: str) -> None:
    assert len(heads(service)) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_models_and_migrations_agree_in(service: str, fresh_database: Any) -> None:
    metadatas = import_module(f"{service}.models").metadatas
    with fresh_database(service) as db:
        assert differences(service, db.url, *metadatas) == []
