"""What holds the house together: tables and migrations agree, and the API is what its document says."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from flask import Flask
from schemathesis import GenerationMode

from accounting.models import metadatas
from accounting.service import SERVICE
from hanse import migrations
from tests.accounting.conftest import House
from tests.accounting.records import message, record
from tests.documents import ask_often, can_be_tried


def test_models_and_migrations_agree(house: House) -> None:
    assert migrations.differences("accounting", house.db.url, *metadatas) == []
    assert len(migrations.heads("accounting")) == 1


def test_the_jobs_follow_registry_and_membership_and_sum(house: House) -> None:
    urls = {"registry_url": "http://127.0.0.1:1", "vomsdb_url": "http://127.0.0.1:2"}
    jobs = {job.name: job for job in SERVICE.jobs(house.settings.model_copy(update=urls), house.db)}
    names = {"follow registry", "follow vomsdb", "summarise", "cross-checks", "replays"}
    assert names <= set(jobs)
    number = house.receive(message(record("BIFI")), source="load")
    house.loader.load(number)
    assert house.months() == {}
    assert "site-months summed" in jobs["summarise"].run()
    assert house.months() != {}


@pytest.fixture
def busy_app(app: Flask, house: House, cast: Any) -> Flask:
    """The application over a house with usage and refused records."""
    house.load(message(record("BIFI", "a"), record("CESNET", "c", FQAN="chipster")))
    bad = [record("BIFI-TEST", "x"), record("BIFI", "y", CpuCount=-1)]
    house.signed(message(*bad), cast.host("BIFI"), site="BIFI")
    return app


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_api_answers_as_its_document_says(busy_app: Flask, house: House, mode: GenerationMode) -> None:
    header = house.token("Ingrid Holm", "federation_operator", "federation")
    schema = schemathesis.openapi.from_wsgi("/openapi.json", busy_app)
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if can_be_tried(operation, mode):
            tried += ask_often(operation, mode, header, examples=12, free=_refuses_some(operation))
    assert tried > 100


def _refuses_some(operation: Any) -> bool:
    """No schema can say which cursors, groupings, periods and sites are ours."""
    cursors = any(parameter.name == "cursor" for parameter in operation.query)
    ours = ("/messages", "/apel-summaries", "/usage", ".csv", ".parquet", "/replay", "/replays")
    return cursors or operation.path.endswith(ours)
