"""Replaces a person's name by its pseudonym wherever it is kept: records, sums, raw messages, refusals, archives."""

from accounting.hiding.replacing import Replaced, replace_name

__all__ = ["Replaced", "replace_name"]
