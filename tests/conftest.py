"""What all tests share: a private PostgreSQL with cheap copies of migrated databases, a test CA with the
fixed cast, and the peers: programs that are not ours, which a test names with `@pytest.mark.peer("openssl")`.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest

from demo.ca import CertificateAuthority, Issued
from hanse.database import Database, GroundBase
from hanse.migrations import upgrade
from hanse.postgres import PrivatePostgres
from hanse.revisions import RevisionBase
from hanse.settings import ServiceSettings

ROOT = Path(__file__).resolve().parent.parent
PEERS_FILE = ROOT / "tests" / "peers.toml"
PEER_COUNTS = ROOT / ".runs"
MEMORY_NEEDED = 2 << 30

hypothesis.settings.register_profile("hanse", deadline=None, max_examples=50)
# Continuous integration looks at the same examples each time: what it refuses, a person can repeat.
hypothesis.settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "hanse"))

S = TypeVar("S", bound=ServiceSettings)
FreshDatabase = Callable[[str], AbstractContextManager[Database]]
DatabaseFor = Callable[[str], Database]


# --- databases ---


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    """One server for the session, in a temporary folder; it ends with it, also when that is killed."""
    directory = _folder_in_memory() or Path(tempfile.mkdtemp(prefix="hanse-test-"))
    server = PrivatePostgres(directory, durable=False)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _folder_in_memory() -> Path | None:
    """A new folder in memory, where a copy of a database takes a tenth of the time; None where there is no room."""
    shared = Path("/dev/shm")
    if not (
        shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > MEMORY_NEEDED
    ):
        return None
    for left in shared.glob("hanse-test-*"):  # by a session that was killed
        owner = left.name.split("-")[2]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"hanse-test-{os.getpid()}-", dir=shared))


@pytest.fixture(scope="session")
def fresh_database(postgres: PrivatePostgres) -> FreshDatabase:
    """`with fresh_database("registry") as db:` a database of one's own with all migrations of the service.

    "hanse" stands for the ground's own tables. A copy costs about 50 ms: the migrations run once a session.
    """
    templates: set[str] = set()
    numbers = itertools.count(1)

    @contextmanager
    def fresh(package: str) -> Iterator[Database]:
        template = f"{package}_template"
        if package not in templates:
            postgres.drop_database(template)  # of a first attempt that failed
            postgres.create_database(template)
            _make_tables(package, postgres.dsn(template))
            templates.add(package)
        name = f"{package}_{next(numbers)}"
        postgres.create_database(name, template)
        db = Database(postgres.dsn(name))
        try:
            yield db
        finally:
            db.close()
            postgres.drop_database(name)

    return fresh


def _make_tables(package: str, dsn: str) -> None:
    if package != "hanse":
        upgrade(package, dsn)
        return
    db = Database(dsn)
    try:
        for metadata in (GroundBase.metadata, RevisionBase.metadata):
            metadata.create_all(db.engine)
    finally:
        db.close()


@pytest.fixture
def database_for(fresh_database: FreshDatabase) -> Iterator[DatabaseFor]:
    """`database_for("registry")` gives an empty migrated database for this test alone."""
    with ExitStack() as stack:
        yield lambda package: stack.enter_context(fresh_database(package))


@pytest.fixture(scope="module")
def module_database_for(fresh_database: FreshDatabase) -> Iterator[DatabaseFor]:
    """The same for all tests of a module together."""
    with ExitStack() as stack:
        yield lambda package: stack.enter_context(fresh_database(package))


@pytest.fixture
def ground(database_for: DatabaseFor) -> Database:
    """A database with the ground floor's tables and no service's."""
    return database_for("hanse")


# --- the cast ---


class Cast:
    """The certificates of the fixed cast, made when first asked for: `cast["Anna Lindqvist"].cert`."""

    def __init__(self, ca: CertificateAuthority) -> None:
        self._ca = ca
        self._issued: dict[str, Issued] = {}

    def __getitem__(self, person: str) -> Issued:
        return self._issue(f"/C=EU/O=Hanse Demo/OU=People/CN={person}", None)

    def host(self, site: str, name: str = "acct") -> Issued:
        """The host certificate of acct.cesnet.example and its like."""
        host = f"{name}.{site.lower()}.example"
        return self._issue(f"/C=EU/O=Hanse Demo/OU={site}/CN={host}", host)

    def local(self) -> Issued:
        """The certificate of a service of ours on this machine, for localhost."""
        return self._issue("/C=EU/O=Hanse Demo/OU=Services/CN=localhost", "localhost")

    def _issue(self, subject: str, host: str | None) -> Issued:
        if subject not in self._issued:
            self._issued[subject] = self._ca.issue(subject, host=host)
        return self._issued[subject]


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """The test CA, /C=EU/O=Hanse Demo/CN=Hanse Demo CA. Do not revoke the cast's certificates: issue your
    own.
    """
    return CertificateAuthority.create(tmp_path_factory.mktemp("ca"), "/C=EU/O=Hanse Demo/CN=Hanse Demo CA")


@pytest.fixture(scope="session")
def cast(ca: CertificateAuthority) -> Cast:
    """Ingrid Holm, Eliška Malá, Laura Gil, Goran Petrov, Marta Kowalska, Paavo Salo, Anna Lindqvist, Tomás
    Vidal.
    """
    return Cast(ca)


@pytest.fixture
def trust_dir(ca: CertificateAuthority, tmp_path: Path) -> Path:
    """A folder that trusts the test CA and has its revocation list; the test's own copy, free to spoil."""
    return Path(shutil.copytree(ca.trust_dir, tmp_path / "trust", symlinks=True))


