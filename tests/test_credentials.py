from __future__ import annotations

from pathlib import Path

import pytest

from bzredis import credentials
from bzredis.config import Token
from bzredis.errors import ConfigError


def test_a_token_in_a_variable() -> None:
    assert credentials.read(Token("BENZINGA_TOKEN", " t0ken\n")) == "t0ken"


def test_a_file_is_read_anew_at_each_use(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = Token("--token-file", path=file)
    file.write_text("\ufefffirst\r\n")
    assert credentials.read(token) == "first"
    file.write_text("second")
    assert credentials.read(token) == "second"


def test_home_may_be_written_as_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "token").write_text("t")
    assert credentials.read(Token("--token-file", path=Path("~/token"))) == "t"


@pytest.mark.parametrize("text", ["", " \n", "two words", "a\x00b", "a\nb", "tökén"])
def test_what_is_no_token_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^BENZINGA_TOKEN (is empty|holds)"
    ) as caught:
        credentials.read(Token("BENZINGA_TOKEN", text))
    assert not text.strip() or text not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b"\xff\xfe", "is not text"),
        (b"x" * 5_000, "is too large"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        credentials.read(Token("BENZINGA_TOKEN_FILE", path=file))
    assert str(caught.value).startswith(f"BENZINGA_TOKEN_FILE: the file {file}")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        credentials.read(Token("--token-file", path=tmp_path))
