"""Draw the README's pictures: the demo, and the board of one symbol.

A made-up market's messages go through the bridge's own script into a server of its own,
and what `bzredis demo` and `bzredis watch` draw of that becomes SVG. Seed and clock are
fixed, so that the same code draws the same pictures.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from inspect import signature
from pathlib import Path
from typing import Final, get_args

import attrs
import trio
from rich.console import Console
from rich.text import Text

from bzredis import __version__
from bzredis.bridge.status import Identity, StreamStatus
from bzredis.changes.from_frame import read
from bzredis.changes.kinds import Change, Heard, Opened
from bzredis.commands import embedded
from bzredis.commands.demo import board
from bzredis.commands.demo.followed import Followed
from bzredis.commands.demo.told import SYMBOL, Place, Tally
from bzredis.commands.looks.drawn import live
from bzredis.commands.looks.drawn.pen import Pen
from bzredis.commands.looks.watching import Watched
from bzredis.commands.running.called import CALLED
from bzredis.ports import Applied, Batch, Log, Sign
from bzredis.reader import StreamName
from bzredis.settings.addresses import redis_urls
from bzredis.settings.config import Config
from bzredis.simulator.market.market import Market
from bzredis.store.client import Store
from bzredis.streams import STREAMS, Stream

NOW: Final = datetime(2026, 11, 24, 15, 32, 10, tzinfo=UTC)
SEED: Final = 7
RATINGS: Final = 250  # of ten days before the start
MINUTES: Final = 3  # since the start
RATE: Final = 1.5  # messages a second since then
WIDTH: Final = 100
DEMO, BOARD = 26, 30  # lines
SHOWN: Final = "redis://127.0.0.1:6399/0"  # the demo's usual place
UPSTREAM: Final = "127.0.0.1"
BRIDGE: Final = "pictures"
FORM: Final = str(signature(Console.export_svg).parameters["code_format"].default)
# What a browser would fetch from elsewhere, and who made it.
REMOTE: Final = re.compile(r"@font-face \{\{.*?\}\}\n|<!--.*?-->\n", re.DOTALL)


def ms(at: float) -> int:
    return round(1_000 * at)


def messages() -> Iterator[tuple[Stream, Change]]:
    """Yield what a market said, before the start and since."""
    streams = {stream.name: stream for stream in STREAMS}
    market = Market(SEED, consensus_ticker=True)
    end = NOW.timestamp()
    start = end - 60 * MINUTES
    told = [*market.past(start, RATINGS)]
    market.pace(RATE, start)
    for one in [*told, *market.advance(end)]:
        stream = streams[one.stream]
        change = read(stream, one.text, received=ms(one.at), source="live")
        if isinstance(change, Change):
            yield stream, change


@attrs.define
class Filled:
    """What a bridge would have left in an empty server."""

    store: Store
    tally: Tally

    async def fill(self) -> None:
        end, began = ms(NOW.timestamp()), ms(NOW.timestamp() - 60 * MINUTES)
        came: dict[Stream, list[bytes]] = {stream: [] for stream in STREAMS}
        for stream, change in messages():
            came[stream].append(change.pack())
        for stream, packed in came.items():
            everything = [Opened(began).pack(), *packed, Heard(end, end).pack()]
            log = Log(stream.name, "*", 0, UPSTREAM)
            answer = await self.store.apply(stream, Batch(log, 0, everything, None))
            if not isinstance(answer, Applied):
                raise TypeError(answer)  # nothing else is there that wrote before
            for one, result in zip(everything, answer.results, strict=True):
                self.tally.came(stream, one, result)
            await self._say(stream, answer, began, end)

    async def _say(self, stream: Stream, answer: Applied, began: int, end: int) -> None:
        who = Identity(BRIDGE, __version__, began, UPSTREAM, "*")
        status = StreamStatus(who)
        status.enter("live", began)
        status.connected_at = began
        status.last_event_at = status.last_pong_at = end - 1_000
        status.note_coverage(answer.coverage)
        sign = Sign(BRIDGE, "fresh", stream.name, -1)
        await self.store.write_status(stream, status.fields(), sign)


def pen(height: int) -> Pen:
    console = Console(
        record=True,
        file=io.StringIO(),
        width=WIDTH,
        height=height,
        force_terminal=True,
        color_system="truecolor",
    )
    return Pen(NOW, console, letters=True)


def svg(pen: Pen, lines: Sequence[Text], title: str) -> str:
    """Return a picture that fetches nothing from anywhere."""
    for line in lines:
        pen.console.print(line, no_wrap=True, overflow="crop", crop=True)
    form = REMOTE.sub("", FORM).replace("Fira Code", "ui-monospace")
    drawn = pen.console.export_svg(title=title, code_format=form, unique_id="bz")
    return "".join(f"{line.rstrip()}\n" for line in drawn.splitlines())


def pictures(followed: Followed, watched: Watched) -> Iterator[tuple[str, str]]:
    """Yield the name of a picture, and the picture."""
    place = Place(Config(redis=redis_urls(SHOWN)), 6399, "redis-cli")
    at, ours = pen(DEMO), f"{SHOWN}  {followed.config.prefix}"
    foot = board.foot(followed, place, board.Kept(), at)
    lines = live.draw(at, followed, ours, foot)
    yield "demo.svg", svg(at, lines, "scripts/bridge demo")
    at = pen(BOARD)
    yield "board.svg", svg(at, live.draw(at, watched, ours), f"bzredis watch {SYMBOL}")


async def draw(folder: Path, into: Path) -> None:
    tally, names = Tally(), get_args(StreamName)
    async with embedded.running(folder) as server:
        config = Config(redis=redis_urls(server.url))
        followed = Followed(config, names, tally=tally)
        followed.take(followed.look())  # as the demo does before anything comes
        with closing(Store(server.url)) as store:
            await Filled(store, tally).fill()
        watched = Watched(config, names, SYMBOL)
        for each in (followed, watched):
            each.take(each.look())
    for name, text in pictures(followed, watched):
        (into / name).write_text(text, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    here = Path(__file__).parent
    parser.add_argument("folder", nargs="?", type=Path, default=here)
    into: Path = parser.parse_args().folder
    os.environ |= {"TZ": "UTC", CALLED: "scripts/bridge"}
    time.tzset()
    with tempfile.TemporaryDirectory() as folder:
        trio.run(draw, Path(folder), into)


if __name__ == "__main__":
    main()
