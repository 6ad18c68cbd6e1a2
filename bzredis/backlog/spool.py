"""The one module that knows sqlite3: what Redis has not confirmed, safe on disk.

A file for each prefix, database and upstream host; in it logs (ports.py), and their
numbered changes in the order in which they were read. Blocking.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from hashlib import blake2b
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Final

import attrs

from bzredis.errors import SpoolFull, SpoolLocked, SpoolUnusable
from bzredis.ports import Item, Log

FORMAT: Final = 4  # of file and changes (kinds.py); another is set aside, not misread
# s to wait for another process that holds the file's lock, a backup say. The backlog
# tries again anyway, and a stop, which has 5 s in all, makes several calls in turn.
BUSY: Final = 0.05
OPENING: Final = 2.0  # … but at the start, where nobody tries again
# Pages that a drained spool leaves behind are given back once they are worth it.
SHRINK: Final = 16 * 2**20
_LOCKED: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = ("malformed", "not a database", "corrupt", "disk image", "no such")
_SCHEMA: Final = f"""
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE target (name TEXT PRIMARY KEY);
CREATE TABLE followed (stream TEXT PRIMARY KEY, since INTEGER NOT NULL);
CREATE TABLE log (
  number INTEGER PRIMARY KEY, stream TEXT NOT NULL, id TEXT NOT NULL,
  subscription TEXT NOT NULL, back INTEGER NOT NULL, upstream TEXT NOT NULL,
  UNIQUE (stream, id)
);
CREATE TABLE item (
  log INTEGER NOT NULL, number INTEGER NOT NULL, packed BLOB NOT NULL,
  PRIMARY KEY (log, number)
);
PRAGMA user_version = {FORMAT};
COMMIT;
"""
# A commit survives the power, not only the process.
_MANNERS: Final = f"PRAGMA synchronous = FULL; PRAGMA busy_timeout = {BUSY * 1000:.0f};"
_FORGET_LOGS: Final = "DELETE FROM log WHERE number NOT IN (SELECT log FROM item)"
_BEFORE_ALL: Final = -1
_ADD_LOG: Final = (
    "INSERT OR IGNORE INTO log (stream, id, subscription, back, upstream)"
    " VALUES (?, ?, ?, ?, ?)"
)
_LOG: Final = "SELECT number FROM log WHERE stream = ? AND id = ?"
_ADD: Final = "INSERT OR REPLACE INTO item VALUES (?, ?, ?)"
_OLDEST_LOG: Final = (
    "SELECT number, id, subscription, back, upstream FROM log WHERE stream = ?"
    " AND EXISTS (SELECT 1 FROM item WHERE log = log.number) ORDER BY number"
)
_ROWS: Final = (
    "SELECT number, packed FROM item WHERE log = ? AND number > ?"
    " ORDER BY number LIMIT ?"
)
_DELETE: Final = "DELETE FROM item WHERE log = ? AND number <= ?"
_SIZE: Final = (
    "SELECT count(*), coalesce(sum(length(packed)), 0) FROM item"
    " WHERE log = ? AND number > ? AND number <= ?"
)
_TOTAL: Final = "SELECT coalesce(sum(length(packed)), 0) FROM item"
_COUNT: Final = (
    "SELECT count(*) FROM item JOIN log ON log = log.number WHERE stream = ?"
)
_WAITING: Final = "SELECT name, (SELECT count(*) FROM item) FROM target"
_SINCE: Final = "SELECT since FROM followed WHERE stream = ?"
_NOTE_SINCE: Final = "INSERT OR REPLACE INTO followed VALUES (?, ?)"


@attrs.define
class Spool:
    """An open spool file: `bzredis.ports.Spool`."""

    path: Path
    limit: int  # bytes of packed changes
    _db: sqlite3.Connection = attrs.field(repr=False)
    _lock: Lock = attrs.field(factory=Lock, repr=False)
    _bytes: int = 0
    # Per log, up to which number changes are done with that could not be removed.
    _done: dict[int, int] = attrs.field(factory=dict)

    @classmethod
    def open(cls, path: Path, limit: int, target: str = "") -> Spool:
        """Open or make the file; raises SpoolUnusable where it is damaged."""
        with ExitStack() as on_failure, _translated(path):
            db = sqlite3.connect(
                path, timeout=OPENING, isolation_level=None, check_same_thread=False
            )
            on_failure.callback(db.close)
            [[verdict]] = db.execute("PRAGMA quick_check(1)")
            [[known]] = db.execute("PRAGMA user_version")
            [[tables]] = db.execute("SELECT count(*) FROM sqlite_master")
            if verdict != "ok" or (tables and known != FORMAT):
                raise SpoolUnusable(f"{path}: {verdict}, format {known}")
            if not tables:
                db.executescript(_SCHEMA)
            db.executescript(_MANNERS)
            [[size]] = db.execute(_TOTAL)
            with suppress(sqlite3.OperationalError):  # on a full disk, or a locked one
                db.execute("INSERT OR IGNORE INTO target VALUES (?)", (target,))
                db.execute(_FORGET_LOGS)
            on_failure.pop_all()
        return cls(path, limit, db, bytes=size)

    def append(self, stream: str, items: Sequence[Item]) -> None:
        """Add changes of one log; all of them, or none."""
        size = sum(len(item.packed) for item in items)
        log = items[0].log
        with self._lock, _translated(self.path), _transaction(self._db):
            if self._bytes + size > self.limit:
                raise SpoolFull(f"{self.path} holds its limit of {self.limit} bytes")
            told = (log.id, log.subscription, log.window, log.upstream)
            self._db.execute(_ADD_LOG, (stream, *told))
            [[number]] = self._db.execute(_LOG, (stream, log.id))
            done = self._done.get(number, _BEFORE_ALL)
            self._db.execute(_DELETE, (number, done))  # some of it may come again now
            rows = ((number, item.number, item.packed) for item in items)
            self._db.executemany(_ADD, rows)
        self._done.pop(number, None)
        self._bytes += size

    def oldest(self, stream: str, limit: int) -> list[Item]:
        """Return the oldest changes of a stream, all of one log, without a hole."""
        with self._lock, _translated(self.path):
            for number, *told in self._db.execute(_OLDEST_LOG, (stream,)).fetchall():
                after = self._done.get(number, _BEFORE_ALL)
                if rows := self._db.execute(_ROWS, (number, after, limit)).fetchall():
                    log, first = Log(*told), rows[0][0]
                    return [
                        Item(log, at, packed)
                        for nth, (at, packed) in enumerate(rows)
                        if at == first + nth
                    ]
        return []

    def remove(self, stream: str, log: str, last: int) -> int:
        """Remove a log's changes up to number `last`; return how many they were.

        A full disk may not even allow that. Then they are out of sight until it does,
        or come again after a restart; Redis skips them.
        """
        with self._lock, _translated(self.path):
            found = self._db.execute(_LOG, (stream, log)).fetchone()
            if found is None:
                return 0
            [number] = found
            first = self._done.get(number, _BEFORE_ALL)
            [[gone, size]] = self._db.execute(_SIZE, (number, first, last))
            if not gone and number not in self._done:
                return 0
            try:
                self._db.execute(_DELETE, (number, max(first, last)))
                self._done.pop(number, None)
            except sqlite3.OperationalError:
                self._done[number] = max(first, last)
            self._bytes -= size
        if gone and not self._bytes:
            with suppress(SpoolFull):
                self._shrink()
        return int(gone)

    def count(self, stream: str) -> int:
        with self._lock, _translated(self.path):
            [[found]] = self._db.execute(_COUNT, (stream,))
        return int(found)

    def since(self, stream: str, at: int | None = None) -> int | None:
        with self._lock, _translated(self.path):
            if at is not None:
                self._db.execute(_NOTE_SINCE, (stream, at))
            found = self._db.execute(_SINCE, (stream,)).fetchone()
        return found and int(found[0])

    @property
    def room(self) -> int:
        return max(0, self.limit - self._bytes)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _shrink(self) -> None:
        with self._lock, _translated(self.path):
            [[pages]] = self._db.execute("PRAGMA page_count")
            [[size]] = self._db.execute("PRAGMA page_size")
            if pages * size > SHRINK:
                self._db.execute("VACUUM")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def opened(folder: Path, target: str, limit: int) -> tuple[Spool, str]:
    """Open the target's spool in a folder; also what a person should know, or "".

    A file that is damaged is set aside, and a new one takes its place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{blake2b(target.encode(), digest_size=8).hexdigest()}.sqlite3"
    try:
        return Spool.open(path, limit, target), ""
    except SpoolUnusable as error:
        aside = next(
            place
            for number in count(1)
            if not (place := path.with_suffix(f".damaged-{number}.sqlite3")).exists()
        )
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        news = f"{error}; set aside as {aside.name}"
        return Spool.open(path, limit, target), news


def left_alone(folder: Path, own: Path) -> Iterator[tuple[str, int]]:
    """Yield for whom else something waits in a folder, and how many changes."""
    yield from (each[1:] for each in waiting(folder) if each[0] != own)


def waiting(folder: Path) -> Iterator[tuple[Path, str, int]]:
    """Yield each spool of a folder in which something waits, for whom, how many."""
    for path in sorted(folder.glob("*.sqlite3")):
        if "damaged" in path.name:
            continue
        with suppress(sqlite3.Error, ValueError):  # what cannot be read is nobody's
            # Where nobody has it open, a mere reader would leave such a file behind.
            is_open = path.with_name(f"{path.name}-wal").exists()
            how = "mode=ro" if is_open else "mode=ro&immutable=1"
            uri = f"{path.absolute().as_uri()}?{how}"
            with closing(sqlite3.connect(uri, uri=True, timeout=BUSY)) as db:
                [[target, number]] = db.execute(_WAITING)
                if number:
                    yield path, str(target), int(number)


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
        words = f"{path}: {error}"
        if any(word in words for word in _DAMAGED):
            raise SpoolUnusable(words) from None
        raise SpoolFull(words) from None
