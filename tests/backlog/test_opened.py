"""A spool at the start: damaged, of another format, locked, on a full disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
from fakes import ROOMY

from bzredis.backlog import spool as module
from bzredis.backlog.spool import FORMAT, Spool, left_alone, opened
from bzredis.changes.kinds import Change, Mark, Rejected
from bzredis.errors import SpoolFull, SpoolLocked, SpoolUnusable
from bzredis.ports import Item, Log

LOG = Log("log", "*", 0, "upstream")
TARGET = "bz 127.0.0.1:6379/0 upstream"
NO_DATABASE = b"no database at all, but long enough to be read" * 99
connect = sqlite3.connect


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spool"


def items(*numbers: int, size: int = 10) -> list[Item]:
    return [Item(LOG, n, b"x" * size) for n in numbers]


def waiting(folder: Path, *numbers: int, target: str = TARGET, size: int = 10) -> Path:
    """Make a spool in which changes wait; return its file, closed."""
    with closing(opened(folder, target, ROOMY)[0]) as spool:
        if numbers:
            spool.append("ratings", items(*numbers, size=size))
    return spool.path


def read_only(*args: object, **options: object) -> sqlite3.Connection:
    """Open a database as on a full disk, where nothing can be written."""
    db: sqlite3.Connection = connect(*args, **options)  # type: ignore[call-overload]
    db.execute("PRAGMA query_only = ON")
    return db


@pytest.mark.parametrize("start", [0, 4096], ids=["all of it", "a page inside"])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    folder: Path, start: int
) -> None:
    path = waiting(folder, *range(100), size=200)
    content = bytearray(path.read_bytes())
    content[start : start + 4000] = b"\xff" * 4000
    path.write_bytes(content)
    spool, news = opened(folder, TARGET, ROOMY)
    with closing(spool):
        aside = path.with_name(f"{path.stem}.damaged-1.sqlite3")
        assert aside.name in news
        assert aside.read_bytes() == content
        assert spool.count("ratings") == 0
        spool.append("ratings", items(1))
    with closing(opened(folder, TARGET, ROOMY)[0]) as spool:
        assert spool.oldest("ratings", 9) == items(1)


def test_damage_twice_is_set_aside_twice(folder: Path) -> None:
    for _ in range(2):
        waiting(folder).write_bytes(NO_DATABASE)
    path = waiting(folder)
    names = {each.name for each in folder.iterdir()}
    asides = {f"{path.stem}.damaged-{n}.sqlite3" for n in (1, 2)}
    assert names == {path.name} | asides


def test_another_format_is_not_misread(folder: Path) -> None:
    path = waiting(folder, 1)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 3")
    spool, news = opened(folder, TARGET, ROOMY)
    with closing(spool):
        assert "format 3" in news
        assert spool.count("ratings") == 0


def test_what_is_packed_in_another_order_is_of_another_format() -> None:
    """Redis would take one part of a change for another."""
    kinds = (*get_args(Mark), Rejected, Change)
    packed = {kind.__name__: " ".join(kind.__struct_fields__) for kind in kinds}
    came = "t received known_by remember raw"
    assert (FORMAT, packed) == (
        4,
        {
            "Opened": "t",
            "Heard": "t sent",
            "Replayed": "t",
            "Filled": "t ids",
            "GaveUp": "t ids keep",
            "Rejected": f"{came} reason",
            "Change": f"{came} symbol action record version source envelope timestamp"
            " published dated moments headline has_market updated fields",
        },
    )


def test_nor_is_one_that_told_no_format(folder: Path) -> None:
    """As the files of the first versions, which had other tables."""
    path = waiting(folder)
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE item (stream TEXT, number INTEGER, packed BLOB)")
    with pytest.raises(SpoolUnusable):
        Spool.open(path, ROOMY)
    spool, news = opened(folder, TARGET, ROOMY)
    with closing(spool):
        assert news
        spool.append("ratings", items(1))


def test_what_stands_there_can_be_opened_on_a_full_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = waiting(folder, 1)
    with closing(sqlite3.connect(path)) as db:  # a log of which nothing waits
        db.execute("INSERT INTO log VALUES (NULL, 'ratings', 'gone', '*', 0, 'u')")
        db.commit()
    monkeypatch.setattr(sqlite3, "connect", read_only)
    with closing(Spool.open(path, ROOMY)) as spool:
        assert spool.oldest("ratings", 9) == items(1)


def test_a_full_disk_at_the_first_start_is_no_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "connect", read_only)
    with pytest.raises(SpoolFull):
        opened(folder, TARGET, ROOMY)


def test_what_was_begun_and_not_finished_is_no_damage(folder: Path) -> None:
    path = waiting(folder)
    path.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as killed:
        killed.executescript(module._SCHEMA.partition("CREATE TABLE item")[0])
    spool, news = opened(folder, TARGET, ROOMY)
    with closing(spool):
        assert (news, spool.count("ratings")) == ("", 0)


def test_a_shell_in_the_midst_of_a_transaction_does_not_stop_the_start(
    folder: Path,
) -> None:
    path = waiting(folder, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        with closing(Spool.open(path, ROOMY)) as spool:
            assert spool.oldest("ratings", 9) == items(1)


def test_a_lock_that_stays_is_told_at_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPENING", 0.05)
    path = waiting(folder, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SpoolLocked, match="is locked by another process"):
            opened(folder, TARGET, ROOMY)
    assert [each.name for each in folder.glob("*.sqlite3")] == [path.name]


def test_a_file_that_cannot_be_opened_says_so_and_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(SpoolFull, match="unable to open"):
        Spool.open(tmp_path / "nowhere" / "s.sqlite3", ROOMY)


# -------------------------------------------------------------------- what is others'


def test_each_target_has_a_file_of_its_own(folder: Path) -> None:
    other = TARGET.replace("/0", "/1")
    waiting(folder, 1, 2, 3, target=other)
    with closing(opened(folder, TARGET, ROOMY)[0]) as spool:
        assert spool.count("ratings") == 0
        assert [*left_alone(folder, spool.path)] == [(other, 3)]
    with closing(opened(folder, other, ROOMY)[0]) as spool:
        assert spool.oldest("ratings", 9) == items(1, 2, 3)


def test_what_a_killed_process_left_for_another_is_told(folder: Path) -> None:
    spool, _ = opened(folder, "other", ROOMY)
    with closing(spool):
        spool.append("ratings", items(1, 2))
        spool.append("insights", items(1))
        assert [*left_alone(folder, folder / "own")] == [("other", 3)]


def test_where_nothing_waits_there_is_nothing_to_tell(folder: Path) -> None:
    own = waiting(folder, 1)
    waiting(folder, target="empty")
    unreadable = folder / "unreadable.sqlite3"
    unreadable.write_bytes(NO_DATABASE)
    (folder / "none.sqlite3").touch()
    damaged = waiting(folder, 1, target="damaged")
    damaged.rename(damaged.with_suffix(".damaged-1.sqlite3"))
    assert [*left_alone(folder, own)] == []
    assert unreadable.read_bytes() == NO_DATABASE
