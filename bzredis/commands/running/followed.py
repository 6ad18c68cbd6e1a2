"""Which streams a bridge follows: those that are named, but for one that is broken."""

from __future__ import annotations

from typing import Final

import attrs
import structlog

from bzredis.errors import ConfigError
from bzredis.settings.file import Found
from bzredis.streams.installed import stream

log = structlog.get_logger(__name__)


TOLD_TWICE: Final = (
    "the stream {} has the path of {}, and upstream allows one connection to each: name"
    " one of them"
)


def whole(found: Found) -> Found:
    """Leave out, with a line each, what packages offer and cannot be followed.

    Raises ConfigError where nothing is left.
    """
    sound, wrong = sifted(found)
    if not sound.config.streams:
        raise ConfigError(wrong[0])
    for words in wrong:
        log.error("%s; the others are followed", words)
    return sound


def sifted(found: Found) -> tuple[Found, list[str]]:
    """Return the settings without the streams that cannot be followed, and why not."""
    by_path, wrong = dict[str, str](), list[str]()
    for name in found.config.streams:
        try:
            path = stream(name).path
        except ConfigError as error:
            wrong.append(str(error))
            continue
        if (other := by_path.setdefault(path, name)) != name:
            wrong.append(TOLD_TWICE.format(name, other))
    names = tuple(by_path.values())
    settings = (
        attrs.evolve(each, value=names) if each.option.name == "stream" else each
        for each in found.settings
    )
    return attrs.evolve(found, settings=tuple(settings)), wrong
