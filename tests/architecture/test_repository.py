"""What may not stand in the repository."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


def test_lock_files_name_no_address() -> None:
    """Where packages come from is the machine's business."""
    locks = [path for path in tracked() if path.suffix == ".lock" or path.name == "package-lock.json"]
    assert len(locks) >= 5
    assert [
        path.name for path in locks if "://" in path.read_text() or '"resolved"' in path.read_text()
    ] == []


def test_no_private_key_is_kept() -> None:
    marker = "-----BEGIN " + "(RSA |EC |ENCRYPTED |)PRIVATE KEY-----\\s+[A-Za-z0-9+/]{40}"
    kept = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if re.search(marker, path.read_text(errors="replace"))
    ]
    assert kept == []


def test_no_module_outgrows_its_room() -> None:
    """A module over 500 lines hides more than one noun."""
    packages = ("hanse", "registry", "accounting", "monitoring", "vomsdb", "siteagent", "demo")
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked()
        if path.suffix == ".py"
        and path.relative_to(ROOT).parts[0] in packages
        and "versions" not in path.parts
        if (lines := len(path.read_text().splitlines())) > 500
    }
    assert long == {}
