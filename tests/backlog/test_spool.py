"""Real files: killed, damaged, full, of another database."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import msgspec
import pytest
from fakes import ROOMY

from bzredis.backlog import spool as module
from bzredis.backlog.notes import EARLIEST, ENTRY, LOST
from bzredis.backlog.spool import Row, Span, Spool
from bzredis.backlog.spoolfolder import SpoolFolder
from bzredis.changes.read import rejected
from bzredis.changes.replay import Continuity, Uncovered
from bzredis.errors import SpoolFull, SpoolLocked, SpoolUnusable

Open = Callable[..., Spool]
TARGET = "bz 127.0.0.1:6379/0"


@pytest.fixture
def open_spool(tmp_path: Path) -> Iterator[Open]:
    opened = []

    def open_one(limit: int = ROOMY, path: Path = tmp_path / "s.sqlite3") -> Spool:
        opened.append(Spool.open(path, limit))
        return opened[-1]

    yield open_one
    for spool in opened:
        spool.close()


@pytest.fixture
def folder(tmp_path: Path) -> SpoolFolder:
    return SpoolFolder(tmp_path / "state" / "spool", TARGET, ROOMY)


def rows(*numbers: int, size: int = 10) -> list[Row]:
    return [(n, f"change {n} ".encode().ljust(size, b".")) for n in numbers]


def packed(spool: Spool, stream: str = "ratings") -> list[bytes]:
    return [packed for _, packed in spool.oldest(stream, 99)]


def killed(spool: Spool, path: Path) -> Path:
    """Copy what a killed process leaves: the files as they are, with no goodbye."""
    for suffix in ("", "-wal"):
        shutil.copy(f"{spool.path}{suffix}", f"{path}{suffix}")
    return path


def damage(path: Path, *, header: bool) -> None:
    """Spoil a closed file: all of it, or a page inside."""
    content = bytearray(path.read_bytes())
    start = 0 if header else 4096
    content[start : start + 4000] = b"\xff" * 4000
    path.write_bytes(content)


def test_changes_come_back_in_the_order_of_their_numbers(open_spool: Open) -> None:
    spool = open_spool()
    spool.append("ratings", rows(5, 6))
    spool.append("insights", rows(1))
    spool.append("ratings", rows(7, 8))
    assert spool.oldest("ratings", 3) == rows(5, 6, 7)
    assert spool.remove("ratings", 6) == 2
    assert spool.oldest("ratings", 9) == rows(7, 8)
    assert spool.span("ratings") == Span(2, 8)
    assert spool.span("consensus") == Span(0, -1)
    assert spool.streams() == ("insights", "ratings")


def test_a_killed_process_leaves_all_that_was_added(
    open_spool: Open, tmp_path: Path
) -> None:
    spool = open_spool()
    spool.append("ratings", rows(*range(100)))
    spool.remove("ratings", 9)
    spool.note("marker", "m")
    again = open_spool(path=killed(spool, tmp_path / "again.sqlite3"))
    assert again.oldest("ratings", 999) == rows(*range(10, 100))
    assert again.note("marker") == "m"
    assert again.room == ROOMY - 90 * 10


def test_the_limit_counts_what_is_here_whoever_put_it(open_spool: Open) -> None:
    spool = open_spool(limit=100)
    spool.append("ratings", rows(*range(6)))
    spool.append("insights", rows(*range(3)))
    assert spool.room == 10
    with pytest.raises(SpoolFull, match="limit of 100 bytes"):
        spool.append("ratings", rows(6, 7))
    assert spool.span("ratings") == Span(6, 5)  # all or none
    spool.append("ratings", rows(6))
    assert spool.room == 0
    spool.remove("ratings", 3)
    assert spool.room == 40
    spool.close()
    assert open_spool(limit=100).room == 40


def test_notes_go_with_their_changes_or_not_at_all(open_spool: Open) -> None:
    spool = open_spool(limit=10)
    spool.append("ratings", rows(1), {"a": "1", "b": "2"})
    with pytest.raises(SpoolFull):
        spool.append("ratings", rows(2), {"a": "3"})
    assert (spool.note("a"), spool.note("b")) == ("1", "2")
    spool.append("ratings", [], {"a": ""})
    assert (spool.note("a"), spool.span("ratings")) == ("", Span(1, 1))


def test_a_full_disk_takes_all_or_none(open_spool: Open) -> None:
    spool = open_spool()
    spool.append("ratings", rows(*range(10)))
    [pages] = spool._db.execute("PRAGMA page_count").fetchone()
    spool._db.execute(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(SpoolFull, match="full"):
        spool.append("ratings", rows(*range(10, 100), size=1000))
    assert spool.span("ratings") == Span(10, 9)
    assert spool.room == ROOMY - 100
    assert spool.remove("ratings", 9) == 10
    spool.append("ratings", rows(10))


def test_a_disk_that_forgets_nothing_hides_it(open_spool: Open) -> None:
    spool = open_spool()
    spool.append("ratings", rows(*range(10)))
    spool._db.execute("PRAGMA query_only = ON")
    with pytest.raises(SpoolFull):
        spool.append("ratings", rows(10))
    assert spool.remove("ratings", 3) == 4
    assert spool.oldest("ratings", 3) == rows(4, 5, 6)
    assert spool.remove("ratings", 5) == 2
    assert spool.room == ROOMY - 40
    spool._db.execute("PRAGMA query_only = OFF")
    assert spool.remove("ratings", 6) == 1
    assert spool.span("ratings") == Span(3, 9)
    spool.close()
    assert open_spool().room == ROOMY - 30


def test_another_process_that_writes_is_no_damage_nor_want_of_room(
    open_spool: Open,
) -> None:
    spool = open_spool()
    spool.append("ratings", rows(1))
    with closing(sqlite3.connect(spool.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SpoolLocked, match=r"s\.sqlite3 is locked by another proc"):
            spool.append("ratings", rows(2))
        with pytest.raises(SpoolLocked):
            spool.note("marker", "m")
        assert spool.oldest("ratings", 9) == rows(1)
        assert spool.remove("ratings", 1) == 1
        other.execute("ROLLBACK")
    spool.append("ratings", rows(2))
    assert packed(spool) == [packed for _, packed in rows(2)]


def test_notes_alone_need_no_room(open_spool: Open) -> None:
    spool = open_spool(10)
    spool.put_in("ratings", rows(1))
    with pytest.raises(SpoolFull):
        spool.append("ratings", rows(2), {"a": "b"})
    assert not spool.note("a")
    spool.append("ratings", (), {"a": "b"})
    assert spool.note("a") == "b"


def test_a_lock_is_waited_for_long_only_where_nobody_tries_again(
    open_spool: Open, tmp_path: Path
) -> None:
    spool, elder = open_spool(), open_spool(path=tmp_path / "elder.sqlite3")
    waits: list[int] = []

    def note_wait() -> Iterator[Row]:
        waits.append(*spool._db.execute("PRAGMA busy_timeout").fetchone())
        yield from rows(1)

    assert spool._db.execute("PRAGMA busy_timeout").fetchone() == (50,)
    spool.put_in("ratings", note_wait())
    elder.append("ratings", rows(2))
    spool.adopt(elder)
    elder.move_to(spool, "ratings", 1)
    assert waits == [2000]
    for each in (spool, elder):
        assert each._db.execute("PRAGMA busy_timeout").fetchone() == (50,)


def test_a_reader_does_not_stop_us(open_spool: Open) -> None:
    spool = open_spool()
    spool.append("ratings", rows(1, 2))
    with closing(sqlite3.connect(spool.path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM item").fetchall()
        spool.append("ratings", rows(3))
        assert spool.remove("ratings", 3) == 3


def test_threads_count_right(open_spool: Open) -> None:
    spool = open_spool()

    def work(stream: str) -> None:
        for n in range(40):
            spool.append(stream, rows(n))
            spool.remove(stream, n - 2)

    threads = [Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spool.room == ROOMY - 3 * 2 * 10


def test_a_drained_spool_gives_its_pages_back(
    open_spool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHRINK", 100_000)
    spool = open_spool()
    spool.append("ratings", rows(*range(300), size=1000))
    spool.remove("ratings", 299)
    assert spool._db.execute("PRAGMA page_count").fetchone() < (10,)
    assert spool.path.stat().st_size < 100_000


def test_a_commit_survives_the_power(open_spool: Open) -> None:
    assert open_spool()._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


@pytest.mark.parametrize("header", [True, False])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    folder: SpoolFolder,
    header: bool,  # noqa: FBT001 - a case
) -> None:
    spool, news = folder.open()
    assert news == ""
    spool.append("ratings", rows(*range(100), size=200))
    spool.close()
    damage(spool.path, header=header)
    spoilt = spool.path.read_bytes()
    new, news = folder.open()
    aside = new.path.with_name(f"{new.path.stem}.damaged-1.sqlite3")
    assert aside.name in news
    assert aside.read_bytes() == spoilt
    new.append("ratings", rows(1))
    copy = killed(new, folder.folder / "copy.db")
    with closing(Spool.open(copy, ROOMY)) as again:
        assert again.oldest("ratings", 9) == rows(1)
    new.close()


def test_damage_twice_is_set_aside_twice(folder: SpoolFolder) -> None:
    for _ in range(2):
        spool, _ = folder.open()
        spool.close()
        spool.path.write_bytes(b"no database at all, but long enough to be read" * 99)
    spool, _ = folder.open()
    spool.close()
    names = {path.name for path in folder.folder.iterdir()}
    stem = spool.path.stem
    assert names == {f"{stem}.sqlite3"} | {
        f"{stem}.damaged-{n}.sqlite3" for n in (1, 2)
    }


def test_another_format_is_not_misread(folder: SpoolFolder) -> None:
    spool, _ = folder.open()
    spool.note("format", "3")
    spool.append("ratings", rows(1))
    spool.close()
    new, news = folder.open()
    assert "format 3" in news
    assert new.span("ratings") == Span(0, -1)
    new.close()


def test_what_an_older_version_left_is_read(folder: SpoolFolder) -> None:
    """Its changes were maps: at the first one Redis would fail for ever."""
    change = rejected("why", "x", received=1)
    fields = {"kind": "rejected", **msgspec.structs.asdict(change)}
    spool, _ = folder.open()
    spool.note("format", "1")
    spool.append("ratings", [(5, msgspec.msgpack.encode(fields)), *rows(6)])
    spool.close()
    for _ in range(2):
        new, news = folder.open()
        assert not news
        assert new.oldest("ratings", 9) == [(5, change.pack()), *rows(6)]
        assert new.room == ROOMY - len(change.pack()) - 10
        assert new.note("format") == "2"
        new.close()


def test_a_lock_that_stays_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPENING", 0.05)
    path = tmp_path / "s.sqlite3"
    Spool.open(path, ROOMY).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SpoolLocked, match="is locked by another process"):
            Spool.open(path, ROOMY)


def test_a_file_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(SpoolUnusable, match="unable to open"):
        Spool.open(tmp_path / "nowhere" / "s.sqlite3", ROOMY)


def test_a_full_disk_at_the_start_is_no_damage(
    open_spool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SCHEMA", "PRAGMA query_only = ON;" + module._SCHEMA)
    with pytest.raises(SpoolFull):
        open_spool()


def test_what_stands_there_can_be_opened_on_a_full_disk(
    open_spool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool()
    spool.append("ratings", rows(1))
    spool.close()
    monkeypatch.setattr(module, "_SCHEMA", module._SCHEMA + "PRAGMA query_only = ON;")
    assert open_spool().oldest("ratings", 9) == rows(1)


# --------------------------------------------------------------- which database is it?


def test_a_first_claim_keeps_everything(folder: SpoolFolder) -> None:
    spool, _ = folder.open()
    spool.append("ratings", rows(1, 2))
    assert folder.claim(spool, "m", {"ratings": -1}) is spool
    assert spool.note("marker") == "m"
    assert spool.oldest("ratings", 9) == rows(1, 2)
    spool.close()
    again, _ = folder.open()
    assert folder.claim(again, "m", {"ratings": 2}) is again
    assert again.oldest("ratings", 9) == rows(1, 2)
    again.close()


def test_a_full_disk_does_not_stop_a_claim(folder: SpoolFolder) -> None:
    spool, _ = folder.open()
    spool._db.execute("PRAGMA query_only = ON")
    assert folder.claim(spool, "m", {}) is spool
    spool.close()


def test_another_database_gets_only_what_this_process_read(
    folder: SpoolFolder,
) -> None:
    spool, _ = folder.open()
    spool.append("ratings", rows(0, 1, 2))
    spool.append("insights", rows(0, 1))
    folder.claim(spool, "old", {}).close()
    spool, _ = folder.open()
    since = {"ratings": 2, "insights": 1, "consensus": -1}
    spool.append("ratings", rows(3, 4))
    spool.append("consensus", rows(0))
    new = folder.claim(spool, "new", since)
    assert new.path == spool.path
    assert new.note("marker") == "new"
    assert new.oldest("ratings", 9) == rows(3, 4)
    assert new.oldest("consensus", 9) == rows(0)
    assert new.span("insights").count == 0
    assert new.room == ROOMY - 30
    new.close()
    # The old database comes back, and has what it is owed and nothing else.
    spool, _ = folder.open()
    old = folder.claim(spool, "old", {"ratings": 4, "consensus": 0})
    assert packed(old) == [packed for _, packed in rows(0, 1, 2)]
    assert packed(old, "insights") == [packed for _, packed in rows(0, 1)]
    assert old.span("consensus").count == 0
    old.close()


def test_the_same_database_under_another_name_gets_what_it_was_owed_first(
    tmp_path: Path, folder: SpoolFolder
) -> None:
    spool, _ = folder.open()
    spool.append("ratings", rows(7, 8))
    spool.append("insights", rows(3))
    folder.claim(spool, "m", {}).close()
    moved = SpoolFolder(folder.folder, "bz redis.internal:6379/0", ROOMY)
    new, _ = moved.open()
    new.append("ratings", rows(0, 1))
    new = moved.claim(new, "m", {"ratings": -1})
    assert packed(new) == [packed for _, packed in rows(7, 8, 0, 1)]
    numbers = [number for number, _ in new.oldest("ratings", 9)]
    assert numbers == sorted(numbers)
    assert new.span("ratings").last == 1
    assert packed(new, "insights") == [packed for _, packed in rows(3)]
    assert new.room == ROOMY - 50
    new.close()
    assert [path.name for path in folder.folder.glob("*.sqlite3")] == [new.path.name]


def adopted(folder: SpoolFolder, elder: dict[str, str], own: dict[str, str]) -> Spool:
    """Return what a spool with change 10 is with another's, 5 to 7, before it."""
    spool, _ = folder.open()
    spool.append("ratings", rows(5, 6, 7), elder)
    folder.claim(spool, "m", {}).close()
    moved = SpoolFolder(folder.folder, "bz redis.internal:6379/0", ROOMY)
    spool, _ = moved.open()
    spool.append("ratings", rows(10), own)
    return moved.claim(spool, "m", {})


