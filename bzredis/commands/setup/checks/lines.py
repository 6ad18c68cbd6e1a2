"""What a check finds: a line for each precondition, and what they come to. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, Literal

import attrs

State = Literal["ok", "warning", "error", "skipped"]
# From well to ill: of two that are found under one name the worse one counts.
STATES: Final[tuple[State, ...]] = ("skipped", "ok", "warning", "error")
CODES: Final[dict[State, int]] = {"skipped": 0, "ok": 0, "warning": 1, "error": 2}
REDIS: Final = (
    *("redis", "version", "rights", "keys", "eviction", "persistence"),
    *("memory", "bridge"),
)
# In this order; what has no place here comes last.
SECTIONS: Final = {
    "Here": ("settings", "plugins", "token", "folder", "spool", "disk"),
    "Redis": REDIS,
    "Upstream": (),
}


@attrs.frozen
class Finding:
    """How one thing is, and what is to be done about it, if anything."""

    name: str
    state: State
    words: str
    todo: str = ""


@attrs.define
class Sheet:
    """All that was found so far."""

    _found: dict[str, Finding] = attrs.field(factory=dict)

    def add(self, finding: Finding) -> None:
        before = self._found.get(finding.name)
        if before is None or _ill(finding) > _ill(before):
            self._found[finding.name] = finding

    def sections(self) -> Iterator[tuple[str, list[Finding]]]:
        """Yield what was found, section by section."""
        placed = {name for names in SECTIONS.values() for name in names}
        for section, names in SECTIONS.items():
            found = [self._found[name] for name in names if name in self._found]
            if not names:
                found = [one for name, one in self._found.items() if name not in placed]
            yield section, found

    def __iter__(self) -> Iterator[Finding]:
        """Yield all of it in that order."""
        return (one for _, found in self.sections() for one in found)


def _ill(finding: Finding) -> int:
    return STATES.index(finding.state)


def code(findings: Collection[Finding]) -> int:
    """Return the exit code: 0 where all is well, 1 with warnings only, else 2."""
    return max((CODES[each.state] for each in findings), default=0)


def summary(
    findings: Collection[Finding], command: str, *, options: bool = False
) -> str:
    """Say in one line what it comes to.

    `command` starts the bridge, with the same `options` where some were given.
    """
    errors = sum(each.state == "error" for each in findings)
    warnings = sum(each.state == "warning" for each in findings)
    if errors:
        also = f", and {_things(warnings)} to look at" if warnings else ""
        return f"{_things(errors)} to mend before `{command}`{also}."
    if warnings:
        return f"{_things(warnings)} to look at before `{command}`."
    more = " and the same options" if options else ""
    return f"All is well: start it with `{command}`{more}."


def _things(number: int) -> str:
    return f"{number} thing{'' if number == 1 else 's'}"


def merged(findings: Collection[Finding]) -> Iterator[Finding]:
    """Yield the lines that people see: what was skipped for one reason is one line."""
    told = set[str]()
    for each in findings:
        if each.state != "skipped":
            yield each
        elif each.words not in told:
            told.add(each.words)
            alike = [
                one.name
                for one in findings
                if one.state == "skipped" and one.words == each.words
            ]
            if len(alike) == 1:
                yield each
            else:
                yield attrs.evolve(
                    each, name="", words=f"{', '.join(alike)}: {each.words}"
                )
