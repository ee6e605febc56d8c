"""An order's whole life at the paper venue, to the last digit of the books."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from accounts.services.accounts import account_freeze, account_unfreeze
from marketdata.hours import market_hours
from marketdata.services.instruments import instrument_halt, instrument_resume
from portfolio.domain.pnl import Summary
from portfolio.models import JournalEntry, Lot, Transfer
from portfolio.selectors import summary_get
from speedtrade.lib.errors import Conflict, DomainError
from speedtrade.testing.cast import account_of
from trading.brokers.paper.venue import RETOLD, BrokerReport, PaperVenue
from trading.models import Fill, Order, OrderEvent, PaperFill, PaperOrder, TradingHalt
from trading.tests.desk import Desk

D = Decimal


def summary(desk: Desk) -> Summary:
    return summary_get(account=desk.account, now=desk.now)


def states(order: Order) -> list[str]:
    """Every state that the order was in, from its events."""
    rows = OrderEvent.objects.filter(order=order).order_by("id")
    return [row.new_state for row in rows]


# ── buy, hold, sell ──────────────────────────────────────────────────────────
def test_buying_and_selling_adds_up_to_the_last_digit(desk: Desk):
    bought = desk.trade("buy", "10")
    assert bought.state == "filled"
    assert states(bought) == ["pending", "submitting", "accepted", "filled"]
    assert (desk.cash, desk.reserved, desk.shares()) == (D("99000"), 0, D(10))
    desk.check()

    desk.market("104.50", "104.60")
    now = summary(desk)
    assert (now.cash_balance, now.positions_value) == (D("99000"), D("1046"))
    assert now.total_pl == now.day_pl == D("46")
    assert now.positions[0].unrealized_pl == D("46")
    assert now.positions[0].unrealized_pl_pct == D("4.6")

    sold = desk.trade("sell", "10")
    assert sold.state == "filled"
    position = desk.position()
    assert (position.qty, position.cost_basis, position.realized_pl) == (0, 0, D("45"))
    assert (desk.cash, desk.reserved, desk.shares()) == (D("100045"), 0, 0)
    after = summary(desk)
    assert after.portfolio_value == D("100045")
    assert after.total_pl == after.day_pl == D("45")
    assert after.positions == ()
    desk.check()


def test_a_coin_costs_a_thousandth_each_way(coins: Desk):
    bought = coins.trade("buy", "0.5", symbol="BTC/USD")
    assert (bought.filled_notional, bought.fees) == (D("25000"), D("25"))
    assert coins.cash == D("100000") - D("25025")
    sold = coins.trade("sell", "0.5", symbol="BTC/USD")
    assert sold.fees == D("24.995")
    position = coins.position("BTC/USD")
    assert (position.realized_pl, position.fees) == (D("-5"), D("49.995"))
    assert coins.cash == D("100000") - D("5") - D("49.995")
    assert coins.pocket("fees").balance == D("49.995")
    coins.check()


def test_a_fee_is_rounded_once_however_an_order_is_cut_up(coins: Desk):
    """Each piece alone would be rounded up; together they cost what one fill costs."""
    pieces = ["0.000001", "0.000002", "0.000003"]
    whole = coins.trade("buy", "0.000030", symbol="BTC/USD")
    order = coins.place("buy", "0.000030", symbol="BTC/USD", tif="gtc")
    coins.send(order)
    for size in [*pieces, "0.000024"]:
        coins.market("49990.00", "50000.00", size, symbol="BTC/USD")
        coins.look(order)
    order = coins.fresh(order)
    assert order.state == "filled" and order.fills.count() == 4
    assert order.fees == whole.fees == D("0.0015")
    coins.check()


def test_lots_go_first_in_first_out_across_orders(desk: Desk):
    desk.trade("buy", "10")
    desk.market("109.99", "110.00")
    desk.trade("buy", "10")
    desk.market("120.00", "120.01")
    desk.trade("sell", "15")
    position = desk.position()
    assert position.realized_pl == D(15 * 120 - 10 * 100 - 5 * 110)
    [left] = Lot.objects.filter(position=position, remaining__gt=0)
    assert (left.remaining, left.cost, left.price) == (D(5), D(550), D(110))
    desk.check()


def test_every_fill_keeps_its_evidence(desk: Desk):
    order = desk.trade("buy", "10", limit="101.00")
    [fill] = order.fills.all()
    assert fill.evidence == {
        "rule": "displayed-depth-1",
        "quote_seq": 1,
        "quote_at": "2026-11-18T12:00:00+00:00",
        "source": "test",
        "bid": "99.99",
        "ask": "100.00",
        "level": 1,
        "displayed": "100",
        "bound": "101.0000000000",
    }


def test_a_fill_leaves_whole_double_entries(coins: Desk):
    coins.trade("buy", "0.1", symbol="BTC/USD")
    entry = JournalEntry.objects.get(kind="fill")
    moved = {
        (t.source.kind, t.target.kind, t.asset, t.amount)
        for t in Transfer.objects.filter(journal=entry).select_related("source", "target")
    }
    assert moved == {
        ("cash", "market", "USD", D("5000")),
        ("market", "position", "BTC/USD", D("0.1")),
        ("cash", "fees", "USD", D("5")),
    }
    assert entry.amount == D("-5005")


# ── partial fills and resting orders ─────────────────────────────────────────
def test_a_large_order_fills_over_several_ticks(desk: Desk):
    order = desk.trade("buy", "250", limit="100.00")
    assert (order.state, order.filled_qty) == ("partially_filled", D(100))
    assert desk.hold(order) == desk.reserved == D("15000")
    desk.check()
    desk.market("99.99", "100.00", "60")
    assert desk.fresh(order).filled_qty == D(160)
    desk.market("99.98", "99.99", "80", "100")  # 80 at 99.99, the last 10 at 100.00
    order = desk.fresh(order)
    assert (order.state, order.filled_qty) == ("filled", D(250))
    assert order.filled_notional == D("16000") + D("7999.20") + D("1000")
    assert desk.cash == D("100000") - order.filled_notional
    assert desk.reserved == 0
    desk.check()


def test_the_same_quote_is_not_used_up_twice_by_one_order(desk: Desk):
    order = desk.trade("buy", "250", limit="100.00")
    order = desk.look(order)
    order = desk.look(order)
    assert order.filled_qty == D(100)


def test_two_orders_share_what_one_quote_displays(desk: Desk):
    first = desk.trade("buy", "70", limit="100.00")
    second = desk.trade("buy", "70", limit="100.00")
    assert (first.filled_qty, second.filled_qty) == (D(70), D(30))
    desk.market("99.99", "100.00", "100")
    assert desk.fresh(second).filled_qty == D(70)


def test_a_limit_order_rests_until_the_market_comes(desk: Desk):
    order = desk.trade("buy", "10", limit="95.00", tif="gtc")
    assert (order.state, order.filled_qty, desk.hold(order)) == ("new", 0, D("950"))
    for ask in ("98.00", "95.01", "97.00"):
        desk.market("90.00", ask)
        assert desk.fresh(order).state == "new"
    desk.market("94.00", "94.50")
    order = desk.fresh(order)
    assert order.state == "filled"
    assert order.filled_notional == D("945"), "the market's price, not the worse limit"
    desk.check()


def test_a_resting_sale_fills_at_the_markets_better_price(desk: Desk):
    desk.trade("buy", "10")
    order = desk.trade("sell", "10", limit="105.00", tif="gtc")
    assert desk.hold(order) == D(10)
    assert desk.pocket("position", "AAPL").reserved == D(10)
    desk.market("104.99", "105.10")
    assert desk.fresh(order).state == "new"
    desk.market("105.50", "105.60")
    assert desk.fresh(order).filled_notional == D("1055")
    desk.check()


def test_the_better_limit_trades_first_and_then_who_came_first(desk: Desk):
    early = desk.trade("buy", "10", limit="95.00")
    better = desk.trade("buy", "10", limit="96.00")
    late = desk.trade("buy", "10", limit="95.00")
    desk.market("94.00", "95.00", "15")
    filled = [desk.fresh(order).filled_qty for order in (early, better, late)]
    assert filled == [D(5), D(10), 0]


def test_an_amount_of_money_buys_what_it_buys(desk: Desk):
    desk.market("332.99", "333.00")
    order = desk.trade("buy", notional="1000")
    assert order.state == "filled"
    assert order.filled_qty == D("3.003003")  # whole millionths
    assert order.filled_notional == D("999.999999")
    assert desk.cash == D("100000") - D("999.999999")
    assert desk.reserved == 0
    desk.check()


def test_an_amount_of_money_is_sold_for_no_more(desk: Desk):
    desk.trade("buy", "100")
    order = desk.trade("sell", notional="1000")
    assert order.state == "filled"
    assert order.filled_qty == D("10.001000")
    assert D("999.99") < order.filled_notional <= D("1000")
    assert desk.pocket("position", "AAPL").reserved == 0
    desk.check()


def test_all_that_a_position_is_worth_can_be_sold_in_dollars(desk: Desk):
    """The price falls before it trades: all shares go, for a little less, and none is short."""
    desk.trade("buy", "10")
    order = desk.place("sell", notional="999.90")
    assert desk.hold(order) == 10
    desk.quote("98.00", "98.01")
    order = desk.work(order)
    assert (order.state, order.filled_qty, order.filled_notional) == ("filled", 10, D("980"))
    assert desk.shares() == 0
    desk.check()


def test_an_amount_is_spent_over_several_ticks(desk: Desk):
    order = desk.trade("buy", notional="20000", limit="100.00")
    assert (order.state, order.filled_notional) == ("partially_filled", D("10000"))
    assert desk.hold(order) == D("10000")
    desk.market("99.99", "100.00", "100")
    order = desk.fresh(order)
    assert (order.state, order.filled_notional) == ("filled", D("20000"))
    desk.check()


def test_an_amount_that_buys_no_whole_share_waits_and_is_not_filled(desk: Desk):
    """The price rose over the amount between placing and matching."""
    desk.instrument("TSM", qty_step=D(1), min_qty=D(1), fractionable=False)
    desk.quote("198.00", "199.00", symbol="TSM")
    order = desk.place("buy", notional="200", symbol="TSM")
    desk.quote("200.50", "201.00", symbol="TSM")
    order = desk.work(order)
    assert (order.state, order.filled_qty) == ("new", 0)
    desk.market("199.50", "200.00", symbol="TSM")
    assert desk.fresh(order).filled_qty == D(1)
    desk.check()


# ── time in force ────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "tif, qty, state, filled",
    [
        ("ioc", "150", "canceled", "100"),
        ("ioc", "100", "filled", "100"),
        ("fok", "150", "canceled", "0"),
        ("fok", "100", "filled", "100"),
        ("day", "150", "partially_filled", "100"),
    ],
)
def test_what_is_not_there_at_once(desk: Desk, tif: str, qty: str, state: str, filled: str):
    order = desk.trade("buy", qty, limit="100.00", tif=tif)
    assert (order.state, order.filled_qty) == (state, D(filled))
    assert desk.reserved == (0 if state != "partially_filled" else D("5000"))
    desk.check()


def test_an_immediate_order_that_meets_nothing_ends(desk: Desk):
    order = desk.trade("buy", "10", limit="90.00", tif="ioc")
    assert (order.state, order.filled_qty, desk.reserved) == ("canceled", 0, 0)
    assert "IOC" in OrderEvent.objects.get(order=order, new_state="canceled").reason


def test_a_day_order_ends_with_the_day(desk: Desk):
    order = desk.trade("buy", "250", limit="100.00")
    assert order.expires_at == datetime(2026, 11, 19, tzinfo=UTC)
    desk.wait((order.expires_at - desk.now).total_seconds() - 1)
    desk.expire()
    assert desk.fresh(order).state == "partially_filled"
    desk.wait(1)
    desk.expire()
    order = desk.fresh(order)
    assert (order.state, order.filled_qty, desk.reserved) == ("expired", D(100), 0)
    desk.market("89.99", "90.00")
    assert desk.fresh(order).filled_qty == D(100)
    desk.check()


def test_what_ran_out_while_nobody_looked_trades_no_more(desk: Desk):
    """Fails where only the poll knows of the end: after a night the first price comes first."""
    order = desk.trade("buy", "10", limit="90.00")
    desk.wait((order.expires_at - desk.now).total_seconds())
    desk.market("89.99", "90.00")
    desk.look(order)
    assert desk.fresh(order).filled_qty == 0
    desk.expire()
    assert (desk.fresh(order).state, desk.reserved) == ("expired", 0)
    desk.check()


def test_a_day_order_ends_at_the_close_of_the_exchange(desk: Desk, settings):
    settings.SIMULATED_MARKET_HOURS = "nyse"
    desk.clock.move_to(datetime(2026, 11, 27, 15, 0, tzinfo=UTC))  # a half day: closes at 18:00
    desk.quote("99.99", "100.00")
    assert desk.place("buy", "1", limit="90.00").expires_at == datetime(
        2026, 11, 27, 18, tzinfo=UTC
    )
    desk.clock.move_to(datetime(2026, 11, 27, 22, 0, tzinfo=UTC))  # Friday night: Monday's close
    assert desk.place("buy", "1", limit="90.00").expires_at == datetime(
        2026, 11, 30, 21, tzinfo=UTC
    )


def test_a_good_till_canceled_order_outlives_the_day(desk: Desk, settings):
    order = desk.trade("buy", "10", limit="90.00", tif="gtc")
    assert order.expires_at == desk.now + settings.GTC_LIFETIME
    desk.wait(timedelta(days=3).total_seconds())
    desk.expire()
    desk.market("89.00", "89.50")
    assert desk.fresh(order).state == "filled"


# ── cancel ───────────────────────────────────────────────────────────────────
def test_an_order_that_nobody_was_told_of_is_canceled_at_once(desk: Desk):
    order = desk.place("buy", "10")
    order = desk.cancel(order, send=False)
    assert (order.state, desk.reserved) == ("canceled", 0)
    desk.send(order)  # a worker that was woken before
    assert desk.fresh(order).state == "canceled"
    assert not PaperFill.objects.exists()
    desk.check()


def test_a_working_order_is_canceled_through_the_venue(desk: Desk):
    order = desk.trade("buy", "10", limit="90.00")
    asked = desk.cancel(order, send=False)
    assert (asked.state, desk.reserved) == ("pending_cancel", D("900"))
    order = desk.send(order)
    assert (order.state, desk.reserved) == ("canceled", 0)
    assert order.canceled_at is not None
    desk.market("80.00", "80.01")
    assert desk.fresh(order).filled_qty == 0
    desk.check()


def test_a_cancel_after_a_part_releases_the_rest_only(desk: Desk):
    order = desk.trade("buy", "250", limit="100.00")
    order = desk.cancel(order)
    assert (order.state, order.filled_qty) == ("canceled", D(100))
    assert (desk.cash, desk.reserved, desk.shares()) == (D("90000"), 0, D(100))
    desk.check()


def test_a_cancel_that_loses_to_the_fill_changes_nothing(desk: Desk):
    order = desk.trade("buy", "10", limit="95.00")
    desk.cancel(order, send=False)
    desk.market("94.00", "95.00")
    order = desk.send(order)
    assert (order.state, order.filled_qty) == ("filled", D(10))
    desk.check()


def test_asking_twice_to_cancel_is_no_error(desk: Desk):
    order = desk.trade("buy", "10", limit="90.00")
    desk.cancel(order, send=False)
    desk.cancel(order, send=False)
    order = desk.send(order)
    assert order.state == "canceled"
    assert states(order).count("pending_cancel") == 1


@pytest.mark.parametrize("end", ["filled", "canceled"])
def test_what_is_final_cannot_be_canceled(desk: Desk, end: str):
    order = desk.trade("buy", "10")
    if end == "canceled":
        order = desk.cancel(desk.trade("buy", "10", limit="90.00"))
    with pytest.raises(Conflict) as refusal:
        desk.cancel(order)
    assert refusal.value.code == "order_final"


def test_a_cancel_says_who_and_why(desk: Desk):
    order = desk.cancel(desk.place("buy", "10"), send=False)
    event = OrderEvent.objects.get(order=order, new_state="canceled")
    assert (event.actor, event.source, event.old_state) == (desk.user, "api", "pending")
    assert event.at == desk.now


# ── reports again, late and out of order ─────────────────────────────────────
def test_a_repeated_report_changes_nothing(desk: Desk):
    """Fails without the look at the trade ids that are known: the unique constraint would raise."""
    order = desk.trade("buy", "250", limit="100.00")
    desk.market("99.99", "100.00", "60")
    before = (desk.cash, desk.reserved, desk.shares(), Fill.objects.count(), states(order))
    for report in desk.reports * 2:
        desk.tell(report)
    after = (desk.cash, desk.reserved, desk.shares(), Fill.objects.count(), states(order))
    assert after == before
    desk.check()


def test_a_fill_told_twice_in_one_report_counts_once(desk: Desk):
    """A stream and a poll merged by an adapter: the unique constraint must not kill the report."""
    order = desk.send(desk.place("buy", "250", limit="100.00"))
    [news] = desk.venue.look(desk.paper(order).pk, desk.now)
    desk.tell(changed(news, fills=news.order.fills * 2))
    assert desk.fresh(order).filled_qty == D(100)
    desk.check()


def test_more_than_was_asked_for_is_booked_and_said_aloud(desk: Desk, caplog):
    """A broker's overfill happened: the position must be what the broker holds (I6)."""
    order = desk.send(desk.place("buy", "10", limit="100.00"))
    [news] = desk.venue.look(desk.paper(order).pk, desk.now)
    [fill] = news.order.fills
    more = replace(fill, trade_id="X-2", qty=D(2))
    desk.tell(changed(news, fills=(fill, more), filled_qty=D(12)))
    order = desk.fresh(order)
    assert (order.state, order.filled_qty, desk.shares(), desk.reserved) == ("filled", 12, 12, 0)
    assert [record.levelname for record in caplog.records if "overfilled" in record.message] == [
        "ERROR"
    ]


