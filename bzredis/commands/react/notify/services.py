"""The services that messages go through: the one module here that knows apprise.

Their URLs hold secrets: none is shown, and what apprise says goes into a reason, never
into a log of its own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import attrs
import trio

from bzredis.commands.logs import add_secret, redact
from bzredis.commands.looks.words import one_line
from bzredis.commands.react.notify.texts import Mood, Said
from bzredis.commands.react.reaction import NotDone
from bzredis.errors import ConfigError

MISSING: Final = (
    "--notify needs the library apprise: install it where bzredis is, with"
    " `pip install apprise`"
)
MOODS: Final[dict[Mood, str]] = {"good": "success", "bad": "warning", "plain": "info"}
THREADS: Final = 4  # of one service, each with a message that is on its way
LONGEST_REASON: Final = 300  # characters
# A part of a URL that is a key, whatever the service calls it; `hooks` is none.
A_KEY: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9._~:+=-]{12,}")
A_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
A_VALUE: Final = re.compile(r"\s*(?:\(.*\)|'.*'|\".*\"|:\s.*)")
PARTS: Final = re.compile(r"[/?&=@]|://")
SHORTEST: Final = 4  # characters of a part that is taken for a secret
# What apprise writes around each thing that it says.
QUIET: Final = ("apprise", "urllib3", "requests")


@attrs.frozen
class Service:
    """One URL: where messages go. It is not shown, but for what it is called."""

    number: int  # in the order given, from 1
    name: str  # as `Telegram`
    holds_secret: bool
    _apprise: Any = attrs.field(repr=False)
    # Threads of its own: one that never answers takes none from what else there is.
    _limiter: trio.CapacityLimiter = attrs.field(
        repr=False, factory=partial(trio.CapacityLimiter, THREADS)
    )

    @property
    def shown(self) -> str:
        return f"service {self.number} ({self.name})"

    async def send(self, said: Said, seconds: float) -> None:
        """Send a message. Raises NotDone."""
        result: _Result | None = None
        with trio.move_on_after(seconds):
            # One that is left to itself ends some time; its message may yet arrive.
            result = await trio.to_thread.run_sync(
                self._send, said, abandon_on_cancel=True, limiter=self._limiter
            )
        if result is None:
            raise NotDone(f"{self.shown} did not answer within {seconds:g} s")
        if not result.well:
            raise NotDone(f"{self.shown}: {result.reason or 'it gave no reason'}")

    def _send(self, said: Said) -> _Result:
        """Send it, in a thread."""
        found = self._apprise.notify(
            title=said.title,
            body=said.body,
            notify_type=MOODS[said.mood],
            body_format="text",
        )
        heard = [each.message for each in found.logs()]
        return _Result(bool(found), _reason(heard))


@attrs.frozen
class _Result:
    well: bool
    reason: str


def services(urls: Sequence[str]) -> tuple[Service, ...]:
    """Return what the URLs name, in their order; nothing is sent yet.

    Raises ConfigError, which repeats none of them.
    """
    apprise = _apprise()
    for name in QUIET:
        # It says each URL's host and path, and a path may be the key.
        logging.getLogger(name).propagate = False
        logging.getLogger(name).setLevel(logging.WARNING)
        if not logging.getLogger(name).handlers:
            logging.getLogger(name).addHandler(logging.NullHandler())
    asset = apprise.AppriseAsset(
        app_id="bzredis",
        app_desc="Analyst ratings",
        app_url="",
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        # It would wait in threads for which the end of the program waits; ours it
        # leaves alone.
        service_timeout=0,
    )
    found = []
    for number, url in enumerate(urls, 1):
        _keep_secret(url, "")
        one = apprise.Apprise(asset=asset)
        with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as heard:
            plugin = apprise.Apprise.instantiate(url, asset=asset)
            why = heard.getvalue().splitlines()
        if plugin is None:
            raise ConfigError(f"notify URL {number} cannot be used: {_why(url, why)}")
        whole, masked = plugin.url(privacy=False), plugin.url(privacy=True)
        _keep_secret(whole, masked)
        one.add(plugin)
        is_secret = whole != masked or bool(_keys(url))
        found.append(Service(number, str(plugin.service_name), is_secret, one))
    return tuple(found)


def _apprise(name: str = "apprise") -> Any:
    """Import it, which takes a third of a second and is an extra."""
    try:
        return import_module(name)  # half of what is wanted of it has no types
    except ImportError:
        raise ConfigError(MISSING) from None


def _why(url: str, said: Sequence[str]) -> str:
    """Return what is wrong with a URL, in words that repeat none of it."""
    known = _apprise("apprise.manager_plugins").NotificationManager().schemas()
    scheme = url.partition("://")[0].lower()
    if "://" not in url or not A_SCHEME.fullmatch(scheme):
        return "it has to begin as tgram://, mailto:// or ntfy:// do"
    if scheme not in known:
        return f"apprise knows no {scheme}://"
    if any("disabled" in each for each in said):
        return f"{scheme}:// lacks something on this system (a library, a desktop)"
    # It repeats what it does not like: that may be a key with a slip in it.
    for each in said:
        if " URL" not in each:
            return f"{scheme}://: {_reason([A_VALUE.sub('', each)])}"
    return f"something is missing in it, or wrong, for {scheme}://"


def _reason(heard: Sequence[str]) -> str:
    """Return what apprise said in one line, without secrets."""
    told = dict.fromkeys(one_line(redact(each)) for each in heard)
    return "; ".join(filter(None, told))[:LONGEST_REASON]


def _keep_secret(url: str, masked: str) -> None:
    """Have no log show what of a URL may be a secret."""
    add_secret(url)
    if masked:
        shown = {*PARTS.split(masked)}
        for part in PARTS.split(url):
            if part not in shown and len(unquote(part)) >= SHORTEST:
                add_secret(unquote(part))
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    for secret in (parts.password, *_keys(url)):
        if secret:
            add_secret(unquote(secret))


def _keys(url: str) -> list[str]:
    """Return the parts of a URL that look like keys, behind its host."""
    host = PARTS.split(url.partition("://")[2].rpartition("@")[2])[:1]
    return [
        part
        for part in PARTS.split(unquote(url))
        if A_KEY.fullmatch(part) and part not in host
    ]
