"""Where upstream and Redis are: values that know what of them may be shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, unquote_plus, urlsplit

import attrs
import idna

from bzredis.settings.options import Form, text

# A name as resolvers and TLS take it; `_` stands in names of container networks.
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")
_FOUR_NUMBERS: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_IN_BRACKETS: Final = re.compile(r"\[[^\[\]]*\](?::[0-9]*)?")
# What may follow a Redis URL's `?`, and what its values look like. redis-py knows more,
# but takes whatever stands there for arguments: it dies of an unknown one, and others
# would undo what the bridge relies on, its time limits and answers in bytes.
_ANY: Final = (".+", "a value")
_ANYWHERE: Final = {
    "db": ("[0-9]{1,9}", "the number of a database"),
    **dict.fromkeys(("username", "password"), _ANY),
}
_FILES: Final = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_WITH_TLS: Final = {
    **dict.fromkeys((*_FILES, "ssl_password"), _ANY),
    "ssl_cert_reqs": ("none|optional|required", "none, optional or required"),
    # redis-py takes any other word, `off` too, for true.
    "ssl_check_hostname": ("(?i:true|false)", "true or false"),
}
# Brackets around an IPv6 address, whose colons would else be taken for the port's.
_LISTENER: Final = re.compile(r"(?:(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]*)):)?([0-9]{1,5})")
LAST_PORT: Final = 65_535
_NEXT: Final = re.compile(r",\s*(?=[a-z+]+://)")  # a comma may stand inside of one
_OF_A_NODE: Final = re.compile(r"rediss?://")
_SECRET: Final = ("password", "ssl_password")
_SENTINELS: Final = "HOST:PORT,HOST:PORT/SERVICE/DATABASE"
_SENTINEL_URL: Final = re.compile(
    r"(rediss?)\+sentinel://([^/?#]*@)?([^/?#@]*)(/[^?#]*)?(?:\?([^#]*))?"
)
_TO_SENTINELS: Final = ("sentinel_username=", "sentinel_password=")
_ENCODE = "special characters in a password have to be percent-encoded"


def is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return host.lower() == "localhost" or ip_address(host).is_loopback
    return False


def _split(value: object, what: str) -> SplitResult:
    """Take a URL apart; what is said of a bad one repeats nothing of it."""
    url = text(value)
    if any(character.isspace() for character in url):
        raise ValueError(f"is no {what}: there is white space in it")
    try:
        parts = urlsplit(url)
        _ = parts.port  # read only when asked for
    except ValueError:
        raise ValueError(f"is no {what}: host or port cannot be read") from None
    return parts


def _host(parts: SplitResult, what: str) -> str:
    """Return the host in plain letters; raises ValueError where it cannot be one.

    Each library that is asked to go there would die of such a one in its own way.
    """
    host = parts.hostname or ""
    place = parts.netloc.rpartition("@")[2]
    with suppress(ValueError):  # of idna too
        if "[" in place:
            ip_address(host if _IN_BRACKETS.fullmatch(place) else "")
            return host
        name = host if host.isascii() else idna.encode(host, uts46=True).decode()
        if _FOUR_NUMBERS.fullmatch(name):
            ip_address(name)
        for label in name.split("."):
            if label.startswith("xn--"):
                idna.decode(label)
        if _NAME.fullmatch(name):
            return name
    raise ValueError(f"is no {what}: its host is neither a name nor an address")


@attrs.frozen
class Origin:
    """A scheme, a host and a port, and nothing that could be a secret."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """Write it as a URL, the port always with it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def origin(secure: str, plain: str) -> Form:
    """Return the form of origins: `secure` anywhere, `plain` on loopback hosts only.

    The token goes there in clear text where there is no TLS.
    """
    ports = {secure: 443, plain: 80}

    def read(value: object) -> Origin:
        parts = _split(value, "URL")
        if parts.scheme not in ports or not parts.hostname:
            raise ValueError(f"has to be of the form {secure}://HOST or {plain}://HOST")
        if "@" in parts.netloc:
            raise ValueError(
                "has a user or password in it, which upstream has no use for"
            )
        if parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise ValueError(
                f"has to end after the host, as {secure}://HOST: the bridge adds the"
                " paths itself"
            )
        host = _host(parts, "URL")
        if parts.scheme == plain and not is_loopback(host):
            raise ValueError(
                f"{plain}:// is for this machine only (127.0.0.1, ::1, localhost),"
                f" since the token would travel readable; write {secure}://"
            )
        if parts.port == 0:
            raise ValueError("has port 0, where nobody can be reached")
        return Origin(parts.scheme, host, parts.port or ports[parts.scheme])

    return Form(read, "URL")