@pytest.mark.parametrize(
    ("kind", "elder", "own", "both"),
    [
        (ENTRY, "9-2", "", "9-2"),
        (ENTRY, "", "9-2", "9-2"),
        (ENTRY, "9-2", "10-0", "10-0"),
        (ENTRY, "9-10", "9-9", "9-10"),
        (EARLIEST, "9", "10", "9"),
        (EARLIEST, "", "10", "10"),
        (LOST, "11", "", "11"),
        (LOST, "11", "9", "9"),
    ],
)
def test_notes_of_one_redis_come_together(
    folder: SpoolFolder, kind: str, elder: str, own: str, both: str
) -> None:
    name = f"{kind}ratings"
    spool = adopted(folder, {name: elder}, {name: own})
    assert spool.note(name) == both
    spool.close()


def test_what_is_open_is_handed_down_with_its_changes(folder: SpoolFolder) -> None:
    """What was not on disk is not taken for one of our own."""
    was = Continuity()
    was.previous(1_000)
    was.connected(heard=None, now=5_000, at=0)
    for number in (4, 5, 7, 8):
        was.saw(number, [str(number)], at=1)
    was.answered(4, known=False)
    spool = adopted(folder, {"open ratings": was.save(last=True)}, {})
    assert [number for number, _ in spool.oldest("ratings", 9)] == [7, 8, 9, 10]
    heir = Continuity()
    heir.adopt(spool.note("handed down ratings"), range(7, 11))
    heir.previous(3_000)
    for number in (7, 8, 9):
        assert not list(heir.settle())
        heir.answered(number, known=False)
    heir.answered(10, known=True)
    assert list(heir.settle()) == [Uncovered(1_000, 5_000, "restart", 3)]
    spool.close()


