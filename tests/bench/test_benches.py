"""The benches still run: on a small registry, whose copies are as the registry itself would write them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
from tests.bench.big_registry import SMALL
from tests.bench.bench_pages import main
main(SMALL)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_bench_of_the_pages_runs_and_says_figures_with_units() -> None:
    done = subprocess.run(  # its own process: the server that it starts ends with it
        [sys.executable, "-c", RUN], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for name in ("page /sites, p95", "page /sites/NAME, p95", "API /services/ID, p95"):
        (found,) = [line for line in lines if line.startswith(name)]
        assert " ms " in found
        assert "psycopg" in found
        assert "limit 50 ms" in found
