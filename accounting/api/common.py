"""What the rooms of the API share: a site in the path, the limits of silence, the pipeline."""

from flask import current_app
from pydantic import Field

from accounting.loading import Loader
from accounting.publishing import Limits
from accounting.settings import AccountingSettings
from hanse.web import PathModel, ground


class SitePath(PathModel):
    """A site by its name; `-` = records that are nobody's."""

    site: str = Field(max_length=255)


def limits() -> Limits:
    """After how many days of silence a site is late."""
    settings = ground().settings
    assert isinstance(settings, AccountingSettings)
    return Limits(settings.publishing_warning_days, settings.publishing_critical_days)


def loader() -> Loader:
    """The pipeline of this service, for replays."""
    held = current_app.extensions["accounting.loader"]
    assert isinstance(held, Loader)
    return held
