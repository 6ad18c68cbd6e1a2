"""Real files: killed, full, locked, of several logs."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from fakes import ROOMY

from bzredis.backlog import spool as module
from bzredis.backlog.spool import Spool
from bzredis.errors import SpoolFull, SpoolLocked
from bzredis.ports import Item, Log

Open = Callable[..., Spool]
OWN, ELDER = Log("own", "*", 0, "upstream"), Log("elder", "A,B", 9, "upstream")


@pytest.fixture
def open_spool(tmp_path: Path) -> Iterator[Open]:
    opened = []

    def open_one(limit: int = ROOMY, path: Path = tmp_path / "s.sqlite3") -> Spool:
        opened.append(Spool.open(path, limit))
        return opened[-1]

    yield open_one
    for spool in opened:
        spool.close()


def items(*numbers: int, log: Log = OWN, size: int = 10) -> list[Item]:
    return [
        Item(log, n, f"change {n} ".encode().ljust(size, b".")[:size]) for n in numbers
    ]


def killed(spool: Spool, path: Path) -> Path:
    """Copy what a killed process leaves: the files as they are, with no goodbye."""
    for suffix in ("", "-wal"):
        shutil.copy(f"{spool.path}{suffix}", f"{path}{suffix}")
    return path


# --------------------------------------------------------------------------- in order


def test_changes_come_back_in_the_order_of_their_numbers(open_spool: Open) -> None:
    spool = open_spool()
    spool.append("ratings", items(5, 6))
    spool.append("insights", items(1))
    spool.append("ratings", items(7, 8))
    assert spool.oldest("ratings", 3) == items(5, 6, 7)
    assert spool.remove("ratings", "own", 6) == 2
    assert spool.oldest("ratings", 9) == items(7, 8)
    assert [spool.count(name) for name in ("ratings", "insights")] == [2, 1]
    assert (spool.count("consensus"), spool.oldest("consensus", 9)) == (0, [])


def test_an_elder_log_goes_first_whatever_its_numbers_and_never_in_one_batch(
    open_spool: Open,
) -> None:
    spool = open_spool()
    spool.append("ratings", items(7, 8, log=ELDER))
    spool.append("ratings", items(0, 1))
    assert spool.oldest("ratings", 9) == items(7, 8, log=ELDER)
    assert spool.remove("ratings", "own", 0) == 1, "only of the log that was named"
    assert spool.remove("ratings", "elder", 7) == 1
    assert spool.oldest("ratings", 9) == items(8, log=ELDER)
    assert spool.remove("ratings", "elder", 99) == 1
    assert spool.oldest("ratings", 9) == items(1)
    assert spool.remove("ratings", "nobody's", 99) == 0


def test_the_order_of_logs_outlasts_the_removal_of_the_elder(open_spool: Open) -> None:
    spool = open_spool()
    spool.append("ratings", items(1, log=ELDER))
    spool.append("ratings", items(1))
    spool.remove("ratings", "elder", 1)
    spool.close()
    spool = open_spool()
    young = Log("young", "*", 0, "upstream")
    spool.append("ratings", items(1, log=young))
    assert spool.oldest("ratings", 9) == items(1)
    spool.append("ratings", items(2, log=ELDER))  # it is a new one by now
    spool.remove("ratings", "own", 1)
    assert spool.oldest("ratings", 9) == items(1, log=young)


def test_a_log_of_which_nothing_waits_is_forgotten_at_the_next_start(
    open_spool: Open,
) -> None:
    spool = open_spool()
    spool.append("ratings", items(1, log=ELDER))
    spool.append("ratings", items(1))
    spool.remove("ratings", "elder", 1)
    spool.close()
    logs = open_spool()._db.execute("SELECT id FROM log").fetchall()
    assert logs == [("own",)]


def test_one_batch_has_no_hole(open_spool: Open) -> None:
    """The numbers of a batch follow each other: only its first one is told."""
    spool = open_spool()
    spool.append("ratings", [*items(1, 2), *items(5, 6)])
    assert spool.oldest("ratings", 9) == items(1, 2)
    spool.remove("ratings", "own", 2)
    assert spool.oldest("ratings", 9) == items(5, 6)


def test_what_goes_back_stands_before_what_waits(open_spool: Open) -> None:
    spool = open_spool()
    spool.append("ratings", items(5, 6))
    spool.append("ratings", [*items(3, 4), *items(7)])
    assert spool.oldest("ratings", 9) == items(3, 4, 5, 6, 7)


def test_since_when_a_stream_is_followed_is_kept(open_spool: Open) -> None:
    spool = open_spool()
    assert spool.since("ratings") is None
    assert spool.since("ratings", 5) == 5
    spool.since("ratings", 4)
    spool.since("insights", 7)
    spool.close()
    spool = open_spool()
    assert (spool.since("ratings"), spool.since("insights")) == (4, 7)


# ----------------------------------------------------------------------- kill and power


def test_a_killed_process_leaves_all_that_was_added(
    open_spool: Open, tmp_path: Path
) -> None:
    spool = open_spool()
    spool.append("ratings", items(*range(100)))
    spool.remove("ratings", "own", 9)
    spool.since("ratings", 5)
    again = open_spool(path=killed(spool, tmp_path / "again.sqlite3"))
    assert again.oldest("ratings", 999) == items(*range(10, 100))
    assert again.since("ratings") == 5
    assert again.room == ROOMY - 90 * 10


def test_a_commit_survives_the_power(open_spool: Open) -> None:
    open_spool().close()
    for spool in (open_spool(), open_spool()):
        assert spool._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert spool._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# ------------------------------------------------------------------------------ no room


def test_the_limit_counts_what_is_here_whoever_put_it(open_spool: Open) -> None:
    spool = open_spool(limit=100)
    spool.append("ratings", items(*range(6)))
    spool.append("insights", items(*range(3)))
    assert spool.room == 10
    with pytest.raises(SpoolFull, match="limit of 100 bytes"):
        spool.append("ratings", items(6, 7))
    assert spool.count("ratings") == 6  # all or none
    spool.append("ratings", items(6))
    assert spool.room == 0
    spool.remove("ratings", "own", 3)
    assert spool.room == 40
    spool.close()
    assert open_spool(limit=100).room == 40


def test_a_full_disk_takes_all_or_none(open_spool: Open) -> None:
    spool = open_spool()
    spool.append("ratings", items(*range(10)))
    [pages] = spool._db.execute("PRAGMA page_count").fetchone()
    spool._db.execute(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(SpoolFull, match="full"):
        spool.append("ratings", items(*range(10, 100), size=1000))
    assert spool.count("ratings") == 10
    assert spool.room == ROOMY - 100
    assert spool.remove("ratings", "own", 9) == 10
    spool.append("ratings", items(10))


def test_a_disk_that_forgets_nothing_hides_it(open_spool: Open) -> None:
    spool = open_spool()
    spool.append("ratings", items(*range(10)))
    spool._db.execute("PRAGMA query_only = ON")
    with pytest.raises(SpoolFull):
        spool.append("ratings", items(10))
    assert spool.remove("ratings", "own", 3) == 4
    assert spool.oldest("ratings", 3) == items(4, 5, 6)
    assert spool.remove("ratings", "own", 5) == 2
    assert spool.remove("ratings", "own", 5) == 0
    assert spool.room == ROOMY - 40
    spool._db.execute("PRAGMA query_only = OFF")
    assert spool.remove("ratings", "own", 6) == 1
    assert spool.count("ratings") == 3
    spool.close()
    assert open_spool().room == ROOMY - 30


def test_what_is_hidden_does_not_stand_before_a_younger_log(open_spool: Open) -> None:
    spool = open_spool()
    spool.append("ratings", items(*range(3), log=ELDER))
    spool.append("ratings", items(0))
    spool._db.execute("PRAGMA query_only = ON")
    assert spool.remove("ratings", "elder", 2) == 3
    assert spool.oldest("ratings", 9) == items(0)


def test_what_was_hidden_comes_back_only_as_far_as_it_is_put_again(
    open_spool: Open,
) -> None:
    """Else more would be removed than was ever counted."""
    spool = open_spool()
    spool.append("ratings", items(*range(10)))
    spool._db.execute("PRAGMA query_only = ON")
    spool.remove("ratings", "own", 9)
    spool._db.execute("PRAGMA query_only = OFF")
    spool.append("ratings", items(6, 7, 8, 9))  # Redis came back older
    assert spool.room == ROOMY - 40
    assert spool.oldest("ratings", 99) == items(6, 7, 8, 9)
    assert spool.remove("ratings", "own", 9) == 4
    assert (spool.count("ratings"), spool.room) == (0, ROOMY)


@pytest.mark.parametrize("is_full", ["ON", "OFF"])
def test_what_is_hidden_stays_so_when_less_is_confirmed_again(
    open_spool: Open, is_full: str
) -> None:
    """It goes back in memory alone, and a part of it is confirmed from there."""
    spool = open_spool()
    spool.append("ratings", items(*range(10)))
    spool._db.execute("PRAGMA query_only = ON")
    spool.remove("ratings", "own", 9)
    spool._db.execute(f"PRAGMA query_only = {is_full}")
    assert spool.remove("ratings", "own", 7) == 0
    assert spool.oldest("ratings", 9) == []
    assert spool.remove("ratings", "own", 9) == 0
    assert spool.room == ROOMY


def test_a_drained_spool_gives_its_pages_back(
    open_spool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHRINK", 100_000)
    spool = open_spool()
    spool.append("ratings", items(*range(300), size=1000))
    spool.remove("ratings", "own", 299)
    assert spool._db.execute("PRAGMA page_count").fetchone() < (12,)
    assert spool.path.stat().st_size < 100_000


# ---------------------------------------------------------------- others at the file


def test_another_process_that_writes_is_no_damage_nor_want_of_room(
    open_spool: Open,
) -> None:
    spool = open_spool()
    spool.append("ratings", items(1))
    with closing(sqlite3.connect(spool.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SpoolLocked, match=r"s\.sqlite3 is locked by another proc"):
            spool.append("ratings", items(2))
        with pytest.raises(SpoolLocked):
            spool.since("ratings", 5)
        assert spool.oldest("ratings", 9) == items(1)
        assert spool.remove("ratings", "own", 1) == 1
        other.execute("ROLLBACK")
    spool.append("ratings", items(2))
    assert spool.oldest("ratings", 9) == items(2)


def test_a_reader_does_not_stop_us(open_spool: Open) -> None:
    spool = open_spool()
    spool.append("ratings", items(1, 2))
    with closing(sqlite3.connect(spool.path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM item").fetchall()
        spool.append("ratings", items(3))
        assert spool.remove("ratings", "own", 3) == 3


def test_a_lock_is_waited_for_long_only_where_nobody_tries_again(
    open_spool: Open,
) -> None:
    assert open_spool()._db.execute("PRAGMA busy_timeout").fetchone() == (50,)
    assert module.OPENING >= 2


def test_threads_count_right(open_spool: Open) -> None:
    spool = open_spool()

    def work(stream: str) -> None:
        for n in range(40):
            spool.append(stream, items(n))
            spool.remove(stream, "own", n - 2)

    threads = [Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spool.room == ROOMY - 3 * 2 * 10