def changed(report: BrokerReport, **fields: Any) -> BrokerReport:
    return BrokerReport(report.account_id, replace(report.order, **fields))


def test_reports_in_any_order_end_with_the_same_books(desk: Desk):
    """Three ticks, three cumulative reports; every order of arrival, each told twice."""
    order = desk.send(desk.place("buy", "31", limit="100.00", client_order_id="teacher"))
    reports = []
    for size in ("7", "11", "13"):
        desk.wait(1)
        desk.quote("99.99", "100.00", size)
        reports += desk.venue.look(desk.paper(order).pk, desk.now)
    assert [report.order.filled_qty for report in reports] == [D(7), D(18), D(31)]
    for number, shuffled in enumerate(permutations(reports)):
        copy = desk.send(desk.place("buy", "31", limit="100.00", client_order_id=f"copy{number}"))
        before = desk.cash
        for report in shuffled:
            told = retell(report, copy, number)
            desk.tell(told)
            desk.tell(told)
        copy = desk.fresh(copy)
        assert (copy.state, copy.filled_qty, copy.fills.count()) == ("filled", D(31), 3)
        assert before - desk.cash == D(3100)
    assert desk.reserved == D(3100)  # the teacher's own order has not heard of its fills yet
    for report in reversed(reports):
        desk.tell(report)
    assert (desk.position().qty, desk.reserved) == (D(31) * 7, 0)
    desk.check()


