"""Groups, roles and attributes of the other service that the VO does not have yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy.orm import Session

from hanse.errors import HanseError
from hanse.identity.principals import Principal
from hanse.identity.voms import VomsError, split_fqan
from vomsdb import generic_attributes, groups
from vomsdb.importing.records import Contents
from vomsdb.importing.report import Finding
from vomsdb.models import AttributeClass, Group, Role

LONGEST = 200


def sentence(fault: HanseError) -> str:
    """What our rules refused, with the fields."""
    return " ".join([fault.detail, *(f"{one.field}: {one.reason}" for one in fault.fields)])


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:LONGEST]


def build(session: Session, vo: str, contents: Contents, by: Principal) -> list[Finding]:
    """Makes what is missing, groups after those above them; what our rules refuse is told and left out."""
    building = _Building(session, vo, contents, by)
    building.groups()
    building.roles()
    building.attributes()
    building.shared()
    return building.findings


class _Building:
    """What is made in one VO."""

    def __init__(self, session: Session, vo: str, contents: Contents, by: Principal) -> None:
        self._session, self._vo, self._contents, self._by = session, vo, contents, by
        self.findings: list[Finding] = []

    def groups(self) -> None:
        """By path, so that a group comes after the one it is in."""
        wanted = {path: text for path, text in self._contents.groups.items() if path != f"/{self._vo}"}
        for path in sorted(self._with_parents(list(wanted))):
            if self._session.get(Group, path) is None:
                text = _clean(wanted.get(path, ""))
                act = partial(groups.create_group, self._session, self._vo, path, text, self._by)
                self._try("group", path, act)

    def _with_parents(self, wanted: list[str]) -> set[str]:
        found: set[str] = set()
        for path in wanted:
            try:
                found.update(groups.upwards(split_fqan(path)[0], self._vo))
            except (VomsError, ValueError):
                note = f"is no group of {self._vo}"
                self.findings.append(Finding("skip", "group", path[:100], path[:100], notes=(note,)))
        return found

    def roles(self) -> None:
        """By name."""
        for name, text in sorted(self._contents.roles.items()):
            if self._kept("role", name) and self._session.get(Role, (self._vo, name)) is None:
                act = partial(groups.create_role, self._session, self._vo, name, _clean(text), self._by)
                self._try("role", name, act)

    def attributes(self) -> None:
        """By name."""
        for name, (text, distinct) in sorted(self._contents.attributes.items()):
            if self._kept("attribute", name) and self._session.get(AttributeClass, (self._vo, name)) is None:
                given = AttributeClass(
                    vo=self._vo, name=name, description=_clean(text), distinct_values=distinct
                )
                act = partial(generic_attributes.define, self._session, self._vo, given, self._by)
                self._try("attribute", name, act)

    def shared(self) -> None:
        """Values of groups and roles; what stands here already stays."""
        present = {
            (generic_attributes.fqan_of(row), row.name)
            for row in generic_attributes.of_groups(self._session, self._vo)
        }
        for fqan, name, value in self._contents.shared:
            if (fqan, name) not in present and self._kept("attribute value", f"{fqan} {name}{value}"):
                act = partial(
                    generic_attributes.set_of_fqan, self._session, self._vo, fqan, name, value, self._by
                )
                self._try("attribute value", f"{fqan} {name}", act)

    def _kept(self, kind: str, name: str) -> bool:
        """Whether a database can keep the name; one that it cannot is told."""
        if not name.isprintable():
            note = "has signs in it that cannot be printed"
            self.findings.append(Finding("skip", kind, repr(name), repr(name), notes=(note,)))
        return name.isprintable()

    def _try(self, kind: str, name: str, act: Callable[[], object]) -> None:
        try:
            with self._session.begin_nested():
                act()
        except HanseError as fault:
            self.findings.append(Finding("skip", kind, name, name, notes=(sentence(fault),)))
        else:
            self.findings.append(Finding("add", kind, name, name))
