"""What single fields take and refuse. The old registry's weaknesses (reference 3) have a test each."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hanse.identity import names
from registry.schemas import fields


def read(kind: Any, text: str) -> Any:
    return TypeAdapter(kind).validate_python(text)


def refused(kind: Any, text: str) -> str:
    with pytest.raises(ValidationError) as caught:
        read(kind, text)
    return str(caught.value)


# --- weaknesses of the old registry -------------------------------------------------------------------------


def test_the_old_one_refused_accents_in_names_of_people() -> None:
    assert read(fields.Line, "José Ødegård-Müller") == "José Ødegård-Müller"


def test_the_old_one_refused_accents_in_official_names_and_places() -> None:
    assert read(fields.Line, "Universität Zürich, Informatik") == "Universität Zürich, Informatik"


@pytest.mark.parametrize("kind", [fields.Description, fields.LongDescription, fields.Reason])
def test_the_old_one_refused_apostrophes_and_quotes(kind: Any) -> None:
    text = "The site's switch; \"core\" <b>, O'Neill & `him`"
    assert read(kind, text) == text


@pytest.mark.parametrize("text", ["300.1.1.1", "1.2.3", "1.2.3.4.5", "192.0.2.010", "1.2.3.-4", "::1"])
def test_the_old_one_accepted_300_1_1_1(text: str) -> None:
    assert "must be an IPv4 address" in refused(fields.Ipv4, text)


@pytest.mark.parametrize("text", ["12345::", "::1::", "fe80::1%eth0", "1.2.3.4", ":::", "abcd"])
def test_the_old_one_took_colons_and_hexadecimal_for_ipv6(text: str) -> None:
    assert "must be an IPv6 address" in refused(fields.Ipv6, text)


def test_the_old_one_knew_no_prefix_lengths() -> None:
    given_text = "192.0.2.0/24, 198.51.100.0/255.255.255.0; 203.0.113.7"
    assert read(fields.Ipv4Range, given_text) == "192.0.2.0/24, 198.51.100.0/255.255.255.0, 203.0.113.7"
    assert read(fields.Ipv6Range, "2001:DB8:0::/32 2001:db8::1") == "2001:db8::/32, 2001:db8::1"


def test_the_old_one_refused_colons_in_host_names_of_robots() -> None:
    robot = "/DC=org/DC=example/CN=Robot: Data Manager - Ada"
    assert read(fields.DistinguishedName, robot) == robot


def test_the_old_one_took_names_in_slash_form_only() -> None:
    assert (
        read(fields.DistinguishedName, "CN=host/acct.example.org,O=Example\\, Inc,DC=example,DC=org")
        == "/DC=org/DC=example/O=Example, Inc/CN=host/acct.example.org"
    )


def test_the_old_one_let_service_addresses_without_structure_pass() -> None:
    for text in (
        "host.example:2170/path",
        "https://",
        "//occi.example",
        "https:///x",
        "http://a..b/",
        "-._~",
    ):
        assert fields._WHOLE_URL in refused(fields.Url, text)


@pytest.mark.parametrize(
    "text", ["a1b2c3@egi.eu", "E2BA6E3D-4B2A-4A0B-9E9B-0A8A7E8B6C11", "auth0|5f7c8ec7c33c"]
)
def test_the_old_one_took_lower_case_uuids_only_as_subjects_of_identity_providers(text: str) -> None:
    assert read(fields.ProviderSubject, text) == text


def test_the_old_one_refused_dots_and_hyphens_in_names_of_service_groups() -> None:
    assert read(fields.ServiceGroupName, "SLA.training-2026") == "SLA.training-2026"


# --- each field ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "https://occi.site.example:11443/",
        "http://[2001:db8::1]:8787/occi1.1?x=y#z",
        "srm://se.site.example:8446/srm/managerv2?SFN=/data",
        "ldap://bdii.site.example:2170/mds-vo-name=SITE,o=grid",
        "https://127.0.0.1:7010/a%20b",
    ],
)
def test_addresses_of_services_stay_as_they_are(text: str) -> None:
    assert read(fields.Url, text) == text


@pytest.mark.parametrize(
    "text",
    [
        "https://a.example:99999/",
        "https://a.example:0/",
        "https://[2001:db8::1/",
        "https://[fe80::1%25eth0]/",
        "https://a.example/%zz",
        "https://a.example/a b",
        "https://a.example/<script>",
        "javascript:alert(1)",
    ],
)
def test_addresses_that_lead_nowhere_are_refused(text: str) -> None:
    refused(fields.Url, text)


def test_an_address_holds_no_password() -> None:
    assert "user name or password" in refused(fields.Url, "https://admin:secret@occi.example/")


@pytest.mark.parametrize("text", ["occi.site.example", "my_host.site.example", "A.B", "x-1.example.org"])
def test_host_names_may_have_underscores(text: str) -> None:
    assert read(fields.Hostname, text) == text.lower()


@pytest.mark.parametrize(
    "text", ["localhost", "a..b", ".a.b", "a.b.", "-a.b", "a-.b", "a b.c", "é.example", "x" * 64 + ".example"]
)
def test_a_single_label_or_a_crooked_one_is_no_host_name(text: str) -> None:
    assert "full host name" in refused(fields.Hostname, text)


@pytest.mark.parametrize("text", ["Europe/Madrid", "UTC", "America/Argentina/Buenos_Aires"])
def test_time_zones_are_those_of_the_world(text: str) -> None:
    assert read(fields.TimeZone, text) == text


@pytest.mark.parametrize("text", ["Mars/Olympus", "../etc/passwd", "europe/madrid", "", "CEST"])
def test_what_is_no_time_zone_is_refused(text: str) -> None:
    assert "Europe/Madrid" in refused(fields.TimeZone, text)


def test_a_domain_is_a_name_of_the_network() -> None:
    assert read(fields.Domain, "CESNET.cz") == "cesnet.cz"
    for text in ("two words.example", "example", "192.0.2.1", "https://x.example"):
        assert "must be a domain" in refused(fields.Domain, text)


def test_an_address_is_no_host_name() -> None:
    assert "in its own field" in refused(fields.Hostname, "192.0.2.10")


def test_a_host_name_ends_at_253_characters() -> None:
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert len(longest) == 253
    assert read(fields.Hostname, longest) == longest
    refused(fields.Hostname, f"{longest}b")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("ops@site.example", "ops@site.example"),
        ("a@x.example, b@x.example ;c@x.example", "a@x.example;b@x.example;c@x.example"),
        ("a@x.example;a@x.example;", "a@x.example"),
        ("o'neill+grid@x.example", "o'neill+grid@x.example"),
    ],
)
def test_lists_of_mail_addresses_are_kept_with_semicolons(text: str, kept: str) -> None:
    assert read(fields.EmailList, text) == kept


@pytest.mark.parametrize("text", ["a@", "@b", "a b@c", "a@b@c", "a@-x", ";", "Ada <a@b.c>", "a@b..c"])
def test_what_is_no_mail_address_is_refused(text: str) -> None:
    assert "e-mail address" in refused(fields.EmailList, text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("+34 976 762 000", "+34 976 762 000"),
        ("(0034) 976-762.000,+34 1/23", "(0034) 976-762.000, +34 1/23"),
        ("+44 1235 445010 ext. 12", "+44 1235 445010 ext. 12"),
    ],
)
def test_telephone_numbers(text: str, kept: str) -> None:
    assert read(fields.Telephone, text) == kept


@pytest.mark.parametrize("text", ["call me", "+", "12", "++34 12345", ",", "1234 <b>"])
def test_what_is_no_telephone_number_is_refused(text: str) -> None:
    assert "telephone number" in refused(fields.Telephone, text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("192.0.2.0/33", "must be a range"),
        ("192.0.2.0/0.0.0.255", "must have a netmask"),
        ("192.0.2.0/255.0.255.0", "must be a range"),
        ("192.0.2.7/24", "the network is 192.0.2.0/24"),
        ("300.0.0.0/8", "must be a range"),
        (" ; ", "must be a range"),
    ],
)
def test_ranges_that_are_none(text: str, why: str) -> None:
    assert why in refused(fields.Ipv4Range, text)


def test_the_range_that_stands_for_nothing_in_old_entries_is_kept() -> None:
    assert read(fields.Ipv4Range, "0.0.0.0/255.255.255.255") == "0.0.0.0/255.255.255.255"


@pytest.mark.parametrize("text", ["garbage", "/foo=bar", "CN=a,foo=b", "/C=EU/O=a\n/CN=b", "/"])
def test_names_that_no_certificate_could_hold_are_refused(text: str) -> None:
    refused(fields.DistinguishedName, text)


@pytest.mark.parametrize("text", ["", "a b", "é@egi.eu", "x" * 256, "tab\there"])
def test_subjects_are_printable_ascii(text: str) -> None:
    refused(fields.ProviderSubject, text)


@pytest.mark.parametrize("text", ["VO", "a b", "x@y.z", "list[0]", "a+b", "_"])
def test_keys_of_properties_may_have_spaces_inside(text: str) -> None:
    assert read(fields.PropertyKey, text) == text


@pytest.mark.parametrize("text", ["", " a", "a ", "a/b", "a'b", "a=b", "x" * 256])
def test_keys_of_properties_have_none_at_their_ends(text: str) -> None:
    refused(fields.PropertyKey, text)


@pytest.mark.parametrize(
    "kind", [fields.SiteName, fields.NgiName, fields.ProjectName, fields.ServiceGroupName]
)
def test_names_that_are_addresses_of_pages_are_taken(kind: Any) -> None:
    assert "taken by a page" in refused(kind, "new")


# --- for all ------------------------------------------------------------------------------------------------


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_is_read(address: Any) -> None:
    assert read(fields.Ipv4, str(address)) == str(address)


@given(st.ip_addresses(v=6))
def test_every_ipv6_address_has_one_spelling(address: IPv6Address) -> None:
    assert (
        read(fields.Ipv6, address.exploded.upper()) == read(fields.Ipv6, address.compressed) == str(address)
    )


@given(st.lists(st.tuples(st.ip_addresses(v=4), st.integers(0, 32), st.booleans()), min_size=1, max_size=5))
def test_every_ipv4_network_is_read_in_both_spellings(wanted: list[tuple[Any, int, bool]]) -> None:
    networks = [(IPv4Network((address, prefix), strict=False), mask) for address, prefix, mask in wanted]
    text = "; ".join(network.with_netmask if mask else str(network) for network, mask in networks)
    found = read(fields.Ipv4Range, text)
    assert {IPv4Network(part) for part in found.split(", ")} == {network for network, _ in networks}
    assert read(fields.Ipv4Range, found) == found


@given(st.lists(st.tuples(st.ip_addresses(v=6), st.integers(0, 128)), min_size=1, max_size=5))
def test_every_ipv6_network_is_read(wanted: list[tuple[Any, int]]) -> None:
    networks = {IPv6Network((address, prefix), strict=False) for address, prefix in wanted}
    found = read(fields.Ipv6Range, ", ".join(network.exploded for network in networks))
    assert {IPv6Network(part) for part in found.split(", ")} == networks
    assert read(fields.Ipv6Range, found) == found


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
    .map(str.strip)
    .filter(bool)
)
def test_every_common_name_can_stand_in_a_host_name(common_name: str) -> None:
    der = names.encode(names.rdns(names.parse("/C=EU")) + names.rdns(_common_name(common_name)))
    for written in (names.slash(der), names.rfc2253(der)):
        try:
            kept = read(fields.DistinguishedName, written)
        except ValidationError as error:
            assert "one line" in str(error) or "control character" in str(error)  # noqa: PT017
            continue
        assert names.same(names.parse(kept), der)


def _common_name(text: str) -> bytes:
    return names.parse("CN=" + "".join(f"\\{byte:02X}" for byte in text.encode()))


@given(st.text(max_size=60))
def test_no_text_breaks_a_field(text: str) -> None:
    for kind in (
        fields.Ipv4, fields.Ipv6, fields.Ipv4Range, fields.Ipv6Range, fields.Hostname, fields.Url, fields.EmailList,
        fields.Telephone, fields.DistinguishedName, fields.ProviderSubject, fields.PropertyKey, fields.LdapUrl,
    ):  # fmt: skip
        try:
            kept = read(kind, text)
        except ValidationError:
            continue
        assert read(kind, kept) == kept
