"""Topics and names: what is safe in them, and no two symbols in one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzredis.commands.react.mqtt.address import Broker, broker
from bzredis.commands.react.mqtt.topics import BRIDGE, Topics, level, name, symbol

SYMBOLS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
TRICKY = st.text(st.sampled_from("AB1_-.:/+#% $é2f"), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "as_level", "as_name"),
    [
        ("AAPL", "AAPL", "AAPL"),
        ("BRK.A", "BRK.A", "BRK_2eA"),
        ("TSX:SHOP", "TSX:SHOP", "TSX_3aSHOP"),
        ("BTC/USD", "BTC%2FUSD", "BTC_2fUSD"),
        ("A+B", "A%2BB", "A_2bB"),
        ("A#1", "A%231", "A_231"),
        ("A_B-C", "A_B-C", "A_5fB-C"),
        ("ÅÄ", "%C3%85%C3%84", "_c3_85_c3_84"),
        ("100%", "100%25", "100_25"),
    ],
)
def test_a_symbol_in_a_topic_and_in_a_name(
    text: str, as_level: str, as_name: str
) -> None:
    assert (level(text), name(text)) == (as_level, as_name)


@given(SYMBOLS | TRICKY, SYMBOLS | TRICKY)
def test_no_two_symbols_share_a_topic_or_a_name(one: str, other: str) -> None:
    for of in (level, name):
        assert (of(one) == of(other)) is (one == other)
    assert not re.search(r"[/+#\0]", level(one))
    assert re.fullmatch(r"[A-Za-z0-9_-]+", name(one))
    assert name(one) != BRIDGE
    assert symbol(name(one)) == one


@pytest.mark.parametrize("odd", ["a", "A_", "A_2", "A_2E", "_ff", "A.B", "_41", BRIDGE])
def test_what_is_no_symbols_name_is_none_of_ours(odd: str) -> None:
    assert symbol(odd) is None


def test_all_topics_stand_below_one() -> None:
    topics = Topics("my/home-1")
    assert topics.state("ratings", "TSX:SHOP") == "my/home-1/ratings/TSX:SHOP"
    assert topics.stream("ratings") == "my/home-1/ratings"
    assert topics.availability == "my/home-1/availability"
    config = topics.config(name("TSX:SHOP"))
    assert config == "homeassistant/device/my_home-1/TSX_3aSHOP/config"
    assert topics.which(config) == "TSX_3aSHOP"
    assert topics.which("homeassistant/device/my_home-1/x/y/config") == "x/y"
    assert topics.which("homeassistant/device/other/TSX_3aSHOP/config") is None


# ---- the address


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("mqtt://host", Broker("host", 1883, tls=False)),
        ("mqtts://host/", Broker("host", 8883, tls=True)),
        ("mqtt://[::1]:9/a/b-2", Broker("::1", 9, tls=False, base="a/b-2")),
        (
            "mqtt://me:p%40ss%2Fw@host",
            Broker("host", 1883, tls=False, user="me", password="p@ss/w"),
        ),
        (" mqtt://me@host\n", Broker("host", 1883, tls=False, user="me")),
    ],
)
def test_a_url_is_read(url: str, found: Broker) -> None:
    assert broker(url) == found
    assert "p@ss" not in f"{broker(url)!r}{broker(url).shown}"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "it is not of the form mqtt://HOST"),
        ("http://hunter2", "it is not of the form mqtt://HOST"),
        ("mqtt://", "it names no host"),
        ("mqtt://h:hunter2", "its host or port cannot be read"),
        ("mqtt://h:99999", "its host or port cannot be read"),
        ("mqtt://[::1", "its host or port cannot be read"),
        ("mqtt://me:hunter2#a@h", "its host or port cannot be read"),
        ("mqtt://me@h?hunter2", "there is a ?, a # or a second @ in it"),
        ("mqtt://me:hunter2@x@h", "there is a ?, a # or a second @ in it"),
        ("mqtt://:hunter2@h", "there is a password in it and no user"),
        ("mqtt://h/#", "there is a ?, a # or a second @ in it"),
        ("mqtt://h/a+", "what stands behind its host is no topic"),
        ("mqtt://h/a_b", "what stands behind its host is no topic"),
        ("mqtt://h/a//b", "what stands behind its host is no topic"),
        ("mqtt://h/" + "a" * 61, "what stands behind its host is no topic"),
    ],
)
def test_a_mistake_in_a_url_is_told_without_it(url: str, told: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - its words are looked at
        broker(url)
    assert str(error.value).startswith(told)
    assert "hunter2" not in str(error.value)
