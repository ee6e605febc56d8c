"""The dashboard and the portfolio where they are hard: very many, very large, nothing at all."""

import csv
import gzip
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from marketdata.models import Instrument
from marketdata.services.watchlists import watchlist_add
from portfolio.models import EquitySnapshot, LedgerAccount, Lot, Position, WelcomeDismissal
from portfolio.tests.ledger import Ledger
from portfolio.tests.test_pages import HTMX, text
from speedtrade.testing import market
from speedtrade.testing.cast import account_of, page_client

D = Decimal
MOST_QUERIES, MOST_BYTES = 25, 30 * 1024
PAGES = ("/dashboard", "/portfolio", "/portfolio?benchmark=SPY&period=1Y&sort=return")


@pytest.fixture
def web(alice: Any) -> Client:
    return page_client(alice)


def html(answer: Any) -> str:
    return str(answer.content.decode())


def put(symbol: str, last: str, before: str, tick: str = "0.01", **changes: Any) -> None:
    market.put_quote(
        market.quote(
            symbol, last, last, step=tick, now=timezone.now(), prev_close=before, **changes
        )
    )


def plant(ledger: Ledger, days: int, change: Any = lambda n: n * 10) -> None:
    """One snapshot a day up to yesterday."""
    ledger.account.created_at = ledger.now - timedelta(days=days)
    ledger.account.save()
    EquitySnapshot.objects.bulk_create(
        EquitySnapshot(
            brokerage_account=ledger.account,
            at=ledger.now - timedelta(days=days - n),
            cash=D(100_000) + change(n),
            positions_value=0,
            net_deposits=D(100_000),
        )
        for n in range(days)
    )


# ── three hundred positions ──────────────────────────────────────────────────
@pytest.fixture
def crowd(ledger: Ledger) -> Ledger:
    """Three hundred positions with names of sixty characters, three lots each, half at a loss."""
    now = ledger.now
    blank = market.instrument("S000", price_tick=D("0.00000001"))
    fields = {f.attname: getattr(blank, f.attname) for f in Instrument._meta.fields}
    rows = [
        Instrument(
            **fields | {"id": None, "symbol": f"S{n:03d}", "name": f"{n:03d} ".ljust(60, "N")}
        )
        for n in range(1, 300)
    ]
    instruments = [blank, *Instrument.objects.bulk_create(rows)]
    held = Position.objects.bulk_create(
        Position(
            brokerage_account=ledger.account,
            instrument=instrument,
            qty=D("1000000.123456789"),
            cost_basis=D("12345678.12345678"),
            updated_at=now,
            last_fill_at=now,
            opened_at=now,
        )
        for instrument in instruments
    )
    Lot.objects.bulk_create(
        Lot(
            position=position,
            reference=f"L{n}",
            opened_at=now - timedelta(days=n),
            qty=D("333333.374485596"),
            price=D("12.3456781234"),
            remaining=D("333333.374485596"),
            cost=D("4115226.04115226"),
        )
        for position in held
        for n in range(3)
    )
    LedgerAccount.objects.bulk_create(
        LedgerAccount(
            brokerage_account=ledger.account,
            kind="position",
            asset=instrument.symbol,
            balance=D("1000000.123456789"),
            reserved=D("10.5"),
        )
        for instrument in instruments
    )
    for n, instrument in enumerate(instruments):
        put(instrument.symbol, "712345.67" if n % 2 else "0.00001234", "700000.01")
    plant(ledger, 400)
    return ledger


@pytest.mark.parametrize("address", PAGES)
def test_three_hundred_positions_stay_in_the_budget(
    crowd: Ledger, web: Client, address: str, django_assert_max_num_queries: Any
):
    with django_assert_max_num_queries(MOST_QUERIES):
        answer = web.get(address)
    assert answer.status_code == 200
    assert len(gzip.compress(answer.content)) <= MOST_BYTES


def test_the_dashboard_shows_the_ten_most_valuable_and_leads_to_all(crowd: Ledger, web: Client):
    answer = web.get("/dashboard")
    mine = html(answer).partition('id="mine"')[2].partition("<aside")[0]
    assert "All 300 positions" in text(answer)
    assert len(re.findall(r'data-f="value"', mine)) == 10
    assert "S000" not in mine and "S001" in mine


def test_the_portfolio_has_pages(crowd: Ledger, web: Client):
    first, last = web.get("/portfolio?sort=symbol"), web.get("/portfolio?sort=symbol&page=6")
    assert "1 to 50 of 300" in text(first) and "251 to 300 of 300" in text(last)
    assert ">S000<" in html(first) and ">S299<" in html(last)
    assert 'href="?sort=symbol&amp;page=2#holdings-list"' in html(first)
    assert web.get("/portfolio?page=nine&sort=nonsense&type=x&period=2D").status_code == 200


