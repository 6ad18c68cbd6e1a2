"""Which proxy the environment names for a host, by the rules of all programs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from bzredis.commands.logs import add_secret
from bzredis.errors import ConfigError
from bzredis.settings.addresses import Origin, is_loopback
from bzredis.upstream.proxy import Proxy

# What is for TLS before what is for all; in small letters before capitals.
VARIABLES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
EXCEPT: Final = ("no_proxy", "NO_PROXY")
FORM: Final = "http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"


def proxy_for(at: Origin | None, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy through which an origin is reached; None: none.

    From then on its login is in no log. Raises ConfigError.
    """
    if at is None or is_loopback(at.host):
        return None
    name = next((each for each in VARIABLES if environ.get(each, "").strip()), None)
    no = next((environ[each] for each in EXCEPT if environ.get(each)), "")
    if name is None or proxy_bypass_environment(f"{at.host}:{at.port}", {"no": no}):
        return None
    url = environ[name].strip()
    url = url if "://" in url else f"http://{url}"
    scheme = url.partition("://")[0].lower()
    if scheme != "http":
        shown = scheme if scheme.isalnum() else "that"
        raise ConfigError(
            f"{name}: {shown}:// is no way that the bridge knows to speak to a proxy:"
            f" name one as {FORM}, or put {at.host} into NO_PROXY"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if not host or not url.isprintable() or any(map(str.isspace, url)):
        raise ConfigError(f"{name}: is no proxy's URL; it has the form {FORM}")
    user, password = (unquote(each or "") for each in (parts.username, parts.password))
    login = f"{user}:{password}" if user or password else ""
    as_header = b64encode(login.encode()).decode()
    for secret in (password or user, parts.password or parts.username, as_header):
        add_secret(secret or "")
    return Proxy(host, port, login)
