"""What people and programs may send to do harm: refused, or shown as the text that it is."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from lxml import etree, html

from .conftest import OCCI, Registry

SCRIPT = "\"'><script>hostile()</script><img src=x onerror=hostile()>"
MARK = f"{SCRIPT}' OR 1=1; DROP TABLE site;-- {{{{7*7}}}} %(x)s \N{RIGHT-TO-LEFT OVERRIDE}gpj.exe"
BREAKING = ("a\x00b", "a\ud800b", "a\x1b[31mb", "\x85\u2028")
NAMES = {
    "name": "HOSTILE",
    "ngi": "NGI_CZ",
    "country_code": "CZ",
    "site": "BIFI",
    "service_type": OCCI,
    "hostname": "hostile.bifi.example",
    "scope": "site:BIFI",
    "role": "site_administrator",
    "person": "1",
    "key": "HOSTILE",
    "vo": "training.egi.eu",
    "email": "hostile@bifi.example",
    "telephone": "+420 123",
    "home_url": "https://hostile.example/",
    "url": "https://hostile.bifi.example:1/",
    "timezone": "Europe/Prague",
    "severity": "OUTAGE",
}
PATHS = {
    "site": "BIFI",
    "ngi": "NGI_CZ",
    "number": "1",
    "identity": "1",
    "kind": OCCI,
    "scope": "EGI",
    "key": "HOSTILE",
    "project": "HOSTILE",
    "group": "HOSTILE",
    "delivery": "1",
    "act": "suspend",
    "code": "x",
    "method": "get_site",
}
EVENT = re.compile(r"on[a-z]+", re.IGNORECASE)
JSON = {"Content-Type": "application/json"}


# -- what the API takes -----------------------------------------------------------------------------------------


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every write that takes JSON: method, address, schema of its body."""
    for path, found in document["paths"].items():
        for method, operation in found.items():
            content = operation.get("requestBody", {}).get("content", {})
            if method in ("post", "put", "patch") and "application/json" in content:
                address = re.sub(r"\{(\w+)\}", lambda part: PATHS.get(part[1], "1"), path)
                yield method.upper(), address, content["application/json"]["schema"]


def sample(document: Mapping[str, Any], schema: Mapping[str, Any], text: str, name: str = "") -> Any:
    """A body in which every text that may hold it is `text`."""
    if "$ref" in schema:
        return sample(document, _find(document, schema["$ref"]), text, name)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            options = [one for one in schema[choice] if one.get("type") != "null"]
            return sample(
                document, {**options[0], **{k: v for k, v in schema.items() if k != choice}}, text, name
            )
    if "const" in schema or "enum" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        fields = {key: sample(document, one, text, key) for key, one in schema.get("properties", {}).items()}
        return fields or {"HOSTILE": text}
    if kind == "array":
        return [sample(document, schema.get("items", {}), text, name)]
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return True if kind == "boolean" else _text(schema, text, name)


def _find(document: Mapping[str, Any], reference: str) -> Any:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def _text(schema: Mapping[str, Any], text: str, name: str) -> str:
    if schema.get("format") == "date-time" or name in ("start", "end", "valid_from"):
        return (datetime.now(UTC) + timedelta(days=3, hours=name == "end")).isoformat()
    if "pattern" in schema and not re.search(schema["pattern"], text):
        return NAMES.get(name, "HOSTILE")
    return NAMES[name] if name in NAMES and text == MARK else text[: schema.get("maxLength", 10_000)]


@pytest.fixture
def sown(registry: Registry) -> Registry:
    """A registry to which every write was sent with markup, SQL and templates in all its texts."""
    document = registry.get("/openapi.json", None)
    taken = []
    for method, path, schema in operations(document):
        body = sample(document, schema, MARK)
        answer = registry.ask(method, path, json=body)
        assert answer.status_code < 500, f"{method} {path}: {answer.text}"
        if answer.status_code < 300:
            taken.append(path)
    # and by hand, so that it certainly stands in what people and programs read
    texts = {
        "official_name": MARK,
        "description": MARK,
        "location": MARK,
        "country": MARK,
        "middleware": MARK,
        "contacts": [{"kind": "admin", "name": MARK, "email": "admin@bifi.example"}],
        "extensions": {"HOSTILE": MARK},
        "reason": MARK,
    }
    registry.send("PATCH", "/api/v1/sites/BIFI", texts)
    number = registry.get("/api/v1/services?site=BIFI")["items"][0]["id"]
    described = {"description": MARK, "host_os": MARK, "extensions": {"HOSTILE": MARK}, "reason": MARK}
    registry.send("PATCH", f"/api/v1/services/{number}", described)
    registry.send(
        "POST",
        f"/api/v1/services/{number}/endpoints",
        {"name": "x", "url": "https://x.example/", "description": MARK},
    )
    registry.declare("BIFI", timedelta(days=2), timedelta(hours=1), description=MARK)
    assert len(taken) > 10, taken
    return registry


