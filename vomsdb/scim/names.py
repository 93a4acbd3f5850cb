"""The schemas of the resources, and the attributes that each has (RFC 7643)."""

from __future__ import annotations

from typing import Final

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
INDIGO_USER: Final = "urn:indigo-dc:scim:schemas:IndigoUser"
MEMBERSHIP: Final = "urn:hanse:scim:schemas:2.0:Membership"
MESSAGES: Final = "urn:ietf:params:scim:api:messages:2.0:"
LIST: Final = MESSAGES + "ListResponse"
PATCH: Final = MESSAGES + "PatchOp"
ERROR: Final = MESSAGES + "Error"
EXTENSIONS: Final = (INDIGO_USER, MEMBERSHIP)
CORE: Final = (USER, GROUP)


def plain(attribute: str) -> str:
    """The attribute in small letters, without the core schema in front: `urn:...:User:userName` is `username`."""
    name = attribute.lower()
    for schema in CORE:
        name = name.removeprefix(schema.lower() + ":")
    return name
