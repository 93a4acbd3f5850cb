"""The membership service as the ground floor knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hanse.service import Service
from vomsdb.jobs import jobs
from vomsdb.models import metadatas
from vomsdb.publishing import restored
from vomsdb.settings import VomsdbSettings

if TYPE_CHECKING:
    from flask import Flask


def _create_app(settings: VomsdbSettings) -> Flask:
    # Importing every route costs a second that jobs, workers and commands need not pay.
    from vomsdb.app import create_app

    return create_app(settings)


SERVICE: Service[VomsdbSettings] = Service(
    name="vomsdb",
    package="vomsdb",
    settings=VomsdbSettings,
    create_app=_create_app,
    jobs=jobs,
    metadatas=metadatas,
    restored=restored,
    kept=lambda settings: settings.signing_keys,
)
