"""Insights as they are to be read: their Markdown comes from outside.

A library reads it without HTML, and another one lets through what is harmless.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

from bzredis.commands.looks.words import clean

LONGEST: Final = 100_000  # characters
TAGS: Final = {
    *("p", "br", "hr", "ul", "ol", "li", "strong", "em", "code", "pre", "blockquote"),
    *("h4", "h5", "h6", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
DEEPER: Final = 3  # a page has headings of its own above these
DEEPEST: Final = 6


@cache
def _reader() -> MarkdownIt:
    # No pictures: what would show one would tell its owner who reads.
    options = {"html": False, "linkify": False}
    return MarkdownIt("commonmark", options).enable("table").disable("image")


def prose(text: str) -> Markup:
    """Return it as HTML that does nothing but be read."""
    reader = _reader()
    tokens = reader.parse(clean(text[:LONGEST]))
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1:]) + DEEPER, DEEPEST)}"
    html = reader.renderer.render(tokens, reader.options, {})
    safe = nh3.clean(
        html,
        tags=TAGS,
        attributes={"a": {"href"}},
        url_schemes={"https", "http"},
        link_rel="noopener noreferrer nofollow",
    )
    return Markup(safe)  # noqa: S704 - it was just made safe
