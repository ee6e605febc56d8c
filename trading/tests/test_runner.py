"""The venue's process: hurried by Redis, reminded by its table, and stopped by neither."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from marketdata import quote_store
from speedtrade.lib import live
from speedtrade.lib.redis import redis_client
from trading.brokers.paper.adapter import VENUE_CHANNEL
from trading.management.commands.run_brokers import apply
from trading.services import matching
from trading.services.matching import VenueRunner
from trading.tests.desk import Desk


@pytest.fixture
def runner(desk: Desk) -> VenueRunner:
    """A venue process that has begun to listen. Its polls are not due while the clock stands."""
    made = VenueRunner()
    apply(made.start(desk.now))
    for what in matching.PERIODS:
        made.due(what)
    for _ in range(3):  # the first looks subscribe, and hear that they have
        assert made._news() == ([], [])
    return made


def step(runner: VenueRunner) -> list[str]:
    """The states that one step reports."""
    reports = list(runner.step())
    apply(reports)
    return [report.order.state.value for report in reports]


def test_a_wake_up_is_looked_at_in_the_next_step(desk: Desk, runner: VenueRunner):
    order = desk.send(desk.place("buy", "10"))
    assert step(runner) == ["filled"]
    assert desk.fresh(order).state == "filled"
    assert step(runner) == []


def test_a_tick_that_reaches_an_order_fills_it(desk: Desk, runner: VenueRunner):
    order = desk.send(desk.place("buy", "10", limit="95.00"))
    assert step(runner) == ["new"]
    desk.quote("96.00", "96.10")
    assert step(runner) == []
    desk.quote("94.00", "94.50")
    assert step(runner) == ["filled"]
    assert desk.fresh(order).filled_notional == 945


def test_a_burst_of_ticks_is_answered_at_the_newest_price(desk: Desk, runner: VenueRunner):
    order = desk.send(desk.place("buy", "10", limit="95.00"))
    step(runner)
    for ask in ("94.90", "94.80", "94.70"):
        desk.quote("94.00", ask)
    assert step(runner) == ["filled"]
    assert desk.fresh(order).filled_notional == 947


def test_ticks_that_come_faster_than_they_are_read_keep_no_order_waiting(
    desk: Desk, runner: VenueRunner, monkeypatch: pytest.MonkeyPatch
):
    """Fails without the limit of time: the fill would come after the last of all ticks."""
    monkeypatch.setattr(matching, "DRAIN_FOR", -matching.WAIT)  # one message, and time is up
    desk.send(desk.place("buy", "10", limit="95.00"))
    assert step(runner) == ["new"]
    order = desk.send(desk.place("buy", "10"))
    desk.quote("94.00", "94.50")
    assert step(runner) == ["filled"] and desk.fresh(order).state == "filled"
    assert step(runner) == ["filled"]


@pytest.mark.parametrize(
    "channel, text",
    [
        ("wake", "nonsense"),
        ("wake", ""),
        ("wake", "999999999"),
        ("tick", "{"),
        ("tick", "17"),
        ("tick", '{"symbol": "AAPL"}'),
        ("tick", "[17, null, [], {}]"),
        ("tick", '[{"symbol": "AAPL", "bid": "x", "ask": "1"}]'),
        ("tick", '[{"symbol": "AAPL", "bid": "NaN", "ask": "NaN"}]'),
        ("tick", '[{"symbol": "AAPL", "bid": {}, "ask": null}]'),
        ("tick", '[{"symbol": ["AAPL"], "bid": "1", "ask": "1"}]'),
        ("tick", '[{"symbol": "NOSUCH", "bid": "1", "ask": "1"}]'),
    ],
)
def test_a_message_without_sense_stops_nothing(
    desk: Desk, runner: VenueRunner, channel: str, text: str
):
    """Fails without the guard: the process would die, and the market with it."""
    order = desk.send(desk.place("buy", "10", limit="95.00"))
    step(runner)
    redis_client().publish(VENUE_CHANNEL if channel == "wake" else quote_store.TICKS_CHANNEL, text)
    desk.quote("94.00", "94.50")
    assert step(runner) == ["filled"]
    assert desk.fresh(order).state == "filled"


def test_without_redis_the_table_reminds(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    """Nothing is heard, and nothing is matched at prices that cannot be read; nothing breaks."""
    order = desk.send(desk.place("buy", "10"))
    nobody = redis.Redis(port=1, socket_timeout=1, retry=Retry(NoBackoff(), 0))
    with monkeypatch.context() as patch:
        patch.setattr("marketdata.quote_store.redis_client", lambda: nobody)
        patch.setattr(matching, "redis_client", lambda: nobody)
        runner = VenueRunner()
        apply(runner.start(desk.now))
        assert step(runner) == []
        assert desk.fresh(order).state == "accepted"
    nobody.close()
    runner = VenueRunner()
    monkeypatch.setattr("speedtrade.lib.redis._rest_until", 0.0)  # Redis is back, and asked again
    apply(runner.venue.poll(lambda: desk.now))
    assert desk.fresh(order).state == "filled"


def test_symbols_with_resting_orders_are_watched(desk: Desk):
    runner = VenueRunner()
    order = desk.send(desk.place("buy", "10", limit="90.00"))
    step(runner)
    step(runner)
    assert quote_store.watched_symbols(desk.now) <= {"AAPL"}
    runner._due.clear()
    step(runner)
    assert quote_store.watched_symbols(desk.now) == {"AAPL"}
    assert desk.fresh(order).state == "new"


# ── what sockets are told ────────────────────────────────────────────────────
def test_an_order_is_told_to_its_user_and_to_nobody_else(desk: Desk, charlie: Any):
    order = desk.trade("buy", "10")
    message = live.render_event("order", desk.user.pk, order.pk)
    assert (message["type"], message["order"]["status"]) == ("order", "filled")
    json.dumps(message)
    assert live.render_event("order", charlie.pk, order.pk) is None


def test_a_portfolio_is_told_to_its_user_and_to_nobody_else(desk: Desk, charlie: Any):
    desk.trade("buy", "10")
    message = live.render_event("portfolio", desk.user.pk, desk.account.pk)
    assert message["portfolio"]["cash_balance"] == "99000.00"
    assert [held["symbol"] for held in message["portfolio"]["positions"]] == ["AAPL"]
    json.dumps(message)
    assert live.render_event("portfolio", charlie.pk, desk.account.pk) is None


def test_a_portfolio_is_valued_at_the_prices_that_moved(desk: Desk):
    """The live figures and those that are fetched are the same to the last digit."""
    desk.trade("buy", "10")
    desk.quote("104.99", "105.00")
    holdings = live.holdings_load(desk.user.pk, desk.now)
    assert holdings is not None and holdings.symbols == ("AAPL",)
    pushed = live.holdings_value(holdings, quote_store.quotes_all(), desk.now)
    assert pushed == live.render_event("portfolio", desk.user.pk, desk.account.pk)
    assert pushed["portfolio"]["total_pl"] == "50.00"


def test_live_figures_are_read_anew_when_another_session_counts_as_today(desk: Desk, settings):
    settings.SIMULATED_MARKET_HOURS = "nyse"
    desk.clock.move_to(datetime(2026, 11, 27, 15, 0, tzinfo=UTC))
    desk.quote("99.99", "100.00")
    assert live.holdings_load(desk.user.pk, desk.now).over_at is None
    desk.trade("buy", "10")
    opens = live.holdings_load(desk.user.pk, desk.now).over_at
    assert opens == datetime(2026, 11, 30, 14, 30, tzinfo=UTC)


# ── tasks ────────────────────────────────────────────────────────────────────
def test_the_tasks_do_what_they_say(desk: Desk):
    from trading import tasks

    order = desk.place("buy", "10")
    tasks.submission_send(desk.submission(order).pk)
    assert desk.fresh(order).state == "accepted"
    list(desk.venue.look(desk.paper(order).pk, desk.now))  # matched, and never told
    desk.wait(5)
    tasks.orders_poll()
    assert desk.fresh(order).state == "filled"
    tasks.submissions_sweep()


def test_a_report_that_cannot_be_does_not_stop_the_venue(desk: Desk, caplog):
    """Fails without the guard in `apply`: one poisoned order would end the market for all."""
    from dataclasses import replace

    from trading.brokers.paper.venue import BrokerReport
    from trading.domain.orders import OrderState
    from trading.models import Order

    poisoned, fine = (desk.send(desk.place("buy", "10", limit="100.00")) for _ in range(2))
    [lie] = desk.venue.look(desk.paper(poisoned).pk, desk.now)
    desk.tell(lie)
    poisoned = desk.send(desk.place("buy", "5", limit="90.00"))
    desk.tell(next(iter(desk.venue.look(desk.paper(poisoned).pk, desk.now))))
    Order.objects.filter(pk=poisoned.pk).update(state="partially_filled")
    truth = list(desk.venue.look(desk.paper(fine).pk, desk.now))
    impossible = replace(
        lie.order, client_order_id=poisoned.client_order_id, state=OrderState.REJECTED, fills=()
    )
    apply([BrokerReport(lie.account_id, impossible), *truth])
    assert desk.fresh(fine).state == "filled"
    assert desk.fresh(poisoned).state == "partially_filled"
    assert "report_refused" in caplog.messages
