"""README and reference are under test: they name what there is, and nothing else.

The reference names all of it, of which the README has what one needs at first.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import click
import pytest

from bzredis.bridge.status import CONTRACT, FIELDS, State
from bzredis.commands.demo.demo import demo
from bzredis.commands.keys import keys
from bzredis.commands.looks.board import board
from bzredis.commands.react.react import react
from bzredis.commands.service.service import install
from bzredis.contract import fields
from bzredis.contract.fields import (
    CAUSES,
    ENTRY,
    GAP,
    REASONS,
    SOURCES,
)
from bzredis.contract.keys import KEYS, Key
from bzredis.settings.config import OPTIONS
from bzredis.settings.options import Option
from bzredis.store.script import TOMBSTONE_DAYS
from bzredis.streams import RATINGS, STREAMS, Stream
from bzredis.streams.field import DIRECTIONS, Field

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "bzredis" / "contract" / "reference.md").read_text()
PAGES = (
    "README.md",
    "bzredis/contract/reference.md",
    "scripts/consumers/README.md",
    "scripts/examples/README.md",
)
LONGEST = 200  # lines


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_is_told_with_its_variables(option: Option) -> None:
    [row] = [
        line
        for line in README.splitlines()
        if re.match(rf"\| `{option.flag}[ `]", line)
    ]
    for variable in (option.variable, *option.variables):
        assert f"`{variable}`" in row


def flags(command: click.Command) -> set[str]:
    return {flag for param in command.params for flag in param.opts}


def test_no_option_is_told_that_does_not_exist() -> None:
    known = {option.flag for option in OPTIONS} | {
        *(flag for each in (react, board, install, demo) for flag in flags(each)),
        "--acl",
        "--verify",
        "--format",
        "--days",
        "--seconds",
        "--config",
        "--help",
        "--minutes",
        "--seed",
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= known
    variables = {v for option in OPTIONS for v in (option.variable, *option.variables)}
    told = set(re.findall(r"\b(?:BZREDIS|BENZINGA)_[A-Z_]*[A-Z]\b", README))
    assert told <= variables | {"BENZINGA_TOKEN"}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_key_is_told_with_its_type(key: Key) -> None:
    stream = "ratings" if "records" in key.state else "consensus"
    row = f"| `bz:{stream}:{key.name}` | {key.type} |"
    assert row in README


def test_no_key_is_told_that_does_not_exist() -> None:
    names = "|".join(stream.name for stream in STREAMS)
    kinds = {key.name.partition(":")[0] for key in KEYS} | {"internal"}
    assert set(re.findall(rf"bz:(?:{names}):([a-z]+)", README)) <= kinds


def table(after: str) -> dict[str, str]:
    """Return the fields of the reference's first table after these words, and types."""
    rows = REFERENCE.partition(after)[2].partition("|---|")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", rows, re.MULTILINE))


def names(of: Iterable[Field]) -> list[str]:
    return [field.name for field in of]


def in_readme(begins: str) -> set[str]:
    """Return the names in the paragraph of the README that begins with these words."""
    (paragraph,) = [each for each in README.split("\n\n") if each.startswith(begins)]
    return set(re.findall(r"`(\w+)`", paragraph))


def test_the_reference_tells_each_field_with_all_there_is_to_know() -> None:
    told = set(
        re.findall(r"^\| `(\w+)` \| .+ \| .+ \| .+ \|$", REFERENCE, re.MULTILINE)
    )
    all_of_them = {*fields.STATUS, *GAP, *fields.REJECTED, fields.EVENT}
    for stream in STREAMS:
        all_of_them |= {*fields.entry(stream), *fields.ours(stream)}
    assert told == {*names(all_of_them)}
    assert [*table("An entry of the log:")] == names(ENTRY)
    assert [*table("A gap in the log")] == names(GAP)
    assert [*table("What could not be used")] == names(fields.REJECTED)


