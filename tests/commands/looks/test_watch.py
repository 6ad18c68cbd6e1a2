"""`bzredis watch`, on a terminal and through a pipe."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from commands.looks.conftest import LIMIT, WIDTH, Look
from commands.looks.test_get import COLOUR, PROSE, insight
from consumers.week import UPSTREAM, Bridge
from hurt import restart
from rich.console import Console
from store.servers import Peer, new_log, rating, running

from bzredis.commands.looks.drawn import live
from bzredis.commands.looks.drawn.pen import Pen
from bzredis.commands.looks.watching import Watched
from bzredis.reader import Entry, ReaderError
from bzredis.settings.addresses import redis_urls
from bzredis.settings.config import Config
from bzredis.streams import INSIGHTS

END = "q ends"
SIZE = {"COLUMNS": "70", "LINES": "24"}  # as some shells tell, and never again


def watched(peer: Peer, symbol: str = "") -> Watched:
    config = Config(redis=redis_urls(peer.server.url))
    found = Watched(config, ("ratings", "insights", "consensus"), symbol)
    found.take(found.look())
    return found


def drawn(of: Watched, width: int = WIDTH, height: int = 24) -> list[str]:
    """Draw it for a terminal of a size; nothing of it may be beyond its edges."""
    console = Console(
        file=io.StringIO(), force_terminal=True, width=width, height=height
    )
    lines = live.draw(Pen(console=console), of, "redis://here  bz")
    assert len(lines) == height
    assert max(line.cell_len for line in lines) <= width
    assert lines[-1].plain == END
    return [line.plain.rstrip() for line in lines]


# ---- what is drawn


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (140, 45), (40, 10), (20, 3)])
@pytest.mark.parametrize("symbol", ["", "AAPL"])
def test_it_fits_every_terminal(
    bridge: Bridge, size: tuple[int, int], symbol: str
) -> None:
    bridge.peer.one(insight(PROSE), INSIGHTS, log=new_log(upstream=UPSTREAM))
    drawn(watched(bridge.peer, symbol), *size)


def test_streams_and_what_came_newest_first(bridge: Bridge, look: Look) -> None:
    lines = drawn(watched(bridge.peer))
    assert lines[0].startswith("bzredis  redis://here  bz")
    assert lines[0].endswith(" CET")
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["ratings", "●", "fresh"],
        ["insights", "●", "fresh"],
        ["consensus", "●", "fresh"],
    ]
    assert " ".join(lines[5].split()) == (
        "14:20 XOM Mizuho deleted: Neutral 124.00 → 128.00"
    )
    told = "\n".join(lines)
    assert "ratings: messages may be missing from " in told
    assert "insight: Outperform" in told
    assert "BUY 4.18" in told
    bridge.go_on()
    assert "Barclays" in drawn(watched(bridge.peer))[5]


def test_a_symbol_with_bars_and_the_way_of_its_target(bridge: Bridge) -> None:
    told = "\n".join(drawn(watched(bridge.peer, "AAPL"), height=30))
    assert told.startswith("AAPL  Apple · NASDAQ · USD ")
    assert re.search(r"strong buy +█+ 10\n", told)
    assert "target was   █▁▅  274.25 to 281.5" in told
    assert "▼  Jefferies           Hold → Underperform   222.80 → 205.16" in told
    assert "Services grow" in told


def test_nothing_yet(peer: Peer) -> None:
    told = "\n".join(drawn(watched(peer)))
    assert "○ no bridge" in told
    assert told.count("no bridge has written here yet") == 1, "of each the same"
    assert "Nothing has come yet." in told
    assert "Nothing is here about X yet." in "\n".join(drawn(watched(peer, "X")))


def test_each_message_is_told_once(peer: Peer) -> None:
    found = watched(peer)
    peer.one(rating("a", 1, analyst="One"))
    assert [one.stream for one in found.take(found.look())] == ["ratings"]
    assert found.take(found.look()) == []
    peer.one(rating("a", 2, analyst="One"))  # says the same again
    assert found.take(found.look()) == []
    assert len(found.news) == 1


def test_a_symbol_is_read_again_where_something_was_said_of_it(peer: Peer) -> None:
    found = watched(peer, "AAPL")
    found.take(found.look())
    peer.one(rating("b", 1, symbol="MSFT"))
    assert found.take(found.look()) == []
    peer.one(rating("a", 1, analyst="One"))
    assert len(found.take(found.look())) == 1
    assert found.sheet is not None
    assert found.sheet.is_there


def test_a_queue_that_deletes_what_it_reads_is_no_gap(peer: Peer) -> None:
    one, log = watched(peer), "bz:ratings:events"
    for number in range(4):
        entry = peer.redis.xadd(log, {"action": "created", "news": "1"})
        if number:  # before we look
            peer.redis.xdel(log, entry)
        one.take(one.look())
        one.take(one.look())
    assert [type(each) for each in one.news] == [Entry]


def test_a_log_that_begins_anew_with_lower_ids_is_followed(peer: Peer) -> None:
    """As where Redis was emptied, and its clock is behind what it was."""
    one, log = watched(peer), "bz:ratings:events"
    peer.redis.xadd(log, {"action": "created", "news": "1"})
    one.take(one.look())
    peer.redis.delete(log)
    peer.redis.xadd(log, {"action": "created", "news": "1"}, "5-0")
    one.take(one.look())  # nobody can tell whether that was seen
    peer.redis.xadd(log, {"action": "created", "news": "1"}, "6-0")
    assert [each.id for each in one.take(one.look())] == ["6-0"]


def test_what_will_not_pass_is_no_outage(peer: Peer) -> None:
    found = watched(peer)
    with pytest.raises(ReaderError):
        found.lost(ReaderError("Redis does not let us in"))
    found.lost(ReaderError("away", passes=True))
    assert drawn(found)[1].startswith("Redis is away since ")
    assert "fresh" not in "\n".join(drawn(found)[:4]), "who knows"
    found.take(found.look())
    assert "fresh" not in drawn(found)[1]


# ---- the program


@pytest.mark.parametrize("how", ["q", "Q", "\x03", signal.SIGTERM, signal.SIGHUP])
def test_it_ends_at_once_and_leaves_the_terminal_as_it_was(
    bridge: Bridge, look: Look, how: str | signal.Signals
) -> None:
    terminal = look.terminal("watch")
    with closing(terminal):
        shown = terminal.until(lambda text: END in text)
        assert "\x1b[?1049h" in shown
        assert "XOM" in shown

        def ask() -> None:
            if how == "\x03":  # what the terminal makes of it
                terminal.process.send_signal(signal.SIGINT)
            elif isinstance(how, str):
                terminal.type(how)
            else:
                terminal.process.send_signal(how)

        assert terminal.seconds_to_end(ask) < 5
        assert terminal.ended() == 0, terminal.text
        assert terminal.text.rstrip().endswith(("\x1b[?1049l", "\x1b[?25h"))
        assert termios.tcgetattr(terminal.fd) == terminal.before


def test_changes_are_shown_as_they_come(bridge: Bridge, look: Look) -> None:
    terminal = look.terminal("watch", environ={"NO_COLOR": "1", **SIZE})
    with closing(terminal):
        shown = terminal.until(lambda text: END in text)
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)
        bridge.go_on()
        terminal.until(lambda text: "Barclays" in text)
        terminal.resize(40, 10)
        terminal.until(lambda text: frame(text).count("\n") == 9)
        terminal.type("q")
        assert terminal.ended() == 0


def frame(text: str) -> str:
    """Return what was drawn last."""
    return COLOUR.sub("", text).rpartition("bzredis")[2].partition(END)[0]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Peer]:
    """Return a server that may go and come."""
    with running("valkey", tmp_path / "own", appendonly="yes") as peer:
        yield peer


def test_redis_may_go_and_come(own: Peer, look: Look) -> None:
    own.one(rating("a", 1, analyst="One"))
    look.url = own.server.url
    terminal = look.terminal("watch")
    with closing(terminal):
        terminal.until(lambda text: "One" in text)
        trio.run(own.server.stop)
        terminal.until(lambda text: "Redis is away" in text)
        trio.run(restart, own.server)
        own.one(rating("b", 2, analyst="Two"))
        terminal.until(lambda text: "Two" in text)
        terminal.type("q")
        assert terminal.ended() == 0


def test_through_a_pipe_it_writes_lines(bridge: Bridge, look: Look) -> None:
    process = subprocess.Popen(
        look.command("watch", "XOM"),
        env=look.surroundings(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = iter(process.stdout.readline, b"")
        until(lines, "consensus: fresh")
        until(lines, "deleted: Neutral")
        bridge.go_on()
        line = until(lines, "Barclays")
        assert line.split()[1:4] == ["XOM", "up", "Barclays"]
        assert "Equal-Weight → Overweight" in line
        assert "\x1b" not in line
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0
        assert process.stderr.read() == b""


def until(lines: Iterator[bytes], words: str) -> str:
    return next(line for each in lines if words in (line := each.decode()))


def test_who_has_read_enough_ends_it(bridge: Bridge, look: Look) -> None:
    """It hears of that when it has more to say."""
    program = '("$@"; echo $? >&2) | head -n 1'
    with subprocess.Popen(
        ["/bin/sh", "-c", program, "sh", *look.command("watch")],
        env=look.surroundings(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        deadline = time.monotonic() + LIMIT
        while process.poll() is None:
            assert time.monotonic() < deadline
            bridge.say("connected", "disconnected")
            time.sleep(1)
            bridge.say("fresh")
            time.sleep(1)
        assert process.stderr.read() == b"0\n"


def test_no_redis_from_the_start(look: Look) -> None:
    """It waits for one: it may be about to start."""
    look.url = "redis://127.0.0.1:1/0"
    terminal = look.terminal("watch")
    with closing(terminal):
        terminal.until(lambda text: "Redis is away" in text and END in text)
        terminal.type("q")
        assert terminal.ended() == 0


def test_a_password_that_is_wrong_is_told_in_one_line(own: Peer, look: Look) -> None:
    look.url = own.server.url.replace("://", "://nobody:s3cr3t@")
    text = look.shown("watch", code=2)
    assert text.startswith("bzredis: Redis does not let us in: ")
    assert len(text.splitlines()) <= 2  # of the terminal
    assert "s3cr3t" not in text
