"""The JSON API, one file a room: parses, calls a use case, renders."""

from accounting.api.carrying import carrying_api
from accounting.api.crosschecks import crosschecks_api
from accounting.api.keeping import keeping_api
from accounting.api.publishing import publishing_api
from accounting.api.quarantine import quarantine_api
from accounting.api.records import records_api
from accounting.api.refused import refused_api
from accounting.api.usage import usage_api

__all__ = [
    "carrying_api",
    "crosschecks_api",
    "keeping_api",
    "publishing_api",
    "quarantine_api",
    "records_api",
    "refused_api",
    "usage_api",
]
