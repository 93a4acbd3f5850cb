"""The text of OCCI items: one Category, X-OCCI-Attribute, Link or X-OCCI-Location at a time (GFD.223).

Items are (name, value) pairs with lower-case names; text/plain writes them as lines and text/occi as headers
(`hanse.occi.renderings`). Nothing here knows HTTP.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from hanse.occi.model import ActionLink, AttributeDefinition, Category, Document, Link, Value

Item = tuple[str, str]

CATEGORY, ATTRIBUTE, LINK, LOCATION = "Category", "X-OCCI-Attribute", "Link", "X-OCCI-Location"
# rOCCI-server 2 says X-OCCI-Category and X-OCCI-Link.
ITEM_NAMES = {
    "category": CATEGORY,
    "x-occi-category": CATEGORY,
    "x-occi-attribute": ATTRIBUTE,
    "link": LINK,
    "x-occi-link": LINK,
    "x-occi-location": LOCATION,
}
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SEPARATORS = {mark: re.compile(r'"(?:[^"\\]|\\.)*"|<[^<>]*>|' + mark, re.DOTALL) for mark in (",", ";")}
_INTEGER = re.compile(r"[+-]?\d{1,300}")
_FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?")
_DEFINITION = re.compile(r"([^\s{}]+)(?:\{([^{}]*)\})?")
_NAME = re.compile(r"[^\s;,=\"<>{}]+")
_LOCATION_BREAK = re.compile(r",\s*(?=https?://|/)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class RenderingError(ValueError):
    """What came is not OCCI; the text is a sentence with the item's place and a short, printable excerpt."""


def excerpt(text: str, limit: int = 80) -> str:
    """At most `limit` characters of foreign text on one line, without control characters."""
    flat = _CONTROL.sub(" ", text)
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def split_outside_quotes(text: str, mark: str) -> list[str]:
    """Pieces of `text` between the marks ("," or ";") that stand outside "quotes" and <angles>, stripped."""
    pieces, start = [], 0
    for match in _SEPARATORS[mark].finditer(text):
        if match.group() == mark:
            pieces.append(text[start : match.start()].strip())
            start = match.end()
    pieces.append(text[start:].strip())
    return [piece for piece in pieces if piece]


def read_items(items: Iterable[Item]) -> Document:
    """The document that these items make; raises RenderingError for the first that does not read."""
    categories: list[Category] = []
    attributes: dict[str, Value] = {}
    links: list[Link] = []
    action_links: list[ActionLink] = []
    locations: list[str] = []
    for name, value in items:
        if name == CATEGORY:
            categories.extend(_read_category(piece) for piece in split_outside_quotes(value, ","))
        elif name == ATTRIBUTE:
            attributes.update(_read_attribute(piece) for piece in split_outside_quotes(value, ","))
        elif name == LOCATION:
            locations.extend(piece.strip() for piece in _LOCATION_BREAK.split(value) if piece.strip())
        else:
            for piece in split_outside_quotes(value, ","):
                link = _read_link(piece)
                (links if isinstance(link, Link) else action_links).append(link)  # type: ignore[arg-type]
    return Document(tuple(categories), attributes, tuple(links), tuple(action_links), tuple(locations))


def write_items(document: Document) -> Iterator[Item]:
    """The document as items in the usual order: categories, attributes, links, locations.

    Raises RenderingError for what cannot be said on one line (a control character in a value)."""
    for category in document.categories:
        yield CATEGORY, _write_category(category)
    for name, value in document.attributes.items():
        yield ATTRIBUTE, f"{_name(name)}={write_value(value)}"
    for action in document.action_links:
        yield LINK, f"<{_target(action.target)}>; rel={_quote(action.action)}"
    for link in document.links:
        yield LINK, _write_link(link)
    for location in document.locations:
        yield LOCATION, _target(location)


def read_value(text: str) -> Value:
    """A value off the wire: quoted is text, bare is a number or true/false where it reads as one."""
    if text.startswith('"'):
        match = _QUOTED.fullmatch(text)
        if match is None:
            raise RenderingError(f"a quotation mark is not closed in {excerpt(text)}")
        return re.sub(r'\\(["\\])', r"\1", match.group(1))
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    if text in ("true", "false"):
        return text == "true"
    if '"' in text:
        raise RenderingError(f"a quotation mark stands inside the value {excerpt(text)}")
    return text


