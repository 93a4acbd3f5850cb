"""Options of a check, read with a sentence when they are wrong (UNKNOWN: the fault is in our
configuration)."""

import re

from monitoring.findings import Fault, Status, Target


def number(target: Target, name: str, default: float) -> float:
    """A number 0 or above."""
    given = target.options.get(name, "")
    if not given:
        return default
    if not re.fullmatch(r"\d+(\.\d+)?", given):
        raise Fault("bad-option", f"The option {name} must be a number, not {given!r}", Status.UNKNOWN)
    return float(given)


def words(target: Target, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """Words divided by commas."""
    given = target.options.get(name)
    if given is None:
        return default
    return tuple(word.strip() for word in given.split(",") if word.strip())


def statuses(target: Target, name: str, default: str) -> frozenset[int]:
    """HTTP statuses as "200-399,401"."""
    found: set[int] = set()
    for part in target.options.get(name, default).split(","):
        match = re.fullmatch(r"\s*([1-5]\d\d)(?:-([1-5]\d\d))?\s*", part)
        if not match:
            said = f"The option {name} must be HTTP statuses such as 200-399,401, not {part!r}"
            raise Fault("bad-option", said, Status.UNKNOWN)
        found.update(range(int(match.group(1)), int(match.group(2) or match.group(1)) + 1))
    return frozenset(found)
