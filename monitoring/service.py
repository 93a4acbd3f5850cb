"""Monitoring as the ground floor knows it."""

from hanse.service import Service
from monitoring.app import create_app
from monitoring.jobs import jobs
from monitoring.models import metadatas
from monitoring.settings import MonitoringSettings

SERVICE = Service(
    name="monitoring",
    package="monitoring",
    settings=MonitoringSettings,
    create_app=create_app,
    jobs=jobs,
    metadatas=metadatas,
)
