"""Following manifests: from what a site holds to what it should hold, refusing what must not be applied."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Optional

from siteagent.documents import Authority, Manifest
from siteagent.errors import Refused
from siteagent.library import Library, Opener
from siteagent.state import HeldVO, Joined


def step(
    held: Optional[HeldVO],
    manifest: Manifest,
    library: Library,
    opener: Opener,
    now: datetime,
    guard: Optional[Joined],
) -> HeldVO:
    """What is held of a VO after this manifest. Raises Refused and AgentError; then what was held stays.

    `guard` says how many members may go at once; None = as many as the federation likes.
    """
    if held is not None:
        _refuse_rollback(held, manifest)
        if held.sha256 == manifest.sha256:
            return _renewed(held, manifest)
    before = frozenset[str]() if held is None else library.held(held).active_ids
    after = library.fetch(manifest, held, opener).active_ids
    if guard is not None:
        _refuse_mass_removal(manifest.vo, before, after, guard)
    return HeldVO(
        vo=manifest.vo,
        seq=manifest.seq,
        sha256=manifest.sha256,
        valid_until=manifest.valid_until,
        applied_at=now,
        added=len(after - before),
        removed=len(before - after),
        generated_at=manifest.generated_at,
        authorities=_authorities(held, manifest),
    )


def _renewed(held: HeldVO, manifest: Manifest) -> HeldVO:
    """The same state, vouched for longer. An older manifest of it, sent again, changes nothing."""
    if held.generated_at is not None and manifest.generated_at < held.generated_at:
        return held
    return replace(
        held,
        seq=manifest.seq,
        valid_until=max(held.valid_until, manifest.valid_until),
        generated_at=manifest.generated_at,
        authorities=_authorities(held, manifest),
    )


def _authorities(held: Optional[HeldVO], manifest: Manifest) -> Optional[tuple[Authority, ...]]:
    if manifest.authorities is not None:
        return manifest.authorities
    return None if held is None else held.authorities


def _refuse_rollback(held: HeldVO, manifest: Manifest) -> None:
    if manifest.seq < held.seq:
        raise Refused(
            f"The manifest of {held.vo} goes back to sequence {manifest.seq}; this site holds {held.seq}."
        )
    if manifest.seq == held.seq and manifest.sha256 != held.sha256:
        raise Refused(f"Two different states of {held.vo} carry sequence {held.seq}; the first one stays.")


def _refuse_mass_removal(vo: str, before: frozenset[str], after: frozenset[str], guard: Joined) -> None:
    lost = len(before - after)
    if lost <= guard.removal_floor or lost <= guard.removal_share * len(before):
        return
    raise Refused(
        f"The new state of {vo} removes {lost} of {len(before)} members. If that is meant, run"
        " `hanse-siteagent pull --allow-mass-removal`; until then the old state stays."
    )
