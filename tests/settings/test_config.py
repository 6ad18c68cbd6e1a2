from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzredis.errors import ConfigError
from bzredis.settings.addresses import Listener, Origin, redis_url
from bzredis.settings.config import OPTIONS, Config, Token
from bzredis.settings.settle import configure
from bzredis.store.connection import Connection
from bzredis.streams.installed import stream as named

SECRET = "s3cret/pa:ss word"
QUOTED = "s3cret%2Fpa%3Ass%20word"


def one(name: str, value: object) -> object:
    """Return what a single option makes of a TOML value."""
    option = next(option for option in OPTIONS if option.name == name)
    return getattr(configure({}, {}, {name: value}), option.field)


def test_nothing_given_gives_the_contracts_defaults() -> None:
    config = configure({}, {}, {}, state_dir=Path("/state"))
    assert str(config.upstream) == "wss://api.benzinga.com:443"
    assert config.redis[0].url == "redis://127.0.0.1:6379/0"
    assert config.streams == ("ratings", "insights", "consensus")
    assert (config.tickers, config.isins) == ((), ())
    assert (config.prefix, config.events_maxlen) == ("bz", 20_000)
    assert (config.timeline_length, config.log_level) == (50, "info")
    assert config.state_dir == Path("/state")
    assert config.token is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "https://api.benzinga.com:443"),
        ({"upstream": "wss://api.example:444"}, "https://api.example:444"),
        ({"upstream": "ws://localhost:8080"}, "http://localhost:8080"),
        ({"rest": "http://[::1]:1"}, "http://[::1]:1"),
        ({"rest": "https://api.example", "no-rest": True}, "None"),
        ({"no-rest": False}, "https://api.benzinga.com:443"),
    ],
)
def test_where_rest_is(given: dict[str, object], expected: str) -> None:
    assert str(configure({}, {}, given).rest_origin) == expected


def test_flags_go_before_variables_before_the_file() -> None:
    flags: dict[str, object] = {"prefix": "flag"}
    environ = {"BZREDIS_PREFIX": "variable"}
    toml = {"prefix": "file"}
    assert configure(flags, environ, toml).prefix == "flag"
    assert configure({}, environ, toml).prefix == "variable"
    assert configure({}, {}, toml).prefix == "file"


def test_flags_that_were_not_given_hide_nothing() -> None:
    flags: dict[str, object] = {"prefix": None, "stream": ()}
    config = configure(flags, {"BZREDIS_STREAM": "insights"}, {"prefix": "file"})
    assert (config.prefix, config.streams) == ("file", ("insights",))


