"""Every refusal before an order leaves: at its limit, one below, one above, and in its order."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speedtrade.lib.errors import CATALOGUE
from speedtrade.lib.money import ZERO, money_up
from trading.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from trading.domain.risk import (
    Denied,
    Funds,
    Limits,
    Market,
    Remaining,
    Rules,
    Switches,
    Terms,
    Venue,
    assess,
    hold_left,
)

D = Decimal
RULES = Rules("AAPL", D("0.01"), D("0.001"), D("0.01"), D(1), True, False, D(0))
MARKET = Market(D("99.00"), D("100.00"), True, True)
FUNDS = Funds(D("100000"), D(50), D(50), D(0), 0)
LIMITS = Limits(D("50000"), D("200000"), D("80000"), 500, D("0.10"), D("0.20"), D("0.05"))
SWITCHES = Switches()
BROKER = Venue(
    "Alpaca",
    asset_types=frozenset({"stock"}),
    order_types=frozenset({"market", "limit"}),
    times_in_force=frozenset({"day", "gtc"}),
    notional=True,
    fraction_tifs=frozenset({"day"}),
)
WORLD = {
    "rules": RULES,
    "market": MARKET,
    "funds": FUNDS,
    "limits": LIMITS,
    "switches": SWITCHES,
}


def order(
    side: str = "buy", qty: str | None = "10", limit: str | None = None, **more: Any
) -> OrderIntent:
    return OrderIntent(
        symbol="AAPL",
        side=Side(side),
        order_type=more.pop("kind", OrderType.LIMIT if limit else OrderType.MARKET),
        time_in_force=more.pop("tif", TimeInForce.DAY),
        qty=D(qty) if qty else None,
        limit_price=D(limit) if limit else None,
        **more,
    )


def judge(intent: OrderIntent, **changes: Any) -> Terms:
    """Assess in WORLD, with single fields changed as `funds__buying_power=…`."""
    world = dict(WORLD)
    for path, value in changes.items():
        part, _, name = path.partition("__")
        world[part] = replace(world[part], **{name: value})
    return assess(intent, **world)


def code(intent: OrderIntent, **changes: Any) -> str:
    """The code of the refusal, or 'passes'."""
    try:
        judge(intent, **changes)
    except Denied as refusal:
        return refusal.code
    return "passes"


def test_a_sensible_order_of_a_new_user_passes_under_the_default_caps(settings):
    from trading.selectors.facts import limits

    terms = assess(
        order(qty="900"), RULES, MARKET, replace(FUNDS, position_qty=D(0)), limits(), SWITCHES
    )
    assert terms.notional == D(90_000)
    assert terms.questions == ()


def test_what_is_sold_may_be_worth_less_than_the_least_where_it_is_all_there_is():
    """Fails where the least value is asked of the last piece, too: nobody could ever sell it."""
    piece = {"funds__position_qty": D("0.01"), "funds__free_qty": D("0.01")}
    rest = {"rules__min_notional": D(5), **piece}
    assert code(order("sell", "0.01"), **rest) == "passes"
    assert code(order("sell", "0.02"), **rest | {"funds__position_qty": D("0.04")}) == (
        "qty_too_small"
    )
    assert code(order("buy", "0.01"), **rest) == "qty_too_small"
    assert (
        code(order("sell", "0.01", asset_type="stock"), **rest, switches__venue=BROKER)
        == "qty_too_small"
    )


def test_who_has_bought_enough_for_today_may_still_sell():
    spent = {"funds__day_notional": D(200_000)}
    assert code(order("buy", "1"), **spent) == "day_notional_limit"
    assert code(order("sell", "1"), **spent) == "passes"


@pytest.mark.parametrize(
    "side, bid, ask, last, expected",
    [
        ("buy", "79.99", "120.01", "100", "price_collar"),
        ("sell", "79.99", "120.01", "100", "price_collar"),
        ("buy", "80", "120", "100", "passes"),
        ("sell", "0.01", "100", "100", "price_collar"),
        ("buy", "0.01", "100", "100", "passes"),
        ("buy", "130", "131", "100", "passes"),  # it has moved, or has not traded for long
        ("buy", "0.01", "199999", "0", "passes"),
    ],
)
def test_a_market_order_does_not_trade_at_a_price_for_show(
    side: str, bid: str, ask: str, last: str, expected: str
):
    """At night a side may show 0.01 or 199,999."""
    seen = {"market__bid": D(bid), "market__ask": D(ask), "market__last": D(last)}
    rich = {"funds__buying_power": D(10**6), "limits__max_order_notional": D(10**6)}
    rich |= {"limits__max_day_notional": D(10**6), "limits__max_position_notional": D(10**8)}
    assert code(order(side, "1"), **seen, **rich) == expected
    assert code(order(side, "1", limit="100"), **seen, **rich) == "passes"


@pytest.mark.parametrize(
    "change",
    [{"kind": OrderType.MARKET, "limit": None}, {"tif": TimeInForce.GTC}, {"asset_type": "crypto"}],
)
def test_extended_hours_take_limits_for_the_day_in_stocks(change: dict[str, Any]):
    asked = {"limit": "99.00", "extended_hours": True, "asset_type": "stock"}
    assert code(order(**asked)) == "passes"
    assert code(order(**asked | change)) == "order_type_unsupported"


# ── each code at its limit ───────────────────────────────────────────────────
@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"switches__halted": "a storm"}, "trading_halted"),
        ({"switches__account": "The account is frozen."}, "account_not_active"),
        ({"rules__tradable": False}, "instrument_not_tradable"),
        ({"rules__halted": True}, "symbol_halted"),
        ({"market__fresh": False}, "quote_stale"),
        ({"market__ask": None}, "quote_stale"),
    ],
)
def test_what_stops_every_market_order(changes: dict[str, Any], expected: str):
    assert code(order()) == "passes"
    assert code(order(), **changes) == expected


@pytest.mark.parametrize("kind", [OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP])
def test_a_type_that_is_not_offered_is_refused(kind: OrderType):
    assert code(order(kind=kind)) == "order_type_unsupported"


@pytest.mark.parametrize("tif", [TimeInForce.OPG, TimeInForce.CLS])
def test_a_time_in_force_that_is_not_offered_is_refused(tif: TimeInForce):
    assert code(order(tif=tif)) == "order_type_unsupported"


@pytest.mark.parametrize(
    "tif, is_open, expected",
    [
        (TimeInForce.IOC, False, "market_closed"),
        (TimeInForce.FOK, False, "market_closed"),
        (TimeInForce.DAY, False, "passes"),
        (TimeInForce.GTC, False, "passes"),
        (TimeInForce.IOC, True, "passes"),
    ],
)
def test_an_immediate_order_needs_an_open_market(tif: TimeInForce, is_open: bool, expected: str):
    assert code(order(tif=tif), market__is_open=is_open) == expected


def test_over_night_a_market_order_may_wait_with_yesterdays_price():
    assert code(order(), market__is_open=False, market__fresh=False) == "passes"
    assert code(order(), market__is_open=False, market__ask=None) == "quote_stale"


@pytest.mark.parametrize("fresh, ask", [(False, D("100.00")), (True, None)])
def test_a_limit_order_needs_no_fresh_price(fresh: bool, ask: Decimal | None):
    assert code(order(limit="100.00"), market__fresh=fresh, market__ask=ask) == "passes"


@pytest.mark.parametrize(
    "limit, expected",
    [("99.99", "passes"), ("99.995", "price_off_grid"), ("100.00", "passes")],
)
def test_a_limit_stands_on_the_price_grid(limit: str, expected: str):
    assert code(order(limit=limit)) == expected


@pytest.mark.parametrize(
    "qty, expected",
    [("1.000", "passes"), ("1.0005", "qty_off_grid"), ("1.001", "passes")],
)
def test_a_quantity_stands_on_its_grid(qty: str, expected: str):
    assert code(order(qty=qty)) == expected


@pytest.mark.parametrize(
    "qty, expected", [("0.009", "qty_too_small"), ("0.010", "passes"), ("0.011", "passes")]
)
def test_the_least_quantity(qty: str, expected: str):
    assert code(order(qty=qty), rules__min_notional=D("0.01")) == expected


@pytest.mark.parametrize(
    "notional, expected", [("0.99", "qty_too_small"), ("1.00", "passes"), ("1.01", "passes")]
)
def test_the_least_amount(notional: str, expected: str):
    assert code(order(qty=None, notional=D(notional)), rules__min_qty=D(0)) == expected


@pytest.mark.parametrize(
    "notional, expected", [("99.99", "qty_too_small"), ("100.00", "passes"), ("100.01", "passes")]
)
def test_an_amount_must_come_to_the_least_quantity(notional: str, expected: str):
    """Of a share that trades whole, less money than it costs would buy nothing at all."""
    whole = {"rules__qty_step": D(1), "rules__min_qty": D(1)}
    assert code(order(qty=None, notional=D(notional)), **whole) == expected


@pytest.mark.parametrize(
    "side, limit, notional, expected",
    [
        ("buy", "110.00", "100.00", "passes"),  # it will pay the market's 100, not its limit
        ("buy", "90.00", "90.00", "passes"),
        ("buy", "90.00", "89.99", "qty_too_small"),
        ("sell", "90.00", "98.99", "qty_too_small"),  # it will get the market's 99
        ("sell", "90.00", "99.00", "passes"),
        ("sell", "120.00", "119.99", "qty_too_small"),
    ],
)
def test_units_of_an_amount_are_counted_at_the_better_of_market_and_limit(
    side: str, limit: str, notional: str, expected: str
):
    whole = {"rules__qty_step": D(1), "rules__min_qty": D(1)}
    assert code(order(side, None, limit, notional=D(notional)), **whole) == expected


@pytest.mark.parametrize(
    "qty, expected", [("99.99", "passes"), ("100", "passes"), ("100.01", "order_notional_limit")]
)
def test_the_most_that_one_order_may_be_worth(qty: str, expected: str):
    assert code(order(qty=qty), limits__max_order_notional=D(10_000)) == expected


@pytest.mark.parametrize(
    "before, expected",
    [("198999.99", "passes"), ("199000", "passes"), ("199000.01", "day_notional_limit")],
)
def test_the_most_of_one_day(before: str, expected: str):
    assert code(order(qty="10"), funds__day_notional=D(before)) == expected


@pytest.mark.parametrize(
    "count, expected", [(498, "passes"), (499, "passes"), (500, "too_many_open_orders")]
)
def test_the_most_open_orders(count: int, expected: str):
    assert code(order(), funds__open_orders=count) == expected


@pytest.mark.parametrize(
    "side, limit, expected, questions",
    [
        ("buy", "109.99", "passes", 0),
        ("buy", "110.00", "passes", 0),
        ("buy", "110.01", "passes", 1),
        ("buy", "119.99", "passes", 1),
        ("buy", "120.00", "passes", 1),
        ("buy", "120.01", "price_collar", 0),
        ("buy", "1.00", "passes", 0),  # a patient buyer is no slip of the finger
        ("sell", "89.10", "passes", 0),
        ("sell", "89.09", "passes", 1),
        ("sell", "79.20", "passes", 1),
        ("sell", "79.19", "price_collar", 0),
        ("sell", "500.00", "passes", 0),
    ],
)
def test_a_limit_far_beyond_the_market_is_asked_about_and_then_refused(
    side: str, limit: str, expected: str, questions: int
):
    intent = order(side, "1", limit)
    assert code(intent) == expected
    if expected == "passes":
        assert len(judge(intent).questions) == questions


@pytest.mark.parametrize(
    "power, expected",
    [("1049.99", "insufficient_buying_power"), ("1050.00", "passes"), ("1050.01", "passes")],
)
def test_a_market_purchase_needs_its_worst_price(power: str, expected: str):
    assert code(order(qty="10"), funds__buying_power=D(power)) == expected


@pytest.mark.parametrize(
    "power, expected",
    [("1000.99", "insufficient_buying_power"), ("1001.00", "passes"), ("1001.01", "passes")],
)
def test_a_purchase_needs_its_fee_as_well(power: str, expected: str):
    fee = {"rules__fee_rate": D("0.001")}
    assert code(order(qty="10", limit="100.00"), funds__buying_power=D(power), **fee) == expected


@pytest.mark.parametrize(
    "free, expected",
    [("9.999", "insufficient_position"), ("10", "passes"), ("10.001", "passes")],
)
def test_a_sale_needs_its_shares(free: str, expected: str):
    assert code(order("sell", "10"), funds__free_qty=D(free)) == expected


@pytest.mark.parametrize(
    "held, expected",
    [("789.99", "passes"), ("790", "passes"), ("790.01", "position_limit")],
)
def test_the_most_that_a_position_may_be_worth(held: str, expected: str):
    assert code(order(qty="10"), funds__position_qty=D(held)) == expected


@pytest.mark.parametrize(
    "units, money, expected",
    [("700", "3999.99", "passes"), ("700", "4000", "passes"), ("700", "4000.01", "position_limit")],
)
def test_what_open_purchases_may_still_buy_counts_as_a_position(
    units: str, money: str, expected: str
):
    """50 are held: with 700 on their way and this order's 10 they are worth 76,000 of 80,000."""
    more = {"funds__buying_qty": D(units), "funds__buying_notional": D(money)}
    assert code(order(qty="10"), **more) == expected


