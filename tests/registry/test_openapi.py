"""/openapi.json is the truth: whatever is sent, the answer is one that it announces, and never a 500."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from .conftest import Registry

PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_as_documented(registry: Registry, mode: GenerationMode, part: int) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", registry.app)
    headers = registry.headers("Ingrid Holm")
    asked = 0
    for at, found in enumerate(schema.get_all_operations()):
        if at % PARTS != part:
            continue
        operation = found.ok()
        if mode is GenerationMode.POSITIVE or operation.body or operation.query or operation.path_parameters:
            asked += ask_often(operation, mode, headers)
    assert asked > 100 // PARTS


def examples_for(operation: Any) -> int:
    """More for writes than for reads; a table has the parameters of its list, which is asked itself."""
    if operation.path.endswith(".csv"):
        return 1
    return 3 if operation.method.upper() == "GET" else 6


def ask_often(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> int:
    """How many requests were made; raises for an answer that is not as documented."""
    asked = 0
    # what no schema can say: that a name is registered, a host free, a rule of downtimes kept, a plan still current
    beyond_schemas = CHECKS.get_by_names(["positive_data_acceptance"])
    # in an address a list of one is written like its one value, which may be right
    written_like_a_value = CHECKS.get_by_names(["positive_data_acceptance", "negative_data_rejection"])

    @settings(
        max_examples=examples_for(operation),
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        nonlocal asked
        asked += 1
        answer = case.call(headers=headers)
        if answer.status_code == 413:  # so long that the body is not even read
            return
        # told of the headers, the check of sign-in knows that this caller's own were sent along
        lists = any(isinstance(value, list) for value in (case.query or {}).values())
        excluded = written_like_a_value if lists else beyond_schemas
        case.validate_response(answer, excluded_checks=excluded, headers=headers)

    ask()
    return asked


def test_every_operation_says_what_it_does(registry: Registry) -> None:
    document = registry.ask("GET", "/openapi.json", None).get_json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("summary"), f"{method} {path}"
