"""The revision log: every change of an entity as a numbered revision, with who, when and why.

Audit trail, change feed and time travel all come from two tables. Numbers are given under a transaction
advisory lock that is kept until the commit, so that they commit in order: a reader that has seen revision n
has seen all before it.
"""

from __future__ import annotations

from hanse.revisions.feed import ChangePage, FeedChange, changes_since, feed_epoch, new_epoch
from hanse.revisions.reading import HistoryEntry, as_of, current, head, history_of, number_at_time
from hanse.revisions.tables import NEVER, Body, FeedIdentity, History, Revision, RevisionBase
from hanse.revisions.writing import LOCK, Actor, Change, Rewrite, change, forget_actor

__all__ = [
    "LOCK",
    "NEVER",
    "Actor",
    "Body",
    "Change",
    "ChangePage",
    "FeedChange",
    "FeedIdentity",
    "History",
    "HistoryEntry",
    "Revision",
    "RevisionBase",
    "Rewrite",
    "as_of",
    "change",
    "changes_since",
    "current",
    "feed_epoch",
    "forget_actor",
    "head",
    "history_of",
    "new_epoch",
    "number_at_time",
]