def test_very_large_and_very_small_numbers_are_written_out(crowd: Ledger, web: Client):
    said = text(web.get("/portfolio?sort=symbol"))
    assert "1,000,000.123456789" in said and "10.5 on sale" in said
    assert "$0.00001234" in said and "$712,345.67" in said
    assert "$712,345,757,943.91" in said  # 1,000,000.123456789 x 712,345.67
    assert "▼ down" in said and "e+" not in said.lower()


# ── order, kind, lots, file ──────────────────────────────────────────────────
@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    """AAPL worth 1,100 (+10 %), BTC 500 (-50 %), KO 200 (+100 %)."""
    ledger.fill("buy", "10", "100", symbol="AAPL")
    ledger.fill("buy", "0.01", "100000", symbol="BTC/USD")
    ledger.fill("buy", "2", "50", symbol="KO")
    put("AAPL", "110", "120")
    put("BTC/USD", "50000", "49000")
    put("KO", "100", "100")
    return ledger


def shown(answer: Any) -> list[str]:
    return re.findall(r'<a class="plain-link strong" href="[^"]*">([^<]*)</a>', html(answer))


@pytest.mark.parametrize(
    ("query", "symbols"),
    [
        ("", ["AAPL", "BTC/USD", "KO"]),
        ("?sort=symbol", ["AAPL", "BTC/USD", "KO"]),
        ("?sort=return", ["KO", "AAPL", "BTC/USD"]),
        ("?sort=day&type=stock", ["KO", "AAPL"]),
        ("?type=crypto", ["BTC/USD"]),
    ],
)
def test_holdings_are_sorted_and_chosen(three: Ledger, web: Client, query: str, symbols: list[str]):
    three.wait(24 * 3600)  # what was bought yesterday has the day's change of its price
    for symbol, last, before in (("AAPL", "110", "120"), ("BTC/USD", "50000", "49000")):
        put(symbol, last, before)
    put("KO", "100", "99")
    answer = web.get(f"/portfolio{query}")
    assert shown(answer) == symbols
    part = web.get(f"/portfolio{query}", headers=HTMX)
    assert shown(part) == symbols and f'hx-get="/portfolio{query.replace("&", "&amp;")}"' in html(
        part
    )


def test_a_kind_that_is_not_held_says_so(ledger: Ledger, web: Client):
    ledger.fill("buy", "1", "100")
    assert "You hold none of this kind" in text(web.get("/portfolio?type=crypto"))


def test_lots_come_with_their_term_and_days(ledger: Ledger, web: Client):
    ledger.fill("buy", "3", "100", executed_at=ledger.now - timedelta(days=367))
    ledger.fill("buy", "2", "110", executed_at=ledger.now - timedelta(days=1))
    position = ledger.position()
    whole, part = (web.get(f"/portfolio/lots/{position.pk}", headers=h) for h in ({}, HTMX))
    assert "Long 367 days" in text(whole) and "Short 1 day " in text(whole)
    assert b"<!doctype" in whole.content and b"<!doctype" not in part.content
    assert f'href="/portfolio/lots/{position.pk}"' in html(web.get("/portfolio"))


def test_many_lots_go_on_over_the_page(ledger: Ledger, web: Client, settings: Any):
    settings.LOTS_SHOWN = 2
    for _ in range(3):
        ledger.fill("buy", "1", "100")
    address = f"/portfolio/lots/{ledger.position().pk}"
    assert "All 3 lots of AAPL" in text(web.get(address, headers=HTMX))
    # One lot, which says its term twice: beside its date on a phone, in a column elsewhere.
    assert len(re.findall("Short", text(web.get(f"{address}?page=2")))) == 2


def test_lots_of_a_stranger_or_of_nothing_are_not_found(three: Ledger, web: Client, charlie: Any):
    position = three.position()
    address = f"/portfolio/lots/{position.pk}"
    assert web.get(address).status_code == 200
    assert page_client(charlie).get(address).status_code == 404
    three.fill("sell", "10", "100")
    assert web.get(address).status_code == 404


def test_the_file_holds_every_position_and_no_formula(three: Ledger, web: Client):
    Instrument.objects.filter(symbol="KO").update(name="=cmd|' /C calc'!A0")
    answer = web.get("/portfolio/export")
    assert "attachment" in answer["Content-Disposition"] and "text/csv" in answer["Content-Type"]
    rows = list(csv.DictReader(io.StringIO(html(answer))))
    assert [row["symbol"] for row in rows] == ["AAPL", "BTC/USD", "KO"]
    assert rows[1]["unrealized_pl"] == "-500.00" and rows[2]["name"] == "'=cmd|' /C calc'!A0"


