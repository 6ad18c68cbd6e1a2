"""From loose JSON to a stream's attrs model, through cattrs.

Upstream leaves fields out, writes "" for null and numbers as strings or bare, so every
field of a model is text with a default. Fields that no model names survive elsewhere:
the hash is made of the content itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs
from cattrs import Converter, transform_error
from cattrs.errors import ClassValidationError, IterableValidationError

from bzredis.errors import Unusable
from bzredis.messages.envelope import Json, text

M = TypeVar("M", bound=attrs.AttrsInstance)


_FAST = Converter(detailed_validation=False)
_TELLING = Converter(detailed_validation=True)  # slower, but says which field was wrong
for _converter in (_FAST, _TELLING):
    _converter.register_structure_hook(str, text)


def reader(model: type[M]) -> Callable[[Json], M]:
    """Return a function from content to `model`; it raises Unusable in words."""
    structure = _FAST.get_structure_hook(model)

    def read(content: Json) -> M:
        try:
            made: M = structure(content, model)
        except (TypeError, ValueError, KeyError, AttributeError):
            raise Unusable(_reason(content, model)) from None
        return made

    return read


def _reason(content: Json, model: type[Any]) -> str:
    try:
        _TELLING.structure(content, model)
    except (ClassValidationError, IterableValidationError) as group:
        return "; ".join(transform_error(group, path="content", format_exception=_say))
    return f"not a {model.__name__}"


def _say(error: BaseException, _: type | None) -> str:
    words = str(error)
    return words if words.startswith("expected") else "expected an object"
