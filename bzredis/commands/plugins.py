"""`bzredis plugins`: the streams that there are, and what is wrong with which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import click

from bzredis import __version__
from bzredis.commands.looks.asked import put, put_json
from bzredis.commands.looks.words import one_line
from bzredis.settings.file import APP
from bzredis.streams.installed import GROUP, Offer, offers

BROKEN: Final = 1  # exit code
NONE: Final = f"""No package here brings a stream of its own (entry points {GROUP}).
`python -m pydoc bzredis.plugin` tells how one is made."""


@click.command()
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="A list of objects: name, origin, package, version, path, and what is wrong.",
)
def plugins(*, as_json: bool) -> int:
    """List the streams that there are: built in, and installed.

    `--stream NAME` has one followed. The exit code is 1 where one cannot be.
    """
    found = [*offers()]
    if as_json:
        put_json([*map(_object, found)])
    else:
        put("".join(f"{line}\n" for line in _lines(found)))
    return BROKEN if any(each.wrong for each in found) else 0


def _object(offer: Offer) -> dict[str, object]:
    told: dict[str, object] = {
        "name": offer.name,
        "origin": offer.origin,
        "package": offer.package or APP,
        "version": offer.version or __version__,
    }
    if offer.stream is not None:
        told["path"] = offer.stream.path
    return told | ({"wrong": one_line(offer.wrong)} if offer.wrong else {})


def _lines(found: Iterable[Offer]) -> Iterator[str]:
    all_of_them = [*found]
    names = [one_line(each.name) for each in all_of_them]
    packages = [_package(each) for each in all_of_them]
    widths = max(map(len, names)), max(map(len, packages))
    for name, package, offer in zip(names, packages, all_of_them, strict=True):
        said = f"BROKEN: {one_line(offer.wrong)}" if offer.wrong else offer.origin
        yield f"{name:{widths[0]}}  {package:{widths[1]}}  {said}"
    if not any(each.origin == "installed" for each in all_of_them):
        yield f"\n{NONE}"


def _package(offer: Offer) -> str:
    if offer.origin != "installed":
        return f"{APP} {__version__}"
    return one_line(f"{offer.package} {offer.version}")
