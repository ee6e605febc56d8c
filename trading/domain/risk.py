"""Everything that is checked before an order leaves, in one place and one order. Plain Python.

`assess` raises Denied with a code of the catalogue, or returns the Terms under which the order may
go: the worst price a unit may trade at and what must be put on hold. The last word on cash and
shares has the hold itself, which is taken under the account's lock.
"""

from dataclasses import dataclass
from decimal import Decimal

from speedtrade.lib.errors import DomainError
from speedtrade.lib.formats import money_text
from speedtrade.lib.money import ZERO, ceil_to, floor_to, money_up, on_grid, plain, times
from trading.domain.orders import (
    EXTENDED,
    IMMEDIATE_TIFS,
    OFFERED_TIFS,
    OFFERED_TYPES,
    OrderIntent,
    OrderType,
    Side,
)

ONE = Decimal(1)
OWN_LIMIT = ": your own limit, in the settings under Trading."


class Denied(DomainError):
    """We refuse before anything was sent. Not a broker's rejection, and nothing is stored."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an instrument demands. `fee_rate` is the share of the notional that a fill costs."""

    symbol: str
    price_tick: Decimal
    qty_step: Decimal
    min_qty: Decimal
    min_notional: Decimal
    tradable: bool
    halted: bool
    fee_rate: Decimal


@dataclass(frozen=True, slots=True)
class Market:
    """The quote that an order is judged by. None where there never was one."""

    bid: Decimal | None
    ask: Decimal | None
    fresh: bool
    is_open: bool
    last: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Funds:
    """What the account has free, and what it has already asked for.

    `day_notional` is what today's purchases come to. `buying_qty` units and `buying_notional` money
    are what open purchases of the same instrument may still buy.
    """

    buying_power: Decimal
    free_qty: Decimal
    position_qty: Decimal
    day_notional: Decimal
    open_orders: int
    buying_qty: Decimal = ZERO
    buying_notional: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Limits:
    """The house's caps (settings RISK_*), or lower ones of the account's owner, then marked `own`.

    Shares of a price are fractions, not percent.
    """

    max_order_notional: Decimal
    max_day_notional: Decimal
    max_position_notional: Decimal
    max_open_orders: int
    collar_warn: Decimal
    collar_deny: Decimal
    market_band: Decimal
    own_order: bool = False
    own_day: bool = False


@dataclass(frozen=True, slots=True)
class Venue:
    """What the broker of the account takes. None: it does not restrict that."""

    name: str
    asset_types: frozenset[str]
    order_types: frozenset[str]
    times_in_force: frozenset[str]
    notional: bool
    fraction_tifs: frozenset[str] | None  # for parts of a share, and for amounts of money
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Switches:
    """What the account may do: whether anybody has stopped it, and what its broker takes."""

    halted: str = ""  # the reason of the kill switch
    account: str = ""  # why this account may not trade
    blind: str = ""  # why we cannot see what goes on at the broker
    venue: Venue | None = None  # None: the paper market, which takes all that is offered


@dataclass(frozen=True, slots=True)
class Terms:
    """What an order that passed may do. `hold` is cash for a purchase, shares for a sale."""

    price_bound: Decimal
    reference_price: Decimal
    notional: Decimal  # about what it is worth, at the reference price
    hold: Decimal
    max_qty: Decimal | None
    questions: tuple[str, ...]  # what a page asks before it sends; the API does not ask


