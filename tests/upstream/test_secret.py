"""The token, blacked out of what upstream repeats, however it writes it."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest

from bzredis.upstream.secret import cleaned

TOKEN = "t0ken+with/odd=signs%2b and ü"
FORMS = {
    "as it is": TOKEN,
    "in a URL": quote(TOKEN, safe=""),
    "in a form": quote_plus(TOKEN),
    "in a URL, in lower case": quote(TOKEN, safe="").lower(),
    "in JSON": json.dumps(TOKEN)[1:-1],
    "in JSON of PHP's": json.dumps(TOKEN)[1:-1].replace("/", "\\/"),
    "in JSON as UTF-8": json.dumps(TOKEN, ensure_ascii=False)[1:-1],
    "in JSON of PHP's as UTF-8": TOKEN.replace("/", "\\/"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_it_is_blacked_out_in_any_form(form: str) -> None:
    said = f'{{"error": "no such key {form}!"}}'
    wanted = '{"error": "no such key [token]!"}'
    assert cleaned(said, TOKEN) == wanted
    assert cleaned(said.encode(), TOKEN) == wanted.encode()
    assert cleaned(b"\xff" + said.encode(), TOKEN) == b"\xff" + wanted.encode()


@pytest.mark.parametrize("said", ["", '{"token": "other"}', "?token=other", "[]"])
def test_what_does_not_hold_it_stays_as_it_is(said: str) -> None:
    assert cleaned(said, TOKEN) is said
    raw = said.encode()
    assert cleaned(raw, TOKEN) is raw


def test_a_word_is_no_token() -> None:
    assert cleaned("rating", "rating") == "rating"
