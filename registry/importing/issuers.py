"""Who issued a certificate, of which GOCDB tells the subject alone: the signing policies of the trust folder say it.

Each CA of the IGTF distribution comes with `*.signing_policy`, which names the CA and the subjects that it may sign.
An identity is a subject and its issuer, so that a subject is linked only where exactly one CA claims it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from hanse.errors import FieldFault, Refused
from hanse.identity import names
from hanse.identity.principals import X509Identity

_CA: Final = re.compile(r"^\s*access_id_CA\s+X509\s+'([^']{1,2000})'", re.MULTILINE)
_SUBJECTS: Final = re.compile(r"^\s*cond_subjects\s+globus\s+'([^']{1,20000})'", re.MULTILINE)
_LIMIT: Final = 200_000


@dataclass(frozen=True)
class Issuer:
    """A CA by its name in slash form, and the patterns of the subjects that it signs (`*` stands for anything)."""

    name: str
    subjects: tuple[str, ...]

    def claims(self, subject: str) -> bool:
        """Whether the CA may have signed this subject."""
        return any(fnmatchcase(subject, pattern.replace("[", "[[]")) for pattern in self.subjects)


def read_policies(folder: Path) -> list[Issuer]:
    """The CAs of a trust folder that have a signing policy. Raises Refused when there is none."""
    found = []
    for file in sorted(folder.glob("*.signing_policy")):
        if file.stat().st_size <= _LIMIT:
            found += _policies(file.read_text(encoding="utf-8", errors="replace"))
    if not found:
        raise Refused(
            f"{folder} holds no signing policy.",
            FieldFault("issuers", "give the folder of the CAs, with files such as HanseCA.signing_policy"),
        )
    return found


def _policies(text: str) -> list[Issuer]:
    """One CA after the other: its subjects stand between its name and the next one."""
    starts = list(_CA.finditer(text))
    ends = [*(one.start() for one in starts[1:]), len(text)]
    found = []
    for start, end in zip(starts, ends, strict=True):
        subjects = _SUBJECTS.search(text, start.end(), end)
        if subjects is not None:
            patterns = re.findall(r'"([^"]+)"', subjects[1]) or [subjects[1].strip()]
            found.append(Issuer(start[1], tuple(patterns)))
    return found


def identity_of(subject: str, issuers: Sequence[Issuer]) -> X509Identity | str:
    """The identity behind a subject in slash form, or why there is none."""
    claiming = sorted({one.name for one in issuers if one.claims(subject)})
    if not claiming:
        return "no signing policy says who issued it; give the CAs with --issuers, or let the person link it"
    if len(claiming) > 1:
        return f"several CAs may have issued it ({'; '.join(claiming)})"
    try:
        return X509Identity(names.parse(subject), names.parse(claiming[0]))
    except ValueError as error:
        return f"it cannot be read: {error}"
