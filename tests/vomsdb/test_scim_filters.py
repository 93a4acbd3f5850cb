"""SCIM's filters and patches, without a database: what is read from text, and what a patch makes of a resource."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vomsdb.scim import group_ids
from vomsdb.scim.asked import wanted
from vomsdb.scim.faults import ScimRefused
from vomsdb.scim.filters import Both, Compare, Either, Filter, Not, Within, parse, parse_path
from vomsdb.scim.names import INDIGO_USER, MEMBERSHIP, PATCH, USER
from vomsdb.scim.patching import differences, matches, operations_of, patched
from vomsdb.scim.resources import Choice

RESOURCE: dict[str, Any] = {
    "schemas": [USER],
    "id": "7",
    "userName": "anna",
    "name": {"formatted": "Anna Lindqvist", "givenName": "Anna", "familyName": "Lindqvist"},
    "active": True,
    "emails": [{"value": "anna@example.org", "type": "work", "primary": True}],
    "groups": [{"value": "x", "display": "/vo"}],
    "roles": [{"value": "/vo/Role=a"}],
    INDIGO_USER: {"certificates": [{"subjectDn": "CN=Anna", "issuerDn": "CN=CA"}], "oidcIds": []},
    MEMBERSHIP: {"vo": "vo", "state": "active"},
}


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ('userName eq "bjensen"', Compare("username", "eq", "bjensen")),
        ('USERNAME Eq "b\\"j\\u00e9"', Compare("username", "eq", 'b"jé')),
        ("title pr", Compare("title", "pr")),
        ("active eq true", Compare("active", "eq", True)),
        ("a eq null", Compare("a", "eq", None)),
        ("a gt 1.5", Compare("a", "gt", 1.5)),
        ('name.familyName co "O\'Malley"', Compare("name.familyname", "co", "O'Malley")),
        (
            'urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J"',
            Compare("urn:ietf:params:scim:schemas:core:2.0:user:username", "sw", "J"),
        ),
        (
            'meta.lastModified ge "2011-05-13T04:42:34Z"',
            Compare("meta.lastmodified", "ge", "2011-05-13T04:42:34Z"),
        ),
        (
            'a pr or b pr and not (c eq "x")',
            Either(Compare("a", "pr"), Both(Compare("b", "pr"), Not(Compare("c", "eq", "x")))),
        ),
        (
            '(a pr or b pr) and emails[type eq "work" and value co "@x"]',
            Both(
                Either(Compare("a", "pr"), Compare("b", "pr")),
                Within("emails", Both(Compare("type", "eq", "work"), Compare("value", "co", "@x"))),
            ),
        ),
    ],
)
def test_filters_of_the_standard_are_read(text: str, tree: Filter) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    "text",
    [
        "",
        "userName",
        "userName eq",
        "userName is 'x'",
        "userName eq x",
        "userName eq 'x'",
        'userName eq "x',
        'userName eq "x" and',
        'userName eq "x" "y"',
        '(userName eq "x"',
        'userName eq "x")',
        'not userName eq "x"',
        'emails[type eq "x"',
        'eq eq eq "x"',
        'a eq "\\u0000"',
        'a eq "\n"',
        "a eq [1]",
        "a; drop table member",
        "(" * 30 + "a pr" + ")" * 30,
        " and ".join(["a pr"] * 500),
        "a" * 3000,
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(ScimRefused) as refusal:
        parse(text)
    assert refusal.value.kind == "invalidFilter"


_NAMES = st.sampled_from(["username", "active", "emails.value", f"{MEMBERSHIP.lower()}:vo"])
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.text(st.characters(categories=["L", "N", "P", "Zs"], max_codepoint=0xFFFF), max_size=20).filter(
        str.isprintable
    ),
)
_LEAVES = st.one_of(
    st.builds(
        Compare, _NAMES, st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]), _VALUES
    ),
    st.builds(Compare, _NAMES, st.just("pr")),
)
_TREES: st.SearchStrategy[Filter] = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner), st.builds(Both, inner, inner), st.builds(Either, inner, inner)
    ),
    max_leaves=8,
)


def written(tree: Filter) -> str:
    """A tree as text, every part in brackets."""
    match tree:
        case Not(inner):
            return f"not ({written(inner)})"
        case Both(left, right):
            return f"({written(left)}) and ({written(right)})"
        case Either(left, right):
            return f"({written(left)}) or ({written(right)})"
        case Within(attribute, inner):
            return f"{attribute}[{written(inner)}]"
        case Compare(attribute, "pr", _):
            return f"{attribute} pr"
        case Compare(attribute, operator, value):
            return f"{attribute} {operator} {json.dumps(value)}"


@given(_TREES)
@settings(max_examples=60)
def test_what_is_written_is_read_again(tree: Filter) -> None:
    assert parse(written(tree)) == tree


@given(st.text(st.sampled_from('ab(eq) "\\[].:not and pr or1-\x00é{'), max_size=40))
@settings(max_examples=80)
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    found: Filter | None = None
    with suppress(ScimRefused):  # another exception would be an error 500 for the caller
        found = parse(text)
    if found is not None:
        assert parse(written(found)) == found


@given(st.from_regex(r"(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}){1,4}", fullmatch=True))
@settings(max_examples=40)
def test_the_id_of_a_group_leads_back_to_its_path(path: str) -> None:
    assert group_ids.path_of(group_ids.id_of(path)) == path
    assert group_ids.path_of(group_ids.id_of(path) + "=") is None


def test_what_is_no_id_of_a_group_names_none() -> None:
    for text in ("", "x", "é", "L3Zv!", group_ids.id_of("no slash"), "A" * 2000, group_ids.id_of("/vo/..")):
        assert group_ids.path_of(text) is None or group_ids.path_of(text) == "/vo/.."


# --- patches ---


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return patched(RESOURCE, operations_of({"schemas": [PATCH], "Operations": list(operations)}), USER)


def test_single_values_are_set_changed_and_taken() -> None:
    assert patch({"op": "replace", "path": "active", "value": False})["active"] is False
    assert patch({"op": "Replace", "value": {"active": False, "externalId": "9"}})["externalId"] == "9"
    for kind in ("add", "replace"):
        after = patch({"op": kind, "value": {"name": {"familyName": "Holm"}, "id": "8"}})
        assert after["name"] == {**RESOURCE["name"], "familyName": "Holm"}, "parts that are not named stay"
        assert after["id"] == "7"
        assert patch({"op": kind, "path": "name", "value": {"familyName": "Holm"}})["name"] == after["name"]
    assert "formatted" not in patch({"op": "remove", "path": "name.formatted"})["name"]
    assert patch({"op": "replace", "path": f"{USER}:userName", "value": "b"})["userName"] == "b"
    assert RESOURCE["userName"] == "anna", "the resource itself stays"


def test_parts_of_a_name_count_where_the_whole_one_stayed() -> None:
    def name(**said: str) -> str | None:
        return wanted(differences(RESOURCE, {**RESOURCE, "name": said})).name

    assert name(**{**RESOURCE["name"], "familyName": "Holm"}) == "Anna Holm"
    assert name(familyName="Holm") == "Anna Holm"
    assert name(**{**RESOURCE["name"], "formatted": "A. Holm", "familyName": "Holm"}) == "A. Holm"
    assert name(formatted=RESOURCE["name"]["formatted"], givenName="Anna") == "Anna Lindqvist"
    assert name(**RESOURCE["name"]) is None


def test_a_number_elsewhere_is_emptied_when_it_is_removed() -> None:
    numbered = {**RESOURCE, "externalId": "hr-9"}
    taken = patched(numbered, [("remove", "externalId", None)], USER)
    assert wanted(differences(numbered, taken)).external_id == ""
    assert wanted(differences(numbered, RESOURCE)).external_id is None, "a PUT that does not name it"


def test_many_values_are_added_changed_and_taken() -> None:
    new = {"value": "/vo/Role=b"}
    assert patch({"op": "add", "path": "roles", "value": [new]})["roles"] == [{"value": "/vo/Role=a"}, new]
    assert len(patch({"op": "add", "path": "roles", "value": [{"value": "/vo/Role=a"}]})["roles"]) == 1
    assert patch({"op": "replace", "path": "roles", "value": new})["roles"] == [new]
    assert patch({"op": "remove", "path": "roles"})["roles"] == []
    assert patch({"op": "remove", "path": 'roles[value eq "/vo/Role=a"]'})["roles"] == []
    assert patch({"op": "remove", "path": 'roles[value eq "other"]'})["roles"] == RESOURCE["roles"]
    assert patch({"op": "remove", "path": "roles", "value": [{"value": "/vo/Role=a"}]})["roles"] == []
    mail = patch({"op": "replace", "path": 'emails[type eq "work"].value', "value": "b@example.org"})[
        "emails"
    ]
    assert mail == [{"value": "b@example.org", "type": "work", "primary": True}]
    home = patch({"op": "add", "path": 'emails[type eq "home"].value', "value": "c@example.org"})["emails"]
    assert home[1] == {"type": "home", "value": "c@example.org"}


def test_extensions_are_changed_by_their_attributes() -> None:
    new = {"subjectDn": "CN=B", "issuerDn": "CN=CA"}
    by_path = patch({"op": "add", "path": f"{INDIGO_USER}:certificates", "value": [new]})
    by_value = patch({"op": "add", "value": {INDIGO_USER: {"certificates": [new]}}})
    assert by_path == by_value
    assert by_path[INDIGO_USER]["certificates"][1] == new
    gone = patch({"op": "remove", "path": f'{INDIGO_USER}:certificates[subjectDn eq "cn=anna"]'})
    assert gone[INDIGO_USER]["certificates"] == []
    assert differences(RESOURCE, gone) == {INDIGO_USER: {"certificates": []}}


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ({"op": "remove"}, "noTarget"),
        ({"op": "replace", "path": 'roles[value eq "x"]', "value": {"value": "y"}}, "noTarget"),
        ({"op": "replace", "path": "shoeSize", "value": 42}, "invalidPath"),
        ({"op": "replace", "path": "name.shoeSize", "value": 42}, "invalidPath"),
        ({"op": "replace", "path": "roles[", "value": 42}, "invalidPath"),
        ({"op": "replace", "path": "a b", "value": 42}, "invalidPath"),
        ({"op": "replace", "path": "x" * 5000, "value": 42}, "invalidPath"),
        ({"op": "replace", "path": "userName[type eq 1]", "value": 42}, "invalidPath"),
        ({"op": "add", "path": "groups", "value": [{"value": "x"}]}, "mutability"),
        ({"op": "replace", "path": f"{MEMBERSHIP}:state", "value": "active"}, "mutability"),
        ({"op": "replace", "path": "roles", "value": [17]}, "invalidValue"),
        ({"op": "replace", "value": "x"}, "invalidValue"),
        ({"op": "remove", "path": INDIGO_USER}, "invalidValue"),
        ({"op": "move", "path": "roles"}, "invalidSyntax"),
        ({"op": "add", "path": 7}, "invalidSyntax"),
    ],
)
def test_a_patch_that_cannot_be_is_refused(operation: dict[str, Any], kind: str) -> None:
    with pytest.raises(ScimRefused) as refusal:
        patch(operation)
    assert refusal.value.kind == kind


def test_a_body_that_is_no_patch_is_refused() -> None:
    for body in (
        None,
        [],
        {},
        {"schemas": [PATCH]},
        {"schemas": [PATCH], "Operations": []},
        {"schemas": "x"},
    ):
        with pytest.raises(ScimRefused):
            operations_of(body)
    with pytest.raises(ScimRefused):
        operations_of({"schemas": [PATCH], "Operations": [{"op": "add"}] * 1000})


def test_values_in_memory_are_compared_as_in_the_database() -> None:
    entry = {"Type": "Work", "value": "anna@example.org", "primary": True, "empty": ""}
    for text, expected in (
        ('type eq "work"', True),
        ('type ne "work"', False),
        ('value ew ".ORG" and primary eq true', True),
        ('value lt "b" and value gt "a"', True),
        ("empty pr or missing pr", False),
        ('not (value co "anna")', False),
        ("primary eq 1", False),
        ('missing ne "x"', True),
    ):
        assert matches(parse(text), entry) is expected, text


def test_attributes_are_chosen_by_name_and_by_part() -> None:
    chosen = Choice("userName,name.formatted,emails.value", "").of(RESOURCE)
    assert chosen == {
        "schemas": [USER],
        "id": "7",
        "userName": "anna",
        "name": {"formatted": "Anna Lindqvist"},
        "emails": [{"value": "anna@example.org"}],
    }
    extension = Choice(f"{INDIGO_USER}:certificates.subjectDn", "").of(RESOURCE)
    assert extension[INDIGO_USER] == {"certificates": [{"subjectDn": "CN=Anna"}]}
    left = Choice("", f"id,groups,{INDIGO_USER}:oidcIds,{USER}:emails.type").of(RESOURCE)
    assert "groups" not in left
    assert left["id"] == "7"
    assert "oidcIds" not in left[INDIGO_USER]
    assert left["emails"] == [{"value": "anna@example.org", "primary": True}]
    assert Choice("members", "").asks_for("members")
    assert not Choice("", "members").asks_for("members")


def test_a_path_has_three_parts() -> None:
    assert parse_path('emails[type eq "work"].value') == ("emails", Compare("type", "eq", "work"), "value")
    assert parse_path("name.familyName") == ("name.familyname", None, "")
