"""What the rooms of the API share: a site in the path, the limits of silence, the pipeline."""

from flask import current_app
from pydantic import Field

from accounting import replay
from accounting.loading import Loader
from accounting.permissions import REPLAY
from accounting.publishing import Limits
from accounting.settings import AccountingSettings
from hanse.identity.permissions import check
from hanse.web import PathModel, current_principal, ground


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


def demand_as_site(as_site: str | None) -> None:
    """Records may be counted as those of another site only by who may replay that site's own. Raises Refused when the
    registry has no such site, and Forbidden.
    """
    if as_site is not None:
        replay.check_as_site(loader(), as_site)
        check(current_principal(), REPLAY, f"site:{as_site}")
