"""The tables of the membership service."""

from hanse.database import GroundBase
from hanse.revisions import RevisionBase
from vomsdb.models.base import Base
from vomsdb.models.mail import Mail, VoLetter
from vomsdb.models.membership import (
    Application,
    Aup,
    Certificate,
    Group,
    Member,
    MemberCertificate,
    MemberGroup,
    MemberRole,
    Person,
    ProviderSubject,
    Role,
    Vo,
    VoManager,
)
from vomsdb.models.people import AttributeClass, AttributeValue, GroupManager, MemberRequest
from vomsdb.models.replication import (
    Acknowledgement,
    Agent,
    Attempt,
    Delta,
    Digest,
    JoinCode,
    KeyNotice,
    Replica,
    Snapshot,
    VoChange,
)
from vomsdb.models.sites import ImportedRecord, SiteRule

metadatas = (Base.metadata, GroundBase.metadata, RevisionBase.metadata)

__all__ = [
    "Acknowledgement",
    "Agent",
    "Application",
    "Attempt",
    "AttributeClass",
    "AttributeValue",
    "Aup",
    "Base",
    "Certificate",
    "Delta",
    "Digest",
    "Group",
    "GroupManager",
    "ImportedRecord",
    "JoinCode",
    "KeyNotice",
    "Mail",
    "Member",
    "MemberCertificate",
    "MemberGroup",
    "MemberRequest",
    "MemberRole",
    "Person",
    "ProviderSubject",
    "Replica",
    "Role",
    "SiteRule",
    "Snapshot",
    "Vo",
    "VoChange",
    "VoLetter",
    "VoManager",
    "metadatas",
]
