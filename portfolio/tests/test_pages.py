"""The pages of the portfolio as a browser without JavaScript meets them."""

import csv
import io
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.services.accounts import account_freeze
from marketdata.models import Instrument
from portfolio.domain.lots import FillFact
from portfolio.models import CashTransfer, JournalEntry, Position
from portfolio.selectors import cash_free
from portfolio.services.books import account_lock
from portfolio.services.fills import fill_book
from portfolio.statements import csv_lines, csv_safe
from speedtrade.testing import market
from speedtrade.testing.cast import account_of, make_superuser, page_client
from speedtrade.testing.pages import page_text as text

D = Decimal
HTMX = {"HX-Request": "true"}
KEY = "0123456789abcdef" * 2


class Owner:
    """Alice, and fills that are booked as the venue's are."""

    def __init__(self, user: Any) -> None:
        self.user, self.account, self.count = user, account_of(user), 0
        self.web = page_client(user)

    def fill(self, side: str, qty: str, price: str, symbol: str = "AAPL") -> None:
        from django.db import transaction

        self.count += 1
        instrument = Instrument.objects.filter(symbol=symbol).first() or market.instrument(symbol)
        now = timezone.now()
        with transaction.atomic():
            fill_book(
                account=account_lock(self.account.pk),
                instrument=instrument,
                fact=FillFact(
                    reference=f"F{self.count:06d}",
                    order_ref=None,
                    side="buy" if side == "buy" else "sell",
                    qty=D(qty),
                    price=D(price),
                    notional=D(qty) * D(price),
                    fee=D("0.25"),
                    executed_at=now - timedelta(seconds=1),
                ),
                hold_left=D(0),
                now=now,
            )

    def price(self, last: str, symbol: str = "AAPL") -> None:
        """`last` is the ask of the quote; the previous close is 98."""
        bid = str(D(last) - D("0.01"))
        market.put_quote(market.quote(symbol, bid, last, now=timezone.now()))


@pytest.fixture
def owner(alice: Any) -> Owner:
    """Alice bought 3 and 2 AAPL at 100 and 110, sold 1 at 120; AAPL stands at 130."""
    made = Owner(alice)
    made.fill("buy", "3", "100")
    made.fill("buy", "2", "110")
    made.fill("sell", "1", "120")
    made.price("130.00")
    return made


# ── dashboard ────────────────────────────────────────────────────────────────
def test_a_new_user_is_told_what_to_do(alice: Any):
    said = text(page_client(alice).get("/dashboard"))
    assert "$100,000.00" in said and "Nothing bought yet" in said
    assert "Opening paper cash" in said and "Nothing is waiting" in said


def test_the_dashboard_shows_value_positions_and_activity(owner: Owner):
    answer = owner.web.get("/dashboard")
    said = text(answer)
    # 100,000 - 300 - 220 + 120 - 0.75 of fees, and 4 shares at 130.
    assert "$100,119.25" in said
    assert "Sold 1 AAPL at $120.00" in said
    assert "$520.00" in said
    assert 'data-portfolio="portfolio_value"' in answer.content.decode()


def test_the_dashboard_fetches_again_only_what_orders_change(owner: Owner):
    part = owner.web.get("/dashboard", headers=HTMX)
    assert b"<!doctype" not in part.content and "Watchlist" not in text(part)
    assert 'id="mine"' in part.content.decode()
    assert "HX-Request" in part["Vary"]


def test_a_frozen_account_says_so_where_people_look_first(owner: Owner):
    account_freeze(
        account_id=owner.account.pk, actor=make_superuser(), reason="Papers", now=timezone.now()
    )
    for address in ("/dashboard", "/portfolio", "/transfers"):
        assert "This account is frozen. Papers" in text(owner.web.get(address))


# ── portfolio ────────────────────────────────────────────────────────────────
def test_the_portfolio_adds_up_and_shows_each_lot(owner: Owner):
    answer = owner.web.get("/portfolio")
    said = text(answer)
    assert "Realised ▲ up +$20.00" in said
    assert "Fees paid $0.75" in said
    assert "Total return ▲ up +$119.25 (+0.12%)" in said
    lots = text(owner.web.get(f"/portfolio/lots/{Position.objects.get().pk}"))
    # First in, first out.
    assert re.search(r"2 of 3 \$100\.00 \$200\.00 at \$100\.00 Short 0 days", lots)
    assert re.search(r"2 \$110\.00 \$220\.00", lots)
    assert "?side=sell&amp;share=100#ticket" in answer.content.decode()
    assert '<svg class="donut"' in answer.content.decode()


def test_the_rows_of_holdings_escape_what_is_not_ours(owner: Owner):
    symbol = '<b>"&'
    owner.fill("buy", "1", "100")
    Instrument.objects.filter(symbol="AAPL").update(symbol=symbol)
    html = owner.web.get("/portfolio").content.decode()
    assert symbol not in html and 'href="/markets/%3Cb%3E%22&amp;"' in html
    assert html.count('data-symbol="&lt;b&gt;&quot;&amp;"') >= 4


def test_the_curve_is_told_in_the_shape_of_the_api(owner: Owner):
    told = owner.web.get("/portfolio/history?period=ALL").json()
    assert told["period"] == "ALL" and told["points"][-1]["equity"] == "100119.25"
    assert owner.web.get("/portfolio/history?period=2D").status_code == 400


