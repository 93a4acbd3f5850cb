"""OCCI renderings: answers of three servers are read alike, and what is written is read back the same."""

import json
import string
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.occi.model import (
    COMPUTE,
    INFRASTRUCTURE,
    OS_TPL,
    RESOURCE_TPL,
    ActionLink,
    AttributeDefinition,
    Category,
    Document,
    Link,
    duplicates,
)
from hanse.occi.renderings import JSON, OCCI, PLAIN, URI_LIST, RenderingError, choose, read, write
from hanse.occi.text import excerpt, split_outside_quotes

SAMPLES = Path(__file__).parent / "samples" / "occi"
VM = "a59df86b-9b73-4f1d-9b4b-77277d46fd65"


def message(name: str) -> tuple[list[tuple[str, str]], bytes]:
    head, _, body = (SAMPLES / name).read_bytes().partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")[1:]
    return [(line.partition(":")[0], line.partition(":")[2].strip()) for line in lines], body


def sample(name: str) -> Document:
    return read(*message(name))


def plain(text: str | bytes) -> Document:
    return read([("Content-Type", "text/plain")], text.encode() if isinstance(text, str) else text)


# --- what servers say ---


@pytest.mark.parametrize("server", ["ooi", "pyssf", "rocci"])
def test_a_query_reads_the_same_as_lines_and_as_headers(server: str) -> None:
    lines, headers = sample(f"query-plain-{server}.http"), sample(f"query-occi-{server}.http")
    assert lines == headers
    assert lines.find(COMPUTE) is not None
    assert lines.find(OS_TPL) is not None


def test_json_of_ooi_names_the_same_kinds_as_its_text() -> None:
    as_json, as_text = sample("query-json-ooi.http"), sample("query-plain-ooi.http")
    assert {kind.identifier for kind in as_json.kinds} == {kind.identifier for kind in as_text.kinds}
    compute = as_json.find(COMPUTE)
    assert compute is not None
    assert compute.location == "http://cloud.site-a.example.org:8787/ooi/compute/"
    state = {definition.name: definition for definition in compute.attributes}["occi.compute.state"]
    assert (state.mutable, state.type) == (False, "string")


def test_a_comma_in_a_title_and_a_numeric_term_are_kept() -> None:
    images = sample("query-occi-ooi.http").children_of(OS_TPL)
    assert [image.title for image in images] == ["Example Linux, small", "Monitoring image"]
    assert [size.term for size in sample("query-plain-ooi.http").children_of(RESOURCE_TPL)] == ["1", "2"]


def test_two_parents_in_one_rel_are_two() -> None:
    (image,) = sample("query-plain-rocci.http").children_of(OS_TPL)
    assert image.parents == (OS_TPL, COMPUTE)
    assert image.location == "/mixin/os_tpl/linux9"


def test_attribute_definitions_keep_their_marks() -> None:
    compute = sample("query-plain-rocci.http").find(COMPUTE)
    assert compute is not None
    marks = {each.name: (each.required, each.mutable) for each in compute.attributes}
    assert marks["occi.core.id"] == (True, False)
    assert marks["occi.compute.cores"] == (False, True)
    assert INFRASTRUCTURE.replace("#", "/compute/action#start") in compute.actions


@pytest.mark.parametrize("rendering", ["plain", "occi"])
def test_an_active_machine_of_ooi(rendering: str) -> None:
    machine = sample(f"describe-{rendering}-ooi-active.http")
    assert machine.kind is not None
    assert machine.kind.identifier == COMPUTE
    assert machine.attributes["occi.compute.state"] == "active"
    assert machine.attributes["occi.compute.memory"] == 512
    assert [link.action.rpartition("#")[2] for link in machine.action_links][:2] == ["start", "stop"]
    (interface,) = machine.links
    assert interface.rel == (INFRASTRUCTURE + "network",)
    assert interface.categories == (
        INFRASTRUCTURE + "networkinterface",
        "http://schemas.ogf.org/occi/infrastructure/networkinterface#ipnetworkinterface",
    )
    assert interface.attributes["occi.networkinterface.address"] == "192.0.2.15"


def test_quoted_numbers_of_pyssf_stay_text() -> None:
    machine = sample("describe-plain-pyssf.http")
    assert machine.attributes["occi.compute.cores"] == "2"
    assert machine == sample("describe-occi-pyssf.http")


def test_json_entities_of_all_three() -> None:
    ooi, pyssf, rocci = (sample(f"describe-json-{name}.http") for name in ("ooi-active", "pyssf", "rocci"))
    for machine in (ooi, pyssf, rocci):
        assert machine.kind is not None
        assert machine.kind.identifier == COMPUTE
        assert machine.attributes["occi.core.title"] == "hanse-probe-7f3a"
    assert ooi.attributes["occi.core.id"] == VM
    assert len(ooi.action_links) == 5
    assert pyssf.action_links[0].target.endswith("?action=start")


