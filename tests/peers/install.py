"""Makes `.peers/`: programs that are not ours, from PyPI by name and hash, in an environment of their own.

`python tests/peers/install.py` is repeatable: it does nothing where the lock files have not changed. What cannot be
installed is said, and the tests that need it then skip with that reason (or fail under HANSE_REQUIRE_PEERS=1).
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
HOME = ROOT / ".peers"
LOCKS = ("requirements.lock", "requirements-alone.lock", "requirements-sources.lock")


def wanted() -> str:
    digest = hashlib.sha256()
    for name in LOCKS:
        digest.update((HERE / name).read_bytes())
    digest.update(sys.version.encode())
    return digest.hexdigest()


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)


def install() -> None:
    HOME.mkdir(exist_ok=True)
    python = HOME / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", HOME / "venv")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes"]
    run(*pip, "-r", HERE / "requirements.lock")
    run(*pip, "--no-deps", "-r", HERE / "requirements-alone.lock")
    download = [python, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--require-hashes"]
    source = ["--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--dest", HOME / "sources"]
    run(*download, *source, "-r", HERE / "requirements-sources.lock")
    for archive in sorted((HOME / "sources").glob("*.tar.gz")):
        shutil.unpack_archive(archive, HOME)  # pip compared its hash


def main() -> int:
    stamp = HOME / "stamp"
    if stamp.exists() and stamp.read_text() == wanted():
        return 0
    try:
        install()
    except subprocess.CalledProcessError as failure:
        print(
            f"peers: {' '.join(failure.cmd[-4:])} failed; the tests that need it will skip", file=sys.stderr
        )
        return 1
    stamp.write_text(wanted())
    print(f"peers: ready in {HOME}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
