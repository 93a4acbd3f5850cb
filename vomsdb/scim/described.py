"""What the service says of itself: ServiceProviderConfig, ResourceTypes, Schemas (RFC 7643, sections 5 to 7)."""

from __future__ import annotations

from typing import Any

from vomsdb.scim.names import GROUP, INDIGO_USER, MEMBERSHIP, USER

Described = dict[str, Any]
#: So many resources come on a page at most.
MOST = 500
#: So many when nobody says.
USUAL = 100


def service_provider(base: str) -> Described:
    """What is understood here."""
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MOST},
        "changePassword": {"supported": False},
        "sort": {"supported": False},
        "etag": {"supported": True},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A token made on the account page, or an access token of a provider that is taken here.",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }


def resource_types(base: str) -> list[Described]:
    """Users and groups."""
    return [
        _resource_type("User", "/Users", "A membership of a VO", USER, (INDIGO_USER, MEMBERSHIP), base),
        _resource_type("Group", "/Groups", "A group of a VO", GROUP, (MEMBERSHIP,), base),
    ]


def _resource_type(
    name: str, endpoint: str, description: str, schema: str, extensions: tuple[str, ...], base: str
) -> Described:
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": name,
        "name": name,
        "endpoint": endpoint,
        "description": description,
        "schema": schema,
        "schemaExtensions": [{"schema": each, "required": False} for each in extensions],
        "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/{name}"},
    }


def schemas(base: str) -> list[Described]:
    """The attributes of each schema."""
    return [
        _schema(USER, "User", _USER, base),
        _schema(GROUP, "Group", _GROUP, base),
        _schema(INDIGO_USER, "IndigoUser", _INDIGO, base),
        _schema(MEMBERSHIP, "Membership", _MEMBERSHIP, base),
    ]


def _schema(number: str, name: str, attributes: list[Described], base: str) -> Described:
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": number,
        "name": name,
        "attributes": attributes,
        "meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{number}"},
    }


def _attribute(
    name: str,
    description: str,
    *,
    kind: str = "string",
    many: bool = False,
    fixed: bool = False,
    required: bool = False,
    exact: bool = False,
    unique: bool = False,
    returned: str = "default",
    inner: list[Described] | None = None,
) -> Described:
    found: Described = {
        "name": name,
        "type": "complex" if inner else kind,
        "multiValued": many,
        "description": description,
        "required": required,
        "caseExact": exact,
        "mutability": "readOnly" if fixed else "readWrite",
        "returned": returned,
        "uniqueness": "server" if unique else "none",
    }
    return {**found, "subAttributes": inner} if inner else found


_NAME = [
    _attribute("formatted", "The whole name."),
    _attribute("givenName", "All but the last word of it."),
    _attribute("familyName", "The last word of it."),
]
_REFERENCE = [
    _attribute("value", "The id."),
    _attribute("display", "The name.", fixed=True),
    _attribute("$ref", "The address.", kind="reference", fixed=True),
    _attribute("type", "The kind.", fixed=True),
]
_USER = [
    _attribute("userName", "As it was provisioned, or number@VO.", required=True, unique=True),
    _attribute("name", "The name.", inner=_NAME),
    _attribute("displayName", "The whole name."),
    _attribute("active", "False suspends, true restores.", kind="boolean"),
    _attribute(
        "emails",
        "The one address of the member.",
        many=True,
        inner=[
            _attribute("value", "The address."),
            _attribute("type", "work"),
            _attribute("primary", "true", kind="boolean"),
        ],
    ),
    _attribute("groups", "Change members of the group instead.", many=True, fixed=True, inner=_REFERENCE),
    _attribute(
        "roles",
        "Roles in groups, /vo/group/Role=role.",
        many=True,
        inner=[_attribute("value", "The role.", exact=True)],
    ),
]
_GROUP = [
    _attribute("displayName", "The path, /vo/group; for good.", required=True, exact=True, unique=True),
    _attribute("members", "Told when asked for.", many=True, returned="request", inner=_REFERENCE),
]
_INDIGO = [
    _attribute(
        "certificates",
        "Certificates of the member.",
        many=True,
        inner=[
            _attribute("display", "The subject in slash form.", fixed=True),
            _attribute("primary", "The first one.", kind="boolean", fixed=True),
            _attribute("subjectDn", "The subject as in RFC 2253.", exact=True),
            _attribute("issuerDn", "The issuer as in RFC 2253.", exact=True),
            _attribute("pemEncodedCertificate", "Instead of the names.", returned="never"),
            _attribute("active", "False while it is suspended.", kind="boolean", fixed=True),
        ],
    ),
    _attribute(
        "oidcIds",
        "Sign-ins of the person at identity providers.",
        many=True,
        inner=[
            _attribute("issuer", "The issuer.", exact=True),
            _attribute("subject", "The subject.", exact=True),
        ],
    ),
    _attribute("aupSignatureTime", "When the AUP was signed.", kind="dateTime", fixed=True),
    _attribute("endTime", "When the membership ends.", kind="dateTime"),
    _attribute(
        "attributes",
        "Generic attributes of the member.",
        many=True,
        fixed=True,
        inner=[_attribute("name", "The name."), _attribute("value", "The value.")],
    ),
]
_MEMBERSHIP = [
    _attribute("vo", "The VO; needed to create where you manage several.", exact=True),
    _attribute("kind", "person, robot or service.", fixed=True),
    _attribute("state", "active, suspended or expired.", fixed=True),
    _attribute(
        "aupVersion", "The version of the AUP that was signed; 0 = none yet.", kind="integer", fixed=True
    ),
    _attribute("suspensionCode", "Why the member is suspended.", fixed=True),
    _attribute("suspensionReason", "The reason in words; sent along with active."),
    _attribute("owner", "The id of the member who answers for a robot or a service.", fixed=True),
    _attribute("description", "Of a group: what it is for."),
]
