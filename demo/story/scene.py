"""Where a story plays and who is in it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from demo.ca import CertificateAuthority
from demo.calls import Caller, Untrue
from demo.cast import OPERATOR, STORY_VO, Person, Site, person
from demo.credentials import issue_person
from demo.layout import Layout

FIRST_NAMES = ("Nora", "Emil", "Sofia", "Mikkel", "Irena", "Pavel", "Lucía", "Jonas", "Vesna", "Hedda")
LAST_NAMES = ("Berg", "Novotná", "Serrano", "Petrova", "Laine", "Kovač", "Holub", "Ortiz", "Dahl", "Simić")


class Scene:
    """A story's researcher, callers for everybody, and the telling of what was seen."""

    def __init__(self, layout: Layout, seed: int, console: Console) -> None:
        self.layout = layout
        self.dice = random.Random(seed)  # noqa: S311 - chooses a name and a site
        self.vo = STORY_VO
        self._console = console
        self._begun = time.monotonic()
        self._steps = 0
        name = f"{self.dice.choice(FIRST_NAMES)} {self.dice.choice(LAST_NAMES)}"
        # The DN must be new at each run; grid CAs tell namesakes apart in the same way.
        number = f"{time.time_ns() // 10**6 % 10**10:010d}"
        self.researcher = Person(f"{name} {number}", f"researcher{number}@university.example")
        self._ca = CertificateAuthority.open(layout.ca)

    def issue(self) -> None:
        """The CA gives the researcher a certificate."""
        issue_person(self._ca, self.layout, self.researcher)

    @property
    def credential(self) -> tuple[Path, Path]:
        """The researcher's certificate and key."""
        return self.layout.credential(self.researcher)

    def step(self, title: str) -> None:
        """Begin a step."""
        self._steps += 1
        passed = time.monotonic() - self._begun
        self._console.print(
            f"[bold]{self._steps:2}. {title}[/bold] [dim]{passed:.1f} s[/dim]", highlight=False
        )

    def saw(self, sentence: str) -> None:
        """Tell what was seen."""
        self._console.print(f"    {sentence}", highlight=False, markup=False, soft_wrap=True)

    def caller(self, who: Person, service: str) -> Caller:
        """A person at a service, with the person's certificate over TLS."""
        layout = self.layout
        return Caller(who.name, layout.tls_url(service), layout.bundle, cert=layout.credential(who))

    def me(self, service: str) -> Caller:
        """The researcher at a service."""
        return self.caller(self.researcher, service)

    def operator(self, service: str) -> Caller:
        """The federation operator at a service."""
        return self.caller(OPERATOR, service)

    def manager(self, service: str) -> Caller:
        """The VO's manager at a service."""
        return self.caller(person("Marta Kowalska"), service)

    def admin(self, site: Site, service: str) -> Caller:
        """A site's administrator at a service."""
        return self.caller(person(site.admin), service)

    def public(self, service: str) -> Caller:
        """Somebody without any credential."""
        return Caller("somebody", self.layout.url(service), self.layout.bundle)


def require(condition: object, sentence: str) -> None:
    """Raise Untrue with `sentence` unless the condition holds."""
    if not condition:
        raise Untrue(sentence)


def once(who: Caller, method: str, path: str, body: object, found: Callable[[], Any]) -> Any:
    """A change that is made once although its answer may get lost: `found` tells what is there already.

    Returns what `found` gives afterwards. Raises Untrue when the change was refused and nothing is there.
    """
    there = found()
    if there is not None:
        return there
    answer = who.ask(method, path, body)
    there = found()
    if there is None:
        raise Untrue(f"{who.who}: {method} {path} was answered {answer.status}: {answer.text[:300]}")
    return there
