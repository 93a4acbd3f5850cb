"""Cross-checks: usage against what the registry and the membership say, each difference a finding with an owner."""

from accounting.crosschecks.checks import CHECKS, Check
from accounting.crosschecks.decisions import accept, acknowledge, take_back
from accounting.crosschecks.found import Found, Looked
from accounting.crosschecks.listing import Counted, Wanted, counts, findings, one, places
from accounting.crosschecks.looking import look, open_by_kind
from accounting.crosschecks.telling import tell_owners

__all__ = [
    "CHECKS",
    "Check",
    "Counted",
    "Found",
    "Looked",
    "Wanted",
    "accept",
    "acknowledge",
    "counts",
    "findings",
    "look",
    "one",
    "open_by_kind",
    "places",
    "take_back",
    "tell_owners",
]
