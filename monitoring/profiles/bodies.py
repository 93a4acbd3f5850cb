"""What profiles, weights and reports say, in ARGO's field names."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from monitoring.algebra import AND, OR, State
from monitoring.profiles.thresholds import read_rule

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Text = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]
Operation = Literal["AND", "OR"]
STATES: dict[str, State] = {state.name: state for state in State}
MOST = 2000


class Body(BaseModel):
    """A profile's body: unknown fields are refused, so that a misspelt one is not lost."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Metrics(Body):
    """The metrics that an endpoint of this service type must pass."""

    service: Name
    metrics: list[Name] = Field(max_length=200)


class MetricProfile(Body):
    """Which metrics count, by service type."""

    name: Name
    description: Text = ""
    services: list[Metrics] = Field(max_length=MOST)


class AggregatedService(Body):
    """How endpoints of one service type combine."""

    name: Name
    operation: Operation


class FunctionGroup(Body):
    """Services that stand for one another (OR) or are all needed (AND)."""

    name: Name
    operation: Operation
    services: list[AggregatedService] = Field(max_length=MOST)


class ProfileName(Body):
    """Another profile, by name and id."""

    name: Name
    id: Text = ""
    type: Text = ""


class AggregationProfile(Body):
    """How services combine to the state of a site."""

    name: Name
    namespace: Text = ""
    endpoint_group: Text = "sites"
    metric_operation: Operation = "AND"
    profile_operation: Operation = "AND"
    metric_profile: ProfileName | None = None
    groups: list[FunctionGroup] = Field(max_length=MOST)


class Row(Body):
    """One cell of a truth table: a with b gives x."""

    a: str
    b: str
    x: str

    @field_validator("a", "b", "x")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in STATES:
            raise ValueError(f"{name} is no state; there are {', '.join(STATES)}")
        return name


class TruthTable(Body):
    """A named operation."""

    name: Operation
    truth_table: list[Row] = Field(max_length=100)


class Defaults(Body):
    """The states for downtime, no data and unknown."""

    down: str = "DOWNTIME"
    missing: str = "MISSING"
    unknown: str = "UNKNOWN"


class OperationsProfile(Body):
    """The truth tables of AND and OR; each pair of states once, in either order."""

    name: Name
    available_states: list[str] = Field(max_length=20)
    defaults: Defaults = Defaults()
    operations: list[TruthTable] = Field(max_length=10)

    @model_validator(mode="after")
    def _whole(self) -> "OperationsProfile":
        for name in ("AND", "OR"):
            missing = [pair for pair in AND if pair not in self.table(name)]
            if missing:
                a, b = missing[0]
                raise ValueError(f"{name} does not say what {a.name} with {b.name} gives; add the row")
        return self

    def table(self, name: str) -> dict[tuple[State, State], State]:
        """The table of an operation, both orders of each pair."""
        found: dict[tuple[State, State], State] = {}
        for operation in self.operations:
            if operation.name == name:
                for row in operation.truth_table:
                    a, b, x = STATES[row.a], STATES[row.b], STATES[row.x]
                    found[a, b] = x
                    found.setdefault((b, a), x)
        return found


class ThresholdRule(Body):
    """Ranges for the perfdata of a metric, everywhere or at one host or group."""

    metric: Name
    host: Text = ""
    endpoint_group: Text = ""
    thresholds: Annotated[str, Field(min_length=1, max_length=2000)]

    @field_validator("thresholds")
    @classmethod
    def _readable(cls, rule: str) -> str:
        read_rule(rule)
        return rule


class ThresholdsProfile(Body):
    """Rules of which the most specific counts."""

    name: Name
    rules: list[ThresholdRule] = Field(max_length=MOST)


class Weight(Body):
    """How much a site counts in its NGI."""

    name: Name
    value: Annotated[float, Field(ge=0, le=10**12, allow_inf_nan=False)]


class Weights(Body):
    """Weights of sites."""

    name: Name
    weight_type: Text = "hepspec"
    group_type: Text = "SITES"
    groups: list[Weight] = Field(max_length=20_000)


class FilterTag(Body):
    """Which endpoints and sites a report is about: `*` stands for anything, a leading `~` for all others."""

    name: Name
    value: Text
    context: Text = ""


class Info(Body):
    """A report's name; the times are ours."""

    name: Name
    description: Text = ""
    created: Text = ""
    updated: Text = ""


class Limits(Body):
    """What the federation promises, in percent."""

    availability: Annotated[float, Field(ge=0, le=100)] = 80
    reliability: Annotated[float, Field(ge=0, le=100)] = 85
    uptime: Annotated[float, Field(ge=0, le=100)] = 80
    unknown: Annotated[float, Field(ge=0, le=100)] = 10
    downtime: Annotated[float, Field(ge=0, le=100)] = 10


class Computations(Body):
    """What is computed."""

    ar: bool = True
    status: bool = True
    trends: list[Text] = Field(["flapping", "status", "tags"], max_length=10)


class SchemaLevel(Body):
    """A level of the topology."""

    type: Text
    group: "SchemaLevel | None" = None


class Schema(Body):
    """The levels of the topology: NGI above SITES."""

    group: SchemaLevel = SchemaLevel(type="NGI", group=SchemaLevel(type="SITES"))


class Report(Body):
    """Which sites are judged by which profiles, and what is promised."""

    tenant: Text = ""
    disabled: bool = False
    info: Info
    computations: Computations = Computations()
    topology_schema: Schema = Schema()
    thresholds: Limits = Limits()
    profiles: list[ProfileName] = Field(max_length=20)
    filter_tags: list[FilterTag] = Field([], max_length=100)

    @property
    def name(self) -> str:
        """The report's name."""
        return self.info.name


BODIES: dict[str, type[Body]] = {
    "metric": MetricProfile,
    "aggregation": AggregationProfile,
    "operations": OperationsProfile,
    "thresholds": ThresholdsProfile,
    "weights": Weights,
    "report": Report,
}


def egi_ops() -> OperationsProfile:
    """ARGO's default truth tables."""
    tables = [
        TruthTable(name=name, truth_table=[Row(a=a.name, b=b.name, x=x.name) for (a, b), x in table.items()])
        for name, table in (("AND", AND), ("OR", OR))
    ]
    return OperationsProfile(name="egi_ops", available_states=list(STATES), operations=tables)
