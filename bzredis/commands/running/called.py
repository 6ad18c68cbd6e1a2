"""What a person has to type to run us: `bzredis` where it is installed.

Hints are written as if it were; each way out to people has them say what works here.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bzredis.settings.file import APP

CALLED = "BRIDGE_COMMAND"  # in it scripts/bridge says how it was called
EXAMPLE: Final = re.compile(rf"^( +){APP} ", re.MULTILINE)  # in the help of a command


def program() -> list[str]:
    """Return what a person has to type to run us, from here."""
    if called := os.environ.get(CALLED, ""):
        return [called]
    typed = Path(sys.argv[0])
    if shutil.which(APP) or typed.name not in {APP, "__main__.py"}:
        return [APP]
    return [str(typed)] if typed.name == APP else [sys.executable, "-m", APP]


def shown() -> str:
    """Return the same as a shell takes it."""
    return shlex.join(program())


def typed(words: str) -> str:
    """Return words in which each `bzredis …` is what a person has to type from here.

    And each `pip install …` what installs it where we are.
    """
    words = words.replace(f"`{APP} ", f"`{shown()} ")
    return words.replace("`pip install ", f"`{shlex.join(installer())} ")


def installer() -> list[str]:
    """Return what installs libraries beside us: an environment of uv has no pip."""
    if find_spec("pip"):
        return [sys.executable, "-m", "pip", "install"]
    return ["uv", "pip", "install", "--python", sys.executable]


def examples(words: str) -> str:
    """Return the help of a command, its lines of examples as one types them here."""
    return EXAMPLE.sub(lambda found: f"{found[1]}{shown()} ", typed(words))
