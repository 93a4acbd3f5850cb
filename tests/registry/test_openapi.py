"""/openapi.json is the truth: whatever is sent, the answer is one that it announces, and never a 500."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from schemathesis import GenerationMode

from tests.documents import ask_often, can_be_tried

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
        if can_be_tried(operation, mode):
            asked += ask_often(operation, mode, headers, examples=examples_for(operation), free=True)
    assert asked > 100 // PARTS


def examples_for(operation: Any) -> int:
    """More for writes than for reads; a table has the parameters of its list, which is asked itself."""
    if operation.path.endswith(".csv"):
        return 1
    return 3 if operation.method.upper() == "GET" else 6


def test_every_operation_says_what_it_does(registry: Registry) -> None:
    document = registry.ask("GET", "/openapi.json", None).get_json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("summary"), f"{method} {path}"