def retell(report: BrokerReport, order: Order, number: int) -> BrokerReport:
    """The same report about another order, with trade ids of its own."""
    fills = tuple(
        replace(fill, trade_id=f"C{number}-{fill.trade_id}") for fill in report.order.fills
    )
    return changed(report, client_order_id=order.client_order_id, fills=fills)


def test_a_fill_that_was_under_way_when_the_cancel_was_confirmed_counts(desk: Desk):
    """The venue's fill comes to us after its cancel: it happened, so the shares are there."""
    order = desk.trade("buy", "250", limit="100.00")
    late = desk.reports[-1]
    twin = desk.send(desk.place("buy", "250", limit="100.00"))
    desk.cancel(twin)
    desk.tell(retell(late, twin, 1))
    twin = desk.fresh(twin)
    assert (twin.state, twin.filled_qty, desk.hold(twin)) == ("canceled", D(100), 0)
    assert desk.shares() == D(200)
    assert desk.fresh(order).filled_qty == D(100)
    desk.check()


def test_a_report_of_an_order_that_is_not_ours_is_left_alone(desk: Desk, charlie):
    order = desk.trade("buy", "10")
    report = desk.reports[-1]
    stranger = BrokerReport(account_of(charlie).pk, report.order)
    assert desk.tell(stranger) is None
    assert Fill.objects.count() == 1
    assert desk.fresh(order).filled_qty == D(10)


