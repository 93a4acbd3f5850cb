"""Cloud-info documents on the wire: what each class of GLUE 2.1 must hold. Fields that are not named here are kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from registry.schemas.fields import AsOf, Line, Query, UtcTime, Wire, one_line


def _identifier(text: str) -> str:
    """An id stands in names and addresses: one line, without spaces at its edges."""
    if one_line(text) != text:
        raise ValueError("has spaces at its edges")
    return text


Number = Annotated[int, Field(ge=0, le=2**53)]
Cpus = Annotated[int, Field(ge=0, le=2**32 - 1)]  # as wide as GLUE has it
ObjectId = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_identifier)]
Text = Annotated[str, Field(max_length=10_000)]
Links = dict[Annotated[str, Field(max_length=100)], Annotated[list[ObjectId], Field(max_length=10_000)]]
Quality = Literal["development", "pre-production", "production", "testing"]
Serving = Literal["closed", "draining", "production", "queueing"]
Health = Literal["critical", "ok", "other", "unknown", "warning", "downtime"]
YesNo = bool | Literal["UNKNOWN"]


class GlueObject(BaseModel):
    """What every object has."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    ID: ObjectId
    Name: Text | None = None
    CreationTime: Text | None = None
    Validity: Annotated[int, Field(ge=1, le=10**9)] | None = None
    OtherInfo: dict[str, Any] = Field(default={})
    Associations: Links = Field(default={})


class CloudComputingService(GlueObject):
    """A cloud. `CreationTime` and `Validity` (seconds) say until when the document holds."""

    CreationTime: Text
    Validity: Annotated[int, Field(ge=1, le=30 * 86_400)]
    QualityLevel: Quality = "production"
    TotalVM: Number | None = None
    RunningVM: Number | None = None


class CloudComputingManager(GlueObject):
    """What runs the machines, and how much of it there is; memory in MB."""

    ProductName: Text | None = None
    ProductVersion: Text | None = None
    TotalCPUs: Cpus | None = None
    TotalRAM: Number | None = None


class CloudComputingEndpoint(GlueObject):
    """An API of the cloud."""

    URL: Annotated[str, Field(min_length=1, max_length=2000)]
    InterfaceName: Annotated[str, Field(min_length=1, max_length=255)]
    InterfaceVersion: Text | None = None
    QualityLevel: Quality = "production"
    ServingState: Serving = "production"
    HealthState: Health = "unknown"


class Share(GlueObject):
    """What one project may use."""

    ProjectID: Text | None = None
    MaxVM: Number | None = None
    TotalVM: Number | None = None
    RunningVM: Number | None = None


class CloudComputingImage(GlueObject):
    """An image that machines start from."""

    MarketplaceURL: Text | None = None
    OSName: Text | None = None
    OSVersion: Text | None = None
    Description: Text | None = None


class CloudComputingInstanceType(GlueObject):
    """A size of machine: memory in MB, disk in GB."""

    CPU: Cpus
    RAM: Number
    Disk: Number | None = None
    NetworkIn: YesNo | None = None
    NetworkOut: YesNo | None = None


class CloudComputingVirtualAccelerator(GlueObject):
    """A GPU or its kin that a size of machine comes with; memory in MB."""

    Type: Text | None = None
    Number: Annotated[int, Field(ge=0, le=10_000)] = 1
    Vendor: Text | None = None
    Model: Text | None = None
    Memory: Annotated[int, Field(ge=0, le=2**53)] | None = None


class MappingPolicy(GlueObject):
    """Which VO a share is for."""

    Rule: list[Text] = Field(default=[])


class AccessPolicy(MappingPolicy):
    """Which VOs an endpoint is for."""


MODELS: dict[str, type[GlueObject]] = {
    model.__name__: model
    for model in (
        CloudComputingService,
        CloudComputingManager,
        CloudComputingEndpoint,
        Share,
        CloudComputingImage,
        CloudComputingInstanceType,
        CloudComputingVirtualAccelerator,
        MappingPolicy,
        AccessPolicy,
    )
}
# what cloud-info-api drops a document for, when it is missing
REQUIRED = (
    "CloudComputingService",
    "CloudComputingEndpoint",
    "Share",
    "MappingPolicy",
    "CloudComputingImage",
    "CloudComputingInstanceType",
)


class PublishQuery(Query):
    """`gocdb_id` names the service, for providers that cannot say it in the document."""

    gocdb_id: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")] | None = None


