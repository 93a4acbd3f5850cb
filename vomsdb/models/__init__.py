"""The tables of the membership service."""

from hanse.database import GroundBase
from hanse.revisions import RevisionBase
from vomsdb.models.base import Base
from vomsdb.models.mail import Mail
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
    Role,
    Vo,
    VoManager,
)
from vomsdb.models.replication import (
    Acknowledgement,
    Agent,
    Attempt,
    JoinCode,
    Replica,
    Snapshot,
    VoChange,
)

metadatas = (Base.metadata, GroundBase.metadata, RevisionBase.metadata)

__all__ = [
    "Acknowledgement",
    "Agent",
    "Application",
    "Attempt",
    "Aup",
    "Base",
    "Certificate",
    "Group",
    "JoinCode",
    "Mail",
    "Member",
    "MemberCertificate",
    "MemberGroup",
    "MemberRole",
    "Person",
    "Replica",
    "Role",
    "Snapshot",
    "Vo",
    "VoChange",
    "VoManager",
    "metadatas",
]
