"""What the demo tells: whose data it is, how to look at it, and what came."""

from __future__ import annotations

import shlex
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from bzredis.changes.kinds import Change, Incoming, Source, unpack
from bzredis.commands.running.called import program, shown
from bzredis.reader import Entry, Gap
from bzredis.settings.config import NAMES, Config
from bzredis.streams import Stream

SYMBOL: Final = "AAPL"  # which the examples ask for, and the simulated market knows
CLIENTS: Final = ("redis-cli", "valkey-cli")
MADE_UP: Final = "SIMULATED data: made up, moving like the real one, worth nothing."
FROM: Final = "Look at it from another terminal:"
NAME: Final = 9  # letters at the least: `consensus`
TWICE: Final = ("duplicate", "again")  # what Redis answers to a copy
NOBODY: Final = "unattributed"
WIDTH: Final = 80  # columns of what is no board
WHOLE: Final[Any] = {"break_long_words": False, "break_on_hyphens": False}


def _client() -> str:
    return next(filter(shutil.which, CLIENTS), "")


def filled(line: str) -> str:
    """Return words that fit; what goes on in another line stands further in."""
    own = len(line) - len(line.lstrip())
    inner = " " * (own + len("  "))
    return textwrap.fill(line, WIDTH, subsequent_indent=inner, **WHOLE)


def folded(command: str, width: int = WIDTH) -> list[str]:
    """Return a command in lines that fit, and that a shell takes as one."""
    quoted = "'" in command  # a blank in there ends no word
    lines = (
        [command]
        if quoted
        else textwrap.wrap(command, width - len("    " + " \\"), **WHOLE)
    )
    first, *others = [f"{line} \\" for line in lines[:-1]] + lines[-1:]
    return [f"  {first}", *(f"    {line}" for line in others)]


@attrs.frozen
class Place:
    """Where the demo writes, and the commands that look there."""

    config: Config
    port: int = 0  # of its own server; 0: somebody's Redis, under a prefix of its own
    client: str = attrs.field(factory=_client)  # Redis' own; "" where there is none
    board: str = ""  # where it is to be seen in the browser

    @property
    def shown(self) -> str:
        return ", ".join(each.shown for each in self.config.redis)

    @property
    def words(self) -> str:
        whose = "a server that ends with the demo" if self.port else "yours"
        return f"It goes to {self.shown}, {whose}, under {self.config.prefix}:"

    def commands(self) -> list[str]:
        """Return what can be copied into a shell."""
        streams = self.config.streams
        name = "ratings" if "ratings" in streams else streams[0]
        key = f"{self.config.prefix}:{name}:latest:{SYMBOL}"
        client = self._to_client()
        found = [[*client, "HGETALL", key]] if client else []
        found += [[*self._ours(word), *self._at()] for word in ("watch", "get")]
        return [shlex.join(words) for words in found]

    def in_browser(self) -> list[str]:
        """Return where it is to be seen in the browser, if anywhere."""
        return [f"In the browser: {self.board}"] if self.board else []

    def _to_client(self) -> list[str]:
        """Return what begins a command of Redis' own client, if that gets there."""
        name = self.client
        url = self.config.redis[0]
        at = urlsplit(url.shown)
        if not name or url.secrets or at.scheme.endswith("+sentinel"):
            return []
        if self.port:
            return [name, "-p", str(self.port)]
        return [name, "-s", at.path] if at.scheme == "unix" else [name, "-u", url.shown]

    def _ours(self, command: str) -> list[str]:
        others = {*self.config.streams} - {*NAMES}
        named = self.config.streams if others else ()
        more = [part for name in named for part in ("--stream", name)]
        return [*program(), command, SYMBOL, *more]

    def _at(self) -> list[str]:
        url = self.config.redis[0]
        # A password is no argument: whoever has it in this variable can leave it there.
        where = [] if url.secrets else ["--redis", url.shown]
        default = attrs.fields(Config).prefix.default
        is_usual = self.config.prefix == default
        return where if is_usual else [*where, "--prefix", self.config.prefix]

    def farewell(self) -> list[str]:
        """Return how to go on, after the end."""
        ours = shown()
        again = f"{ours} demo" if self.port else f"{ours} demo --redis …"
        return [
            filled(f"`{again}` starts it again. While it runs, from another terminal:"),
            *(line for each in self.commands() for line in folded(each)),
            filled(f"For the real data: `{ours} init`, then `{ours} run`."),
        ]


def width(names: Iterable[str]) -> int:
    """Return how wide the column of the streams' names is."""
    return max(NAME, *map(len, names))


@attrs.define
class Tally:
    """What came to Redis, by stream: counted, and put into words."""

    results: dict[str, Counter[str]] = attrs.field(factory=dict)
    sources: dict[str, Counter[Source]] = attrs.field(factory=dict)
    news: Counter[str] = attrs.field(factory=Counter)
    symbols: dict[str, set[str]] = attrs.field(factory=dict)

    def came(self, stream: Stream, packed: bytes, result: str) -> None:
        """Count what Redis said of a message."""
        change = unpack(packed)
        if not isinstance(change, Incoming):
            return
        word = result.partition(" ")[0].rstrip(":")
        self.results.setdefault(stream.name, Counter())[word] += 1
        if isinstance(change, Change):
            self.sources.setdefault(stream.name, Counter())[change.source] += 1

    def told(self, found: Iterable[Entry | Gap]) -> None:
        """Count what was news, as it stands in the log."""
        for one in found:
            if isinstance(one, Entry):
                self.news[one.stream] += 1
                self.symbols.setdefault(one.stream, set()).add(one.symbol or "")

    def caught_up(self, name: str, width: int = NAME) -> str:
        """Say in a line what was there before the first live change."""
        sources = self.sources.get(name, Counter())
        whence = {"replayed": sources["replay"], "fetched over REST": sources["rest"]}
        parts = [f"{number:,} {words}" for words, number in whence.items() if number]
        symbols = len(self.symbols.get(name, ()))
        told = f"news about {symbols:,} symbols" if symbols else "no news"
        nobodys = self.results.get(name, Counter())[NOBODY]
        aside = f" ({nobodys:,} without a symbol)" if nobodys else ""
        came = f"{told}: {', '.join(parts) or 'nothing came'}{aside}"
        return filled(f"{name:{width}}  {came}")

    def short(self, names: Sequence[str]) -> str:
        """Say in a few words what came, of all of these."""
        news = sum(self.news[name] for name in names)
        return f"{self._counts(names).total():,} messages, {news:,} of them news"

    def _counts(self, names: Sequence[str]) -> Counter[str]:
        return sum((self.results.get(name, Counter()) for name in names), Counter())

    def words(self, names: Sequence[str]) -> str:
        """Say what came, of all of these."""
        counts = self._counts(names)
        news = sum(self.news[name] for name in names)
        twice = sum(counts[each] for each in TWICE)
        kinds = {
            "were news": news,
            "came twice": twice,
            "without a symbol": counts[NOBODY],
            "could not be used": counts["rejected"] + counts["refused"],
        }
        kinds["said nothing new"] = max(0, counts.total() - sum(kinds.values()))
        said = [f"{number:,} {words}" for words, number in kinds.items() if number]
        return ", ".join(said) or "nothing came"

    def summary(self, names: Sequence[str], lasted: str) -> list[str]:
        """Return what came, in words: in all, and of each stream."""
        wide = width(names)
        return [
            filled(f"What came to Redis in {lasted}: {self.words(names)}."),
            *(filled(f"  {name:{wide}}  {self.words([name])}") for name in names),
        ]