def test_a_sale_out_of_a_position_that_is_too_large_passes():
    assert code(order("sell", "10"), funds__position_qty=D(5000)) == "passes"
    assert code(order("sell", "10"), funds__buying_qty=D(5000)) == "passes"


# ── the order of the checks ──────────────────────────────────────────────────
FAULTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # (code, changes of the world, changes of the intent), in the order of the checks
    ("trading_halted", {"switches__halted": "a storm"}, {}),
    ("account_not_active", {"switches__account": "frozen"}, {}),
    ("order_type_unsupported", {}, {"order_type": OrderType.STOP}),
    ("instrument_not_tradable", {"rules__tradable": False}, {}),
    ("symbol_halted", {"rules__halted": True}, {}),
    ("price_off_grid", {}, {"limit_price": D("200.005")}),
    ("qty_off_grid", {}, {"qty": D("1000.0005")}),
    ("qty_too_small", {"rules__min_qty": D(100_000)}, {}),
    ("order_notional_limit", {"limits__max_order_notional": D("0.5")}, {}),
    ("day_notional_limit", {"funds__day_notional": D(10**9)}, {}),
    ("too_many_open_orders", {"funds__open_orders": 9999}, {}),
    ("price_collar", {}, {"limit_price": D("200.00")}),
    ("insufficient_buying_power", {"funds__buying_power": D(0)}, {}),
    ("position_limit", {"funds__position_qty": D(10**6)}, {}),
]


