"""What tests/conftest.py promises about peers: missing ones are skipped aloud or fail, the others are counted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
PEERS = """
[peers.shell]
commands = ["sh"]
install = "install a shell"
tests = 2

[peers.unicorn]
commands = ["no-such-unicorn"]
install = "breed unicorns"
tests = 1

[peers.book]
files = ["library/*/book.txt"]
install = "buy the book"
tests = 0
"""
TESTS = """
import pytest

@pytest.mark.peer("shell")
def test_one(): pass

@pytest.mark.peer("shell", "book")
def test_two(): pass

@pytest.mark.peer("shell")
def test_that_fails():
    assert FAILS is None

FAILS = None

@pytest.mark.peer("unicorn")
def test_with_unicorn(): pass

def test_alone(): pass
"""
INI = """
[pytest]
testpaths = tests
addopts = --strict-markers --import-mode=importlib
markers =
    peer(name): a program that is not ours
    slow: long
"""


class Suite:
    """A repository of its own with this conftest and tests that need peers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "tests").mkdir()
        (root / "library/one").mkdir(parents=True)
        (root / "library/one/book.txt").touch()
        (root / "pytest.ini").write_text(INI)
        (root / "tests/peers.toml").write_text(PEERS)
        (root / "tests/test_peers.py").write_text(TESTS)
        shutil.copy(CONFTEST, root / "tests/conftest.py")

    def run(self, *arguments: str, require: bool = False) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        environment["HANSE_REQUIRE_PEERS"] = "1" if require else ""
        command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    def counts(self) -> dict[str, int]:
        return dict(json.loads((self.root / ".runs/peers.json").read_text()))

    def edit(self, old: str, new: str, file: str = "tests/peers.toml") -> None:
        path = self.root / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


def test_a_missing_peer_is_skipped_with_the_reason_and_the_others_are_counted(suite: Suite) -> None:
    ran = suite.run()
    assert ran.returncode == 0, ran.stdout
    assert "unicorn: there is no no-such-unicorn; breed unicorns" in ran.stdout
    assert suite.counts() == {"shell": 3, "unicorn": 0, "book": 1}
    assert "tests with peers: book 1, shell 3" in ran.stdout


def test_where_peers_are_required_a_missing_one_fails(suite: Suite) -> None:
    ran = suite.run(require=True)
    assert ran.returncode == 1
    assert "HANSE_REQUIRE_PEERS=1, and unicorn: there is no no-such-unicorn" in ran.stdout


def test_too_few_tests_with_a_peer_fail_the_whole_suite(suite: Suite) -> None:
    suite.edit('commands = ["no-such-unicorn"]', 'commands = ["sh"]')
    assert suite.run(require=True).returncode == 0
    suite.edit("tests = 2", "tests = 4")
    ran = suite.run("-m", "not slow", require=True)
    assert ran.returncode == 1
    assert "shell took part in 3 tests, and tests/peers.toml wants 4" in ran.stdout
    assert suite.run().returncode == 0


@pytest.mark.parametrize("part", [["-k", "one"], ["tests/test_peers.py"], ["-m", "slow or peer"]])
def test_a_part_of_the_suite_is_not_counted_against_the_minimum(suite: Suite, part: list[str]) -> None:
    suite.edit('commands = ["no-such-unicorn"]', 'commands = ["sh"]')
    suite.edit("tests = 2", "tests = 4")
    assert suite.run(*part, require=True).returncode == 0


def test_a_test_that_fails_does_not_count(suite: Suite) -> None:
    suite.edit("FAILS = None", "FAILS = 1", "tests/test_peers.py")
    assert suite.run().returncode == 1
    assert suite.counts()["shell"] == 2


def test_counts_of_parallel_workers_are_one_sum(suite: Suite) -> None:
    suite.edit('commands = ["no-such-unicorn"]', 'commands = ["sh"]')
    ran = suite.run("-n", "2", require=True)
    assert ran.returncode == 0, ran.stdout
    assert suite.counts() == {"shell": 3, "unicorn": 1, "book": 1}
    suite.edit("tests = 2", "tests = 4")
    assert suite.run("-n", "2", require=True).returncode == 1


def test_the_slow_run_has_a_file_of_its_own(suite: Suite) -> None:
    suite.edit(
        '@pytest.mark.peer("shell")\ndef test_one',
        '@pytest.mark.slow\n@pytest.mark.peer("shell")\ndef test_one',
        "tests/test_peers.py",
    )
    suite.run("-m", "not slow")
    suite.run("-m", "slow")
    assert suite.counts()["shell"] == 2
    assert json.loads((suite.root / ".runs/peers-slow.json").read_text())["shell"] == 1


def test_a_peer_that_nobody_listed_fails(suite: Suite) -> None:
    suite.edit('"unicorn"', '"centaur"', "tests/test_peers.py")
    ran = suite.run()
    assert ran.returncode == 1
    assert "centaur is not a peer that tests/peers.toml knows" in ran.stdout
