"""Monitoring as the ground floor knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hanse.service import Service
from monitoring.jobs import jobs
from monitoring.models import metadatas
from monitoring.settings import MonitoringSettings

if TYPE_CHECKING:
    from flask import Flask


def _create_app(settings: MonitoringSettings) -> Flask:
    # Importing every route costs a second that jobs, workers and commands need not pay.
    from monitoring.app import create_app

    return create_app(settings)


SERVICE = Service(
    name="monitoring",
    package="monitoring",
    settings=MonitoringSettings,
    create_app=_create_app,
    jobs=jobs,
    metadatas=metadatas,
)