@pytest.mark.parametrize("first", range(len(FAULTS)))
def test_an_order_that_breaks_several_rules_hears_of_the_first(first: int):
    """Each fault with all that come after it: the earliest code of the list is the answer."""
    world: dict[str, Any] = {}
    intent = order(qty="10", limit="100.00")
    for _, changes, terms in reversed(FAULTS[first:]):
        world |= changes
        intent = replace(intent, **terms)
    assert code(intent, **world) == FAULTS[first][0]


def test_a_stale_price_is_told_before_a_wrong_quantity_and_after_a_halt():
    wrong = {"market__fresh": False}
    assert code(order(qty="1.0005"), **wrong) == "quote_stale"
    assert code(order(qty="1.0005"), **wrong, rules__halted=True) == "symbol_halted"


def test_every_code_of_a_refusal_has_words_in_the_catalogue():
    for name, changes, terms in FAULTS:
        with pytest.raises(Denied) as refusal:
            judge(replace(order(qty="10", limit="100.00"), **terms), **changes)
        assert name in CATALOGUE
        assert refusal.value.detail
        assert refusal.value.status == 422


# ── what goes on hold ────────────────────────────────────────────────────────
def test_terms_of_a_market_purchase_stand_a_band_above_the_ask():
    terms = judge(order(qty="10"))
    assert (terms.reference_price, terms.price_bound) == (D("100.00"), D("105.00"))
    assert (terms.notional, terms.hold, terms.max_qty) == (D("1000"), D("1050"), None)