@attrs.frozen
class Listener:
    """An address of this machine, and a port, where somebody may ask for something."""

    host: str  # an IP address
    port: int

    def __str__(self) -> str:
        """Write it as it may be given."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def listener(value: object) -> Listener:
    """Read a port, of loopback unless an address stands before it."""
    found = _LISTENER.fullmatch(text(str(value) if type(value) is int else value))
    host = (found[1] or found[2] or "127.0.0.1") if found else ""
    host = "127.0.0.1" if host.lower() == "localhost" else host
    with suppress(ValueError):
        if found and 1 <= (port := int(found[3])) <= LAST_PORT:
            return Listener(str(ip_address(host)), port)
    raise ValueError(
        "has to be a port, as 9464, or an address of this machine and one, as"
        f" 127.0.0.1:9464, 0.0.0.0:9464 or [::1]:9464, not {value!r}"
    )


@attrs.frozen
class RedisURL:
    """Where Redis is. Only `shown` may be told to anyone: without user and password."""

    url: str = attrs.field(repr=False)
    shown: str
    secrets: frozenset[str] = attrs.field(repr=False)


def _of_sentinels(found: re.Match[str]) -> RedisURL:
    """Read a URL of Sentinels, each of them as if it were Redis itself."""
    scheme, user, places, path, query = found.groups(default="")
    service, _, database = path.strip("/").partition("/")
    if not re.fullmatch(r"[A-Za-z0-9._-]+", service):
        raise ValueError(f"names no service: {scheme}+sentinel://{_SENTINELS}")
    pairs = [pair for pair in query.split("&") if pair]
    login = [pair for pair in pairs if pair.startswith(_TO_SENTINELS)]
    names = [pair.partition("=")[0] for pair in login]
    if len(set(names)) < len(names) or not all(
        pair.partition("=")[2] for pair in login
    ):
        raise ValueError(f"has to have one value after each of {_TO_SENTINELS}")
    rest = "&".join(pair for pair in pairs if pair not in login)
    each = [
        _of_redis(f"{scheme}://{user}{place}/{database or 0}{rest and '?'}{rest}")
        for place in places.split(",")
    ]
    written = {pair.partition("=")[2] for pair in login if "password" in pair}
    meant = {read(one) for one in written for read in (unquote, unquote_plus)}
    end = urlsplit(each[0].shown).path
    shown = f"{'***@' if user else ''}{places}/{service}{end}"
    secrets = each[0].secrets | written | meant
    return RedisURL(found[0], f"{scheme}+sentinel://{shown}", secrets)


def redis_url(value: object) -> RedisURL:
    """Read a URL in the forms that redis-py knows, or of Sentinels."""
    found = _SENTINEL_URL.fullmatch(text(value))
    return _of_sentinels(found) if found else _of_redis(value)


def _of_redis(value: object) -> RedisURL:
    parts = _split(value, "Redis URL")
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(
            "has to begin with redis://, rediss://, unix://, redis+sentinel:// or"
            " rediss+sentinel://, as redis://127.0.0.1:6379/0"
        )
    if parts.fragment:
        raise ValueError(f"has a # in it: {_ENCODE}, # as %23")
    database = parts.path.strip("/")
    if parts.scheme == "unix":
        if not database:
            raise ValueError("names no socket: unix:///path/to/redis.sock")
    elif not parts.hostname:
        raise ValueError("names no host: redis://HOST:PORT/DATABASE")
    else:
        _host(parts, "Redis URL")
        if database and not (database.isascii() and database.isdigit()):
            raise ValueError(f"has to end in the number of a database; {_ENCODE}")
    if parts.netloc.count("@") > 1:
        raise ValueError(f"has more than one @ in it: {_ENCODE}, @ as %40")
    end, chosen = parts.path, _redis_options(parts).get("db")
    if chosen is not None:
        if parts.scheme != "unix" and database not in {"", chosen}:
            raise ValueError("names two databases, one after / and one after ?db=")
        end = f"{end}?db={chosen}" if parts.scheme == "unix" else f"/{chosen}"
    user, _, place = parts.netloc.rpartition("@")
    shown = f"{parts.scheme}://{'***@' if user else ''}{place}{end}"
    return RedisURL(text(value), shown, _secrets(parts))


def redis_urls(value: object) -> tuple[RedisURL, ...]:
    """Read one URL, or those of several nodes of one cluster, in the order given."""
    items = value if isinstance(value, list | tuple) else _NEXT.split(text(value))
    found = tuple(dict.fromkeys(map(redis_url, items)))
    if not found:
        raise ValueError("is empty; leave it out for its default")
    if len(found) > 1 and not all(_OF_A_NODE.match(each.shown) for each in found):
        raise ValueError(
            "names several: they have to be nodes of one cluster, each as"
            " redis://HOST:PORT"
        )
    return found


def _redis_options(parts: SplitResult) -> dict[str, str]:
    """Return what follows the `?`; raises ValueError where redis-py would crash."""
    known = _ANYWHERE | (_WITH_TLS if parts.scheme == "rediss" else {})
    found: dict[str, str] = {}
    for name, given in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            raise ValueError(_not_understood(parts, name, known))
        form, words = known[name]
        if not re.fullmatch(form, given) or not given.isprintable():
            raise ValueError(f"has to have {words} after ?{name}=")
        if name in found:
            raise ValueError(f"has the option {name} in it twice")
        found[name] = given
    return found


def _not_understood(parts: SplitResult, name: str, known: Iterable[str]) -> str:
    if name in _WITH_TLS:
        return f"has the option {name} in it, which is for rediss:// only"
    # What looks like options may be the rest of a password.
    if "@" in parts.query or not re.fullmatch(r"[A-Za-z_]{1,40}", name):
        return f"has something after its ? that is no option: {_ENCODE}, ? as %3F"
    told = f"which is not understood; known are {', '.join(known)}"
    return f"has the option {name} in it, {told}"


def _secrets(parts: SplitResult) -> frozenset[str]:
    """Return the passwords, as written and as meant; a lone user name is one too."""
    pairs = [pair.partition("=") for pair in parts.query.split("&")]
    written = {value for name, _, value in pairs if unquote_plus(name) in _SECRET}
    written.add(parts.password or parts.username or "")
    meant = {read(each) for each in written for read in (unquote, unquote_plus)}
    return frozenset((written | meant) - {""})
