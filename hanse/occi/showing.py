"""OCCI for people and for scripts: what `hanse occi` prints, plain or as JSON."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from hanse.occi.model import Category, Document


def new_id() -> str:
    """A fresh occi.core.id: rOCCI-server 2 takes nothing without one."""
    return str(uuid.uuid4())


def places(addresses: Sequence[str], style: str) -> str:
    """Addresses, one a line."""
    return json.dumps(list(addresses), indent=2) if style == "json" else "\n".join(addresses)


def categories(found: Iterable[Category], style: str) -> str:
    """Mixins with their titles, by identifier."""
    listed = list(found)
    if style == "json":
        return json.dumps([_category(one) for one in listed], indent=2)
    width = max((len(one.identifier) for one in listed), default=0)
    return "\n".join(f"{one.identifier.ljust(width)}  {one.title}".rstrip() for one in listed)


def model(document: Document, style: str) -> str:
    """Everything that a cloud offers."""
    if style == "json":
        parts = {"kinds": document.kinds, "mixins": document.mixins, "actions": document.actions}
        return json.dumps(
            {name: [_category(one) for one in found] for name, found in parts.items()}, indent=2
        )
    return "\n".join(
        f"{title}\n{categories(found, style)}\n"
        for title, found in (
            ("KINDS", document.kinds),
            ("MIXINS", document.mixins),
            ("ACTIONS", document.actions),
        )
    ).rstrip()


def entities(found: Sequence[tuple[str, Document]], style: str) -> str:
    """Entities with their attributes, mixins and links."""
    if style == "json":
        return json.dumps([_entity(place, one) for place, one in found], indent=2)
    return "\n\n".join(_block(place, one) for place, one in found)


def _block(place: str, one: Document) -> str:
    lines = [place]
    lines += [f"  {name} = {value}" for name, value in one.attributes.items()]
    lines += [f"  mixin {mixin.identifier}" for mixin in one.mixins]
    for link in one.links:
        told = ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in link.attributes.items())
        lines.append(f"  linked to {link.target}" + (f" by {link.location}" if link.location else "") +
                     (f": {told}" if told else ""))  # fmt: skip
    lines += [f"  takes {action.action.rpartition('#')[2]}" for action in one.action_links]
    return "\n".join(lines)


def _entity(place: str, one: Document) -> dict[str, Any]:
    return {
        "location": place,
        "kind": one.kind.identifier if one.kind is not None else None,
        "mixins": [mixin.identifier for mixin in one.mixins],
        "attributes": dict(one.attributes),
        "links": [
            {
                "target": link.target,
                "location": link.location,
                "categories": link.categories,
                "attributes": dict(link.attributes),
            }
            for link in one.links
        ],
        "actions": [action.action for action in one.action_links],
    }


def _category(one: Category) -> dict[str, Any]:
    return {
        "identifier": one.identifier,
        "title": one.title,
        "parents": one.parents,
        "location": one.location,
        "attributes": [attribute.name for attribute in one.attributes],
    }
