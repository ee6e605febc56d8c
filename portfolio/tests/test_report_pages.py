"""Activity, statements and tax lots as a browser without JavaScript meets them."""

import csv
import gzip
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils.text import slugify

from accounts.models import BrokerageAccount
from portfolio.models import EntryKind, JournalEntry, LedgerAccount
from portfolio.selectors import summary_get
from portfolio.tests.ledger import Ledger
from portfolio.tests.test_pages import HTMX, text
from speedtrade.testing.cast import page_client

D = Decimal
PAGES = ("/activity", "/statements", "/statements/2026-11", "/taxes", "/taxes/2026")
FILES = ("/activity/export", "/statements/2026-11/csv", "/taxes/2026/csv")


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    """Opened on 18 November; 3 AAPL and 2 BTC bought on the 19th, 1 AAPL sold on the 21st."""
    ledger.wait(86_400)
    ledger.fill("buy", "3", "100", "0.25")
    ledger.fill("buy", "2", "50", symbol="BTC/USD")
    ledger.wait(2 * 86_400)
    ledger.fill("sell", "1", "120.123456", "0.50")
    ledger.deposit("1000")
    return ledger


@pytest.fixture
def web(books: Ledger) -> Client:
    return page_client(books.user)


def rows_of(answer: Any) -> list[dict[str, str]]:
    assert answer["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(b"".join(answer).decode())))


# ── activity ─────────────────────────────────────────────────────────────────
def test_each_row_says_the_cash_that_it_left(web: Client):
    said = text(web.get("/activity"))
    assert "Cash $99,699.75" in said  # 100,000 - 300 - 0.25, the fee included
    assert "Cash $100,719.373456" in said  # exact, where a cent would not be
    assert "5 bookings" in said


@pytest.mark.parametrize(
    "query, words",
    [
        ("", ["Paper deposit", "Sold", "Bought", "Bought", "Opening"]),
        ("kind=trades", ["Sold", "Bought", "Bought"]),
        ("kind=transfers", ["Paper deposit", "Opening"]),
        ("kind=fees", ["Sold", "Bought"]),
        ("kind=dividends", []),
        ("symbol=aapl", ["Sold", "Bought"]),
        ("symbol=btc-usd", ["Bought"]),
        ("symbol=%3D1", []),
        ("since=2026-11-20", ["Paper deposit", "Sold"]),
        ("until=2026-11-18", ["Opening"]),
        ("since=2026-11-19&until=2026-11-19", ["Bought", "Bought"]),
        ("kind=trades&symbol=AAPL&since=2026-11-20", ["Sold"]),
    ],
)
def test_filters_narrow_the_page_and_the_file_alike(web: Client, query: str, words: list[str]):
    page = web.get(f"/activity?{query}")
    entries = [entry for _, day in page.context["days"] for entry in day]
    references = [entry.reference for entry in entries]
    assert len(entries) == len(words)
    said = text(page)
    assert all(word in said for word in words)
    assert ("Nothing matches these filters" in said) is (not words)
    assert [row["reference"] for row in rows_of(web.get(f"/activity/export?{query}"))] == references


def test_pages_and_file_keep_the_filters(books: Ledger, web: Client, settings: Any):
    settings.PAGE_SIZE = 1
    page, account = web.get("/activity?kind=trades&since=2026-11-19&page=2"), books.account.pk
    html = page.content.decode()
    assert 'href="?page=3&amp;kind=trades&amp;since=2026-11-19"' in html
    assert (
        f'href="/activity/export?account_id={account}&amp;kind=trades&amp;since=2026-11-19"' in html
    )
    assert '<option value="trades" selected>' in html and 'value="2026-11-19"' in html
    assert "3 bookings of this kind" in text(page)


@pytest.mark.parametrize(
    "query, words",
    [
        ("kind=gifts", "valid choice"),
        ("since=yesterday", "valid date"),
        ("until=9999-12-31", "9000"),
        ("since=2026-11-20&until=2026-11-19", "before the first one"),
    ],
)
def test_what_is_no_filter_comes_back_with_the_reason(web: Client, query: str, words: str):
    answer = web.get(f"/activity?{query}&symbol=AAPL")
    assert answer.status_code == 422
    assert words in text(answer) and 'value="AAPL"' in answer.content.decode()
    assert not answer.context["days"] and "Nothing has happened" not in text(answer)
    assert web.get(f"/activity/export?{query}").status_code == 302


def test_htmx_gets_the_rows_alone(web: Client):
    part = web.get("/activity?kind=trades", headers=HTMX)
    assert b"<!doctype" not in part.content and b'<div id="entries"' in part.content
    assert "HX-Request" in part["Vary"]


# ── statements ───────────────────────────────────────────────────────────────
def test_the_months_are_listed_with_what_was_left(web: Client, books: Ledger):
    books.clock.move_to(datetime(2027, 1, 5, tzinfo=UTC))
    said = text(page_client(books.user).get("/statements"))
    assert said.index("January 2027 so far") < said.index("December 2026") < said.index("November")
    assert "November 2026 5 $100,619.373456 $100,619.373456".replace("619", "719") in said


def test_a_statement_says_each_sum_and_each_booking(web: Client):
    said = text(web.get("/statements/2026-11"))
    for words in (
        "Opening balance $0.00",
        "Deposits $101,000.00",
        "Withdrawals $0.00",
        "Purchases −$400.00",
        "Sales $120.123456",
        "Fees −$0.75",
        "Balance so far $100,719.373456",
        "▲ up +$20.123456",
        "AAPL AAPL of the tests 2 $200.00",
        "BTC/USD BTC/USD of the tests 2 $100.00",
        "Together $300.00",
        "Bought 3 AAPL at $100.00 $0.25 −$300.25 $99,699.75",
    ):
        assert words in said


def test_the_file_of_a_statement_leads_from_its_opening_to_its_closing(web: Client):
    rows = rows_of(web.get("/statements/2026-11/csv"))
    assert (rows[0]["type"], rows[0]["cash"]) == ("opening", "0.00")
    assert (rows[-1]["type"], rows[-1]["cash"]) == ("closing", "100719.373456")
    cash = D(rows[0]["cash"])
    for row in rows[1:-1]:
        cash += D(row["amount"])
        assert D(row["cash"]) == cash
    assert cash == D(rows[-1]["cash"])


@pytest.mark.parametrize("month", ["2026-10", "2026-12", "2026-13", "november", "2026-1"])
def test_another_month_is_not_found(web: Client, month: str):
    assert web.get(f"/statements/{month}").status_code == 404
    assert web.get(f"/statements/{month}/csv").status_code == 404


# ── taxes ────────────────────────────────────────────────────────────────────
def test_a_tax_year_shows_what_each_sale_used_up(web: Client):
    said = text(web.get("/taxes"))
    # What a phone has no column for stands beside what it has one for.
    assert "1 AAPL Nov 19, 2026 to Nov 21, 2026 · Short Nov 19, 2026 Nov 21, 2026" in said
    assert "Nov 21, 2026 $120.123456 cost $100.00 $100.00 ▲ up +$20.123456 Short" in said
    assert "Fees paid in 2026: $0.75" in said
    assert said.count("+$20.123456") == 3  # the lot, short term, both
    [row] = rows_of(web.get("/taxes/2026/csv"))
    assert row == {
        "description": "1 AAPL",
        "symbol": "AAPL",
        "quantity": "1",
        "date acquired": "11/19/2026",
        "date sold": "11/21/2026",
        "proceeds": "120.123456",
        "cost": "100.00",
        "gain": "20.123456",
        "term": "short",
        "bought by": "T000001",
        "sold by": "T000003",
    }


def test_a_year_without_a_sale_says_so(alice: Any):
    assert "Nothing was sold in this year" in text(page_client(alice).get("/taxes"))
    assert page_client(alice).get("/taxes/1999").status_code == 404


# ── who sees what, and how much it costs ─────────────────────────────────────
@pytest.mark.parametrize("address", [*PAGES, *FILES])
def test_nobody_else_sees_the_books(web: Client, charlie: Any, address: str):
    assert page_client().get(address)["Location"].startswith("/login")
    answer = page_client(charlie).get(address)
    body = b"".join(answer) if answer.streaming else answer.content
    assert answer.status_code == 200 and b"Bought" not in body and b"AAPL at" not in body
    assert b"120.12" not in body and answer["Cache-Control"] == "no-store"


# ── of the account that the page shows ───────────────────────────────────────
@pytest.mark.parametrize(
    "address, file",
    [
        ("/activity", "activity-2026-11-21"),
        ("/statements/2026-11", "statement-2026-11"),
        ("/taxes/2026", "tax-lots-2026"),
        ("/portfolio", "holdings-2026-11-21"),
    ],
)
def test_a_file_is_of_the_account_of_its_page_whatever_is_chosen_meanwhile(
    books: Ledger, web: Client, address: str, file: str
):
    mine = books.account
    other = BrokerageAccount.objects.create(user=books.user, label="Other", created_at=books.now)
    links = re.findall(r'href="([^"]+)" download', web.get(address).content.decode())
    web.post("/settings/brokers/choose", {"account_id": other.pk})
    [answer] = [web.get(unescape(link)) for link in links]
    body = b"".join(answer).decode()
    assert "AAPL" in body and "AAPL" not in text(web.get(address))
    name = f"speedtrade-{slugify(mine.label)}-{mine.pk}-{file}.csv"
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'


def test_cash_that_was_offered_to_an_account_arrives_there_whatever_is_chosen(
    books: Ledger, web: Client
):
    poor = BrokerageAccount.objects.create(user=books.user, label="Poor", created_at=books.now)
    web.post("/settings/brokers/choose", {"account_id": poor.pk})
    form = re.search(
        r'<form method="post" action="/transfers".*?</form>',
        web.get("/dashboard").content.decode(),
        re.S,
    )
    assert form is not None
    given = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form.group()))
    web.post("/settings/brokers/choose", {"account_id": books.account.pk})
    assert web.post("/transfers", given).status_code == 303
    assert summary_get(account=poor, now=books.now).cash_balance == D(given["amount"])


