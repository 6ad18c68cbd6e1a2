"""What packages offer: found by name, loaded when wanted, and harmless where broken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from streams.offered import EXAMPLE, GUIDANCE, MODULE, entry_points, offer

from bzredis.commands.cli import bzredis as program
from bzredis.errors import ConfigError
from bzredis.settings.settle import configure
from bzredis.streams import RATINGS
from bzredis.streams.installed import OURS, names, offers, stream

ROOT = EXAMPLE.parents[2]
# A stream of which every part can be put in the place of another.
CODE = """
from bzredis.plugin import *
def read(envelope, sole):
    return Reading(symbol=symbol("AAPL"), headline=("1",))
table = dict(path="/x", name="rows", since="updated")
made = dict(
    name="one", path="/api/one/stream", read=read, headline=(head("eps", "eps"),)
)
ONE = Stream(**{**made, **dict(%s)})
"""
POINT = {"one": "a_package:ONE"}


def one(site: Path, change: str = "", **points: str) -> None:
    offer(site, "a-package", points or POINT, CODE % change)


def test_a_package_offers_a_stream(site: Path) -> None:
    one(site)
    assert names() == (*OURS, "one")
    found = stream("one")
    assert (found.name, found.parameters) == ("one", ("tickers", "isins"))
    assert stream("one") is found
    assert configure({"stream": ("ratings,one",)}, {}, {}).streams == ("ratings", "one")
    *_, offer = offers()
    assert (offer.origin, offer.package, offer.version) == (
        *("installed", "a-package", "1.2"),
    )


def test_the_example_is_offered_by_its_own_name(site: Path) -> None:
    offer(site, MODULE.stem, entry_points(), MODULE.read_text())
    assert {*entry_points()} == {GUIDANCE.name}
    assert stream(GUIDANCE.name).path == GUIDANCE.path


def test_nothing_is_loaded_that_nobody_named(site: Path) -> None:
    (site / "loaded.py").write_text("raise SystemExit('loaded')")
    one(site, one="a_package:ONE", bad="loaded:X")
    assert stream("one").name == "one"
    assert stream("ratings") is RATINGS
    with pytest.raises(ConfigError, match=r"the stream bad of a-package 1\.2 cannot"):
        stream("bad")
    assert configure({"stream": ("bad",)}, {}, {}).streams == ("bad",)


def test_a_name_that_is_none_is_answered_with_the_nearest(site: Path) -> None:
    one(site)
    with pytest.raises(ConfigError, match="not 'onee'; is one meant"):
        configure({"stream": ("onee",)}, {}, {})
    with pytest.raises(ConfigError, match="there is no stream 'two'"):
        stream("two")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("name='two'", "it calls itself two"),
        ("name='One'", "'One' is no part of a key"),
        ("name='o:e'", "'o:e' is no part of a key"),
        ("name='internal'", "is the bridge's own"),
        ("name=7", "name is no text"),
        ("path='wss://evil.example/s'", "is none of upstream's host"),
        ("path='//evil.example/s'", "is none of upstream's host"),
        ("path='/a/../b'", "is none of upstream's host"),
        ("path='/a?token=x'", "is none of upstream's host"),
        ("path='a'", "is none of upstream's host"),
        ("path='/a@evil.example'", "is none of upstream's host"),
        ("path=None", "path is no text"),
        ("rows=Table(**{**table, 'path': 'http://e'})", "the path of rows 'http://e'"),
        ("removals=Table(path='/x')", "removals: its name and since are needed"),
        ("rows=Table(**table)", "rows: its name, since and tickers are needed"),
        ("removals=Table(**table)", "removals without rows are never asked for"),
        ("rows=Table(**{**table, 'sizes': 'a'})", "rows: sizes is no tuple"),
        ("rows=Table(**{**table, 'since': 5})", "rows: since is no text"),
        ("parameters='tickers'", "parameters is no tuple"),
        ("parameters=(5,)", "parameters: what is no text stands there"),
        ("headline=('eps',)", "headline: what is no Head stands there"),
        ("headline=(Head('eps', 'eps'),)", "headline: about is no Field"),
        ("derived=('x',)", "derived: what is no Field stands there"),
        ("content=(Field(5, 'text', ''),)", "the field 5: name is no text"),
        ("content=(Field('a', 'int', ''),)", "its type 'int' is none of the contract"),
        ("headline=(head('a', 'b', words='c'),)", "the field 'a': words is no tuple"),
        ("weight=5", "weight is no Weight"),
        ("weight=Weight('a', 1, 1, 1)", "weight: entry is no int"),
        ("make=5", "make is no function"),
        ("rows=5", "rows is no Table"),
        ("read=5", "read is no function"),
        ("parameters=('token',)", "parameters: 'token' is none of"),
        ("state='per_symbol'", "are for upstream's consensus alone"),
        ("lookup=Table(path='/x')", "are for upstream's consensus alone"),
        ("headline=(head('news', 'eps'),)", "'news' is a field of each entry already"),
        ("headline=(head('e ps', 'eps'),)", "'e ps' is no plain name"),
        ("headline=(head('eps', 'e\"'),)", "is no field of a hash"),
        ("headline=(head('eps', 'eps'),) * 2", "'eps' stands there twice"),
        ("headline=(head('eps', '_eps'),)", "'_eps' is not in derived"),
        ("headline=5", "headline is no tuple"),
        ("derived=(Field('eps', 'text', ''),)", "has to begin with one _"),
        ("derived=(Field('_event', 'id', ''),)", "is a field of each hash already"),
        ("content=(said('_eps', 'text', ''),)", "begins with _, which is for"),
        ("samples=('garbage',)", "each is a frame as upstream sends it"),
        ("samples=('{}',)", "each is a frame as upstream sends it"),
        ("weird=1", "it cannot be loaded (TypeError: "),
    ],
)
def test_a_definition_that_breaks_the_contract_is_refused(
    site: Path, change: str, words: str
) -> None:
    one(site, change)
    with pytest.raises(ConfigError) as caught:
        stream("one")
    told = str(caught.value)
    assert told.startswith("the stream one of a-package 1.2 cannot be followed: ")
    assert words in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named"),
        ("def f(", "SyntaxError"),
        ("raise SystemExit('no')", "SystemExit: no"),
        ("raise KeyError", "it cannot be loaded (KeyError)"),
        ("class Own(BaseException): ...\nraise Own", "it cannot be loaded (Own)"),
        (
            "class Mute(Exception):\n    def __str__(self): 1 / 0\nraise Mute",
            "it cannot be loaded (Mute)",
        ),
        ("ONE = 5", "it is a int, and no bzredis.plugin.Stream"),
        ("", "AttributeError"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_a_line(
    site: Path, code: str, words: str
) -> None:
    offer(site, "a-package", POINT, code)
    with pytest.raises(ConfigError) as caught:
        stream("one")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_taken_is_no_name(site: Path) -> None:
    one(site, ratings="a_package:ONE", two="a_package:ONE")
    offer(site, "b-package", {"two": "b_package:TWO"})
    assert stream("ratings") is RATINGS
    told = {(each.name, each.package): each.wrong for each in offers()}
    assert "taken by one that is built in" in told["ratings", "a-package"]
    assert "taken by that of b-package too" in told["two", "a-package"]
    assert "taken by that of a-package too" in told["two", "b-package"]


def test_a_package_that_is_there_twice_is_no_rival_of_itself(site: Path) -> None:
    one(site)
    with pytest.MonkeyPatch.context() as patch:
        again = site.parent / "again"
        again.mkdir()
        one(again)
        patch.syspath_prepend(again)
        assert stream("one").name == "one"


def test_what_nobody_can_read_offers_nothing(site: Path) -> None:
    one(site)
    (site / "odd-1.dist-info").mkdir()
    (site / "odd-1.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe[")
    assert names() == (*OURS, "one")


# ------------------------------------------------------------------------- commands


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(program, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_plugins_are_listed_and_what_is_wrong_with_which(site: Path) -> None:
    assert run("plugins")[0] == 0
    assert "No package here brings" in run("plugins")[1]
    one(site)
    chatty = "print('hello'); 1 / 0"  # nobody takes that for an answer of ours
    offer(site, "b-package", {"two": "b_package:TWO"}, chatty)
    code, out, err = run("plugins")
    assert (code, err) == (1, "hello\n")
    assert "earnings     bzredis" in out
    assert "off unless named" in out
    [line] = [each for each in out.splitlines() if each.startswith("one ")]
    assert line.split() == ["one", "a-package", "1.2", "installed"]
    [line] = [each for each in out.splitlines() if each.startswith("two ")]
    assert "b-package 1.2" in line
    assert line.endswith(
        "BROKEN: it cannot be loaded (ZeroDivisionError: division by zero)"
    )
    code, out, _ = run("plugins", "--json")
    found = {each["name"]: each for each in json.loads(out)}
    assert code == 1
    assert [*found] == [*OURS, "one", "two"]
    assert found["one"] == {
        "name": "one",
        "origin": "installed",
        "package": "a-package",
        "version": "1.2",
        "path": "/api/one/stream",
    }
    assert "ZeroDivisionError" in found["two"]["wrong"]
    assert "path" not in found["two"]


def test_they_are_listed_whatever_the_settings_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a stream that is named there, and whose package is gone, would hide them."""
    monkeypatch.setenv("BZREDIS_STREAM", "gone")
    assert run("keys")[0] == 2
    assert run("plugins")[0] == 0