def test_a_switch_turned_off_goes_before_one_turned_on() -> None:
    assert not configure({"simplify": False}, {}, {"simplify": True}).simplify


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_option_can_come_from_each_place(option: object) -> None:
    samples: dict[str, str] = {
        "upstream": "ws://localhost:8080",
        "redis": "rediss://redis.example:6380/1",
        "stream": "ratings, insights",
        "tickers": "brk.b,TSX:XYZ",
        "isins": "us0378331005",
        "simplify": "true",
        "aggregate-type": "percentage",
        "no-replay": "ratings",
        "no-ping": "ratings",
        "prefix": "{bz}",
        "events-maxlen": "100",
        "timeline-length": "1",
        "history-length": "7",
        "state-dir": "/state",
        "spool-limit": "500 MiB",
        "log-level": "debug",
        "log-format": "json",
        "metrics": "9464",
        "token-file": "/run/token",
        "rest": "https://rest.example",
        "no-rest": "true",
        "backfill": "7d",
        "consensus-refresh": "90m",
    }
    option = next(each for each in OPTIONS if each is option)
    value = samples[option.name]
    found = [
        getattr(configure({option.key: value}, {}, {}), option.field),
        getattr(configure({}, {option.variable: value}, {}), option.field),
        getattr(configure({}, {}, {option.name: value}), option.field),
    ]
    if option.name == "token-file":
        assert [token.path for token in found] == [Path(value)] * 3
    else:
        assert found == [found[0]] * 3
    assert found[0] != getattr(Config(), option.field)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("stream", ["insights", "ratings", "insights"], ("insights", "ratings")),
        ("stream", "Ratings", ("ratings",)),
        ("tickers", " aapl, AAPL,,brk/b ", ("AAPL", "BRK/B")),
        ("tickers", ["BF-B", "tsx:xyz"], ("BF-B", "TSX:XYZ")),
        ("tickers", ["AAPL, ", "BRK/B,"], ("AAPL", "BRK/B")),
        ("tickers", [], ()),
        ("isins", ["US0378331005"], ("US0378331005",)),
        ("simplify", True, True),
        ("simplify", "off", False),
        ("aggregate-type", "Number", "number"),
        ("prefix", "{app:bz}", "{app:bz}"),
        ("prefix", "app:bz", "app:bz"),
        ("events-maxlen", 10_000_000, 10_000_000),
        ("events-maxlen", "20_000", 20_000),
        ("timeline-length", 10_000, 10_000),
        ("spool-limit", 20_000_000, 20_000_000),
        ("spool-limit", "16m", 16 * 2**20),
        ("spool-limit", "1TiB", 2**40),
        ("state-dir", "~/bridge", Path("~/bridge")),
        ("log-level", "WARNING", "warning"),
        ("log-format", "JSON", "json"),
        ("metrics", 9464, Listener("127.0.0.1", 9464)),
        ("metrics", ":9464", Listener("127.0.0.1", 9464)),
        ("metrics", "localhost:1", Listener("127.0.0.1", 1)),
        ("metrics", "0.0.0.0:65535", Listener("0.0.0.0", 65_535)),
        ("metrics", "[::1]:80", Listener("::1", 80)),
        ("rest", "http://127.0.0.1:8000", Origin("http", "127.0.0.1", 8000)),
        ("rest", "https://api.example", Origin("https", "api.example", 443)),
        ("no-rest", True, True),
        ("backfill", "7d", 604_800.0),
        ("backfill", "1W", 604_800.0),
        ("backfill", "12 h", 43_200.0),
        ("consensus-refresh", "90m", 5_400.0),
        ("consensus-refresh", "60s", 60.0),
        ("upstream", "wss://api.example", Origin("wss", "api.example", 443)),
        ("upstream", "wss://api.example/", Origin("wss", "api.example", 443)),
        ("upstream", "ws://127.9.9.9", Origin("ws", "127.9.9.9", 80)),
        ("upstream", "ws://[::1]:8080", Origin("ws", "::1", 8080)),
        ("upstream", "ws://LOCALHOST:1", Origin("ws", "localhost", 1)),
        (
            "upstream",
            "wss://bücher.example",
            Origin("wss", "xn--bcher-kva.example", 443),
        ),
        ("upstream", "wss://XN--bcher-kva.a", Origin("wss", "xn--bcher-kva.a", 443)),
        ("upstream", "wss://my_api.local.", Origin("wss", "my_api.local.", 443)),
        ("upstream", "wss://[fe80::1%eth0]:1", Origin("wss", "fe80::1%eth0", 1)),
    ],
)
def test_values(name: str, value: object, expected: object) -> None:
    assert one(name, value) == expected


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("stream", "earning", "bulls-bears, not 'earning'; is earnings meant?"),
        ("stream", [], "is empty"),
        ("stream", ["ratings", 3], "a number is in it"),
        ("stream", 3, "has to be a list, or text with commas, not a number"),
        ("stream", "", "is empty"),
        ("stream", ["ratings", ""], "is empty"),
        ("no-ping", "all", "one of ratings"),
        ("no-ping", "", "is empty"),
        ("no-replay", [" "], "is empty"),
        ("tickers", "", "is empty"),
        ("tickers", ",", "is empty"),
        ("isins", " , ", "is empty"),
        ("tickers", "AAPL,B AD", "'B AD' is no ticker"),
        ("tickers", "A{B}", "is no ticker"),
        ("tickers", "A" * 33, "is no ticker"),
        ("isins", "US03783310", "is no ISIN"),
        ("token-file", ["/a"], "text, not a list"),
        ("rest", "http://api.example", "http:// is for this machine only"),
        ("rest", "wss://api.example", "has to be of the form https://HOST"),
        ("backfill", "7", "has to be a time, as 90m, 12h or 7d, not '7'"),
        ("backfill", 7, "has to be a time in quotes, as 90m, 12h or 7d, not a number"),
        ("backfill", "2w1d", "has to be a time"),
        ("backfill", "366d", "has to be between 60s and 365d, not '366d'"),
        ("consensus-refresh", "59s", "has to be between 60s and 30d, not '59s'"),
        ("simplify", "maybe", "true or false, not 'maybe'"),
        ("simplify", 1, "has to be true or false, not a number"),
        ("aggregate-type", "share", "one of number, percentage"),
        ("prefix", "", "is empty"),
        ("prefix", 7, "text, not a number"),
        ("prefix", "b z", "white space"),
        ("prefix", "b\x00z", "control characters"),
        ("prefix", "bz*", "pattern"),
        *[
            ("prefix", wrong, "hash tag")
            for wrong in ("{bz", "bz}", "{}", "{", "{a}{b}", "{bz}x", "x{bz}", "{{a}}")
        ],
        ("events-maxlen", 99, "between 100 and 10000000, not 99"),
        ("events-maxlen", "many", "a whole number, not 'many'"),
        ("events-maxlen", True, "has to be a whole number, not true or false"),
        ("events-maxlen", 1e5, "has to be a whole number, not a number with a point"),
        ("events-maxlen", ["1"], "has to be a whole number, not a list"),
        ("timeline-length", 0, "between 1 and 10000"),
        ("timeline-length", 10_001, "between 1 and 10000"),
        ("spool-limit", "1MiB", "between 16777216 and"),
        ("spool-limit", "2 TB", "between 16777216 and"),
        ("spool-limit", "much", "a size, as 500MiB"),
        ("spool-limit", True, "a size, as 500MiB or 1GiB, not true or false"),
        ("spool-limit", 1e9, "a size, as 500MiB or 1GiB, not a number with a point"),
        ("state-dir", {"a": 1}, "text, not a table"),
        ("log-level", "loud", "one of debug, info, warning, error"),
        ("log-format", "xml", "one of auto, text, json"),
        ("metrics", "0", "has to be a port, as 9464"),
        ("metrics", "65536", "has to be a port, as 9464"),
        ("metrics", "home:9464", "not 'home:9464'"),
        ("metrics", "::1:9464", "has to be a port"),
        ("metrics", "[::1]", "has to be a port"),
        ("metrics", "on", "has to be a port"),
        ("metrics", True, "has to be text"),
        ("log-level", "a\nb", "control characters"),
        ("upstream", "", "is empty"),
        ("upstream", "api.benzinga.com", "of the form wss://HOST"),
        ("upstream", "https://api.benzinga.com", "of the form wss://HOST"),
        ("upstream", "wss://", "of the form wss://HOST"),
        ("upstream", "wss://api.example/stream", "end after the host"),
        ("upstream", "wss://api.example?a=b", "end after the host"),
        ("upstream", "wss://me@api.example", "user or password"),
        ("upstream", "wss://api.example:port", "cannot be read"),
        ("upstream", "wss://api.example:0", "port 0"),
        ("upstream", "wss://[::1", "cannot be read"),
        ("upstream", "wss://api. example", "white space"),
        # An older Python reads none of these; a newer one does: the host is no name.
        *[
            (name, f"{scheme}://{host}", "host")
            for name, scheme in (("upstream", "wss"), ("rest", "https"), ("redis",) * 2)
            for host in ("[::1]x", "x[::1]")
        ],
        *[
            (name, f"{scheme}://{host}", "its host is neither a name nor an address")
            for name, scheme in (("upstream", "wss"), ("rest", "https"), ("redis",) * 2)
            for host in (
                *("☃☃", "xn--99999999", "a..b", "..", "-a", "a-", "a%20b", "a;b", "*"),
                *(
                    "1.2.3.999",
                    "x" * 64,
                    ".".join(["x" * 50] * 6),
                ),
            )
        ],
        ("upstream", "ws://api.benzinga.com", "for this machine only"),
        ("upstream", "ws://127.0.0.1.example", "for this machine only"),
        ("upstream", "ws://0.0.0.0", "for this machine only"),
        ("redis", "http://localhost", "redis://, rediss://, unix://, redis+sent"),
        ("redis", "redis:///0", "names no host"),
        ("redis", "redis://localhost/first", "number of a database"),
        ("redis", "redis://localhost:high", "cannot be read"),
        ("redis", "unix://", "names no socket"),
        ("redis", "redis://h?foo=bar", "the option foo in it, which is not understood"),
        ("redis", "redis://h?socket_timeout=abc", "option socket_timeout in it, which"),
        ("redis", "redis://h?decode_responses=True", "option decode_responses in it"),
        ("redis", "rediss://h?protocol=3", "known are db, username, password, ssl_ca_"),
        ("redis", "redis://h?ssl_cert_reqs=none", "ssl_cert_reqs in it, which is for "),
        ("redis", "unix:///s?ssl_ca_path=/c", "is for rediss:// only"),
        ("redis", "rediss://h?ssl_cert_reqs=no", "none, optional or required after ?"),
        (
            "redis",
            "rediss://h?ssl_check_hostname=off",
            "true or false after ?ssl_check",
        ),
        ("redis", "rediss://h?ssl_ca_certs=", "a value after ?ssl_ca_certs="),
        ("redis", "rediss://h?ssl_ca_certs=/a%00b", "a value after ?ssl_ca_certs="),
        ("redis", "redis://h?db=first", "the number of a database after ?db="),
        ("redis", "redis://h?db=-1", "the number of a database after ?db="),
        ("redis", "redis://h?db", "the number of a database after ?db="),
        ("redis", "redis://h?db=1&db=2", "the option db in it twice"),
        ("redis", "redis://h/1?db=2", "names two databases"),
    ],
)
def test_refused_values(name: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configure({}, {}, {name: value}, file="/etc/bz.toml")
    said = str(caught.value)
    assert said.startswith(f"/etc/bz.toml: {name}: ")
    assert words in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "option",
    [option for option in OPTIONS if not option.switch],
    ids=lambda option: option.name,
)
def test_bytes_that_are_no_utf8_are_refused(option: object) -> None:
    """Python gives such bytes as surrogates, which nothing can write again."""
    option = next(each for each in OPTIONS if each is option)
    value = os.fsdecode(b"a\xff")
    given: list[tuple[dict[str, object], dict[str, str]]] = [
        ({option.key: value}, {}),
        ({}, {option.variable: value}),
    ]
    for flags, environ in given:
        with pytest.raises(ConfigError, match=r": is not text in UTF-8$"):
            configure(flags, environ, {})


