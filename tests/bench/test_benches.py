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


LOADING = """
from tests.bench.bench_loading import main
main(messages=8, sites=4, vm_months=(4800,))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_bench_of_loading_runs_and_counts_right() -> None:
    """It checks by itself that all is loaded and that every sum is what the reports say."""
    done = subprocess.run(
        [sys.executable, "-c", LOADING], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in (
        "two loaders, from the inbox",
        "of the bare limit, by the clock",
        "memory of a loader",
        "accepting at",
    ):
        assert any(line.startswith(name) for line in done.stdout.splitlines()), done.stdout


AUTHORITY = """
from tests.bench.bench_authority import main
main(members=20, asking=4, seconds=0.5, beside=False)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_bench_of_the_attribute_authority_runs_beside_its_bare_limit() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AUTHORITY], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in (
        "certificates, older form",
        "certificates, REST",
        "server processor time a certificate, REST",
    ):
        assert any(line.startswith(name) and "bare limit" in line for line in done.stdout.splitlines())


REPLICATION = """
import structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
from tests.bench.big_vos import SMALL
from tests.bench import bench_members, bench_replication
bench_replication.main(SMALL)
bench_members.main(SMALL)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_benches_of_replication_and_members_run_and_say_figures_with_units() -> None:
    """They check by themselves that every pair is in step, and that members are as the service would write them."""
    done = subprocess.run(
        [sys.executable, "-c", REPLICATION],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in (
        "one suspension at all 6 sites, work",
        "a full daily run, nothing changed, work",
        "10,000 sites: work of a quiet day",
        "page /vos/VO/queue, p95",
        "page /members/ID, p95",
    ):
        assert any(line.startswith(name) for line in done.stdout.splitlines()), done.stdout