def assess(
    intent: OrderIntent,
    rules: Rules,
    market: Market,
    funds: Funds,
    limits: Limits,
    switches: Switches,
) -> Terms:
    """Check an order against everything; raises Denied with the first code that applies."""
    _check_switches(switches)
    _check_instrument(intent, rules, market)
    if switches.venue is not None:
        _check_venue(intent, rules, switches.venue)
    reference, bound = _prices(intent, rules, market, limits)
    _check_grid(intent, rules)
    notional = _notional(intent, reference)
    # What the paper market sold in small pieces must not leave a rest that nobody can sell; what an
    # exchange demands it demands of the last piece as well.
    last_piece = switches.venue is None and _sells_all(intent, funds)
    _check_size(intent, rules, ZERO if last_piece else rules.min_notional, notional, reference)
    _check_caps(intent, notional, funds, limits)
    questions = _check_collar(intent, reference, limits)
    hold, max_qty = _hold(intent, rules, bound, reference, funds.free_qty)
    _check_funds(intent, rules, funds, hold)
    _check_position(intent, notional, reference, funds, limits)
    return Terms(bound, reference, notional, hold, max_qty, questions)


def _check_switches(switches: Switches) -> None:
    if switches.halted:
        raise Denied(f"Trading is halted: {switches.halted}", code="trading_halted")
    if switches.account:
        raise Denied(switches.account, code="account_not_active")
    if switches.blind:
        raise Denied(switches.blind, code="account_blind")


def _check_instrument(intent: OrderIntent, rules: Rules, market: Market) -> None:
    if intent.order_type not in OFFERED_TYPES:
        raise Denied(code="order_type_unsupported")
    if intent.time_in_force not in OFFERED_TIFS:
        raise Denied("Use time in force day, gtc, ioc or fok.", code="order_type_unsupported")
    if not rules.tradable:
        raise Denied(code="instrument_not_tradable")
    if rules.halted:
        raise Denied(f"{rules.symbol} is halted. Orders can be canceled.", code="symbol_halted")
    kind = (intent.order_type, intent.time_in_force, intent.asset_type)
    if intent.extended_hours and kind != EXTENDED:
        raise Denied(
            "Before the opening and after the close only limit orders for the day are traded, and "
            "stocks only.",
            code="order_type_unsupported",
        )
    if not market.is_open and intent.time_in_force in IMMEDIATE_TIFS:
        raise Denied(code="market_closed")


def _check_venue(intent: OrderIntent, rules: Rules, venue: Venue) -> None:
    """What the broker would refuse anyway is refused here, in words, before it is sent."""
    if intent.asset_type not in venue.asset_types:
        kinds = " and ".join(sorted(venue.asset_types))
        raise Denied(f"{venue.name} trades {kinds} only.", code="instrument_not_at_broker")
    base, _, quoted = rules.symbol.partition("/")
    if quoted and quoted != venue.currency:
        raise Denied(
            f"This account is kept in {venue.currency}; choose {base}/{venue.currency}.",
            code="instrument_not_at_broker",
        )
    if intent.order_type not in venue.order_types:
        raise Denied(f"{venue.name} takes no such order.", code="order_type_unsupported")
    if intent.notional is not None and not venue.notional:
        raise Denied(
            f"{venue.name} takes no orders in money; say how many units.",
            code="order_type_unsupported",
        )
    tifs, what = venue.times_in_force, "orders"
    part = intent.notional is not None or not on_grid(intent.qty or ZERO, ONE)
    if intent.asset_type == "crypto":
        tifs -= {"day", "opg", "cls"}
    elif part and venue.fraction_tifs is not None:
        tifs, what = venue.fraction_tifs, "orders for parts of a share"
    if intent.time_in_force not in tifs:
        words = ", ".join(sorted(tifs))
        raise Denied(
            f"{venue.name} takes {what} with time in force {words}.",
            code="order_type_unsupported",
        )