def test_what_is_open_is_handed_down_where_nothing_waits(folder: SpoolFolder) -> None:
    """Then what Redis acknowledged is long out of date."""
    notes = {"open insights": lost_to_redis(), "entry insights": "9-2"}
    spool = adopted(folder, notes, {"handed down insights": lost_to_redis()})
    handed = spool.note("handed down insights")
    assert handed.count("redis-rollback") == 2
    assert spool.note("entry insights") == ""
    spool.close()


def lost_to_redis() -> str:
    continuity = Continuity()
    continuity.lost(1_000, 2_000)
    return continuity.save()


def test_what_others_are_owed_is_left_to_them(folder: SpoolFolder) -> None:
    other = SpoolFolder(folder.folder, "bz elsewhere/0", ROOMY)
    spool, _ = other.open()
    spool.append("ratings", rows(1))
    other.claim(spool, "other", {}).close()
    unknown = folder.folder / "unreadable.sqlite3"
    unknown.write_bytes(b"no database at all, but long enough to be read" * 99)
    mine, _ = folder.open()
    mine = folder.claim(mine, "mine", {})
    assert mine.streams() == ()
    mine.close()
    assert unknown.exists()
    spool, _ = other.open()
    assert spool.oldest("ratings", 9) == rows(1)
    spool.close()