def test_nobody_gets_the_file_of_another(three: Ledger, charlie: Any):
    assert html(page_client(charlie).get("/portfolio/export")).count("\n") == 1


# ── how it did ───────────────────────────────────────────────────────────────
def test_the_return_leaves_deposits_out_and_says_the_drawdown(ledger: Ledger, web: Client):
    plant(ledger, 20, lambda n: D(-10_000) if n == 10 else D(0))
    ledger.deposit("50000")
    said = text(web.get("/portfolio?period=1M"))
    assert "Time-weighted return past month 0.00%" in said
    assert "Maximum drawdown 10.00%" in said
    assert "this account has 19 so far" in said


def test_both_sides_of_a_deposit_are_on_a_thinned_curve(ledger: Ledger, web: Client):
    """A year of snapshots, one deposit in the middle: not a cent of it is taken for a return."""
    ledger.account.created_at = ledger.now - timedelta(days=300)
    ledger.account.save()
    EquitySnapshot.objects.bulk_create(
        EquitySnapshot(
            brokerage_account=ledger.account,
            at=ledger.now - timedelta(minutes=15 * (5000 - n)),
            cash=D(1000) + n if n < 2501 else D(1_000_000),
            positions_value=0,
            net_deposits=D(1000) if n < 2501 else D(1_000_000 - 2500),
        )
        for n in range(5000)
    )
    answer = web.get("/portfolio/history?period=ALL").json()
    paid = [D(point["net_deposits"]) for point in answer["points"]]
    place = paid.index(D(1_000_000 - 2500))
    assert answer["points"][place - 1]["equity"] == "3500.00"
    assert answer["points"][place]["equity"] == "1000000.00"
    assert len(answer["points"]) <= 300


def test_the_benchmark_stands_beside_and_goes_away_again(ledger: Ledger, web: Client):
    market.instrument("SPY")
    plant(ledger, 40)
    beside = web.get("/portfolio?benchmark=SPY&period=1M")
    assert "SPY, past month" in text(beside) and "SPY, in points" in text(beside)
    assert 'href="?period=1M#performance"' in html(beside)
    alone = web.get("/portfolio?period=1M&benchmark=NVDA")
    assert "SPY, past month" not in text(alone)


def test_without_prices_of_the_benchmark_the_page_says_so(ledger: Ledger, web: Client):
    assert "There are no prices of SPY" in text(web.get("/portfolio?benchmark=SPY"))


def test_the_risk_box_has_figures_once_there_are_days(ledger: Ledger, web: Client):
    market.instrument("SPY")
    ledger.fill("buy", "10", "100")
    put("AAPL", "100", "100")
    assert "Volatility and beta need 20 daily returns; this account has 0" in text(
        web.get("/portfolio")
    )
    plant(ledger, 40, lambda n: D(n % 3 * 500))
    said = text(web.get("/portfolio"))
    assert re.search(r"Volatility a year \d+\.\d\d%", said)
    assert re.search(r"Beta to SPY -?\d+\.\d\d", said)
    assert "Biggest position AAPL" in said and "From 39 daily returns" in said


@pytest.fixture
def january() -> Iterator[None]:
    with time_machine.travel("2027-01-01T03:00:00Z", tick=False):
        yield


def test_the_year_begins_in_new_york(january: None, alice: Any):
    """At three in the morning of UTC's New Year it is still last year in New York."""
    account = account_of(alice)
    for at in ("2026-01-01T04:00:00Z", "2026-01-01T06:00:00Z"):
        EquitySnapshot.objects.create(
            brokerage_account=account, at=at, cash=1, positions_value=0, net_deposits=0
        )
    told = page_client(alice).get("/portfolio/history?period=YTD").json()
    assert told["points"][0]["t"] == "2026-01-01T06:00:00.000000Z" and len(told["points"]) == 2


# ── the dashboard ────────────────────────────────────────────────────────────
def test_a_period_shows_its_change_and_its_words(ledger: Ledger, web: Client):
    plant(ledger, 5, lambda n: D(-1000))
    answer = web.get("/dashboard?period=1W")
    assert "▲ up +$1,000.00 (+1.01%) Past week" in text(answer)
    assert "Gained $1,000.00 (1.01%) in the past week; from $99,000.00" in text(answer)
    assert "Today" in text(web.get("/dashboard?period=2D"))
    assert web.get("/portfolio/history?period=1W").json()["summary"].startswith("Gained $1,000.00")


