"""The tables: the inbox, snapshots of machines, usage by month, summaries, and what was refused or remarked."""

from __future__ import annotations

from accounting.models.base import NAME, Base
from accounting.models.cloud_summaries import ReceivedCloudSummary
from accounting.models.devices import AcceleratorRecord, AcceleratorSummary, IpSnapshot, IpSummary
from accounting.models.inbox import RECEIPTS, Message, SitePublishing
from accounting.models.jobs import JobRecord, JobSummary, Overlap, ReceivedJobSummary, SyncCount
from accounting.models.keeping import ArchivePart, Finding, Mail, Pseudonym, ReplayRun, UsageEvent
from accounting.models.portal import UsageMonth, UsagePacked
from accounting.models.quarantine import RefusedRecord, Remark
from accounting.models.storage import StorageRecord, StorageSummary
from accounting.models.summaries import SummaryDue, UsageDay, UsageSummary
from accounting.models.transports import (
    ForwardDue,
    ForwardedMessage,
    ForwardedMonth,
    PullState,
    SeenSignature,
)
from accounting.models.vms import Uncounted, VmMonth, VmSnapshot
from hanse.database import GroundBase

metadatas = (Base.metadata, GroundBase.metadata)

__all__ = [
    "NAME",
    "RECEIPTS",
    "AcceleratorRecord",
    "AcceleratorSummary",
    "ArchivePart",
    "Base",
    "Finding",
    "ForwardDue",
    "ForwardedMessage",
    "ForwardedMonth",
    "IpSnapshot",
    "IpSummary",
    "JobRecord",
    "JobSummary",
    "Mail",
    "Message",
    "Overlap",
    "Pseudonym",
    "PullState",
    "ReceivedCloudSummary",
    "ReceivedJobSummary",
    "RefusedRecord",
    "Remark",
    "ReplayRun",
    "SeenSignature",
    "SitePublishing",
    "StorageRecord",
    "StorageSummary",
    "SummaryDue",
    "SyncCount",
    "Uncounted",
    "UsageDay",
    "UsageEvent",
    "UsageMonth",
    "UsagePacked",
    "UsageSummary",
    "VmMonth",
    "VmSnapshot",
    "metadatas",
]
