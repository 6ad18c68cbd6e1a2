"""Which spool file belongs to which database: found, set aside, adopted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import attrs

from bzredis.backlog.spool import NOTHING, Spool
from bzredis.errors import SpoolFull, SpoolUnusable


def set_aside(path: Path, why: str) -> Path:
    """Rename a spool file with its companions, so that a new one can take its place."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.{why}-{number}.sqlite3")).exists():
        number += 1
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


@attrs.define
class SpoolFolder:
    """The spool files of one state folder. `target` names a prefix and a database.

    Which database really stands behind an address, only a marker in it tells. So the
    file is found by the address first, and `claim` corrects that.
    """

    folder: Path
    target: str
    limit: int

    def open(self) -> tuple[Spool, str]:
        """Open the target's spool; also return what a person should know, or ""."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path()
        try:
            return Spool.open(path, self.limit), ""
        except SpoolUnusable as error:
            aside = set_aside(path, "damaged")
            return Spool.open(path, self.limit), f"{error}; set aside as {aside.name}"

    def claim(
        self,
        spool: Spool,
        marker: str,
        since: dict[str, int],
        found: Mapping[str, str] = NOTHING,
    ) -> Spool:
        """Return the spool of the database that has this marker.

        `since` is each stream's last number from before this process, and `found` what
        was noted then: what came later belongs to the database in any case, what came
        before only if it is the same.
        """
        if spool.note("marker") not in ("", marker):
            spool.close()
            aside = set_aside(spool.path, "other-redis")
            old = Spool.open(aside, self.limit)
            spool = Spool.open(spool.path, self.limit)
            for stream in old.streams():
                old.move_to(spool, stream, since.get(stream, -1))
            with suppress(SpoolFull):  # then more is open there than has to be
                old.append("", (), found)
            old.close()
        if not spool.note("marker"):
            with suppress(SpoolFull):  # then the next start will know it
                spool.note("marker", marker)
        for path in sorted(self.folder.glob("*.sqlite3")):
            if path != spool.path and "damaged" not in path.name:
                self._adopt(spool, path, marker)
        return spool

    def _adopt(self, spool: Spool, path: Path, marker: str) -> None:
        """Take over what the same database was owed under another address."""
        try:
            elder = Spool.open(path, self.limit)
        except (SpoolFull, SpoolUnusable):
            return
        adopted = False
        if elder.note("marker") == marker:
            with suppress(SpoolFull):  # then the next start will try again
                spool.adopt(elder)
                adopted = True
        elder.close()
        if adopted:
            path.unlink()

    def _path(self) -> Path:
        name = blake2b(self.target.encode(), digest_size=8).hexdigest()
        return self.folder / f"{name}.sqlite3"
