"""What is wrong with an expression, in words for whoever wrote it. Pure.

It looks at rule-engine's tree of an expression, whose names have their places in them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from bzredis.streams.field import Field

# Each name is given its place, so that it can be told: the library says it of few.
MARK: Final = "__at"
MARKED: Final = re.compile(rf"(\w+?){MARK}(\d+)")
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


class Mistake(Exception):
    def __init__(self, words: str, column: int = -1) -> None:
        super().__init__(words)
        self.column = column


def plain(name: str) -> str:
    return MARKED.sub(r"\1", name)


def _column(name: str) -> int:
    found = MARKED.fullmatch(name)
    return int(found[2]) if found else -1


def syntax(text: str, error: Any) -> Mistake:
    token = getattr(error, "token", None)
    if token is None:
        if "reserved" in str(error.message):
            return Mistake(said(error))
        return Mistake("it ends before it is complete", len(text))
    shown = str(token.value).split("\n", maxsplit=1)[0][:20]
    hint = "; == compares" if text[token.lexpos : token.lexpos + 1] == "=" else ""
    if shown[:1] in {'"', "'"} and "illegal" in str(error.message):
        hint = "; the quote is not closed"
    return Mistake(f"{shown!r} cannot stand here{hint}", token.lexpos)


def place_of_value(text: str, error: Any) -> int:
    value = getattr(error, "value", None)
    return text.find(value) if isinstance(value, str) and value else -1


def said(error: Any) -> str:
    words = str(error.message)
    value = getattr(error, "value", None)
    return f"{words}: {value}" if isinstance(value, str) and value else words


def mismatch(error: Any) -> Mistake:
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
    return _of_sides(*sides) if len(sides) == len("lr") else Mistake(said(error))


def _of_sides(left: Any, right: Any) -> Mistake:
    column = next((c for c in (_first(left), _first(right)) if c >= 0), -1)
    kinds = left.result_type.name, right.result_type.name
    one, other = (IN_WORDS.get(kind, kind.lower()) for kind in kinds)
    hint = HINTS.get(kinds) or HINTS.get(kinds[::-1]) or ""
    told = f"; {hint}" if hint else ""
    words = f"{_shown(left)} is {one} and {_shown(right)} is {other}{told}"
    if one == other:
        words = f"{_shown(left)} is {one}, of which this cannot be asked"
    return Mistake(words, column)


def _first(node: Any) -> int:
    """Return the column of the first field in a part of an expression."""
    if hasattr(node, "name"):
        return _column(node.name)
    parts = (getattr(node, each, None) for each in ("left", "right", "member"))
    return next((c for part in parts if part and (c := _first(part)) >= 0), -1)


def _shown(node: Any) -> str:
    if hasattr(node, "name"):
        return plain(node.name)
    value = getattr(node, "value", None)
    if isinstance(value, str):
        return f'"{value}"'
    return "that" if value is None or isinstance(value, tuple) else str(value)


def alone(node: Any, holder: Any) -> Mistake:
    told = f"{_shown(node)} alone is always true: compare it with a field"
    return Mistake(told, _first(holder))


def check(node: Any, known: Mapping[str, Field], ast: Any) -> None:
    """Refuse a comparison that can never be true, which the library allows."""
    if isinstance(node, ast.ComparisonExpression):
        _check_sides(node, known)
    elif isinstance(node, ast.ContainsExpression):
        _check_members(node, known, ast)


def _check_sides(node: Any, known: Mapping[str, Field]) -> None:
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
    name = plain(getattr(field, "name", ""))
    text = getattr(value, "value", None)
    if name not in known or not isinstance(text, str):
        return
    words = known[name].words
    if words and text not in words:
        told = f'{name} is never "{text}", but one of {", ".join(words)}'
        raise Mistake(told, _column(field.name))
    if name == "symbol" and text != text.strip().upper():
        told = f'a symbol stands in capitals: "{text.strip().upper()}"'
        raise Mistake(told, _column(field.name))
