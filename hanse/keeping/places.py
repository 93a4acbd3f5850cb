"""A service's files: its data_dir, and what its settings have elsewhere; packed, unpacked beside, changed by renames.

While a restore is under way what was there is in `<name>.replaced`, so a second run knows it from what was restored.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from hanse.doctor.advice import Patient
from hanse.errors import Refused

#: Folders below data_dir that are made anew by themselves.
MADE_ANEW: Final = frozenset({"gocdb-answers", "archive-incoming"})
DATA_DIR: Final = "data_dir"


def places(patient: Patient) -> dict[str, Path]:
    """Where the service's files are, by the setting that says so; data_dir first."""
    others = patient.kept(patient.settings) if patient.kept is not None else {}
    found = {DATA_DIR: patient.settings.data_dir, **others}
    return {key: path.resolve() for key, path in found.items()}


def pack(archive: Path, source: Path, key: str, without: Iterable[Path] = ()) -> None:
    """Write the files of a place. Raises Refused for symbolic links and for what cannot be read."""
    try:
        with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
            for path in _below(source, frozenset(without)) if source.exists() else ():
                if path.is_symlink():
                    raise Refused(
                        f"{path} is a symbolic link, and what it leads to would be missing: move it."
                    )
                if path.is_file() or path.is_dir():
                    packed.add(path, arcname=str(_root(key) / path.relative_to(source)), recursive=False)
    except OSError as error:
        raise Refused(f"{error.filename or source} cannot be backed up: {error.strerror}.") from error


def _root(key: str) -> Path:
    return Path() if key == DATA_DIR else Path(key)


def _below(source: Path, without: frozenset[Path]) -> Iterator[Path]:
    """The place and everything in it that stays: drafts are not looked at, since they are renamed at any moment."""
    yield source
    for folder, folders, files in os.walk(source, onerror=_raise) if source.is_dir() else ():
        here = Path(folder)
        folders[:] = [one for one in folders if one not in MADE_ANEW and here / one not in without]
        drafts = {one for one in files if one.startswith(".") and one.endswith(".new")}
        for name in sorted([*folders, *(set(files) - drafts)]):
            if here / name not in without:
                yield here / name


def _raise(error: OSError) -> None:
    raise error


def check_replaceable(targets: Iterable[Path]) -> None:
    """Raises Refused for a place that cannot be renamed."""
    for target in targets:
        if target.is_mount():
            raise Refused(f"{target} is where a disk is mounted: name a folder below it in the settings.")


def unpack(archives: Mapping[str, Path], targets: Mapping[str, Path]) -> dict[str, Path]:
    """Unpack into `<name>.new` beside each target; gives the targets that are to be changed. Raises Refused.

    What lies below data_dir goes into the new data_dir, since it is changed with it.
    """
    data_dir = targets[DATA_DIR]
    outside = {
        key: targets[key] for key in archives if key == DATA_DIR or not targets[key].is_relative_to(data_dir)
    }
    try:
        for key, target in outside.items():
            _unpack(archives[key], _named(target, "new"), target)
        for key in archives.keys() - outside.keys():
            place = _named(data_dir, "new") / targets[key].relative_to(data_dir)
            _unpack(archives[key], _named(place, "new"), data_dir)
            (_named(place, "new") / key).rename(place)
            _named(place, "new").rmdir()
    except (OSError, tarfile.TarError) as error:
        raise Refused(f"The files for {data_dir} cannot be unpacked beside it: {error}") from error
    return outside


def _unpack(archive: Path, draft: Path, target: Path) -> None:
    """The files belong to the owner of what they replace, else of the folder that they come into."""
    _remove(draft)
    draft.mkdir(parents=True, mode=0o750)
    with tarfile.open(archive, "r:gz") as packed:
        packed.extractall(draft, filter="data")
    if os.geteuid() == 0:
        owner = (target if target.exists() else target.parent).stat()
        for path in (draft, *draft.rglob("*")):
            os.lchown(path, owner.st_uid, owner.st_gid)


def change(targets: Mapping[str, Path]) -> None:
    """Put what was unpacked in its place; what was there goes to `<name>.replaced`."""
    for key, target in targets.items():
        if target.is_dir() and not any(target.iterdir()):
            target.rmdir()
        if target.exists():
            target.rename(_named(target, "replaced"))
        (_named(target, "new") / _root(key)).rename(target)
        _remove(_named(target, "new"))
        sync(target.parent)


def undo(targets: Iterable[Path]) -> None:
    """Put what was replaced in its place again."""
    for target in targets:
        replaced = _named(target, "replaced")
        if replaced.exists():
            _remove(target)
            replaced.rename(target)


def finish(targets: Iterable[Path]) -> None:
    """What was replaced stands in `<name>.before`, in the place of that of an older restore."""
    for target in targets:
        replaced, before = _named(target, "replaced"), _named(target, "before")
        if replaced.exists():
            _remove(before)
            replaced.rename(before)


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _named(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}.{ending}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
