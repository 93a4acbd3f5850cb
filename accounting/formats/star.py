"""StAR: storage in use, as XML (OGF GFD.201). A record is known by site, recordId and EndTime, so that reports
which repeat an id, as cASO's do for each volume, become a history.
"""

from __future__ import annotations

from collections.abc import Iterator

from accounting.formats.fields import Fields, Part, unread
from accounting.formats.records import Format, Judging, Reading
from accounting.formats.rows import StorageRecord
from accounting.formats.times import iso_moment, month_of
from accounting.formats.xmlframe import Given, Tree, line_of, xml_parts

NAMESPACE = "http://eu-emi.eu/namespaces/2011/02/storagerecord"
TEXTS = ("Site", "StorageSystem", "StorageShare", "StorageMedia", "StorageClass", "DirectoryPath")
NUMBERS = ("FileCount", "ResourceCapacityUsed", "LogicalCapacityUsed", "ResourceCapacityAllocated")
SUBJECT = ("LocalUser", "LocalGroup", "UserIdentity", "Group")
CHILDREN = frozenset({*TEXTS, *NUMBERS, "StartTime", "EndTime", "RecordIdentity", "SubjectIdentity"})
KNOWN = frozenset({*CHILDREN, *SUBJECT, "recordId", "createTime", "subgroup", "role"})
ATTRIBUTES = "GroupAttribute "
MOST_BYTES = 10**21


def read(text: str, judging: Judging) -> Iterator[Reading]:
    """Judge every record of a storage message by itself."""
    for part in xml_parts(text, NAMESPACE, "StorageUsageRecord", _given):
        yield unread(part) or _judge(part, judging)


def _given(tree: Tree) -> Given:
    given: Given = {}
    tree.put(given, "RecordIdentity", attribute="recordId")
    tree.put(given, "RecordIdentity", attribute="createTime")
    for name in (*TEXTS, *NUMBERS, "StartTime", "EndTime"):
        tree.put(given, name)
    for name in SUBJECT:
        tree.put(given, f"SubjectIdentity/{name}")
    for element in tree.all("SubjectIdentity/GroupAttribute"):
        kind = tree.attribute(element, "attributeType")
        name = kind if kind in ("subgroup", "role") else f"{ATTRIBUTES}{kind}"
        given[name] = ((element.text or "").strip(), line_of(element))
    tree.strange(CHILDREN, given)
    return given


def _judge(part: Part, judging: Judging) -> Reading:
    fields = Fields(part, judging)
    attributes = {key: fields.text(key) for key in part.given if key.startswith(ATTRIBUTES)}
    fields.strange(KNOWN | attributes.keys(), "storage records")
    site, identity = fields.key_text("Site"), fields.key_text("recordId")
    started, ended = fields.needed_time("StartTime", iso_moment), fields.needed_time("EndTime", iso_moment)
    created = fields.needed_time("createTime", iso_moment)
    fields.ordered("StartTime", started, "EndTime", ended)
    fields.not_in_future("EndTime", ended)
    if not fields.faults and started == ended:
        words = (
            "StartTime and EndTime are the same: the record adds no byte-seconds, only what is in use then."
        )
        fields.remark("no_duration", "EndTime", words)
    fields.need("StorageSystem")
    row = StorageRecord(
        record_id=identity,
        created_at=created,
        started_at=started,
        ended_at=ended,
        storage_system=fields.text("StorageSystem"),
        storage_share=fields.text("StorageShare"),
        storage_media=fields.text("StorageMedia"),
        storage_class=fields.text("StorageClass"),
        directory_path=fields.text("DirectoryPath"),
        local_user=fields.text("LocalUser"),
        local_group=fields.text("LocalGroup"),
        user_name=fields.text("UserIdentity"),
        vo=fields.text("Group"),
        vo_group=fields.text("subgroup"),
        vo_role=fields.text("role"),
        attributes={key.removeprefix(ATTRIBUTES): value for key, value in attributes.items()},
        file_count=fields.number("FileCount"),
        used_bytes=fields.needed("ResourceCapacityUsed"),
        logical_bytes=fields.number("LogicalCapacityUsed"),
        allocated_bytes=fields.number("ResourceCapacityAllocated"),
    )
    month = month_of(ended) if ended else 0
    return fields.reading(row, site_key="Site", site=site, subject=identity, vo=row.vo, month=month)


FORMAT = Format(title="storage record", heads=(NAMESPACE,), versions=("",), read=read)
