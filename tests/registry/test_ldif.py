"""LDIF: what is written is read back as it was; changes lead from one tree to another."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.ldif import Entry, LdifError, changes, name_of, read
from registry.renderings.glue2_ldif import escaped, line, written

# all that UTF-8 and LDAP text can carry
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=300)
ATTRIBUTE = st.text(string.ascii_letters, min_size=1, max_size=20).filter(
    lambda name: name.lower() not in ("dn", "version", "objectclass")
)
ATTRIBUTES = st.dictionaries(
    ATTRIBUTE, st.lists(TEXT, min_size=1, max_size=3, unique=True), max_size=4
).filter(lambda found: len({name.lower() for name in found}) == len(found))
# ids of a tree of two levels
TREE = st.dictionaries(TEXT, st.tuples(ATTRIBUTES, st.dictionaries(TEXT, ATTRIBUTES, max_size=3)), max_size=4)


@given(TEXT, ATTRIBUTES)
def test_an_entry_is_read_back_as_it_was_written(value: str, attributes: dict[str, list[str]]) -> None:
    name = f"cn={escaped(value)},o=glue"
    text = written(name, attributes)
    assert all(len(part.encode()) <= 76 for part in text.split("\n"))
    assert text.isascii()
    (entry,) = read(text)
    assert entry.attributes == attributes
    assert name_of(entry.dn) == (("cn", value), ("o", "glue"))


@given(TEXT)
def test_a_name_is_the_same_however_it_is_escaped(value: str) -> None:
    hexadecimal = "".join(f"\\{byte:02X}" for byte in value.encode())
    assert name_of(f"CN={hexadecimal},o=glue") == name_of(f"cn={escaped(value)}, O=glue")


def entries(tree: dict[str, tuple[dict[str, list[str]], dict[str, dict[str, list[str]]]]]) -> list[Entry]:
    found = [Entry("o=glue", {"objectClass": ["organization"]})]
    for top, (attributes, below) in tree.items():
        name = f"ou={escaped(top)},o=glue"
        found.append(Entry(name, {"objectClass": ["top"], **attributes}))
        found += [
            Entry(f"cn={escaped(leaf)},{name}", {"objectClass": ["top"], **one})
            for leaf, one in below.items()
        ]
    return found


@given(TREE, TREE)
def test_the_changes_lead_from_one_tree_to_the_other(old: dict, new: dict) -> None:  # type: ignore[type-arg]
    before, after = entries(old), entries(new)
    directory = Directory(before)
    for change in read(changes(before, after).text):
        directory.apply(change)
    assert directory.content == Directory(after).content
    assert changes(after, after).none


class Directory:
    """An LDAP server as far as the order of changes goes: parents before children, leaves before their parents."""

    def __init__(self, found: list[Entry]) -> None:
        self.content = {name_of(one.dn): _attributes(one) for one in found}

    def apply(self, change: Entry) -> None:
        name = name_of(change.dn)
        given = dict(change.attributes)
        kind = given.pop("changetype")[0]
        if kind == "add":
            assert name not in self.content
            assert name[1:] in self.content
            self.content[name] = _attributes(Entry(change.dn, given))
        elif kind == "delete":
            assert not any(other[1:] == name for other in self.content)
            del self.content[name]
        else:
            for key in given.get("replace", []):
                self.content[name][key.lower()] = sorted(_value(given, key))
            for key in given.get("delete", []):
                del self.content[name][key.lower()]


def _attributes(one: Entry) -> dict[str, list[str]]:
    return {key.lower(): sorted(values) for key, values in one.attributes.items()}


def _value(given: dict[str, object], key: str) -> list[str]:
    return list(given[key])  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cn: x\n", "line 1: cn stands before any dn"),
        ("dn: o=x\nnonsense\n", "line 2: is no attribute"),
        ("dn: o=x\ndn: o=y\n", "line 2: a second dn"),
        ("dn: o=x\ncn:: !!\n", "line 2: is not base64"),
        ("dn: o=x\njpegPhoto:< file:///etc/passwd\n", "line 2: a value from an address"),
    ],
)
def test_what_is_no_ldif_is_told_by_its_line(text: str, words: str) -> None:
    with pytest.raises(LdifError, match=words):
        read(text)


def test_comments_versions_and_windows_lines_are_understood() -> None:
    found = read("version: 1\r\n# folded\r\n comment\r\ndn: o=x\r\ncn: a\r\n b\r\n\r\n")
    assert [(one.dn, one.attributes) for one in found] == [("o=x", {"cn": ["ab"]})]


def test_long_values_are_folded() -> None:
    assert max(map(len, line("cn", "x" * 500).split("\n"))) == 76
