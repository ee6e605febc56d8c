"""`docs/concepts/*.md` as pages: Markdown in, safe HTML out, once per process.

HTML inside the Markdown stays text. Links between the pages lead to `/learn/…`; links to other
files of the repository, which no server serves, keep their words only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.token import Token

#: page -> what it is about, in the order in which one reads them
CONCEPTS: dict[str, str] = {
    "order": "What you ask for: types, time in force, the checks, and each state of its life.",
    "fill": "What you got: which price, why that one, and what it cost.",
    "position": "What you hold: lots, average cost, and every kind of profit and loss.",
    "statement": "A month of the books that adds up, and the tax lots of a year.",
    "ledger": "Where each cent and each share is, and how that is proved.",
    "quote": "What it costs now: where a price comes from and when it counts as old.",
    "watchlist": "What you keep an eye on: lists, their order, and what the star does.",
    "alert": "What tells you that a price was reached: when it fires, and when it may again.",
    "account": "Where you trade: connecting a broker, and how its books and ours agree.",
    "broker": "Who carries orders out, and what each can do.",
    "key": "What lets a program in: scopes, accounts, addresses, and when it ends.",
}
_PAGE_LINK = re.compile(r"(?:\./)?([a-z]+)\.md(#.*)?")
_OUTSIDE = ("https://", "http://", "#", "/")


@dataclass(frozen=True, slots=True)
class Concept:
    """A page: its title, its text without that title, and its sections as (anchor, words)."""

    slug: str
    title: str
    html: SafeString
    sections: tuple[tuple[str, str], ...]


@cache
def concept(slug: str) -> Concept:
    """The page of this name; raises KeyError where CONCEPTS has none."""
    CONCEPTS[slug]
    path = Path(settings.BASE_DIR, "docs", "concepts", f"{slug}.md")
    return _concept(slug, path.read_text("utf-8"))


def _concept(slug: str, text: str) -> Concept:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens, title = _without_title(parser.parse(text), slug)
    tokens = _without_empty_heads(tokens)
    sections = _headings(tokens)
    for token in tokens:
        token.children = _own_links(token.children or []) if token.children else token.children
    for name in ("table_open", "table_close", "th_open"):
        parser.add_render_rule(name, globals()[f"_{name}"])
    rendered = parser.renderer.render(tokens, parser.options, {})
    # The parser escapes HTML (`html` is off), so what comes out is markup of its own alone.
    return Concept(slug, title, mark_safe(rendered), tuple(sections))  # noqa: S308  # nosec B308 B703 - rendered without HTML of its own


def _without_title(tokens: list[Token], slug: str) -> tuple[list[Token], str]:
    """The page's template shows the title as its h1."""
    if len(tokens) > 2 and (tokens[0].type, tokens[0].tag) == ("heading_open", "h1"):
        return tokens[3:], tokens[1].content
    return tokens, slug.capitalize()


def _without_empty_heads(tokens: list[Token]) -> list[Token]:
    """A table's head without a word in it would be read out as headings of nothing."""
    kept: list[Token] = []
    rest = iter(tokens)
    for token in rest:
        if token.type != "thead_open":
            kept.append(token)
            continue
        head = [token]
        while head[-1].type != "thead_close":
            head.append(next(rest))
        if any(one.content.strip() for one in head):
            kept += head
    return kept


def _headings(tokens: Sequence[Token]) -> list[tuple[str, str]]:
    """Number the headings so that none is skipped below the h1, and give each an anchor."""
    found, level = [], 1
    for index, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        level = min(max(int(token.tag[1]), 2), level + 1)
        token.tag = tokens[index + 2].tag = f"h{level}"
        words = tokens[index + 1].content.replace("`", "")
        token.attrSet("id", slugify(words))
        found.append((slugify(words), words))
    return found


def _own_links(children: list[Token]) -> list[Token]:
    kept, dropping = [], False
    for child in children:
        if child.type == "link_open":
            href = str(child.attrs.get("href", ""))
            page = _PAGE_LINK.fullmatch(href)
            if page and page[1] in CONCEPTS:
                child.attrSet("href", f"/learn/{page[1]}{page[2] or ''}")
            elif not href.startswith(_OUTSIDE):
                dropping = True
                continue
        if child.type == "link_close" and dropping:
            dropping = False
            continue
        kept.append(child)
    return kept


def _table_open(*_: Any) -> str:
    return (
        '<div class="table-wrap" tabindex="0" role="group" aria-label="Table">'
        '<table class="table tight">'
    )


def _table_close(*_: Any) -> str:
    return "</table></div>\n"


def _th_open(*_: Any) -> str:
    return '<th scope="col">'