def test_the_reference_tells_upstreams_own_fields() -> None:
    for stream in STREAMS:
        after = REFERENCE.partition("### Upstream's own fields")[2]
        rows = after.partition(f"\nOf {stream.name}:\n\n")[2]
        told = re.findall(r"^\| `(\w+)` \|", rows.partition("\n\n")[0], re.MULTILINE)
        assert told == names(stream.content)


def test_the_readme_tells_fields_that_there_are() -> None:
    entry = in_readme("An entry has")
    known = {field.name for field in (*fields.entry(RATINGS), *GAP)}
    values = {*fields.ACTIONS, "gap", *SOURCES}
    assert values <= entry <= known | values | {"ping"}
    assert {"news", "action", "symbol", "version", "published", "raw"} <= entry
    ours = {each.name for stream in STREAMS for each in fields.ours(stream)}
    assert in_readme("All values are text") - {"_"} <= ours | {*DIRECTIONS, "events"}
    status = in_readme("`status` says")
    assert {"covered_until", "missing"} <= status <= {*FIELDS, "status"}


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_each_streams_headline_is_told(stream: Stream) -> None:
    headline = names(fields.headline(stream))
    assert [*table(f"Then those of {stream.name}:")] == headline
    told = ", ".join(f"`{name}`" for name in headline)
    assert stream is not RATINGS or f"of ratings {told})" in README


def test_the_status_is_told_as_it_is() -> None:
    told = table("## The status:")
    assert sorted(told) == sorted(FIELDS)
    assert {*re.findall(r"`(\w+)`", told["state"])} == {*get_args(State)}
    assert f"The number of all this is {CONTRACT} " in REFERENCE


def test_what_the_words_mean_is_told() -> None:
    for word in (*CAUSES, *SOURCES, *DIRECTIONS, "refused", "full", "retrying"):
        assert REFERENCE.count(f"`{word}`") > 1, word


def test_the_readme_is_not_long() -> None:
    assert len(README.splitlines()) < LONGEST


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / page).read_text())
    assert links
    for link in links:
        assert ((ROOT / page).parent / link).exists(), link


def test_why_nothing_is_fresh_is_told() -> None:
    told = REFERENCE.partition("The reasons of `fresh`: ")[2].partition(" A bridge")[0]
    assert tuple(re.findall(r"`(\w+)`", told)) == REASONS


def test_every_format_of_the_contract_is_told() -> None:
    [option] = [each for each in keys.params if each.name == "form"]
    assert isinstance(option.type, click.Choice)
    for form in set(option.type.choices) - {option.default}:
        assert f"--format {form}`" in README


def test_how_long_a_deleted_record_is_remembered_is_told() -> None:
    for page in (README, REFERENCE):
        assert f"for {TOMBSTONE_DAYS} days" in page


def test_scripts_that_it_names_exist() -> None:
    for name in re.findall(r"scripts/([a-z-]+)", README):
        assert (ROOT / "scripts" / name).exists()


def test_what_redis_needs_is_told_as_it_is_measured() -> None:
    """Of what is as large with few messages as with many."""
    done = subprocess.run(
        [sys.executable, "-P", str(ROOT / "scripts" / "memory.py"), "--ratings", "300"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    sizes = re.findall(
        r"^  (events|latest) +\d+ of +(\d+) bytes", done.stdout, re.MULTILINE
    )
    found = {kind: [int(n) for k, n in sizes if k == kind] for kind, _ in sizes}
    for words, kind in (("an entry of the log", "events"), ("`latest` of a", "latest")):
        [row] = re.findall(rf"^\| {words}.*?\| (.*) \|$", README, re.MULTILINE)
        cells = [re.findall(r"[\d,]+", cell)[0] for cell in row.split(" | ")]
        told = [int(cell.replace(",", "")) for cell in cells]
        assert len(told) == len(STREAMS)
        assert found[kind] == pytest.approx(told, rel=0.1)