# ── activity ─────────────────────────────────────────────────────────────────
def test_activity_shows_both_sides_of_each_posting(owner: Owner):
    said = text(owner.web.get("/activity"))
    assert "Bought 3 AAPL at $100.00" in said
    assert "The market Your holdings 3 AAPL 3 AAPL" in said
    assert "Your cash The market $300.00 $99,700.00" in said
    assert "Your cash Fees $0.25" in said
    assert "Outside Your cash $100,000.00 $100,000.00" in said


def test_activity_goes_on_over_the_page(owner: Owner, settings: Any):
    settings.PAGE_SIZE = 2
    first, second = owner.web.get("/activity"), owner.web.get("/activity?page=2")
    assert "Older" in text(first) and "Opening paper cash" not in text(first)
    assert "Opening paper cash" in text(second)
    assert owner.web.get("/activity?page=nine").status_code == 200


def test_the_export_is_every_fact_as_csv(owner: Owner):
    answer = owner.web.get("/activity/export")
    assert (
        answer["Content-Type"].startswith("text/csv")
        and "attachment" in answer["Content-Disposition"]
    )
    rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode())))
    assert [row["type"] for row in rows] == ["fill", "fill", "fill", "deposit"]
    assert [row["amount"] for row in rows] == ["119.75", "-220.25", "-300.25", "100000.00"]


@pytest.mark.parametrize(
    "cell, safe",
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("-300.25", "-300.25"),
        ("BTC/USD", "BTC/USD"),
        ("", ""),
    ],
)
def test_no_cell_of_the_export_is_a_formula(cell, safe):
    assert csv_safe(cell) == safe


@given(cells=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=5))
def test_any_text_comes_back_from_a_file_and_none_of_it_is_a_formula(cells):
    head, line = csv_lines(["a"] * len(cells), [cells])
    [read] = csv.reader(io.StringIO(line, newline=""))
    for given_cell, cell in zip(cells, read, strict=True):
        assert cell in (given_cell, f"'{given_cell}")
        if cell[:1] in set("=+-@\t\r\n"):
            assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", cell)  # a number stays one
    assert head.startswith("a,")


def test_a_reference_that_looks_like_a_formula_is_written_as_text(owner: Owner):
    fact = JournalEntry.objects.filter(brokerage_account=owner.account).latest("id")
    fact.pk, fact.reference = None, "=cmd()"
    fact.save()
    assert b",'=cmd()\r\n" in b"".join(owner.web.get("/activity/export"))


# ── paper cash ───────────────────────────────────────────────────────────────
def send(owner: Owner, **changes: str) -> Any:
    asked = {"direction": "deposit", "amount": "2500", "key": KEY} | changes
    return owner.web.post("/transfers", asked)


def test_paper_cash_comes_and_goes(owner: Owner):
    before = cash_free(account=owner.account)[0]
    answer = send(owner, amount="$2,500.50")
    assert (answer.status_code, answer["Location"]) == (303, "/transfers")
    assert cash_free(account=owner.account)[0] == before + D("2500.50")
    assert "Deposit: $2,500.50" in text(owner.web.get("/transfers"))
    assert send(owner, direction="withdrawal", amount="100", key="a" * 32).status_code == 303
    assert cash_free(account=owner.account)[0] == before + D("2400.50")


def test_a_form_sent_twice_moves_cash_once(owner: Owner):
    assert [send(owner).status_code, send(owner).status_code] == [303, 303]
    assert CashTransfer.objects.count() == 1


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"amount": ""}, "This field is required"),
        ({"amount": "12,5"}, "plain number"),
        ({"amount": "-5"}, "above 0"),
        ({"amount": "1000000.01"}, "up to 1000000"),
        ({"amount": "0.000000001"}, "above 0"),
        ({"direction": "withdrawal", "amount": "900000"}, "is free to withdraw"),
        ({"direction": "sideways"}, "valid choice"),
        ({"key": "x"}, "too old"),
    ],
)
def test_what_cannot_be_moved_comes_back_with_the_reason(owner: Owner, changes, words):
    answer = send(owner, **changes)
    assert answer.status_code == 422
    assert words in text(answer)
    assert not CashTransfer.objects.exists()


# ── who sees what, and how often the database is asked ───────────────────────
@pytest.mark.parametrize(
    "address", ["/dashboard", "/portfolio", "/activity", "/activity/export", "/transfers"]
)
def test_each_page_is_private(owner: Owner, charlie: Any, address: str):
    answer = page_client().get(address)
    assert answer.status_code == 302 and answer["Location"].startswith("/login")
    stranger = page_client(charlie).get(address)
    body = b"".join(stranger) if stranger.streaming else stranger.content
    assert stranger.status_code == 200 and b"Bought" not in body and b"AAPL at" not in body
    assert b"fill" not in b"".join(page_client(charlie).get("/activity/export"))
    assert stranger["Cache-Control"] == "no-store"


def test_no_page_asks_the_database_too_often(alice: Any, django_assert_max_num_queries: Any):
    owner = Owner(alice)
    for number in range(60):
        symbol = f"S{number:02d}"
        owner.fill("buy", "1", "100", symbol)
        owner.fill("buy", "1", "101", symbol)
        owner.price("102.00", symbol)
    for address in ("/dashboard", "/portfolio", "/activity", "/transfers", "/portfolio/history"):
        with django_assert_max_num_queries(25):
            assert owner.web.get(address).status_code == 200, address
