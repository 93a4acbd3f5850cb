"""The membership service as the ground floor knows it."""

from __future__ import annotations

from hanse.service import Service
from vomsdb.app import create_app
from vomsdb.jobs import jobs
from vomsdb.models import metadatas
from vomsdb.settings import VomsdbSettings

SERVICE: Service[VomsdbSettings] = Service(
    name="vomsdb",
    package="vomsdb",
    settings=VomsdbSettings,
    create_app=create_app,
    jobs=jobs,
    metadatas=metadatas,
)
