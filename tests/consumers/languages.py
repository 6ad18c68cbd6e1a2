"""The languages of `scripts/consumers`: how each is run, and what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import attrs

FOLDER: Final = Path(__file__).parents[2] / "scripts" / "consumers"
GO: Final = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
PATIENCE: Final = 120  # s; for a compiler that starts with nothing in its cache


@attrs.frozen
class Language:
    """One consumer: `needs` succeeds in a shell where all is there to run it."""

    file: str
    needs: str
    command: tuple[str, ...] = ()  # goes before the file, or the program that was built
    build: tuple[str, ...] = ()  # OUT stands for the program
    environment: Mapping[str, str] = attrs.field(factory=dict)

    def ready(self, folder: Path) -> list[str]:
        """Return the command to run it with, built in `folder` where it has to be."""
        if not self.build:
            return [*self.command, str(FOLDER / self.file)]
        program = str(folder / "consumer")
        command = [program if each == "OUT" else each for each in self.build]
        subprocess.run(command, cwd=FOLDER, env=self.surroundings(), check=True)
        return [program]

    def surroundings(self) -> dict[str, str]:
        """Return the environment of a service: no locale, nothing of the tests."""
        kept = {name: os.environ.get(name, "/") for name in ("PATH", "HOME")}
        return {**kept, "LC_ALL": "C", **self.environment}


LANGUAGES: Final = {
    "shell": Language(
        "consumer.sh", "redis-cli --help 2>&1 | grep -qe --json && jq -h"
    ),
    "node": Language("consumer.js", """node -e 'require("redis")'""", ("node",)),
    "php": Language("consumer.php", """php -r 'new Redis();'""", ("php",)),
    "ruby": Language("consumer.rb", """ruby -e 'require "redis"'""", ("ruby",)),
    "perl": Language("consumer.pl", "perl -MRedis -e 1", ("perl",)),
    "lua": Language("consumer.lua", """lua5.3 -e 'require "redis"'""", ("lua5.3",)),
    "go": Language(
        "consumer.go",
        "go list github.com/gomodule/redigo/redis",
        build=("go", "build", "-o", "OUT", "consumer.go"),
        environment=GO,
    ),
    "c": Language(
        "consumer.c",
        "echo '#include <hiredis/hiredis.h>' | cc -E -",
        build=("cc", "-Wall", "-Werror", "-o", "OUT", "consumer.c", "-lhiredis", "-lm"),
    ),
    "python": Language("consumer.py", ":", (sys.executable,)),
}


@cache
def is_here(name: str) -> bool:
    language = LANGUAGES[name]
    return not subprocess.run(
        ["/bin/sh", "-c", language.needs],
        cwd=FOLDER,
        env=language.surroundings(),
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    ).returncode
