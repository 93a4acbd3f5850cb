"""What differs between two states: by field, parts of lists by what they are."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry.differences import MISSING, changes, flat, paths_changed, with_values

BODY: dict[str, Any] = {
    "name": "BIFI",
    "capacity": {"vcpu": 50, "ram_gb": None},
    "scopes": ["EGI"],
    "contacts": [{"kind": "admin", "name": "Laura Gil", "email": "laura@bifi.example"}],
    "supports": [{"vo": "training.egi.eu", "vcpu": 16}],
    "endpoints": [
        {"id": "7", "name": "main", "url": "https://occi.bifi.example/", "extensions": {"a": "1"}},
        {"id": "8", "name": "spare", "url": "https://spare.bifi.example/", "extensions": {}},
    ],
    "extensions": {},
}


def test_a_field_in_a_part_of_a_list_is_named_alone() -> None:
    new = {
        **BODY,
        "endpoints": [{**BODY["endpoints"][0], "url": "https://new.example/"}, BODY["endpoints"][1]],
    }
    assert changes(BODY, new) == {
        "endpoints[main].url": ("https://occi.bifi.example/", "https://new.example/")
    }


def test_an_endpoint_stays_itself_under_another_name() -> None:
    new = {**BODY, "endpoints": [{**BODY["endpoints"][0], "name": "first"}, BODY["endpoints"][1]]}
    assert changes(BODY, new) == {"endpoints[first].name": ("main", "first")}


def test_parts_that_come_and_go_are_one_entry_each() -> None:
    new = {
        **BODY,
        "endpoints": [BODY["endpoints"][1]],
        "scopes": ["EGI", "local"],
        "contacts": [{**BODY["contacts"][0], "email": "l.gil@bifi.example"}],
        "supports": [],
        "capacity": {"vcpu": 64, "ram_gb": None},
        "extensions": {"GLUE2": "yes"},
    }
    assert changes(BODY, new) == {
        "endpoints[main]": (BODY["endpoints"][0], None),
        "scopes[local]": (None, "local"),
        "contacts[admin Laura Gil].email": ("laura@bifi.example", "l.gil@bifi.example"),
        "supports[training.egi.eu]": (BODY["supports"][0], None),
        "capacity.vcpu": (50, 64),
        "extensions.GLUE2": (None, "yes"),
    }


def test_order_alone_is_no_change() -> None:
    assert changes(BODY, {**BODY, "endpoints": BODY["endpoints"][::-1]}) == {}


def test_true_is_not_one() -> None:
    assert changes({"production": 1}, {"production": True}) == {"production": (1, True)}


def test_two_parts_of_one_identity_are_told_apart() -> None:
    twice = {
        "contacts": [
            {"kind": "admin", "name": "x", "email": "a"},
            {"kind": "admin", "name": "x", "email": "b"},
        ]
    }
    once = {"contacts": twice["contacts"][:1]}
    assert list(changes(once, twice)) == ["contacts[admin x (2)]"]


scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab#=.[]", max_size=3)
bodies = st.fixed_dictionaries(
    {
        "name": scalars,
        "capacity": st.dictionaries(st.sampled_from(["vcpu", "#x", "=y"]), scalars, min_size=1),
        "scopes": st.lists(st.sampled_from(["EGI", "local", "#1", "=2"]), unique=True),
        "supports": st.lists(
            st.fixed_dictionaries({"vo": st.sampled_from(["a", "b", "#c"]), "vcpu": scalars}),
            unique_by=lambda share: share["vo"],
        ),
        "extensions": st.dictionaries(st.text("ab=#", min_size=1, max_size=2), st.text(max_size=2)),
    }
)


@given(bodies, bodies)
def test_setting_what_differs_gives_the_other_state(old: dict[str, Any], new: dict[str, Any]) -> None:
    back = {path: was for path, (was, _) in paths_changed(old, new).items()}
    assert flat(with_values(new, back)) == flat(old)
    assert bool(changes(old, new)) == (flat(old) != flat(new))


@given(bodies, bodies, bodies)
def test_undo_of_one_change_keeps_another(
    old: dict[str, Any], new: dict[str, Any], later: dict[str, Any]
) -> None:
    """A later change of other fields stays as it is."""
    kept = {**new, "extensions": later["extensions"]}
    undone = {path: was for path, (was, _) in paths_changed(old, new).items() if path[0] != "extensions"}
    made = with_values(kept, undone)
    assert flat({"e": made["extensions"]}) == flat({"e": later["extensions"]})
    assert made["name"] == old["name"]


def test_a_value_that_was_not_there_is_taken_out() -> None:
    assert with_values({"extensions": {"a": "1"}}, {("extensions", "a"): MISSING}) == {"extensions": {}}
