"""Three numbers that keep the house readable: files, fields, and one seam of a kind."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import bzredis

ROOT = Path(bzredis.__file__).parent
MOST_FILES = 9  # of a folder; `__init__` and `lua/` apart
MOST_FIELDS = 12  # of a class of the engine
ENGINE = ("bridge", "backlog", "store", "upstream")
# What the hash of a status says is said by its fields: a value, though it counts.
VALUES = {"StreamStatus"}
FROZEN = ("attrs.frozen", "msgspec.Struct")


def classes(*folders: str) -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield every class, also one inside another, with its module."""
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef):
                    yield file.relative_to(ROOT).with_suffix("").as_posix(), node


def fields(node: ast.ClassDef) -> set[str]:
    """Return what an object of a class holds, declared or assigned."""
    declared = {
        each.target.id
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    assigned = {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name)
        and each.value.id == "self"
    }
    return declared | assigned


def is_value(node: ast.ClassDef) -> bool:
    said = [ast.unparse(each) for each in (*node.decorator_list, *node.bases)]
    return node.name in VALUES or any(each.startswith(FROZEN) for each in said)


def is_protocol(node: ast.ClassDef) -> bool:
    names = [ast.unparse(base).partition("[")[0] for base in node.bases]
    return any(name.rpartition(".")[2] == "Protocol" for name in names)


def test_no_folder_holds_more_than_one_takes_in_at_a_glance() -> None:
    crowded = {
        str(folder.relative_to(ROOT)): len(files)
        for folder in (ROOT, *filter(Path.is_dir, ROOT.rglob("*")))
        if len(files := {*folder.glob("*.py")} - {folder / "__init__.py"}) > MOST_FILES
    }
    assert not crowded


def test_no_class_of_the_engine_holds_more_than_one_keeps_in_mind() -> None:
    found = {
        f"{module} {node.name}": len(fields(node))
        for module, node in classes(*ENGINE)
        if not is_value(node)
    }
    assert {name: count for name, count in found.items() if count > MOST_FIELDS} == {}
    assert found["bridge/coverage Holes"] >= 5, "fields are not seen"


def test_each_seam_stands_in_ports_and_none_twice() -> None:
    found = [(module, node.name) for module, node in classes(".") if is_protocol(node)]
    assert {module for module, _ in found} == {"ports"}
    names = [name for _, name in found]
    assert len(names) == len({*names})
