"""The pages, one file a page. They ask the use cases that the API asks."""

from accounting.views.crosschecks import crosschecks_pages
from accounting.views.exports import exports_pages
from accounting.views.portal import usage_pages
from accounting.views.publishing import publishing_pages
from accounting.views.refused import refused_pages

__all__ = ["crosschecks_pages", "exports_pages", "publishing_pages", "refused_pages", "usage_pages"]
