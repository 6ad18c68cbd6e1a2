"""What goes wrong is told in plain words, and never with a secret."""

from __future__ import annotations

import traceback
from urllib.parse import quote

import pytest
from hurt import freeze, thaw
from redis.exceptions import ResponseError
from store.servers import Peer

from bzredis.errors import BridgeError
from bzredis.reader import Reader, ReaderError, TrioReader, asking

SECRET = "hunter2/@:#"
WRITTEN = quote(SECRET, safe="")


def shown(error: BaseException) -> str:
    """Return all that a crash report would tell, the values of variables too."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    whole = "".join(told.format())
    assert error.__context__ is None
    assert error.__cause__ is None
    return whole


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://:hunter2@host", "is not of the form redis://"),
        ("hunter2", "is not of the form"),
        ("redis://:hunter2@host:port", "host or port cannot be read"),
        ("redis://:hunter2/@host:6379", "host or port cannot be read"),
        ("redis://:hunter2#@host", "host or port cannot be read"),
        ("redis://host/#hunter2", "a # or a second @"),
        ("redis://:hunter2@@host", "a # or a second @"),
        ("redis://[hunter2", "host or port cannot be read"),
        ("redis://host?hunter2=1", "no option known here"),
        ("redis://host?protocol=3", "no option known here"),
        ("rediss://host?ssl_hunter=hunter2", "is not of the form"),
        ("redis://host?ssl_keyfile=hunter2", "is not of the form"),
        ("redis://host?db=hunter2", "is not of the form"),
    ],
)
def test_a_url_that_is_none(url: str, words: str) -> None:
    with pytest.raises(ReaderError, match="Redis URL cannot be used") as caught:
        Reader(url)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("stream", ["rating", "", "RATINGS", "insight", "a:b", 7])
def test_a_stream_that_there_is_not(stream: str) -> None:
    words = f"there is no stream {stream!r}: there are ratings, insights, consensus, "
    with Reader("redis://127.0.0.1:1") as reader:
        wrong: object = stream
        for ask in (
            lambda name: reader.latest(name, "AAPL"),
            lambda name: reader.history(name, "AAPL"),
            reader.events,
            reader.status,
            reader.fresh,
        ):
            with pytest.raises(ReaderError) as caught:
                ask(wrong)  # type: ignore[arg-type]
            assert str(caught.value).startswith(words)


def test_nobody_there() -> None:
    with Reader(f"redis://:{WRITTEN}@127.0.0.1:1") as reader:
        with pytest.raises(ReaderError, match="cannot reach Redis: ") as caught:
            reader.latest("ratings", "AAPL")
        assert "nobody listens at 127.0.0.1:1 (" in str(caught.value)
        assert str(caught.value).endswith("): is it running?")
        assert caught.value.passes
        assert SECRET not in str(caught.value)
        with pytest.raises(ReaderError):
            next(reader.events("ratings", "0", follow=False))


def test_a_wrong_password_is_not_repeated(peer: Peer) -> None:
    url = peer.server.url.replace("://", f"://ann:{WRITTEN}@")
    with Reader(url) as reader, pytest.raises(ReaderError) as caught:
        reader.latest("ratings", "AAPL")
    assert "Redis does not let us in: " in str(caught.value)
    assert not caught.value.passes
    assert SECRET not in shown(caught.value)
    assert WRITTEN not in shown(caught.value).replace(url, "")


def test_what_is_not_allowed_says_how_it_would_be(peer: Peer) -> None:
    may = ["+multi", "+exec", "+discard", "+hgetall", "+get"]
    how = {"enabled": True, "passwords": ["+pw"], "commands": may}
    peer.redis.acl_setuser("ann", reset=True, **how)
    url = peer.server.url.replace("://", "://ann:pw@")
    with Reader(url) as reader, pytest.raises(ReaderError) as caught:
        reader.status("ratings")
    peer.redis.acl_deluser("ann")
    assert str(caught.value).startswith("Redis does not allow it: ")
    assert "pipeline" not in str(caught.value)
    assert "bzredis keys --acl" in str(caught.value)


def test_what_redis_repeats_of_a_command_is_cut() -> None:
    words = "unknown command 'AUTH', with args beginning with: 'hunter2' "
    told = str(asking.in_words(ResponseError(words)))
    assert told == "Redis refused: unknown command 'AUTH'"


@pytest.mark.parametrize(
    ("words", "passes"), [("BUSY script", True), ("UNBLOCKED", True), ("ERR", False)]
)
def test_what_passes_though_redis_py_has_no_class_of_it(
    words: str, *, passes: bool
) -> None:
    assert asking.in_words(ResponseError(words)).passes is passes


def test_a_key_of_another_type(peer: Peer, reader: Reader) -> None:
    peer.redis.set("bz:ratings:latest:AAPL", "text")
    peer.redis.set("bz:ratings:status", "text")
    for ask in (
        lambda: reader.latest("ratings", "AAPL"),
        lambda: reader.status("ratings"),
    ):
        with pytest.raises(ReaderError, match=r"^Redis refused: WRONGTYPE") as caught:
            ask()
        assert not caught.value.passes


def test_a_redis_that_does_not_answer(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ANSWER", 0.2)
    with Reader(peer.server.url) as reader:
        reader.fresh("ratings")
        freeze(peer.server)
        try:
            with pytest.raises(ReaderError, match="did not answer within") as caught:
                reader.fresh("ratings")
        finally:
            thaw(peer.server)
        assert caught.value.passes
        assert not reader.fresh("ratings")


def test_the_password_is_in_no_repr() -> None:
    url = f"redis://ann:{WRITTEN}@127.0.0.1:1"
    with Reader(url, "demo") as reader, TrioReader(url, "demo") as in_trio:
        for one in (reader, in_trio, in_trio.events("ratings")):
            assert "hunter2" not in repr(one)
        assert {reader, in_trio}, "they can be hashed"
        assert repr(reader) == "Reader(prefix='demo')"
        assert repr(in_trio) == "TrioReader(prefix='demo')"


def test_it_is_one_of_the_errors_of_this_package() -> None:
    assert issubclass(ReaderError, BridgeError)
