"""`bzredis config`, as a person runs it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import attrs
import click
import pytest
from click.testing import Result

from bzredis.commands.setup.config import ENDLESS, page
from bzredis.settings.file import find

SECRET = "hunter-2/3"
QUOTED = "hunter-2%2F3"

Run = Callable[..., CompletedProcess[str]]
Inside = Callable[..., Result]


def rows(shown: str) -> dict[str, str]:
    """Return what stands behind each name."""
    lines = [line.strip().partition("  ") for line in shown.splitlines()]
    return {name: rest.strip() for name, _, rest in lines if rest}


def test_it_shows_what_is_in_force_and_who_said_so(bzredis: Run, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text('tickers = ["aapl"]\nprefix = "x"\nbackfill = "24h"\n')
    environ = {"BZREDIS_PREFIX": "y", "BENZINGA_TOKEN": SECRET}
    ended = bzredis("config", "--no-rest", "--stream", "ratings", **environ)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = rows(ended.stdout)
    assert found["Settings file"] == str(file)
    said = {name: rest.split() for name, rest in found.items()}
    assert said["tickers"] == ["AAPL", "settings", "file"]
    assert said["prefix"] == ["y", "BZREDIS_PREFIX"]
    assert said["no-rest"] == ["true", "--no-rest"]
    assert said["stream"] == ["ratings", "--stream"]
    assert said["token-file"] == ["***", "BENZINGA_TOKEN"]
    assert found["backfill"].startswith("1d ")
    assert found["isins"] == "everything"
    assert found["spool-limit"] == "1GiB"
    assert "(not settings file)" in ended.stdout
    assert SECRET not in ended.stdout


def test_the_same_for_programs(bzredis: Run, file: Path) -> None:
    environ = {"BZREDIS_TICKERS": "aapl,T", "BENZINGA_TOKEN": SECRET}
    ended = bzredis("config", "--json", **environ)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = json.loads(ended.stdout)
    assert found["file"] == {"path": str(file), "exists": False, "named_by": None}
    options = found["options"]
    assert options["tickers"] == {
        "value": ["AAPL", "T"],
        "from": "variable",
        "source": "BZREDIS_TICKERS",
        "passed_over": [],
    }
    assert options["token-file"]["value"] == "***"
    assert options["events-maxlen"]["value"] == 20_000
    assert options["rest"]["value"] is None


@pytest.mark.parametrize("more", [(), ("--json",)])
@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{QUOTED}@h",
        f"redis://{QUOTED}@h",
        f"redis://h?password={QUOTED}",
        f"rediss://h?ssl_password={QUOTED}",
        f"unix:///s?password={QUOTED}",
        f"redis+sentinel://:{QUOTED}@h:1/s?sentinel_password={QUOTED}",
        f"redis://h,redis://:{QUOTED}@i",
    ],
)
def test_no_secret_is_shown(
    inside: Inside, tmp_path: Path, url: str, more: tuple[str, ...]
) -> None:
    token = tmp_path / "token"
    token.write_text(SECRET.replace("/", "-"))
    token.chmod(0o600)
    file = tmp_path / "f.toml"
    file.write_text(f'redis = {json.dumps(url.split(","))}\ntoken-file = "{token}"')
    ended = inside("config", "--config", str(file), *more)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert "hunter" not in ended.stdout
    assert str(token) in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "told", "shows"),
    [
        ((), {}, True),
        ((), {"BENZINGA_TOKEN": " "}, True),
        ((), {"BENZINGA_TOKEN": f"a {SECRET}"}, True),
        (("--token-file", "/absent"), {}, True),
        (("--config", "/absent"), {}, False),
        ((), {"BZREDIS_TICKER": "AAPL"}, False),
        ((), {"BZREDIS_TICKERS": "AAPL;MSFT"}, False),
        (("--redis", f"redis://:{SECRET}@h"), {}, False),
        (("--ticker", "AAPL"), {}, False),
    ],
)
def test_what_is_wrong_is_said_as_run_would(
    inside: Inside, arguments: tuple[str, ...], told: dict[str, str], *, shows: bool
) -> None:
    ended = inside("config", *arguments, **told)
    real = inside("run", *arguments, **told)
    assert ended.exit_code == real.exit_code == 2
    assert ended.stderr.replace("bzredis config", "bzredis run") == real.stderr
    assert ended.stderr.count("\n") == 1
    assert SECRET not in ended.stderr + ended.stdout
    assert bool(ended.stdout) == shows


def test_a_token_that_comes_but_once_is_left_to_run(
    bzredis: Run, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # whoever opened it would wait for ever
    ended = bzredis("config", "--token-file", str(pipe))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_page_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    many = ",".join(f"ABC.{number}" for number in range(60))
    long = "redis://a-rather-long-name-of-a-host.somewhere.example:6379/0"
    environ = {"BZREDIS_TICKERS": many, "BZREDIS_REDIS": long, "BENZINGA_TOKEN": "t0"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = find(None, {"consensus_refresh": "7d"})
    for columns in (80, 100, 140):
        lines = [*page(attrs.evolve(found, file=Path("/f")), columns)]
        assert max(map(len, map(click.unstyle, lines))) <= columns
    shown = "\n".join(page(found, ENDLESS))  # for what reads line by line
    assert many.replace(",", ", ") in shown


def test_a_token_that_others_may_read_is_warned_of(
    inside: Inside, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(SECRET)
    token.chmod(0o644)
    ended = inside("config", "--token-file", str(token))
    assert ended.exit_code == 0
    assert ended.stderr.startswith("bzredis: others may read the token: its file ")
    assert ended.stderr.count("\n") == 1
