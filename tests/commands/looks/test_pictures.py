"""The README's pictures show what today's code draws, and fetch nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from commands.looks.conftest import LIMIT

FOLDER = Path(__file__).parents[3] / "scripts" / "pictures"
README = (FOLDER.parents[1] / "README.md").read_text()
NAMES = sorted(each.name for each in FOLDER.glob("*.svg"))
SPACE = "http://www.w3.org/2000/svg"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    command = [sys.executable, "-P", str(FOLDER / "draw.py"), str(folder)]
    subprocess.run(command, timeout=LIMIT, check=True)
    return folder


def texts(file: Path) -> list[tuple[str, str, str]]:
    """Return what is written where, whatever rich makes of the rest."""
    root = ET.parse(file).getroot()  # noqa: S314 - it is ours
    return [
        (each.get("x", ""), each.get("y", ""), each.text or "")
        for each in root.iter(f"{{{SPACE}}}text")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_they_are_what_is_drawn_today(drawn: Path, name: str) -> None:
    """Else: scripts/pictures/draw."""
    assert texts(drawn / name) == texts(FOLDER / name)
    assert len(texts(FOLDER / name)) > 50


@pytest.mark.parametrize("name", NAMES)
def test_they_fetch_nothing(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert {*re.findall(r"\w+://[^\"' <)&]+", text)} <= {
        SPACE,
        "redis://127.0.0.1:6399/0",
    }
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_the_readme_shows_them() -> None:
    assert NAMES == ["board.svg", "demo.svg"]
    for name in NAMES:
        assert f"](scripts/pictures/{name})" in README
