"""All streams that there are: the three, two more, and those of installed packages.

A package names its own under the entry points `bzredis.streams`, each by the name of
the stream. They are looked for only where a name is none of ours, and a package's code
is loaded only where its stream is wanted: whatever is wrong with one harms no other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from bzredis.errors import ConfigError
from bzredis.streams import STREAMS
from bzredis.streams.rules import broken, guarded, in_words, of_name
from bzredis.streams.stream import Stream

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "bzredis.streams"
ALWAYS: Final = {stream.name: stream for stream in STREAMS}
# Of upstream too, and followed only where they are named: where each of them stands.
OPTIONAL: Final = {
    "earnings": ("bzredis.streams.earnings", "EARNINGS"),
    "bulls-bears": ("bzredis.streams.bulls_bears", "BULLS_BEARS"),
}
OURS: Final = (*ALWAYS, *OPTIONAL)

Origin = Literal["built in", "built in, off unless named", "installed"]


@attrs.frozen
class Offer:
    """A stream that somebody offers: who it is of, and what is wrong with it, if so."""

    name: str
    origin: Origin
    package: str = ""  # of which distribution
    version: str = ""
    stream: Stream | None = None  # None: it cannot be had
    wrong: str = ""

    @property
    def told(self) -> str:
        """What is wrong, in one line that names who has to mend it."""
        whose = f"{self.package} {self.version}".strip()
        return f"the stream {self.name} of {whose} cannot be followed: {self.wrong}"


def is_known(name: str) -> bool:
    """Whether there is a stream of a name, though perhaps a broken one."""
    return name in OURS or any(each.name == name for each in _entry_points())


def names() -> tuple[str, ...]:
    """Return the names of all streams that there are, broken ones too."""
    return tuple(dict.fromkeys((*OURS, *(each.name for each in _entry_points()))))


@cache
def stream(name: str) -> Stream:
    """Return the stream of a name; raises ConfigError where it cannot be had."""
    if name in ALWAYS:
        return ALWAYS[name]
    if name in OPTIONAL:
        place, value = OPTIONAL[name]
        found: Stream = getattr(import_module(place), value)
        return found
    theirs = [each for each in _entry_points() if each.name == name]
    if not theirs:
        raise ConfigError(f"there is no stream {name!r}")
    offer = _offer(theirs[0], theirs)
    if offer.stream is None:
        raise ConfigError(offer.told)
    return offer.stream


def offers() -> Iterator[Offer]:
    """Yield all streams that there are, broken ones too."""
    for name in OURS:
        origin: Origin = "built in" if name in ALWAYS else "built in, off unless named"
        yield Offer(name, origin, stream=stream(name))
    theirs = _entry_points()
    for each in theirs:
        yield _offer(each, [other for other in theirs if other.name == each.name])


def _entry_points() -> tuple[EntryPoint, ...]:
    """Return what packages offer, by name; of one that is there twice, the first."""
    from importlib.metadata import distributions  # noqa: PLC0415 - slow, seldom wanted

    found: dict[tuple[str, str, str], EntryPoint] = {}
    for package in distributions():
        try:
            for each in package.entry_points.select(group=GROUP):
                found.setdefault((each.name, each.value, package.name or ""), each)
        except Exception:  # noqa: BLE001, S112 - one that nobody can read offers nothing
            continue
    return tuple(found[key] for key in sorted(found))


def _offer(point: EntryPoint, rivals: Sequence[EntryPoint]) -> Offer:
    """Load what a package offers, and judge it."""
    package = point.dist.name if point.dist else ""
    version = point.dist.version if point.dist else ""
    offer = Offer(point.name, "installed", package or point.value, version or "")
    if wrong := _taken(point, rivals) or of_name(point.name):
        return attrs.evolve(offer, wrong=wrong)
    try:
        # What it prints is no answer of ours, which a program may read.
        with redirect_stdout(sys.stderr):
            found: Any = point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - it is somebody's code
        words = " ".join(in_words(error).split())
        return attrs.evolve(offer, wrong=f"it cannot be loaded ({words})")
    faults = broken(found)
    if not faults and found.name != point.name:
        faults = [f"it calls itself {found.name}: entry point and name are the same"]
    if faults:
        return attrs.evolve(offer, wrong="; ".join(faults))
    return attrs.evolve(offer, stream=guarded(found))


def _taken(point: EntryPoint, rivals: Sequence[EntryPoint]) -> str:
    if point.name in OURS:
        return "the name is taken by one that is built in"
    others = [each for each in rivals if each is not point]
    if not others:
        return ""
    whose = ", ".join(each.dist.name if each.dist else each.value for each in others)
    return f"the name is taken by that of {whose} too: one of them has to go"
