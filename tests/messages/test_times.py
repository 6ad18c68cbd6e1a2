from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bzredis.messages.times import (
    EASTERN,
    NS,
    NS_PER_MS,
    comparable,
    instant,
    milliseconds,
    published,
    rfc3339,
)

SECOND = 1728069666  # 2024-10-04T19:21:06Z
LAST = datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-10-04T19:21:06Z", SECOND * NS),
        ("2024-10-04T19:21:06.880730108Z", SECOND * NS + 880_730_108),
        ("2024-10-04T19:21:06.88073010899Z", SECOND * NS + 880_730_108),
        ("2024-10-04T19:21:06.5", SECOND * NS + 500_000_000),
        ("2024-10-04 19:21:06+00:00", SECOND * NS),
        ("2024-10-04t15:21:06.1-04:00", SECOND * NS + 100_000_000),
        ("2024-10-05T00:51:06+0530", SECOND * NS),
        ("2024-10-04T19:21:06z", SECOND * NS),
        ("1728069666", SECOND * NS),
        ("1728069666.25", SECOND * NS + 250_000_000),
        ("1728069666880", SECOND * NS + 880_000_000),
        ("1728069666880.5", SECOND * NS + 880_500_000),
        ("1728069666880730", SECOND * NS + 880_730_000),
        ("1728069666880730108", SECOND * NS + 880_730_108),
        ("99999999999", 99_999_999_999 * NS),  # the last count taken for seconds
        ("100000000000", 100_000_000 * NS),  # the first one taken for milliseconds
        ("99999999999999", 99_999_999_999_999 * NS_PER_MS),  # and the last
        ("100000000000000", 100_000_000 * NS),  # microseconds
        ("100000000000000000", 100_000_000 * NS),  # nanoseconds
    ],
)
def test_an_instant_is_read_in_any_form(text: str, expected: int) -> None:
    assert instant(text) == expected
    assert milliseconds(text) == expected // NS_PER_MS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0000000000000",
        "-1728069666",
        "yesterday",
        "2024-10-04",
        "2024-13-04T19:21:06Z",
        "2024-10-04T24:60:00Z",
        "2024-10-04T19:21:06+24:00",
        "0001-01-01T00:00:00Z",  # Go's "not known"
        "0001-01-01T00:00:00+05:00",
        "1969-12-31T23:59:59.999Z",
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59-05:00",
        "9999-01-01T00:00:00Z",
        "999999999999999999999",  # over every unit
        "٢٠٢٤-10-04T19:21:06Z",  # digits, but not ours
        "2024-10-04T19:21:06Z\n",
    ],
)
def test_what_is_no_known_time_is_none(text: str) -> None:
    assert instant(text) is None
    assert milliseconds(text) is None
    assert comparable(text) == ""


def test_a_time_that_only_looks_like_one_does_not_compare() -> None:
    assert comparable("2024-99-99T99:99:99Z") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-10-04T19:21:06Z", "2024-10-04T19:21:06Z"),
        ("2024-10-04T19:21:06.880730108Z", "2024-10-04T19:21:06.880730108Z"),
        ("2024-10-04T15:21:06.5-04:00", "2024-10-04T19:21:06.500000000Z"),
        ("2024-10-04T19:21:06.1234567891Z", "2024-10-04T19:21:06.123456789Z"),
        ("1728069666880", "2024-10-04T19:21:06.880000000Z"),
    ],
)
def test_comparable_is_utc(text: str, expected: str) -> None:
    assert comparable(text) == expected


MOMENTS = st.builds(
    lambda moment, ns: (moment.replace(microsecond=0), ns),
    st.datetimes(datetime(1970, 1, 3), LAST.replace(tzinfo=None)),  # noqa: DTZ001 - the zone comes below
    st.integers(1, NS - 1),
)
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m)))


@st.composite
def written(draw: st.DrawFn) -> tuple[tuple[datetime, int], str]:
    """Draw a moment, and a way to write it."""
    moment, ns = draw(MOMENTS)
    zone = draw(ZONES)
    fraction = f"{ns:09d}"
    if draw(st.booleans()):
        fraction = fraction.rstrip("0")
    local = moment.replace(tzinfo=UTC).astimezone(zone)
    offset = local.strftime("%z")
    if zone.utcoffset(None) == timedelta():
        offset = draw(st.sampled_from(["Z", "z", "", "+00:00"]))
    stem = local.replace(tzinfo=None).isoformat(sep=draw(st.sampled_from("Tt ")))
    return (moment, ns), f"{stem}.{fraction}{offset}"


def as_lua_sees_it(text: str) -> tuple[int, int]:
    """Do what `moment` in order.lua does."""
    match = re.fullmatch(r"(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)\.?(\d*)Z", text)
    assert match is not None
    *parts, rest = match.groups()
    return int("".join(parts)), int((rest + "0" * 9)[:9])


@given(written(), written())
def test_instants_order_like_what_they_were_written_from(
    one: tuple[tuple[datetime, int], str], other: tuple[tuple[datetime, int], str]
) -> None:
    (a, written_a), (b, written_b) = one, other
    at_a, at_b = instant(written_a), instant(written_b)
    assert at_a is not None
    assert at_b is not None
    assert (at_a < at_b, at_a == at_b) == (a < b, a == b)
    moments = [as_lua_sees_it(comparable(text)) for text in (written_a, written_b)]
    assert (moments[0] < moments[1]) == (at_a < at_b)
    assert (moments[0] == moments[1]) == (at_a == at_b)


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    found = instant(text)
    assert found is None or 0 < found < (LAST.timestamp() + 1) * NS
    published(text, text)


