"""The registry as the ground floor knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hanse.service import Service
from registry.jobs import jobs
from registry.models import metadatas
from registry.operators import add_operator
from registry.settings import RegistrySettings

if TYPE_CHECKING:
    from flask import Flask


def _create_app(settings: RegistrySettings) -> Flask:
    # Importing every route costs a second that jobs, workers and commands need not pay.
    from registry.app import create_app

    return create_app(settings)


SERVICE = Service(
    name="registry",
    package="registry",
    settings=RegistrySettings,
    create_app=_create_app,
    jobs=jobs,
    metadatas=metadatas,
    add_operator=add_operator,
)
