"""Brings the demo's databases up to date in one process: `python -m demo.migrate PACKAGE=ADDRESS ...`.

The same as `hanse SERVICE migrate` for each; four processes would spend most of their time on importing.
"""

from __future__ import annotations

import sys

from hanse.migrations import upgrade


def main() -> int:
    """Upgrade every database that is named; returns the exit code."""
    for word in sys.argv[1:]:
        package, _, address = word.partition("=")
        upgrade(package, address)
        print(f"The database of {package} is up to date.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