@given(st.datetimes(datetime(1970, 1, 2), datetime(9998, 12, 31)))  # noqa: DTZ001
@example(datetime(2024, 3, 10, 2, 30, 15))  # noqa: DTZ001 - there is no such time
@example(datetime(2024, 11, 3, 1, 59, 59))  # noqa: DTZ001 - there are two
def test_a_plain_publication_is_new_yorks_time_to_the_second(wall: datetime) -> None:
    expected = wall.replace(microsecond=0, tzinfo=EASTERN).timestamp() * 1_000
    assert published(f"{wall:%Y-%m-%d}".zfill(10), f"{wall:%H:%M:%S}") == expected


@given(st.integers(0, int(LAST.timestamp()) * 1000))
def test_rfc3339_is_read_back(ms: int) -> None:
    text = rfc3339(ms)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(
        ms // 1000, UTC
    ) + timedelta(milliseconds=ms % 1000)


@pytest.mark.parametrize(
    ("day", "clock", "expected"),
    [
        ("2024-10-04", "15:21:06", "2024-10-04T19:21:06.000Z"),  # summer: UTC-4
        ("2024-12-04", "15:21:06", "2024-12-04T20:21:06.000Z"),  # winter: UTC-5
        (" 2024-10-04 ", " 15:21:06 ", "2024-10-04T19:21:06.000Z"),
        ("2024-10-04", "", "2024-10-04T04:00:00.000Z"),
        ("2024-10-04", "soon", "2024-10-04T04:00:00.000Z"),
        ("2024-11-03", "01:30:00", "2024-11-03T05:30:00.000Z"),  # the first of two
        ("2024-03-10", "02:30:00", "2024-03-10T07:30:00.000Z"),  # which never was
        ("2024-11-03", "09:30:00", "2024-11-03T14:30:00.000Z"),  # of 25 hours …
        ("2024-03-10", "09:30:00", "2024-03-10T13:30:00.000Z"),  # … and of 23
        ("2024-10-04", "15:21:06+02:00", "2024-10-04T19:21:06.000Z"),
        ("2024-10-04", "15:21:06.5", "2024-10-04T19:21:06.500Z"),
        ("2026-07-01", "9:30:00", "2026-07-01T13:30:00.000Z"),
        # Twelve hours.
        ("2024-10-04", "09:30:00 AM", "2024-10-04T13:30:00.000Z"),
        ("2024-10-04", "4:05 PM", "2024-10-04T20:05:00.000Z"),
        ("2024-10-04", "4:05:06.5pm", "2024-10-04T20:05:06.500Z"),
        ("2024-10-04", "11:59 p.m.", "2024-10-05T03:59:00.000Z"),
        ("2024-10-04", "12:00 AM", "2024-10-04T04:00:00.000Z"),
        ("2024-10-04", "12:30 PM", "2024-10-04T16:30:00.000Z"),
        ("2024-10-04", "00:30 AM", "2024-10-04T04:30:00.000Z"),
        ("2024-10-04", "16:05 PM", "2024-10-04T20:05:00.000Z"),
        ("2024-10-04", "4 PM", "2024-10-04T20:00:00.000Z"),
        ("2024-10-04", "4:05:06\u202fPM", "2024-10-04T20:05:06.000Z"),  # as browsers do
        ("2024-10-04", "25:05 AM", "2024-10-04T04:00:00.000Z"),
        ("2024-10-04", "AM", "2024-10-04T04:00:00.000Z"),
        # A date that tells the time, in its own zone or in New York's.
        ("2024-10-04T15:21:06Z", "09:00:00", "2024-10-04T15:21:06.000Z"),
        ("2024-10-04T15:21:06.25+02:00", "", "2024-10-04T13:21:06.250Z"),
        ("2024-10-04T15:21:06", "09:00:00", "2024-10-04T19:21:06.000Z"),
        ("2024-10-04 15:21:06.5", "", "2024-10-04T19:21:06.500Z"),
        # Midnight, as programs write a date that has no time.
        ("2024-10-04T00:00:00Z", "09:30:00", "2024-10-04T13:30:00.000Z"),
        ("2024-10-04T00:00:00.000Z", "9:30 AM", "2024-10-04T13:30:00.000Z"),
        ("2024-10-04T00:00:00", "09:30:00", "2024-10-04T13:30:00.000Z"),
        ("2024-10-04 00:00:00", "09:30:00", "2024-10-04T13:30:00.000Z"),
        ("2024-10-04T00:00:00-04:00", "09:30:00", "2024-10-04T13:30:00.000Z"),
        ("2024-10-04T00:00:00Z", "", "2024-10-04T04:00:00.000Z"),
    ],
)
def test_publication_is_on_new_yorks_wall(day: str, clock: str, expected: str) -> None:
    found = published(day, clock)
    assert found is not None
    assert rfc3339(found) == expected


@pytest.mark.parametrize(
    ("day", "clock"),
    [
        ("", "09:30:00"),
        ("soon", ""),
        ("0000-00-00", ""),
        ("0001-01-01", "00:00:00"),
        ("1969-12-31", "00:00:00"),
        ("9999-12-31", "23:00:00"),
        ("Tomorrow", ""),
        ("2024-13-04T15:21:06Z", "09:30:00"),
        ("2024-13-04T00:00:00Z", "09:30:00"),
        ("2024-10-04T24:61:00Z", "09:30:00"),
    ],
)
def test_no_publication_without_a_day(day: str, clock: str) -> None:
    assert published(day, clock) is None
