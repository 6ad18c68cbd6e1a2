"""What `--when` means, and how a mistake in it is told."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzredis.commands.react.rules import DEEPEST, rule
from bzredis.errors import ConfigError
from bzredis.streams import CONSENSUS, RATINGS, STREAMS

FULL: Mapping[str, Any] = {
    "symbol": "AAPL",
    "direction": "down",
    "firm": "Goldman Sachs",
    "pt": Decimal("195.50"),
    "pt_prior": Decimal(200),
    "_pt_change_pct": Decimal("-2.25"),
    "importance": Decimal(0),
    "news": True,
    "published": 1_795_174_320_000,  # 2026-11-20T11:32
    "received": "2026-11-20T11:32:40.137Z",
}


@pytest.mark.parametrize(
    ("text", "full", "bare"),
    [
        ('direction == "down" and symbol in ["AAPL", "MSFT"]', True, False),
        ("_pt_change_pct < -2", True, False),
        ("_pt_change_pct < -2.25", False, False),
        # Exact: as floats these two would be something else.
        ("pt - pt_prior == -4.5", True, False),
        # What is absent makes a comparison false, and just that …
        ('pt < 5 or direction == "down"', True, False),
        ("not (pt < 5)", True, True),
        ("pt != 5", True, False),
        ("pt == pt_prior", False, False),
        ("pt + pt_prior > 5", True, False),
        ("$abs(_pt_change_pct) > 2", True, False),
        ('firm =~ "Gold.*"', True, False),
        ('firm !~ "Gold.*"', False, False),
        ('"Sachs" in firm', True, False),
        ('symbol not in ["MSFT"]', True, True),
        ('symbol.length == 4 or direction == "down"', True, False),
        ("pt < 5 ? news : not news", False, True),
        # … but where absence is asked for.
        ("pt == null", False, True),
        ("null != pt", True, False),
        ("(pt ?? 0) < 5", False, True),
        ("news", True, False),
        ("not news", False, True),
        ("symbol or firm", True, False),
        # No answer is no, too.
        ("pt / importance > 1", False, False),
        ("pt / importance > 1 or news", True, False),
        # Times are times.
        ('published >= d"2026-11-20 11:32" and received < d"2026-11-21"', True, False),
        ('published < $now - t"PT1H"', True, False),
        ("received - published < t'PT1M'", True, False),
        ("pt > 5\n  and news  # both", True, False),
    ],
)
def test_it_means(text: str, *, full: bool, bare: bool) -> None:
    made = rule(text, [RATINGS])
    assert (made(FULL), made({})) == (full, bare)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pt > 5 and pt_pror < 3", "column 12: there is no field pt_pror; is pt_prior"),
        ("pt > 5 and\n  fo == 1", "line 2, column 3: there is no field fo"),
        ('pt == pt_prior or pt > "5"', 'column 19: pt is a number and "5" is text'),
        ('pt == "5"', 'column 1: pt is a number and "5" is text'),
        ("5 == symbol", "column 6: 5 is a number and symbol is text"),
        ("pt + firm > 3", "column 1: pt is a number and firm is text"),
        ('symbol in ["A", 5]', "column 1: symbol is text and 5 is a number"),
        ('published > "2026"', 'column 1: published is a time and "2026" is text;'),
        ("news and published > 5", "column 10: published is a time and 5 is a number"),
        ('direction == "dwon"', 'column 1: direction is never "dwon", but one of up,'),
        ('direction in ["up", "dn"]', 'column 1: direction is never "dn", but one'),
        ('symbol == "aapl"', 'column 1: a symbol stands in capitals: "AAPL"'),
        ('direction == "up" or "down"', '"down" alone is always true: compare it'),
        ("pt >", "column 5: it ends before it is complete"),
        ("pt = 5", "column 4: '= 5' cannot stand here; == compares"),
        ("pt > 5)", "column 7: ')' cannot stand here"),
        ('symbol == "A', "column 11: '\"A' cannot stand here; the quote is not closed"),
        ('firm =~ "(("', "column 10: invalid regular expression: (("),
        ('received > d"20x"', "column 14: invalid datetime literal: 20x"),
        ("pt.foo > 3", "unknown attribute: 'foo'"),
        ("while", "keyword is reserved"),
        (" ", "there is nothing in it"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        rule(text, [RATINGS])
    assert str(raised.value).startswith("--when")
    assert told in str(raised.value)
    assert "__at" not in str(raised.value)


@pytest.mark.parametrize("count", [50, 200, 350, 5_000])
def test_what_is_too_deep_is_told_before_it_runs(count: int) -> None:
    """Else Python's own limit ends us, with the first entry or at the start."""
    chain = " or ".join(["pt > 3"] * count)
    inner = f"{'not ' * count}pt > 3"
    if count <= DEEPEST:
        assert rule(chain, [RATINGS])({"pt": 5}) is rule(inner, [RATINGS])({"pt": 5})
    else:
        for text in (chain, inner):
            with pytest.raises(ConfigError, match="too long, or nested too deeply"):
                rule(text, [RATINGS])
    many = ", ".join(f'"A{number}"' for number in range(count))
    assert rule(f"symbol in [{many}]", [RATINGS])({"symbol": "A7"})


def test_what_is_known_is_what_its_streams_have() -> None:
    with pytest.raises(ConfigError, match="no field shift"):
        rule('shift == "down"', [RATINGS])
    one = rule('shift == "down" or direction == "down"', [RATINGS, CONSENSUS])
    assert one({"shift": "down"})
    assert one({"direction": "down"})


NAMES = st.sampled_from(["pt", "pt_prior", "importance"])
COMPARISONS = st.builds(
    "{} {} {}".format,
    NAMES,
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    NAMES | st.integers(-3, 3).map(str),
)
EXPRESSIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("(not {})".format, inner),
    ),
    max_leaves=6,
)
VALUES = st.dictionaries(NAMES, st.integers(-3, 3).map(Decimal))


@given(EXPRESSIONS, VALUES)
def test_it_is_as_if_each_comparison_of_what_is_absent_were_false(
    text: str, values: dict[str, Decimal]
) -> None:
    words = text.replace("(", " ( ").replace(")", " ) ").split()
    at = 0
    while at < len(words):
        if words[at] in {"pt", "pt_prior", "importance"}:
            one, sign, other = words[at : at + 3]
            right = values.get(other) if other[0] in "pi" else Decimal(other)
            left = values.get(one)
            is_known = left is not None and right is not None
            told = eval(f"{left} {sign} {right}") if is_known else False  # noqa: S307 - numbers of above
            words[at : at + 3] = [str(told)]
        at += 1
    assert rule(text, [RATINGS])(values) == eval(" ".join(words))  # noqa: S307 - likewise


@given(st.text(max_size=30))
def test_whatever_is_written_is_read_or_told(text: str) -> None:
    with suppress(ConfigError):
        made = rule(text, STREAMS)
        made(FULL)
        made({})