def test_terms_of_a_market_sale_stand_a_band_below_the_bid():
    terms = judge(order("sell", "10"))
    assert (terms.reference_price, terms.price_bound) == (D("99.00"), D("94.05"))
    assert (terms.notional, terms.hold) == (D("990"), D("10"))


def test_a_sale_in_dollars_holds_the_shares_that_its_worst_price_needs():
    terms = judge(order("sell", None, notional=D("100")))
    assert terms.max_qty == terms.hold == D("1.064")  # 100 / 94.05, up to a step


@pytest.mark.parametrize(
    "notional, expected",
    [("4702.50", "50.000"), ("4950.00", "50"), ("4950.01", "insufficient_position")],
)
def test_a_sale_in_dollars_may_take_all_that_it_is_worth_now(notional: str, expected: str):
    """50 shares at 99: 4,950 can be sold, though five per cent lower they would not make it."""
    intent = order("sell", None, notional=D(notional))
    if expected == "insufficient_position":
        assert code(intent) == expected
    else:
        assert judge(intent).hold == judge(intent).max_qty == D(expected)


@pytest.mark.parametrize("bid", ["0.01", "0.02"])
def test_the_worst_price_of_a_sale_is_at_least_a_tick(bid: str):
    rules = {"rules__min_notional": D("0.01")}
    terms = judge(order("sell", "10"), market__bid=D(bid), **rules)
    assert terms.price_bound == D("0.01")


