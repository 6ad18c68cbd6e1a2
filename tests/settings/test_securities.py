"""What a person may write as a watch-list: taken as it is meant, or an error."""

from __future__ import annotations

import pytest

from bzredis.errors import ConfigError
from bzredis.settings.config import Config
from bzredis.settings.settle import configure
from bzredis.simulator.market.catalogue import COMPANIES

APPLE, MICROSOFT = "US0378331005", "US5949181045"


def told(name: str, value: str) -> Config:
    """Say it as a variable, where a shell or a file of them had its hands on it."""
    return configure({}, {f"BZREDIS_{name.upper()}": value}, {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("AAPL", ("AAPL",)),
        ("aapl, brk.b", ("AAPL", "BRK.B")),
        (" AAPL ,\tMSFT\n", ("AAPL", "MSFT")),
        ("AAPL,,MSFT,", ("AAPL", "MSFT")),
        ("AAPL,aapl,$AAPL,NASDAQ:AAPL", ("AAPL",)),
        ("$AAPL", ("AAPL",)),
        ("'AAPL'", ("AAPL",)),
        ('"AAPL,MSFT"', ("AAPL", "MSFT")),
        ("\"'AAPL'\"", ("AAPL",)),
        ("'AAPL','MSFT'", ("AAPL", "MSFT")),
        ("\u201cAAPL\u201d", ("AAPL",)),
        ("\ufeffAAPL,\u200bMSFT", ("AAPL", "MSFT")),
        ("\uff21\uff21\uff30\uff2c", ("AAPL",)),
        ("BRK.B,BF-B,BRK/B", ("BRK.B", "BF-B", "BRK/B")),
        ("BAC^L,ABC+,XYZ=,0700", ("BAC^L", "ABC+", "XYZ=", "0700")),
        ("BAC$L,M&M", ("BAC$L", "M&M")),
        ("TSX:SHOP", ("TSX:SHOP",)),
        ("tsx:rci.b", ("TSX:RCI.B",)),
        ("XTSE:SHOP,TSX-V:ABC,Toronto:SHOP", ("TSX:SHOP", "TSXV:ABC")),
        ("NYSE:T,OTCMKTS:TCEHY,AMEX:SPY,US:T", ("T", "TCEHY", "SPY")),
        ("LON:VOD", ("LON:VOD",)),
        ("ALL", ("ALL",)),  # Allstate; everything is what no list at all means
        ("NA,TRUE,ON,USA", ("NA", "TRUE", "ON", "USA")),  # traded, all of them
    ],
)  # fmt: skip
def test_tickers_are_taken_as_they_are_meant(
    value: str, expected: tuple[str, ...]
) -> None:
    assert told("tickers", value).tickers == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "is empty; leave it out for its default"),
        ("  ", "is empty; leave it out"),
        (",", "is empty; leave it out"),
        ("''", "is empty; leave it out"),
        ('" , "', "is empty; leave it out"),
        ("AAPL,''", "is empty"),
        ("AAPL;MSFT", "'AAPL;MSFT' is no ticker: commas go between, as AAPL,MSFT"),
        ("AAPL MSFT T", "commas go between, as AAPL,MSFT"),
        ("AAPL\nMSFT", "commas go between, as AAPL,MSFT"),
        ("AAPL|MSFT", "commas go between, as AAPL,MSFT"),
        ("AAPL\uff0cMSFT", "commas go between, as AAPL,MSFT"),
        ("AAPL; MSFT, T", "commas go between, as AAPL,MSFT"),
        ("'AAPL' 'MSFT'", "commas go between"),
        ('["AAPL","MSFT"]', "there is '[' in it, which none has"),
        ("AAPL'", 'there is "\'" in it, which none has'),
        ("AAPL!", "there is '!' in it"),
        ("AAPL%2CMSFT", "there is '%' in it"),
        ("AAPL@NASDAQ", "there is '@' in it"),
        ("\u0410APL", "there is '\u0410' in it (cyrillic capital letter a); type"),
        ("*", "to follow everything, leave the option out"),
        ("none", "'none' is no ticker but stands for one; to follow everything"),
        ("NULL", "stands for one"),
        ("n/a", "stands for one"),
        ("$TICKERS", "stands for one"),
        ("$MY_LIST", "stands for one"),
        ("${T}", "stands for one"),
        ("$(cat list)", "commas go between"),
        ("$", "is no ticker"),
        ("AAPL.", "begin and end with a letter or a digit, as BRK.B"),
        (".INX", "begin and end with a letter or a digit"),
        ("TSX:", "begin and end with a letter"),
        (":SHOP", "begin and end with a letter"),
        ("A:B:C", "write it as EXCHANGE:TICKER, as TSX:SHOP"),
        ("AAPL:US", "those of the United States are left out; write AAPL"),
        ("AAPL:NASDAQ", "write AAPL"),
        ("A" * 33, "it has more than 32 characters"),
        (APPLE, f"'{APPLE}' is an ISIN: write it in isins (--isins, BZREDIS_ISINS)"),
        (f"AAPL,{APPLE.lower()}", "is an ISIN: write it in isins"),
        ("037833100", "'037833100' is a CUSIP: write its ticker, or its ISIN in isins"),
    ],
)  # fmt: skip
def test_what_can_be_no_ticker_is_an_error(value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        told("tickers", value)
    said = str(caught.value)
    assert said.startswith("BZREDIS_TICKERS: ")
    assert words in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (APPLE.lower(), (APPLE,)),
        (f"'{APPLE}', {MICROSOFT},{APPLE}", (APPLE, MICROSOFT)),
        ("GB0002634946", ("GB0002634946",)),
        ("AU0000XVGZA3", ("AU0000XVGZA3",)),
    ],
)
def test_isins_are_taken_as_they_are_meant(
    value: str, expected: tuple[str, ...]
) -> None:
    assert told("isins", value).isins == expected


