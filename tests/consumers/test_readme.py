"""The README of the consumers names all files, lines and packages that there are."""

from __future__ import annotations

import re

from consumers.languages import FOLDER, LANGUAGES
from consumers.lines import ENTRY, GAP, LATEST

README = (FOLDER / "README.md").read_text()


def test_each_language_has_its_row() -> None:
    rows = re.findall(r"^\| (\w+) \| `(consumer\.\w+)` \|", README, re.MULTILINE)
    assert {language.lower(): file for language, file in rows} == {
        name: language.file for name, language in LANGUAGES.items()
    }
    assert {file for _, file in rows} == {f.name for f in FOLDER.glob("consumer.*")}


def test_the_lines_are_told() -> None:
    for word, names in (("entry   ID  ", ENTRY), ("gap     ID  ", GAP)):
        assert f"    {word} {' '.join(names)}\n" in README
    assert f"  {' '.join(LATEST)}\n" in README


def test_what_is_needed_is_installed() -> None:
    provide = (FOLDER / "provide").read_text()
    for row in re.findall(r"^\| .*`consumer\.\w+` \| (.*) \|$", README, re.MULTILINE):
        for package in re.findall(r"`([a-z0-9.-]+)`", row):
            is_ours = package in {"redis", "bzredis.reader"}
            assert is_ours or f" {package}" in provide.replace('"', " ")
