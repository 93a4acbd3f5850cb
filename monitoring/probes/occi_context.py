"""occi-context: does the cloud offer mixins by which a machine gets its script and its key.

Options: token (as occi-categories), generation ("first" = EGI's first generation is required; default: either). Rules:
none whole is CRITICAL; the other generation than EGI's first one is WARNING, since older clients know that one alone.
"""

from hanse.occi.context import FIRST, MIXINS, generations
from monitoring.findings import Figure, Finding, Status, Target
from monitoring.probes.occi_categories import queried
from monitoring.wire.line import Line


async def probe(target: Target, line: Line) -> Finding:
    """OK with the generations, WARNING or CRITICAL occi-missing; faults as occi-categories."""
    model, _ = await queried(target, line)
    offered = generations(model)
    figures = (Figure("time", line.trace.elapsed_s(), "s"), Figure("generations", len(offered)))
    if FIRST in offered:
        words = " and ".join(offered)
        said = f"Machines can be contextualised: user_data and public_key, generation {words}"
        return Finding(Status.OK, said, figures=figures)
    missing = ", ".join(one.rpartition("#")[2] for one in MIXINS[FIRST] if model.find(one) is None)
    required = target.options.get("generation") == FIRST
    if offered and not required:
        said = f"Only the mixins of OCCI 1.2 are offered; older clients miss {missing}"
        return Finding(Status.WARNING, said, "occi-missing", figures)
    return Finding(Status.CRITICAL, f"The OCCI server does not offer {missing}", "occi-missing", figures)