def _prices(
    intent: OrderIntent, rules: Rules, market: Market, limits: Limits
) -> tuple[Decimal, Decimal]:
    """(reference price, worst price); raises Denied `quote_stale` where a quote is needed."""
    side_price = market.ask if intent.side == Side.BUY else market.bid
    if intent.order_type == OrderType.LIMIT and intent.limit_price is not None:
        if not on_grid(intent.limit_price, rules.price_tick):
            tick = plain(rules.price_tick)
            raise Denied(
                f"{rules.symbol} moves in steps of {tick}; write the limit so.",
                code="price_off_grid",
            )
        return side_price or intent.limit_price, intent.limit_price
    if side_price is None or (market.is_open and not market.fresh):
        raise Denied(f"There is no fresh price for {rules.symbol}.", code="quote_stale")
    if _nobody_means(side_price, market, limits):
        raise Denied(
            f"{rules.symbol} traded at {money_text(market.last)} last, and at the market it would "
            f"trade at {money_text(side_price)}: set a limit.",
            code="price_collar",
        )
    # Sent as a limit a band away: a market order never trades at a price nobody could expect.
    if intent.side == Side.BUY:
        return side_price, ceil_to(times(side_price, 1 + limits.market_band), rules.price_tick)
    return side_price, max(
        floor_to(times(side_price, 1 - limits.market_band), rules.price_tick), rules.price_tick
    )


def _nobody_means(price: Decimal, market: Market, limits: Limits) -> bool:
    """Whether one side shows a price for show, as 0.01 and 199,999 at night.

    It is far from the last trade and from the other side: where both are near each other the market
    has moved, or has not traded for long.
    """
    if not market.last:
        return False
    far = times(market.last, limits.collar_deny)
    apart = market.bid is None or market.ask is None or market.ask - market.bid > far
    return apart and abs(price - market.last) > far


def _check_grid(intent: OrderIntent, rules: Rules) -> None:
    if intent.qty is not None and not on_grid(intent.qty, rules.qty_step):
        step = plain(rules.qty_step)
        raise Denied(f"{rules.symbol} trades in steps of {step}.", code="qty_off_grid")


def _notional(intent: OrderIntent, reference: Decimal) -> Decimal:
    if intent.notional is not None:
        return intent.notional
    # A limit buy can cost no more than its limit, a limit sale is worth at least its limit.
    price = intent.limit_price or reference
    return times(intent.qty or ZERO, price)


def _sells_all(intent: OrderIntent, funds: Funds) -> bool:
    return intent.side == Side.SELL and ZERO < funds.position_qty == intent.qty


def _check_size(
    intent: OrderIntent, rules: Rules, min_notional: Decimal, notional: Decimal, reference: Decimal
) -> None:
    least = max(rules.min_qty, rules.qty_step)
    if _units(intent, rules, reference) < least:
        raise Denied(
            f"The least that can be ordered is {plain(least)} {rules.symbol}.",
            code="qty_too_small",
        )
    if notional < min_notional:
        raise Denied(
            f"The least that can be ordered is {money_text(min_notional)}.",
            code="qty_too_small",
        )


def _units(intent: OrderIntent, rules: Rules, reference: Decimal) -> Decimal:
    """What is asked for in units: for an amount of money, the whole steps that it comes to."""
    if intent.notional is None:
        return intent.qty or ZERO
    price = reference
    if intent.limit_price is not None:  # it trades at the better one of market and limit
        better = min if intent.side == Side.BUY else max
        price = better(reference, intent.limit_price)
    return floor_to(intent.notional / price, rules.qty_step)


def _check_caps(intent: OrderIntent, notional: Decimal, funds: Funds, limits: Limits) -> None:
    if notional > limits.max_order_notional:
        raise Denied(
            f"One order may be worth {money_text(limits.max_order_notional)}"
            f"{OWN_LIMIT if limits.own_order else '.'}",
            code="order_notional_limit",
        )
    # A sale makes a risk smaller: nobody must keep until tomorrow what was bought today.
    buying = intent.side == Side.BUY
    if buying and funds.day_notional + notional > limits.max_day_notional:
        left = max(limits.max_day_notional - funds.day_notional, ZERO)
        most = money_text(limits.max_day_notional)
        raise Denied(
            f"{money_text(left)} of what may be bought today ({most}) is left"
            f"{OWN_LIMIT if limits.own_day else '.'}",
            code="day_notional_limit",
        )
    if funds.open_orders >= limits.max_open_orders:
        raise Denied(
            f"At most {limits.max_open_orders} orders can be open.", code="too_many_open_orders"
        )


