"""Questions about usage and their answers: what is kept by what, who may see it, and what figures come of it."""

from accounting.asking.answers import Line, answer, length, shown, stream
from accounting.asking.capacity import Capacity, capacity
from accounting.asking.contract import Kind
from accounting.asking.dimensions import DIMENSIONS, PLACES, TIMES, Dimension
from accounting.asking.kinds import KINDS
from accounting.asking.measures import DECLARED, MEASURES, Measure
from accounting.asking.pivot import Pivot, Row, pivot
from accounting.asking.question import (
    MOST_MONTHS_BY_DAY,
    Question,
    asked,
    checked,
    months_back,
    months_between,
    parse_by,
    period,
)
from accounting.asking.sight import NOBODY, Sight, demand_sight, sight_of
from accounting.asking.whole import BEGUN, added, ask, beside, distinct_vms, figures, known_vos, once, sums_of

__all__ = [
    "BEGUN",
    "DECLARED",
    "DIMENSIONS",
    "KINDS",
    "MEASURES",
    "MOST_MONTHS_BY_DAY",
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
    "added",
    "answer",
    "ask",
    "asked",
    "beside",
    "capacity",
    "checked",
    "demand_sight",
    "distinct_vms",
    "figures",
    "known_vos",
    "length",
    "months_back",
    "months_between",
    "once",
    "parse_by",
    "period",
    "pivot",
    "shown",
    "sight_of",
    "stream",
    "sums_of",
]
