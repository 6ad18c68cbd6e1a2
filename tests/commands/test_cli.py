from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from fakes import Said

from bzredis import __version__
from bzredis.bridge.status import CONTRACT
from bzredis.commands import cli, form, logs, run, simulate
from bzredis.commands.running import called
from bzredis.contract import fields
from bzredis.contract.asyncapi import document
from bzredis.contract.keys import KEYS
from bzredis.errors import FeedLost
from bzredis.settings.config import OPTIONS, Config
from bzredis.settings.file import Found
from bzredis.streams import STREAMS

TOKEN = "t0ken-0123456789"
Started = list[tuple[Config, Callable[[], str]]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the command line an empty home, and no variable of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "BZREDIS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for option in OPTIONS:
        for name in (option.variable, *option.variables, "BENZINGA_TOKEN"):
            monkeypatch.delenv(name, raising=False)
    for module in (run, simulate):
        monkeypatch.setattr(module, "configure_logs", lambda *_, **__: None)
    yield tmp_path
    vars(logs._Secrets)["__init__"](logs._secrets)


def invoke(*arguments: str) -> Result:
    env = {called.CALLED: "bzredis"}  # as if it were installed, whoever runs this
    return CliRunner().invoke(cli.bzredis, arguments, prog_name="bzredis", env=env)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Keep what the bridge would have been started with."""
    found: Started = []

    def run_bridge(told: Found, token: Callable[[], str]) -> int:
        found.append((told.config, token))
        return 3

    monkeypatch.setattr(run, "run_bridge", run_bridge)
    return found


def test_alone_it_shows_its_commands() -> None:
    result = invoke()
    assert result.exit_code == 0
    names = (
        "init check run service demo get status board watch config keys"
        " rebuild redrive forget manual simulate"
    )
    for name in names.split():
        assert f"\n  {name} " in result.stdout


@pytest.mark.parametrize("group", [[], ["service"]])
def test_what_each_command_does_is_told_whole_in_a_line(group: list[str]) -> None:
    listed = invoke(*group, "--help").stdout.partition("\nCommands:\n")[2]
    for line in listed.splitlines():
        assert line.endswith("."), line
        assert not line.endswith("...")
        assert line[2] != " "


def test_it_knows_its_version() -> None:
    assert invoke("--version").stdout == f"bzredis {__version__}\n"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_command_has_its_options(option: object) -> None:
    option = next(each for each in OPTIONS if each is option)
    taken = {
        "run": True,
        "config": True,
        "check": True,
        "demo": option.name not in {"upstream", "rest", "token-file", "metrics"},
        "simulate": option.name in {"log-level", "stream"},
        "keys": option.name in {"prefix", "stream"},
        "plugins": False,
        "get": option.name in {"prefix", "redis", "stream"},
        "board": option.name in {"prefix", "redis", "state-dir", "stream"},
        "watch": option.name in {"prefix", "redis", "stream"},
        "status": option.name in {"prefix", "redis", "stream"},
    }
    for name, has in taken.items():
        shown = invoke(name, "--help").stdout.split()
        assert (option.flag in shown) == has
    assert f"[{option.variable};" in " ".join(invoke("run", "--help").stdout.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frob"], "No such command 'frob'"),
        (["ruin"], "No such command 'ruin'; is run meant?"),
        (["Simulator"], "No such command 'Simulator'; is simulate meant?"),
        (["key"], "No such command 'key'; is keys meant?"),
        (["run", "--frob"], "No such option '--frob' (bzredis run --help"),
        (["run", "--ticker", "A"], "No such option '--ticker'; is --tickers meant?"),
        (["run", "--loglevel=x"], "option '--loglevel'; is --log-level meant?"),
        (["keys", "--forma", "x"], "No such option '--forma'; is --format meant?"),
        (["--ticker", "A"], "it stands behind a command, as `bzredis run --tickers`"),
        (["run", "--prefix"], "requires an argument"),
        (["run", "--prefix", "a b"], "--prefix: has white space"),
        (["run", "--prefix", "x{bz}"], "--prefix: 'x{bz}': braces stand only"),
        (["run", "--stream", "earning"], "'earning'; is earnings meant?"),
        (["run", "--no-ping", "bulls-baers"], "'bulls-baers'; is bulls-bears meant?"),
        (["run", "--stream", "ratings", "--stream", ""], "--stream: is empty"),
        (["run", "--no-ping", ""], "--no-ping: is empty"),
        (["run", "--no-replay", ""], "--no-replay: is empty"),
        (["run", "--tickers", ","], "--tickers: is empty"),
        (["run", "--tickers", "AAPL", "--tickers", ""], "--tickers: is empty"),
        (["run", "--config", "/absent.toml"], "/absent.toml: cannot be read"),
        (["demo", "--seconds", "0"], "'--seconds': 0.0 is not in the range"),
        (["demo", "--seconds", "-1"], "'--seconds': -1.0 is not in the range"),
        (["demo", "--seconds", "nan"], "'--seconds': 'nan' is no number that one"),
        (["demo", "--seconds", "inf"], "'--seconds': 'inf' is no number that one"),
        (["simulate", "--rate", "nan"], "'--rate': 'nan' is no number that one"),
        (["simulate", "--rate", "inf"], "'--rate': inf is not in the range"),
        (["simulate", "--rate", "-1"], "'--rate': -1.0 is not in the range"),
        (["simulate", "--rate", "1e6"], "'--rate': 1000000.0 is not in the range"),
        (["run", "--prefix", os.fsdecode(b"a\xff")], "--prefix: is not text in UTF-8"),
        (["demo", "--redis", "redis://h?a=b"], "--redis: has the option a in it"),
        (["run", "--token-file", "/absent"], "the file /absent cannot be read"),
        (["run"], "set BENZINGA_TOKEN, or name a file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments: list[str], words: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert not result.stdout
    assert result.stderr.startswith("bzredis: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_a_token_among_the_arguments_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BENZINGA_TOKEN", TOKEN)
    result = invoke("run", TOKEN)
    assert result.exit_code == 2
    assert "unexpected extra argument" in result.stderr
    assert TOKEN not in result.stderr


def test_a_token_of_strange_bytes_is_no_bug_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strange = os.fsdecode(b"t0ken-\xff-0123")
    monkeypatch.setenv("BENZINGA_TOKEN", strange)
    result = invoke("run", strange)
    assert result.exit_code == 2
    assert "unexpected extra argument (***)" in result.stderr
    assert invoke("run").stderr.startswith("bzredis: BENZINGA_TOKEN holds no token")


@pytest.mark.parametrize("argument", [f"--token={TOKEN}", "--token-fil=x"])
def test_a_token_is_never_an_argument(argument: str) -> None:
    result = invoke("run", argument)
    assert result.exit_code == 2
    assert TOKEN not in result.output


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BZREDIS_EVENTS_MAXLEN", "lots")
    result = invoke("demo")
    assert result.exit_code == 2
    assert result.stderr.startswith("bzredis: BZREDIS_EVENTS_MAXLEN: has to be a whole")


def test_flags_variables_and_file_come_together(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: Started,
) -> None:
    file = home / "bz.toml"
    file.write_text('prefix = "file"\nstate-dir = "~/state"\ntickers = ["aapl"]\n')
    monkeypatch.setenv("BZREDIS_PREFIX", "variable")
    monkeypatch.setenv("BENZINGA_TOKEN", TOKEN)
    flags = ["--stream", "ratings", "--stream", "insights", "--no-simplify"]
    result = invoke("run", "--config", str(file), *flags, "--no-ping", "ratings")
    assert result.exit_code == 3
    [(config, token)] = started
    assert config.prefix == "variable"
    assert config.state_dir == home / "state"
    assert config.tickers == ("AAPL",)
    assert config.streams == ("ratings", "insights")
    assert config.no_ping == ("ratings",)
    assert config.simplify is False
    assert token() == TOKEN
    assert logs.redact(TOKEN) == logs.HIDDEN


def test_watch_lists_given_twice_add_up(
    monkeypatch: pytest.MonkeyPatch,
    started: Started,
) -> None:
    monkeypatch.setenv("BENZINGA_TOKEN", TOKEN)
    monkeypatch.setenv("BZREDIS_TICKERS", "T")  # the flags go before it, as ever
    isins = ["US0378331005", "US5949181045"]
    tickers = ["--tickers", "AAPL,brk.b", "--tickers", "msft,AAPL"]
    invoke("run", *tickers, "--isins", isins[0], "--isins", isins[1])
    [(config, _)] = started
    assert config.tickers == ("AAPL", "BRK.B", "MSFT")
    assert config.isins == tuple(isins)


def test_where_the_file_would_be_may_be_out_of_sight(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_sight(self: Path, *_: object, **__: object) -> os.stat_result:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "stat", out_of_sight)
    monkeypatch.setattr(Path, "read_text", out_of_sight)
    assert invoke("keys").exit_code == 0
    for by_flag in (True, False):
        monkeypatch.setenv("BZREDIS_CONFIG", "" if by_flag else f"{home}/x.toml")
        arguments = ["--config", f"{home}/x.toml"] if by_flag else []
        result = invoke("keys", *arguments)
        assert result.exit_code == 2
        assert result.stderr == (
            f"bzredis: {home}/x.toml: cannot be read: Permission denied\n"
        )


@pytest.mark.parametrize("command", ["run", "keys"])
def test_a_folder_is_no_file_of_options(home: Path, command: str) -> None:
    result = invoke(command, "--config", str(home))
    assert result.exit_code == 2
    assert result.stderr == f"bzredis: {home}: cannot be read: Is a directory\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"prefix = ", "is no TOML"),
        (b"prefix = bz", "(at line 1, column 10); text stands in quotes"),
        (b"\xff", "is not text in UTF-8"),
        (b"prefx = 'a'", "prefx: there is no such option; is prefix meant?"),
        (b"token = 't0ken-0123456789'", "a token has no place among settings"),
        (b"prefix = 3", "prefix: has to be text, not a number"),
    ],
)
def test_a_bad_file_is_named(home: Path, content: bytes, words: str) -> None:
    file = home / "bz.toml"
    file.write_bytes(content)
    result = invoke("run", "--config", str(file))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"bzredis: {file}: ")
    assert words in result.stderr
    assert TOKEN not in result.stderr


def test_a_token_file_that_is_just_being_replaced_is_tried_again(
    home: Path, started: Started
) -> None:
    file = home / "token"
    file.write_text("first")
    assert invoke("run", "--token-file", str(file)).exit_code == 3
    [(_, token)] = started
    file.unlink()
    with pytest.raises(FeedLost, match="cannot be read"):
        token()
    file.write_text("second")
    assert token() == "second"
    assert logs.redact("first second") == "*** ***"


def test_a_token_that_others_may_read_is_warned_of(
    home: Path, started: Started, said: Said
) -> None:
    file = home / "token"
    file.write_text(TOKEN)
    for mode in (0o600, 0o644):
        file.chmod(mode)
        assert invoke("run", "--token-file", str(file)).exit_code == 3
    [line] = said
    assert line["log_level"] == "warning"
    assert f"{file} has the mode 0644; take that away with `chmod 600" in line["event"]


def test_a_token_from_a_pipe_serves_every_connection(
    started: Started,
) -> None:
    read, write = os.pipe()
    os.write(write, TOKEN.encode())
    os.close(write)
    result = invoke("run", "--token-file", f"/dev/fd/{read}")
    os.close(read)
    assert result.exit_code == 3
    [(config, token)] = started
    assert [token() for _ in range(3)] == [TOKEN] * 3
    assert TOKEN not in repr(token) + repr(config) + result.output
    assert logs.redact(TOKEN) == logs.HIDDEN


def test_keys_shows_rules_for_users_under_its_prefix() -> None:
    shown = invoke("keys", "--acl", "--prefix", "IDX").stdout
    rules = [line for line in shown.splitlines() if line.startswith("ACL SETUSER ")]
    users = ["bzredis", "bzreader", "bzreader", "bzreactor", "bzmender"]
    assert [line.split()[2] for line in rules] == users
    for line in rules:
        assert re.search(r"IDX:ratings:((record|latest):)?\* ", line)
        assert "bz:" not in line
        assert re.search(r"&IDX:consensus:(changed|fresh)", line)


def test_keys_shows_the_table_under_its_prefix() -> None:
    shown = invoke("keys", "--prefix", "{x}").stdout
    for stream in STREAMS:
        for key in KEYS:
            there = f"{{x}}:{stream.name}:{key.name} " in shown
            assert there == (stream.state in key.state)
        assert " ".join(head.name for head in stream.headline) in shown
        words = set(shown.split())
        for table in (fields.entry(stream), fields.ours(stream), stream.content):
            assert {each.name for each in table} <= words
    for each in (*fields.GAP, *fields.REJECTED, *fields.STATUS):
        assert each.name in words


def test_keys_shows_an_asyncapi_document_under_its_prefix() -> None:
    shown = invoke("keys", "--format", "asyncapi", "--prefix", "IDX").stdout
    assert json.loads(shown) == document("IDX", CONTRACT)


def test_an_interrupt_before_anything_was_done_does_not_say_that_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(form, "load", interrupted)
    assert invoke("keys").exit_code == 130


def test_other_complaints_of_click_are_one_line_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failed(*_: object) -> None:
        raise click.ClickException("two\nlines")

    monkeypatch.setattr(form, "load", failed)
    result = invoke("keys")
    assert (result.exit_code, result.stderr) == (2, "bzredis: two lines\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_simulator_says_where_it_is_and_ends_when_asked(
    number: signal.Signals,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "bzredis", "simulate", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        where, how = process.stdout.readline(), process.stdout.readline()
        process.send_signal(number)
        _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, "")
    assert "upstream is at ws://127.0.0.1:" in where
    assert "--prefix demo" in how, "made-up data stays apart"


def test_a_port_that_is_taken_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = invoke("simulate", "--port", str(port))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"bzredis: --port {port}: cannot be had: ")


def test_as_a_program_it_ends_with_the_code_and_the_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "bzredis", "run"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert not ended.stdout
    assert ended.stderr.startswith("bzredis: there is no token: set BENZINGA_TOKEN")
    assert ended.stderr.count("\n") == 1
