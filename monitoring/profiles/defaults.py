"""What holds until an operator says otherwise: ARGO's truth tables, the probes that run, and one report of it all."""

from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy.orm import Session

from monitoring.profiles import kept
from monitoring.profiles.bodies import (
    AggregatedService,
    AggregationProfile,
    Body,
    FunctionGroup,
    Info,
    MetricProfile,
    Metrics,
    ProfileName,
    Report,
    ThresholdsProfile,
    Weights,
    egi_ops,
)

PROFILE = "hanse"
REPORT = "Default"


def keep(session: Session, probes: Mapping[str, Sequence[str]], tenant: str, today: date) -> None:
    """Write the defaults where there are none, and bring those that nobody edited in line with the service types
    (`probes`: the metrics of each)."""
    types = sorted(probes)
    metrics = MetricProfile(
        name=PROFILE,
        description="The probes that Hanse runs on each service type.",
        services=[Metrics(service=kind, metrics=list(probes[kind])) for kind in types],
    )
    groups = [
        FunctionGroup(name=kind, operation="OR", services=[AggregatedService(name=kind, operation="OR")])
        for kind in types
    ]
    metric = _keep(session, "metric", metrics, today)
    aggregated = AggregationProfile(
        name=PROFILE, metric_profile=ProfileName(name=metric.name, id=metric.id), groups=groups
    )
    used = [
        metric,
        _keep(session, "aggregation", aggregated, today),
        _keep(session, "operations", egi_ops(), today),
        _keep(session, "thresholds", ThresholdsProfile(name=PROFILE, rules=[]), today),
    ]
    _keep(session, "weights", Weights(name=PROFILE, groups=[]), today)
    named = [ProfileName(id=one.id, name=one.name, type=one.kind) for one in used]
    info = Info(name=REPORT, description="All monitored endpoints of the registry.")
    _keep(session, "report", Report(tenant=tenant, info=info, profiles=named), today)


def _keep(session: Session, kind: str, body: Body, today: date) -> kept.Version:
    """The default of a kind. One that a person changed stays as it is."""
    name = str(getattr(body, "name"))  # noqa: B009 - every body has one
    known = kept.in_force(session, kind, today, name)
    if not known:
        return kept.create(session, kind, body, kept.FIRST_DAY, None)
    (version,) = known
    if version.made_by is None and version.body != kept.dumped(body):
        return kept.write(session, version, body, today, None)
    return version