def test_those_that_the_simulator_makes_up_are_some() -> None:
    isins = tuple(company.isin for company in COMPANIES)
    assert told("isins", ",".join(isins)).isins == isins


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (",", "is empty; leave it out"),
        ("AAPL", "'AAPL' is no ISIN; a ticker belongs in tickers (--tickers, BZ"),
        (f"{APPLE},brk.b", "'brk.b' is no ISIN; a ticker belongs in tickers"),
        (f"{APPLE};{MICROSOFT}", f"commas go between, as {APPLE},{MICROSOFT}"),
        (f"{APPLE} {MICROSOFT}", f"commas go between, as {APPLE},{MICROSOFT}"),
        ("US0378331006", "is no ISIN: after US037833100 comes 5; look for a slip"),
        ("US0378313005", "is no ISIN: after US037831300 comes"),
        ("US037833100", "is no ISIN: two letters, nine letters or digits, one digit"),
        ("037833100", "is no ISIN: two letters"),
        ("US-037833100-5", "is no ISIN: two letters"),
    ],
)  # fmt: skip
def test_what_can_be_no_isin_is_an_error(value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        told("isins", value)
    said = str(caught.value)
    assert said.startswith("BZREDIS_ISINS: ")
    assert words in said


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("prefix", "'bz'", "bz"),
        ("prefix", '"{bz}"', "{bz}"),
        ("log_level", '"debug"', "debug"),
        ("events_maxlen", "'200'", 200),
        ("spool_limit", '"16MiB"', 16 * 2**20),
        ("backfill", "'7d'", 604_800.0),
        ("no_rest", '"true"', True),
        ("no_ping", "'ratings,insights'", ("ratings", "insights")),
    ],
)
def test_quotes_around_a_whole_value_are_taken_off(
    name: str, value: str, expected: object
) -> None:
    assert getattr(told(name, value), name) == expected


def test_and_those_around_an_address() -> None:
    config = told("redis", "'redis://:pw@h:1/2'")
    assert [each.url for each in config.redis] == ["redis://:pw@h:1/2"]
    assert str(told("upstream", '"wss://h"').upstream) == "wss://h:443"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("bz:", "'bz:' ends in a colon, which each key adds by itself"),
        ("''", "is empty"),
        (" bz", "has white space in it"),
        ("' bz'", "has white space in it"),
        ("$PREFIX", r"nothing is put in for \$PREFIX here; write the prefix itself"),
    ],
)
def test_a_prefix_that_would_be_another(value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        told("prefix", value)


@pytest.mark.parametrize("value", ["$HOME/state", "${HOME}/state", "'$HOME/state'"])
@pytest.mark.parametrize("name", ["state_dir", "token_file"])
def test_a_folder_of_a_variables_name_is_not_made(name: str, value: str) -> None:
    with pytest.raises(
        ConfigError, match=r"nothing is put in for \$.*; write ~ or the"
    ):
        told(name, value)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"prefix": "--no-rest"}, "--prefix: its value is missing before --no-rest"),
        ({"state_dir": "--prefix=x"}, "--state-dir: its value is missing before --pr"),
        ({"tickers": ("AAPL", "--isins")}, "--tickers: its value is missing before"),
    ],
)
def test_the_next_option_is_no_value(flags: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        configure(flags, {}, {})
