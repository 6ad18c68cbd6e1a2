"""Which proxy is taken: the rules of urllib and curl."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bzredis.commands import logs
from bzredis.commands.logs import redact
from bzredis.commands.running.proxies import proxy_for
from bzredis.errors import ConfigError
from bzredis.settings.addresses import Origin
from bzredis.upstream.proxy import Proxy

FAR = Origin("wss", "api.example.com", 443)
A, B = Proxy("a.test", 3128), Proxy("b.test", 80)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    vars(logs._Secrets)["__init__"](logs._secrets)


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://a.test:3128"}, A),
        ({"https_proxy": "http://a.test:3128/"}, A),
        ({"ALL_PROXY": "http://a.test:3128"}, A),
        ({"all_proxy": "a.test:3128"}, A),
        ({"HTTPS_PROXY": " b.test "}, B),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "b.test"}, B),
        ({"HTTPS_PROXY": "a.test:3128", "https_proxy": "b.test"}, B),
        ({"HTTPS_PROXY": "a.test:3128", "all_proxy": "b.test"}, A),
        ({"HTTP_PROXY": "a.test:3128"}, None),
        ({"HTTPS_PROXY": "b.test", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "b.test", "NO_PROXY": "other, example.com"}, None),
        ({"HTTPS_PROXY": "b.test", "no_proxy": ".example.com"}, None),
        ({"HTTPS_PROXY": "b.test", "no_proxy": "api.example.com:443"}, None),
        ({"HTTPS_PROXY": "b.test", "no_proxy": "ample.com"}, B),
        ({"HTTPS_PROXY": "http://[::2]:8"}, Proxy("::2", 8)),
    ],
)
def test_which_one_is_taken(environ: dict[str, str], found: Proxy | None) -> None:
    assert proxy_for(FAR, environ) == found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
@pytest.mark.parametrize("proxy", ["http://a.test", "socks5://a.test"])
def test_this_machine_is_reached_through_none(host: str, proxy: str) -> None:
    environ = {"HTTPS_PROXY": proxy, "ALL_PROXY": proxy}
    assert proxy_for(Origin("ws", host, 8765), environ) is None
    assert proxy_for(None, environ) is None


def test_its_login_is_taken_apart_and_in_no_log() -> None:
    environ = {"HTTPS_PROXY": "http://m%C3%A9:p%40ss:word1@a.test:3128"}
    found = proxy_for(FAR, environ)
    assert found == Proxy("a.test", 3128, "mé:p@ss:word1")
    assert "word1" not in f"{found!r} {redact(environ['HTTPS_PROXY'])}"
    assert redact("as Basic bcOpOnBAc3M6d29yZDE=") == "as Basic ***"


@pytest.mark.parametrize(
    "url",
    [
        "https://me:s3cret-word@a.test",
        "socks5://me:s3cret-word@a.test:1080",
        "socks5h://me:s3cret-word@a.test",
        "http://me:s3cret-word@",
        "http://me:s3cret-word@a.test:port",
        "http://me:s3cret-word@a te.st",
        "http://me:s3cret-word\udce9@a.test",
        "http://",
    ],
)
def test_another_kind_of_proxy_is_refused_in_a_line(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^ALL_PROXY: .*http://HOST:PORT") as refused:
        proxy_for(FAR, {"ALL_PROXY": url})
    assert "s3cret-word" not in str(refused.value)
    assert "\n" not in str(refused.value)