def addresses(registry: Registry) -> list[str]:
    """Every GET route that the seeds can fill, and exports with their parameters."""
    found = [f"/gocdbpi/public/?method={name}" for name in ("get_site_list", "get_service", "get_downtime")]
    for rule in registry.app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.rule.startswith("/assets"):
            continue
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda part: PATHS.get(part[1], "BIFI"), rule.rule)
        for place, name in (("/ngis/", "NGI_CZ"), ("/service-types/", OCCI), ("/scopes/", "EGI")):
            if path.startswith(place):
                path = path.replace("BIFI", name)
        found.append(path)
    return found


def test_markup_and_sql_stay_text_on_every_page_and_in_every_export(sown: Registry) -> None:
    shown = 0
    for path in addresses(sown):
        answer = sown.ask("GET", path)
        assert answer.status_code < 500, f"{path}: {answer.text[-300:]}"
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        if answer.status_code == 200 and kind in INERT:
            shown += "hostile()" in answer.text
            INERT[kind](path, answer.text)
    assert shown > 12, f"the marker stands on {shown} pages only"
    assert len(sown.get("/api/v1/sites")["items"]) >= 3  # no table was dropped


def _inert_html(path: str, text: str) -> None:
    for element in html.fromstring(text).iter():
        if not isinstance(element.tag, str):
            continue
        if element.tag == "script":
            assert str(element.get("src")).startswith("/assets/"), f"{path}: a script of its own"
        for name, value in element.attrib.items():
            assert not EVENT.fullmatch(str(name)), f"{path}: {element.tag} {name!r}={value!r}"
            if name in ("href", "src", "action", "formaction"):
                assert not str(value).lower().strip().startswith(("javascript:", "data:text")), (
                    f"{path}: {value!r}"
                )
    assert "<img src=x" not in text, path


def _inert_xml(path: str, text: str) -> None:
    tags = {etree.QName(one).localname for one in etree.fromstring(text.encode()).iter(etree.Element)}
    assert not tags & {"script", "img"}, path


def _inert_csv(path: str, text: str) -> None:
    for row in csv.reader(io.StringIO(text)):
        for cell in row:
            assert not cell.startswith(("=", "+", "@", "\t", "\r")) or cell[1:2].isdigit(), f"{path}: {cell}"


def _inert_yaml(path: str, text: str) -> None:
    yaml.safe_load(text)


INERT = {
    "text/html": _inert_html,
    "application/xml": _inert_xml,
    "text/xml": _inert_xml,
    "text/csv": _inert_csv,
    "application/yaml": _inert_yaml,
    "text/yaml": _inert_yaml,
    "application/json": lambda path, text: json.loads(text),
}


def test_characters_that_break_programs_are_refused_everywhere(registry: Registry) -> None:
    document = registry.get("/openapi.json", None)
    for text in BREAKING:
        for method, path, schema in operations(document):
            body = json.dumps(sample(document, schema, text))
            answer = registry.ask(method, path, data=body, headers=JSON)
            assert answer.status_code < 500, f"{method} {path} {text!r}: {answer.text}"
        for field in ("official_name", "location"):
            answer = registry.ask("PATCH", "/api/v1/sites/BIFI", json={field: text})
            assert answer.status_code in (400, 422), f"{field} {text!r}: {answer.text}"
    assert registry.get("/api/v1/sites/BIFI")["official_name"] == "BIFI, the institute"


# -- bombs ------------------------------------------------------------------------------------------------------------

