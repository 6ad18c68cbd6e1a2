from __future__ import annotations

import os
from pathlib import Path
from threading import Event, Thread, active_count

import pytest

from bzredis.errors import ConfigError, FeedLost
from bzredis.settings import credentials
from bzredis.settings.config import Token


@pytest.mark.parametrize("name", ["BENZINGA_API_KEY", "BENZINGA_TOKN"])
def test_where_there_is_none_a_name_like_its_own_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for each in os.environ:
        if each.startswith("BENZINGA_"):
            monkeypatch.delenv(each)
    monkeypatch.setenv("BENZINGA_TOKEN_FILE", "")
    with pytest.raises(ConfigError, match="there is no token: set BENZINGA_TOKEN, or"):
        credentials.required(None)
    monkeypatch.setenv(name, "t0ken")
    with pytest.raises(ConfigError, match=f"{name} is set, and what is") as caught:
        credentials.required(None)
    assert "t0ken" not in str(caught.value)


def test_a_token_in_a_variable() -> None:
    assert credentials.read(Token("BENZINGA_TOKEN", " t0ken\n")) == "t0ken"


@pytest.mark.parametrize("text", ["'t0ken'", '"t0ken"\n', " \"'t0ken'\" "])
def test_quotes_around_it_are_taken_off(text: str) -> None:
    assert credentials.read(Token("BENZINGA_TOKEN", text)) == "t0ken"


@pytest.mark.parametrize(
    "text",
    [
        "BENZINGA_TOKEN=t0ken",
        "export BENZINGA_API_KEY='t0ken'",
        "$BENZINGA_TOKEN",
        "${TOKEN}",
    ],
)
def test_a_variables_name_is_no_token(text: str) -> None:
    with pytest.raises(ConfigError, match="the name of a variable") as caught:
        credentials.read(Token("BENZINGA_TOKEN_FILE", text))
    assert "t0ken" not in str(caught.value)


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


@pytest.mark.parametrize(
    ("mode", "warned"),
    [(0o600, False), (0o400, False), (0o644, True), (0o640, True), (0o602, True)],
)
def test_a_file_that_others_may_use_is_told(
    tmp_path: Path, *, mode: int, warned: bool
) -> None:
    file = tmp_path / "my token"
    file.write_text("t")
    file.chmod(mode)
    said = credentials.exposed(Token("--token-file", path=file))
    assert bool(said) == warned
    assert not warned or said.endswith(f"with `chmod 600 '{file}'`")
    assert not warned or f"has the mode 0{mode:o};" in said


def test_what_nobody_here_can_mend_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As secrets of containers are: of another user, or on what is read-only."""
    file = tmp_path / "token"
    file.write_text("t")
    file.chmod(0o644)
    exposed = [
        credentials.exposed(Token("BENZINGA_TOKEN", "t")),
        credentials.exposed(Token("--token-file", path=Path("/absent"))),
        credentials.exposed(Token("--token-file", path=Path("/dev/null"))),
    ]
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    exposed.append(credentials.exposed(Token("--token-file", path=file)))
    monkeypatch.setattr(os, "geteuid", lambda: me)
    values = list(os.statvfs(file))
    values[8] |= os.ST_RDONLY
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))
    exposed.append(credentials.exposed(Token("--token-file", path=file)))
    assert exposed == [""] * len(exposed)


def feed(pipe: Path, token: str) -> Thread:
    """Write a token into a pipe, once somebody reads it, and close it."""
    feeding = Thread(target=pipe.write_text, args=(token,))
    feeding.start()
    return feeding


def test_what_a_pipe_gave_is_kept_and_not_shown(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feeding = feed(pipe, "t0ken-0123\n")
    token = credentials.lasting(Token("--token-file", path=pipe))
    feeding.join()
    assert [credentials.read(token) for _ in range(2)] == ["t0ken-0123"] * 2
    assert token.source == "--token-file"
    assert "t0ken" not in repr(token)


def test_so_is_what_came_through_a_descriptor() -> None:
    read, write = os.pipe()
    os.write(write, b"t0ken")
    os.close(write)
    token = credentials.lasting(Token("--token-file", path=Path(f"/dev/fd/{read}")))
    os.close(read)
    assert credentials.read(token) == "t0ken"


def test_a_pipe_that_gives_nothing_is_told_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feeding = feed(pipe, "")
    with pytest.raises(ConfigError, match=r"^--token-file: the file .*pipe is empty"):
        credentials.lasting(Token("--token-file", path=pipe))
    feeding.join()


@pytest.mark.parametrize("name", ["token", "link", "absent", "."])
def test_all_else_is_read_where_it_stands(tmp_path: Path, name: str) -> None:
    (tmp_path / "token").write_text("first")
    (tmp_path / "link").symlink_to(tmp_path / "token")  # as Kubernetes' secrets are
    token = Token("--token-file", path=tmp_path / name)
    assert credentials.lasting(token) is token
    assert credentials.lasting(Token("BENZINGA_TOKEN", "t")).literal == "t"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        credentials.read(Token("--token-file", path=tmp_path))


def test_a_disk_that_hangs_does_not_hold_up_who_wants_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, kept, hangs = tmp_path / "token", list[str](), Event()
    file.write_text("first")
    read = credentials.token_reader(Token("--token-file", path=file), kept.append)
    assert read() == "first"
    file.write_text("second")
    at_once = credentials.read

    def slow(token: Token) -> str:
        assert hangs.wait(60)
        return at_once(token)

    monkeypatch.setattr(credentials, "read", slow)
    monkeypatch.setattr(credentials, "MOMENT", 0.01)
    threads = active_count()
    assert [read(), read(), read()] == ["first"] * 3
    assert active_count() == threads + 1
    hangs.set()
    monkeypatch.setattr(credentials, "MOMENT", 60.0)
    assert read() == "second"
    assert kept == ["first", "first", "second"]
    file.unlink()
    with pytest.raises(FeedLost, match="--token-file: the file"):
        read()
    file.write_text("third")
    assert read() == "third"