# ── what stops trading ───────────────────────────────────────────────────────
def test_a_frozen_account_places_nothing_and_cancels_everything(desk: Desk, bob):
    resting = desk.trade("buy", "10", limit="90.00")
    account_freeze(account_id=desk.account.pk, actor=bob, reason="asked by phone", now=desk.now)
    with pytest.raises(DomainError) as refusal:
        desk.place("buy", "10")
    assert refusal.value.code == "account_not_active"
    assert desk.cancel(resting).state == "canceled"
    account_unfreeze(account_id=desk.account.pk, actor=bob, reason="all is well", now=desk.now)
    assert desk.trade("buy", "10").state == "filled"


def test_an_order_that_waits_does_not_leave_a_frozen_account(desk: Desk, bob):
    """Fails where the two switches alone are asked: what waited behind a halt would go."""
    order = desk.place("buy", "10")
    account_freeze(account_id=desk.account.pk, actor=bob, reason="asked by phone", now=desk.now)
    desk.send(order)
    assert desk.fresh(order).state == "pending" and not PaperOrder.objects.exists()
    account_unfreeze(account_id=desk.account.pk, actor=bob, reason="all is well", now=desk.now)
    desk.work(order)
    assert desk.fresh(order).state == "filled"


@pytest.mark.fault("F23")
def test_a_halted_symbol_trades_nothing_until_it_resumes(desk: Desk, bob):
    resting = desk.trade("buy", "10", limit="95.00")
    kept = desk.trade("buy", "10", limit="80.00")
    instrument_halt(symbol="AAPL", actor=bob, reason="news", now=desk.now)
    desk.instruments.clear()
    with pytest.raises(DomainError) as refusal:
        desk.place("buy", "10")
    assert refusal.value.code == "symbol_halted"
    desk.market("94.00", "94.50")
    assert desk.fresh(resting).state == "new"
    assert desk.cancel(kept).state == "canceled"
    instrument_resume(symbol="AAPL", actor=bob, reason="news is out", now=desk.now)
    desk.market("94.00", "94.50")
    assert desk.fresh(resting).state == "filled"


