"""Names that are none: of variables and of the file's keys."""

from __future__ import annotations

import pytest

from bzredis.errors import ConfigError
from bzredis.settings.config import OPTIONS
from bzredis.settings.settle import configure

SECRET = "s3cret-t0ken"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("BZREDIS_TICKER", "is BZREDIS_TICKERS meant?"),
        ("BZREDIS_STREAMS", "is BZREDIS_STREAM meant?"),
        ("BZREDIS_REDIS_URL", "is BZREDIS_REDIS meant?"),
        ("BZREDIS_LOGLEVEL", "is BZREDIS_LOG_LEVEL meant?"),
        ("BZREDIS_CONFIG_FILE", "is BZREDIS_CONFIG meant?"),
        ("BZREDIS_TOKENFILE", "is BZREDIS_TOKEN_FILE meant?"),
        ("bzredis_tickers", "is BZREDIS_TICKERS meant?"),
        ("BZREDIS-TICKERS", "is BZREDIS_TICKERS meant?"),
        ("BZREDIS__TICKERS", "is BZREDIS_TICKERS meant?"),
        ("BZREDIS_TOKEN", "is BENZINGA_TOKEN meant?"),
        ("BZREDIS_API_KEY", "is BENZINGA_TOKEN meant?"),
        ("BZREDIS_ZZZZZZZZ", "unset it (`bzredis run --help` names all"),
        ("BZREDIS_", "unset it"),
        ("BZREDIS_PORT", "there is no such option"),  # of a person: it has no address
    ],
)
def test_a_variable_that_is_no_option_is_an_error(name: str, words: str) -> None:
    for value in (SECRET, ""):
        with pytest.raises(ConfigError) as caught:
            configure({}, {name: value}, {})
        said = str(caught.value)
        assert said.startswith(f"{name}: there is no such option")
        assert words in said
        assert SECRET not in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BZREDIS_SERVICE_HOST", "10.0.0.1"),
        ("BZREDIS_SERVICE_PORT", "6379"),
        ("BZREDIS_SERVICE_PORT_METRICS", "9464"),
        ("BZREDIS_PORT", "tcp://10.0.0.1:6379"),
        ("BZREDIS_PORT_6379_TCP", "tcp://10.0.0.1:6379"),
        ("BZREDIS_PORT_6379_TCP_ADDR", "10.0.0.1"),
        ("BZREDIS_METRICS_SERVICE_HOST", "10.0.0.1"),
        ("BZREDIS_METRICS_PORT", "tcp://10.0.0.1:9464"),
        ("BZREDIS_CONFIG", "/etc/bz.toml"),
        ("_BZREDIS_COMPLETE", "bash_source"),  # click's, for a shell to complete
        ("BZREDISTICKERS", "of whoever has such a name"),
        ("MY_BZREDIS_TICKER", "likewise"),
    ],
)
def test_what_others_set_is_left_alone(name: str, value: str) -> None:
    configure({}, {name: value}, {})


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_no_option_is_taken_for_what_kubernetes_sets(option: object) -> None:
    """Else a slip in its name would be left alone."""
    option = next(each for each in OPTIONS if each is option)
    for name in (option.variable + "S", option.variable + "_"):
        with pytest.raises(ConfigError, match=rf"is {option.variable} meant"):
            configure({}, {name: "x"}, {})


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ({"no-reply": "ratings"}, "is no-replay meant?"),
        ({"ticker": "AAPL"}, "is tickers meant?"),
        ({"Tickers": "AAPL"}, "is tickers meant?"),
        ({"BZREDIS_TICKERS": "AAPL"}, "is tickers meant?"),
        ({"--tickers": "AAPL"}, "is tickers meant?"),
        ({"token-fil": "/a"}, "is token-file meant?"),
        ({"run": {"tickers": "AAPL"}}, "options stand at the top of the file, in no ["),
    ],
)
def test_so_is_a_key_that_is_none(toml: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configure({}, {}, toml, file="f.toml")
    assert str(caught.value).startswith(f"f.toml: {next(iter(toml))}: there is no such")
    assert words in str(caught.value)