def test_cash_for_an_account_at_a_broker_is_refused_in_words(books: Ledger, web: Client):
    there = BrokerageAccount.objects.create(
        user=books.user, label="There", broker="alpaca", created_at=books.now
    )
    given = {"direction": "deposit", "amount": "5", "key": "a" * 32, "account_id": there.pk}
    answer = web.post("/transfers", given)
    assert answer.status_code == 422 and 'role="alert"' in answer.content.decode()


def crowd(account: BrokerageAccount, count: int, at: datetime) -> None:
    """`count` purchases and sales in the journal, with their postings, in three statements."""
    first = JournalEntry.objects.filter(brokerage_account=account, kind=EntryKind.FILL).first()
    assert first is not None
    with connection.cursor() as cursor:
        # As a sale each second one; through the ORM they would take longer than to be looked at.
        cursor.execute(
            "INSERT INTO portfolio_journalentry (brokerage_account_id, kind, reference,"
            " effective_at, created_at, amount, instrument_id, side, qty, price, notional, fee)"
            " SELECT %(account)s, 'fill', 'C' || lpad(n::text, 6, '0'), at, at,"
            " CASE side WHEN 'buy' THEN -10.12345678 ELSE 11.12345678 END,"
            " %(instrument)s, side, 1, 10.12345678,"
            " CASE side WHEN 'buy' THEN 10.12345678 ELSE 11.12345678 END, 0"
            " FROM (SELECT n, %(at)s::timestamptz + n * interval '1 second' AS at,"
            " CASE n %% 2 WHEN 0 THEN 'buy' ELSE 'sell' END AS side"
            " FROM generate_series(0, %(count)s::int - 1) n) AS made",
            {
                "account": account.pk,
                "instrument": first.instrument_id,
                "at": at,
                "count": count,
            },
        )
    cash = LedgerAccount.objects.get(brokerage_account=account, kind="cash")
    other = LedgerAccount.objects.get(brokerage_account=account, kind="market", asset="USD")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO portfolio_transfer (journal_id, source_id, target_id, asset, amount,"
            " source_balance, target_balance, source_version, target_version)"
            " SELECT id, %s, %s, 'USD', 10, 1234.56 + id, 5, 1000 + id, 1000 + id"
            " FROM portfolio_journalentry WHERE reference LIKE 'C%%'",
            [cash.pk, other.pk],
        )
        cursor.execute("ANALYZE portfolio_journalentry, portfolio_transfer")


def test_fifty_thousand_bookings_cost_no_more_than_a_few(
    books: Ledger, django_assert_max_num_queries: Any
):
    crowd(books.account, 50_000, books.now + timedelta(seconds=1))
    books.wait(86_400)
    web = page_client(books.user)
    addresses = [*PAGES, "/activity?kind=trades&symbol=AAPL&page=900", "/statements/2026-11?page=9"]
    for address in addresses:
        with django_assert_max_num_queries(25):
            answer = web.get(address)
        assert answer.status_code == 200, address
        assert len(gzip.compress(answer.content)) < 30_000, address
    assert "50,005 bookings" in text(web.get("/activity"))
    assert sum(1 for _ in b"".join(web.get("/activity/export")).splitlines()) == 50_006
