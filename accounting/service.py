"""Accounting as the ground floor knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounting.jobs import jobs
from accounting.models import metadatas
from accounting.settings import AccountingSettings
from hanse.service import Service

if TYPE_CHECKING:
    from flask import Flask


def _create_app(settings: AccountingSettings) -> Flask:
    # Importing every route costs a second that jobs, workers and commands need not pay.
    from accounting.app import create_app

    return create_app(settings)


SERVICE = Service(
    name="accounting",
    package="accounting",
    settings=AccountingSettings,
    create_app=_create_app,
    jobs=jobs,
    metadatas=metadatas,
    kept=lambda settings: {"archive_dir": settings.archive_folder},
)
