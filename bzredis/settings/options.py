"""What an option is, and how its text becomes a value: pure.

What reads a value takes what the command line or a variable gave, a string, or what
TOML gave, and returns it or raises ValueError in words that follow "OPTION: ". It
repeats the value only where that can be no secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import attrs

from bzredis.messages.times import DAY, HOUR, MINUTE

Read = Callable[[object], object]

_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number with a point or an exponent",
    list: "a list",
    dict: "a table",
    str: "text",
}
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_EMPTY = "is empty; leave it out for its default"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Python's stand-ins for bytes of the command line or a variable that are no UTF-8.
_BYTES = re.compile(r"[\ud800-\udfff]")
# Those around a whole value, as docker's --env-file leaves them there.
_QUOTES = {"'": "'", '"': '"', "\u2018": "\u2019", "\u201c": "\u201d"}
_VARIABLE = re.compile(r"\$(?:[A-Za-z_]\w*|\{\w+\})")
_HASH_TAG = re.compile(r"[^{}]*|\{[^{}]+\}")


@attrs.frozen
class Form:
    """How a value is written: what reads it, and what stands for it in help."""

    read: Read
    metavar: str = ""


@attrs.frozen
class Option:
    """One option, however it is given: flag, variable and TOML key derive from it."""

    name: str  # as on the command line, without its dashes
    field: str  # of Config
    form: Form
    help: str
    shown: str  # the default, in words
    repeatable: bool
    switch: bool  # --name and --no-name (--no-x: alone), without a value
    variables: tuple[str, ...] = ()  # further names in the environment
    sample: str = ""  # for whom the default teaches nothing of how to write one

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")

    @property
    def flag(self) -> str:
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        return f"BZREDIS_{self.key.upper()}"


def _kind(value: object) -> str:
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def unquoted(value: str) -> str:
    """Return text without the quotes around the whole of it, of which none has need."""
    trimmed = value.strip()
    closing = _QUOTES.get(trimmed[:1])
    inner = trimmed[1:-1]
    if len(trimmed) < len("''") or trimmed[-1] != closing or closing in inner:
        return value
    return unquoted(inner)


def text(value: object) -> str:
    """Return text as it is, trimmed, without quotes around; the empty is no value."""
    if not isinstance(value, str):
        raise ValueError(f"has to be text, not {_kind(value)}")
    if not (trimmed := unquoted(value).strip()):
        raise ValueError("is empty")
    if _BYTES.search(trimmed):
        raise ValueError("is not text in UTF-8")
    if _CONTROL.search(trimmed):
        raise ValueError("has control characters in it")
    return trimmed


def path(value: object) -> Path:
    return Path(_put_in(text(value), "~ or the whole path"))


def _put_in(found: str, instead: str) -> str:
    """Return text that is no variable's name, into whose place no shell put a value."""
    if name := _VARIABLE.match(found):
        raise ValueError(
            f"{found!r}: nothing is put in for {name[0]} here; write {instead}"
        )
    return found


def boolean(value: object) -> bool:
    """Return TOML's boolean, or what the usual words for one mean."""
    if not isinstance(value, str | bool):
        raise ValueError(f"has to be true or false, not {_kind(value)}")
    if (word := text(str(value)).lower()) not in _BOOLEANS:
        raise ValueError(f"has to be true or false, not {word!r}")
    return _BOOLEANS[word]


@attrs.frozen
class _Measure:
    """A kind of counts: how they are written, and what their units are worth."""

    metavar: str
    what: str
    written: re.Pattern[str]
    units: Mapping[str, float]
    counts: str = ""  # what the bounds count

    def _count(self, value: object) -> float:
        """Read a count; without quotes, as of TOML's, where it needs no unit."""
        is_text, match = isinstance(value, str), None
        if is_text or type(value) is int:
            match = self.written.fullmatch(text(str(value)).replace("_", ""))
        if match is None:
            what = self.what.format("" if is_text else " in quotes")
            given = repr(value) if is_text else _kind(value)
            raise ValueError(f"has to be {what}, not {given}")
        return int(match[1]) * self.units[match[2].lower()]

    def __call__(self, least: object, most: object) -> Form:
        """Return the form of counts between two bounds, which belong to them."""
        lowest, highest = self._count(least), self._count(most)

        def read(value: object) -> float:
            if not lowest <= (found := self._count(value)) <= highest:
                bounds = f"{least} and {most}{self.counts}"
                raise ValueError(f"has to be between {bounds}, not {value!r}")
            return found

        return Form(read, self.metavar)


number = _Measure(
    "COUNT", "a whole number", re.compile(r"([+-]?[0-9]{1,99})()"), {"": 1}
)
# In bytes, or with a unit of 1,024, as 500MiB and 1g.
size = _Measure(
    "SIZE",
    "a size, as 500MiB or 1GiB",
    re.compile(r"(-?[0-9]{1,15}) ?(?:([kmgt]?)(?:i?b)?)", re.IGNORECASE),
    {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40},
    " bytes",
)
# In seconds, written with a unit, as 90m, 12h and 7d.
duration = _Measure(
    "TIME",
    "a time{}, as 90m, 12h or 7d",
    re.compile(r"([0-9]{1,9}) ?([smhdw])", re.IGNORECASE),
    {"s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY},
)


def choice(known: Iterable[str]) -> Form:
    """Return the form of one of the `known` words."""
    words = tuple(known)

    def read(value: object) -> str:
        if (word := text(value).lower()) not in words:
            raise ValueError(f"has to be one of {', '.join(words)}, not {word!r}")
        return word

    return Form(read, "|".join(words))


def _items(value: object) -> list[str]:
    """Return the parts of a comma list, a TOML array or a repeated flag."""
    if isinstance(value, str):
        # A variable of the shell's that was never set, say: it is not meant that all
        # is wanted, or nothing. What is meant to be empty is left out, or TOML's [].
        parts = unquoted(value).split(",")
        if items := [item for part in parts if (item := part.strip())]:
            return items
        raise ValueError(_EMPTY)
    if isinstance(value, list | tuple):
        for item in value:
            if not isinstance(item, str):
                raise ValueError(f"has to be a list of texts; {_kind(item)} is in it")
        return [part for item in value for part in _items(item)]
    raise ValueError(f"has to be a list, or text with commas, not {_kind(value)}")


def several(read_one: Read, metavar: str, *, maybe_none: bool = True) -> Form:
    """Return the form of lists without duplicates, in the order given."""

    def read(value: object) -> tuple[object, ...]:
        if not (items := _items(value)) and not maybe_none:
            raise ValueError(_EMPTY)
        return tuple(dict.fromkeys(map(read_one, items)))

    return Form(read, metavar)


def prefix(value: object) -> str:
    """Return what every key begins with.

    Braces are Redis Cluster's hash tag: one pair around it all puts all keys into one
    slot. `*` would make a pattern of what programs scan and subscribe to.
    """
    found = text(value)
    if found != unquoted(str(value)) or re.search(r"\s", found):
        raise ValueError("has white space in it")
    _put_in(found, "the prefix itself")
    if found.endswith(":"):
        raise ValueError(f"{found!r} ends in a colon, which each key adds by itself")
    if "*" in found:
        raise ValueError("has a * in it, which Redis takes for a pattern")
    if not _HASH_TAG.fullmatch(found):
        raise ValueError(
            f"{found!r}: braces stand only around the whole of it, as {{bz}}, for a"
            " hash tag of Redis Cluster"
        )
    return found
