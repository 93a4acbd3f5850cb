"""Logs are JSON lines that never carry a secret."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hanse.logs import HIDDEN, hide_secrets

PROGRAM = """
import logging, structlog
from hanse import logs
logs.configure("accounting")
structlog.get_logger("a").info("loaded", records=17, token="tok-1")
logging.getLogger("b").warning("asked %s", "https://ams/v1?key=tok-2&x=1")
try:
    raise ValueError("Bearer tok-3")
except ValueError:
    structlog.get_logger("c").exception("it failed")
"""


def test_ours_and_the_libraries_lines_are_json_and_free_of_tokens() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    assert "tok-" not in ran.stderr
    ours, theirs, failure = (json.loads(line) for line in ran.stderr.splitlines())
    assert (ours["event"], ours["records"], ours["level"], ours["service"]) == (
        "loaded",
        17,
        "info",
        "accounting",
    )
    assert theirs["event"] == f"asked https://ams/v1?key={HIDDEN}&x=1"
    assert "ValueError" in failure["exception"]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("x_api_key", "abc", HIDDEN),
        ("Set-Cookie", "session=1", HIDDEN),
        ("service_tokens", {"registry": "abc"}, HIDDEN),
        ("headers", {"Authorization": "abc", "Accept": "*/*"}, {"Authorization": HIDDEN, "Accept": "*/*"}),
        ("url", "postgresql://hanse:pass@db/registry", f"postgresql://hanse:{HIDDEN}@db/registry"),
        ("event", "Listening at: http://127.0.0.1:7010", "Listening at: http://127.0.0.1:7010"),
        ("event", "a -----BEGIN PRIVATE KEY-----\nMII", f"a {HIDDEN}"),
        ("site", "CESNET", "CESNET"),
        ("status_code_class", 4, 4),
    ],
)
def test_what_is_secret_is_hidden_and_the_rest_is_not(name: str, value: object, shown: object) -> None:
    assert hide_secrets(None, "info", {name: value}) == {name: shown}
