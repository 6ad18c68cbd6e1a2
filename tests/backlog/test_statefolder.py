"""The state folder is ours alone, and what lies in it as well."""

from __future__ import annotations

import os
from contextlib import closing
from fcntl import LOCK_SH, flock
from pathlib import Path

import pytest

from bzredis.backlog.spool import opened
from bzredis.backlog.statefolder import holder, locked
from bzredis.errors import ConfigError


def test_a_lock_that_is_a_link_leads_nowhere(tmp_path: Path) -> None:
    precious, folder = tmp_path / "precious", tmp_path / "state"
    precious.write_text("keep me")
    folder.mkdir(mode=0o700)
    (folder / "lock").symlink_to(precious)
    with (
        pytest.raises(ConfigError, match=r"lock is a link: .*--state-dir"),
        locked(folder, "me"),
    ):
        pass
    assert precious.read_text() == "keep me"


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o702])
def test_a_folder_that_others_may_write_is_not_taken(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    with (
        pytest.raises(ConfigError, match=r"chmod go-w.*--state-dir"),
        locked(folder, "me"),
    ):
        pass
    assert not list(folder.iterdir())
    folder.chmod(0o755)
    with locked(folder, "me"):
        pass


def test_a_folder_of_somebody_else_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with (
        pytest.raises(ConfigError, match=r"belongs to user .*--state-dir"),
        locked(tmp_path, "me"),
    ):
        pass


def test_what_lies_in_it_nobody_else_may_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with locked(tmp_path / "state", "me") as folder:
            spool, _ = opened(folder / "spool", "bz", 2**20)
            with closing(spool):
                found = [each for each in folder.rglob("*") if each.is_file()]
                assert len(found) > 1
                assert {each.stat().st_mode & 0o777 for each in found} == {0o600}
            assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


def test_a_home_that_nobody_knows_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--state-dir"), locked(Path("~/x"), "me"):
        pass
    assert not Path("~").exists()


def test_who_looks_makes_nothing_and_keeps_nobody_out(tmp_path: Path) -> None:
    folder = tmp_path / "no" / "state"
    assert holder(folder) == ""
    assert not folder.parent.exists()
    folder.mkdir(mode=0o700, parents=True)
    assert holder(folder) == ""
    assert not list(folder.iterdir())
    with locked(folder, "a bridge"):
        assert holder(folder) == f"a bridge, process {os.getpid()}"
        assert [each.name for each in folder.iterdir()] == ["lock"]
    assert holder(folder) == ""
    with locked(folder, "another"):
        pass


def test_who_looks_is_told_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for place in (file, file / "x"):
        with pytest.raises(ConfigError, match=r"Not a directory; .*--state-dir"):
            holder(place)
    with pytest.raises(ConfigError, match="home of nobody known"):
        holder(Path("~/x"))
    folder = tmp_path / "state"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="chmod go-w"):
        holder(folder)
    folder.chmod(0o700)
    (folder / "lock").symlink_to(file)
    with pytest.raises(ConfigError, match="is a link"):
        holder(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="Permission denied"):
        holder(tmp_path / "state")
    tmp_path.chmod(0o700)


def test_who_only_looks_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(tmp_path, "the last one"):
        pass
    look = (tmp_path / "lock").open(encoding="utf-8")
    flock(look, LOCK_SH)
    monkeypatch.setattr("time.sleep", lambda _: look.close())
    with locked(tmp_path, "me"):
        assert holder(tmp_path).startswith("me, process ")
