"""Months taken out and put back, and names replaced by pseudonyms."""

from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from accounting import hiding, republishing, schemas
from accounting.api.answers import (
    NothingIn,
    PseudonymIn,
    PseudonymOut,
    PutBackOut,
    RepublishIn,
    RepublishOut,
)
from accounting.api.common import SitePath, loader
from accounting.asking.question import parse_month
from accounting.permissions import PSEUDONYMISE, REPUBLISH
from accounting.settings import AccountingSettings
from hanse.web import Api, current_principal, ground

keeping_api = Api("accounting_keeping", __name__, "Keeping")


class MonthPath(SitePath):
    """A month of a site."""

    month: str = Field(pattern=schemas.MONTH, description="YYYY-MM.")


class EventPath(SitePath):
    """An event that took a month of a site out."""

    id: int = Field(ge=1, le=schemas.BIGGEST)


@keeping_api.post(
    "/sites/<site>/months/<month>/republish",
    permission=REPUBLISH,
    summary="Take a month out of the figures, so that the site can publish it again",
    responses={200: RepublishOut},
)
def republish(path: MonthPath, body: RepublishIn) -> dict[str, Any]:
    """It stands in the log with its reason, and can be put back. Then send the month again."""
    month, today = parse_month(path.month, "month"), datetime.now(UTC).date()
    by = current_principal().name
    done = republishing.republish(ground().db, path.site, month, by, body.reason, today)
    return {"site": path.site, "month": path.month, "records": done.records, "event": done.event}


@keeping_api.post(
    "/sites/<site>/republished/<int:id>/put-back",
    permission=REPUBLISH,
    summary="Put a month back that was taken out",
    responses={200: PutBackOut},
)
def put_back(path: EventPath, body: NothingIn) -> dict[str, Any]:
    """Loads its records again from their messages; what was sent meanwhile stays. A month of more than 200 messages is
    put back by the operator's command.
    """
    by, most = current_principal().name, republishing.MOST_IN_A_REQUEST
    return vars(republishing.put_back(loader(), path.id, by, site=path.site, most=most))


@keeping_api.post(
    "/pseudonyms",
    permission=PSEUDONYMISE,
    summary="Replace a person's name by a pseudonym, everywhere and for good",
    responses={200: PseudonymOut},
)
def pseudonymise(body: PseudonymIn) -> dict[str, Any]:
    """Records, sums, raw messages, refusals and archives; records to come too. Counts by user stay as they are."""
    settings = ground().settings
    assert isinstance(settings, AccountingSettings)
    done = hiding.replace_name(
        ground().db, settings.pseudonym_key.get_secret_value(), body.user, folder=settings.archive_folder,
        envelope=loader().envelope, by=current_principal().name, now=datetime.now(UTC),
    )  # fmt: skip
    return vars(done)
