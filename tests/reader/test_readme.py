"""What the README shows of the reader runs, and names what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from store.servers import Peer, rating

from bzredis import reader

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_example_runs(peer: Peer) -> None:
    """Just what is printed, but for where Redis is: in a program of its own."""
    peer.one(rating(pt_current="267.00"))
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    there = example.replace("redis://127.0.0.1:6379/0", peer.server.url)
    assert there != example
    done = subprocess.run(
        [sys.executable, "-"],
        input=there,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("267.00\n", "")


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
