"""What the README shows of the reader runs, and names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from store.servers import Peer, rating

from bzredis import reader

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_example_runs(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    peer.one(rating(pt_current="267.00"))
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    there = example.replace("redis://127.0.0.1:6379/0", peer.server.url)
    assert there != example
    exec(there, {"Reader": reader.Reader})  # noqa: S102 - our own
    assert capsys.readouterr().out == "267.00\n"


def test_what_it_names_is_there() -> None:
    [line] = re.findall(r".*`bzredis\.reader`.*", README)
    names = re.findall(r"`(\w+)`", line)
    assert len(names) == 8
    for name in names:
        if name[0].islower():
            assert hasattr(reader.Reader, name)
            assert hasattr(reader.TrioReader, name)
        else:
            assert name in reader.__all__
