"""application/occi+json: OCCI 1.2 (GFD.226) read and written, and the older draft that pyssf speaks, read.

Shapes written, by what the document carries: `locations` or `members` a collection, one kind an entity,
one action without a kind an action request, else a query answer.
"""

import json
from collections.abc import Iterable, Mapping
from typing import cast

from hanse.occi.model import ActionLink, AttributeDefinition, Category, Document, Link, Value
from hanse.occi.text import RenderingError, excerpt

Json = dict[str, object]

_QUERY_KEYS = {"kind": "kinds", "mixin": "mixins", "action": "actions"}


def read(text: str) -> Document:
    """The document in a JSON text; raises RenderingError where it is not JSON or not OCCI."""
    try:
        said: object = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise RenderingError(f"the body is not JSON: {excerpt(text)!r}") from fault
    if isinstance(said, list):
        return _read_list(said)
    return _read_object(_object(said, "the body"))


def write(document: Document) -> str:
    """The document as OCCI 1.2 JSON."""
    kinds, actions = document.kinds, document.actions
    if document.locations or document.members:
        return json.dumps(_collection(document), ensure_ascii=False)
    if len(kinds) == 1 and not actions:
        return json.dumps(_entity(document), ensure_ascii=False)
    if not kinds and len(actions) == 1 and not document.mixins:
        said = {"action": actions[0].identifier, "attributes": dict(document.attributes)}
        return json.dumps(said, ensure_ascii=False)
    groups = {
        key: [_category(c) for c in document.categories if c.kind_of == kind]
        for kind, key in _QUERY_KEYS.items()
    }
    return json.dumps(groups, ensure_ascii=False)


def _read_object(said: Json) -> Document:
    if not said:  # ooi's empty collection
        return Document()
    if "kind" in said:
        return _read_entity(said)
    if "action" in said:
        action = Category.of(_identifier(said["action"]), "action")
        return Document((action,), _values(said.get("attributes", {})))
    if {"resources", "links"} & said.keys() and not set(_QUERY_KEYS.values()) & said.keys():
        return _read_list([*_list(said.get("resources", [])), *_list(said.get("links", []))])
    if not set(_QUERY_KEYS.values()) & said.keys():
        wanted = "kind, kinds, mixins, actions, resources"
        raise RenderingError(f"the JSON holds none of {wanted}: {excerpt(str(said))!r}")
    return Document(
        tuple(
            _read_category(_object(entry, key), kind)
            for kind, key in _QUERY_KEYS.items()
            for entry in _list(said.get(key, []))
        )
    )


def _read_list(said: list[object]) -> Document:
    """A bare list: addresses, entities, or pyssf's query answer, whose entries say no class."""
    if all(isinstance(entry, str) for entry in said):
        return Document(locations=tuple(map(str, said)))
    entries = [_object(entry, "an entry of the list") for entry in said]
    if all("kind" in entry for entry in entries):
        return Document(members=tuple(_read_entity(entry) for entry in entries))
    return Document(tuple(_read_category(entry, _draft_class(entry)) for entry in entries))


def _draft_class(entry: Json) -> str:
    """pyssf's draft leaves the class out: kinds have relations or actions, actions have no location."""
    if "location" not in entry:
        return "action"
    return "kind" if entry.get("related") or entry.get("actions") else "mixin"


def _read_entity(said: Json) -> Document:
    kind = said["kind"]
    attributes = _values(said.get("attributes", {}))
    for name in ("id", "title", "summary"):
        if isinstance(said.get(name), str):
            attributes.setdefault(f"occi.core.{name}", str(said[name]))
    mixins = [_named(entry, "mixin") for entry in _list(said.get("mixins", []))]
    return Document(
        (_named(kind, "kind"), *mixins),
        attributes,
        tuple(_read_link(entry) for entry in _list(said.get("links", [])) if isinstance(entry, dict)),
        tuple(_read_action_link(entry) for entry in _list(said.get("actions", []))),
    )


def _named(said: object, kind_of: str) -> Category:
    """A category given in full (the draft) or by its identifier (1.2)."""
    return (
        _read_category(said, kind_of) if isinstance(said, dict) else Category.of(_identifier(said), kind_of)
    )


def _read_action_link(said: object) -> ActionLink:
    if isinstance(said, dict):  # the draft: {"kind": {...}, "link": "/compute/ID?action=start"}
        return ActionLink(str(said.get("link", "")), _read_category(said.get("kind"), "action").identifier)
    identifier = _identifier(said)
    return ActionLink("?action=" + identifier.rpartition("#")[2], identifier)


