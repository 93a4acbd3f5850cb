"""CAR: batch jobs as XML (compute accounting record 1.2). Its fields become those of individual job records."""

from __future__ import annotations

from collections.abc import Iterator

from accounting.formats import individual_job
from accounting.formats.fields import Fields, unread
from accounting.formats.records import Format, Judging, Reading
from accounting.formats.times import iso_duration, iso_moment
from accounting.formats.xmlframe import Given, Tree, line_of, xml_parts

NAMESPACE = "http://eu-emi.eu/namespaces/2012/11/computerecord"
SAME = (
    "Site",
    "SubmitHost",
    "MachineName",
    "Queue",
    "WallDuration",
    "Processors",
    "NodeCount",
    "StartTime",
    "EndTime",
)
IGNORED = (
    "RecordIdentity", "JobName", "Charge", "Status", "ExitStatus", "Memory", "Swap", "Disk", "Network", "TimeDuration",
    "TimeInstant", "Project", "Host", "ServiceLevel", "Infrastructure", "JobIdentity", "UserIdentity", "CpuDuration",
)  # fmt: skip
CHILDREN = frozenset({*SAME, *IGNORED})
OF_GROUP = {"FQAN": "FQAN", "group": "VOGroup", "role": "VORole"}


def read(text: str, judging: Judging) -> Iterator[Reading]:
    """Judge every record of a CAR message by itself; aggregated records are refused, one by one."""
    for part in xml_parts(text, NAMESPACE, "UsageRecord", _given):
        refused = unread(part)
        if refused is not None:
            yield refused
            continue
        fields = Fields(part, judging)
        fields.strange(individual_job.KNOWN, "CAR records")
        yield individual_job.judge(fields, iso_duration, iso_moment)


def _given(tree: Tree) -> Given:
    """The values by the names that they have in individual job records."""
    given: Given = {}
    for name in SAME:
        tree.put(given, name)
    tree.put(given, "JobIdentity/LocalJobId")
    tree.put(given, "UserIdentity/LocalUserId")
    tree.put(given, "UserIdentity/GlobalUserName")
    tree.put(given, "UserIdentity/Group", name="VO")
    for element in tree.all("UserIdentity/GroupAttribute"):
        kind = tree.attribute(element, "type")
        if kind in OF_GROUP:
            given[OF_GROUP[kind]] = ((element.text or "").strip(), line_of(element))
    for element in tree.all("CpuDuration"):
        if tree.attribute(element, "usageType") in ("all", ""):  # user and system are parts of it
            given["CpuDuration"] = ((element.text or "").strip(), line_of(element))
    tree.put(given, "Infrastructure", attribute="type", name="InfrastructureType")
    tree.put(given, "Infrastructure", attribute="description", name="InfrastructureDescription")
    tree.put(given, "ServiceLevel")
    tree.put(given, "ServiceLevel", attribute="type", name="ServiceLevelType")
    tree.strange(CHILDREN, given)
    return given


FORMAT = Format(title="CAR job record", heads=(NAMESPACE,), versions=("",), read=read)
