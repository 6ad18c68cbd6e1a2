"""The one module that knows sqlite3: what Redis has not confirmed, safe on disk.

One file for one prefix in one Redis database; in it, per stream, numbered changes in
the order in which they were read. Blocking: the backlog calls it in a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Final

import attrs

from bzredis.errors import SpoolFull, SpoolUnusable

Row = tuple[int, bytes]  # a change's number and its packed form

FORMAT: Final = 1  # of the file; another one is set aside, not misread
BUSY: Final = 2.0  # s to wait for another process that has the file open, a reader say
# Pages that a drained spool leaves behind are given back once they are worth it.
SHRINK: Final = 16 * 2**20
_DAMAGED = ("malformed", "not a database", "corrupt", "disk image", "no such table")
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL; -- a commit survives the power, not only the process
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS item (
  stream TEXT NOT NULL, number INTEGER NOT NULL, packed BLOB NOT NULL,
  PRIMARY KEY (stream, number)
);
"""


@attrs.frozen
class Span:
    """What the spool holds of one stream: so many changes, and the last one's number."""

    count: int
    last: int


@attrs.define
class Spool:
    """An open spool file. Raises SpoolFull where the disk or the limit is full."""

    path: Path
    limit: int  # bytes of packed changes
    _db: sqlite3.Connection = attrs.field(repr=False)
    _lock: Lock = attrs.field(factory=Lock, repr=False)
    _bytes: int = 0

    @classmethod
    def open(cls, path: Path, limit: int) -> Spool:
        """Open or make the file; raises SpoolUnusable where it is damaged."""
        try:
            db = sqlite3.connect(
                path, timeout=BUSY, isolation_level=None, check_same_thread=False
            )
            with _translated(path):
                db.executescript(_SCHEMA)
                spool = cls(path, limit, db)
                spool._check()
        except sqlite3.Error as error:
            msg = f"{path}: {error}"
            raise SpoolUnusable(msg) from None
        return spool

    def _check(self) -> None:
        [verdict] = self._db.execute("PRAGMA quick_check(1)").fetchone()
        known = self.note("format") or str(FORMAT)
        if verdict != "ok" or known != str(FORMAT):
            msg = f"{self.path}: {verdict}, format {known}"
            raise SpoolUnusable(msg)
        self.note("format", str(FORMAT))
        total = "SELECT coalesce(sum(length(packed)), 0) FROM item"
        [self._bytes] = self._db.execute(total).fetchone()

    def note(self, name: str, value: str | None = None) -> str:
        """Return what was noted under a name, "" if nothing; note `value` if given."""
        with self._lock, _translated(self.path):
            if value is not None:
                sql = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
                self._db.execute(sql, (name, value))
                return value
            sql = "SELECT value FROM meta WHERE name = ?"
            row = self._db.execute(sql, (name,)).fetchone()
            return str(row[0]) if row else ""

    def append(self, stream: str, rows: Sequence[Row]) -> None:
        """Add changes at the end; all of them, or none."""
        size = sum(len(packed) for _, packed in rows)
        if self._bytes + size > self.limit:
            msg = f"{self.path} holds its limit of {self.limit} bytes"
            raise SpoolFull(msg)
        sql = "INSERT OR REPLACE INTO item VALUES (?, ?, ?)"
        with self._lock, _translated(self.path), _transaction(self._db):
            self._db.executemany(sql, ((stream, *row) for row in rows))
        self._bytes += size

    def oldest(self, stream: str, limit: int) -> list[Row]:
        """Return the oldest changes of a stream, `limit` at the most."""
        sql = "SELECT number, packed FROM item WHERE stream = ? ORDER BY number LIMIT ?"
        with self._lock, _translated(self.path):
            return self._db.execute(sql, (stream, limit)).fetchall()

    def remove(self, stream: str, last: int) -> int:
        """Remove a stream's changes up to number `last`; return how many they were."""
        which = "FROM item WHERE stream = ? AND number <= ?"
        with self._lock, _translated(self.path), _transaction(self._db):
            sql = f"SELECT count(*), coalesce(sum(length(packed)), 0) {which}"  # noqa: S608 - no outside text in it
            count, size = self._db.execute(sql, (stream, last)).fetchone()
            self._db.execute(f"DELETE {which}", (stream, last))
        self._bytes -= size
        if count and not self._bytes:
            self._shrink()
        return int(count)

    def span(self, stream: str) -> Span:
        """Return how many changes of a stream are here, and the number of the last."""
        sql = "SELECT count(*), coalesce(max(number), -1) FROM item WHERE stream = ?"
        with self._lock, _translated(self.path):
            return Span(*self._db.execute(sql, (stream,)).fetchone())

    def streams(self) -> tuple[str, ...]:
        """Return the names of the streams of which something is here."""
        with self._lock, _translated(self.path):
            rows = self._db.execute("SELECT DISTINCT stream FROM item").fetchall()
        return tuple(row[0] for row in rows)

    @property
    def room(self) -> int:
        """Bytes of packed changes that still fit under the limit."""
        return max(0, self.limit - self._bytes)

    def close(self) -> None:
        """Close the file; nothing is lost."""
        with self._lock:
            self._db.close()

    def move_to(self, other: Spool, stream: str, after: int) -> None:
        """Move a stream's changes above number `after` to the end of another spool."""
        sql = "SELECT number, packed FROM item WHERE stream = ? AND number > ?"
        with self._lock, _translated(self.path):
            rows = self._db.execute(sql, (stream, after)).fetchall()
        other.append(stream, rows)
        with self._lock, _translated(self.path):
            sql = "DELETE FROM item WHERE stream = ? AND number > ?"
            self._db.execute(sql, (stream, after))

    def adopt(self, elder: Spool) -> None:
        """Put all of another spool's changes in front of what is here."""
        for stream in elder.streams():
            rows = elder.oldest(stream, -1)
            sql = "SELECT coalesce(min(number), 0) FROM item WHERE stream = ?"
            with self._lock, _translated(self.path):
                [first] = self._db.execute(sql, (stream,)).fetchone()
            first -= len(rows)
            self.append(stream, [(first + i, row[1]) for i, row in enumerate(rows)])

    def _shrink(self) -> None:
        with self._lock, _translated(self.path):
            [pages] = self._db.execute("PRAGMA page_count").fetchone()
            [size] = self._db.execute("PRAGMA page_size").fetchone()
            if pages * size > SHRINK:
                self._db.execute("VACUUM")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        words = str(error)
        msg = f"{path}: {words}"
        if any(word in words for word in _DAMAGED):
            raise SpoolUnusable(msg) from None
        raise SpoolFull(msg) from None


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

    def claim(self, spool: Spool, marker: str, since: dict[str, int]) -> Spool:
        """Return the spool of the database that has this marker.

        `since` is each stream's last number from before this process: what came later
        belongs to the database in any case, what came before only if it is the same.
        """
        if spool.note("marker") not in ("", marker):
            spool.close()
            aside = set_aside(spool.path, "other-redis")
            old = Spool.open(aside, self.limit)
            spool = Spool.open(spool.path, self.limit)
            for stream in old.streams():
                old.move_to(spool, stream, since.get(stream, -1))
            old.close()
        spool.note("marker", marker)
        for path in sorted(self.folder.glob("*.sqlite3")):
            if path != spool.path and "damaged" not in path.name:
                self._adopt(spool, path, marker)
        return spool

    def _adopt(self, spool: Spool, path: Path, marker: str) -> None:
        """Take over what the same database was owed under another address."""
        try:
            elder = Spool.open(path, self.limit)
        except SpoolUnusable:
            return
        owed = elder.note("marker") == marker
        if owed:
            spool.adopt(elder)
        elder.close()
        if owed:
            path.unlink()

    def _path(self) -> Path:
        name = blake2b(self.target.encode(), digest_size=8).hexdigest()
        return self.folder / f"{name}.sqlite3"
