"""plugin: any program that keeps Nagios' conventions, run without a shell.

Options: command (its words; {host}, {port} and {url} stand for the endpoint's, such as
`/usr/lib/nagios/plugins/check_ssh -p {port} {host}`). The first line is the summary, perfdata become figures, exit code
0 OK, 1 WARNING, 2 CRITICAL, all else UNKNOWN.
"""

import re
import shlex
from typing import Literal

from hanse.occi.text import excerpt
from monitoring.findings import Fault, Figure, Finding, Status, Target
from monitoring.wire.line import Line
from monitoring.wire.programs import run_program

MOST_FIGURES = 50
_STATUSES = {0: Status.OK, 1: Status.WARNING, 2: Status.CRITICAL}
_PERFDATA = re.compile(
    r"('(?:[^']|'')+'|[^\s='|]+)=(-?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?|U)([^\s;]*)((?:;[^\s;]*)*)"
)
Unit = Literal["", "s", "B", "%", "c"]
_SCALES: dict[str, tuple[Unit, float]] = {
    "": ("", 1), "s": ("s", 1), "ms": ("s", 1e-3), "us": ("s", 1e-6), "%": ("%", 1), "c": ("c", 1),
    "B": ("B", 1), "KB": ("B", 1e3), "MB": ("B", 1e6), "GB": ("B", 1e9), "TB": ("B", 1e12),
}  # fmt: skip


async def probe(target: Target, line: Line) -> Finding:
    """The plugin's own status; UNKNOWN plugin-broken when it ended otherwise, bad-option when it is not there."""
    words = _words(target)
    with line.trace.phase("plugin") as step:
        ended = await run_program(words)
        step.seen = f"exit code {ended.code}"
    text, _, perfdata = ended.out.partition("|")
    lines = text.strip().splitlines() or ended.err.strip().splitlines() or [""]
    status = _STATUSES.get(ended.code, Status.UNKNOWN)
    summary = excerpt(lines[0], 200) or f"{words[0]} said nothing"
    reason = "" if status is Status.OK else "plugin-said" if 0 <= ended.code <= 3 else "plugin-broken"
    if reason == "plugin-broken":
        summary = f"{words[0]} ended with {ended.code}: {summary}"
    return Finding(status, summary, reason, figures(perfdata))


def figures(perfdata: str) -> tuple[Figure, ...]:
    """Figures from perfdata, in seconds and bytes; what is not perfdata is left out."""
    found = []
    for label, value, unit, limits in _PERFDATA.findall(perfdata)[:MOST_FIGURES]:
        if unit not in _SCALES:
            continue
        ours, factor = _SCALES[unit]
        measured = None if value == "U" else float(value.replace(",", ".")) * factor
        warning, critical = [*limits[1:].split(";"), "", ""][:2] if factor == 1 else ("", "")
        name = label.strip("'").replace("''", "'")
        found.append(Figure(name[:60], measured, ours, warning[:40], critical[:40]))
    return tuple(found)


def _words(target: Target) -> list[str]:
    try:
        words = shlex.split(target.options.get("command", ""))
    except ValueError as error:
        raise Fault("bad-option", f"The option command cannot be read: {error}", Status.UNKNOWN) from None
    if not words:
        raise Fault("bad-option", "The option command says which program to run", Status.UNKNOWN)
    known = {"{host}": target.host, "{port}": str(target.port), "{url}": target.url}
    return [words[0], *(_filled(word, known) for word in words[1:])]


def _filled(word: str, known: dict[str, str]) -> str:
    """Each placeholder replaced once; what an address holds is never taken for another placeholder or an option."""
    return re.sub(r"\{(?:host|port|url)\}", lambda match: known[match.group()], word)
