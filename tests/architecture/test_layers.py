"""Inside a service imports run downwards only, and nowhere in the house is a circle (docs/architecture.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("registry", "accounting", "monitoring", "vomsdb")
PACKAGES = (*SERVICES, "hanse", "siteagent", "demo")
FACES = {"api", "views", "jobs", "protocols", "metrics"}
PLUGINS = {"formats", "probes", "notifiers", "feeds", "renderings"}
# what plug-ins and use cases both speak: values and words without a decision in them
WORDS = {"findings": 1, "wire": 1, "letters": 1, "clock": 0}
RANKS = {"cli": 6, "service": 6, "app": 5, "schemas": 1, "models": 0, **WORDS}


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "migrations" in parts:
                continue
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str, *, only_at_import: bool = False) -> Iterator[str]:
    """Modules of ours that `name` imports; with only_at_import, those that run when it is imported."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    nodes = _top_level(tree) if only_at_import else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            wanted = [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            wanted = [(base, tuple(alias.name for alias in node.names))]
        else:
            continue
        for base, names in wanted:
            inner = [f"{base}.{each}" for each in names if f"{base}.{each}" in MODULES]
            yield from inner
            if base in MODULES and len(inner) < max(len(names), 1):
                yield base


def _top_level(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _top_level(node)


def rank(name: str) -> int:
    """Height of a module in its service: 6 the command line ... 0 the tables."""
    room = name.split(".")[1] if "." in name else ""
    if room in FACES:
        return 4
    if room in PLUGINS:
        return 2
    return RANKS.get(room, 3)


@pytest.mark.parametrize("service", SERVICES)
def test_imports_run_downwards_in(service: str) -> None:
    upwards = [
        f"{name} imports {other}"
        for name in MODULES
        if name.startswith(f"{service}.")
        for other in imports(name)
        if other.startswith(f"{service}.") and rank(other) > rank(name)
    ]
    assert upwards == []


@pytest.mark.parametrize("service", SERVICES)
def test_use_cases_know_no_http_in(service: str) -> None:
    """Use cases, plug-ins and tables import neither Flask nor hanse.web: HTTP stays in api, views and protocols."""
    offenders = []
    for name, path in MODULES.items():
        if not name.startswith(f"{service}.") or rank(name) > 3:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            source = ""
            if isinstance(node, ast.ImportFrom):
                source = node.module or ""
            elif isinstance(node, ast.Import):
                source = node.names[0].name
            if source.split(".")[0] in {"flask", "werkzeug"} or source.startswith("hanse.web"):
                offenders.append(f"{name} imports {source}")
    assert offenders == []


def test_no_circle_of_imports() -> None:
    graph = {name: set(imports(name, only_at_import=True)) - {name} for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = [*path[path.index(name) :], name]
            # a package that re-exports its own modules is no circle of rooms
            if len({part.rsplit(".", 1)[0] if part.count(".") > 1 else part for part in circle}) > 1:
                pytest.fail("circle: " + " > ".join(circle))
            return
        if name in done:
            return
        for other in graph[name]:
            visit(other, (*path, name))
        done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_rooms(service: str) -> None:
    rooms = {"__init__", "app", "models", "schemas", "api", "views", "jobs", "cli", "service"}
    missing = {room for room in rooms if not (ROOT / service / f"{room}.py").exists()}
    packages = {room for room in rooms if (ROOT / service / room / "__init__.py").exists()}
    assert missing - packages == set()
    assert (ROOT / service / "migrations").is_dir()
    assert (ROOT / service / "protocols").is_dir() or service == "monitoring"
