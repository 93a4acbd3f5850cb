"""/openapi.json is true: what schemathesis makes of it is answered as it says, and never with a fault of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from schemathesis import GenerationMode

from hanse.settings import ServiceSettings
from tests.documents import ask_often, can_be_tried
from tests.hanse.web_service import WebHouse, build, token_of

INGRID = {"Authorization": f"Bearer {token_of('Ingrid Holm')}"}
PROBLEMS = {"401", "403", "404", "409", "413", "415", "422", "503"}


def test_every_operation_says_what_it_may_answer_and_who_may_ask(web_house: WebHouse) -> None:
    answer = web_house.client().get("/openapi.json")
    assert answer.status_code == 200
    document = answer.json
    assert document is not None
    assert document["openapi"] == "3.1.0"
    assert set(document["components"]["securitySchemes"]) == {"token", "key", "session", "certificate"}
    operations = [op for path in document["paths"].values() for op in path.values()]
    assert len(operations) == 8
    for operation in operations:
        assert set(operation["responses"]) >= PROBLEMS
        problem = operation["responses"]["403"]["content"]["application/problem+json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/Problem"}
    paths = document["paths"]
    assert "security" not in paths["/api/v1/sites/{site}"]["get"]
    assert {"token": []} in paths["/api/v1/sites"]["get"]["security"]
    assert "304" in paths["/api/v1/sites"]["get"]["responses"]


def test_operation_ids_are_unique(web_house: WebHouse) -> None:
    document = web_house.client().get("/openapi.json").json
    assert document is not None
    ids = [op["operationId"] for path in document["paths"].values() for op in path.values()]
    assert len(ids) == len(set(ids))


@pytest.fixture(scope="module")
def house(
    module_database_for: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory, ca: Any
) -> WebHouse:
    db = module_database_for("hanse")
    given_settings = ServiceSettings(
        service="registry",
        database_url=db.url,
        secret_key="a secret of the tests alone",
        trust_dir=ca.trust_dir,
        data_dir=tmp_path_factory.mktemp("web"),
        secure_cookies=False,
    )
    return build(db, given_settings)


def operations(house: WebHouse, mode: GenerationMode) -> list[Any]:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", house.app)
    found = [result.ok() for result in schema.get_all_operations()]
    called = [operation for operation in found if not operation.path.endswith(("/broken", "/changes"))]
    return [operation for operation in called if can_be_tried(operation, mode)]


def try_many(operation: Any, mode: GenerationMode) -> int:
    # a cursor of one's own making is refused, and no schema can say which ones are ours
    return ask_often(operation, mode, INGRID, examples=40, free=operation.path.endswith("/sites"))


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_what_schemathesis_tries_is_answered_as_documented(house: WebHouse, mode: GenerationMode) -> None:
    assert sum(try_many(operation, mode) for operation in operations(house, mode)) > 80