def test_keys_are_told_of_a_stream_that_is_named(site: Path) -> None:
    one(site)
    assert "bz:one:latest:SYM" not in run("keys")[1]
    for form in ("text", "markdown", "jsonschema", "asyncapi"):
        code, out, _ = run("keys", "--stream", "one", "--format", form)
        assert code == 0
        assert "one" in out
        assert "bz:ratings" not in out.partition("## Keys")[2]
    out = run("keys", "--stream", "one", "--acl")[1]
    assert "~bz:one:events" in out
    assert "~bz:insights:events" not in out
    code, _, err = run("keys", "--stream", "won")
    assert (code, "is one meant?" in err) == (2, True)


def test_a_broken_one_harms_no_other_command(site: Path) -> None:
    """In processes of their own, as they are typed."""
    told = site / "told"
    code = f"open({str(told)!r}, 'a').write('x'); raise OSError('no\\nluck')"
    offer(site, "b-package", {"two": "b_package:TWO"}, code)

    def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bzredis", *arguments],
            env={"PYTHONPATH": f"{ROOT}:{site}", "BENZINGA_TOKEN": "t0ken"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    for arguments in (("--version",), ("run", "--help")):
        assert typed(*arguments).returncode == 0
        assert not told.exists(), arguments
    done = typed("run", "--stream", "two")
    assert (done.returncode, done.stdout) == (2, "")
    words = "the stream two of b-package 1.2 cannot be followed: it cannot be loaded"
    assert done.stderr == f"bzredis: {words} (OSError: no luck)\n"
    assert told.exists()
