"""Groups and roles of a VO as VOMS writes them (FQANs), and the object identifiers around them."""

from __future__ import annotations

import re

FQANS = "1.3.6.1.4.1.8005.100.100.4"
IN_PROXY = "1.3.6.1.4.1.8005.100.100.5"
AUTHORITY_CHAIN = "1.3.6.1.4.1.8005.100.100.10"
GENERIC_ATTRIBUTES = "1.3.6.1.4.1.8005.100.100.11"
NO_REVOCATION = "2.5.29.56"
AUTHORITY_KEY = "2.5.29.35"
TARGETS = "2.5.29.55"

_FQAN = re.compile(r"(?:/[\w.-]+)+(?:/Role=[\w.-]+)?(?:/Capability=[\w.-]+)?", re.ASCII)


class VomsError(ValueError):
    """The attribute certificate must not be believed, or cannot be made; the text is a sentence that says why."""


def long_fqan(fqan: str) -> str:
    """`/vo/g/Role=NULL/Capability=NULL` for `/vo/g`; raises VomsError when the text is not an FQAN.

    >>> long_fqan("/vo.example.org/Role=analyst")
    '/vo.example.org/Role=analyst/Capability=NULL'
    """
    group, role = split_fqan(fqan)
    return f"{group}/Role={role or 'NULL'}/Capability=NULL"


def split_fqan(fqan: str) -> tuple[str, str | None]:
    """(group path, role or None) of an FQAN in its short or long form; any capability but NULL is refused."""
    if not _FQAN.fullmatch(fqan) or "/." in fqan:
        raise VomsError(f'"{fqan[:200]}" is not a group or role of the form /vo/group/Role=role')
    path, _, capability = fqan.partition("/Capability=")
    if capability not in ("", "NULL"):
        raise VomsError(f'Capabilities are no longer used; leave "/Capability={capability[:100]}" out')
    group, _, role = path.partition("/Role=")
    return group, role if role not in ("", "NULL") else None


def inside(vo: str, fqan: str) -> str:
    """The FQAN in its long form, when it lies in the VO; raises VomsError otherwise."""
    if split_fqan(fqan)[0].split("/")[1] != vo:
        raise VomsError(f'"{fqan}" is not a group of {vo}')
    return long_fqan(fqan)
