"""What a refusal says: people act on its words, so each is read here in full."""

from decimal import Decimal
from typing import Any

import pytest

from trading.domain.orders import OrderIntent, OrderType, TimeInForce
from trading.domain.risk import Denied, Venue
from trading.tests.test_risk import D, code, judge, order

VENUE = Venue(
    name="Alpaca",
    asset_types=frozenset({"stock", "crypto"}),
    order_types=frozenset({"market", "limit"}),
    times_in_force=frozenset({"day", "gtc", "ioc"}),
    notional=True,
    fraction_tifs=frozenset({"day"}),
)


def words(intent: OrderIntent, **changes: Any) -> tuple[str, str]:
    """(code, words) of the refusal."""
    with pytest.raises(Denied) as refused:
        judge(intent, **changes)
    return refused.value.code, refused.value.detail


@pytest.mark.parametrize(
    "intent, changes, expected",
    [
        (order(), {"switches__halted": "a storm"}, "trading_halted: Trading is halted: a storm"),
        (order(), {"switches__account": "It is frozen."}, "account_not_active: It is frozen."),
        (order(), {"switches__blind": "Nobody sees."}, "account_blind: Nobody sees."),
        (
            order(tif=TimeInForce.OPG),
            {},
            "order_type_unsupported: Use time in force day, gtc, ioc or fok.",
        ),
        (
            order(),
            {"rules__halted": True},
            "symbol_halted: AAPL is halted. Orders can be canceled.",
        ),
        (
            order(limit="99.995"),
            {},
            "price_off_grid: AAPL moves in steps of 0.01; write the limit so.",
        ),
        (order(), {"market__ask": None}, "quote_stale: There is no fresh price for AAPL."),
        (order(qty="1.0005"), {}, "qty_off_grid: AAPL trades in steps of 0.001."),
        (
            order(qty="0.009"),
            {"rules__min_notional": D("0.01")},
            "qty_too_small: The least that can be ordered is 0.01 AAPL.",
        ),
        (
            order(qty=None, notional=D("0.99")),
            {"rules__min_qty": D(0)},
            "qty_too_small: The least that can be ordered is $1.00.",
        ),
        (
            order(qty="501"),
            {},
            "order_notional_limit: One order may be worth $50,000.00.",
        ),
        (
            order(),
            {"funds__day_notional": D(199_500)},
            "day_notional_limit: $500.00 of what may be bought today ($200,000.00) is left.",
        ),
        (
            order(),
            {"funds__open_orders": 500},
            "too_many_open_orders: At most 500 orders can be open.",
        ),
        (
            order(limit="120.01"),
            {"limits__collar_deny": D("0.20")},
            "price_collar: The limit is more than 20 % beyond the market at $100.00.",
        ),
        (
            order(limit="120.13"),
            {"market__ask": D("100.1")},
            "price_collar: The limit is more than 20 % beyond the market at $100.10.",
        ),
        (
            order(),
            {"funds__buying_power": D("1000.25")},
            "insufficient_buying_power: The order needs $1,050.00, buying power is $1,000.25: "
            "$49.75 is missing.",
        ),
        (
            order("sell", "50.5"),
            {},
            "insufficient_position: The order sells 50.5 AAPL, 50 is free: 0.5 is missing.",
        ),
        (
            order(qty="400"),
            {"limits__max_position_notional": D(30_000)},
            "position_limit: A position may be worth $30,000.00, with what open orders may still "
            "buy.",
        ),
    ],
)
def test_a_refusal_says_what_is_wrong_and_how_much(
    intent: OrderIntent, changes: dict[str, Any], expected: str
):
    assert ": ".join(words(intent, **changes)) == expected


def test_a_limit_far_beyond_the_market_is_asked_about_with_the_market():
    (question,) = judge(order(limit="110.12"), market__ask=D("100.1")).questions
    assert question == "The limit is far beyond the market at $100.10: it will fill at once."


# ── what a broker takes ──────────────────────────────────────────────────────
def at_broker(venue: Venue, intent: OrderIntent, **changes: Any) -> str:
    return ": ".join(words(intent, switches__venue=venue, **changes))


def stock(**more: Any) -> OrderIntent:
    return order(asset_type="stock", **more)


def test_a_broker_is_sent_what_it_takes():
    taken = [
        stock(),
        stock(tif=TimeInForce.IOC),
        stock(qty="1.5"),
        stock(qty=None, notional=D(50)),
        order(asset_type="crypto", qty="1.5", tif=TimeInForce.GTC),
    ]
    assert {code(intent, switches__venue=VENUE) for intent in taken} == {"passes"}


@pytest.mark.parametrize(
    "fields, intent, changes, expected",
    [
        (
            {"asset_types": frozenset({"crypto"})},
            stock(),
            {},
            "instrument_not_at_broker: Alpaca trades crypto only.",
        ),
        (
            {"asset_types": frozenset({"crypto", "bond"})},
            stock(),
            {},
            "instrument_not_at_broker: Alpaca trades bond and crypto only.",
        ),
        (
            {},
            order(asset_type="crypto", tif=TimeInForce.GTC),
            {"rules__symbol": "BTC/EUR"},
            "instrument_not_at_broker: This account is kept in USD; choose BTC/USD.",
        ),
        (
            {"order_types": frozenset({"limit"})},
            stock(),
            {},
            "order_type_unsupported: Alpaca takes no such order.",
        ),
        (
            {"notional": False},
            stock(qty=None, notional=D(50)),
            {},
            "order_type_unsupported: Alpaca takes no orders in money; say how many units.",
        ),
        (
            {},
            stock(tif=TimeInForce.FOK),
            {},
            "order_type_unsupported: Alpaca takes orders with time in force day, gtc, ioc.",
        ),
        (
            {},
            stock(qty="1.5", tif=TimeInForce.GTC),
            {},
            "order_type_unsupported: Alpaca takes orders for parts of a share with time in force "
            "day.",
        ),
        (
            {},
            stock(qty=None, notional=D(50), tif=TimeInForce.GTC),
            {},
            "order_type_unsupported: Alpaca takes orders for parts of a share with time in force "
            "day.",
        ),
        (
            {},
            order(asset_type="crypto", tif=TimeInForce.DAY),
            {},
            "order_type_unsupported: Alpaca takes orders with time in force gtc, ioc.",
        ),
    ],
)
def test_what_a_broker_does_not_take_is_refused_in_words(
    fields: dict[str, Any], intent: OrderIntent, changes: dict[str, Any], expected: str
):
    from dataclasses import replace

    assert at_broker(replace(VENUE, **fields), intent, **changes) == expected


def test_a_broker_without_a_rule_for_parts_takes_them_as_it_takes_the_rest():
    from dataclasses import replace

    venue = replace(VENUE, fraction_tifs=None)
    assert code(stock(qty="1.5", tif=TimeInForce.GTC), switches__venue=venue) == "passes"


def test_a_sale_in_money_may_sell_all_that_is_free_and_is_held_so():
    """50 shares at 99 are worth the amount now; at the worst price it would take 52.12 of them."""
    terms = judge(order("sell", None, notional=D("4950")))
    assert (terms.max_qty, terms.hold) == (D(50), D(50))
    small = judge(order("sell", None, notional=D("99")))
    assert (small.max_qty, small.hold) == (D("1.053"), D("1.053"))


def test_a_market_order_with_a_limit_price_is_no_limit_order():
    terms = judge(order(limit="90.00", kind=OrderType.MARKET))
    assert terms.price_bound == Decimal("105.00")
