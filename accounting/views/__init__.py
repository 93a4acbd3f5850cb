"""The pages, one file a page. They ask the use cases that the API asks."""

from accounting.views import refused_acts, remarks
from accounting.views.crosschecks import crosschecks_pages
from accounting.views.exports import exports_pages
from accounting.views.portal import usage_pages
from accounting.views.publishing import publishing_pages
from accounting.views.refused import refused_pages

# the last two add their routes to the room of the refused records
__all__ = [
    "crosschecks_pages",
    "exports_pages",
    "publishing_pages",
    "refused_acts",
    "refused_pages",
    "remarks",
    "usage_pages",
]
