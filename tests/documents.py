"""What schemathesis makes of an OpenAPI document, put to an application: each answer must be one that it announces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS


def can_be_tried(operation: Any, mode: GenerationMode) -> bool:
    """Whether there is something to try: what takes nothing cannot be given anything wrong."""
    taken = operation.body or operation.query or operation.path_parameters
    return mode is GenerationMode.POSITIVE or bool(taken)


def ask_often(
    operation: Any,
    mode: GenerationMode,
    headers: Mapping[str, str],
    *,
    examples: int,
    free: bool = False,
    change: Callable[[Any], None] = lambda case: None,
) -> int:
    """How many requests were made; raises for an answer that is not as documented.

    `free`: what the document allows may be refused, since no schema can say that a name is taken or a cursor ours.
    `change` may alter a case before it is sent.
    """
    asked = 0

    @settings(
        max_examples=examples,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        nonlocal asked
        asked += 1
        change(case)
        answer = case.call(headers=headers)
        if answer.status_code == 413:  # so long that the body is not even read
            return
        excluded = ["positive_data_acceptance"] if free else []
        if any(isinstance(value, list) for value in (case.query or {}).values()):
            # in an address a list of one is written like its one value, which may be right
            excluded.append("negative_data_rejection")
        # told of the headers, the check of sign-in knows that this caller's own were sent along
        case.validate_response(answer, excluded_checks=CHECKS.get_by_names(excluded), headers=headers)

    ask()
    return asked