def test_the_kill_switch_stops_orders_and_lets_cancels_pass(desk: Desk, bob):
    resting = desk.trade("buy", "10", limit="90.00")
    halt = TradingHalt.objects.create(reason="a storm", set_by=bob, set_at=desk.now)
    with pytest.raises(DomainError) as refusal:
        desk.place("buy", "10")
    assert refusal.value.code == "trading_halted"
    assert desk.cancel(resting).state == "canceled"
    halt.lifted_at = desk.now
    halt.save()
    assert desk.trade("buy", "10").state == "filled"


@pytest.mark.fault("F21")
def test_a_stale_price_fills_nothing(desk: Desk, settings):
    order = desk.trade("buy", "10", limit="95.00")
    old = desk.quote("94.00", "94.50")
    desk.wait(settings.QUOTE_STALE_AFTER.total_seconds() + 0.001)
    desk.apply(desk.venue.tick(["AAPL"], {"AAPL": old}, lambda: desk.now))
    assert desk.fresh(order).state == "new"
    with pytest.raises(DomainError) as refusal:
        desk.place("buy", "10")
    assert refusal.value.code == "quote_stale"


@pytest.mark.fault("F22")
def test_a_closed_market_fills_nothing_and_keeps_the_order(desk: Desk, settings):
    settings.SIMULATED_MARKET_HOURS = "nyse"
    desk.clock.move_to(datetime(2026, 11, 21, 15, 0, tzinfo=UTC))  # a Saturday
    desk.venue = PaperVenue(market_hours())
    desk.quote("99.99", "100.00")
    order = desk.trade("buy", "10")
    assert order.state == "accepted"
    desk.clock.move_to(datetime(2026, 11, 23, 14, 30, tzinfo=UTC))  # Monday's open
    desk.market("100.99", "101.00")
    order = desk.fresh(order)
    assert (order.state, order.filled_notional) == ("filled", D("1010"))


