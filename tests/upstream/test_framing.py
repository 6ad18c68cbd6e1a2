"""The fast way past trio-websocket takes nothing away and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import CLIENT, Connection
from wsproto.events import BytesMessage, TextMessage

from bzredis.upstream.framing import Splitter

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
LARGEST = 70_000


def frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 2**16:
        return bytes([first, 126]) + size.to_bytes(2, "big") + payload
    return bytes([first, 127]) + size.to_bytes(8, "big") + payload


def messages(data: bytes) -> list[str | bytes]:
    """Read frames as wsproto does, messages of several parts put together."""
    connection = Connection(CLIENT)
    connection.receive_data(data)
    found: list[str | bytes] = []
    parts: list[str] | list[bytes] = []
    for event in connection.events():
        if isinstance(event, TextMessage | BytesMessage):
            parts.append(event.data)  # type: ignore[arg-type]
            if event.message_finished:
                found.append(type(parts[0])().join(parts))  # type: ignore[arg-type]
                parts = []
    return found


def chunks(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted(cut % (len(data) + 1) for cut in cuts)
    for start, end in pairwise([0, *places, None]):
        yield data[start:end]


def split(data: bytes, cuts: list[int]) -> tuple[list[str], bytes]:
    splitter = Splitter(LARGEST)
    texts, handed = [], b""
    for chunk in [*chunks(data, cuts), b""]:
        more, rest = splitter.feed(chunk)
        texts += more
        handed += rest
    return texts, handed + splitter.rest()


texts = st.text(max_size=200).map(lambda text: frame(0x81, text.encode()))
long_texts = st.integers(125, 66_000).map(lambda size: frame(0x81, b"x" * size))
controls = st.sampled_from([frame(0x89, b""), frame(0x8A, b"abc")])
binaries = st.binary(max_size=300).map(lambda data: frame(0x82, data))
fragmented = st.lists(st.text(max_size=9), min_size=2, max_size=4).map(
    lambda parts: (
        frame(0x01, parts[0].encode())
        + b"".join(
            frame(0x89, b"") + frame(0x00, part.encode()) for part in parts[1:-1]
        )
        + frame(0x80, parts[-1].encode())
    )
)
streams = st.lists(texts | long_texts | controls | binaries | fragmented, max_size=12)
cuttings = st.lists(st.integers(0, 2**20), max_size=8)


@given(streams, cuttings)
def test_what_is_taken_out_and_what_is_handed_on_are_all_there_was(
    parts: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(parts)
    taken, handed = split(HEAD + data, cuts)
    assert handed.startswith(HEAD)
    left = messages(handed.removeprefix(HEAD))
    everything = messages(data)
    assert sorted(map(repr, taken + left)) == sorted(map(repr, everything))


@given(st.lists(texts | controls, max_size=12), cuttings)
def test_whole_texts_all_go_the_fast_way_and_in_order(
    parts: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(parts)
    taken, handed = split(HEAD + data, cuts)
    assert taken == messages(data)
    assert messages(handed.removeprefix(HEAD)) == []


@pytest.mark.parametrize(
    "bad",
    [
        frame(0x81, b"caf\xe9"),
        frame(0x81, b"x" * (LARGEST + 1)),
        frame(0xC1, b"compressed"),
        frame(0x83, b"no such opcode"),
        bytes([0x81, 0x85, 1, 2, 3, 4]) + b"masked",
        frame(0x80, b"the end of nothing"),
    ],
)
def test_what_is_wrong_is_handed_on_as_it_came(bad: bytes) -> None:
    fine = frame(0x81, b"fine")
    for cuts in [[], [len(HEAD)], [len(HEAD) + 8], list(range(len(HEAD), 200))]:
        taken, handed = split(HEAD + fine + bad, cuts)
        assert (taken, handed) == (["fine"], HEAD + bad)


def test_nothing_overtakes_a_message_that_is_handed_on() -> None:
    binary, text = frame(0x82, b"first"), frame(0x81, b"second")
    splitter = Splitter(LARGEST)
    splitter.feed(HEAD)
    assert splitter.feed(binary + text) == ([], binary + text)
    assert splitter.feed(text) == (["second"], b"")


@given(cuttings)
def test_a_refusal_is_handed_on_whole(cuts: list[int]) -> None:
    refusal = b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n\x81\x02ok\x81\x03abc"
    splitter = Splitter(LARGEST)
    handed = b""
    for chunk in [*chunks(refusal, cuts), b""]:
        taken, rest = splitter.feed(chunk)
        assert taken == []
        handed += rest
    assert handed == refusal
