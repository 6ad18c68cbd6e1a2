"""Names that a person got wrong, and the nearest right ones. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from bzredis.errors import ConfigError

PREFIX: Final = "BZREDIS_"
# Of shells and files of variables that do not tell `-` or small letters apart.
_OURS: Final = re.compile(r"bzredis[_.-]", re.IGNORECASE)
# Kubernetes, and docker's links, set such in all that stands beside a service of our
# name or of one that begins with it: BZREDIS_SERVICE_HOST, BZREDIS_PORT_6379_TCP_ADDR.
_OF_A_SERVICE: Final = re.compile(
    r"BZREDIS_(?:[A-Z0-9_]+_)?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?"
    r"|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_AN_ADDRESS: Final = re.compile(r"(?:tcp|udp|sctp)://\S+")
_OF_A_TOKEN: Final = re.compile(r"(?:^|[_-])(?:token|key|secret)$", re.IGNORECASE)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that was meant, perhaps, or ""."""
    plain = {_plain(each): each for each in known}
    near = get_close_matches(_plain(name), plain, n=1)
    return plain[near[0]] if near else ""


def meant(name: str, known: Iterable[str]) -> str:
    """Return how a complaint about a name ends: which is meant, perhaps, or ""."""
    near = nearest(name, known)
    return f"; is {near} meant?" if near else ""


def is_a_tokens(name: str) -> bool:
    """Whether a name that is no option sounds as if a token stood under it."""
    return _OF_A_TOKEN.search(name) is not None


def _plain(name: str) -> str:
    return name.lower().removeprefix("--").replace("-", "_").removeprefix("bzredis_")


def refuse_unknown(
    environ: Mapping[str, str], known: Iterable[str], token: str
) -> None:
    """Raise ConfigError where a variable has our name, and nobody would read it.

    `token` is the variable that holds the token: it does not begin as the others do.
    """
    names = frozenset(known)
    for name in sorted(environ):
        if not _OURS.match(name) or name in names:
            continue
        if _OF_A_SERVICE.fullmatch(name) or (
            name.endswith("_PORT") and _AN_ADDRESS.fullmatch(environ[name])
        ):
            continue
        hint = f"; is {token} meant?" if is_a_tokens(name) else meant(name, names)
        hint = hint or "; unset it (`bzredis run --help` names all that there are)"
        raise ConfigError(f"{name}: there is no such option{hint}")
