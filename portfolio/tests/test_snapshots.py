"""The equity curve: its points, how they are kept, and how they are thinned."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from marketdata import quote_store
from marketdata.models import Instrument
from portfolio.domain.pnl import EquityPoint
from portfolio.models import EquitySnapshot
from portfolio.performance import curve_words, performance_of
from portfolio.selectors import HISTORY_POINTS, PERIODS, equity_curve, summary_get
from portfolio.services.adjustments import fee_in_kind
from portfolio.services.books import account_lock
from portfolio.services.snapshots import KEEP_MINUTES, equity_snapshot, snapshots_thin
from portfolio.tests.ledger import Ledger
from speedtrade.lib.errors import InvalidInput
from speedtrade.lib.redis import redis_client
from speedtrade.testing.cast import account_of
from speedtrade.testing.market import put_quote, quote

D = Decimal


def snap(ledger: Ledger) -> int:
    return equity_snapshot(now=ledger.now)


def rows(ledger: Ledger) -> list[EquitySnapshot]:
    return list(EquitySnapshot.objects.filter(brokerage_account=ledger.account).order_by("at"))


def curve(ledger: Ledger, period: str = "ALL") -> list[EquityPoint]:
    now = summary_get(account=ledger.account, now=ledger.now)
    return equity_curve(account=ledger.account, period=period, now=ledger.now, equity_now=now)


def unlist(ledger: Ledger, symbol: str, **columns: Any) -> None:
    """The symbol as `load_instruments` leaves it that no venue lists any more."""
    Instrument.objects.filter(symbol=symbol).update(tradable=False, **columns)


def plant(ledger: Ledger, *ages: timedelta) -> None:
    """Snapshots of the past, each a dollar richer than the one before."""
    EquitySnapshot.objects.bulk_create(
        EquitySnapshot(
            brokerage_account=ledger.account,
            at=ledger.now - age,
            cash=100_000 + number,
            positions_value=0,
            net_deposits=100_000,
        )
        for number, age in enumerate(ages)
    )


# ── taking them ──────────────────────────────────────────────────────────────
def test_a_snapshot_is_what_the_page_shows(ledger: Ledger):
    ledger.fill("buy", "10", "100", "1")
    ledger.fill("buy", "0.5", "50000", "25", symbol="BTC/USD")
    unlist(ledger, "BTC/USD", feed="")  # no price for good: it counts at cost
    put_quote(quote("AAPL", "104.99", "105.00", now=ledger.now))
    assert snap(ledger) == 1
    [row] = rows(ledger)
    page = summary_get(account=ledger.account, now=ledger.now)
    assert (row.cash, row.positions_value) == (page.cash_balance, page.positions_value)
    assert (row.positions_value, row.net_deposits) == (D(1050) + D(25_000), D(100_000))
    assert row.at == ledger.now.replace(second=0, microsecond=0)


def test_a_minute_has_one_row_and_the_last_word_counts(ledger: Ledger):
    snap(ledger)
    ledger.wait(30)
    ledger.deposit("50")
    snap(ledger)
    [row] = rows(ledger)
    assert (row.cash, row.net_deposits) == (D(100_050), D(100_050))


def test_an_account_that_stands_still_gets_one_row_a_day(ledger: Ledger):
    assert snap(ledger) == 1
    ledger.wait(60)
    assert snap(ledger) == 0
    ledger.wait(24 * 3600)
    assert snap(ledger) == 1
    ledger.wait(60)
    ledger.deposit("1")
    assert snap(ledger) == 1


def test_an_account_that_becomes_flat_says_so_at_once(ledger: Ledger):
    """With a cash figure that it had earlier in the day: only the newest row counts."""
    snap(ledger)
    put_quote(quote("AAPL", "119.99", "120.00", now=ledger.now))
    for paid, got in (("100", "100"), ("100", "130")):
        ledger.wait(60)
        ledger.fill("buy", "1", paid)
        snap(ledger)
        ledger.wait(60)
        ledger.fill("sell", "1", got)
        assert snap(ledger) == 1
        assert snap(ledger) == 0
    worth = [row.cash + row.positions_value for row in rows(ledger)]
    assert worth == [D(100_000), D(100_020), D(100_000), D(100_020), D(100_030)]


def test_units_that_go_for_nothing_leave_an_account_flat_too(ledger: Ledger):
    ledger.fill("buy", "1", "100")
    put_quote(quote("AAPL", "119.99", "120.00", now=ledger.now))
    snap(ledger)
    ledger.wait(60)
    with transaction.atomic():
        fee_in_kind(
            account=account_lock(ledger.account.pk),
            instrument=ledger.instrument(),
            qty=D(1),
            event="F1",
            now=ledger.now,
        )
    assert snap(ledger) == 1
    assert [row.positions_value for row in rows(ledger)] == [D(120), D(0)]


def test_an_account_that_holds_something_gets_one_each_minute(ledger: Ledger):
    ledger.fill("buy", "1", "100")
    put_quote(quote("AAPL", now=ledger.now))
    for _ in range(3):
        assert snap(ledger) == 1
        ledger.wait(60)
    assert len(rows(ledger)) == 3


def test_a_minute_whose_prices_are_awaited_has_no_row(ledger: Ledger, charlie):
    """At cost it would be a dip that never was, and stay in the curve."""
    other = Ledger(charlie, account_of(charlie), ledger.clock)
    ledger.fill("buy", "10", "100")
    ledger.fill("buy", "1", "400", symbol="MSFT")
    put_quote(quote("AAPL", "499.99", "500.00", now=ledger.now))
    assert (snap(ledger), rows(ledger)) == (1, [])  # MSFT is not there yet
    assert len(rows(other)) == 1
    put_quote(quote("MSFT", "399.99", "400.00", now=ledger.now))
    assert snap(ledger) == 1
    ledger.wait(60)
    redis_client().delete(quote_store.QUOTES_KEY)
    assert snap(ledger) == 0
    ledger.wait(60)
    put_quote(quote("AAPL", "500.99", "501.00", now=ledger.now))
    put_quote(quote("MSFT", "399.99", "400.00", now=ledger.now))
    assert snap(ledger) == 1
    assert [row.positions_value for row in rows(ledger)] == [D(5400), D(5410)]


def test_a_symbol_that_a_venue_dropped_does_not_stop_the_curve(ledger: Ledger):
    ledger.fill("buy", "10", "100")
    ledger.fill("buy", "1", "400", symbol="MSFT")
    unlist(ledger, "MSFT")
    assert snap(ledger) == 0, "no price of anything: it may well come back"
    put_quote(quote("AAPL", "499.99", "500.00", now=ledger.now))
    assert snap(ledger) == 1
    assert [row.positions_value for row in rows(ledger)] == [D(5400)]


def test_every_account_is_taken_in_one_statement(
    ledger: Ledger, charlie, django_assert_num_queries
):
    with django_assert_num_queries(1):
        assert snap(ledger) == 2
    assert EquitySnapshot.objects.filter(brokerage_account=account_of(charlie)).count() == 1


def test_one_account_alone_can_be_taken(ledger: Ledger, charlie):
    assert equity_snapshot(now=ledger.now, account_id=ledger.account.pk) == 1
    assert not EquitySnapshot.objects.filter(brokerage_account=account_of(charlie)).exists()


def test_the_tasks_do_what_they_say(ledger: Ledger):
    from portfolio import tasks
    from portfolio.models import LedgerCheck

    tasks.equity_snapshot()
    assert len(rows(ledger)) == 1
    plant(ledger, KEEP_MINUTES + timedelta(minutes=1))
    tasks.snapshots_thin()
    assert len(rows(ledger)) == 1
    tasks.ledger_check()
    assert LedgerCheck.objects.get().differences == 0


def test_every_periodic_duty_of_the_portfolio_is_on_the_beat():
    from speedtrade.celery import app

    app.loader.import_default_modules()  # as a worker does when it starts
    beat = {entry["task"] for entry in app.conf.beat_schedule.values()}
    ours = {name for name in app.tasks if name.startswith("portfolio.tasks.")}
    assert ours == {f"portfolio.tasks.{name}" for name in DUTIES}
    assert ours <= beat


DUTIES = ("equity_snapshot", "snapshots_thin", "ledger_check")


# ── thinning ─────────────────────────────────────────────────────────────────
def test_old_points_thin_out_and_young_ones_stay(ledger: Ledger):
    old = KEEP_MINUTES + timedelta(hours=1)
    plant(ledger, *(old + timedelta(minutes=n) for n in range(60)))
    plant(ledger, *(timedelta(minutes=n) for n in range(1, 60)))
    assert snapshots_thin(now=ledger.now) == 56
    kept = [row.at.minute for row in rows(ledger) if row.at < ledger.now - KEEP_MINUTES]
    assert sorted(kept) == [0, 15, 30, 45]
    assert snapshots_thin(now=ledger.now) == 0


def test_the_edge_of_what_is_kept_is_kept(ledger: Ledger):
    plant(ledger, KEEP_MINUTES, KEEP_MINUTES + timedelta(minutes=1))
    assert snapshots_thin(now=ledger.now) == 1
    assert [row.at for row in rows(ledger)] == [ledger.now - KEEP_MINUTES]


# ── reading them ─────────────────────────────────────────────────────────────
@pytest.mark.parametrize("period", PERIODS)
def test_a_curve_begins_within_its_period_and_ends_now(ledger: Ledger, period: str):
    ledger.account.created_at = ledger.now - timedelta(days=2000)
    ledger.account.save()
    plant(ledger, *(timedelta(hours=12 * n) for n in range(2000, 0, -1)))
    points = curve(ledger, period)
    since = ledger.now - (PERIODS[period] or timedelta(days=2000))
    assert points[0].at >= since
    assert points[-1] == EquityPoint(ledger.now, D(100_000), D(100_000))
    assert [point.at for point in points] == sorted(point.at for point in points)
    assert 2 <= len(points) <= HISTORY_POINTS


@pytest.mark.parametrize("count", [0, 1, 2, 297, 298, 299, 300, 301, 597, 600, 601, 899, 5000])
def test_a_curve_never_has_more_points_than_it_promises(ledger: Ledger, count: int):
    """First and last snapshot are always among them."""
    ledger.account.created_at = ledger.now - timedelta(days=30)
    ledger.account.save()
    plant(ledger, *(timedelta(minutes=n) for n in range(count, 0, -1)))
    points = curve(ledger)
    assert len(points) <= HISTORY_POINTS
    if count <= HISTORY_POINTS - 2:
        assert len(points) == count + 1
    if count:
        assert points[0].at == ledger.now - timedelta(minutes=count)
        assert points[-2].at == ledger.now - timedelta(minutes=1)
        assert len(points) > min(count, HISTORY_POINTS) // 2


def test_a_thinned_curve_keeps_both_sides_of_a_deposit(ledger: Ledger):
    """Or what was earned just before it would be taken for a part of it."""
    ledger.account.created_at = ledger.now - timedelta(days=30)
    ledger.account.save()
    plant(ledger, *(timedelta(minutes=n) for n in range(1000, 0, -1)))
    kept = rows(ledger)
    for row in kept[:499]:
        row.cash = D(100_000)
    kept[499].cash = D(200_000)  # doubled in the last minute before the deposit
    for row in kept[500:]:
        row.cash, row.net_deposits = D(400_000), D(300_000)
    EquitySnapshot.objects.bulk_update(kept, ["cash", "net_deposits"])
    now = replace(
        summary_get(account=ledger.account, now=ledger.now),
        portfolio_value=D(400_000),
        net_deposits=D(300_000),
    )
    points = equity_curve(account=ledger.account, period="ALL", now=ledger.now, equity_now=now)
    assert len(points) <= HISTORY_POINTS
    assert {kept[499].at, kept[500].at} <= {point.at for point in points}
    assert performance_of(points, "ALL", ledger.now).twr_pct == 100


@pytest.mark.parametrize("fell_at", [1, 777, 4998])
@pytest.mark.parametrize("fallen, depth", [(D(60_000), D(40)), (D(150_000), D("33.3333"))])
def test_a_fall_that_is_over_soon_is_on_every_curve(
    ledger: Ledger, fell_at: int, fallen: Decimal, depth: Decimal
):
    """One snapshot of 5,000 lies far below the rest, or above it: it is one of the points."""
    ledger.account.created_at = ledger.now - timedelta(days=30)
    ledger.account.save()
    plant(ledger, *(timedelta(minutes=n) for n in range(5000, 0, -1)))
    EquitySnapshot.objects.update(cash=D(100_000))
    EquitySnapshot.objects.filter(pk=rows(ledger)[fell_at].pk).update(cash=fallen)
    points = curve(ledger)
    assert len(points) <= HISTORY_POINTS
    did = performance_of(points, "ALL", ledger.now)
    assert did.fall_pct == depth
    assert fallen in [point.equity for point in points]
    assert f"{fallen:,.2f}" in curve_words(
        [*points[:-1], replace(points[-1], equity=D(99_999))], "ALL"
    )


def test_a_fall_beside_a_deposit_is_no_less_deep(ledger: Ledger):
    """It is looked for in what was won: 50,000 were paid in when 40,000 had been lost."""
    ledger.account.created_at = ledger.now - timedelta(days=30)
    ledger.account.save()
    plant(ledger, *(timedelta(minutes=n) for n in range(5000, 0, -1)))
    kept = rows(ledger)
    for number, row in enumerate(kept):
        paid = D(150_000) if number >= 2010 else D(100_000)
        row.net_deposits, row.cash = paid, paid - (40_000 if 2003 <= number < 2019 else 0)
    kept[2012].cash -= 11_000
    EquitySnapshot.objects.bulk_update(kept, ["cash", "net_deposits"])
    assert kept[2012].at in {point.at for point in curve(ledger)}


def test_the_curve_of_a_strangers_account_is_not_mixed_in(ledger: Ledger, charlie):
    other = Ledger(charlie, account_of(charlie), ledger.clock)
    plant(other, timedelta(hours=1))
    assert len(curve(ledger)) == 1


def test_a_period_that_is_none_is_refused(ledger: Ledger):
    with pytest.raises(InvalidInput) as refusal:
        curve(ledger, "2D")
    assert refusal.value.errors[0].field == "period"
