"""The work of the agent: follow manifests, apply snapshots, read back, acknowledge.

The order makes it safe to be killed at any instant: snapshots are stored, then the intent, then each file
is replaced whole, then the intent becomes the state. A crash after the intent is finished by the next run;
before it, nothing happened. On any error the last good state stays, until the server's own promise
(`valid_until`) ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Optional, Protocol, Sequence

from siteagent import __version__
from siteagent.accounts import AccountBook
from siteagent.appliers import APPLIERS, Applier
from siteagent.atomic import replace_file
from siteagent.documents import Keyring, Manifest, Snapshot, stamp
from siteagent.entries import Entry, entries_of
from siteagent.errors import AgentError, Refused
from siteagent.readback import NOTHING, Deviation, compare, held_hash
from siteagent.state import HeldState, HeldVO, Joined, StateDirectory

ACK_EVERY_S = 3600.0
GUARD_SHARE = 0.25
GUARD_FLOOR = 10


class Server(Protocol):
    """The replication calls that the agent needs; see `siteagent.vomsdb.VomsdbClient`."""

    def manifests(self, site: str) -> Optional[list[object]]: ...

    def forget_etag(self) -> None: ...

    def snapshot(self, vo: str, sha256: str) -> Mapping[str, Any]: ...

    def acknowledge(self, site: str, ack: Mapping[str, Any]) -> None: ...


@dataclass
class Report:
    """What one run did: sentences by VO, sentences about the run, and the VOs that were applied or
    acknowledged.
    """

    errors: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)

    @property
    def sentences(self) -> list[str]:
        """Everything that went wrong."""
        return self.problems + [
            f"{vo}: {text}" for vo, texts in sorted(self.errors.items()) for text in texts
        ]

    def fault(self, vo: str, sentence: str) -> None:
        """Note an error of a VO, once."""
        texts = self.errors.setdefault(vo, [])
        if sentence not in texts:
            texts.append(sentence)


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(timezone.utc)


class Agent:
    """One site's agent on its folder. Every public method takes the folder's lock."""

    def __init__(
        self,
        state: StateDirectory,
        server: Server,
        clock: Callable[[], datetime] = utc_now,
        allow_mass_removal: bool = False,
    ) -> None:
        self._state = state
        self._server = server
        self._clock = clock
        self._allow_mass_removal = allow_mass_removal
        self._joined = state.joined()
        self._keyring = Keyring(self._joined.pinned())
        self._targets = targets_of(self._joined)
        self._accounts = AccountBook(state.accounts, self._joined.pools)

    def pull(self) -> Report:
        """Ask the server what the site should hold, and hold it. Never raises for what can be reported."""
        report = Report()
        with self._state.lock():
            envelopes: Sequence[object] = ()
            try:
                envelopes = self._server.manifests(self._joined.site) or ()
            except AgentError as error:
                report.problems.append(str(error))
            self._work(envelopes, report)
        return report

    def receive(self, envelopes: Sequence[object]) -> Report:
        """Follow manifests that were pushed. A push asks for an answer, also when nothing is new."""
        report = Report()
        with self._state.lock():
            self._state.save_acks({})
            self._work(envelopes, report)
        return report

    def check(self, envelopes: Iterable[object]) -> None:
        """Raise Refused unless every envelope is a manifest for this site that may be followed now."""
        now = self._clock()
        for envelope in envelopes:
            Manifest.parse(self._keyring.open(envelope, now), self._joined.federation, self._joined.site, now)

    def look(self) -> tuple[Optional[HeldState], list[Deviation]]:
        """What is held, and how the files differ from it. Changes nothing."""
        with self._state.lock():
            held = self._state.held()
            return held, [] if held is None else self._compare(held)

    def _work(self, envelopes: Sequence[object], report: Report) -> None:
        interrupted = self._state.interrupted()
        if interrupted is not None and not self._finish(interrupted, report):
            return
        held = self._state.held() or HeldState(self._clock(), {})
        self._report_other_hands(held, report)
        wanted = dict(held.vos)
        for envelope in envelopes:
            self._follow(envelope, wanted, report)
        state = HeldState(self._clock(), wanted)
        if self._apply(state, report):
            report.applied.extend(vo for vo in wanted if _changed(held.vos.get(vo), wanted[vo]))
            self._acknowledge(state, self._compare(state), report)
        if report.errors or report.problems:
            self._server.forget_etag()

    def _report_other_hands(self, held: HeldState, report: Report) -> None:
        """Tell the server about files that another hand changed, before they are put right."""
        deviations = self._compare(held)
        for vo in held.vos:
            for deviation in deviations:
                if deviation.concerns(vo):
                    report.fault(vo, deviation.sentence(vo))
        if deviations:
            self._acknowledge(held, deviations, report)

    def _follow(self, envelope: object, wanted: dict[str, HeldVO], report: Report) -> None:
        """Put what a manifest asks for into `wanted`; on refusal leave it and say why."""
        now = self._clock()
        vo = ""
        try:
            opened = self._keyring.open(envelope, now)
            vo = str(opened.content.get("vo"))
            manifest = Manifest.parse(opened, self._joined.federation, self._joined.site, now)
            wanted[manifest.vo] = self._step(wanted.get(manifest.vo), manifest)
        except AgentError as error:
            if vo:
                report.fault(vo, str(error))
            else:
                report.problems.append(str(error))

    def _step(self, held: Optional[HeldVO], manifest: Manifest) -> HeldVO:
        if held is not None:
            _refuse_rollback(held, manifest)
            if held.sha256 == manifest.sha256:
                return replace(
                    held, seq=manifest.seq, valid_until=max(held.valid_until, manifest.valid_until)
                )
        before = frozenset[str]() if held is None else self._snapshot(held).active_ids
        after = self._fetch(manifest).active_ids
        self._guard(manifest.vo, before, after)
        return HeldVO(
            vo=manifest.vo,
            seq=manifest.seq,
            sha256=manifest.sha256,
            valid_until=manifest.valid_until,
            applied_at=self._clock(),
            added=len(after - before),
            removed=len(before - after),
        )

    def _fetch(self, manifest: Manifest) -> Snapshot:
        envelope = self._state.snapshot(manifest.sha256) or self._server.snapshot(
            manifest.vo, manifest.sha256
        )
        opened = self._keyring.open(envelope, self._clock())
        snapshot = Snapshot.parse(opened, self._joined.federation, manifest.vo, manifest.sha256)
        self._state.save_snapshot(manifest.sha256, envelope)
        return snapshot

    def _guard(self, vo: str, before: frozenset[str], after: frozenset[str]) -> None:
        lost = len(before - after)
        if self._allow_mass_removal or lost <= GUARD_FLOOR or lost <= GUARD_SHARE * len(before):
            return
        raise Refused(
            f"The new state of {vo} removes {lost} of {len(before)} members. If that is meant, run"
            " `hanse-siteagent pull --allow-mass-removal`; until then the old state stays."
        )

    def _snapshot(self, held: HeldVO) -> Snapshot:
        """The snapshot that is held; a copy that was lost or damaged is fetched again by its hash."""
        try:
            return self._parsed(self._state.snapshot(held.sha256), held)
        except AgentError:
            envelope = self._server.snapshot(held.vo, held.sha256)
            snapshot = self._parsed(envelope, held)
            self._state.save_snapshot(held.sha256, envelope)
            return snapshot

    def _parsed(self, envelope: object, held: HeldVO) -> Snapshot:
        # The key may have ended since; it was valid when the snapshot was applied.
        opened = self._keyring.open(envelope, held.applied_at)
        return Snapshot.parse(opened, self._joined.federation, held.vo, held.sha256)

    def _entries(self, state: HeldState) -> list[Entry]:
        return [
            entry
            for held in state.vos.values()
            for entry in entries_of(self._snapshot(held), held.valid_until, self._accounts, state.rendered_at)
        ]

    def _compare(self, state: HeldState) -> list[Deviation]:
        if not state.vos:
            return []
        pools = {self._accounts.pool(vo): vo for vo in state.vos}
        return compare(self._targets, self._entries(state), pools)

    def _apply(self, state: HeldState, report: Report) -> bool:
        """Make the files hold `state`; False, with the reason reported, when that could not be completed."""
        if state.vos:
            report.problems.extend(self._unwritable(state))
            self._state.begin(state)
            return self._finish(state, report)
        return True

    def _finish(self, state: HeldState, report: Report) -> bool:
        """Render what was begun. The intent stays after an error, so that the next run completes it."""
        try:
            self._render(state)
        except OSError as error:
            sentence = f"Cannot write {error.filename}: {error.strerror}. The old state stays."
            report.problems.append(sentence)
            self._tell_failure(sentence, report)
            return False
        self._state.finish()
        self._state.drop_snapshots_except(frozenset(held.sha256 for held in state.vos.values()))
        return True

    def _tell_failure(self, sentence: str, report: Report) -> None:
        held = self._state.held()
        if held is not None:
            for vo in held.vos:
                report.fault(vo, sentence)
            self._acknowledge(held, self._compare(held), report)

    def _unwritable(self, state: HeldState) -> list[str]:
        entries = self._entries(state)
        return [sentence for target in self._targets for sentence in target.unwritable(entries)]

    def _render(self, state: HeldState) -> None:
        entries = self._entries(state)
        self._accounts.save()
        for target in self._targets:
            content = target.render(entries)
            if not target.path.exists() or target.path.read_bytes() != content:
                replace_file(target.path, content)

    def _acknowledge(self, state: HeldState, deviations: list[Deviation], report: Report) -> None:
        """Send the server an acknowledgement for each VO about which there is something new to say."""
        acks = self._state.acks()
        now = self._clock()
        for vo in sorted(set(state.vos) | set(report.errors)):
            ack = self._ack(vo, state.vos.get(vo), deviations, report, now)
            news = {name: value for name, value in ack.items() if name != "counts"}
            last = acks.get(vo, {})
            if last.get("news") == news and now.timestamp() - last.get("at", 0) < ACK_EVERY_S:
                continue
            try:
                self._server.acknowledge(self._joined.site, ack)
            except AgentError as error:
                report.problems.append(str(error))
                continue
            acks[vo] = {"news": news, "at": now.timestamp()}
            report.acknowledged.append(vo)
        self._state.save_acks(acks)

    def _ack(
        self, vo: str, held: Optional[HeldVO], deviations: list[Deviation], report: Report, now: datetime
    ) -> dict[str, Any]:
        errors = report.errors.get(vo, [])[:20]
        if held is None:
            counts = {"members": 0, "added": 0, "removed": 0}
            return _ack(vo, 0, NOTHING, now, counts, errors)
        snapshot = self._snapshot(held)
        sha256 = held_hash(snapshot, deviations, held.valid_until, now)
        counts = {"members": len(snapshot.active_ids), "added": held.added, "removed": held.removed}
        return _ack(vo, held.seq, sha256, held.applied_at, counts, errors)


def targets_of(joined: Joined) -> list[Applier]:
    """The files of a site. Raises AgentError for a format that this agent does not know."""
    unknown = sorted(set(joined.targets) - set(APPLIERS))
    if unknown:
        raise AgentError(f"No such format: {', '.join(unknown)}; known are {', '.join(sorted(APPLIERS))}.")
    return [APPLIERS[name](Path(path)) for name, path in sorted(joined.targets.items())]


def _changed(before: Optional[HeldVO], after: HeldVO) -> bool:
    return before is None or before.sha256 != after.sha256


def _refuse_rollback(held: HeldVO, manifest: Manifest) -> None:
    if manifest.seq < held.seq:
        raise Refused(
            f"The manifest of {held.vo} goes back to sequence {manifest.seq}; this site holds {held.seq}."
        )
    if manifest.seq == held.seq and manifest.sha256 != held.sha256:
        raise Refused(f"Two different states of {held.vo} carry sequence {held.seq}; the first one stays.")


def _ack(
    vo: str, seq: int, sha256: str, applied_at: datetime, counts: Mapping[str, int], errors: list[str]
) -> dict[str, Any]:
    return {
        "vo": vo,
        "seq": seq,
        "sha256": sha256,
        "applied_at": stamp(applied_at),
        "counts": dict(counts),
        "errors": errors,
        "agent_version": __version__,
    }
