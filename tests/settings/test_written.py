"""What is written of a value can be read again, and holds no secret."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bzredis.settings.config import OPTIONS
from bzredis.settings.settle import Setting, configure, settle
from bzredis.settings.written import as_json, as_text, as_toml


def setting(name: str, value: object) -> Setting:
    (found,) = (
        each for each in settle({}, {}, {name: value}) if each.option.name == name
    )
    return found


@pytest.mark.parametrize(
    ("name", "value", "text", "toml"),
    [
        ("tickers", "aapl,brk.b", "AAPL, BRK.B", '["AAPL", "BRK.B"]'),
        ("tickers", [], "everything", "[]"),
        ("no-ping", [], "none", "[]"),
        ("redis", "redis://h:1/2", "redis://h:1/2", '["redis://h:1/2"]'),
        ("upstream", "wss://h", "wss://h:443", '"wss://h:443"'),
        ("no-rest", "yes", "true", "true"),
        ("aggregate-type", "Number", "number", '"number"'),
        ("backfill", "24h", "1d", '"1d"'),
        ("backfill", "90m", "90m", '"90m"'),
        ("backfill", "2w", "14d", '"14d"'),
        ("consensus-refresh", "61s", "61s", '"61s"'),
        ("spool-limit", "1024M", "1GiB", '"1GiB"'),
        ("spool-limit", 16_777_217, "16777217", '"16777217"'),
        ("events-maxlen", "20_000", "20000", "20000"),
        ("state-dir", '/a "b" ä', '/a "b" ä', '"/a \\"b\\" ä"'),
        ("metrics", ":9464", "127.0.0.1:9464", '"127.0.0.1:9464"'),
        ("metrics", "[::]:1", "[::]:1", '"[::]:1"'),
        ("token-file", "/run/token", "/run/token", '"/run/token"'),
    ],
)
def test_values(name: str, value: object, text: str, toml: str) -> None:
    found = setting(name, value)
    assert as_text(found.option, found.value) == text
    line = as_toml(found.option, found.value)
    assert line == f"{name} = {toml}"
    again = configure({}, {}, tomllib.loads(line), file="the configuration file")
    assert getattr(again, found.option.field) == found.value


def test_every_default_has_words() -> None:
    for each in settle({}, {}, {}, state_dir=Path("/state")):
        assert as_text(each.option, each.value)
    assert len(settle({}, {}, {})) == len(OPTIONS)


def test_no_secret_is_written() -> None:
    environ = {
        "BZREDIS_REDIS": "rediss://hunter2@h:1?ssl_password=hunter2,rediss://u:hunter2@i",
        "BENZINGA_TOKEN": "hunter2",
    }
    for each in settle({}, environ, {}):
        for write in (as_json, as_text, as_toml):
            assert "hunter" not in str(write(each.option, each.value))
        assert "hunter" not in repr(each)


def test_who_said_it_is_told_and_who_is_passed_over() -> None:
    flags: dict[str, object] = {"prefix": "a", "tickers": ("T",)}
    environ = {"BZREDIS_PREFIX": "b", "BZREDIS_ISINS": "US0378331005"}
    environ |= {"BENZINGA_TOKEN": "t", "BENZINGA_TOKEN_FILE": ""}
    toml = {"prefix": "c", "log_level": "debug", "token-file": "/t"}
    said = {
        each.option.name: (each.kind, each.source, each.passed_over)
        for each in settle(flags, environ, toml, file="f.toml")
        if each.source
    }
    assert said == {
        "prefix": ("flag", "--prefix", ("BZREDIS_PREFIX", "f.toml: prefix")),
        "tickers": ("flag", "--tickers", ()),
        "isins": ("variable", "BZREDIS_ISINS", ()),
        "log-level": ("file", "f.toml: log_level", ()),
        "token-file": ("variable", "BENZINGA_TOKEN", ("f.toml: token-file",)),
    }
