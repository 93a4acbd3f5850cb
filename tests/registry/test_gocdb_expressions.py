"""The `extensions` expressions of GOCDB's interface: what they mean, and that none of them takes long to refuse."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select

from hanse.database import Database
from registry.gocdb.expressions import (
    MOST_CHARACTERS,
    MOST_GROUPS,
    BadExpression,
    Group,
    condition,
    parse,
)
from registry.models import ExtensionProperty, Ngi, Site

KEYS = st.text("AbZ09@_-[]+. ", min_size=1, max_size=12).filter(lambda key: key == key.strip())
VALUES = st.text(max_size=12)
GROUPS = st.lists(
    st.builds(Group, st.sampled_from(("AND", "OR", "NOT")), KEYS, VALUES), min_size=1, max_size=MOST_GROUPS
)


def written(groups: list[Group]) -> str:
    def value(text: str) -> str:
        return "".join(f"\\{one}" if one in "()\\" else one for one in text)

    return " ".join(f"{group.operator} ({group.key}={value(group.value)})" for group in groups)


@given(GROUPS)
def test_what_is_written_is_read_back(groups: list[Group]) -> None:
    assert parse(written(groups)) == groups


def test_a_group_takes_the_operator_of_the_one_before_it() -> None:
    found = parse(r"(VO=vo.a)(tier=1)NOT(region=west)(x=)OR(mode=\(x\))(y=1)")
    assert found == [
        ("AND", "VO", "vo.a"),
        ("AND", "tier", "1"),
        ("NOT", "region", "west"),
        ("NOT", "x", ""),
        ("OR", "mode", "(x)"),
        ("OR", "y", "1"),
    ]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "VO=a",
        "(VO=a",
        "(VO)",
        "(=a)",
        "( =a)",
        "(VO=(a))",
        "(VO=a)XOR(b=c)",
        "(VO=a)AND",
        "and(VO=a)",
        "(VO=a),(b=c)",
        "(V;O=a)",
        f"({'k' * 256}=a)",
        f"(k={'v' * 256})",
        r"(k=\x)",
        "((VO=a)(b=c))",
    ],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(BadExpression):
        parse(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 1_000_000,
        "(a=b)" * 100_000,
        " " * (MOST_CHARACTERS - 1) + "x",
        ("(a=b) " + " " * 100) * 60,
        "(a=" + "\\(" * 3000,
        "(" + "a " * 3900,
        "AND " * 1999,
        "(a=" + "(" * 7000 + ")" * 900,
    ],
)
def test_hostile_depth_and_length_are_refused_at_once(expression: str) -> None:
    began = time.perf_counter()
    with pytest.raises(BadExpression):
        parse(expression)
    assert time.perf_counter() - began < 0.5


@given(st.text("(=)\\ ANDORTabc", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        groups = parse(text)
    except BadExpression:
        return
    assert 1 <= len(groups) <= MOST_GROUPS


@pytest.fixture(scope="module")
def sites(module_database_for) -> tuple[Database, dict[str, dict[str, str]]]:  # type: ignore[no-untyped-def]
    """Sites with all combinations of two keys that are absent, "1" or "2"."""
    db = module_database_for("registry")
    held: dict[str, dict[str, str]] = {}
    with db.transaction() as session:
        session.execute(insert(Ngi), {"id": 1, "name": "NGI"})
        for index, (a, b) in enumerate((a, b) for a in ("", "1", "2") for b in ("", "1", "2")):
            name, number = f"S{index}", index + 10
            held[name] = {key: value for key, value in (("a", a), ("b", b)) if value}
            site = {
                "id": number, "primary_key": f"{number}G0", "name": name, "ngi_id": 1, "official_name": name,
                "country": "Spain", "country_code": "ES", "certification": "Certified", "production": True,
                "scopes": ["EGI"], "usage_site_names": [name],
            }  # fmt: skip
            session.execute(insert(Site), site)
            for key, value in held[name].items():
                session.execute(insert(ExtensionProperty), {"site_id": number, "key": key, "value": value})
    return db, held


def holds(groups: list[Group], held: dict[str, str]) -> bool:
    """The meaning in Python: from left to right."""
    result: bool | None = None
    for group in groups:
        has = group.key in held and (not group.value or held[group.key] == group.value)
        wanted = not has if group.operator == "NOT" else has
        if result is None:
            result = wanted
        else:
            result = result or wanted if group.operator == "OR" else result and wanted
    return bool(result)


SMALL = st.builds(
    Group,
    st.sampled_from(("AND", "OR", "NOT")),
    st.sampled_from(("a", "b", "c")),
    st.sampled_from(("", "1", "2")),
)


@given(groups=st.lists(SMALL, min_size=1, max_size=8))
def test_the_database_finds_what_the_expression_means(
    sites: tuple[Database, dict[str, dict[str, str]]], groups: list[Group]
) -> None:
    db, held = sites
    with db.transaction() as session:
        where = condition(written(groups), lambda: ExtensionProperty.site_id == Site.id)
        found = set(session.scalars(select(Site.name).where(where)))
    assert found == {name for name, has in held.items() if holds(groups, has)}


def test_the_longest_expression_is_answered_quickly(
    sites: tuple[Database, dict[str, dict[str, str]]],
) -> None:
    db, _ = sites
    began = time.perf_counter()
    with db.transaction() as session:
        where = condition("OR(a=1)" * MOST_GROUPS, lambda: ExtensionProperty.site_id == Site.id)
        assert session.scalars(select(Site.name).where(where)).all()
    assert time.perf_counter() - began < 2