def test_the_curve_is_a_table_too(ledger: Ledger, web: Client):
    plant(ledger, 5)
    whole, part = (web.get("/portfolio/history/table?period=1W", headers=h) for h in ({}, HTMX))
    assert b"<!doctype" in whole.content and b"<!doctype" not in part.content
    assert html(part).count("<tr>") == 7 and "$100,040.00" in text(part)
    assert 'href="/portfolio/history/table?period=1D"' in html(web.get("/dashboard"))


def test_an_account_with_nothing_is_offered_paper_cash(ledger: Ledger, web: Client):
    ledger.withdraw("100000")
    said = web.get("/dashboard")
    assert "There is nothing here yet" in text(said) and "Add $100,000 paper cash" in text(said)
    assert "data-equity-chart" not in html(said)
    key = re.search(r'name="key" value="([0-9a-f]{32})"', html(said))
    assert key is not None
    given = {"direction": "deposit", "amount": "100000", "key": key[1]}
    assert web.post("/transfers", given).status_code == 303
    assert "$100,000.00" in text(web.get("/dashboard"))
    assert web.get("/portfolio").status_code == 200


def test_old_prices_and_losses_are_marked(three: Ledger, web: Client, settings: Any):
    three.wait(settings.QUOTE_STALE_AFTER.total_seconds() + 1)
    for address in ("/dashboard", "/portfolio"):
        answer = web.get(address)
        assert html(answer).count("data-row data-stale") >= 3
        assert "▼ down −$500.00 (−50.00%)" in text(answer)


def test_a_market_that_is_closed_says_when_it_opens(clock: Any, web: Client, settings: Any):
    settings.SIMULATED_MARKET_HOURS = "nyse"
    clock.move_to("2026-11-21T12:00:00Z")  # a Saturday
    assert "Market closed · opens Mon 9:30 ET" in text(web.get("/dashboard"))
    settings.SIMULATED_MARKET_HOURS = "always"
    assert "closed · opens" not in text(web.get("/dashboard"))


def test_what_is_held_is_worth_its_last_close_while_the_market_is_closed(
    three: Ledger, clock: Any, web: Client, settings: Any
):
    settings.SIMULATED_MARKET_HOURS = "nyse"
    clock.move_to("2026-11-20T20:59:59Z")  # a Friday, a second before the close
    put("AAPL", "110", "120")
    put("BTC/USD", "50000", "49000")
    clock.move_to("2026-11-21T12:00:00Z")
    mark = 'title="Last close, Fri 16:00 ET">Close<'
    for address in ("/dashboard", "/portfolio"):
        rows = re.findall(r"<(?:li|tr) data-row.*?</(?:li|tr)>", html(web.get(address)), re.DOTALL)
        of_aapl = [row for row in rows if 'data-symbol="AAPL"' in row]
        of_coin = [row for row in rows if 'data-symbol="BTC/USD"' in row]
        assert of_aapl and all(mark in row for row in of_aapl), address
        assert not any(mark in row for row in of_coin), address


# ── first steps ──────────────────────────────────────────────────────────────
def done(web: Client) -> list[bool]:
    found = re.findall(
        r'<li>\s*<span class="glyph( up-text)?"', html(web.get("/dashboard")).partition("mine")[0]
    )
    return [bool(one) for one in found]


def test_first_steps_are_ticked_from_what_is_there(ledger: Ledger, web: Client):
    assert done(web) == [False, False, False]
    watchlist_add(user=ledger.user, symbol=ledger.instrument("KO").symbol, now=ledger.now)
    assert done(web) == [True, False, False]
    ledger.user.theme = "dark"
    ledger.user.save()
    assert done(web) == [True, False, True]


def test_a_symbol_of_the_house_is_no_choice_of_ones_own(ledger: Ledger, web: Client):
    watchlist_add(user=ledger.user, symbol=ledger.instrument("AAPL").symbol, now=ledger.now)
    assert done(web)[0] is False


def test_first_steps_are_put_away_for_good_and_for_one_alone(
    ledger: Ledger, web: Client, charlie: Any
):
    for _ in range(2):
        answer = web.post("/dashboard/welcome")
        assert (answer.status_code, answer["Location"]) == (303, "/dashboard")
    assert "First steps" not in text(web.get("/dashboard"))
    assert WelcomeDismissal.objects.count() == 1
    assert "First steps" in text(page_client(charlie).get("/dashboard"))


def test_a_curve_of_one_point_claims_nothing_about_the_day(ledger: Ledger, web: Client):
    said = text(web.get("/dashboard"))
    assert "The curve begins now; the portfolio stands at" in said and "No gain" not in said


def test_cash_has_the_same_grey_in_every_portfolio(three: Ledger, web: Client):
    said = html(web.get("/portfolio"))
    assert re.search(r'class="key slice-5".*?</svg>Cash<', said)
    assert said.count('class="slice-5"') == 1 and 'class="key slice-0"' in said
