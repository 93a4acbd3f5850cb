"""The pages, one file a page. They ask the use cases that the API asks."""

from accounting.views.publishing import publishing_pages
from accounting.views.refused import refused_pages
from accounting.views.usage import usage_pages

__all__ = ["publishing_pages", "refused_pages", "usage_pages"]
