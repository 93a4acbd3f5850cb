"""The timeline of one UTC day as a value, and what may be done to it. Nothing here knows the database.

A line begins at second 0, its points ascend, neighbours differ; a state holds until the next point, the last to
the end of the day. None is EXCLUDED: a recomputation took that time out, and folding passes it over.
"""

from collections.abc import Iterable, Mapping, Sequence

from monitoring.algebra import State

DAY_S = 86_400
RESUMES_AFTER_S = 60  # ARGO: what held at the end of a downtime holds again one minute later
Held = State | None
Line = tuple[tuple[int, Held], ...]
Table = Mapping[tuple[State, State], State]


def line(points: Iterable[tuple[int, Held]], before: Held = State.MISSING) -> Line:
    """The line of `points` (second, state) in order of time; `before` holds until the first. Of several at one
    second the last counts; what lies outside the day does not."""
    states: dict[int, Held] = {0: before}
    for second, state in points:
        if 0 <= second < DAY_S:
            states[second] = state
    return _tidy(sorted(states.items(), key=lambda point: point[0]))


def steady(state: Held) -> Line:
    """One state all day."""
    return ((0, state),)


def _tidy(points: Iterable[tuple[int, Held]]) -> Line:
    kept: list[tuple[int, Held]] = []
    for second, state in points:
        if not kept or kept[-1][1] != state:
            kept.append((second, state))
    return tuple(kept)


def state_at(one: Line, second: int) -> Held:
    """The state that holds at `second`."""
    held = one[0][1]
    for at, state in one:
        if at > second:
            break
        held = state
    return held


def merge(table: Table, lines: Sequence[Line]) -> Line:
    """The lines folded with a truth table, instant by instant; MISSING all day where there is none."""
    if not lines:
        return steady(State.MISSING)
    folded = lines[0]
    for other in lines[1:]:
        folded = _pair(table, folded, other)
    return folded


def _pair(table: Table, a: Line, b: Line) -> Line:
    if a == b and len(a) == 1 and (a[0][1] is None or table[a[0][1], a[0][1]] == a[0][1]):
        return a
    instants = sorted({second for second, _ in a} | {second for second, _ in b})
    return _tidy(
        (second, _fold(table, x, y))
        for second, x, y in zip(instants, _sampled(a, instants), _sampled(b, instants), strict=True)
    )


def _sampled(one: Line, instants: Sequence[int]) -> list[Held]:
    found: list[Held] = []
    at = 0
    for instant in instants:
        while at + 1 < len(one) and one[at + 1][0] <= instant:
            at += 1
        found.append(one[at][1])
    return found


def _fold(table: Table, a: Held, b: Held) -> Held:
    if a is None or b is None:
        return b if a is None else a
    return table[a, b]


def overlay(one: Line, start: int, end: int, state: State = State.DOWNTIME, now: int = DAY_S) -> Line:
    """`state` laid over [start, end] as ARGO lays a downtime: cut to 00:00:00-23:59:59; what held at the end is
    resumed a minute after it, unless a point lies exactly at the end, or that minute is past the day or `now`.

    Nothing is written after `now`. A change within that minute stands (ARGO would write over it)."""
    first, last = max(start, 0), min(end, DAY_S - 1)
    if last < first or first >= now:
        return one
    points = {second: held for second, held in one if not first <= second <= last}
    points[first] = state
    resumes = last + RESUMES_AFTER_S
    at_the_end = any(second == last for second, _ in one)
    changed = any(last < second <= resumes for second, _ in one)
    if resumes < DAY_S and resumes <= now and not at_the_end and not changed:
        points[resumes] = state_at(one, last)
    return _tidy(sorted(points.items(), key=lambda point: point[0]))


def replace(one: Line, start: int, end: int, state: Held) -> Line:
    """`state` from start to end whatever was between; what held at the end is resumed exactly then."""
    first, last = max(start, 0), min(end, DAY_S)
    if last <= first:
        return one
    points = {second: held for second, held in one if not first <= second < last}
    points[first] = state
    if last < DAY_S:
        points[last] = state_at(one, last)
    return _tidy(sorted(points.items(), key=lambda point: point[0]))


def without_samples(one: Line, start: int, end: int) -> Line:
    """The line as if nothing had been measured from start to end: what held before goes on."""
    held = state_at(one, start - 1) if start > 0 else one[0][1]
    return replace(one, start, end, held)


def seconds(one: Line, until: int = DAY_S) -> dict[Held, int]:
    """How long each state held before `until`; the sum is `until`."""
    sums: dict[Held, int] = {}
    ends = [second for second, _ in one[1:]] + [until]
    for (second, state), end in zip(one, ends, strict=True):
        length = min(end, until) - min(second, until)
        if length > 0:
            sums[state] = sums.get(state, 0) + length
    return sums


def union(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Intervals that overlap or touch made one, in order: two downtimes at once are one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
