"""`make bench`: every tests/bench/bench_*.py, one after the other, as one table. Names given choose among them."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

import structlog


def main(chosen: list[str]) -> int:
    """Run the benches; 1 when one of them fails or prints a limit that is not kept."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    names = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    failed = False
    for name in [one for one in names if not chosen or one.removeprefix("bench_") in chosen or one in chosen]:
        module = importlib.import_module(f"tests.bench.{name}")
        print(f"\n{name}: {(module.__doc__ or '').strip().splitlines()[0]}", flush=True)
        began = time.monotonic()
        try:
            module.main()
        except Exception as error:  # one that fails does not hide what the others measure
            failed = True
            print(f"{name} failed: {type(error).__name__}: {error}", flush=True)
        print(f"({time.monotonic() - began:.0f} s)", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
