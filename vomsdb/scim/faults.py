"""What SCIM calls what went wrong (RFC 7644, table 9)."""

from __future__ import annotations

from hanse.errors import Refused


class ScimRefused(Refused):
    """A request that cannot be served; `kind` is the scimType."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def bad_filter(detail: str) -> ScimRefused:
    """The filter cannot be read, or names what cannot be compared."""
    return ScimRefused("invalidFilter", detail)


def bad_path(detail: str) -> ScimRefused:
    """The path of a PATCH operation is none, or names what is not there."""
    return ScimRefused("invalidPath", detail)


def bad_value(detail: str) -> ScimRefused:
    """A value is missing, or cannot be taken."""
    return ScimRefused("invalidValue", detail)


def bad_syntax(detail: str) -> ScimRefused:
    """The body is not what SCIM sends."""
    return ScimRefused("invalidSyntax", detail)


def unchangeable(detail: str) -> ScimRefused:
    """The attribute is not changed in this way."""
    return ScimRefused("mutability", detail)
