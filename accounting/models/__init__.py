"""The tables: the inbox, snapshots of machines, usage by month, summaries, and what was refused or remarked."""

from __future__ import annotations

from accounting.models.base import NAME, Base
from accounting.models.inbox import RECEIPTS, Message, SitePublishing
from accounting.models.keeping import ArchivePart, Finding, Pseudonym, ReplayRun, UsageEvent
from accounting.models.quarantine import RefusedRecord, Remark
from accounting.models.summaries import SummaryDue, UsageDay, UsageSummary
from accounting.models.vms import Uncounted, VmMonth, VmSnapshot
from hanse.database import GroundBase

metadatas = (Base.metadata, GroundBase.metadata)

__all__ = [
    "NAME",
    "RECEIPTS",
    "ArchivePart",
    "Base",
    "Finding",
    "Message",
    "Pseudonym",
    "RefusedRecord",
    "ReplayRun",
    "Remark",
    "SitePublishing",
    "SummaryDue",
    "Uncounted",
    "UsageDay",
    "UsageEvent",
    "UsageSummary",
    "VmMonth",
    "VmSnapshot",
    "metadatas",
]