def test_an_address_is_written_in_brackets() -> None:
    assert str(Origin("ws", "::1", 80)) == "ws://[::1]:80"


def test_an_error_names_the_flag_or_the_variable() -> None:
    with pytest.raises(ConfigError, match=r"^--prefix: is empty$"):
        configure({"prefix": ""}, {}, {})
    with pytest.raises(ConfigError, match=r"^BZREDIS_PREFIX: is empty$"):
        configure({}, {"BZREDIS_PREFIX": ""}, {})


def test_an_unknown_key_is_an_error_that_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no such option; is no-replay meant"):
        configure({}, {}, {"no-reply": "ratings"})
    with pytest.raises(ConfigError, match=r"no such option$"):
        configure({}, {}, {"zzzzzzzz": 1})


def test_keys_may_be_spelt_with_underscores_but_once() -> None:
    assert configure({}, {}, {"log_level": "debug"}).log_level == "debug"
    with pytest.raises(ConfigError, match="twice"):
        configure({}, {}, {"log-level": "debug", "log_level": "info"})


@pytest.mark.parametrize("key", ["token", "api-key", "benzinga_token"])
def test_a_token_in_toml_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(
        ConfigError, match="set BENZINGA_TOKEN, or token-file"
    ) as caught:
        configure({}, {}, {key: SECRET})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "environ", "toml", "expected"),
    [
        ({}, {}, {}, None),
        ({}, {"BENZINGA_TOKEN": "t"}, {}, Token("BENZINGA_TOKEN", "t")),
        ({}, {"BENZINGA_TOKEN": " "}, {}, Token("BENZINGA_TOKEN")),
        (
            {"token_file": "/flag"},
            {"BENZINGA_TOKEN": "t"},
            {},
            Token("--token-file", path=Path("/flag")),
        ),
        (
            {},
            {"BENZINGA_TOKEN_FILE": "/a", "BENZINGA_TOKEN": ""},
            {"token-file": "/file"},
            Token("BENZINGA_TOKEN_FILE", path=Path("/a")),
        ),
        (
            {},
            {"BZREDIS_TOKEN_FILE": "/b", "BENZINGA_TOKEN_FILE": ""},
            {},
            Token("BZREDIS_TOKEN_FILE", path=Path("/b")),
        ),
        (
            {},
            {"BENZINGA_TOKEN": "t"},
            {"token-file": "/file"},
            Token("BENZINGA_TOKEN", "t"),
        ),
        (
            {},
            {},
            {"token-file": "/file"},
            Token("f.toml: token-file", path=Path("/file")),
        ),
    ],
)
def test_where_the_token_stands(
    flags: dict[str, object],
    environ: dict[str, str],
    toml: dict[str, object],
    expected: Token | None,
) -> None:
    assert configure(flags, environ, toml, file="f.toml").token == expected


