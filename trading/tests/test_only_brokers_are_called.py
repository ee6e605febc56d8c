"""No address that a user wrote is asked for: what sockets open to while all fields are hostile.

Once with the vendors on the loopback, so that each adapter gets as far as it can, and once with the
addresses that settings and packages have, where a hostile name would show as a name.
"""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from unittest.mock import AsyncMock

import ccxt
import pytest

from accounts.keys import BrokerKey
from accounts.models import BrokerageAccount, User
from accounts.services.offers import NOT_YET
from speedtrade.testing import market
from speedtrade.testing.cast import ApiClient, give_app
from speedtrade.testing.sockets import EVIL, HOSTILE, Doorman, doorman, place_of
from trading.brokers.alpaca import client as alpaca_client
from trading.brokers.alpaca.adapter import AlpacaBroker
from trading.brokers.alpaca.stream import AlpacaStream
from trading.brokers.base import Broker, BrokerRequest, OrderRef
from trading.brokers.ccxt import client as ccxt_client
from trading.brokers.ccxt.adapter import CcxtBroker
from trading.tests.hostile import MARKETS, RIGHT, Market, at_vendor, lived_through

each_market = pytest.mark.parametrize("market_", MARKETS, ids=lambda one: f"{one.name}-{one.mode}")
each_place = pytest.mark.parametrize("where", ["loopback", "by name"])


@pytest.fixture(autouse=True)
def quick(settings: Any, db: None) -> Iterator[None]:
    """As many tries as it takes, without a pace."""
    settings.RATE_CONNECT_PER_USER = "100000/minute"
    settings.BROKER_ACCOUNTS_MAX = 1000
    settings.BROKER_TIMEOUT = (5.0, 20.0)  # a busy machine is no fault
    settings.CCXT_PACE = 10_000
    settings.CCXT_EXCHANGES = [*settings.CCXT_EXCHANGES, *NOT_YET]  # their adapters are there
    settings.GATE_FAILURES = 1000
    ccxt_client.markets_forget()
    yield
    ccxt_client.markets_forget()


@pytest.fixture
def alice(alice: Any) -> User:
    """She has what a live account takes."""
    give_app(alice)
    market.instrument("BTC/USD")
    market.instrument("BTC/USDT")
    return alice  # type: ignore[no-any-return]


@each_place
@each_market
def test_no_field_of_an_account_is_an_address(
    settings: Any, alice: User, market_: Market, where: str
) -> None:
    with at_vendor(market_, where, settings) as door:
        texts = HOSTILE if where == "loopback" else HOSTILE[:3]
        taken = lived_through(market_, alice, texts)
    assert door.strange == []
    meant = {place_of(url) for url in market_.addresses(settings)}
    assert door.asked & meant and taken > 2 * len(texts)  # it was no idle watch


def test_no_exchange_is_asked_but_those_on_the_list(settings: Any, alice: User) -> None:
    """All that the package knows, and its own attributes, are no exchanges here."""
    settings.RATE_API_PER_USER = "1000000/minute"  # hundreds of questions, in a second or two
    script, key = ApiClient(user=alice), {"api_key": "k" * 20, "secret_key": "s" * 20}
    others = {*ccxt.exchanges, *dir(ccxt), *HOSTILE, "ccxt.kraken", "kraken.io/../", "pro.kraken"}
    with doorman([settings.REDIS_URL]) as door:
        for name in sorted(others - set(settings.CCXT_EXCHANGES)):
            for mode in ("live", "paper"):
                wish = {"broker": "ccxt", "exchange": name, "mode": mode, "confirm_live": True}
                answer = script.post("accounts", {**wish, **key})
                assert answer.status_code == 422, name
    assert door.strange == []
    assert len(others) > 100
    assert not BrokerageAccount.objects.filter(broker="ccxt").exists()


# ── what is asked of an adapter ──────────────────────────────────────────────
def order(wanted: Market, **changes: Any) -> BrokerRequest:
    """A small limit order that the vendors take."""
    coin = {"alpaca": "AAPL", "binance": "BTC/USDT"}.get(wanted.name, "BTC/USD")
    terms: dict[str, Any] = {
        "account_id": 1,
        "client_order_id": uuid.uuid4().hex,
        "instrument_id": 1,
        "symbol": coin,
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "gtc",
        "qty": Decimal("0.1") if "/" in coin else Decimal(1),
        "notional": None,
        "max_qty": None,
        "limit_price": Decimal(43000),
        "price_bound": Decimal(45000),
        "fee_rate": Decimal(0),
        "expires_at": None,
        "asset_type": "crypto" if "/" in coin else "stock",
    }
    return BrokerRequest(**(terms | changes))


