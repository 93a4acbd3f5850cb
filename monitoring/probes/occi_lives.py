"""The life of what a probe makes at a cloud: noted, made, watched, deleted, seen to be gone. Nothing else is deleted.

All of it is synchronous, for `monitoring.wire.threads`.
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hanse.occi.client import OcciClient, OcciError
from hanse.occi.keystone import ProxyLogin
from hanse.occi.model import COMPUTE, STORAGE, Document, Link, Value
from monitoring.findings import Fault, Phase, Status
from monitoring.wire.certificates import Trust
from monitoring.wire.journals import Journal, Kind, Left
from monitoring.wire.threads import Budget

TITLE = "hanse-probe"
KINDS: dict[Kind, str] = {"compute": COMPUTE, "storage": STORAGE}
MOST_LOOKED_AT = 200
# A machine whose answer was lost shows in the list soon after; if it is not there by then it was never made.
NEVER_MADE = timedelta(minutes=15)
# Longer than any probe runs: what is younger may belong to one that is at work at the same address.
YOUNG = timedelta(minutes=10)
_GONE = (404, 410)


def cloud_of(
    url: str,
    options: Mapping[str, str],
    trust: Trust,
    credential: tuple[Path, Path] | None,
    deadline_s: float,
) -> OcciClient:
    """The cloud as a probe with these options sees it: a sweep that logs in otherwise would look in another project."""
    return OcciClient(
        url,
        cert=credential,
        ca=trust.directory,
        deadline_s=deadline_s,
        login=ProxyLogin() if credential else None,
        keystone=options.get("keystone", ""),
        project=options.get("project", ""),
        token=options.get("token", ""),
    )


def no_step(name: str) -> None:
    """What happens between two steps: nothing."""


@dataclass
class Lives:
    """What one probe makes at one endpoint. `between` is called with the name of each step before it (for tests)."""

    cloud: OcciClient
    url: str
    journal: Journal
    budget: Budget
    poll_s: float = 1.0
    between: Callable[[str], None] = no_step
    phases: list[Phase] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic, init=False)

    def step(self, name: str, work: Callable[[], str], *, always: bool = False) -> float:
        """Do a step, note its time as a phase, and return its seconds. `work` says what was seen.

        Raises Fault when no time is left, unless it must be done `always`."""
        if self.budget.left_s() <= 0 and not always:
            raise Fault("timeout", f"Timeout: no time was left to {name}")
        self.between(name)
        began = time.monotonic()
        seen = "not done"
        try:
            seen = work()
        finally:
            took = time.monotonic() - began
            self.phases.append(Phase(name, began - self._began, took, seen))
        return took

    def make(
        self,
        kind: Kind,
        mixins: Sequence[str] = (),
        attributes: Mapping[str, Value] | None = None,
        links: Sequence[Link] = (),
    ) -> tuple[str, str]:
        """Note it, ask for it, note where it is: title and location. Raises OcciError; then nothing may be left."""
        number = str(uuid.uuid4())
        title = f"{TITLE}-{number}"
        self.journal.begin(self.url, kind, title)
        self.between("asked")
        given: dict[str, Value] = {"occi.core.title": title, "occi.core.id": number, **(attributes or {})}
        try:
            location = self.cloud.create(KINDS[kind], mixins=mixins, attributes=given, links=links)
        except OcciError as error:
            if 400 <= error.status < 500:  # refused: it was not made
                self.journal.gone(title)
            raise
        self.between("answered")
        self.journal.placed(title, location)
        return title, location

    def await_state(self, location: str, wanted: str, seconds: float) -> str:
        """Look until it is `wanted` or failed; the state it has then. Raises OcciError."""
        limit = Budget(min(seconds, self.budget.left_s()))
        while True:
            state = str(state_of(self.cloud.describe(location)))
            if state in (wanted, "error") or not (limit.wait(self.poll_s) and self.budget.left_s() > 0):
                return state

    def take_away(self, title: str, location: str, seconds: float) -> str:
        """Delete and look until it is gone; empty, or what stands in the way. It stays noted then."""
        limit = Budget(seconds)
        said = ""
        try:
            self.cloud.delete(location)
            self.between("deleted")
            while not self._is_gone(location):
                if not limit.wait(self.poll_s):
                    said = f"it is still there {seconds:g} s after its deletion was accepted"
                    break
        except (OcciError, ValueError) as error:
            said = str(error)
        if said:
            self.journal.stays(title, said)
        else:
            self.journal.gone(title)
        return said

    def tidy(self, seconds: float) -> list[str]:
        """Take away what earlier runs left behind here, as far as the time goes; what stands in the way of the rest.

        What is younger than any probe runs may belong to another one and is left alone. What is at a noted place under
        another name is not ours and stays."""
        limit = Budget(seconds)
        troubles: list[str] = []
        # volumes after the machines that may hold them
        before = datetime.now(UTC) - YOUNG
        known = [one for one in self.journal.left(self.url) if one.begun_at <= before]
        for left in sorted(known, key=lambda one: one.kind == "storage"):
            if limit.left_s() <= 0:
                troubles.append("more was left behind than there was time to take away")
                break
            trouble = self._tidy_one(left, limit)
            if trouble:
                troubles.append(f"{left.title}: {trouble}")
        return troubles

    def _tidy_one(self, left: Left, limit: Budget) -> str:
        try:
            location = self._find(left)
        except OcciError as error:
            self.journal.stays(left.title, str(error))
            return str(error)
        if location:
            return self.take_away(left.title, location, min(30.0, limit.left_s()))
        if left.location or datetime.now(UTC) - left.begun_at > NEVER_MADE:
            self.journal.gone(left.title)
        return ""  # else the cloud may still be making it: it is looked for again

    def _find(self, left: Left) -> str:
        """Where it is, empty when it is not there: at the noted place, or among all that are ours by name.

        That nothing is at the noted place is no proof: who may not see it is told the same."""
        if left.location and self._is_called(left.location, left.title):
            return left.location
        self.cloud.query()
        for location in self.cloud.list(KINDS[left.kind])[:MOST_LOOKED_AT]:
            if self._is_called(location, left.title):
                self.journal.placed(left.title, location)
                return location
        return ""

    def _is_called(self, location: str, title: str) -> bool:
        try:
            described = self.cloud.describe(location)
        except OcciError as error:
            if error.status in _GONE:
                return False
            raise
        return str(described.attributes.get("occi.core.title", "")) == title

    def _is_gone(self, location: str) -> bool:
        try:
            self.cloud.describe(location)
        except OcciError as error:
            if error.status in _GONE:
                return True
            raise
        return False


def state_of(entity: Document) -> str:
    """The state of a machine or a volume, empty when it says none."""
    attributes = entity.attributes
    return str(attributes.get("occi.compute.state", attributes.get("occi.storage.state", "")))


def fault_of(error: OcciError, doing: str, orphans: bool) -> Fault:
    """The fault for what a cloud refused. `orphans` = things of ours are left there: then the site is not to blame."""
    if error.status == 0:
        return Fault("occi-no-answer", f"The cloud gave no answer {doing}: {error}")
    if error.status == 401:
        return Fault("auth-refused", f"The cloud refuses our login {doing}: {error}")
    if error.status == 429:
        return Fault("rate-limited", f"The cloud asks us to come less often {doing}", Status.UNKNOWN)
    if error.status in (403, 409, 413) and orphans:
        said = f"The cloud refused {doing}, and machines of earlier checks are still there: {error}"
        return Fault("own-orphans", said, Status.UNKNOWN)
    return Fault("occi-refused", f"The cloud refused {doing}: {error}")
