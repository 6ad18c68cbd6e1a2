"""All streams that the contract's tests are about: ours, and a package's."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Final

import pytest

import bzredis
from bzredis.streams import STREAMS, Stream, installed
from bzredis.streams.bulls_bears import BULLS_BEARS
from bzredis.streams.earnings import EARNINGS
from bzredis.streams.installed import GROUP
from bzredis.streams.rules import broken, guarded

EXAMPLE: Final = (
    Path(bzredis.__file__).parent.parent / "scripts" / "examples" / "bzredis-guidance"
)
MODULE: Final = EXAMPLE / "bzredis_guidance.py"


def _of_the_example() -> Stream:
    spec = spec_from_file_location(MODULE.stem, MODULE)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules[MODULE.stem] = module  # attrs looks there
    spec.loader.exec_module(module)
    found: Stream = module.GUIDANCE
    assert not broken(found)
    return guarded(found)


GUIDANCE: Final = _of_the_example()
FURTHER: Final = (EARNINGS, BULLS_BEARS, GUIDANCE)
EVERY: Final = (*STREAMS, *FURTHER)
NAMES: Final = tuple(stream.name for stream in EVERY)
OF_EACH: Final = pytest.mark.parametrize("stream", EVERY, ids=NAMES)
OF_EACH_FURTHER: Final = pytest.mark.parametrize(
    "stream", FURTHER, ids=lambda stream: stream.name
)


def entry_points() -> Mapping[str, str]:
    """Return what the example's package says that it offers."""
    said = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    found: dict[str, str] = said["project"]["entry-points"][GROUP]
    return found


def offer(
    folder: Path, package: str, points: Mapping[str, str], code: str = ""
) -> None:
    """Lay a package into a folder, as an installer would."""
    (folder / f"{package.replace('-', '_')}.py").write_text(code)
    about = folder / f"{package.replace('-', '_')}-1.2.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n"
    )
    lines = [f"{name} = {value}" for name, value in points.items()]
    (about / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))


@contextmanager
def offered(folder: Path) -> Iterator[Path]:
    """Have packages found in a folder, in this process."""
    before = {*sys.modules}
    sys.path.insert(0, str(folder))
    installed.stream.cache_clear()
    try:
        yield folder
    finally:
        sys.path.remove(str(folder))
        installed.stream.cache_clear()
        for name in {*sys.modules} - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]