def test_each_match_of_a_price_has_its_own_time(desk: Desk):
    """A long row of orders takes a while: what fills at its end did not fill at its beginning."""
    orders = [desk.trade("buy", "10", limit="95.00") for _ in range(3)]
    made, began = desk.quote("94.00", "94.50"), desk.now

    def clock() -> datetime:
        return desk.wait(1)

    desk.apply(desk.venue.tick(["AAPL"], {"AAPL": made}, clock))
    at = [PaperFill.objects.get(order=desk.paper(order)).executed_at for order in orders]
    assert at == [began + timedelta(seconds=n) for n in (1, 2, 3)]


@pytest.mark.fault("F21")
def test_a_price_that_grows_old_on_the_way_fills_no_more_and_nobody_is_asked_in_vain(
    desk: Desk, settings, monkeypatch
):
    orders = [desk.trade("buy", "10", limit="95.00") for _ in range(3)]
    made = desk.quote("94.00", "94.50")
    tried = tries_noted(monkeypatch)

    def clock() -> datetime:
        return desk.wait(settings.QUOTE_STALE_AFTER.total_seconds() * 2 / 3)

    desk.apply(desk.venue.tick(["AAPL"], {"AAPL": made}, clock))
    assert [desk.fresh(order).state for order in orders] == ["filled", "new", "new"]
    assert tried == [desk.paper(orders[0]).pk]


