"""The thresholds profile of the default report, as it is laid over results when they come in."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import structlog
from sqlalchemy.orm import Session

from hanse.errors import NotFound
from monitoring.clock import database_time
from monitoring.profiles import kept
from monitoring.profiles.bodies import ThresholdRule, ThresholdsProfile
from monitoring.profiles.defaults import REPORT
from monitoring.profiles.thresholds import Ruling, chosen, judged

READ_AGAIN_S = 30.0
Rule = tuple[str, str, str, str]
log = structlog.get_logger(__name__)


@dataclass
class Thresholds:
    """The rules in force, read again twice a minute: results come by the thousand, rules change by the month."""

    _rules: dict[str, list[Rule]] = field(default_factory=dict)
    _read_at: float | None = None

    def of(self, session: Session, metric: str) -> list[Rule]:
        """The rules for a metric: (metric, host, group, thresholds)."""
        now = time.monotonic()
        if self._read_at is None or now - self._read_at > READ_AGAIN_S:
            self._rules, self._read_at = _read(session), now
        return self._rules.get(metric, [])


def _read(session: Session) -> dict[str, list[Rule]]:
    day = database_time(session).date()
    found: dict[str, list[Rule]] = {}
    for report in kept.in_force(session, "report", day, REPORT):
        for named in report.body["profiles"]:
            if named.get("type") == "thresholds":
                for rule in _rules(session, str(named["id"]), day):
                    row = (rule.metric, rule.host, rule.endpoint_group, rule.thresholds)
                    found.setdefault(rule.metric, []).append(row)
    return found


def _rules(session: Session, profile_id: str, day: date) -> list[ThresholdRule]:
    """The rules of a profile; none while it is not in force, for no result may be lost by it."""
    try:
        body = kept.find(session, "thresholds", profile_id, day).body
    except NotFound as fault:
        log.warning("no threshold rules are applied", reason=fault.detail)
        return []
    return ThresholdsProfile.model_validate(body).rules


def ruling(
    rules: list[Rule], metric: str, host: str, group: str, values: Mapping[str, float | None]
) -> Ruling | None:
    """What the rule that counts for a metric says of its figures; None = the probe's status stays."""
    rule = chosen(rules, metric, host, group)
    return judged(rule, values) if rule is not None else None
