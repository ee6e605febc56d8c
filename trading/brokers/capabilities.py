"""What each broker can do, as plain data: the web process reads it without loading an adapter."""

from dataclasses import replace

from trading.brokers.base import Capabilities, IdScope

STOCK_AND_CRYPTO = frozenset({"stock", "crypto"})

PAPER = Capabilities(
    asset_types=STOCK_AND_CRYPTO,
    order_types=frozenset({"market", "limit"}),
    times_in_force=frozenset({"day", "gtc", "ioc", "fok"}),
    fractional=True,
    id_scope=IdScope.ALL_TIME,
    lookup_is_proof=True,  # the venue's table is in our own database
    push_updates=True,
)

ALPACA = Capabilities(
    asset_types=STOCK_AND_CRYPTO,
    order_types=frozenset({"market", "limit"}),
    times_in_force=frozenset({"day", "gtc", "ioc", "fok", "opg", "cls"}),
    fractional=True,
    fraction_tifs=frozenset({"day"}),  # crypto excepted, which has no day orders
    id_scope=IdScope.ALL_TIME,
    lookup_is_proof=False,
    push_updates=True,
    cid_max_len=128,
    events_by_day=True,
)

_EXCHANGE = Capabilities(
    asset_types=frozenset({"crypto"}),
    order_types=frozenset({"market", "limit"}),
    times_in_force=frozenset({"gtc", "ioc"}),
    fractional=True,
    notional=False,
    id_scope=IdScope.OPEN_ONLY,
    lookup_is_proof=False,
    push_updates=False,
    cid_max_len=36,
    one_writer=True,
    reserve=2,  # of about fifteen
)

#: The exchanges that are tried here; others need a row, and the tests that come with it.
EXCHANGES = {
    "kraken": _EXCHANGE,
    "coinbase": replace(_EXCHANGE, times_in_force=frozenset({"gtc", "ioc", "fok"})),
    "binance": replace(_EXCHANGE, times_in_force=frozenset({"gtc", "ioc", "fok"})),
}


def caps_of(broker: str, exchange: str = "") -> Capabilities:
    """The capabilities of a kind of account; raises KeyError for one that is not offered."""
    return {"paper": PAPER, "alpaca": ALPACA}[broker] if broker != "ccxt" else EXCHANGES[exchange]