def test_an_order_that_ends_while_its_row_is_worked_off_keeps_nobody_behind_it_waiting(desk: Desk):
    first, second, third = (desk.trade("buy", "10", limit="95.00") for _ in range(3))
    made = desk.quote("94.00", "94.50")
    row = desk.venue.tick(["AAPL"], {"AAPL": made}, lambda: desk.now)
    desk.apply([next(row)])
    desk.cancel(second)
    desk.look(second)
    desk.apply(row)
    states = [desk.fresh(order).state for order in (first, second, third)]
    assert states == ["filled", "canceled", "filled"]


def tries_noted(monkeypatch) -> list[int]:
    """The venue's orders that are tried from now on, one after the other."""
    tried: list[int] = []
    real = PaperVenue._try
    monkeypatch.setattr(
        PaperVenue, "_try", lambda venue, pk, *more: (tried.append(pk), real(venue, pk, *more))[1]
    )
    return tried


@pytest.mark.parametrize("sizes", [["30"], ["30", "500"]], ids=["all", "all they accept"])
@pytest.mark.parametrize("side, limit", [("buy", "100.00"), ("sell", "99.99")])
def test_nobody_is_asked_for_a_price_that_is_sold_out(desk: Desk, monkeypatch, side, limit, sizes):
    """The second level, where there is one, is beyond what those that wait accept."""
    desk.trade("buy", "100")  # something to sell
    desk.quote("90.00", "110.00")
    waiting = [desk.trade(side, "30", limit=limit) for _ in range(3)]
    tried = tries_noted(monkeypatch)
    desk.market("99.99", "100.00", *sizes)
    assert tried == [desk.paper(waiting[0]).pk]
    assert [desk.fresh(order).state for order in waiting] == ["filled", "new", "new"]
    desk.market("99.99", "100.00", "60")
    assert [desk.fresh(order).state for order in waiting] == ["filled"] * 3


