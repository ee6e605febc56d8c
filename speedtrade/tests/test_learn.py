"""The help pages: what the documents say, safe to show, and a word's "?" wherever it stands."""

import re
from html.parser import HTMLParser

import pytest
from django.template import Context, Template
from django.test import Client

from speedtrade.datafolder import PROJECT
from speedtrade.lib.concepts import CONCEPTS, _concept, concept
from speedtrade.lib.terms import TERMS
from speedtrade.testing.headers import assert_safe_headers

PAGES = ["/learn", "/learn/terms", *(f"/learn/{slug}" for slug in CONCEPTS)]


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if names.get("id"):
            self.ids.append(str(names["id"]))
        if tag == "a":
            self.links.append(str(names.get("href")))


def test_every_document_of_a_noun_is_a_page():
    assert {page.stem for page in (PROJECT / "docs" / "concepts").glob("*.md")} == set(CONCEPTS)


def test_the_image_brings_the_documents():
    ignored = (PROJECT / ".dockerignore").read_text("utf-8").splitlines()
    assert "docs" not in ignored
    assert ignored.index("!docs/concepts") > ignored.index("docs/*")


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
def test_a_help_page_is_public_safe_and_in_order(client: Client, path: str):
    response = client.get(path)
    assert response.status_code == 200
    assert_safe_headers(response, path)
    read = Reader(response.content.decode())
    assert read.levels[0] == 1 and read.levels.count(1) == 1
    steps = zip(read.levels, read.levels[1:], strict=False)
    assert all(later <= before + 1 for before, later in steps)
    assert len(read.ids) == len(set(read.ids))
    for link in read.links:
        target, _, anchor = link.partition("#")
        if target.startswith("/learn") or not target:
            text = client.get(target).content.decode() if target else response.content.decode()
            assert not anchor or f'id="{anchor}"' in text, link
        assert not target.endswith(".md")


@pytest.mark.django_db
def test_there_is_no_page_of_another_name(client: Client):
    assert client.get("/learn/readme").status_code == 404


def test_html_in_a_document_stays_text():
    html = _concept("order", "# Order\n\n<script>alert(1)</script> <b onclick=x>b</b>").html
    assert "<script" not in html and "<b " not in html and "&lt;script&gt;" in html
    dangerous = _concept("order", "# Order\n\n[a](javascript:alert(1)) ![b](data:text/html,x)").html
    assert "<a" not in dangerous and "<img" not in dangerous


def test_links_lead_to_pages_and_nowhere_else():
    html = _concept(
        "order", "# Order\n\n[fill](fill.md#x) [ADR 1](../adr/0001.md) [out](https://a.example/)"
    ).html
    assert re.findall(r'href="([^"]+)"', html) == ["/learn/fill#x", "https://a.example/"]
    assert "ADR 1" in html


def test_a_heading_never_skips_a_level():
    page = _concept("order", "# Order\n\n#### Deep `down`\n\n## Next\n")
    assert re.findall(r"<(h\d) id=\"([\w-]+)\"", page.html) == [
        ("h2", "deep-down"),
        ("h2", "next"),
    ]
    assert page.sections == (("deep-down", "Deep down"), ("next", "Next"))


def test_a_table_scrolls_by_itself_and_has_no_empty_headings():
    html = concept("position").html
    assert html.count('class="table-wrap" tabindex="0"') == html.count("<table") > 0
    assert "<thead>" not in html
    assert '<th scope="col">' in concept("order").html


# ── words ───────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("key", TERMS)
def test_a_word_is_explained_in_plain_sentences(key: str):
    term = TERMS[key]
    assert re.fullmatch("[a-z-]+", key)
    assert term.learn in CONCEPTS
    assert 20 <= len(term.text) <= 220 and term.text.endswith(".")


def shown(source: str) -> str:
    return Template(source).render(Context({}))


def test_a_word_brings_its_explanation_and_a_link_for_old_browsers():
    text = shown('{% term "buying-power" "Buying power" %}')
    target = re.search(r'popovertarget="([\w-]+)"', text)
    assert target is not None
    assert f'id="{target[1]}" popover' in text
    assert TERMS["buying-power"].text in text
    assert 'href="/learn/terms#buying-power"' in text and 'href="/learn/ledger"' in text
    assert "What does Buying power mean?" in text


def test_the_same_word_twice_has_two_ids():
    text = shown('{% term "lot" %}{% term "lot" %}')
    ids = re.findall(r'\bid="([\w-]+)"', text)
    assert len(ids) == len(set(ids)) == 2


def test_an_unknown_word_is_an_error_of_the_template():
    with pytest.raises(KeyError):
        shown('{% term "no-such-word" %}')
