"""What a user has to be allowed: asked once, not in every batch."""

from __future__ import annotations

import re

from bzredis.store.script import lua, part, parts
from bzredis.streams import Stream

_USES = re.compile(r"^-- uses (.+)$", re.MULTILINE)


def commands(stream: Stream) -> tuple[str, ...]:
    """Return the commands that the parts say they use, a word a line.

    They change nothing as they stand; a key is ``:`` and its name after PREFIX:STREAM:.
    """
    used = (_USES.findall(lua(name)) for name in parts(stream))
    return tuple("\n".join(one.split()) for found in used for one in found)


def permissions() -> str:
    """Return the script that fails where one of these is not allowed."""
    return "\n".join((part("refusal", "refusal"), lua("permissions")))
