"""What is thought of upstream's answers: one cause, one line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import attrs
import pytest

from bzredis.commands.setup.checks.answers import Answer, clocks, judged
from bzredis.commands.setup.checks.lines import Finding

HOST, REST = "api.example:443", "rest.example:443"
NOW = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)
DATE = format_datetime(NOW, usegmt=True)
STREAMS = [
    Answer(f"stream {name}", "stream", HOST, date=DATE, at=NOW)
    for name in ("ratings", "insights", "consensus")
]
TABLES = [
    Answer("rest ratings", "rows", HOST, date=DATE, at=NOW),
    Answer("removed ratings", "removals", HOST, date=DATE, at=NOW),
    Answer("rest consensus", "lookup", HOST, date=DATE, at=NOW),
]
WELL = [*STREAMS, *TABLES]


def found(*answers: Answer) -> dict[str, Finding]:
    judgements = [*judged(answers, "", "THE_VARIABLE")]
    assert len({each.name for each in judgements}) == len(judgements)
    return {each.name: each for each in judgements}


def ill(*answers: Answer) -> dict[str, Finding]:
    judgements = found(*answers)
    return {k: v for k, v in judgements.items() if v.state in {"warning", "error"}}


def all_as(answers: list[Answer], **told: Any) -> list[Answer]:
    return [attrs.evolve(each, **told) for each in answers]


def test_all_is_well() -> None:
    judgements = found(*WELL)
    assert {each.state for each in judgements.values()} == {"ok"}
    assert [*judgements] == ["host", *(each.name for each in WELL), "clock"]


def test_a_token_that_upstream_does_not_know_is_told_once() -> None:
    [(name, finding)] = ill(*all_as(WELL, words="h answered 401", status=401)).items()
    assert (name, finding.state) == ("token", "error")
    assert "THE_VARIABLE (HTTP 401)" in finding.words


def test_a_host_that_cannot_be_reached_is_told_once() -> None:
    [(name, finding)] = ill(*all_as(WELL, words="h cannot be reached")).items()
    assert (name, finding.state) == ("host", "error")
    assert finding.words == "h cannot be reached"
    late = all_as(WELL, words="h did not answer", is_late=True)
    assert [*ill(*late)] == ["host"]


def test_so_is_that_of_rest_where_it_is_another() -> None:
    tables = all_as(TABLES, words="no", place=REST)
    assert [*ill(*STREAMS, *tables)] == ["rest host"]


def test_a_place_that_is_taken_in_all_streams_is_told_once() -> None:
    taken = all_as(STREAMS, words="h answered 429", status=429)
    [(name, finding)] = ill(*taken, *TABLES).items()
    assert (name, finding.state) == ("connection", "warning")
    assert "ratings, insights, consensus" in finding.words


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        (403, "error", "this key may not have it (HTTP 403)"),
        (429, "warning", "another connection has the place of this key"),
        (401, "error", "this key may not have it (HTTP 401)"),
        (503, "warning", "h answered"),
        (0, "error", "h answered"),
    ],
)
def test_one_stream_that_is_not_given(status: int, state: str, words: str) -> None:
    first, *others = WELL
    bad = attrs.evolve(first, words="h answered", status=status)
    [(name, finding)] = ill(bad, *others).items()
    assert (name, finding.state) == ("stream ratings", state)
    assert words in finding.words
    assert finding.todo


@pytest.mark.parametrize(
    ("at", "status", "state", "words"),
    [
        (3, 403, "warning", "announced as a gap and not fetched"),
        (4, 403, "warning", "each outage leaves one gap"),
        (5, 403, "warning", "stays unattributed"),
        (3, 429, "warning", "h answered"),
        (3, 0, "warning", "h answered"),
    ],
)
def test_one_table_that_is_not_given(
    at: int, status: int, state: str, words: str
) -> None:
    answers = [*WELL]
    answers[at] = attrs.evolve(WELL[at], words="h answered", status=status)
    [(name, finding)] = ill(*answers).items()
    assert (name, finding.state) == (WELL[at].name, state)
    assert words in finding.words


def test_one_that_hangs_is_to_be_mended() -> None:
    *others, last = WELL
    late = attrs.evolve(last, words="h did not answer", is_late=True)
    [finding] = ill(*others, late).values()
    assert finding.state == "error"


def test_what_was_not_asked_is_no_trouble() -> None:
    skipped = all_as(STREAMS, words="a bridge runs", is_skipped=True)
    judgements = found(*skipped, *TABLES)
    assert judgements["stream ratings"].state == "skipped"
    assert judgements["host"].state == "ok"
    alone = found(*all_as(skipped, date=""))
    assert {each.state for each in alone.values()} == {"skipped"}


@pytest.mark.parametrize(
    ("seconds", "state", "words"),
    [
        (0, "ok", "agrees"),
        (5, "ok", "agrees"),
        (-5, "ok", "agrees"),
        (6, "warning", "6 seconds ahead of upstream's"),
        (-6, "warning", "6 seconds behind upstream's"),
        (3_600, "error", "1 hour ahead of upstream's"),
        (-3_600, "error", "1 hour behind upstream's"),
    ],
)
def test_clocks(seconds: int, state: str, words: str) -> None:
    finding = clocks(NOW + timedelta(seconds=seconds), NOW)
    assert (finding.name, finding.state) == ("clock", state)
    assert words in finding.words


@pytest.mark.parametrize("date", ["", "yesterday", "Sat, 99 Nov 2026 12:00:00 GMT"])
def test_a_time_that_nobody_told_is_not_compared(date: str) -> None:
    assert found(*all_as(WELL, date=date))["clock"].state == "skipped"