@pytest.fixture
def settings_for(cast: Cast, trust_dir: Path, tmp_path: Path) -> Callable[..., Any]:
    """`settings_for(Settings, "registry", db, port=7010)`: settings of a service that would start."""

    def make(model: type[S], service: str, db: Database, **changes: Any) -> S:
        host = cast.local()
        given: dict[str, Any] = {
            "service": service,
            "database_url": db.url,
            "secret_key": "a secret of the tests alone",
            "data_dir": tmp_path / service,
            "trust_dir": trust_dir,
            "tls_cert": host.cert_path,
            "tls_key": host.key_path,
            "federation": "Research Cloud Federation · demo",
            "secure_cookies": False,
        }
        (tmp_path / service).mkdir(exist_ok=True)
        return model(**{**given, **changes})

    return make


# --- peers ---


def _peers() -> dict[str, dict[str, Any]]:
    return dict(tomllib.loads(PEERS_FILE.read_text(encoding="utf-8"))["peers"])


def _missing(name: str, peer: dict[str, Any]) -> str | None:
    """Why the peer cannot be used here, or None."""
    for command in peer.get("commands", ()):
        if shutil.which(command) is None:
            return f"{name}: there is no {command}; {peer['install']}"
    for file in peer.get("files", ()):
        # what a system package brings stands at an absolute path
        if not (Path(file).exists() if file.startswith("/") else list(ROOT.glob(file))):
            return f"{name}: there is no {file}; {peer['install']}"
    return None


def _required() -> bool:
    return os.environ.get("HANSE_REQUIRE_PEERS") == "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    peers = _peers()
    for marker in item.iter_markers("peer"):
        for name in marker.args:
            if name not in peers:
                pytest.fail(f"{name} is not a peer that tests/peers.toml knows", pytrace=False)
            reason = _missing(name, peers[name])
            if reason is None:
                item.user_properties.append(("peer", name))
            elif _required():
                pytest.fail(f"HANSE_REQUIRE_PEERS=1, and {reason}", pytrace=False)
            else:
                pytest.skip(reason)


class PeerCounts:
    """How many tests each peer took part in; in the process that reports, also under xdist."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._counts: Counter[str] = Counter()
        self._too_few: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self._counts.update({name for key, name in report.user_properties if key == "peer"})

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        counts = {name: self._counts[name] for name in sorted(_peers())}
        if any(counts.values()):
            PEER_COUNTS.mkdir(exist_ok=True)
            name = "peers-slow.json" if self._config.option.markexpr == "slow" else "peers.json"
            (PEER_COUNTS / name).write_text(json.dumps(counts, indent=2) + "\n")
        if _required() and exitstatus == 0 and self._whole_suite():
            self._too_few = [
                f"{name} took part in {counts[name]} tests, and tests/peers.toml wants {peer['tests']}"
                for name, peer in _peers().items()
                if counts[name] < peer["tests"]
            ]
            if self._too_few:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._counts:
            told = ", ".join(f"{name} {count}" for name, count in sorted(self._counts.items()))
            terminalreporter.write_line(f"tests with peers: {told}")
        for line in self._too_few:
            terminalreporter.write_line(line, red=True)

    def _whole_suite(self) -> bool:
        option = self._config.option
        narrowed = option.keyword or option.deselect or getattr(option, "lf", False)
        everything = self._config.args in (["tests"], [str(ROOT / "tests")])
        return everything and not narrowed and option.markexpr in ("", "not slow", "not slow and not soak")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(PeerCounts(config), "hanse-peer-counts")