# ── the venue's memory ───────────────────────────────────────────────────────
def test_a_new_venue_process_finds_its_book(desk: Desk):
    resting = desk.trade("buy", "250", limit="100.00")
    desk.venue = PaperVenue(market_hours())
    desk.apply(desk.venue.load(desk.now))
    desk.market("99.99", "100.00", "150")
    assert desk.fresh(resting).state == "filled"
    desk.check()


def test_a_new_venue_process_sells_no_displayed_size_twice(desk: Desk):
    """A hundred are on show; the last process sold sixty of them a moment ago."""
    assert desk.trade("buy", "60").state == "filled"
    desk.venue = PaperVenue(market_hours())
    desk.apply(desk.venue.load(desk.now))
    second = desk.trade("buy", "60", limit="100.00")
    assert (second.state, second.filled_qty) == ("partially_filled", D(40))
    desk.quote("99.99", "100.00")
    assert desk.look(second).state == "filled", "a new quote shows new size"


def test_a_new_venue_process_tells_the_last_news_as_they_happened(desk: Desk):
    """The other way round each fill would be a late one, for which the books are rebuilt."""
    for _ in range(3):
        desk.trade("buy", "1")
        desk.wait(1)
    told = [news.order.fills[0].executed_at for news in PaperVenue(market_hours()).load(desk.now)]
    assert len(told) == 3
    assert told == sorted(told)


def test_what_the_last_venue_process_matched_but_never_told_is_told(desk: Desk):
    """Killed between the match and the report: the next start reports every open order."""
    order = desk.send(desk.place("buy", "250", limit="100.00"))
    told = list(desk.venue.look(desk.paper(order).pk, desk.now))
    assert told and desk.fresh(order).filled_qty == 0
    desk.venue = PaperVenue(market_hours())
    desk.apply(desk.venue.load(desk.now))
    assert desk.fresh(order).filled_qty == D(100)
    desk.check()


@pytest.mark.fault("F8")
def test_a_fill_that_closed_the_order_and_was_never_told_is_found_by_the_poll(desk: Desk):
    order = desk.send(desk.place("buy", "10"))
    list(desk.venue.look(desk.paper(order).pk, desk.now))
    desk.wait(2 * RETOLD.total_seconds())  # a long outage: not among the last news any more
    desk.venue = PaperVenue(market_hours())
    desk.apply(desk.venue.load(desk.now))
    assert desk.fresh(order).state == "accepted"
    assert desk.poll() == 1
    assert desk.fresh(order).state == "filled"
    desk.check()


def test_an_order_whose_wake_up_was_lost_is_found_by_the_venues_poll(desk: Desk):
    order = desk.send(desk.place("buy", "10"))
    desk.expire()  # the venue's poll
    assert desk.fresh(order).state == "filled"


def test_the_venue_asks_for_fast_ticks_of_symbols_with_resting_orders(desk: Desk):
    order = desk.trade("buy", "10", limit="90.00")
    assert desk.venue.symbols() == ["AAPL"]
    desk.cancel(order)
    desk.look(order)  # the cancel woke the venue
    assert desk.venue.symbols() == []


# ── many at once ─────────────────────────────────────────────────────────────
def test_never_more_is_taken_than_a_quote_displays(desk: Desk):
    """A dozen orders of random sizes and limits against one quote, level by level."""
    dice = random.Random("one quote for all")
    desk.quote("99.99", "100.00", "30", "20", "10", step="0.50")
    for _ in range(12):
        limit = dice.choice(["99.00", "100.00", "100.50", "101.00", "110.00"])
        desk.trade("buy", str(dice.randint(1, 9)), limit=limit, tif=dice.choice(["day", "ioc"]))
    taken: dict[Decimal, Decimal] = {}
    for fill in PaperFill.objects.all():
        taken[fill.price] = taken.get(fill.price, D(0)) + fill.qty
    shown = {D("100.00"): D(30), D("100.50"): D(20), D("101.00"): D(10)}
    assert taken and all(qty <= shown[price] for price, qty in taken.items())
    assert taken[D("100.00")] == D(30), "the best level went first"
    desk.check()
