"""What was there before us, or was done at the broker's own door."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from accounts.models import BrokerageAccount, BrokerKind
from marketdata import quote_store
from marketdata.models import AssetType, Instrument
from portfolio.models import LedgerKind
from portfolio.services.adjustments import holding_shift
from portfolio.services.books import Books, account_lock
from portfolio.services.holds import hold_open
from speedtrade.lib.money import ZERO, plain, times
from trading.brokers.base import BrokerFill, BrokerOrder, BrokerPosition, BrokerTerms
from trading.domain.orders import FINAL_STATES, OrderState, OrderType, Side, TimeInForce
from trading.models import BrokerLink, Order, OrderEvent
from trading.services.moves import hold_kind, order_hold

NO_FEED = "none"  # what stands in Instrument.feed where nobody prices it here
STOPPED = (OrderType.STOP, OrderType.STOP_LIMIT)  # with a stop that stays where it was put
JUST_BEFORE = timedelta(microseconds=1)  # a purchase must stand before its sale in the history


class UnknownInstrument(Exception):
    """The broker trades something that cannot be an instrument here."""


def instrument_ensure(symbol: str, asset_type: str) -> Instrument:
    """The instrument, made where it is new: held and shown, but not traded here without a price.

    Raises UnknownInstrument for what no column can hold.
    """
    found = Instrument.objects.filter(symbol=symbol).first()
    if found is not None:
        return found
    if not symbol or len(symbol) > 20 or asset_type not in AssetType.values:
        raise UnknownInstrument(f"{symbol!r} is no instrument that we know how to keep")
    made, _ = Instrument.objects.get_or_create(
        symbol=symbol,
        defaults={
            "name": symbol,
            "asset_type": asset_type,
            "exchange": "",
            "price_tick": Decimal("0.01"),
            "qty_step": Decimal("0.000000001"),
            "min_qty": ZERO,
            "min_notional": ZERO,
            "fractionable": True,
            "tradable": False,
            "feed": NO_FEED,
        },
    )
    return made


def report_named(*, account: BrokerageAccount, report: BrokerOrder) -> BrokerOrder:
    """The report under the name that its order has in our books.

    An exchange lets a client id be used again once its order has ended: what has a row is found by
    the broker's own number, and who comes second with a name goes by that number.
    """
    mine = Order.objects.filter(brokerage_account=account)
    namesake = mine.filter(client_order_id=report.client_order_id).first()
    if namesake is not None and namesake.broker_order_id in {"", report.broker_order_id}:
        return report
    key = _intent_key(account, report)
    met = Order.objects.filter(placed_by=account.user_id, intent_key=key).first()
    if met is not None:
        return replace(report, client_order_id=met.client_order_id)
    return replace(report, client_order_id=report.broker_order_id) if namesake else report


def _intent_key(account: BrokerageAccount, report: BrokerOrder) -> str:
    return f"external:{account.pk}:{report.broker_order_id}"


def position_open(*, account: BrokerageAccount, position: BrokerPosition, now: datetime) -> bool:
    """Take a holding of before us into the books of a locked account; False where we cannot.

    Where the broker does not say what it cost, it counts at today's price; without a price it
    cannot be booked, and the account says that it is left out.
    """
    try:
        instrument = instrument_ensure(position.symbol, position.asset_type)
    except UnknownInstrument:
        return False
    cost = position.cost_basis
    if cost <= 0:
        cost = position_value(instrument, position.qty)
        if cost <= 0:
            return False
    holding_shift(
        account=account, instrument=instrument, qty=position.qty, cost=cost, key="start", now=now
    )
    return True


def left_out_bring(*, order: Order, fill: BrokerFill, now: datetime) -> None:
    """Before a sale that was made there is booked: what it takes of a holding that was left out.

    `order` is locked with its account. Nobody could say what the units were worth until they went:
    they come in at that price, a moment before, so that no gain or loss is made up. At an exchange
    nothing is sold that is not there, so what is missing was brought there by a way of which it
    does not tell. What else is sold beyond any holding is left to `fill_book`, which refuses it.
    """
    account, symbol = order.brokerage_account, order.instrument.symbol
    if not order.external or order.side != Side.SELL:
        return
    left_out = BrokerLink.objects.filter(brokerage_account=account, ignored__contains=symbol)
    if account.broker != BrokerKind.CCXT and not left_out.exists():
        return
    missing = fill.qty + fill.fee_qty - Books(account).pocket(LedgerKind.POSITION, symbol).balance
    if missing > 0:
        holding_shift(
            account=account,
            instrument=order.instrument,
            qty=missing,
            cost=times(missing, fill.price),
            key=f"sold:{order.pk}:{plain(order.filled_qty)}",
            now=min(fill.executed_at, now) - JUST_BEFORE,
        )


def position_value(instrument: Instrument, qty: Decimal) -> Decimal:
    """What units are worth now, or nothing where nobody prices them."""
    quote = quote_store.quote_get(instrument.symbol)
    return times(abs(qty), quote.last) if quote else ZERO


def filled_before(report: BrokerOrder, began: datetime, seen: Decimal | None) -> Decimal | None:
    """What of an order had filled when our books began, so that it is in their opening balance.

    None where it is none of our business (it was final by then), or where nobody can say yet.
    `seen`: what had filled of it in the reading that they begin with; None where that did not show
    it. Stamps decide only then, for an order that the broker was late to show.
    """
    terms = report.terms
    if terms is None:
        return None
    if seen is not None:
        before = seen
    elif terms.created_at >= began:  # what was made at that very moment and was seen is known
        return ZERO
    elif sum((fill.qty for fill in report.fills), ZERO) != report.filled_qty:
        return None
    else:
        before = sum((fill.qty for fill in report.fills if fill.executed_at <= began), ZERO)
    # A word about its state may be strange; a quantity that is all there leaves nothing to come.
    full = terms.qty is not None and before >= terms.qty
    over = before >= report.filled_qty and (full or report.state in FINAL_STATES)
    return None if over else before


def order_import(
    *, account_id: int, report: BrokerOrder, base: Decimal, since: datetime, now: datetime
) -> Order:
    """A row for an order that was not placed here; its state and fills come by `report_apply`.

    `base`: what of it is in the opening balance of our books, which begin at `since`. Raises
    UnknownInstrument.
    """
    terms = report.terms
    if terms is None:
        raise UnknownInstrument("the broker does not say what the order is for")
    with transaction.atomic():
        account = account_lock(account_id)
        paid_in = terms.symbol.partition("/")[2]
        if paid_in not in {"", account.currency}:  # its money is none that the books know
            raise UnknownInstrument(f"{terms.symbol} is not traded for {account.currency}")
        instrument = instrument_ensure(terms.symbol, terms.asset_type)
        known = Order.objects.filter(
            brokerage_account=account, client_order_id=report.client_order_id
        ).first()
        if known is not None:
            return known
        order = _order(account, instrument, report, terms, base, max(since, terms.created_at))
        order.save(force_insert=True)
        kind, asset = hold_kind(order.side, account.currency, instrument.symbol)
        books = Books(account)
        hold_open(
            books=books,
            kind=kind,
            asset=asset,
            order_ref=order.pk,
            amount=order_hold(order),
            now=now,
            asked=False,
        )
        books.save()
        OrderEvent.objects.create(
            order=order,
            at=now,
            new_state=order.state,
            source="external",
            reason="found at the broker: it was placed there, not here",
        )
    return order


def _order(
    account: BrokerageAccount,
    instrument: Instrument,
    report: BrokerOrder,
    terms: BrokerTerms,
    base: Decimal,
    at: datetime,
) -> Order:
    qty = None if terms.qty is None else max(terms.qty - base, instrument.qty_step)
    notional = terms.notional if qty is None else None
    if qty is None and notional is None:
        qty = report.filled_qty or instrument.qty_step
    limit = _positive(terms.limit_price)
    bound = limit or terms.stop_price or report.avg_price or _price(instrument)
    order_type = _known(terms.order_type, OrderType, OrderType.MARKET)
    if order_type == OrderType.LIMIT and limit is None:  # the broker does not tell its price
        order_type = OrderType.MARKET.value
    trails = order_type == OrderType.TRAILING_STOP
    return Order(
        brokerage_account=account,
        placed_by_id=account.user_id,
        instrument=instrument,
        client_order_id=report.client_order_id,
        intent_key=_intent_key(account, report),
        intent_hash="",
        side=terms.side,
        order_type=order_type,
        time_in_force=_known(terms.time_in_force, TimeInForce, TimeInForce.DAY),
        qty=qty,
        notional=notional,
        limit_price=limit,
        stop_price=_positive(terms.stop_price) if order_type in STOPPED else None,
        trail_price=_positive(terms.trail_price) if trails else None,
        trail_percent=_positive(terms.trail_percent) if trails else None,
        price_bound=bound,
        risk_notional=ZERO,
        state=OrderState.SUBMITTING.value,
        broker_order_id=report.broker_order_id,
        external=True,
        cum_base=base,
        created_at=at,
        submitted_at=terms.created_at,
        updated_at=at,
    )


def _positive(value: Decimal | None) -> Decimal | None:
    return value if value and value > 0 else None


def _price(instrument: Instrument) -> Decimal:
    quote = quote_store.quote_get(instrument.symbol)
    return quote.ask if quote else ZERO


def _known(
    word: str, kind: type[OrderType] | type[TimeInForce], fallback: OrderType | TimeInForce
) -> str:
    """The word where it is one of ours; an order that we could not have placed is still shown."""
    return word if word in {one.value for one in kind} else fallback.value
