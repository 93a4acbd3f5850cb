"""Permissions: who may, where, and the sentence for who may not."""

from __future__ import annotations

import pytest

from hanse.errors import Forbidden, Unauthorised
from hanse.identity.permissions import PUBLIC, SIGNED_IN, Permission, allows, check, scope_of, who_may
from hanse.identity.principals import ANONYMOUS, Grant, Principal

DECLARE = Permission(
    "declare downtimes",
    frozenset({"site_administrator", "ngi_manager", "federation_operator"}),
    "site:{site}",
)


def person(*grants: tuple[str, str], name: str = "Eliška Malá") -> Principal:
    return Principal("person:1", "x509", name, grants=frozenset(Grant(role, scope) for role, scope in grants))


ELISKA = person(("site_administrator", "site:CESNET"))
INGRID = person(("federation_operator", "federation"), name="Ingrid Holm")
MARTA = person(("vo_manager", "vo:training.egi.eu"), name="Marta Kowalska")


@pytest.mark.parametrize(
    ("who", "scopes", "may"),
    [
        (ELISKA, ["site:CESNET"], True),
        (ELISKA, ["site:BIFI"], False),
        (ELISKA, ["site:CESNET "], False),
        (ELISKA, ["ngi:NGI_CZ", "site:CESNET"], True),
        (ELISKA, [], True),
        (ELISKA, ["federation"], False),
        (INGRID, ["site:CESNET"], True),
        (INGRID, ["federation"], True),
        (MARTA, ["site:CESNET"], False),
        (MARTA, [], False),
        (ANONYMOUS, ["site:CESNET"], False),
        (person(("site_administrator", "vo:CESNET")), ["site:CESNET"], False),
        (person(("ngi_manager", "ngi:NGI_CZ")), ["site:CESNET", "ngi:NGI_CZ"], True),
        (person(("ngi_manager", "ngi:NGI_MK")), ["site:CESNET", "ngi:NGI_CZ"], False),
    ],
)
def test_who_may_declare_a_downtime(who: Principal, scopes: list[str], may: bool) -> None:
    assert allows(who, DECLARE, *scopes) is may
    if may:
        check(who, DECLARE, *scopes)
    else:
        with pytest.raises((Forbidden, Unauthorised)):
            check(who, DECLARE, *scopes)


def test_a_federation_wide_grant_of_an_unlisted_role_gives_nothing() -> None:
    assert not allows(person(("service", "federation")), DECLARE, "site:CESNET")
    assert allows(person(("site_administrator", "federation")), DECLARE, "site:CESNET")


def test_public_and_signed_in() -> None:
    assert allows(ANONYMOUS, PUBLIC)
    assert not allows(ANONYMOUS, SIGNED_IN)
    assert allows(person(), SIGNED_IN)


def test_the_sentence_says_who_may() -> None:
    with pytest.raises(Unauthorised) as unknown:
        check(ANONYMOUS, DECLARE, "site:CESNET")
    assert unknown.value.detail == (
        "Sign in with a certificate or a token: a site administrator of site CESNET, an NGI manager or "
        "a federation operator may declare downtimes."
    )
    with pytest.raises(Forbidden) as forbidden:
        check(MARTA, DECLARE, "site:CESNET", "ngi:NGI_CZ")
    assert forbidden.value.detail == (
        "Only a site administrator of site CESNET, an NGI manager of NGI NGI_CZ or a federation operator "
        "may declare downtimes; you are signed in as Marta Kowalska."
    )
    assert who_may(SIGNED_IN) == "people who are signed in"
    assert who_may(PUBLIC) == "everybody"


def test_the_scope_comes_from_the_arguments_of_the_path() -> None:
    assert scope_of(DECLARE, {"site": "CESNET", "other": 1}) == "site:CESNET"
    assert scope_of(SIGNED_IN, {"site": "CESNET"}) is None
    with pytest.raises(KeyError):
        scope_of(DECLARE, {"vo": "x"})


def test_a_misspelt_role_is_found_when_the_permission_is_made() -> None:
    with pytest.raises(ValueError, match="unknown role 'site_admin'"):
        Permission("x", frozenset({"site_admin"}))


def test_a_role_holds_in_its_scope_or_in_the_whole_federation() -> None:
    assert ELISKA.has("site_administrator", "site:CESNET")
    assert not ELISKA.has("site_administrator", "site:BIFI")
    assert INGRID.has("federation_operator", "site:CESNET")
    assert ELISKA.scopes("site_administrator") == {"site:CESNET"}
    assert not ANONYMOUS.signed_in
