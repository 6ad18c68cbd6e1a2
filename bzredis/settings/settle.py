"""What counts of what was said: flags before variables before the file.

Pure: who calls has read the file, and hands over the variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from bzredis.errors import ConfigError
from bzredis.settings.config import (
    OPTIONS,
    REACTIONS,
    TOKEN_VARIABLE,
    VARIABLES,
    Config,
    Token,
)
from bzredis.settings.names import is_a_tokens, meant, refuse_unknown
from bzredis.settings.options import Option

_FLAGS = {flag for each in OPTIONS for flag in (each.flag, f"--no-{each.name}")}
_TOKEN_FILE = next(option for option in OPTIONS if option.field == "token")

Kind = Literal["flag", "variable", "file", "default"]


@attrs.frozen
class _Given:
    """A value as it was given, and where: what an error about it begins with."""

    source: str
    value: object = attrs.field(repr=False)
    kind: Kind

    @property
    def is_variable(self) -> bool:
        return self.kind == "variable"


@attrs.frozen
class Setting:
    """What is in force of an option, and who said so."""

    option: Option
    value: Any
    kind: Kind = "default"
    source: str = ""  # the flag, the variable, or the file and its key
    passed_over: tuple[str, ...] = ()  # who said it too, and comes after that one


def configure(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    toml: Mapping[str, object],
    **more: Any,
) -> Config:
    """Return the configuration; for all else see `settle`."""
    found = settle(flags, environ, toml, **more)
    return Config(**{each.option.field: each.value for each in found})


def settle(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    toml: Mapping[str, object],
    *,
    file: str = "the configuration file",
    state_dir: Path | None = None,
) -> tuple[Setting, ...]:
    """Return all settings: flags before variables before the TOML `file`.

    `flags` are by key (`no_replay`); None and () are flags that were not given.
    `state_dir` is this machine's default. Raises ConfigError: one line that names the
    option and where it came from. No file is read, not even the token's.
    """
    refuse_unknown(environ, VARIABLES, TOKEN_VARIABLE)
    settings = _settings(toml, file)
    defaults = {each.name: each.default for each in attrs.fields(Config)}
    if state_dir is not None:
        defaults["state_dir"] = state_dir
    found = []
    for option in OPTIONS:
        flag = flags.get(option.key)
        given = [] if flag in (None, ()) else [_Given(option.flag, flag, "flag")]
        names = [option.variable, *option.variables]
        if option is _TOKEN_FILE:
            names.append(TOKEN_VARIABLE)
        given += [
            _Given(name, environ[name], "variable") for name in names if name in environ
        ]
        given += settings.get(option.key, [])
        if option is _TOKEN_FILE:
            found.append(_setting_of_token(option, given))
        elif given:  # what comes first goes before the rest
            first, *others = given
            value, after = _read(first, option), tuple(each.source for each in others)
            found.append(Setting(option, value, first.kind, first.source, after))
        else:
            found.append(Setting(option, defaults[option.field]))
    return tuple(found)


def _read(given: _Given, option: Option) -> Any:
    if given.kind == "flag":  # click takes whatever stands there
        values = given.value if isinstance(given.value, tuple) else (given.value,)
        for name in (str(each).partition("=")[0] for each in values):
            if name in _FLAGS:
                raise ConfigError(f"{given.source}: its value is missing before {name}")
    try:
        return option.form.read(given.value)
    except ValueError as error:
        raise ConfigError(f"{given.source}: {error}") from None


def _setting_of_token(option: Option, given: list[_Given]) -> Setting:
    token = _token(given)
    if token is None:
        return Setting(option, None)
    [kind] = {each.kind for each in given if each.source == token.source}
    others = [each for each in given if each.source != token.source]
    after = tuple(each.source for each in others if str(each.value).strip())
    return Setting(option, token, kind, token.source, after)


def _token(given: list[_Given]) -> Token | None:
    """Return where the token stands; who uses it will see whether it is one."""
    # Container tools write variables without a value.
    told = [each for each in given if not each.is_variable or str(each.value).strip()]
    if not told:
        empty = any(each.source == TOKEN_VARIABLE for each in given)
        return Token(TOKEN_VARIABLE) if empty else None
    first = told[0]
    rivals = [each for each in told if each.is_variable and first.is_variable]
    if len({str(each.value) for each in rivals}) > 1:
        names = " and ".join(each.source for each in rivals)
        raise ConfigError(f"{names} are set, and only one can be meant")
    if first.source == TOKEN_VARIABLE:
        return Token(TOKEN_VARIABLE, str(first.value))
    return Token(first.source, path=_read(first, _TOKEN_FILE))


def _settings(toml: Mapping[str, object], file: str) -> dict[str, list[_Given]]:
    """Return the TOML values by key; refuse those that nobody would read."""
    known = {option.key: option.name for option in OPTIONS}
    settings: dict[str, list[_Given]] = {}
    for name, value in toml.items():
        if name == REACTIONS:
            continue
        key, source = name.replace("-", "_"), f"{file}: {name}"
        if key not in known and is_a_tokens(key):
            raise ConfigError(
                f"{source}: a token has no place among settings, which get shown and"
                f" copied; set {TOKEN_VARIABLE}, or {_TOKEN_FILE.name} to its file"
            )
        if key not in known:
            hint = meant(key, [*known.values(), REACTIONS])
            if isinstance(value, dict):
                hint = "; options stand at the top of the file, in no [table]"
            raise ConfigError(f"{source}: there is no such option{hint}")
        if key in settings:
            raise ConfigError(f"{source}: stands there twice")
        settings[key] = [_Given(source, value, "file")]
    return settings
