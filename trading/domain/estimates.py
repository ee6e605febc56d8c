"""What an order would probably come to, from what is displayed now. Plain Python; no promise.

The same walk over the book that the paper venue takes, so the estimate of an order that is all on
display is what it will cost if nothing moves meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from speedtrade.lib.money import ZERO, cents_down, floor_to, money_up, times
from trading.domain.matching import Match, Offer, Working, acceptable, match
from trading.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from trading.domain.risk import Funds, Remaining, Rules, hold_left

_PRICE_STEP = Decimal("0.0000000001")


@dataclass(frozen=True, slots=True)
class Estimate:
    """About what an order would come to: units, their average price, money before and with fees.

    `total` leaves the cash for a purchase and comes in for a sale. `displayed`: the book shows
    enough for all of it; `at_once`: a limit that the market has reached already.
    """

    side: Side
    qty: Decimal
    price: Decimal
    amount: Decimal
    fee: Decimal
    total: Decimal
    displayed: bool
    at_once: bool

    def buying_power_after(self, funds: Funds) -> Decimal:
        """What could still be bought with once all of it is filled."""
        change = -self.total if self.side == Side.BUY else self.total
        return funds.buying_power + change


def estimate(
    intent: OrderIntent, rules: Rules, reference: Decimal, offers: Sequence[Offer]
) -> Estimate:
    """Walk `offers` (the other side, best first); what is not displayed counts at the limit, or at
    the worst displayed price. `reference` is the price without any book."""
    limit = intent.limit_price if intent.order_type == OrderType.LIMIT else None
    bound = limit if limit is not None else (offers[-1].price if offers else reference)
    found = match(_working(intent, rules, bound), offers).matches
    qty, amount = _sums(found)
    beyond = limit if limit is not None else (found[-1].price if found else reference)
    missing = _missing(intent, rules, qty, amount, beyond)
    qty, amount = qty + missing, amount + times(missing, beyond)
    fee = money_up(times(amount, rules.fee_rate))
    return Estimate(
        side=intent.side,
        qty=qty,
        price=(amount / qty).quantize(_PRICE_STEP) if qty else beyond,
        amount=amount,
        fee=fee,
        total=amount + fee if intent.side == Side.BUY else amount - fee,
        displayed=missing == ZERO,
        at_once=limit is not None
        and bool(offers)
        and acceptable(intent.side, limit, offers[0].price),
    )


def _working(intent: OrderIntent, rules: Rules, bound: Decimal) -> Working:
    return Working(
        side=intent.side,
        time_in_force=TimeInForce.GTC,
        price_bound=bound,
        qty_step=rules.qty_step,
        qty=intent.qty,
        notional=intent.notional,
    )


def _sums(found: Sequence[Match]) -> tuple[Decimal, Decimal]:
    """(units, money) of the matches."""
    return (
        sum((one.qty for one in found), ZERO),
        sum((times(one.qty, one.price) for one in found), ZERO),
    )


def _missing(
    intent: OrderIntent, rules: Rules, qty: Decimal, amount: Decimal, price: Decimal
) -> Decimal:
    """Units that the displayed sizes leave open, at `price` where the order is in money."""
    if intent.qty is not None:
        return max(intent.qty - qty, ZERO)
    left = max((intent.notional or ZERO) - amount, ZERO)
    return floor_to(left / price, rules.qty_step)


def share_in_units(
    side: Side, share: Decimal, funds: Funds, rules: Rules, bound: Decimal | None
) -> Decimal:
    """Units that a share (0 to 1) of what is free comes to: of the position for a sale, of the
    buying power for a purchase that may cost `bound` a unit, fees included."""
    if side == Side.SELL:
        return floor_to(times(funds.free_qty, share), rules.qty_step)
    if bound is None or bound <= 0:
        return ZERO
    money = max(times(funds.buying_power, share), ZERO)
    units = floor_to(money / times(bound, 1 + rules.fee_rate), rules.qty_step)
    # Holds are rounded upwards: the last step may not fit any more.
    while units > 0 and hold_left(_ask(units, None, bound, rules)) > money:
        units -= rules.qty_step
    return units


def share_in_money(share: Decimal, funds: Funds, rules: Rules) -> Decimal:
    """Whole cents that a share (0 to 1) of the buying power buys for, fees included."""
    return cents_down(max(times(funds.buying_power, share), ZERO) / (1 + rules.fee_rate))


def _ask(qty: Decimal | None, notional: Decimal | None, bound: Decimal, rules: Rules) -> Remaining:
    return Remaining(Side.BUY, qty, notional, None, bound, rules.fee_rate)
