"""Plain YAML, read and written: what other registries, other programs and people put into files.

Only plain YAML is read: no tags, no anchors or aliases (a few lines of them can grow to gigabytes), no key twice, and
YAML 1.2's words for true and false, so that `country_code: NO` is Norway. What is a number here is one for every
writer of YAML, or a site called 1e3 would lose its name on the way.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from hanse.errors import FieldFault, Refused, TooLarge

MAX_DEPTH: Final = 12
Document = TypeVar("Document", bound=BaseModel)


class _PlainLoader(yaml.CSafeLoader):
    """YAML's plain values only, read as YAML 1.2 reads them."""

    # resolvers belong to the class: this one has its own, fewer ones
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as PyYAML has it


for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
    ("tag:yaml.org,2002:int", r"[-+]?(?:0|[1-9][0-9]*)\Z", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?\Z",
        "-+.0123456789",
    ),
    ("tag:yaml.org,2002:null", r"(?:~|null|Null|NULL|)\Z", "~nN"),
):
    for _character in [*_first, *([""] if "null" in _tag else [])]:
        _PlainLoader.yaml_implicit_resolvers.setdefault(_character, []).append((_tag, re.compile(_pattern)))


def _mapping(loader: _PlainLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for at, key in enumerate(keys):
        if not isinstance(key, str):
            raise _fault(f"the key {key!r} is no text", node.value[at][0].start_mark)
        if key in keys[:at]:
            raise _fault(f"the key {key} stands there twice", node.value[at][0].start_mark)
    return {
        key: loader.construct_object(value, deep=True)
        for key, (_, value) in zip(keys, node.value, strict=True)
    }


_PlainLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse_as(model: type[Document], text: str, most: int) -> Document:
    """Plain YAML of at most `most` characters as `model`; raises as `parse`."""
    content = read_plain(text, most)
    try:
        return model.model_validate({} if content is None else content)
    except ValidationError as error:
        raise Refused("The file cannot be used as it is.", *_faults(error)) from None


def read_plain(text: str, most: int) -> Any:
    """The values of plain YAML: no anchors, no tags, no depth. Raises TooLarge, or Refused with the line."""
    if len(text) > most:
        raise TooLarge(f"The file has {len(text):,} characters; {most:,} are read at most.")
    try:
        _check_plain(text)
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        raise _unreadable(error) from None
    except (RecursionError, ValueError) as error:
        raise Refused("The file cannot be read.", FieldFault("document", str(error))) from None


def _check_plain(text: str) -> None:
    """Refuse what can make a small file big or deep, before anything is built from it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _fault("anchors and aliases are not read; write it out", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _fault("tags are not read; write plain values", event.start_mark)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _fault(f"nested more than {MAX_DEPTH} deep", event.start_mark)


def _fault(reason: str, mark: Any) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=reason, problem_mark=mark)


def _unreadable(error: yaml.YAMLError) -> Refused:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}" if mark is not None else "document"
    reason = getattr(error, "problem", None) or str(error)
    return Refused("The file is not plain YAML.", FieldFault(where, str(reason)))


def _faults(error: ValidationError) -> list[FieldFault]:
    faults = []
    for finding in error.errors(include_url=False)[:100]:
        where = ".".join(str(step + 1) if isinstance(step, int) else str(step) for step in finding["loc"])
        reason = (
            finding["msg"]
            .removeprefix("Value error, ")
            .replace("Extra inputs are not permitted", "no such key")
        )
        faults.append(FieldFault(where or "document", reason))
    return faults


class _Dumper(yaml.CSafeDumper):
    """Long texts (certificates) as blocks, nothing shared. In C: a large federation is ten thousands of lines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if re.fullmatch(r"(?:[!-~][ -~]*\n)+", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(content: Any) -> str:
    """`content` as plain YAML, keys in their order."""
    return yaml.dump(content, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=110)
