"""A package's stream that cannot be had costs the others nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import trio
from click.testing import CliRunner
from streams.offered import offer, offered

from bzredis.commands import run
from bzredis.commands.cli import bzredis
from bzredis.commands.running.followed import sifted, whole
from bzredis.commands.setup.check import checked
from bzredis.errors import ConfigError
from bzredis.settings.file import Found, find
from bzredis.streams import RATINGS

WORDS = "the stream two of b-package 1.2 cannot be followed: it cannot be loaded"


@pytest.fixture(autouse=True)
def site(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    offer(folder, "b-package", {"two": "b_package:TWO"}, "1 / 0")
    with offered(folder):
        yield folder


def found(tmp_path: Path, *names: str) -> Found:
    flags = {"stream": names, "state_dir": str(tmp_path / "state"), "no_rest": True}
    upstream = {"upstream": "ws://127.0.0.1:1", "redis": ("redis://127.0.0.1:1",)}
    return find(None, flags | upstream)


def test_the_others_are_followed(tmp_path: Path) -> None:
    told = found(tmp_path, "ratings", "two", "earnings")
    with structlog.testing.capture_logs() as logs:
        sound = whole(told)
    assert sound.config.streams == ("ratings", "earnings")
    assert sound.config.prefix == told.config.prefix
    [line] = logs
    assert line["log_level"] == "error"
    words = line["event"] % line.get("positional_args", ())
    assert words.startswith(WORDS)
    assert words.endswith("; the others are followed")


def test_so_does_run(monkeypatch: pytest.MonkeyPatch) -> None:
    followed = list[tuple[str, ...]]()

    def run_bridge(told: Found, _: object) -> int:
        followed.append(told.config.streams)
        return 0

    monkeypatch.setattr(run, "run_bridge", run_bridge)
    monkeypatch.setenv("BENZINGA_TOKEN", "t0ken")
    result = CliRunner().invoke(bzredis, ["run", "--stream", "two,insights"])
    assert (result.exit_code, followed) == (0, [("insights",)])
    assert WORDS in result.stderr


def test_where_nothing_is_left_it_ends(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=WORDS.replace(".", r"\.")):
        whole(found(tmp_path, "two"))


def test_what_is_sound_stays_as_it_is(tmp_path: Path) -> None:
    told = found(tmp_path, "ratings", "bulls-bears")
    assert sifted(told) == (told, [])


def test_two_of_one_path_are_one_too_many(tmp_path: Path, site: Path) -> None:
    code = (
        "from bzredis.plugin import Stream\nX = Stream(name='x', read=str, path={!r})"
    )
    offer(site, "c-package", {"x": "c_package:X"}, code.format(RATINGS.path))
    sound, [words] = sifted(found(tmp_path, "ratings", "x", "insights"))
    assert sound.config.streams == ("ratings", "insights")
    assert words.startswith("the stream x has the path of ratings, and upstream allows")
    assert sifted(found(tmp_path, "x"))[1] == []


def test_check_says_so(tmp_path: Path) -> None:
    sheet = trio.run(checked, found(tmp_path, "ratings", "two"))
    told = {each.name: each for each in sheet}
    assert told["plugins"].state == "error"
    assert told["plugins"].words.startswith(WORDS)
    assert "`run` does without it" in told["plugins"].todo
    assert "plugins" not in {each.name for each in trio.run(checked, found(tmp_path))}
