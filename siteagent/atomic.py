"""Files that are always whole: a reader, or a crash at any instant, sees the old content or the new one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def replace_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write `content` beside `path`, make it durable, and rename it into place. Raises OSError; then `path`
    is as before.
    """
    draft = path.with_name(f".{path.name}.new")
    # One fixed name: what a crash leaves behind is overwritten by the next attempt, so drafts never pile up.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(descriptor, mode)
        with os.fdopen(descriptor, "wb", closefd=False) as stream:
            stream.write(content)
        os.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    finally:
        os.close(descriptor)
    move_file(draft, path)


def move_file(source: Path, target: Path) -> None:
    """Rename `source` over `target` and make the rename itself durable."""
    os.replace(source, target)
    _make_durable(target.parent)


def _make_durable(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_file(path: Path) -> None:
    """Remove `path`, if it is there, and make that durable."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        _make_durable(path.parent)