def _check_collar(intent: OrderIntent, reference: Decimal, limits: Limits) -> tuple[str, ...]:
    """A limit far beyond the market (a buyer's above it) is a slip of the finger."""
    if intent.limit_price is None:
        return ()
    beyond = (
        intent.limit_price - reference
        if intent.side == Side.BUY
        else reference - intent.limit_price
    )
    if beyond > times(reference, limits.collar_deny):
        share = plain(limits.collar_deny * 100)
        raise Denied(
            f"The limit is more than {share} % beyond the market at ${plain(reference, 2)}.",
            code="price_collar",
        )
    if beyond > times(reference, limits.collar_warn):
        return (
            f"The limit is far beyond the market at ${plain(reference, 2)}: it will fill at once.",
        )
    return ()


def _hold(
    intent: OrderIntent, rules: Rules, bound: Decimal, reference: Decimal, free_qty: Decimal
) -> tuple[Decimal, Decimal | None]:
    """(what to put on hold, the most a sale in dollars may sell)."""
    max_qty = None
    if intent.side == Side.SELL and intent.notional is not None:
        max_qty = ceil_to(intent.notional / bound, rules.qty_step)
        # What is free is worth the amount now: all of it may go, if the price should fall a little.
        if max_qty > free_qty and times(free_qty, reference) >= intent.notional:
            max_qty = free_qty
    ask = Remaining(intent.side, intent.qty, intent.notional, max_qty, bound, rules.fee_rate)
    return hold_left(ask), max_qty


@dataclass(frozen=True, slots=True)
class Remaining:
    """An order's terms and what has come of it so far (cumulative)."""

    side: Side
    qty: Decimal | None
    notional: Decimal | None
    max_qty: Decimal | None
    price_bound: Decimal
    fee_rate: Decimal
    filled_qty: Decimal = ZERO
    filled_notional: Decimal = ZERO
    fees: Decimal = ZERO


def hold_left(order: Remaining) -> Decimal:
    """What an order may still cost: the invariant I3 as a formula.

    Shares for a sale. For a purchase cash: the worst price of what is left, and the fee of it all
    less the fees already paid. What was paid and what is left on hold never exceed the first hold.
    """
    if order.side == Side.SELL:
        asked = order.qty if order.qty is not None else order.max_qty or ZERO
        return max(asked - order.filled_qty, ZERO)
    if order.notional is not None:
        left = order.notional - order.filled_notional
    else:
        left = times((order.qty or ZERO) - order.filled_qty, order.price_bound)
    left = max(left, ZERO)
    fee = money_up(times(order.filled_notional + left, order.fee_rate)) - order.fees
    return money_up(left) + max(fee, ZERO)


def _check_funds(intent: OrderIntent, rules: Rules, funds: Funds, hold: Decimal) -> None:
    if intent.side == Side.BUY and hold > funds.buying_power:
        need, have = money_text(hold), money_text(funds.buying_power)
        short = money_text(hold - funds.buying_power)
        raise Denied(
            f"The order needs {need}, buying power is {have}: {short} is missing.",
            code="insufficient_buying_power",
        )
    if intent.side == Side.SELL and hold > funds.free_qty:
        need, have, short = plain(hold), plain(funds.free_qty), plain(hold - funds.free_qty)
        raise Denied(
            f"The order sells {need} {rules.symbol}, {have} is free: {short} is missing.",
            code="insufficient_position",
        )


def _check_position(
    intent: OrderIntent, notional: Decimal, reference: Decimal, funds: Funds, limits: Limits
) -> None:
    """Held, on its way and asked for now: orders that rest must not add up to more than one may."""
    if intent.side != Side.BUY:
        return
    units = funds.position_qty + funds.buying_qty
    if times(units, reference) + funds.buying_notional + notional > limits.max_position_notional:
        most = money_text(limits.max_position_notional)
        raise Denied(
            f"A position may be worth {most}, with what open orders may still buy.",
            code="position_limit",
        )
