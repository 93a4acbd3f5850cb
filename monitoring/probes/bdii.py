"""bdii: does an information system answer LDAP queries, with how many entries, and how old is the youngest of them.

Options: base ("o=glue"), entries (1: fewer are CRITICAL), warning_s (1200) and critical_s (3600: age of the newest
GLUE2EntityCreationTime). It is asked with OpenLDAP's `ldapsearch`.
"""

import re
from datetime import UTC, datetime

from hanse.occi.text import excerpt
from monitoring.findings import Fault, Figure, Finding, Status, Target
from monitoring.probes.options import number
from monitoring.wire.line import Line
from monitoring.wire.programs import MOST_OUTPUT, run_program

_CREATED = re.compile(r"^GLUE2EntityCreationTime: (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z?\s*$", re.MULTILINE)
_BASE = re.compile(r"[A-Za-z0-9=,. _-]{0,200}")


async def probe(target: Target, line: Line) -> Finding:
    """OK with entries and freshness; CRITICAL ldap-failed, ldap-empty, information-old; WARNING information-old."""
    base = target.options.get("base", "o=glue")
    if not _BASE.fullmatch(base):
        raise Fault(
            "bad-option", f"The option base is not a name in a directory: {base[:60]!r}", Status.UNKNOWN
        )
    least = number(target, "entries", 1)
    warning, critical = number(target, "warning_s", 1200), number(target, "critical_s", 3600)
    scheme = "ldaps" if target.url.startswith("ldaps:") else "ldap"
    words = ["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-o", "nettimeout=15", "-l", "20"]
    words += [
        "-H",
        f"{scheme}://{target.host}:{target.port}",
        "-b",
        base,
        "(objectClass=*)",
        "GLUE2EntityCreationTime",
    ]
    with line.trace.phase("search") as step:
        ended = await run_program(words)
        entries = len(re.findall(r"^dn: ", ended.out, re.MULTILINE))
        step.seen = f"exit code {ended.code}, {entries} entries"
    if ended.code not in (0, 4):  # 4: as many as the server gives at a time
        said = excerpt(ended.err.strip().partition("\n")[0], 120)
        raise Fault("ldap-failed", f"The information system does not answer ({ended.code}): {said}")
    more = "at least " if len(ended.out) >= MOST_OUTPUT or ended.code == 4 else ""
    figures = [Figure("entries", entries, "", "", f"{least:g}:")]
    if entries < least:
        said = f"The information system has {entries} entries below {base}, and should have {least:g}"
        return Finding(Status.CRITICAL, said, "ldap-empty", tuple(figures))
    created = [datetime.fromisoformat(one).replace(tzinfo=UTC) for one in _CREATED.findall(ended.out)]
    if not created:
        return Finding(Status.OK, f"{more}{entries} entries, none says how old it is", figures=tuple(figures))
    age_s = max(0.0, (datetime.now(UTC) - max(created)).total_seconds())
    figures.append(Figure("freshness", round(age_s), "s", f"{warning:g}", f"{critical:g}"))
    status = Status.CRITICAL if age_s > critical else Status.WARNING if age_s > warning else Status.OK
    said = f"{more}{entries} entries, the newest {age_s / 60:.0f} min old"
    return Finding(status, said, "" if status is Status.OK else "information-old", tuple(figures))
