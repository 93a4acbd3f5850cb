"""The registry's tables: what must always be true of a site, a service, a downtime, a person; the database says it too.

Text that people choose is checked in `registry.schemas`; the constraints here hold whatever wrote the row.
"""

from hanse.database import GroundBase
from hanse.revisions import RevisionBase
from registry.models.base import (
    CERTIFICATIONS,
    INFRASTRUCTURES,
    Base,
    downtime_id,
    owned_entity_id,
    service_id,
)
from registry.models.downtimes import (
    Downtime,
    DowntimeDraft,
    DowntimeEndpoint,
    DowntimePart,
    DowntimeService,
)
from registry.models.federation import (
    CertificationChange,
    Project,
    Scope,
    ServiceGroup,
    project_ngi,
    service_group_service,
)
from registry.models.heard import HeardAnswer
from registry.models.imports import ImportedRecord
from registry.models.information import CloudDocument, CloudRefusal, DriftDecision
from registry.models.listening import Subscription, Webhook, WebhookDelivery
from registry.models.mails import Mail
from registry.models.people import (
    ApiCredential,
    Credential,
    HostCertificate,
    LinkCode,
    Person,
    PersonalRead,
    Role,
    RoleAction,
)
from registry.models.policy import (
    CertificationEvidence,
    CertificationEvidenceStep,
    CertificationPolicy,
    CertificationProposal,
    ContactConfirmation,
)
from registry.models.sites import (
    Contact,
    Endpoint,
    ExtensionProperty,
    Ngi,
    Service,
    ServiceType,
    Site,
    VoShare,
)
from registry.models.trail import TrailEntity

metadatas = (Base.metadata, GroundBase.metadata, RevisionBase.metadata)
__all__ = [
    "CERTIFICATIONS",
    "INFRASTRUCTURES",
    "ApiCredential",
    "Base",
    "CertificationChange",
    "CertificationEvidence",
    "CertificationEvidenceStep",
    "CertificationPolicy",
    "CertificationProposal",
    "CloudDocument",
    "CloudRefusal",
    "Contact",
    "ContactConfirmation",
    "Credential",
    "Downtime",
    "DowntimeDraft",
    "DowntimeEndpoint",
    "DowntimePart",
    "DowntimeService",
    "DriftDecision",
    "Endpoint",
    "ExtensionProperty",
    "HeardAnswer",
    "HostCertificate",
    "ImportedRecord",
    "LinkCode",
    "Mail",
    "Ngi",
    "Person",
    "PersonalRead",
    "Project",
    "Role",
    "RoleAction",
    "Scope",
    "Service",
    "ServiceGroup",
    "ServiceType",
    "Site",
    "Subscription",
    "TrailEntity",
    "VoShare",
    "Webhook",
    "WebhookDelivery",
    "downtime_id",
    "metadatas",
    "owned_entity_id",
    "project_ngi",
    "service_group_service",
    "service_id",
]
