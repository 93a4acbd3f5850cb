"""Accounting as the ground floor knows it."""

from __future__ import annotations

from accounting.app import create_app
from accounting.jobs import jobs
from accounting.models import metadatas
from accounting.settings import AccountingSettings
from hanse.service import Service

SERVICE = Service(
    name="accounting",
    package="accounting",
    settings=AccountingSettings,
    create_app=create_app,
    jobs=jobs,
    metadatas=metadatas,
)
