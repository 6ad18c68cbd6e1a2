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

from bzredis.commands.react.taking.entries import fields
from bzredis.contract.fields import Field, Type
from bzredis.errors import ConfigError
from bzredis.settings.names import meant
from bzredis.streams import Stream

MISSING: Final = (
    "--when needs rule-engine, which is not installed: pip install 'bzredis[react]'"
)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Text in quotes (of times too), a comment, or a name; what follows a point is no field.
TOKENS: Final = re.compile(
    r"""[bdtrs]?(?P<quote>["'])(?:[^\\\n]|\\.)*?(?P=quote)|\#.*$"""
    r"""|(?P<name>(?<![.$\w])[A-Za-z_]\w*)""",
    re.MULTILINE,
)
# Each name is given its place, so that it can be told: the library says it of few.
MARK: Final = "__at"
MARKED: Final = re.compile(rf"(\w+?){MARK}(\d+)")
OWN_WORDS: Final = frozenset(
    ("true", "false", "null", "inf", "nan", "and", "or", "not", "in", "for", "if")
)
TIMES: Final[frozenset[Type]] = frozenset({"ms", "time"})
NUMBERS: Final[frozenset[Type]] = frozenset({"number", "reckoned", "count"})
IN_WORDS: Final = {
    "STRING": "text",
    "FLOAT": "a number",
    "DATETIME": "a time",
    "TIMEDELTA": "a length of time",
    "BOOLEAN": "true or false",
    "ARRAY": "a list",
}
# What is said of pairs that people mix up.
HINTS: Final = {
    ("DATETIME", "STRING"): 'write it as a time: d"2026-11-20 14:30"',
    ("DATETIME", "FLOAT"): '$now - t"PT1H" is an hour ago',
    ("FLOAT", "STRING"): "numbers stand without quotes, and text in them",
}


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
        matches = _compiled(text, known)
    except _Mistake as mistake:
        place = _place(text, mistake.column) if mistake.column >= 0 else ""
        raise ConfigError(f"{where}{place}: {mistake}") from None
    return Rule(text, matches, known)


class _Mistake(Exception):
    def __init__(self, words: str, column: int = -1) -> None:
        super().__init__(words)
        self.column = column


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
        raise _Mistake("there is nothing in it")
    try:
        rule_engine.Rule(text, rule_engine.Context(default_timezone="utc"))
    except rule_engine.RuleSyntaxError as error:
        raise _syntax(text, error) from None
    except rule_engine.EngineError as error:
        if (at := _place_of_value(text, error)) >= 0:
            raise _Mistake(_said(error), at) from None
        # Else it is told below, where the names have their places.
    marked = _marked(text)
    for name, column in _names(marked):
        if name not in known:
            raise _Mistake(f"there is no field {name}{meant(name, known)}", column)
    types = {each: _type(rule_engine, known[_plain(each)]) for each in _all(marked)}
    context = rule_engine.Context(
        default_timezone="utc",
        type_resolver=lambda name: types.get(name, rule_engine.DataType.UNDEFINED),
        resolver=partial(_resolved, known),
    )
    try:
        made = rule_engine.Rule(marked, context)
    except rule_engine.EngineError as error:
        raise _mismatch(error) from None
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


def _plain(name: str) -> str:
    return MARKED.sub(r"\1", name)


def _column(name: str) -> int:
    found = MARKED.fullmatch(name)
    return int(found[2]) if found else -1


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
    plain = _plain(name)
    kind, value = known[plain].type, values.get(plain)
    if kind == "flag":
        return value is True
    if kind in TIMES:
        return _time(value)
    wanted = (Decimal, int) if kind in NUMBERS else str
    if not isinstance(value, wanted):
        raise Absent(plain)
    return value


def _time(value: object) -> datetime:
    try:
        if isinstance(value, int):
            return EPOCH + timedelta(milliseconds=value)
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Absent from None


# ---- what is false where something is absent


def _guard(holder: Any, at: str, engine: Any, known: Mapping[str, Field]) -> None:
    """Make all that is true or false within an expression false where it cannot be.

    Nor does it fail there: a division by zero is no answer either.
    """
    from rule_engine import ast  # noqa: PLC0415 - an extra

    node = getattr(holder, at)
    is_used = (
        isinstance(holder, (ast.Statement, ast.LogicExpression))
        or at == "condition"
        or (isinstance(holder, ast.UnaryExpression) and holder.type == "not")
    )
    if isinstance(node, ast.LiteralExpressionBase):
        if is_used and isinstance(node, (ast.StringExpression, ast.FloatExpression)):
            told = f"{_shown(node)} alone is always true: compare it with a field"
            raise _Mistake(told, _first(holder))
        return
    if isinstance(node, ast.ComparisonExpression):
        _check(node, known)
        if any(
            isinstance(each, ast.NullExpression) for each in (node.left, node.right)
        ):
            # Whether it is absent is what it asks for.
            for side in ("left", "right"):
                _instead(getattr(node, side), None, engine)
    elif isinstance(node, ast.ContainsExpression):
        _check_members(node, known, ast)
    elif isinstance(node, ast.CoalesceExpression):
        _instead(node.left, None, engine)
    for name in ("left", "right", "member", "container", "condition"):
        if hasattr(node, name):
            _guard(node, name, engine, known)
    for name in ("case_true", "case_false"):
        if hasattr(node, name):
            _guard(node, name, engine, known)
    is_asked = isinstance(node, (ast.ComparisonExpression, ast.ContainsExpression))
    if is_asked or is_used:
        _instead(node, False, engine)


