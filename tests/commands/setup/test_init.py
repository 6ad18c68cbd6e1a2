"""`bzredis init`, as a person runs it: with a terminal, and without."""

from __future__ import annotations

import os
import pty
import select
import signal
import stat
import subprocess
import sys
import termios
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import attrs
import pytest
from click.testing import Result

from bzredis.commands.setup.put import put
from bzredis.errors import ConfigError

SECRET, OTHER = "s3cret-t0ken", "0ther-t0ken"
LIMIT = 60.0  # s for what a process says, on a busy machine too
ECHO = 3  # the local modes, of what termios knows of a terminal

Run = Callable[..., CompletedProcess[str]]
Inside = Callable[..., Result]


@attrs.define
class Terminal:
    """What a person sees of a process, and types."""

    process: subprocess.Popen[bytes]
    fd: int
    shown: str = ""

    def until(self, words: str) -> None:
        """Read on until these words were shown; "" for the end."""
        end = time.monotonic() + LIMIT
        while not words or words not in self.shown:
            ready, _, _ = select.select([self.fd], [], [], end - time.monotonic())
            assert ready, self.shown
            try:
                part = os.read(self.fd, 4_096)
            except OSError:  # nobody has it open any more
                part = b""
            assert part or not words, self.shown
            if not part:
                return
            self.shown += part.decode()

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.fd)[ECHO] & termios.ECHO)

    def end(self) -> int:
        self.until("")
        return self.process.wait(LIMIT)


@contextmanager
def terminal(environ: dict[str, str], *arguments: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "bzredis", *arguments],
        env=environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,  # without the terminal that these tests run in
    )
    held = os.dup(theirs)  # its modes are lost with the last who has it open
    os.close(theirs)
    try:
        seen = Terminal(process, ours)
        yield seen
    finally:
        process.kill()
        process.wait()
        os.close(held)
        os.close(ours)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_on_a_terminal_it_asks_for_the_token_and_does_not_show_it(
    environ: dict[str, str], file: Path, bzredis: Run
) -> None:
    with terminal(environ, "init") as seen:
        seen.until("Enter alone: later): ")
        assert not seen.echoes()
        seen.type("two words\n")
        seen.until("once more:")
        seen.until("once more:\r\nYour Benzinga token")
        seen.type(f"{SECRET}\n")
        seen.until("` here.")
        assert seen.process.wait(LIMIT) == 0
        assert seen.echoes()
    assert SECRET not in seen.shown
    assert "two words" not in seen.shown
    assert max(map(len, seen.shown.splitlines())) <= 80 + len(str(file))
    token = file.with_name("token")
    assert token.read_text() == f"{SECRET}\n"
    assert (mode(token), mode(file), mode(file.parent)) == (0o600, 0o600, 0o700)
    assert tomllib.loads(file.read_text()) == {"token-file": str(token)}
    found = bzredis("config")
    assert (found.returncode, found.stderr) == (0, "")
    assert f"***, in {token}" in found.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_at_the_question_it_leaves_a_terminal_that_shows_what_is_typed(
    environ: dict[str, str], file: Path, number: signal.Signals
) -> None:
    with terminal(environ, "init") as seen:
        seen.until("Enter alone: later): ")
        seen.process.send_signal(number)
        seen.until("Stopped; no token was kept.")
        assert seen.process.wait(LIMIT) == 130  # so that `init && run` ends there
        assert seen.echoes()
    assert not file.with_name("token").exists()
    assert "Traceback" not in seen.shown


def test_on_a_terminal_it_asks_before_it_writes_anew(
    environ: dict[str, str], file: Path
) -> None:
    token = file.with_name("token")
    file.parent.mkdir(parents=True)
    for answer, expected in (("", "# mine"), ("y", "# Settings of bzredis")):
        file.write_text("# mine\n")
        token.write_text(OTHER)
        token.chmod(0o600)
        with terminal(environ, "init") as seen:
            seen.until("Write it anew? [y/N]: ")
            seen.type(f"{answer}\n")
            seen.until("Enter alone: as it was): ")
            seen.type("\n")
            seen.until("` here.")
            assert seen.process.wait(LIMIT) == 0
        assert file.read_text().startswith(expected)
        assert token.read_text() == OTHER
        assert f"As it was: {token}" in seen.shown


def test_without_a_terminal_it_says_how_to_give_the_token(
    bzredis: Run, file: Path
) -> None:
    ended = bzredis("init", given=f"{SECRET}\n")  # which nobody asked for
    assert (ended.returncode, ended.stderr) == (0, "")
    for words in ("--token-stdin", "BENZINGA_TOKEN", str(file.with_name("token"))):
        assert words in ended.stdout
    assert file.exists()
    assert not file.with_name("token").exists()


