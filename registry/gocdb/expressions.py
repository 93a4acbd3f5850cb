"""The `extensions` expressions of GOCDB's interface: `(VO=vo.a)(tier=1)NOT(region=west)OR(mode=\\(x\\))`.

One or more groups `(KEY=VALUE)`, each after AND, OR or NOT; a group without one takes that of the group before it, the
first takes AND. They are read and joined from left to right. An empty VALUE means any value. Inside VALUE the
parentheses and the backslash are written with a backslash before them. Length and number are bounded before anything
is read, and nothing nests, so no expression costs more than a moment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, cast

from sqlalchemy import ColumnElement, and_, exists, not_, or_

from registry.models import ExtensionProperty

Operator = Literal["AND", "OR", "NOT"]
Condition = ColumnElement[bool]
MOST_GROUPS: Final = 50
MOST_CHARACTERS: Final = 8000
_GROUP: Final = re.compile(
    r"\s*(?:(?P<op>AND|OR|NOT)\s*)?"
    r"\((?P<key>[A-Za-z0-9\s@_\-\[\]+.]{1,255})=(?P<value>(?:\\[()\\]|[^()\\]){0,255})\)"
)


class BadExpression(ValueError):
    """An `extensions` expression that cannot be read."""


class Group(NamedTuple):
    """One `(KEY=VALUE)` and how it is joined to what stands before it; the empty value means any."""

    operator: Operator
    key: str
    value: str


def parse(expression: str) -> list[Group]:
    """The groups of an expression, in order, at least one. Raises BadExpression."""
    if len(expression) > MOST_CHARACTERS:
        raise BadExpression(f"longer than {MOST_CHARACTERS} characters")
    text = expression.rstrip()
    groups: list[Group] = []
    position, operator = 0, "AND"
    while position < len(text):
        found = _GROUP.match(text, position)
        if found is None or len(groups) == MOST_GROUPS:
            raise BadExpression(expression)
        operator = found["op"] or operator
        value = re.sub(r"\\(.)", r"\1", found["value"])
        groups.append(Group(cast(Operator, operator), found["key"].strip(), value))
        position = found.end()
    if not groups or not all(group.key for group in groups):
        raise BadExpression(expression)
    return groups


def condition(expression: str, owner: Callable[[], Condition]) -> Condition:
    """The expression as SQL; `owner` joins a property to the row that is filtered. Raises BadExpression."""
    return joined([(group.operator, _has(group, owner())) for group in parse(expression)])


def joined(parts: Sequence[tuple[Operator, Condition]]) -> Condition:
    """Conditions joined from left to right, each as its operator says."""
    result: Condition | None = None
    for operator, holds in parts:
        wanted = not_(holds) if operator == "NOT" else holds
        if result is None:
            result = wanted
        else:
            result = or_(result, wanted) if operator == "OR" else and_(result, wanted)
    assert result is not None
    return result


def _has(group: Group, owner: Condition) -> Condition:
    conditions = [owner, ExtensionProperty.key == group.key]
    if group.value:
        conditions.append(ExtensionProperty.value == group.value)
    return exists().where(*conditions).correlate_except(ExtensionProperty)
