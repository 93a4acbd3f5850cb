"""http: does an address answer with an expected status, and with a text in it where one is asked for.

Options: statuses ("200-399"), contains (a text that the body must hold). Redirects are followed, five at
most.
"""

from monitoring.findings import Fault, Figure, Finding, Status, Target
from monitoring.probes.options import statuses
from monitoring.wire.http1 import Reply
from monitoring.wire.line import Line


async def probe(target: Target, line: Line) -> Finding:
    """OK, or CRITICAL http-status, http-content; UNKNOWN rate-limited; faults of the line."""
    wanted, text = statuses(target, "statuses", "200-399"), target.options.get("contains", "")
    reply = await line.follow(target.url, (("Accept", "*/*"),))
    refuse_busy(reply)
    figures = (Figure("time", line.trace.elapsed_s(), "s"), Figure("size", len(reply.body), "B"))
    said = f"{reply.status} {reply.phrase}".strip()
    if reply.status not in wanted:
        return Finding(Status.CRITICAL, f"HTTP {said}", "http-status", figures)
    if text and text.encode() not in reply.body:
        return Finding(Status.CRITICAL, f"The answer does not contain {text[:40]!r}", "http-content", figures)
    return Finding(Status.OK, f"HTTP {said}, {len(reply.body)} bytes", figures=figures)


def refuse_busy(reply: Reply) -> None:
    """429 says that we ask too often: that is no outage of the site."""
    if reply.status == 429:
        wait = reply.header("retry-after")
        said = "The server asks us to come less often (429)" + (f", again in {wait[:20]}" if wait else "")
        raise Fault("rate-limited", said, Status.UNKNOWN)