def test_a_pipe_may_give_it_and_again(bzredis: Run, file: Path) -> None:
    for secret in (SECRET, OTHER):
        ended = bzredis("init", "--token-stdin", given=f" '{secret}'\n")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert secret not in ended.stdout
        assert file.with_name("token").read_text() == f"{secret}\n"
        assert mode(file.with_name("token")) == 0o600
    assert f"As it was: {file} (unless --force)" in ended.stdout


def test_what_is_there_stays_unless_it_is_forced(inside: Inside, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text('prefix = "mine"\n')
    ended = inside("init")
    assert ended.exit_code == 0
    assert file.read_text() == 'prefix = "mine"\n'
    assert f"add: token-file = '{file.with_name('token')}'" in ended.stdout
    ended = inside("init", "--force")
    assert f"Written: {file}" in ended.stdout
    assert "mine" not in file.read_text()


def test_the_token_goes_where_the_file_that_stays_wants_it(
    bzredis: Run, file: Path, tmp_path: Path
) -> None:
    file.parent.mkdir(parents=True)
    file.write_text('token-file = "~/elsewhere/t"\n')
    ended = bzredis("init", "--token-stdin", given=SECRET)
    assert (ended.returncode, ended.stderr) == (0, "")
    kept = tmp_path / "home" / "elsewhere" / "t"
    assert (kept.read_text(), mode(kept)) == (f"{SECRET}\n", 0o600)


def test_a_token_that_others_may_read_is_warned_of(inside: Inside, file: Path) -> None:
    file.parent.mkdir(parents=True)
    token = file.with_name("token")
    token.write_text(SECRET)
    token.chmod(0o644)
    ended = inside("init")
    assert ended.exit_code == 0
    assert "others may read the token" in ended.stderr


def test_another_file_is_named_to_whoever_runs_it(
    inside: Inside, tmp_path: Path
) -> None:
    file = tmp_path / "my settings" / "bz.toml"
    ended = inside("init", "--config", str(file), BENZINGA_TOKEN=SECRET)
    assert file.exists()
    assert f"`bzredis run --config '{file}'`" in ended.stdout
    assert "BENZINGA_TOKEN is set here, and goes before that file." in ended.stdout
    assert SECRET not in ended.output
    by_variable = inside("init", "--force", BZREDIS_CONFIG=f"'{file}'")
    assert f"Written: {file}" in by_variable.stdout
    assert "`bzredis run`" in by_variable.stdout


def test_what_comes_next_is_what_one_can_type_here(inside: Inside) -> None:
    said = inside("init", BRIDGE_COMMAND="scripts/my bridge").stdout
    for command in ("init", "check", "service install", "run"):
        assert f"`'scripts/my bridge' {command}`" in said
    assert "`bzredis" not in said


def test_an_error_names_what_one_can_type_here(inside: Inside) -> None:
    said = inside("config", BRIDGE_COMMAND="scripts/bridge").stderr
    assert "`scripts/bridge init`" in said


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (("--token-stdin",), "", "--token-stdin is empty"),
        (("--token-stdin",), f"two {SECRET}", "--token-stdin holds no token"),
        (("--config", "/dev/null/x"), "", "/dev/null/x cannot be written: Not a dir"),
        (("--config", "/"), "", "/: cannot be read: Is a directory"),
        (("--config", os.fsdecode(b"/tmp/\xff")), "", "--config: is not text in UTF"),
        (("--confg", "x"), "", "No such option '--confg'; is --config meant?"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    bzredis: Run, file: Path, arguments: tuple[str, ...], given: str, words: str
) -> None:
    ended = bzredis("init", *arguments, given=given)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert SECRET not in ended.stderr
    assert not file.with_name("token").exists()


NOBODY = """
import os, pwd
def unknown(*_): raise KeyError("no such user")
pwd.getpwuid = pwd.getpwnam = unknown
os.environ.pop("HOME", None)
from bzredis.__main__ import main
main()
"""


def test_who_has_no_home_is_told_what_to_name(
    environ: dict[str, str], tmp_path: Path
) -> None:
    def run(*arguments: str) -> CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-c", NOBODY, *arguments],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=LIMIT,
            text=True,
            check=False,
        )

    found = run("init")
    assert found.returncode == 2
    assert "name their file with --config" in found.stderr
    assert found.stderr.count("\n") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["home"]
    assert run("init", "--config", "bz.toml").returncode == 0
    assert (tmp_path / "bz.toml").exists()
    assert run("config", "--config", "bz.toml").returncode == 2  # there is no token


def test_a_link_stays_one(tmp_path: Path) -> None:
    kept, link = tmp_path / "kept", tmp_path / "link"
    kept.write_text("a")
    link.symlink_to(kept)
    assert not put(link, "b", anew=False)
    assert put(link, "b", anew=True)
    assert (link.is_symlink(), kept.read_text(), mode(kept)) == (True, "b", 0o600)


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "f").write_text("a")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=r"f cannot be written: No space left"):
        put(tmp_path / "f", "b", anew=True)
    assert [each.name for each in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_text() == "a"