def test_two_tokens_in_the_environment_are_one_too_many() -> None:
    both = {"BENZINGA_TOKEN": SECRET, "BENZINGA_TOKEN_FILE": "/run/token"}
    with pytest.raises(ConfigError, match="are set, and only one") as caught:
        configure({}, both, {})
    assert SECRET not in str(caught.value)


def test_no_repr_shows_a_secret() -> None:
    redis = f"redis://user:{QUOTED}@localhost:6379/0"
    config = configure({}, {"BENZINGA_TOKEN": SECRET, "BZREDIS_REDIS": redis}, {})
    shown = repr(config) + str(config) + str(config.redis) + repr(attrs.fields(Config))
    assert SECRET not in shown
    assert QUOTED not in shown
    assert config.redis[0].url == redis
    assert config.redis[0].shown == "redis://***@localhost:6379/0"
    assert {SECRET, QUOTED} <= config.redis[0].secrets


ONE, OTHER = "redis://:pw1@one.test:7000/0", "rediss://:pw2@two.test:7001/0"
SENTINELS = "redis+sentinel://a.test:1,b.test:2/mine/0"


@pytest.mark.parametrize(
    ("flags", "variable", "toml", "found"),
    [
        ({"redis": (ONE, OTHER)}, "", None, [ONE, OTHER]),
        ({}, f"{ONE},{OTHER}", None, [ONE, OTHER]),
        ({}, f" {ONE}, {OTHER} ", None, [ONE, OTHER]),
        ({}, "", [ONE, OTHER, ONE], [ONE, OTHER]),
        ({}, "", ONE, [ONE]),
        ({}, SENTINELS, None, [SENTINELS]),
        ({"redis": ()}, ONE, None, [ONE]),
    ],
)
def test_several_nodes_of_a_cluster_may_be_named(
    flags: dict[str, object], variable: str, toml: object, found: list[str]
) -> None:
    environ = {"BZREDIS_REDIS": variable} if variable else {}
    config = configure(flags, environ, {} if toml is None else {"redis": toml})
    assert [each.url for each in config.redis] == found
    assert "pw" not in repr(config)


