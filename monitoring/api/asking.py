"""What the API is asked: paths, queries, bodies."""

from typing import Literal

from pydantic import Field

from hanse.web import CursorQuery, PathModel, QueryModel, Wire
from monitoring.schemas import Kind, Number, ProbeName


class EndpointPath(PathModel):
    """An endpoint, by the registry's id."""

    endpoint: str = Field(max_length=100)


class AnswerPath(EndpointPath):
    """One of its checks."""

    probe: str = Field(max_length=60)


class IncidentPath(PathModel):
    """An incident, by its number."""

    number: Number


class StatusQuery(QueryModel):
    """Which sites, and what to tell of them."""

    site: str | None = Field(
        None, max_length=100, description="Only this one; none when it is not monitored."
    )
    endpoints: bool = Field(True, description="Give the endpoints of each site.")
    days: bool = Field(False, description="Give the last 90 days of each site.")


class EndpointsQuery(QueryModel):
    """Which endpoints."""

    site: str | None = Field(None, max_length=100)
    state: Kind | None = None


class ResultsQuery(CursorQuery):
    """Which results."""

    probe: ProbeName | None = None


class ProbeNow(Wire):
    """What to probe; no probe = all checks of the endpoint."""

    probe: ProbeName | None = None


class IncidentsQuery(CursorQuery):
    """Which incidents."""

    state: Literal["open", "over", "all"] = "open"
    site: str | None = Field(None, max_length=100)


class AcknowledgeIn(Wire):
    """Somebody has it in hand."""

    comment: str = Field("", max_length=2000, pattern=r"^[^\x00]*$")


class AssignIn(Wire):
    """Whose it is; empty = nobody's."""

    to: str = Field(max_length=200, pattern=r"^[^\x00]*$")


class SilenceIn(Wire):
    """For how long nobody is told; 0 ends a silence."""

    hours: float = Field(ge=0, le=720)


class CommentIn(Wire):
    """A line for the story."""

    text: str = Field(max_length=2000, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")
