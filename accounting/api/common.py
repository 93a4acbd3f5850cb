"""What the rooms of the API share: a site in the path, the limits of silence, the pipeline."""

from typing import Any

from flask import current_app
from pydantic import Field

from accounting import replay
from accounting.loading import Loader
from accounting.permissions import REPLAY
from accounting.publishing import Limits
from accounting.schemas import BIGGEST
from accounting.settings import AccountingSettings
from hanse.errors import FieldFault, Refused
from hanse.identity.permissions import check
from hanse.web import PathModel, after, current_principal, ground


class SitePath(PathModel):
    """A site by its name; `-` = records that are nobody's."""

    site: str = Field(max_length=255)


def number_before(cursor: str | None) -> int | None:
    """The number of the last row that the reader of a list has, newest first. Raises Refused for another's cursor."""
    key = _key(cursor, int)
    return None if key is None else key[0]


def remark_after(cursor: str | None) -> tuple[int, str, str] | None:
    """Message, code and field of the last remark that the reader has. Raises Refused for another list's cursor."""
    key = _key(cursor, int, str, str)
    return None if key is None else (key[0], key[1], key[2])


def apel_place(cursor: str | None) -> tuple[int, int] | None:
    """The month (years * 12 + months - 1) of the last row that the reader has, and how many of it. Raises Refused."""
    key = _key(cursor, int, int)
    return None if key is None else (key[0], key[1])


def _key(cursor: str | None, *types: type) -> list[Any] | None:
    key = after(cursor)
    if key is None:
        return None
    fitting = len(key) == len(types) and all(map(isinstance, key, types))
    if not fitting or any(isinstance(part, int) and not 0 < part <= BIGGEST for part in key):
        raise Refused(
            "The cursor is not one of this list.",
            FieldFault("cursor", "take it from `next` of the page before"),
        )
    return list(key)


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