DEEP = 100_000
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {after} "{f"&{before};" * 10}">'
        for before, after in zip("abcdefg", "bcdefgh", strict=True)
    )
    + "]><results><SITE>&h;</SITE></results>"
)
OUTSIDE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><results><SITE NAME="X">&f;</SITE></results>'
QUICK_S = 5.0
JSON_BOMBS = {
    "open lists": ("[" * DEEP, 422),
    "open objects": ('{"a":' * DEEP, 422),
    "lists": ("[" * DEEP + "]" * DEEP, 422),
    "a long number": ('{"name": ' + "9" * 200_000 + "}", 422),
    "no number": ('{"capacity": {"vcpu": 1e999}}', 422),
    "a name of 9 MB": (json.dumps({"official_name": "x" * 9_000_000}), 422),
    "a name of 11 MB": ('{"official_name": "' + "x" * 11_000_000 + '"}', 413),
    "200,000 keys": ('{"extensions": {' + ",".join(f'"k{n}": "v"' for n in range(200_000)) + "}}", 422),
}


def quickly(
    registry: Registry, what: str, method: str, path: str, who: str = "Ingrid Holm", **given: Any
) -> Any:
    """The answer, which came soon and does not repeat what was sent."""
    began = time.monotonic()
    answer = registry.ask(method, path, who, **given)
    assert time.monotonic() - began < QUICK_S, what
    assert len(answer.data) < 20_000, f"{what}: the answer is {len(answer.data)} bytes long"
    return answer


def test_json_bombs_are_refused_quickly(registry: Registry) -> None:
    for what, (body, status) in JSON_BOMBS.items():
        answer = quickly(registry, what, "PATCH", "/api/v1/sites/BIFI", data=body, headers=JSON)
        assert answer.status_code == status, f"{what}: {answer.text[:300]}"
    assert registry.get("/api/v1/sites/BIFI")["official_name"] == "BIFI, the institute"


def test_yaml_bombs_are_refused_quickly(registry: Registry) -> None:
    bombs = (LAUGHS, "[" * 5_000, "a: " * 3_000 + "1", "!!python/object/apply:os.system ['true']")
    for path in ("/api/v1/federation/plan", "/api/v1/certification/policies"):
        for text in bombs:
            body = {"document": text, "valid_from": datetime.now(UTC).isoformat(), "reason": "bomb"}
            answer = quickly(registry, f"{path} {text[:20]}", "POST", path, json=body)
            assert answer.status_code == 422, f"{path} {text[:20]}: {answer.text[:300]}"


def test_xml_bombs_are_refused_or_inert_in_an_import(registry: Registry) -> None:
    document = registry.get("/openapi.json", None)
    path = "/api/v1/import/gocdb/plan"
    schema = next(one for _, address, one in operations(document) if address == path)
    for text in (ENTITIES, OUTSIDE, "<a>" * DEEP, "<results>" + "<SITE/>" * 10):
        answer = quickly(registry, text[:40], "POST", path, json=sample(document, schema, text))
        assert answer.status_code in (400, 422), f"{text[:40]}: {answer.text[:300]}"
        assert "root:" not in answer.text


def test_questions_of_hostile_depth_are_answered_quickly(registry: Registry) -> None:
    for question in (
        "method=get_service&extensions=" + "(" * 4_000 + "a=b" + ")" * 4_000,
        "method=get_service&extensions=" + "AND(a=b)OR" * 800,
        "method=get_service&extensions=(" + "a" * 6_000 + "=~)",
        "method=get_site&scope=" + "a," * 4_000,
        "method=get_site&sitename=" + "%25" * 2_000,
        "method=get_site&sitename=' OR '1'='1",
        "method=get_site&roc=" + "A" * 7_000,
    ):
        answer = quickly(registry, question[:60], "GET", f"/gocdbpi/public/?{question}")
        assert answer.status_code == 200, question[:60]  # GOCDB's errors come with 200
        wildcards = "%25" in question  # the interface has always matched names by LIKE
        assert wildcards or b"BIFI" not in answer.data, question[:60]


def test_a_search_takes_wildcards_as_letters(registry: Registry) -> None:
    for path in ("/api/v1/sites?q=%25", "/api/v1/services?q=_", "/api/v1/sites?q=%27%20OR%201%3D1"):
        assert registry.get(path)["items"] == [], path
    assert "No site matches" in registry.ask("GET", "/sites?q=%25").text
