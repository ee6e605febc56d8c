"""Pages anybody may see, the shell around every page, and what an error looks like."""

import html
import json
import re
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from django import forms
from django.conf import settings
from django.db import OperationalError
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from speedtrade import views
from speedtrade.health import HealthReport
from speedtrade.lib.concepts import CONCEPTS
from speedtrade.lib.errors import CATALOGUE
from speedtrade.lib.problem_words import MEANINGS
from speedtrade.testing.cast import PASSWORD, make_user
from speedtrade.testing.headers import assert_safe_headers
from speedtrade.testing.market import instrument, put_quote, quote

PUBLIC = [
    "/",
    "/login",
    "/register",
    "/about/licences",
    "/offline",
    "/problems/market-closed",
    "/status",
]


class Inline(HTMLParser):
    """Collects what a strict Content-Security-Policy would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.found += [
            f"{tag}.{name}" for name in names if name == "style" or name.startswith("on")
        ]
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        if tag == "script" and names.get("src"):
            self.sources.append(str(names["src"]))
        for name in ("src", "href", "action"):
            if str(names.get(name) or "").startswith("javascript:"):
                self.found.append(f"{tag}.{name}")


def read(text: str) -> Inline:
    parser = Inline()
    parser.feed(text)
    return parser


@pytest.mark.django_db
@pytest.mark.parametrize("path", PUBLIC)
def test_public_page_is_safe_and_says_paper(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert_safe_headers(response, path)
    text = response.content.decode()
    assert read(text).found == []
    # What is kept for offline is shown to everybody, also to whoever trades real money.
    kept = path == "/offline"
    assert (">PAPER<" in text) is (">Paper money.<" in text or "paper money.<" in text) is not kept
    assert 'href="#main"' in text
    assert re.findall(r"<h1", text) == ["<h1"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "password", "production", "offered"),
    [
        ("127.0.0.1", PASSWORD, False, True),
        ("203.0.113.7", PASSWORD, False, False),
        ("127.0.0.1", "", False, False),
        ("127.0.0.1", PASSWORD, True, False),
    ],
)
def test_the_demo_login_is_offered_at_the_machine_itself_only(
    client: Client, settings: Any, address: str, password: str, production: bool, offered: bool
) -> None:
    make_user("demo")
    settings.DEMO_PASSWORD, settings.PRODUCTION = password, production
    text = client.get("/", REMOTE_ADDR=address).content.decode()
    assert ("Try the demo" in text) is offered
    assert (PASSWORD in text) is offered


@pytest.mark.django_db
def test_one_click_on_the_demo_login_is_enough(client: Client, settings: Any) -> None:
    make_user("demo")
    settings.DEMO_PASSWORD = PASSWORD
    text = client.get("/").content.decode()
    fields = dict(re.findall(r'type="hidden" name="(username|password)" value="([^"]+)"', text))
    assert client.post("/login", fields).headers["Location"] == "/dashboard"


@pytest.mark.django_db
def test_the_landing_page_shows_the_market(client: Client) -> None:
    instrument("AAPL")
    put_quote(quote("AAPL", "101.99", "102.00", now=timezone.now(), prev_close="100.00"))
    text = client.get("/").content.decode()
    assert "$102.00" in text and "+2.00%" in text and 'class="spark' in text


@pytest.mark.django_db
def test_every_script_of_a_page_is_a_file_of_ours(client: Client) -> None:
    sources = read(client.get("/").content.decode()).sources
    assert any("django_htmx" in source for source in sources)
    for source in sources:
        assert source.startswith("/static/")
        assert client.get(source).headers["Content-Type"].startswith("text/javascript")


@pytest.mark.django_db
def test_htmx_may_neither_evaluate_nor_keep_pages(client: Client) -> None:
    text = client.get("/").content.decode()
    found = re.search(r"name=\"htmx-config\" content='([^']+)'", text)
    assert found is not None
    config = json.loads(html.unescape(found[1]))
    assert (
        config["allowEval"]
        is config["allowScriptTags"]
        is config["includeIndicatorStyles"]
        is False
    )
    assert config["historyCacheSize"] == 0 and config["refreshOnHistoryMiss"] is True
    assert {"code": "422", "swap": True} in config["responseHandling"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("cookie", "theme"), [("dark", "dark"), ('"><b>', "system"), ("", "system")]
)
def test_theme_is_one_of_ours_whatever_the_cookie_says(
    client: Client, cookie: str, theme: str
) -> None:
    client.cookies["theme"] = cookie
    assert f'data-theme="{theme}"' in client.get("/").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("cookie", "palette"), [("cb", "cb"), ("red-up", "red-up"), ('"><b>', ""), ("", "")]
)
def test_palette_is_one_of_ours_whatever_the_cookie_says(
    client: Client, cookie: str, palette: str
) -> None:
    client.cookies["palette"] = cookie
    assert f'data-palette="{palette}"' in client.get("/").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_problem_has_a_page_that_says_what_to_do(client: Client, code: str) -> None:
    text = client.get(reverse("problem", args=[code.replace("_", "-")])).content.decode()
    assert html.escape(CATALOGUE[code].title) in text
    assert html.escape(CATALOGUE[code].remedy) in text


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_problem_says_what_it_means(code: str) -> None:
    meaning = MEANINGS[code]
    assert len(meaning.text) > 20 and meaning.text.endswith(".")
    assert not meaning.learn or meaning.learn in CONCEPTS
    assert set(MEANINGS) == set(CATALOGUE)


@pytest.mark.django_db
def test_a_problem_leads_to_the_page_that_explains_it(client: Client) -> None:
    text = client.get("/problems/insufficient-buying-power").content.decode()
    assert "without what your open orders hold" in text and 'href="/learn/ledger"' in text


def test_the_offline_page_is_the_same_for_all_and_asks_nobody(client: Client) -> None:
    # No django_db mark: a query would fail the test.
    first = client.get("/offline").content
    client.cookies["theme"] = "dark"
    assert client.get("/offline").content == first


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("checks", "status", "words"),
    [
        ({}, 200, "Everything works."),
        ({"feed": "last seen 45 s ago"}, 200, "Last seen 45 s ago"),
        ({"database": "down"}, 503, "What is stored is safe."),
    ],
)
def test_the_status_page_says_in_words_what_is_away(
    client: Client, monkeypatch: Any, checks: dict[str, str], status: int, words: str
) -> None:
    all_ok = dict.fromkeys(("database", "redis", "worker", "feed"), "ok")
    told = "down" if "database" in checks else "degraded" if checks else "ok"
    report = HealthReport(told, all_ok | checks)
    monkeypatch.setattr(views, "report_now", lambda: report)
    answer = client.get("/status")
    text = answer.content.decode()
    assert answer.status_code == status and words in text
    assert text.count("Works</span>") == 4 - len(checks)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("ledger", "headline", "pill"),
    [
        ("ok", "Everything works.", "gain"),
        ("not checked yet", "Everything works.", ""),
        ("differs", "The books do not add up.", "loss"),
    ],
)
def test_the_status_page_says_how_the_books_are(
    client: Client, monkeypatch: Any, ledger: str, headline: str, pill: str
) -> None:
    all_ok = dict.fromkeys(("database", "redis", "worker", "feed"), "ok")
    report = HealthReport("ok", all_ok, {"ledger": ledger})
    monkeypatch.setattr(views, "report_now", lambda: report)
    text = client.get("/status").content.decode()
    assert headline in text and text.count("Everything works.") == (ledger != "differs")
    assert f'<span class="pill {pill}">' in text


def test_the_status_page_does_not_ask_a_database_that_is_away(
    client: Client, monkeypatch: Any
) -> None:
    # No django_db mark: a query would fail the test.
    checks = {"database": "down", "redis": "ok", "worker": "ok", "feed": "ok"}
    monkeypatch.setattr(views, "report_now", lambda: HealthReport("down", checks))
    answer = client.get("/status")
    assert answer.status_code == 503 and "PAPER" not in answer.content.decode()


@pytest.mark.django_db
def test_an_unknown_problem_is_a_404_page(client: Client) -> None:
    response = client.get("/problems/nonsense")
    assert response.status_code == 404
    assert CATALOGUE["not_found"].title in response.content.decode()
    assert response.headers["X-Request-Id"] in response.content.decode()


@pytest.mark.django_db
def test_a_forged_form_is_a_403_page(alice: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    response = client.post("/logout")
    assert response.status_code == 403
    assert CATALOGUE["csrf_failed"].title in response.content.decode()


@pytest.mark.django_db
def test_a_bad_request_has_a_page(rf: RequestFactory) -> None:
    request = rf.get("/somewhere")
    response = views.bad_request(request)
    assert response.status_code == 400
    assert CATALOGUE["invalid"].title in response.content.decode()


def test_the_page_for_a_fault_asks_neither_database_nor_user(rf: RequestFactory) -> None:
    # No django_db mark: a query would fail the test. Nor is there a user or a session to ask.
    request = rf.get("/somewhere", HTTP_X_REQUEST_ID="abcdefgh-1")
    response = views.server_error(request)
    text = response.content.decode()
    assert response.status_code == 500
    assert "abcdefgh-1" in text and read(text).found == []
    assert "PAPER" not in text, "nobody knows whose page it is: real money may be theirs"


def test_a_page_says_that_the_database_is_away_without_asking_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the server is gone")

    monkeypatch.setattr("speedtrade.views.render", away)
    response = client.get("/about/licences")
    assert response.status_code == 503 and response.headers["Retry-After"]
    assert html.escape(CATALOGUE["unavailable"].title) in response.content.decode()


@pytest.mark.django_db
def test_an_error_of_the_api_is_a_problem_and_no_page(client: Client) -> None:
    response = client.get("/api/v1/nothing-here")
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "not_found"


class Sample(forms.Form):
    qty = forms.CharField(label="Shares", help_text="At most 5.", max_length=1)


def test_a_field_ties_label_help_and_error_to_its_control() -> None:
    text = str(Sample({"qty": "toolong"})["qty"].as_field_group())
    control = re.search(r"<input[^>]+>", text)
    assert control is not None
    assert 'aria-invalid="true"' in control[0]
    described = re.search(r'aria-describedby="([^"]+)"', control[0])
    assert described is not None
    assert all(f'id="{name}"' in text for name in described[1].split())
    assert '<label for="id_qty">Shares' in text and "At most 5." in text


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/register"])
def test_what_an_account_begins_with_is_what_this_house_gives(
    client: Client, settings: Any, path: str
) -> None:
    settings.PAPER_OPENING_CASH = Decimal(2500)
    text = client.get(path).content.decode()
    assert "$2,500" in text and "100,000" not in text


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/learn"])
def test_no_page_promises_an_api_for_everything(client: Client, path: str) -> None:
    assert "Everything a page can do" not in client.get(path).content.decode()


@pytest.mark.django_db
def test_an_account_page_marks_itself_and_offers_the_way_out(alice: Any) -> None:
    client = Client()
    client.force_login(alice)
    text = client.get("/settings").content.decode()
    assert re.search(r'href="/settings" aria-current="page"', text)
    assert 'action="/logout"' in text and ">PAPER<" in text and "Simulated" in text
    assert read(text).found == []


@pytest.mark.django_db
def test_a_trailing_slash_leads_to_the_page_without_it(client: Client) -> None:
    assert client.get("/login/?next=/orders").headers["Location"] == "/login?next=/orders"
    assert client.get("/no-such-page/").status_code == 404


@pytest.mark.django_db
def test_the_landing_page_says_what_it_is_and_how_to_begin(client: Client) -> None:
    for symbol in settings.WATCHLIST_DEFAULT:
        instrument(symbol)
        put_quote(quote(symbol, "101.99", "102.00", now=timezone.now(), prev_close="100.00"))
    text = client.get("/").content.decode()
    assert "Your own trading desk. Yours to host." in text
    assert text.count('class="tile"') == 6 and text.count('class="spark') == 6
    assert text.count(">Simulated<") == 2  # in the bar, and beside the prices
    assert 'href="/register"' in text and 'href="/login"' in text and "make run" in text
