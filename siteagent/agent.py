"""The work of the agent: follow manifests, apply snapshots, read back, acknowledge.

The order makes it safe to be killed at any instant: snapshots are stored, then the intent, then each file
is replaced whole, then the intent becomes the state. A crash after the intent is finished by the next run;
before it, nothing happened. On any error the last good state stays, until the server's own promise
(`valid_until`) ends.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Callable, Iterator, Optional

from siteagent.accounts import AccountBook
from siteagent.appliers import appliers_of
from siteagent.atomic import remove_file, replace_file
from siteagent.documents import Manifest
from siteagent.entries import FOREVER, Admitted, entries_of
from siteagent.errors import AgentError, Refused
from siteagent.following import step
from siteagent.keys import Keyring, Notice, newest_notice
from siteagent.library import Library, Opener
from siteagent.readback import NOTHING, Deviation, compare, held_hash
from siteagent.reporting import Report, ack_of
from siteagent.server import Offer, Server
from siteagent.state import HeldState, HeldVO, Joined, StateDirectory

ACK_EVERY_S = 3600.0
ACKS_AT_ONCE = 500


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
        self._joined = state.joined()
        self._guard = None if allow_mass_removal else self._joined
        self._keyring = Keyring(self._joined.pinned())
        self._targets = appliers_of(self._joined.targets)
        self._accounts = AccountBook(state.accounts, self._joined.pools)
        self._library = Library(state, server, self._joined.federation)

    def pull(self) -> Report:
        """Ask the server what the site should hold, and hold it. Never raises for what can be reported."""
        report = Report()
        with self._locked():
            offer: Optional[Offer] = None
            try:
                offer = self._server.offer(self._joined.site)
            except AgentError as error:
                report.problems.append(str(error))
            self._work(offer, report, whole=True)
        return report

    def receive(self, offer: Offer) -> Report:
        """Follow manifests that were pushed. A push asks for an answer, also when nothing is new."""
        report = Report()
        with self._locked():
            self._state.save_acks({})
            self._work(offer, report)
        return report

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """The folder's lock, with the accounts and the keys as another process left them that had it meanwhile."""
        with self._state.lock():
            self._accounts.read()
            self._trust(self._state.joined())
            yield

    def _trust(self, joined: Joined) -> None:
        self._joined = replace(self._joined, keys=joined.keys, keys_number=joined.keys_number)
        self._keyring = Keyring(joined.pinned())

    def check(self, offer: Offer) -> None:
        """Raise Refused unless all of it is for this site, signed by a key that is good, and may be followed now.

        An offer of nothing is signed by nobody, so it is refused too.
        """
        if not offer.manifests and not offer.keys:
            raise Refused("A push must bring a manifest or a notice of keys.")
        now = self._clock()
        notice = self._told_of(offer, now)
        keyring = self._keyring if notice is None else Keyring(notice.keys)
        for envelope in offer.manifests:
            opened = keyring.open(envelope, now)
            Manifest.parse(opened, self._joined.federation, self._joined.site, now)

    def look(self) -> tuple[Optional[HeldState], list[Deviation]]:
        """What is held, and how the files differ from it. Changes nothing."""
        with self._state.lock():
            held = self._state.held()
            return held, [] if held is None else self._compare(held)

    def _work(self, offer: Optional[Offer], report: Report, whole: bool = False) -> None:
        """One run. `whole`: the offer names every VO that the site supports."""
        interrupted = self._state.interrupted()
        if interrupted is not None and not self._finish(interrupted, report):
            return
        held = self._state.held() or HeldState(self._clock(), {})
        self._report_other_hands(held, report)
        wanted, ended = dict(held.vos), frozenset[str]()
        if offer is not None:
            self._learn_keys(offer, report)
            named = [self._follow(envelope, wanted, report) for envelope in offer.manifests]
            if whole:
                ended = self._ended(held, [vo for vo, _sha256 in named])
                self._state.drop_parts_except(frozenset(sha256 for _vo, sha256 in named))
        state = HeldState(self._clock(), wanted)
        if self._apply(state, report):
            before = {vo: one.sha256 for vo, one in held.vos.items()}
            report.applied.extend(vo for vo, one in wanted.items() if before.get(vo) != one.sha256)
            self._forget(state, ended)
            self._acknowledge(state, self._compare(state), report, ended)
        if report.errors or report.problems:
            self._server.forget_etag()

    def _ended(self, held: HeldState, named: list[str]) -> frozenset[str]:
        """VOs that the server names no more and whose promise is over: the site supports them no longer."""
        now = self._clock()
        return frozenset(vo for vo, one in held.vos.items() if vo not in named and self._promise(one) <= now)

    def _forget(self, state: HeldState, ended: frozenset[str]) -> None:
        """Their entries are gone from the files already; now the state no longer names them."""
        if ended:
            self._state.begin(
                HeldState(state.rendered_at, {v: h for v, h in state.vos.items() if v not in ended})
            )
            self._state.finish()

    def _told_of(self, offer: Offer, now: datetime) -> Optional[Notice]:
        """The notice of keys in the offer if it is newer than what is known. Raises Refused."""
        return newest_notice(
            offer.keys, self._keyring, self._joined.federation, self._joined.keys_number, now
        )

    def _learn_keys(self, offer: Offer, report: Report) -> None:
        try:
            notice = self._told_of(offer, self._clock())
        except AgentError as error:
            report.problems.append(str(error))
            return
        if notice is not None:
            records = [key.record() for key in notice.keys]
            joined = replace(self._state.joined(), keys=records, keys_number=notice.number)
            self._state.save_joined(joined)
            self._trust(joined)

    def _opener(self) -> Opener:
        now = self._clock()
        return lambda envelope: self._keyring.open(envelope, now)

    def _report_other_hands(self, held: HeldState, report: Report) -> None:
        """Tell the server about files that another hand changed, before they are put right."""
        deviations = self._compare(held)
        for vo in held.vos:
            for deviation in deviations:
                if deviation.concerns(vo):
                    report.fault(vo, deviation.sentence(vo))
        if deviations:
            self._acknowledge(held, deviations, report)

    def _follow(self, envelope: object, wanted: dict[str, HeldVO], report: Report) -> tuple[str, str]:
        """Put what a manifest asks for into `wanted`; on refusal leave it and say why.

        Returns the VO that it names, and the hash of the state; both empty when the manifest is not to be believed.
        """
        now, opener = self._clock(), self._opener()
        vo = sha256 = ""
        try:
            opened = opener(envelope)
            vo, sha256 = str(opened.content.get("vo")), str(opened.content.get("sha256"))
            manifest = Manifest.parse(opened, self._joined.federation, self._joined.site, now)
            wanted[vo] = step(wanted.get(vo), manifest, self._library, opener, now, self._guard)
        except AgentError as error:
            if vo:
                report.fault(vo, str(error))
            else:
                report.problems.append(str(error))
        return vo, sha256

    def _promise(self, held: HeldVO) -> datetime:
        """Until when entries of the VO stand although nothing more is heard."""
        return FOREVER if self._joined.after_promise == "keep" else held.valid_until

    def _admitted(self, state: HeldState) -> Admitted:
        now = state.rendered_at
        standing = {vo: held for vo, held in state.vos.items() if self._promise(held) > now}
        entries = [
            entry
            for held in standing.values()
            for entry in entries_of(self._library.held(held), self._promise(held), self._accounts, now)
        ]
        return Admitted(
            entries=entries,
            pools={self._accounts.pool(vo): vo for vo in state.vos},
            authorities={vo: held.authorities for vo, held in standing.items()},
            known=frozenset(state.vos),
            projects=self._joined.projects,
        )

    def _compare(self, state: HeldState) -> list[Deviation]:
        return compare(self._targets, self._admitted(state)) if state.vos else []

    def _apply(self, state: HeldState, report: Report) -> bool:
        """Make the files hold `state`; False, with the reason reported, when that could not be completed."""
        if state.vos:
            admitted = self._admitted(state)
            for target in self._targets:
                report.problems.extend(target.unwritable(admitted))
            self._state.begin(state)
            return self._finish(state, report)
        return True

    def _finish(self, state: HeldState, report: Report) -> bool:
        """Render what was begun. The intent stays after an error, so that the next run completes it."""
        try:
            self._render(self._admitted(state))
        except OSError as error:
            sentence = f"Cannot write {error.filename}: {error.strerror}. The old state stays."
            report.problems.append(sentence)
            self._tell_failure(sentence, report)
            return False
        self._state.finish()
        self._library.keep_only(frozenset(held.sha256 for held in state.vos.values()))
        return True

    def _tell_failure(self, sentence: str, report: Report) -> None:
        held = self._state.held()
        if held is not None:
            for vo in held.vos:
                report.fault(vo, sentence)
            self._acknowledge(held, self._compare(held), report)

    def _render(self, admitted: Admitted) -> None:
        self._accounts.save()
        for target in self._targets:
            for path, content in target.render(admitted).items():
                if content is None:
                    remove_file(path)
                elif not path.exists() or path.read_bytes() != content:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    replace_file(path, content)

    def _acknowledge(
        self,
        state: HeldState,
        deviations: list[Deviation],
        report: Report,
        ended: frozenset[str] = frozenset(),
    ) -> None:
        """Tell the server of each VO about which there is something new to say, many at once."""
        acks, now = self._state.acks(), self._clock()
        due: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for vo in sorted((set(state.vos) | set(report.errors)) - ended):
            ack = self._ack(vo, state.vos.get(vo), deviations, report, now)
            news = {name: value for name, value in ack.items() if name != "counts"}
            last = acks.get(vo, {})
            if last.get("news") != news or now.timestamp() - last.get("at", 0) >= ACK_EVERY_S:
                due.append((ack, news))
        for start in range(0, len(due), ACKS_AT_ONCE):
            batch = due[start : start + ACKS_AT_ONCE]
            try:
                refused = self._server.acknowledge(self._joined.site, [ack for ack, _news in batch], now)
            except AgentError as error:
                report.problems.append(str(error))
                break
            report.problems.extend(refused)
            acks.update({ack["vo"]: {"news": news, "at": now.timestamp()} for ack, news in batch})
            report.acknowledged.extend(ack["vo"] for ack, _news in batch)
        self._state.save_acks(acks)

    def _ack(
        self, vo: str, held: Optional[HeldVO], deviations: list[Deviation], report: Report, now: datetime
    ) -> dict[str, Any]:
        errors = report.errors.get(vo, [])[:20]
        if held is None:
            counts = {"members": 0, "added": 0, "removed": 0}
            return ack_of(vo, 0, NOTHING, now, counts, errors)
        snapshot = self._library.held(held)
        sha256 = held_hash(snapshot, deviations, self._promise(held), now)
        counts = {"members": len(snapshot.active_ids), "added": held.added, "removed": held.removed}
        return ack_of(vo, held.seq, sha256, held.applied_at, counts, errors)
