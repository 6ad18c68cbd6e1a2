"""The one module that knows sqlite3: what Redis has not confirmed, safe on disk.

One file for one prefix in one Redis database; in it, per stream, numbered changes in
the order in which they were read. Blocking: the backlog calls it in a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Final

import attrs

from bzredis.backlog import notes
from bzredis.changes.read import renewed
from bzredis.errors import SpoolFull, SpoolLocked, SpoolUnusable

Row = tuple[int, bytes]  # a change's number and its packed form

FORMAT: Final = "2"  # of the file; another one is set aside, not misread, …
BEFORE: Final = "1"  # … but for this one: its changes are packed anew
# s to wait for another process that holds the file's lock, a backup say. The backlog
# tries again anyway, and a stop, which has 5 s in all, makes several calls in turn.
BUSY: Final = 0.05
OPENING: Final = 2.0  # … where nobody tries again: at the start, and between two files
# Pages that a drained spool leaves behind are given back once they are worth it.
SHRINK: Final = 16 * 2**20
_LOCKED: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
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
_BEFORE_ALL: Final = -(2**62)
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_INSERT: Final = "INSERT OR REPLACE INTO item VALUES (?, ?, ?)"
_NOTE: Final = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
_ROWS: Final = (
    "SELECT number, packed FROM item WHERE stream = ? AND number > ?"
    " ORDER BY number LIMIT ?"
)
_DELETE: Final = "DELETE FROM item WHERE stream = ? AND number <= ?"
_TOTAL: Final = "SELECT coalesce(sum(length(packed)), 0) FROM item"
_SIZE: Final = (
    "SELECT count(*), coalesce(sum(length(packed)), 0) FROM item"
    " WHERE stream = ? AND number > ? AND number <= ?"
)


@attrs.frozen
class Span:
    """What a spool holds of one stream: how many changes, and the last one's number."""

    count: int
    last: int


