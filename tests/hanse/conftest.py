"""What the tests of the ground floor share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hanse.database import Database
from hanse.settings import ServiceSettings
from tests.hanse.web_service import WebHouse, build


@pytest.fixture
def web_house(ground: Database, settings_for: Callable[..., Any]) -> WebHouse:
    """A small service on a database of its own; accounting is its neighbour."""
    settings = settings_for(
        ServiceSettings,
        "registry",
        ground,
        url="http://localhost:7010",
        tls_url="https://localhost:7011",
        accounting_url="http://localhost:7020",
        max_body_bytes=4096,
    )
    return build(ground, settings)
