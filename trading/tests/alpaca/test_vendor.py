"""The loopback vendor itself: it finds its own drift, and its market maker trades."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from speedtrade.testing.vendors import alpaca_wire as wire
from speedtrade.testing.vendors import spec
from speedtrade.testing.vendors.maker import Maker
from trading.domain.orders import OrderState
from trading.tests.alpaca.asks import market, ref, request


@pytest.mark.parametrize(
    "change",
    [{"filled_qty": 0.5}, {"status": "pondering"}, {"id": "17"}, {"created_at": "today"}],
)
def test_an_order_that_is_not_as_the_document_has_it(theirs, change):
    row = wire.order(theirs.external("AAPL", "buy", "1"))
    spec.check_named("Order", row)
    with pytest.raises(spec.Drift):
        spec.check_named("Order", row | change)


@pytest.mark.parametrize("name", ["client_order_id", "filled_qty", "status", "submitted_at"])
def test_an_order_that_lacks_what_the_real_ones_have(theirs, name):
    row = wire.order(theirs.external("AAPL", "buy", "1"))
    del row[name]
    with pytest.raises(spec.Drift):
        spec.check_named("Order", row)


def test_numbers_as_the_package_itself_sends_them_are_refused(vendor, theirs):
    """Its typed requests write floats; the document wants texts, and so does the vendor."""
    from alpaca.common.exceptions import APIError
    from alpaca.trading.client import TradingClient
    from alpaca.trading.requests import MarketOrderRequest

    client = TradingClient("PKALICE", "secret", url_override=vendor.url)
    asked = MarketOrderRequest(symbol="AAPL", qty=0.3, side="buy", time_in_force="day")
    with pytest.raises(APIError, match="not of type"):
        client.submit_order(asked)


def test_each_endpoint_says_what_the_document_allows(vendor, theirs, broker):
    """Drift is looked at when the vendor is closed, by its fixture."""
    from alpaca.trading.client import TradingClient

    client = TradingClient("PKALICE", "secret", url_override=vendor.url, raw_data=True)
    made = client.post(
        "/orders",
        {
            "symbol": "AAPL",
            "qty": "3",
            "side": "buy",
            "type": "limit",
            "limit_price": "10",
            "time_in_force": "gtc",
        },
    )
    client.patch(f"/orders/{made['id']}", {"qty": "2"})
    theirs.fill(theirs.external("BTC/USD", "buy", "1"), "1", "100")
    theirs.dividend("AAPL", "1")
    for path in (
        f"/orders/{made['id']}",
        "/positions",
        "/positions/BTCUSD",
        "/account",
        "/account/activities",
        "/account/activities/FILL",
        "/assets",
        "/assets/AAPL",
        "/clock",
    ):
        assert client.get(path)
    days = client.get("/calendar", {"start": "2026-11-16", "end": "2026-11-22"})
    assert [day["date"][-2:] for day in days] == ["16", "17", "18", "19", "20"]
    assert [row["status"] for row in client.delete("/orders")] == [200]
    assert vendor.called("replace") == 1


def test_the_market_maker(vendor, theirs, broker):
    maker = Maker(vendor, "speedtrade")
    price = maker.quote("AAPL").ask
    asks = [
        market(qty=Decimal(3)),
        request(limit_price=(price * 2).quantize(Decimal("0.01")), qty=Decimal(250)),
        request(limit_price=Decimal("1.00")),
        request(limit_price=Decimal("1.00"), time_in_force="ioc"),
        market(qty=None, notional=Decimal(50)),
    ]
    for asked in asks:
        broker.submit_order(asked)
    later = theirs.now() + timedelta(seconds=2)
    assert maker.step(theirs.now() - timedelta(seconds=5)) == 0
    assert maker.step(later) == 3 and maker.step(later) == 1
    states = [broker.find_order(ref(asked)).state for asked in asks]
    assert states == [
        OrderState.FILLED,
        OrderState.FILLED,
        OrderState.NEW,
        OrderState.CANCELED,
        OrderState.FILLED,
    ]
    assert len(broker.find_order(ref(asks[1])).fills) == 2


def test_vendors_for_a_person():
    """`make vendors`: it says what to set, and ends when it is told."""
    tool = Path(django_settings.BASE_DIR) / "tools" / "vendors.py"
    run = subprocess.Popen(
        [sys.executable, str(tool), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        told = []
        while not told or "Ctrl-C" not in told[-1]:
            told.append(run.stdout.readline())
            assert told[-1] or run.poll() is None, told
    finally:
        os.kill(run.pid, signal.SIGTERM)
    assert run.wait(20) == 0
    words = "".join(told)
    assert "export ALPACA_TRADING_URL=http://127.0.0.1:" in words and "PKLOOPBACK" in words