def test_the_location_of_a_new_machine_is_found_wherever_it_stands() -> None:
    ooi = f"http://cloud.site-a.example.org:8787/ooi/compute/{VM}"
    assert sample("create-plain-ooi.http").locations == (ooi,)
    assert sample("create-occi-ooi.http").locations == (ooi,)
    assert sample("create-occi-rocci.http").locations[0].startswith("https://occi.site-b.example.org:11443/")
    assert plain("http://cloud.example/compute/1").locations == ("http://cloud.example/compute/1",)


def test_collections_with_one_with_none_and_with_comments() -> None:
    assert len(sample("list-one-ooi.http").locations) == 1
    assert sample("list-empty-pyssf.http").is_empty()
    assert len(sample("list-urilist-rocci.http").locations) == 1
    listed = read([("Content-Type", "text/uri-list")], b"# uri:/compute/\nhttp://cloud.example/compute/1\r\n")
    assert listed.locations == ("http://cloud.example/compute/1",)


def test_a_bare_ok_says_nothing() -> None:
    assert sample("delete-pyssf.http").is_empty()


def test_requests_in_both_text_renderings_are_the_same_request() -> None:
    assert sample("create-request-plain.http") == sample("create-request-occi.http")
    stop = sample("action-request-stop.http")
    assert stop.actions[0].term == "stop"
    assert stop.attributes == {"method": "graceful"}


# --- what is not OCCI ---


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><body>Please log in</body></html>", "line 1 is not an OCCI item"),
        (b'{"kinds": []}', "line 1 is not an OCCI item"),
        (b'Category: compute; scheme="http://schemas.ogf.org/occi/infra', "not closed"),
        (b'Category: compute; class="kind"', "no scheme"),
        (b'Category: compute; scheme="a"b"', "not closed"),
        (b'Category: compute; scheme=a"b"', "inside the value"),
        (b"Category: ; scheme=x", "term"),
        (b"Categ", "line 1"),
        (b"Category: compute; schem", "not name=value"),
        (b"X-OCCI-Attribute: occi.core.title", "not name=value"),
        (b"Link: /network/1; rel=x", "begin with <address>"),
        (b"Server: nginx", "line 1"),
        (b'Category: compute; scheme="\xff"', "not UTF-8"),
    ],
)
def test_what_is_not_occi_is_refused_with_its_place(body: bytes, said: str) -> None:
    with pytest.raises(RenderingError, match=said):
        plain(body)


@pytest.mark.parametrize(
    "body",
    [
        "[1, 2]",
        '"text"',
        '{"kinds": 3}',
        '{"kinds": [{"term": "compute"}]}',
        '{"kind": "no-hash"}',
        '{"kind": "http://x#y", "attributes": {"a": [1]}}',
        "{",
        "[" * 100_000,
    ],
)
def test_json_that_is_not_occi_is_refused(body: str) -> None:
    with pytest.raises(RenderingError):
        read([("Content-Type", JSON)], body.encode())


def test_another_media_type_is_named() -> None:
    with pytest.raises(RenderingError, match="text/html"):
        read([("Content-Type", "text/html; charset=utf-8")], b"<html>")


def test_an_excerpt_is_short_and_on_one_line() -> None:
    shown = excerpt("evil\n\x1b[31m" + "x" * 500)
    assert len(shown) == 80
    assert "\n" not in shown
    assert "\x1b" not in shown


def test_a_line_break_cannot_be_written_into_a_header() -> None:
    with pytest.raises(RenderingError, match="line break"):
        write(Document(attributes={"occi.core.title": "a\r\nX-Auth-Token: stolen"}), OCCI)
    with pytest.raises(RenderingError):
        write(Document(locations=("http://x/\r\nSet-Cookie: a",)), PLAIN)


# --- round trips ---

WORD = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=12)
SCHEME = WORD.map(lambda word: f"http://schemas.example.org/{word}#")
IDENTIFIER = st.builds(str.__add__, SCHEME, WORD)
LINE = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
VALUE = st.one_of(
    LINE, st.integers(-(2**60), 2**60), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
)
ADDRESS = st.builds("http://cloud.example/{}/{}".format, WORD, WORD)
DEFINITION = st.builds(AttributeDefinition, WORD, st.booleans(), st.booleans())


def category(kind_of: str) -> st.SearchStrategy[Category]:
    few = st.lists(IDENTIFIER, max_size=2).map(tuple)
    return st.builds(
        Category,
        term=WORD,
        scheme=SCHEME,
        kind_of=st.just(kind_of),
        title=LINE,
        parents=few,
        location=st.one_of(st.just(""), ADDRESS),
        attributes=st.lists(DEFINITION, max_size=2, unique_by=lambda each: each.name).map(tuple),
        actions=few,
    )


