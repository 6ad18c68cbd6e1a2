"""What `--when` says, in rule-engine's language: read once, then asked for each entry.

A mistake is told with its column before anything runs. A comparison of what is absent
is false, whatever it compares with; `pt == null` asks for absence. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

import attrs

from bzredis.commands.react import mistakes
from bzredis.commands.react.mistakes import MARK, MARKED, Mistake, plain
from bzredis.commands.react.taking.entries import fields
from bzredis.errors import ConfigError
from bzredis.settings.names import meant
from bzredis.streams import Stream
from bzredis.streams.field import Field, Type

MISSING: Final = (
    "--when needs the library rule-engine: install it where bzredis is, with"
    " `pip install rule-engine`"
)
# Parts within parts, as each `or` makes of all before it: what Python has room for.
DEEPEST: Final = 100
TOO_DEEP: Final = (
    "it is too long, or nested too deeply: a list may have any length, as in"
    ' symbol in ["AAPL", "MSFT"]; else make two reactions of it'
)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Text in quotes (of times too), a comment, or a name; what follows a point is no field.
TOKENS: Final = re.compile(
    r"""[bdtrs]?(?P<quote>["'])(?:[^\\\n]|\\.)*?(?P=quote)|\#.*$"""
    r"""|(?P<name>(?<![.$\w])[A-Za-z_]\w*)""",
    re.MULTILINE,
)
OWN_WORDS: Final = frozenset(
    ("true", "false", "null", "inf", "nan", "and", "or", "not", "in", "for", "if")
)
TIMES: Final[frozenset[Type]] = frozenset({"ms", "time"})
NUMBERS: Final[frozenset[Type]] = frozenset({"number", "reckoned", "count"})


class Absent(Exception):
    """A field is not there."""


@attrs.frozen
class Rule:
    """Says of what happened whether it is meant."""

    text: str
    _matches: Callable[[Mapping[str, Any]], bool] = attrs.field(repr=False, eq=False)
    _known: Mapping[str, Field] = attrs.field(repr=False, eq=False)

    def __call__(self, values: Mapping[str, Any]) -> bool:
        """Tell whether an entry with these values is meant. It never fails."""
        return self._matches(values)


def rule(text: str, streams: Iterable[Stream], where: str = "--when") -> Rule:
    """Read an expression about the entries of some streams; raises ConfigError."""
    known: dict[str, Field] = {}
    for stream in streams:
        known = {**fields(stream), **known}
    try:
        try:
            matches = _compiled(text, known)
        except RecursionError:
            raise Mistake(TOO_DEEP) from None
    except Mistake as mistake:
        place = _place(text, mistake.column) if mistake.column >= 0 else ""
        raise ConfigError(f"{where}{place}: {mistake}") from None
    return Rule(text, matches, known)


def _place(text: str, at: int) -> str:
    before = text[:at]
    line = f", line {before.count(chr(10)) + 1}" if "\n" in text.strip() else ""
    return f"{line}, column {at - before.rfind(chr(10))}"


def _compiled(
    text: str, known: Mapping[str, Field]
) -> Callable[[Mapping[str, Any]], bool]:
    try:
        import rule_engine  # type: ignore[import-untyped] # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError(MISSING) from None
    if not text.strip():
        raise Mistake("there is nothing in it")
    try:
        rule_engine.Rule(text, rule_engine.Context(default_timezone="utc"))
    except rule_engine.RuleSyntaxError as error:
        raise mistakes.syntax(text, error) from None
    except rule_engine.EngineError as error:
        if (at := mistakes.place_of_value(text, error)) >= 0:
            raise Mistake(mistakes.said(error), at) from None
        # Else it is told below, where the names have their places.
    marked = _marked(text)
    for name, column in _names(marked):
        if name not in known:
            raise Mistake(f"there is no field {name}{meant(name, known)}", column)
    types = {each: _type(rule_engine, known[plain(each)]) for each in _all(marked)}
    context = rule_engine.Context(
        default_timezone="utc",
        type_resolver=lambda name: types.get(name, rule_engine.DataType.UNDEFINED),
        resolver=partial(_resolved, known),
    )
    try:
        made = rule_engine.Rule(marked, context)
    except rule_engine.EngineError as error:
        raise mistakes.mismatch(error) from None
    _guard(made.statement, "expression", rule_engine, known)
    return lambda values: bool(made.matches(values))


# ---- names and their places


def _marked(text: str) -> str:
    """Put its place behind each name of a field."""
    own = OWN_WORDS | set(re.findall(r"\bfor\s+([A-Za-z_]\w*)\s+in\b", text))

    def mark(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None or name in own:
            return found[0]
        return f"{name}{MARK}{found.start()}"

    return TOKENS.sub(mark, text)


def _all(marked: str) -> Iterator[str]:
    for found in TOKENS.finditer(marked):
        if found["name"] and MARKED.fullmatch(found["name"]):
            yield found["name"]


def _names(marked: str) -> Iterator[tuple[str, int]]:
    for each in _all(marked):
        if found := MARKED.fullmatch(each):
            yield found[1], int(found[2])


# ---- values


def _type(engine: Any, field: Field) -> Any:
    kind = engine.DataType
    if field.type in TIMES:
        return kind.DATETIME
    if field.type in NUMBERS:
        return kind.FLOAT
    return kind.BOOLEAN if field.type == "flag" else kind.STRING


def _resolved(known: Mapping[str, Field], values: Mapping[str, Any], name: str) -> Any:
    """Return a field's value in its type; raises Absent, also where it has another."""
    field = plain(name)
    kind, value = known[field].type, values.get(field)
    if kind == "flag":
        return value is True
    if kind in TIMES:
        return _time(value)
    wanted = (Decimal, int) if kind in NUMBERS else str
    if not isinstance(value, wanted):
        raise Absent(field)
    return value


def _time(value: object) -> datetime:
    try:
        if isinstance(value, int):
            return EPOCH + timedelta(milliseconds=value)
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Absent from None


# ---- what is false where something is absent


# Parts of an expression that may hold further ones.
PARTS: Final = (
    *("left", "right", "member", "container", "condition", "case_true", "case_false"),
)


def _guard(
    holder: Any, at: str, engine: Any, known: Mapping[str, Field], depth: int = 0
) -> None:
    """Make all that is true or false within an expression false where it cannot be.

    Nor does it fail there: a division by zero is no answer either.
    """
    from rule_engine import ast  # noqa: PLC0415 - an extra

    if depth > DEEPEST:
        raise Mistake(TOO_DEEP)
    node = getattr(holder, at)
    is_used = _is_truth(holder, at, ast)
    if isinstance(node, ast.LiteralExpressionBase):
        if is_used and isinstance(node, (ast.StringExpression, ast.FloatExpression)):
            raise mistakes.alone(node, holder)
        return
    mistakes.check(node, known, ast)
    for each in _may_be_absent(node, ast):
        _instead(each, None, engine)
    for name in PARTS:
        if hasattr(node, name):
            _guard(node, name, engine, known, depth + 1)
    is_asked = isinstance(node, (ast.ComparisonExpression, ast.ContainsExpression))
    if is_asked or is_used:
        _instead(node, False, engine)


def _is_truth(holder: Any, at: str, ast: Any) -> bool:
    """Whether a part of an expression is only asked whether it is true."""
    if isinstance(holder, ast.UnaryExpression):
        return bool(holder.type == "not")
    is_logic = isinstance(holder, (ast.Statement, ast.LogicExpression))
    return is_logic or at == "condition"


def _may_be_absent(node: Any, ast: Any) -> Iterator[Any]:
    """Yield the parts of which it is asked whether they are there."""
    if isinstance(node, ast.CoalesceExpression):
        yield node.left
    elif isinstance(node, ast.ComparisonExpression):
        sides = node.left, node.right
        if any(isinstance(each, ast.NullExpression) for each in sides):
            yield from sides


def _instead(node: Any, value: object, engine: Any) -> None:
    """Have a part of an expression be this where it has no value."""
    evaluate = node.evaluate

    def evaluated(thing: object) -> object:
        try:
            return evaluate(thing)
        except (Absent, engine.EngineError, ArithmeticError):
            return value

    node.evaluate = evaluated
