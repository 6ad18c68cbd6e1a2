"""A package's model of content is as free as attrs and cattrs let it be."""

from __future__ import annotations

import attrs
import pytest

from bzredis.errors import Unusable
from bzredis.messages.model import reader


@attrs.frozen(kw_only=True)
class Named:
    """Its fields have no places."""

    ticker: str = ""


@attrs.frozen
class Made:
    """One field is not given at all."""

    kind: str = attrs.field(init=False, default="guidance")
    ticker: str = ""


@attrs.frozen
class Assumed:
    """What is absent is not always "": a currency mostly."""

    currency: str = "USD"


@attrs.frozen
class Wanted:
    """A field that has to be there."""

    ticker: str


def test_fields_are_given_by_name_or_not_at_all() -> None:
    content = {"ticker": "A", "kind": "x"}
    assert reader(Named)(content) == Named(ticker="A")
    assert reader(Made)(content) == Made(ticker="A")


def test_what_is_absent_is_the_default_of_its_field() -> None:
    assert reader(Assumed)({}) == Assumed("USD")
    assert reader(Assumed)({"currency": 5}) == Assumed("5")


def test_what_has_no_default_has_to_be_there() -> None:
    with pytest.raises(Unusable, match="ticker"):
        reader(Wanted)({})
