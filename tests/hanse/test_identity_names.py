"""Distinguished names: spellings, round trips, and what counts as the same name."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from demo.ca import CertificateAuthority
from hanse.identity import names
from hanse.identity.nameparts import Attribute, emit
from hanse.identity.names import NameFault

OIDS = ["2.5.4.3", "2.5.4.6", "2.5.4.10", "2.5.4.11", "2.5.4.4", "1.2.840.113549.1.9.1", "1.2.3.4.5"]
STRING_TYPES = {12: "utf-8", 19: "ascii", 22: "ascii", 30: "utf-16-be", 28: "utf-32-be", 20: "latin-1"}
AWKWARD = [
    "host/acct.cesnet.example", "robot/transfer", "a+b", "a+CN=b", "a/CN=b", "#1234", "# x", " x ",
    'say "hi"', "back\\slash", "\\", "\\x41", "\\/", "a,b;c<d>e", "Robot: data:transfer", "Eliška Malá", "=", "x\ty",
    "a\\2Bb", " ", "", "\\\x1f", "/", "+", "a\\/CN=b", "x/1.2.3=4",
]  # fmt: skip
letters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
values = st.text(letters, max_size=12) | st.sampled_from(AWKWARD) | st.text("\\/+=#x4 C", max_size=8)


def attribute(oid: str, text: str) -> Attribute:
    return Attribute(oid, emit(12, text.encode()))


def rdn(pairs: list[tuple[str, str]]) -> tuple[Attribute, ...]:
    return tuple(attribute(oid, text) for oid, text in pairs)


rdn_lists = st.lists(
    st.lists(st.tuples(st.sampled_from(OIDS), values), min_size=1, max_size=3, unique=True).map(rdn),
    min_size=1,
    max_size=5,
)


@given(rdn_lists, st.booleans())
def test_slash_form_reads_back_as_the_same_name(parts: list[names.Rdn], ascii_only: bool) -> None:
    der = names.encode(parts)
    text = names.slash(der, ascii=ascii_only)
    assert names.canonical(names.from_slash(text)) == names.canonical(der)
    assert not ascii_only or text.isascii()


@given(rdn_lists, st.booleans())
def test_rfc2253_form_reads_back_as_the_same_name(parts: list[names.Rdn], ascii_only: bool) -> None:
    der = names.encode(parts)
    text = names.rfc2253(der, ascii=ascii_only)
    assert names.canonical(names.from_rfc2253(text)) == names.canonical(der)
    assert not ascii_only or text.isascii()


@given(rdn_lists)
def test_names_that_print_alike_are_alike(parts: list[names.Rdn]) -> None:
    """No two names share a printed form: CN=x/CN=y in one value is not two values."""
    der = names.encode(parts)
    assert names.slash(names.from_slash(names.slash(der))) == names.slash(der)
    assert names.rfc2253(names.from_rfc2253(names.rfc2253(der))) == names.rfc2253(der)


def outcome(read: Callable[[], object]) -> str:
    """Empty when it could be read, the sentence otherwise; any other exception is a failure."""
    try:
        read()
    except NameFault as fault:
        return str(fault)
    return ""


@given(st.text(max_size=60) | st.text('/\\+=CNxOU,"#41. ', max_size=40))
def test_any_text_is_a_name_or_a_sentence(text: str) -> None:
    for read in (names.parse, names.from_slash, names.from_rfc2253):
        assert outcome(lambda read=read: read(text))[-1:] in ("", ".")  # type: ignore[misc]


@given(st.binary(max_size=60))
def test_any_bytes_are_a_name_or_a_sentence(junk: bytes) -> None:
    for read in (names.slash, names.rfc2253, names.canonical, names.lookup_hash):
        assert outcome(lambda read=read: read(junk))[-1:] in ("", ".")  # type: ignore[misc]


@given(
    st.lists(st.tuples(st.sampled_from(OIDS), st.text("abc XYZ019", max_size=8)), min_size=1, max_size=4),
    st.data(),
)
def test_the_string_type_does_not_change_a_name(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    def boxed(oid: str, text: str) -> names.Rdn:
        tag = data.draw(st.sampled_from(sorted(STRING_TYPES)))
        return (Attribute(oid, emit(tag, text.encode(STRING_TYPES[tag]))),)

    one = names.encode([boxed(*pair) for pair in pairs])
    other = names.encode([boxed(*pair) for pair in pairs])
    assert names.canonical(one) == names.canonical(other)
    assert names.same(one, other)
    assert names.slash(one) == names.slash(other)


def test_case_spaces_and_order_are_part_of_a_name() -> None:
    base = names.canonical(names.from_slash("/O=Hanse Demo/CN=Anna Lindqvist"))
    for other in (
        "/O=Hanse Demo/CN=anna Lindqvist",
        "/O=Hanse Demo/CN=Anna  Lindqvist",
        "/CN=Anna Lindqvist/O=Hanse Demo",
    ):
        assert names.canonical(names.from_slash(other)) != base


@pytest.mark.parametrize(
    "spelling",
    [
        "/C=EU/O=Hanse Demo/CN=Anna Lindqvist/emailAddress=anna@cesnet.example",
        "/C=EU/O=Hanse Demo/CN=Anna Lindqvist/Email=anna@cesnet.example",
        "/C=EU/O=Hanse Demo/CN=Anna Lindqvist/E=anna@cesnet.example",
        "/c=EU/o=Hanse Demo/cn=Anna Lindqvist/EMAILADDRESS=anna@cesnet.example",
        "/C=EU/O=Hanse Demo/CN=Anna Lindqvist/1.2.840.113549.1.9.1=anna@cesnet.example",
        "emailAddress=anna@cesnet.example,CN=Anna Lindqvist,O=Hanse Demo,C=EU",
        "E=anna@cesnet.example, CN=Anna Lindqvist, O=Hanse Demo, C=EU",
        "Email=anna@cesnet.example;CN=Anna Lindqvist;O=Hanse Demo;C=EU",
        'OID.1.2.840.113549.1.9.1=anna@cesnet.example,CN="Anna Lindqvist",O=Hanse Demo,C=EU',
        "1.2.840.113549.1.9.1=#1613616e6e61406365736e65742e6578616d706c65,CN=Anna Lindqvist, O=Hanse Demo, C=EU",
    ],
)
def test_spellings_of_one_name(spelling: str) -> None:
    expected = names.from_slash("/C=EU/O=Hanse Demo/CN=Anna Lindqvist/emailAddress=anna@cesnet.example")
    assert names.canonical(names.parse(spelling)) == names.canonical(expected)


@pytest.mark.parametrize(
    "spelling",
    [
        "/O=Hanse Demo/CN=Eliška Malá",
        r"/O=Hanse Demo/CN=Eli\xC5\xA1ka Mal\xC3\xA1",
        r"/O=Hanse Demo/CN=Eli\xc5\xa1ka Mal\xc3\xa1",
        "CN=Eliška Malá,O=Hanse Demo",
        r"CN=Eli\C5\A1ka Mal\C3\A1,O=Hanse Demo",
    ],
)
def test_letters_outside_ascii_are_text_or_escaped(spelling: str) -> None:
    der = names.parse(spelling)
    assert names.slash(der) == "/O=Hanse Demo/CN=Eliška Malá"
    assert names.slash(der, ascii=True) == r"/O=Hanse Demo/CN=Eli\xC5\xA1ka Mal\xC3\xA1"
    assert names.rfc2253(der) == "CN=Eliška Malá,O=Hanse Demo"
    assert names.rfc2253(der, ascii=True) == r"CN=Eli\C5\A1ka Mal\C3\A1,O=Hanse Demo"


@pytest.mark.parametrize(
    ("slash", "rfc2253", "attributes"),
    [
        ("/O=H/CN=host/a.cesnet.example", "CN=host/a.cesnet.example,O=H", [["H"], ["host/a.cesnet.example"]]),
        (r"/O=Hanse/CN=robot\/transfer", "CN=robot/transfer,O=Hanse", [["Hanse"], ["robot/transfer"]]),
        (r"/O=A\+B/CN=x", r"CN=x,O=A\+B", [["A+B"], ["x"]]),
        ("/O=Hanse/CN=x+UID=y", "CN=x+UID=y,O=Hanse", [["Hanse"], ["x", "y"]]),
        ("/O=H/CN=Robot: a:b: c", "CN=Robot: a:b: c,O=H", [["H"], ["Robot: a:b: c"]]),
        (r"/CN=x\/CN=y", "CN=x/CN=y", [["x/CN=y"]]),
        ("/CN=x/CN=y", "CN=y,CN=x", [["x"], ["y"]]),
        ("/O=Hanse, Inc./CN=x", r"CN=x,O=Hanse\, Inc.", [["Hanse, Inc."], ["x"]]),
        ("/O=/CN=x", "CN=x,O=", [[""], ["x"]]),
    ],
)  # fmt: skip
def test_separators_inside_values(slash: str, rfc2253: str, attributes: list[list[str]]) -> None:
    for der in (names.from_slash(slash), names.from_rfc2253(rfc2253)):
        texts = [sorted(a.text or "" for a in part) for part in names.rdns(der)]
        assert texts == [sorted(part) for part in attributes]
    assert names.canonical(names.from_slash(slash)) == names.canonical(names.from_rfc2253(rfc2253))


def test_one_rdn_with_a_slash_is_not_two_rdns() -> None:
    inside = names.encode([(attribute("2.5.4.3", "x/CN=y"),)])
    beside = names.from_slash("/CN=x/CN=y")
    assert names.canonical(inside) != names.canonical(beside)
    assert names.slash(inside) != names.slash(beside)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no known attribute"),
        ("Anna Lindqvist", "no known attribute"),
        ("/Nonsense=x", "no known attribute"),
        ("/x/CN=y", "no known attribute"),
        ("CN=x,Nonsense=y", "no known attribute"),
        ("CN=x,", "no known attribute"),
        (r"/CN=\xFF", "not UTF-8"),
        (r"CN=\FF", "not UTF-8"),
        ("/CN=a\x00b", "zero character"),
        ("/CN=" + "x" * 9000, "longer than"),
        ("/CN=#zz", None),
        ("CN=#0c05", "DER"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(text: str, sentence: str | None) -> None:
    if sentence is None:
        assert names.rdns(names.parse(text))[0][0].text == "#zz"
        return
    with pytest.raises(NameFault, match=sentence):
        names.parse(text)


def test_common_name_is_the_last_one() -> None:
    assert names.common_name(names.from_slash("/O=Hanse/CN=Anna/CN=12345")) == "12345"
    assert names.common_name(names.from_slash("/O=Hanse")) is None


@pytest.mark.peer("openssl")
@pytest.mark.parametrize(
    "subject",
    [
        "/C=EU/O=Hanse Demo/OU=People/CN=Eliška Malá/emailAddress=e.mala@cesnet.example",
        "/DC=org/DC=Example Grid/CN=robot/transfer/UID=x",
        r"/C=EU/O=A\+B/CN=dom\user+UID=u  1/serialNumber=7/title=Dr",
    ],
)
def test_printed_as_openssl_prints_it(tmp_path: Path, subject: str) -> None:
    ca = CertificateAuthority.create(tmp_path, "Hanse Demo CA")
    issued = ca.issue(subject, file_name="x")
    der = names.subject_der(issued.cert)
    assert der == names.from_slash(subject)

    def asked(*options: str) -> str:
        command = ["openssl", "x509", "-in", str(issued.cert_path), "-noout", *options]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.rstrip("\n")

    assert asked("-subject", "-nameopt", "compat") == "subject=" + names.slash(der, ascii=True)
    assert asked("-subject", "-nameopt", "RFC2253") == "subject=" + names.rfc2253(der, ascii=True)
    assert asked("-subject_hash") == names.lookup_hash(der)
    assert asked("-issuer_hash") == names.lookup_hash(names.issuer_der(issued.cert))
    assert issued.cert.subject.public_bytes() == der
    assert ca.bundle.read_bytes() == ca.cert.public_bytes(Encoding.PEM)


def test_a_large_certificate_of_a_stranger_is_read_and_not_remembered() -> None:
    names._kept_names.cache_clear()
    name = names.from_slash("/C=EU/CN=A stranger")
    for filling, kept in ((10, 1), (20_000, 1)):
        body = b"".join(
            (emit(2, b"\x01"), emit(16, b"", constructed=True), name, emit(4, bytes(filling)), name)
        )
        assert names._tbs_names(emit(16, body, constructed=True)) == (name, name)
        assert names._kept_names.cache_info().currsize == kept
