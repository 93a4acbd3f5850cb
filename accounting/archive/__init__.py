"""Old records and messages in files of one month each, and back: the figures never change by it."""

from accounting.archive.keeping import archive, due_months
from accounting.archive.kept import KEPT, Kept
from accounting.archive.restoring import restore

__all__ = ["KEPT", "Kept", "archive", "due_months", "restore"]