def _read_link(said: Json) -> Link:
    target = said.get("target", "")
    rel: object = ""
    if isinstance(target, dict):
        target, rel = target.get("location", ""), target.get("kind", "")
    kind = said.get("kind", "")
    identifier = _read_category(kind, "kind").identifier if isinstance(kind, dict) else str(kind)
    mixins = [str(m) for m in _list(said.get("mixins", [])) if isinstance(m, str)]
    return Link(
        str(target),
        tuple(str(rel).split()),
        str(said.get("location", said.get("id", ""))),
        tuple(c for c in (identifier, *mixins) if c),
        _values(said.get("attributes", {})),
    )


def _read_category(said: object, kind_of: str) -> Category:
    entry = _object(said, f"a {kind_of}")
    term, scheme = entry.get("term"), entry.get("scheme")
    if not isinstance(term, str) or not isinstance(scheme, str) or not term or not scheme:
        raise RenderingError(f"a {kind_of} has no term or no scheme: {excerpt(str(entry))!r}")
    parent = entry.get("parent")
    parents = [parent] if parent else [*_list(entry.get("depends", [])), *_list(entry.get("applies", []))]
    return Category(
        term,
        scheme,
        kind_of,
        str(entry.get("title", "")),
        tuple(str(p) for p in parents or _list(entry.get("related", []))),
        str(entry.get("location", "")),
        tuple(_definition(*pair) for pair in _object(entry.get("attributes", {}), "attributes").items()),
        tuple(str(a) for a in _list(entry.get("actions", []))),
    )


def _definition(name: str, how: object) -> AttributeDefinition:
    if isinstance(how, Mapping):
        return AttributeDefinition(
            name,
            how.get("mutable") is not False,
            how.get("required") is True,
            str(how.get("type", "")),
            str(how.get("description", "")),
        )
    return AttributeDefinition(name, how != "immutable", how == "required")


def _values(said: object) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for name, value in _object(said, "attributes").items():
        if not isinstance(value, str | int | float | bool):
            raise RenderingError(f"attribute {excerpt(name)} is neither text, number nor true/false.")
        values[name] = value
    return values


def _identifier(said: object) -> str:
    if not isinstance(said, str) or "#" not in said.strip("#"):
        raise RenderingError(f"{excerpt(str(said))!r} is not scheme#term.")
    return said


def _object(said: object, what: str) -> Json:
    if not isinstance(said, dict):
        raise RenderingError(f"{what} is not a JSON object: {excerpt(str(said))!r}")
    return cast(Json, said)


def _list(said: object) -> list[object]:
    if not isinstance(said, list):
        raise RenderingError(f"a JSON list is expected, not {excerpt(str(said))!r}")
    return said


def _collection(document: Document) -> object:
    if document.locations:
        return list(document.locations)
    resources = [_entity(m) for m in document.members if not _is_link(m)]
    links = [_entity(m) for m in document.members if _is_link(m)]
    return {"resources": resources, "links": links}


def _is_link(member: Document) -> bool:
    return "occi.core.source" in member.attributes and "occi.core.target" in member.attributes


def _entity(document: Document) -> Json:
    kind = document.kind
    if kind is None:
        raise RenderingError("an entity without a kind cannot be written as JSON.")
    said: Json = {"kind": kind.identifier}
    for name in ("id", "title"):
        if f"occi.core.{name}" in document.attributes:
            said[name] = str(document.attributes[f"occi.core.{name}"])
    said["mixins"] = [mixin.identifier for mixin in document.mixins]
    said["attributes"] = dict(document.attributes)
    if document.action_links:
        said["actions"] = [link.action for link in document.action_links]
    if document.links:
        said["links"] = [_link(link) for link in document.links]
    return said


def _link(link: Link) -> Json:
    target = {"location": link.target, "kind": " ".join(link.rel)}
    said: Json = {"target": target, "attributes": dict(link.attributes)}
    if link.categories:
        said["kind"], said["mixins"] = link.categories[0], list(link.categories[1:])
    if link.location:
        said["location"] = link.location
    return said


def _category(category: Category) -> Json:
    said: Json = {"term": category.term, "scheme": category.scheme}
    if category.title:
        said["title"] = category.title
    if category.parents:
        said |= _parents(category)
    if category.location:
        said["location"] = category.location
    said["attributes"] = {d.name: _written_definition(d) for d in category.attributes}
    if category.actions:
        said["actions"] = list(category.actions)
    return said


def _parents(category: Category) -> Json:
    if category.kind_of == "kind" and len(category.parents) == 1:
        return {"parent": category.parents[0]}
    return {"depends": list(category.parents[:1]), "applies": list(category.parents[1:])}


def _written_definition(definition: AttributeDefinition) -> Json:
    said: Json = {"mutable": definition.mutable, "required": definition.required}
    if definition.type:
        said["type"] = definition.type
    if definition.description:
        said["description"] = definition.description
    return said


def entities(documents: Iterable[Document]) -> str:
    """Several entities as one OCCI 1.2 collection, links apart."""
    return write(Document(members=tuple(documents)))