LINK = st.builds(
    Link,
    target=ADDRESS,
    rel=st.lists(IDENTIFIER, min_size=1, max_size=1).map(tuple),
    location=ADDRESS,
    categories=st.lists(IDENTIFIER, min_size=1, max_size=2).map(tuple),
    attributes=st.dictionaries(
        WORD.filter(lambda w: w.lower() not in ("rel", "self", "category")), VALUE, max_size=2
    ),
)
DOCUMENT = st.builds(
    Document,
    categories=st.lists(st.one_of(category("kind"), category("mixin"), category("action")), max_size=3).map(
        tuple
    ),
    attributes=st.dictionaries(WORD, VALUE, max_size=4),
    links=st.lists(LINK, max_size=2).map(tuple),
    action_links=st.lists(
        st.builds(lambda where, what: ActionLink(f"{where}?action=x", what), ADDRESS, IDENTIFIER), max_size=2
    ).map(tuple),
    locations=st.lists(ADDRESS, max_size=2).map(tuple),
)


@given(DOCUMENT)
def test_lines_are_read_back_as_written(document: Document) -> None:
    written = write(document, PLAIN)
    assert read(written.headers, written.body) == document


@given(DOCUMENT, st.booleans())
def test_headers_are_read_back_as_written_repeated_or_joined(document: Document, joined: bool) -> None:
    written = write(document, OCCI, joined=joined)
    assert all(value.isprintable() or value for _, value in written.headers)
    assert read(written.headers, written.body) == document


@given(st.lists(ADDRESS, max_size=4).map(tuple))
def test_address_lists_are_read_back_as_written(locations: tuple[str, ...]) -> None:
    written = write(Document(locations=locations), URI_LIST)
    assert read(written.headers, written.body).locations == locations


@given(st.lists(st.one_of(category("kind"), category("mixin"), category("action")), min_size=2, max_size=6))
def test_a_json_query_is_read_back_as_written(categories: list[Category]) -> None:
    actions = [Category.of("http://schemas.example.org/a#start", "action")]
    document = Document((*categories, *actions))
    again = read([("Content-Type", JSON)], write(document, JSON).body)
    for group in ("kinds", "actions"):
        assert getattr(again, group) == getattr(document, group)
    assert [mixin.identifier for mixin in again.mixins] == [mixin.identifier for mixin in document.mixins]


@given(st.dictionaries(WORD, VALUE, max_size=4), st.lists(LINK, max_size=2).map(tuple))
def test_a_json_entity_is_read_back_as_written(
    attributes: dict[str, object], links: tuple[Link, ...]
) -> None:
    kind = Category.of(COMPUTE, "kind")
    document = Document((kind, Category.of(OS_TPL, "mixin")), attributes, links)  # type: ignore[arg-type]
    assert read([("Content-Type", JSON)], write(document, JSON).body) == document


@given(st.binary(max_size=200), st.sampled_from([PLAIN, OCCI, JSON, URI_LIST]))
def test_any_bytes_are_read_or_refused_never_worse(body: bytes, media: str) -> None:
    with suppress(RenderingError):
        read([("Content-Type", media), ("Category", body.decode("latin-1").replace("\n", " "))], body)


@given(
    st.lists(st.text(string.ascii_letters + ' "', min_size=1).filter(lambda t: t.strip() and '"' not in t))
)
def test_commas_in_quotes_do_not_divide(pieces: list[str]) -> None:
    text = ", ".join(f'x="{piece},{piece}"' for piece in pieces)
    assert len(split_outside_quotes(text, ",")) == len(pieces)


def test_dividing_stays_linear_on_hostile_text() -> None:
    assert split_outside_quotes("<" * 200_000, ",") == ["<" * 200_000]
    assert len(split_outside_quotes('a="' + "\\" * 200_000, ",")) == 1


# --- a server's choices ---


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/occi", OCCI),
        ("text/*;q=0.5, application/occi+json", JSON),
        ("text/plain;q=0.1, text/occi;q=0.9", OCCI),
        ("text/html, text/plain;q=0", None),
        ("image/png", None),
        ("text/plain;q=x", None),
    ],
)
def test_the_rendering_is_chosen_by_accept(accept: str, chosen: str | None) -> None:
    assert choose(accept) == chosen


def test_doubled_definitions_are_told() -> None:
    twice = Category.of(COMPUTE, "kind")
    assert duplicates([twice, Category.of(OS_TPL, "mixin"), twice]) == (COMPUTE,)


def test_a_json_action_request_names_the_action_alone() -> None:
    action = Category.of("http://schemas.ogf.org/occi/infrastructure/compute/action#stop", "action")
    written = write(Document((action,), {"method": "graceful"}), JSON)
    assert json.loads(written.body) == {"action": action.identifier, "attributes": {"method": "graceful"}}
