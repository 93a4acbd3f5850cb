"""Records other than of machines as sites write them: jobs, summaries, storage, accelerators, addresses."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from tests.accounting.records import epoch, lines, months_ago

SAMPLES = Path(__file__).with_name("samples")
ANNA = "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"
FQAN = "/training.egi.eu/Role=NULL/Capability=NULL"
MONTH = months_ago(1)


def sample(name: str) -> str:
    """A message of tests/accounting/samples."""
    return (SAMPLES / name).read_text(encoding="utf-8")


def text_message(head: str, *records: dict[str, Any] | str) -> str:
    """A message in APEL's text framing; None leaves a field out."""
    texts = [each if isinstance(each, str) else lines(_stated(each)) for each in records]
    return f"{head}\n" + "%%\n".join(texts)


def _stated(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def job(site: str = "BIFI", job_id: str = "1001.ce", **changes: Any) -> dict[str, Any]:
    """A job of an hour on 8 processors that ended in the middle of last month."""
    ended = epoch(MONTH)
    return {
        "Site": site, "SubmitHost": "ce1.example.org:9619/condor", "MachineName": "ce1.example.org", "Queue": "grid",
        "LocalJobId": job_id, "LocalUserId": "pool001", "GlobalUserName": ANNA, "FQAN": FQAN, "WallDuration": 3600,
        "CpuDuration": 27000, "Processors": 8, "NodeCount": 1, "StartTime": ended - 3600, "EndTime": ended,
        "InfrastructureDescription": "APEL-HTCONDOR", "InfrastructureType": "grid", "MemoryReal": 3308580,
        "MemoryVirtual": 7954518, "ServiceLevelType": "hepspec", "ServiceLevel": 10,
    } | changes  # fmt: skip


def jobs(*records: dict[str, Any] | str, version: str = "v0.3") -> str:
    """A message of jobs."""
    return text_message(f"APEL-individual-job-message: {version}", *records)


def job_summary(site: str = "BIFI", month: datetime = MONTH, **changes: Any) -> dict[str, Any]:
    """200 jobs of a month, summed by the site."""
    return {
        "Site": site, "Month": month.month, "Year": month.year, "GlobalUserName": ANNA, "VO": "training.egi.eu",
        "VOGroup": "/training.egi.eu", "VORole": "Role=pilot", "SubmitHost": "ce1.example.org:9619/condor",
        "InfrastructureType": "grid", "ServiceLevelType": "hepspec", "ServiceLevel": 10.5, "NodeCount": 1,
        "Processors": 8, "EarliestEndTime": epoch(month), "LatestEndTime": epoch(month) + 3600,
        "WallDuration": 720000, "CpuDuration": 5400000, "NumberOfJobs": 200,
    } | changes  # fmt: skip


def normalised(site: str = "BIFI", month: datetime = MONTH, **changes: Any) -> dict[str, Any]:
    """The same, normalised by the site."""
    plain = job_summary(site, month)
    left = {"InfrastructureType", "ServiceLevelType", "ServiceLevel"}
    kept = {key: value for key, value in plain.items() if key not in left}
    return kept | {
        "Infrastructure": "grid", "NormalisedWallDuration": 7560000, "NormalisedCpuDuration": 56700000,
    } | changes  # fmt: skip


def job_summaries(*records: dict[str, Any] | str, version: str = "v0.2") -> str:
    """A message of job summaries."""
    return text_message(f"APEL-summary-job-message: {version}", *records)


def cloud_summary(site: str = "BIFI", month: datetime = MONTH, **changes: Any) -> dict[str, Any]:
    """Two machines of a month, summed."""
    return {
        "SiteName": site, "CloudComputeService": f"{site}-CLOUD", "Month": month.month, "Year": month.year,
        "GlobalUserName": ANNA, "VO": "training.egi.eu", "VOGroup": "/training.egi.eu", "VORole": "Role=NULL",
        "Status": "started", "CloudType": "OpenStack", "ImageId": "ubuntu-24.04", "EarliestStartTime": epoch(month),
        "LatestStartTime": epoch(month) + 60, "WallDuration": 7200, "CpuDuration": 28800, "CpuCount": 4,
        "NetworkInbound": 120, "NetworkOutbound": 30, "Memory": 16384, "Disk": 160, "BenchmarkType": "HEPscore23",
        "Benchmark": 12.5, "NumberOfVMs": 2,
    } | changes  # fmt: skip


def cloud_summaries(*records: dict[str, Any] | str) -> str:
    """A message of cloud summaries."""
    return text_message("APEL-cloud-summary-message: v0.4", *records)


def accelerator(
    site: str = "BIFI", vm: str = "one-1", month: datetime = MONTH, **changes: Any
) -> dict[str, Any]:
    """A GPU of a machine, three hours of a month."""
    fields = {
        "SiteName": site, "CloudType": "caso/5.2.2 (OpenStack)", "CloudComputeService": f"{site}-CLOUD",
        "AssociatedRecord": vm, "FQAN": "training.egi.eu", "GlobalUserName": ANNA, "Count": 1,
        "AvailableDuration": 10800, "MeasurementMonth": month.month, "MeasurementYear": month.year,
        "AssociatedRecordType": "cloud", "Type": "GPU", "Model": "NVIDIA A100", "ActiveDuration": 7200,
    } | changes  # fmt: skip
    return _stated(fields)


def accelerators(*records: Any) -> str:
    """A message of accelerators."""
    return json.dumps({"Type": "APEL-accelerator-message", "Version": "0.1", "UsageRecords": records})


def address(site: str = "BIFI", at: datetime = MONTH, **changes: Any) -> dict[str, Any]:
    """Seven addresses of a project, as cASO tells."""
    fields = {
        "SiteName": site, "CloudType": "caso/5.2.2 (OpenStack)", "CloudComputeService": f"{site}-CLOUD",
        "uuid": "dddd0000-0000-4000-8000-000000000001", "LocalGroup": "g7", "FQAN": "training.egi.eu", "IPVersion": 4,
        "IPCount": 7, "MeasurementTime": epoch(at),
    } | changes  # fmt: skip
    return _stated(fields)


def addresses(*records: Any) -> str:
    """A message of addresses."""
    return json.dumps({"Type": "APEL Public IP message", "Version": "0.2", "UsageRecords": records})


def iso(moment: datetime) -> str:
    """A time as StAR and CAR write it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def volume(
    begin: datetime, end: datetime, used: int, *, site: str = "BIFI", record: str = "volume-1", user: str = "u1",
    group: str = "training.egi.eu", system: str = "BIFI-CLOUD", local_group: str = "g7", share: str = "",
    more: str = "",
) -> str:  # fmt: skip
    """One StAR record."""
    shared = f"<sr:StorageShare>{escape(share)}</sr:StorageShare>" if share else ""
    return (
        f"<sr:StorageUsageRecord><sr:RecordIdentity sr:createTime={quoteattr(iso(end))}"
        f" sr:recordId={quoteattr(record)}/><sr:StorageSystem>{escape(system)}</sr:StorageSystem>"
        f"<sr:Site>{escape(site)}</sr:Site>{shared}<sr:SubjectIdentity><sr:LocalUser>{escape(user)}</sr:LocalUser>"
        f"<sr:LocalGroup>{local_group}</sr:LocalGroup><sr:Group>{escape(group)}</sr:Group></sr:SubjectIdentity>"
        f"<sr:StartTime>{iso(begin)}</sr:StartTime><sr:EndTime>{iso(end)}</sr:EndTime>"
        f"<sr:ResourceCapacityUsed>{used}</sr:ResourceCapacityUsed>{more}</sr:StorageUsageRecord>\n"
    )


def storage(records: Iterable[str]) -> str:
    """A message of StAR records."""
    space = "http://eu-emi.eu/namespaces/2011/02/storagerecord"
    return f'<sr:StorageUsageRecords xmlns:sr="{space}">{"".join(records)}</sr:StorageUsageRecords>'
