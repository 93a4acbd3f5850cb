"""occi-compute: can a user start a machine here and be rid of it again; with a volume too, where asked.

Options: image and size (terms or identifiers; default: the first ones), active_s (120, seconds until the machine must
be active), delete_s (60), storage ("1" = a volume of 1 GB is made, linked, unlinked and deleted too), contextualise
("0" = without user_data and public_key), project (Keystone's), keystone (an address elsewhere at which to log in).

Every machine has a name of its own that is noted before it is asked for; what earlier runs left behind is deleted
first, and nothing else ever. One mapping: refused, failed, not active or not gone in time is CRITICAL.
"""

from functools import partial

from hanse.occi.client import OcciClient, OcciError
from hanse.occi.context import context, generations
from hanse.occi.model import OS_TPL, RESOURCE_TPL, STORAGE_LINK, Document
from monitoring.findings import Fault, Figure, Finding, Status, Target
from monitoring.probes.occi_lives import Lives, cloud_of, fault_of
from monitoring.probes.options import number
from monitoring.wire.line import Line
from monitoring.wire.threads import Budget, in_thread

TIDY_S, REQUEST_S, POLL_S, MOST_S = 60.0, 30.0, 1.0, 400.0
_DOING = {
    "query": "the query",
    "tidy": "while we tidied up",
    "create": "a machine",
    "active": "to show our machine",
    "storage": "a volume",
}
USER_DATA = b"#cloud-config\n"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA hanse-probe"


async def probe(target: Target, line: Line) -> Finding:
    """OK with the times of each step; CRITICAL occi-refused, occi-vm-error, occi-not-active, occi-not-deleted,
    occi-missing, occi-no-answer; UNKNOWN own-orphans, rate-limited, bad-option."""
    times = (number(target, "active_s", 120), number(target, "delete_s", 60))
    if line.journal is None:
        raise Fault("bad-option", "This probe makes machines and needs a journal for them", Status.UNKNOWN)
    line.trust.context(line.credential)  # our own credential at fault is told as such
    whole_s = TIDY_S + times[0] + times[1] + 4 * REQUEST_S
    if whole_s > MOST_S:
        said = f"active_s and delete_s together may be {MOST_S - TIDY_S - 4 * REQUEST_S:g} s"
        raise Fault("bad-option", said, Status.UNKNOWN)
    return await in_thread(partial(_live, target, line, times), whole_s)


def _live(target: Target, line: Line, times: tuple[float, float], budget: Budget) -> Finding:
    assert line.journal is not None
    cloud = cloud_of(target.url, target.options, line.trust, line.credential, REQUEST_S)
    with cloud:
        lives = Lives(cloud, target.url, line.journal, budget, POLL_S, line.between)
        try:
            return live(lives, target, *times)
        finally:
            line.trace.phases.extend(lives.phases)


def live(lives: Lives, target: Target, active_s: float, delete_s: float) -> Finding:
    """One life. Raises Fault."""
    troubles: list[str] = []
    try:
        figures = [Figure("query", lives.step("query", lambda: _counted(lives.cloud.query())), "s")]
        lives.step("tidy", lambda: _tidied(troubles, lives))
        return _machine(lives, target, active_s, delete_s, figures, troubles)
    except OcciError as error:
        done = [phase.name for phase in lives.phases if phase.name != "delete"]
        raise fault_of(error, _DOING.get(done[-1], "what we asked"), bool(troubles)) from None


def _counted(model: Document) -> str:
    return f"{len(model.kinds)} kinds, {len(model.mixins)} mixins"


def _tidied(troubles: list[str], lives: Lives) -> str:
    troubles += lives.tidy(TIDY_S)
    return "; ".join(troubles) or "nothing is left behind"


def _machine(
    lives: Lives, target: Target, active_s: float, delete_s: float, figures: list[Figure], troubles: list[str]
) -> Finding:
    mixins, given = _wanted(lives.cloud, target)
    made: list[tuple[str, str]] = []

    def create() -> str:
        made.append(lives.make("compute", mixins, given))
        return made[0][1]

    figures.append(Figure("create", lives.step("create", create), "s"))
    title, location = made[0]
    trouble: Finding | None = None
    try:
        state: list[str] = []
        took = lives.step("active", lambda: _noted(state, lives.await_state(location, "active", active_s)))
        figures.append(Figure("active", took, "s"))
        trouble = _state_finding(state[0], active_s)
        if trouble is None and target.options.get("storage") == "1":
            _storage(lives, location, delete_s, figures)
    finally:
        said: list[str] = []
        took = lives.step(
            "delete", lambda: _noted(said, lives.take_away(title, location, delete_s)) or "gone", always=True
        )
        figures.append(Figure("delete", took, "s"))
    if trouble is not None:
        return Finding(trouble.status, trouble.summary, trouble.reason, tuple(figures))
    if said[0]:
        return Finding(
            Status.CRITICAL,
            f"The machine could not be deleted: {said[0]}",
            "occi-not-deleted",
            tuple(figures),
        )
    if troubles:
        left = f"{len(troubles)} of earlier checks could not be deleted: {troubles[0]}"
        return Finding(
            Status.WARNING, f"A machine lives and ends; {left}", "occi-not-deleted", tuple(figures)
        )
    whole = sum(figure.value or 0 for figure in figures)
    return Finding(Status.OK, f"A machine was started and deleted in {whole:.1f} s", figures=tuple(figures))


def _noted(into: list[str], word: str) -> str:
    into.append(word)
    return word


def _state_finding(state: str, active_s: float) -> Finding | None:
    if state == "active":
        return None
    if state == "error":
        return Finding(Status.CRITICAL, "The machine failed: its state is error", "occi-vm-error")
    shown = state or "not said"
    said = f"The machine was not active within {active_s:g} s; its state is {shown}"
    return Finding(Status.CRITICAL, said, "occi-not-active")


def _wanted(cloud: OcciClient, target: Target) -> tuple[list[str], dict[str, str | int | float | bool]]:
    model = cloud.query()
    mixins = [
        _template(model, parent, target.options.get(name, ""))
        for name, parent in (("image", OS_TPL), ("size", RESOURCE_TPL))
    ]
    if target.options.get("contextualise") == "0" or not generations(model):
        return mixins, {}
    given = context(model, USER_DATA, PUBLIC_KEY, server=cloud.server)
    return [*mixins, *given.mixins], given.attributes


def _template(model: Document, parent: str, wanted: str) -> str:
    offered = model.children_of(parent)
    found = [one for one in offered if not wanted or wanted in (one.term, one.identifier)]
    if not found:
        word = parent.rpartition("#")[2]
        raise Fault("occi-missing", f"The cloud offers no {word}" + (f" called {wanted}" if wanted else ""))
    return found[0].identifier


def _storage(lives: Lives, machine: str, delete_s: float, figures: list[Figure]) -> None:
    """A volume: made, linked, unlinked, deleted. Raises OcciError, Fault."""
    made: list[tuple[str, str]] = []

    def link() -> str:
        made.append(lives.make("storage", (), {"occi.storage.size": 1}))
        place = lives.cloud.link(STORAGE_LINK, machine, made[0][1])
        lives.between("linked")
        lives.cloud.delete(place)
        return place

    said = ""
    try:
        figures.append(Figure("storage", lives.step("storage", link), "s"))
    finally:
        if made:
            said = lives.take_away(*made[0], delete_s)
    if said:
        raise Fault("occi-not-deleted", f"The volume could not be deleted: {said}")
