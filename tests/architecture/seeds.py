"""One object of each kind for the matrix of routes and roles: what stands in the path of a route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hanse.database import Database

Arguments = dict[str, Callable[[str], str] | str]


def accounting(db: Database, cast: Any) -> Arguments:
    return {"site": "CESNET", "project": "accounting", "topic": "eu-egi-cloud-accounting"}


SEEDS: dict[str, Callable[[Database, Any], Arguments]] = {"accounting": accounting}