def test_what_was_owed_may_go_beyond_the_limit(folder: SpoolFolder) -> None:
    """It is on disk already: to refuse it would only keep it from Redis."""
    spool, _ = folder.open()
    spool.append("ratings", rows(*range(8)))
    folder.claim(spool, "m", {}).close()
    moved = SpoolFolder(folder.folder, "bz elsewhere/0", 100)
    new, _ = moved.open()
    new.append("ratings", rows(*range(8)))
    new = moved.claim(new, "m", {"ratings": -1})
    assert new.span("ratings").count == 16
    assert new.room == 0
    with pytest.raises(SpoolFull):
        new.append("ratings", rows(9))
    new.close()


def test_what_cannot_be_taken_over_now_waits_for_the_next_start(
    folder: SpoolFolder,
) -> None:
    spool, _ = folder.open()
    spool.append("ratings", rows(*range(8)))
    folder.claim(spool, "m", {}).close()
    moved = SpoolFolder(folder.folder, "bz elsewhere/0", ROOMY)
    new, _ = moved.open()
    new.note("marker", "m")
    new._db.execute("PRAGMA query_only = ON")
    new = moved.claim(new, "m", {})
    assert new.span("ratings").count == 0
    new.close()
    new, _ = moved.open()
    new = moved.claim(new, "m", {})
    assert new.span("ratings").count == 8
    new.close()
