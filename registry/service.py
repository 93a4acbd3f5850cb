"""The registry as the ground floor knows it."""

from __future__ import annotations

from hanse.service import Service
from registry.app import create_app
from registry.jobs import jobs
from registry.models import metadatas
from registry.operators import add_operator
from registry.settings import RegistrySettings

SERVICE = Service(
    name="registry",
    package="registry",
    settings=RegistrySettings,
    create_app=create_app,
    jobs=jobs,
    metadatas=metadatas,
    add_operator=add_operator,
)