FILLS = st.lists(st.tuples(st.integers(1, 10**7), st.integers(1, 10_000)), min_size=1, max_size=12)


@given(
    bound=st.integers(2, 10**7),
    qty=st.integers(1, 10**8),
    rate=st.sampled_from([D(0), D("0.001"), D("0.0025"), D("0.00000001")]),
    fills=FILLS,
)
@settings(max_examples=300)
def test_what_was_paid_and_what_is_held_never_exceed_the_first_hold(bound, qty, rate, fills):
    """A purchase by quantity, filled in any pieces at any prices up to its bound."""
    price_bound, asked = D(bound).scaleb(-2), D(qty).scaleb(-6)
    order_ = Remaining(Side.BUY, asked, None, None, price_bound, rate)
    first = hold_left(order_)
    pieces = [(D(q).scaleb(-6), min(D(p).scaleb(-2), price_bound)) for q, p in fills]
    pieces.append((asked, price_bound))  # whatever is left fills at the worst price
    for piece, price in pieces:
        order_ = filled(order_, min(piece, asked - order_.filled_qty), price)
        assert order_.filled_notional + order_.fees + hold_left(order_) <= first
        assert hold_left(order_) >= 0
    assert order_.filled_qty == asked
    assert hold_left(order_) == 0


@given(
    notional=st.integers(100, 10**8),
    rate=st.sampled_from([D(0), D("0.001"), D("0.0025")]),
    fills=FILLS,
)
@settings(max_examples=200)
def test_an_amount_never_costs_more_than_its_first_hold(notional, rate, fills):
    amount = D(notional).scaleb(-2)
    order_ = Remaining(Side.BUY, None, amount, None, D(10_000), rate)
    first = hold_left(order_)
    assert first == amount + money_up(amount * rate)
    for q, p in fills:
        price = D(p).scaleb(-2)
        units = min(
            D(q).scaleb(-6),
            (amount - order_.filled_notional) // (price * D("0.000001")) * D("0.000001"),
        )
        if units > 0:
            order_ = filled(order_, units, price)
        assert order_.filled_notional + order_.fees + hold_left(order_) <= first


@given(asked=st.integers(1, 10**9), parts=st.lists(st.integers(1, 10**9), max_size=10))
def test_a_sale_holds_the_shares_that_are_left(asked, parts):
    order_ = Remaining(Side.SELL, D(asked).scaleb(-6), None, None, D(1), D(0))
    for part in parts:
        piece = min(D(part).scaleb(-6), D(asked).scaleb(-6) - order_.filled_qty)
        order_ = replace(order_, filled_qty=order_.filled_qty + piece)
        assert hold_left(order_) == D(asked).scaleb(-6) - order_.filled_qty


def filled(order_: Remaining, qty: Decimal, price: Decimal) -> Remaining:
    """The order after a fill, with the fee rounded as the venue does: up, over the whole order."""
    notional = order_.filled_notional + qty * price
    fees = money_up(notional * order_.fee_rate) if order_.fee_rate else ZERO
    return replace(order_, filled_qty=order_.filled_qty + qty, filled_notional=notional, fees=fees)
