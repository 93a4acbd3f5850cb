"""`python -m hanse.pages.vendor`: copy what `npm ci` installed to where the pages serve it from, and draw the maps."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from hanse.pages import ASSETS, atlas

FILES = {
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "idiomorph/dist/idiomorph-ext.min.js": "idiomorph-ext.min.js",
}


def vendor(modules: Path, into: Path = ASSETS / "vendor") -> list[Path]:
    """Copy the browser files from `modules` (node_modules), and draw the land of the maps;
    FileNotFoundError names the first one that is missing.
    """
    into.mkdir(parents=True, exist_ok=True)
    copied = [Path(shutil.copyfile(modules / source, into / target)) for source, target in FILES.items()]
    return copied + atlas.draw(modules, into)


def main() -> int:
    """Copy from ./node_modules; 1 with a sentence when `npm ci` has not run."""
    try:
        copied = vendor(Path.cwd() / "node_modules")
    except FileNotFoundError as missing:
        print(f"{missing.filename} is not there; run `npm ci` in this folder first.", file=sys.stderr)
        return 1
    print(f"{len(copied)} files for the browser are in {copied[0].parent}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
