"""What is refused to packages is what the contract has already; ours keep the rules."""

from __future__ import annotations

import pytest
from streams.offered import EVERY, FURTHER

from bzredis.contract import fields
from bzredis.reader.reader import NAME
from bzredis.streams import Stream
from bzredis.streams.rules import OF_ENTRIES, OF_HASHES, broken, of_name


def test_what_is_kept_is_what_the_contract_has() -> None:
    tables = (*fields.ENTRY, *fields.GAP, fields.RAW, fields.EVENT, *fields.REJECTED)
    assert {each.name for each in tables} | {"shift"} == OF_ENTRIES
    assert {each.name for each in fields.OURS} == OF_HASHES


@pytest.mark.parametrize("stream", FURTHER, ids=lambda stream: stream.name)
def test_all_that_could_be_a_packages_keeps_the_rules(stream: Stream) -> None:
    assert broken(stream) == []


@pytest.mark.parametrize("stream", EVERY, ids=lambda stream: stream.name)
def test_a_name_is_one_for_who_reads_too(stream: Stream) -> None:
    assert of_name(stream.name) == ""
    assert NAME.fullmatch(stream.name)
