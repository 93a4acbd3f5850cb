"""Questions about usage and their answers: what is kept by what, who may see it, and what figures come of it."""

from accounting.asking.answers import Line, answer, shown
from accounting.asking.capacity import Capacity, capacity
from accounting.asking.dimensions import DIMENSIONS, PLACES, TIMES, Dimension
from accounting.asking.kinds import KINDS, Kind
from accounting.asking.measures import DECLARED, MEASURES, Measure
from accounting.asking.pivot import Pivot, Row, pivot
from accounting.asking.question import (
    Question,
    asked,
    checked,
    months_back,
    months_between,
    parse_by,
    period,
)
from accounting.asking.sight import NOBODY, Sight, demand_sight, sight_of
from accounting.asking.whole import ask, distinct_vms, known_vos

__all__ = [
    "DECLARED",
    "DIMENSIONS",
    "KINDS",
    "MEASURES",
    "NOBODY",
    "PLACES",
    "TIMES",
    "Capacity",
    "Dimension",
    "Kind",
    "Line",
    "Measure",
    "Pivot",
    "Question",
    "Row",
    "Sight",
    "answer",
    "ask",
    "asked",
    "capacity",
    "checked",
    "demand_sight",
    "distinct_vms",
    "known_vos",
    "months_back",
    "months_between",
    "parse_by",
    "period",
    "pivot",
    "shown",
    "sight_of",
]