class PublishedOut(Wire):
    """What became of a document. `state`: current, or older than the one that stands."""

    id: str
    site: str
    service: str
    sha256: str
    state: Literal["current", "older"]
    format: str
    created_at: UtcTime
    valid_until: UtcTime
    gocdb_id: str | None
    notes: list[str]


class DocumentOut(Wire):
    """A document of a site, without its text."""

    id: str
    service: str
    sha256: str
    format: str
    source: str
    sender_name: str
    received_at: UtcTime
    heard_at: UtcTime
    created_at: UtcTime
    valid_until: UtcTime
    current: bool
    valid: bool


class RefusalOut(Wire):
    """A document that was not taken. `times` counts how often it came."""

    id: str
    sha256: str
    source: str
    sender_name: str
    received_at: UtcTime
    heard_at: UtcTime
    times: int
    reason: str
    faults: list[dict[str, str]]


class DocumentsOut(Wire):
    """What a site has published, the newest first, and what was refused since."""

    items: list[DocumentOut]
    refused: list[RefusalOut]


class IgnoreIn(Wire):
    """Why a difference is in order, and until when (None = until it changes)."""

    fact: Annotated[str, Field(min_length=1, max_length=2500)]
    reason: Annotated[Line, Field(max_length=300)]
    until: UtcTime | None = None


class AcceptIn(Wire):
    """The difference whose observed side is right."""

    fact: Annotated[str, Field(min_length=1, max_length=2500)]
    reason: Annotated[str, Field(max_length=300)] = ""


class FactQuery(Query):
    """Which difference."""

    fact: Annotated[str, Field(min_length=1, max_length=2500)]


class DriftOut(Wire):
    """A difference between what the registry declares and what the site publishes."""

    site: str
    fact: str
    kind: str
    sentence: str
    declared: Any
    observed: Any
    can_accept: bool
    accepting: str
    ignored: bool
    ignored_by: str | None
    ignored_reason: str | None
    ignored_until: UtcTime | None
    observed_at: UtcTime


class DriftList(Wire):
    """Differences, those that are open first."""

    items: list[DriftOut]
    open: int


class SiteDriftOut(Wire):
    """How many differences of a site are open."""

    site: str
    open: int
    ignored: int
    published: bool
    valid_until: UtcTime | None


class SiteDriftList(Wire):
    """Sites that publish, those that differ most first."""

    items: list[SiteDriftOut]


class CloudQuery(Query):
    """What the machine must have. `image` looks for words in name, system and reference; memory in MB."""

    vo: Annotated[str, Field(max_length=255)] | None = None
    cores: Annotated[int, Field(ge=1, le=100_000)] | None = None
    memory_mb: Annotated[int, Field(ge=1, le=10**9)] | None = None
    gpu: bool = False
    image: Annotated[str, Field(max_length=100)] | None = None
    middleware: Annotated[str, Field(max_length=100)] | None = None
    free: (
        Annotated[int, Field(ge=1, le=10**9, description="Virtual processors that must be free.")] | None
    ) = None
    stale: Annotated[bool, Field(description="Also what was published too long ago.")] = False
    as_of: AsOf | None = None
    cursor: Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,9}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class SizeOut(Wire):
    """A resource template that fits: memory in MB, disk in GB."""

    id: str
    name: str
    vcpu: int
    ram_mb: int
    disk_gb: int | None
    gpu: str | None


class ImageOut(Wire):
    """An image that fits."""

    id: str
    name: str
    os: str
    version: str
    reference: str


class CommandOut(Wire):
    """A command to paste, for a client."""

    client: str
    text: str


class CloudOut(Wire):
    """A place where a VO can run: the numbers are the VO's own. `free_vcpu` None = not told."""

    site: str
    country: str
    middleware: str
    endpoint: str
    interface: str
    vo: str
    project_id: str | None
    declared_vcpu: int | None
    quota_vcpu: int | None
    used_vcpu: int | None
    free_vcpu: int | None
    free_machines: int | None
    free_source: str
    sizes: list[SizeOut]
    images: list[ImageOut]
    commands: list[CommandOut]
    published_at: UtcTime | None
    valid_until: UtcTime | None
    stale: bool


class CloudPage(Wire):
    """Places, the one with the most room first; `next` is the cursor of the page after."""

    items: list[CloudOut]
    next: str | None
    total: int