@attrs.define
class Spool:
    """An open spool file. Raises SpoolFull where the disk or the limit is full.

    Or SpoolLocked, while another process holds its lock.
    """

    path: Path
    limit: int  # bytes of packed changes
    _db: sqlite3.Connection = attrs.field(repr=False)
    _lock: Lock = attrs.field(factory=Lock, repr=False)
    _bytes: int = 0
    # Per stream, up to which number changes are done with that could not be removed.
    _done: dict[str, int] = attrs.field(factory=dict)

    @classmethod
    def open(cls, path: Path, limit: int) -> Spool:
        """Open or make the file; raises SpoolUnusable where it is damaged."""
        try:
            db = sqlite3.connect(
                path, timeout=OPENING, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            msg = f"{path}: {error}"
            raise SpoolUnusable(msg) from None
        with ExitStack() as on_failure:
            on_failure.callback(db.close)
            with _translated(path):
                db.executescript(_SCHEMA)
                spool = cls(path, limit, db)
                spool._check()
                _wait(db, BUSY)
            on_failure.pop_all()
        return spool

    def _check(self) -> None:
        [verdict] = self._db.execute("PRAGMA quick_check(1)").fetchone()
        known = self.note("format") or self.note("format", FORMAT)
        if verdict == "ok" and known == BEFORE:
            known = self._renew()
        if verdict != "ok" or known != FORMAT:
            msg = f"{self.path}: {verdict}, format {known}"
            raise SpoolUnusable(msg)
        [self._bytes] = self._db.execute(_TOTAL).fetchone()

    def _renew(self) -> str:
        """Bring an older file into today's format, or leave it as it is."""
        self._db.create_function("renewed", 1, renewed)
        with _transaction(self._db):
            self._db.execute("UPDATE item SET packed = renewed(packed)")
            return self.note("format", FORMAT)

    def note(self, name: str, value: str | None = None) -> str:
        """Return what was noted under a name, "" if nothing; note `value` if given."""
        with self._lock, _translated(self.path):
            if value is not None:
                self._db.execute(_NOTE, (name, value))
                return value
            sql = "SELECT value FROM meta WHERE name = ?"
            row = self._db.execute(sql, (name,)).fetchone()
            return str(row[0]) if row else ""

    def append(
        self, stream: str, rows: Sequence[Row], notes: Mapping[str, str] = NOTHING
    ) -> None:
        """Add changes at the end, and note values under names; all of it, or none."""
        size = sum(len(packed) for _, packed in rows)
        with self._lock, _translated(self.path), _transaction(self._db):
            if rows and self._bytes + size > self.limit:
                msg = f"{self.path} holds its limit of {self.limit} bytes"
                raise SpoolFull(msg)
            self._db.executemany(_INSERT, ((stream, *row) for row in rows))
            self._db.executemany(_NOTE, notes.items())
            self._bytes += size

    def oldest(self, stream: str, limit: int) -> list[Row]:
        """Return the oldest changes of a stream, `limit` at the most."""
        with self._lock, _translated(self.path):
            after = self._done.get(stream, _BEFORE_ALL)
            return self._db.execute(_ROWS, (stream, after, limit)).fetchall()

    def remove(self, stream: str, last: int) -> int:
        """Remove a stream's changes up to number `last`; return how many they were.

        A full disk may not even allow that. Then they are out of sight until it does,
        or come again after a restart; Redis knows them.
        """
        with self._lock, _translated(self.path):
            first = self._done.get(stream, _BEFORE_ALL)
            count, size = self._db.execute(_SIZE, (stream, first, last)).fetchone()
            try:
                self._db.execute(_DELETE, (stream, last))
                self._done.pop(stream, None)
            except sqlite3.OperationalError:
                self._done[stream] = last
            self._bytes -= size
        if count and not self._bytes:
            with suppress(SpoolFull):
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
        with self._lock, _translated(self.path), _patience(self._db):
            other.put_in(stream, self._db.execute(_ROWS, (stream, after, -1)))
            self._db.execute("DELETE FROM item WHERE stream = ? AND number > ?",
                             (stream, after))  # fmt: skip

    def adopt(self, elder: Spool) -> None:
        """Put all of another spool's changes in front of what is here, with its notes.

        All of it, or none.
        """
        own, theirs = self._all_notes(), elder._all_notes()
        shifts: dict[str, int] = {}
        news: dict[str, str] = {}
        for stream in {*elder.streams(), *notes.streams(theirs)}:
            here, there = self._numbers(stream), elder._numbers(stream)
            shifts[stream] = by = here.start - there.stop
            if not here:
                own[notes.ENTRY + stream] = own[notes.EARLIEST + stream] = ""
            news |= notes.adopted(stream, own, theirs, there, by)
        db = self._db
        with self._lock, _translated(self.path), _patience(db), _transaction(db):
            for stream, by in shifts.items():
                rows = elder._db.execute(_ROWS, (stream, _BEFORE_ALL, -1))
                shifted = ((stream, number + by, packed) for number, packed in rows)
                db.executemany(_INSERT, shifted)
            db.executemany(_NOTE, news.items())
            [self._bytes] = db.execute(_TOTAL).fetchone()

    def _all_notes(self) -> dict[str, str]:
        with self._lock, _translated(self.path):
            return dict(self._db.execute("SELECT name, value FROM meta").fetchall())

    def _numbers(self, stream: str) -> range:
        sql = "SELECT min(number), max(number) FROM item WHERE stream = ?"
        with self._lock, _translated(self.path):
            first, last = self._db.execute(sql, (stream,)).fetchone()
        return range(0) if first is None else range(first, last + 1)

    def put_in(self, stream: str, rows: Iterable[Row]) -> None:
        """Add changes from another file: on disk already, so beyond the limit too."""
        db = self._db
        with self._lock, _translated(self.path), _patience(db), _transaction(db):
            db.executemany(_INSERT, ((stream, *row) for row in rows))
            [self._bytes] = db.execute(_TOTAL).fetchone()

    def _shrink(self) -> None:
        with self._lock, _translated(self.path):
            [pages] = self._db.execute("PRAGMA page_count").fetchone()
            [size] = self._db.execute("PRAGMA page_size").fetchone()
            if pages * size > SHRINK:
                self._db.execute("VACUUM")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _wait(db: sqlite3.Connection, seconds: float) -> None:
    db.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")


@contextmanager
def _patience(db: sqlite3.Connection) -> Iterator[None]:
    _wait(db, OPENING)
    try:
        yield
    finally:
        _wait(db, BUSY)


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
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED:  # the rest: details
            msg = f"{path} is locked by another process, a backup or an sqlite3 shell"
            raise SpoolLocked(msg) from None
        words = str(error)
        msg = f"{path}: {words}"
        if any(word in words for word in _DAMAGED):
            raise SpoolUnusable(msg) from None
        raise SpoolFull(msg) from None