@pytest.mark.parametrize(
    "url", [f"{ONE},{SENTINELS}", f"unix:///a.sock,{ONE}", ONE + ","]
)
def test_what_is_no_node_stands_alone(url: str) -> None:
    with pytest.raises(ConfigError, match="BZREDIS_REDIS") as caught:
        configure({}, {"BZREDIS_REDIS": url}, {})
    assert "pw1" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "secrets", "shown"),
    [
        ("redis://localhost", set(), "redis://localhost"),
        ("rediss://:p%40w@h:1/2", {"p%40w", "p@w"}, "rediss://***@h:1/2"),
        ("redis://alone@h", {"alone"}, "redis://***@h"),
        ("unix://u:pw@/r.sock?db=1", {"pw"}, "unix://***@/r.sock?db=1"),
        ("unix:///s.sock?password=p%2Fw", {"p%2Fw", "p/w"}, "unix:///s.sock"),
        ("redis://h?db=3&username=u", set(), "redis://h/3"),
        ("redis://h/3?db=3", set(), "redis://h/3"),
        (
            "rediss://h/1?ssl_keyfile=/k.pem&ssl_password=p%2Fw&ssl_certfile=/c.pem",
            {"p%2Fw", "p/w"},
            "rediss://h/1",
        ),
        ("redis://[::1]:6379", set(), "redis://[::1]:6379"),
        (
            "redis+sentinel://u:p%40w@a:1,[::1]:2,c/bz/3?sentinel_password=q%2Fr",
            {"p%40w", "p@w", "q%2Fr", "q/r"},
            "redis+sentinel://***@a:1,[::1]:2,c/bz/3",
        ),
        ("rediss+sentinel://a:1/bz", set(), "rediss+sentinel://a:1/bz/0"),
    ],
)
def test_redis_urls(url: str, secrets: set[str], shown: str) -> None:
    found = redis_url(url)
    assert (found.url, set(found.secrets), found.shown) == (url, secrets, shown)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter#2@localhost",
        "redis://:hunter?2@localhost",
        "redis://:hunter/2@localhost",
        "redis://:hunter@2@localhost",
        "redis://:hunter 2@localhost",
        "redis://:[hunter@localhost",
        "redish://:hunter@localhost",
        "redis://:hunter@/0",
        "redis://:hunter@localhost/x",
        "redis://me:6379?hunter@localhost",
        "redis://me:6379?hunter=1@localhost",
        "redis://localhost?hunter-2=",
        "redis://localhost?foo=hunter",
        "redis://localhost?db=hunter",
        "redis+sentinel://:hunter@a:1",
        "redis+sentinel://:hunter@a:1,/bz/0",
        "redis+sentinel://:hunter@a:1/bz/hunter",
        "redis+sentinel://:hunter@a:x/bz",
        "redis+sentinel://:hunter/2@a:1/bz",
        "redis+sentinel://:hunter#2@a:1/bz",
        "redis+sentinel://a:1/bz?sentinel_x=hunter",
        "redis+sentinel://a:1/bz?sentinel_password=hunter&sentinel_password=2",
        "redis+sentinel://a:1/bz?sentinel_password=",
        "redis+sentinel://a:1/bz?ssl_password=hunter",
    ],
)
def test_a_redis_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configure({}, {"BZREDIS_REDIS": url}, {})
    assert "hunter" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        "redis://h?db=1&username=u&password=p",
        "unix:///s.sock?db=1&username=u&password=p",
        "rediss://h/0?ssl_cert_reqs=none&ssl_check_hostname=False",
        "rediss://h/0?ssl_ca_certs=/ca.pem&ssl_ca_path=/ca&ssl_check_hostname=true",
        "rediss://h?db=2&ssl_certfile=/c&ssl_keyfile=/k&ssl_password=p",
        "redis+sentinel://u:p@a:1,b:2/bz/1?sentinel_username=u&sentinel_password=p",
        "rediss+sentinel://u:p@[::1],b:2/bz?ssl_ca_certs=/ca.pem&sentinel_password=p",
    ],
)
def test_the_client_understands_what_may_stand_in_a_redis_url(url: str) -> None:
    with Connection(redis_url(url).url).first as client:
        client.connection_pool.make_connection()


@given(st.dictionaries(st.sampled_from([o.name for o in OPTIONS]), st.text()))
def test_any_text_gives_a_configuration_or_one_line(toml: dict[str, object]) -> None:
    said = "one line"
    try:
        configure({}, {}, toml)
    except ConfigError as error:
        said = str(error)
    assert len(said.splitlines()) == 1


def test_a_query_holds_what_the_stream_knows_and_is_set() -> None:
    config = configure(
        {},
        {},
        {"tickers": ["AAPL", "BRK.B"], "simplify": True, "aggregate-type": "number"},
    )
    assert config.query(named("ratings").parameters) == {"tickers": "AAPL,BRK.B"}
    assert config.query(named("consensus").parameters) == {
        "tickers": "AAPL,BRK.B",
        "simplify": "true",
        "aggregate_type": "number",
    }
    assert Config().query(named("consensus").parameters) == {}