def _instead(node: Any, value: object, engine: Any) -> None:
    """Have a part of an expression be this where it has no value."""
    evaluate = node.evaluate

    def evaluated(thing: object) -> object:
        try:
            return evaluate(thing)
        except (Absent, engine.EngineError, ArithmeticError):
            return value

    node.evaluate = evaluated


# ---- mistakes


def _syntax(text: str, error: Any) -> _Mistake:
    token = getattr(error, "token", None)
    if token is None:
        if "reserved" in str(error.message):
            return _Mistake(_said(error))
        return _Mistake("it ends before it is complete", len(text))
    shown = str(token.value).split("\n", maxsplit=1)[0][:20]
    hint = "; == compares" if text[token.lexpos : token.lexpos + 1] == "=" else ""
    if shown[:1] in {'"', "'"} and "illegal" in str(error.message):
        hint = "; the quote is not closed"
    return _Mistake(f"{shown!r} cannot stand here{hint}", token.lexpos)


def _place_of_value(text: str, error: Any) -> int:
    value = getattr(error, "value", None)
    return text.find(value) if isinstance(value, str) and value else -1


def _said(error: Any) -> str:
    words = str(error.message)
    value = getattr(error, "value", None)
    return f"{words}: {value}" if isinstance(value, str) and value else words


def _mismatch(error: Any) -> _Mistake:
    """Say what does not go together, from where the library found that out."""
    frame, sides = error.__traceback__, list[Any]()
    while frame is not None:
        node = frame.tb_frame.f_locals.get("self")
        if hasattr(node, "left") and hasattr(node, "right"):
            sides = [node.left, node.right]
        else:
            inner = frame.tb_frame.f_locals
            if "left" in inner and "right" in inner and hasattr(node, "_evaluator"):
                sides = [inner["left"], inner["right"]]
        frame = frame.tb_next
    return _of_sides(*sides) if len(sides) == len("lr") else _Mistake(_said(error))


def _of_sides(left: Any, right: Any) -> _Mistake:
    column = next((c for c in (_first(left), _first(right)) if c >= 0), -1)
    kinds = left.result_type.name, right.result_type.name
    one, other = (IN_WORDS.get(kind, kind.lower()) for kind in kinds)
    hint = HINTS.get(kinds) or HINTS.get(kinds[::-1]) or ""
    told = f"; {hint}" if hint else ""
    words = f"{_shown(left)} is {one} and {_shown(right)} is {other}{told}"
    if one == other:
        words = f"{_shown(left)} is {one}, of which this cannot be asked"
    return _Mistake(words, column)


def _first(node: Any) -> int:
    """Return the column of the first field in a part of an expression."""
    if hasattr(node, "name"):
        return _column(node.name)
    parts = (getattr(node, each, None) for each in ("left", "right", "member"))
    return next((c for part in parts if part and (c := _first(part)) >= 0), -1)


def _shown(node: Any) -> str:
    if hasattr(node, "name"):
        return _plain(node.name)
    value = getattr(node, "value", None)
    if isinstance(value, str):
        return f'"{value}"'
    return "that" if value is None or isinstance(value, tuple) else str(value)


def _check(node: Any, known: Mapping[str, Field]) -> None:
    """Refuse a comparison that can never be true, which the library allows."""
    left, right = node.left, node.right
    kinds = {left.result_type.name, right.result_type.name}
    if len(kinds) > 1 and not kinds & {"NULL", "UNDEFINED"}:
        raise _of_sides(left, right)
    if node.type in {"eq", "ne"}:
        for field, value in ((left, right), (right, left)):
            _check_word(field, value, known)


def _check_members(node: Any, known: Mapping[str, Field], ast: Any) -> None:
    container = node.container
    if not isinstance(container, (ast.ArrayExpression, ast.SetExpression)):
        return
    for each in container.value:
        kinds = {node.member.result_type.name, each.result_type.name}
        if len(kinds) > 1 and not kinds & {"NULL", "UNDEFINED"}:
            raise _of_sides(node.member, each)
        _check_word(node.member, each, known)


def _check_word(field: Any, value: Any, known: Mapping[str, Field]) -> None:
    """Refuse a word that the field never has."""
    plain = _plain(getattr(field, "name", ""))
    text = getattr(value, "value", None)
    if plain not in known or not isinstance(text, str):
        return
    words = known[plain].words
    if words and text not in words:
        told = f'{plain} is never "{text}", but one of {", ".join(words)}'
        raise _Mistake(told, _column(field.name))
    if plain == "symbol" and text != text.strip().upper():
        told = f'a symbol stands in capitals: "{text.strip().upper()}"'
        raise _Mistake(told, _column(field.name))
