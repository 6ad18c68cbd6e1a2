from __future__ import annotations

import os
from pathlib import Path

import pytest

from bzredis.errors import ConfigError
from bzredis.settings.file import load


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty home, and no variable of ours."""
    for name in os.environ:
        if name.startswith(("BZREDIS_", "BENZINGA_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_file_has_its_usual_place(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setattr(
        "bzredis.settings.file.user_config_path", lambda app: home / app
    )
    assert load(None, {}).prefix == "bz"
    (home / "bzredis").mkdir()
    (home / "bzredis" / "config.toml").write_text('prefix = "usual"')
    assert load(None, {}).prefix == "usual"


def test_the_file_may_be_named_by_a_variable(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BZREDIS_CONFIG", str(home / "other.toml"))
    with pytest.raises(ConfigError, match=r"other\.toml: cannot be read"):
        load(None, {})
    (home / "other.toml").write_text('prefix = "other"')
    assert load(None, {}).prefix == "other"


@pytest.mark.parametrize("quotes", ["'{}'", '"{}"', " {} "])
def test_quotes_around_its_name_are_taken_off(
    home: Path, monkeypatch: pytest.MonkeyPatch, quotes: str
) -> None:
    monkeypatch.setenv("BZREDIS_CONFIG", quotes.format(home / "other.toml"))
    (home / "other.toml").write_text('prefix = "other"')
    assert load(None, {}).prefix == "other"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_mark_that_editors_of_windows_begin_with_is_read(
    home: Path, newline: str
) -> None:
    file = home / "bz.toml"
    lines = ["\ufeff# ä", 'prefix = "x"', 'tickers = ["aapl"]', ""]
    file.write_bytes(newline.join(lines).encode())
    config = load(file, {})
    assert (config.prefix, config.tickers) == ("x", ("AAPL",))


def test_state_is_kept_in_the_users_folder(home: Path) -> None:
    state_dir = load(None, {}).state_dir
    assert state_dir.is_absolute()
    assert home in state_dir.parents