def write_value(value: Value) -> str:
    """The value as it stands after the equals sign: numbers and true/false bare, text quoted."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        raise RenderingError(f"{value} cannot be written as an OCCI number.")
    return str(value) if isinstance(value, int | float) else _quote(value)


def _quote(text: str) -> str:
    if _CONTROL.search(text):
        raise RenderingError(f"a line break or control character stands in {excerpt(text)}")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise RenderingError(f"{excerpt(text)!r} cannot be an OCCI name.")
    return text


def _target(text: str) -> str:
    if _CONTROL.search(text) or any(c in text for c in '<>" '):
        raise RenderingError(f"{excerpt(text)!r} cannot be an OCCI address.")
    return text


def _parameters(pieces: Iterable[str], item: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for piece in pieces:
        name, mark, value = piece.partition("=")
        if not mark or not _NAME.fullmatch(name.strip()):
            raise RenderingError(f"{excerpt(piece)!r} is not name=value in {item}")
        found[name.strip()] = read_value(value.strip())
    return found


def _words(fields: Mapping[str, Value], name: str) -> tuple[str, ...]:
    return tuple(str(fields.get(name, "")).split())


def _read_category(text: str) -> Category:
    term, *rest = split_outside_quotes(text, ";")
    if not _NAME.fullmatch(term):
        raise RenderingError(f"{excerpt(term)!r} cannot be the term of a Category")
    fields = {k.lower(): v for k, v in _parameters(rest, f"Category {excerpt(term, 40)}").items()}
    scheme = str(fields.get("scheme", ""))
    if not scheme:
        raise RenderingError(f"Category {excerpt(term, 40)} has no scheme")
    return Category(
        term,
        scheme,
        str(fields.get("class", "")).lower(),
        str(fields.get("title", "")),
        _words(fields, "rel"),
        str(fields.get("location", "")),
        tuple(_read_definitions(str(fields.get("attributes", "")))),
        _words(fields, "actions"),
    )


def _read_definitions(text: str) -> Iterator[AttributeDefinition]:
    for name, marks in _DEFINITION.findall(text):
        said = marks.split()
        yield AttributeDefinition(name, "immutable" not in said, "required" in said)


def _write_category(category: Category) -> str:
    parts = [_name(category.term), f"scheme={_quote(category.scheme)}"]
    if category.kind_of:
        parts.append(f"class={_quote(category.kind_of)}")
    for name, value in (
        ("title", category.title),
        ("rel", " ".join(category.parents)),
        ("location", category.location),
        ("attributes", " ".join(map(_write_definition, category.attributes))),
        ("actions", " ".join(category.actions)),
    ):
        if value:
            parts.append(f"{name}={_quote(value)}")
    return "; ".join(parts)


def _write_definition(definition: AttributeDefinition) -> str:
    marks = ["required"] * definition.required + ["immutable"] * (not definition.mutable)
    return _name(definition.name) + ("{" + " ".join(marks) + "}" if marks else "")


def _read_attribute(text: str) -> tuple[str, Value]:
    ((name, value),) = _parameters([text], "X-OCCI-Attribute").items()
    return name, value


def _read_link(text: str) -> Link | ActionLink:
    target, *rest = split_outside_quotes(text, ";")
    if not (target.startswith("<") and target.endswith(">")):
        raise RenderingError(f"a Link must begin with <address>, not {excerpt(target)!r}")
    fields = _parameters(rest, "Link")
    rel, self_, category = (_take(fields, name) for name in ("rel", "self", "category"))
    target = target[1:-1].strip()
    if "?action=" in target and not self_:
        return ActionLink(target, rel)
    return Link(target, tuple(rel.split()), self_, tuple(category.split()), fields)


def _take(fields: dict[str, Value], name: str) -> str:
    for key in [key for key in fields if key.lower() == name]:
        return str(fields.pop(key))
    return ""


def _write_link(link: Link) -> str:
    parts = [f"<{_target(link.target)}>", f"rel={_quote(' '.join(link.rel))}"]
    if link.location:
        parts.append(f"self={_quote(link.location)}")
    if link.categories:
        parts.append(f"category={_quote(' '.join(link.categories))}")
    parts += [f"{_name(name)}={write_value(value)}" for name, value in link.attributes.items()]
    return "; ".join(parts)