def asked_all(broker: Broker, wanted: Market, text: str) -> None:
    """Every question of an order, with this text for each of its names."""
    since = datetime.now(UTC) - timedelta(hours=1)
    for names, their_id in (({"client_order_id": text}, text), ({"symbol": text}, "")):
        sent = order(wanted, **names)
        ref = OrderRef(
            sent.client_order_id, their_id, sent.symbol, sent.asset_type, since, Decimal(0)
        )
        for ask in (
            partial(broker.submit_order, sent),
            partial(broker.find_order, ref),
            partial(broker.cancel_order, ref),
            partial(broker.list_orders, [ref]),
        ):
            with suppress(Exception):  # what comes of it is the matter of other tests
                ask()


@each_market
def test_no_name_of_an_order_is_an_address(settings: Any, market_: Market) -> None:
    with at_vendor(market_, "loopback", settings) as door:
        key = RIGHT[market_.name]
        broker: Broker = (
            AlpacaBroker(1, key, market_.mode)
            if market_.name == "alpaca"
            else CcxtBroker(1, key, market_.name, market_.mode)
        )
        broker.submit_order(order(market_))
        for text in HOSTILE:
            asked_all(broker, market_, text)
    assert door.strange == []
    assert door.asked >= {place_of(url) for url in market_.addresses(settings)} - streams(settings)


def streams(settings: Any) -> set[str]:
    """Where no order is asked for."""
    return {place_of(url) for url in (settings.ALPACA_STREAM_URL, settings.ALPACA_LIVE_STREAM_URL)}


@each_place
@pytest.mark.parametrize("mode", ["paper", "live"])
async def test_no_key_leads_the_stream_away(settings: Any, where: str, mode: str) -> None:
    wanted = Market("alpaca", mode)
    settings.BROKER_STREAM_BACKOFF = (0.05, 0.1)
    with at_vendor(wanted, where, settings) as door:
        (there,) = {place_of(url) for url in wanted.addresses(settings)} & streams(settings)
        for text in HOSTILE[:4]:
            await listened(BrokerKey(text, text, text), mode, door, there)
    assert door.strange == []


async def listened(key: BrokerKey, mode: str, door: Doorman, there: str) -> None:
    """Run the stream with this key until it has called at `there`."""
    door.asked.clear()
    task = asyncio.create_task(AlpacaStream(1, key, mode).run(AsyncMock(), AsyncMock()))
    async with asyncio.timeout(20):
        while there not in door.asked and not task.done():
            await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])


# ── the watch shown ──────────────────────────────────────────────────────────
def proxy_of_a_field(patch: pytest.MonkeyPatch) -> None:
    """The session of ours looks at the address alone: a proxy gets past it."""
    real = ccxt_client._made

    def made(venue: Any, api: Any, key: BrokerKey | None = None) -> Any:
        exchange = real(venue, api, key)
        exchange.http_proxy = key.passphrase if key else None
        return exchange

    patch.setattr(ccxt_client, "_made", made)


def urls_of_a_field(patch: pytest.MonkeyPatch) -> None:
    real = ccxt_client._made

    def made(venue: Any, api: Any, key: BrokerKey | None = None) -> Any:
        there = key.passphrase if key else ""
        return real(venue, dict.fromkeys(api, there) if there else api, key)

    patch.setattr(ccxt_client, "_made", made)


def override_of_a_field(patch: pytest.MonkeyPatch) -> None:
    real = alpaca_client.trading_client

    def made(key: BrokerKey, url: str) -> Any:
        return real(key, key.api_key if "://" in key.api_key else url)

    patch.setattr(alpaca_client, "trading_client", made)


@pytest.mark.parametrize(
    ("hole", "market_"),
    [
        (proxy_of_a_field, Market("kraken", "live")),
        (proxy_of_a_field, Market("coinbase", "live")),
        (urls_of_a_field, Market("binance", "paper")),
        (override_of_a_field, Market("alpaca", "live")),
    ],
)
def test_an_address_of_a_field_would_be_heard(
    settings: Any, alice: User, monkeypatch: pytest.MonkeyPatch, hole: Any, market_: Market
) -> None:
    """The watch shown: one hole in an adapter, and the life above tells of it."""
    hole(monkeypatch)
    with at_vendor(market_, "loopback", settings) as door:
        lived_through(market_, alice, HOSTILE[:2])
    assert any(EVIL in one for one in door.strange)
