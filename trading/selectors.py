"""Read orders, and what the risk checks need to know. Users see their own rows only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, TypedDict

from django.conf import settings
from django.db.models import (
    BigIntegerField,
    Count,
    DateTimeField,
    F,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from accounts.models import AccountStatus, BrokerageAccount, BrokerKind, User
from marketdata.domain.quotes import Quote
from marketdata.hours import market_hours
from marketdata.models import AssetType, Instrument
from portfolio.models import LedgerKind
from portfolio.services.books import Books
from speedtrade.lib.compiled import Compiled, Given, attach, given
from speedtrade.lib.errors import InvalidInput, NotFound
from speedtrade.lib.money import ZERO, times
from trading.brokers.capabilities import caps_of
from trading.domain.orders import FINAL_STATES, OPEN_STATES, OrderIntent, OrderState, Side
from trading.domain.risk import Funds, Limits, Market, Rules, Switches, Venue
from trading.models import (
    BrokerLink,
    Difference,
    Fill,
    Order,
    OrderEvent,
    ParkedTask,
    Submission,
    TradingHalt,
)

OPEN_VALUES = [state.value for state in OPEN_STATES]
FINAL_VALUES = [state.value for state in FINAL_STATES]
DEAD_VALUES = [OrderState.REJECTED.value]


class Asked(TypedDict):
    """The fields of Funds that come from orders."""

    day_notional: Decimal
    open_orders: int
    buying_qty: Decimal
    buying_notional: Decimal


def _whole(orders: QuerySet[Order]) -> QuerySet[Order]:
    """With all that an order's representation needs, in two queries whatever the number."""
    fills = Prefetch("fills", queryset=Fill.objects.order_by("executed_at", "trade_id"))
    return orders.select_related("instrument", "brokerage_account").prefetch_related(fills)


_ORDER = Compiled(
    lambda: Order.objects.select_related("instrument", "brokerage_account").filter(
        pk=given(Order, "pk"), brokerage_account__user=Given("user_id", BigIntegerField())
    )
)
_FILLS = Compiled(
    lambda: Fill.objects.filter(order=Given("order_id", BigIntegerField())).order_by(
        "executed_at", "trade_id"
    )
)


def order_seen(*, user_id: int, order_id: int) -> Order | None:
    """An order by id, with all that its representation needs; None for what is not theirs."""
    order = _ORDER.first(pk=order_id, user_id=user_id)
    if order is not None:
        attach(order, "fills", _FILLS.rows(order_id=order_id))
    return order


def order_for_user(*, user: User, order_id: int) -> Order:
    """An order by id; raises NotFound for what is not theirs."""
    order = order_seen(user_id=user.pk, order_id=order_id)
    if order is None or user.only_account_id not in (None, order.brokerage_account_id):
        raise NotFound("There is no such order.")
    return order


def orders_of(
    account: BrokerageAccount,
    *,
    status: str = "all",
    symbol: str = "",
    side: str = "",
    asset_type: str = "",
) -> QuerySet[Order]:
    """Orders of an account, newest first. Raises InvalidInput for a filter that makes no sense."""
    orders = Order.objects.filter(brokerage_account=account)
    if status not in {"open", "closed", "all"}:
        raise InvalidInput.field("status", "Choose open, closed or all.")
    if side and side not in {"buy", "sell"}:
        raise InvalidInput.field("side", "Choose buy or sell.")
    if asset_type and asset_type not in AssetType.values:
        raise InvalidInput.field("asset_type", "Choose stock or crypto.")
    if status != "all":
        orders = orders.filter(state__in=OPEN_VALUES if status == "open" else FINAL_VALUES)
    if symbol:
        orders = orders.filter(instrument__symbol=symbol)
    if side:
        orders = orders.filter(side=side)
    if asset_type:
        orders = orders.filter(instrument__asset_type=asset_type)
    return _whole(orders).order_by("-created_at", "-id")


@dataclass(frozen=True, slots=True)
class OrdersPage:
    """Some orders, newest first; `older` is the order that the next page starts after, if any."""

    orders: list[Order]
    older: int | None


#: tab of the page of orders -> which orders it shows; filled is also what ended partly filled
_TABS: Mapping[str, Q] = {
    "open": Q(state__in=OPEN_VALUES),
    "filled": Q(state__in=FINAL_VALUES, filled_qty__gt=0),
    "closed": Q(state__in=FINAL_VALUES),
    "all": Q(),
}


def orders_page(
    account: BrokerageAccount, *, tab: str, symbol: str = "", after: int | None = None
) -> OrdersPage:
    """One page of a tab, read along the index `order_newest` from the order `after` downwards.

    Nothing is counted and nothing skipped: the last of many pages costs what the first does.
    """
    orders = Order.objects.filter(_TABS[tab], brokerage_account=account)
    if symbol:
        orders = orders.filter(instrument__symbol=symbol)
    if after is not None:
        last = Order.objects.filter(brokerage_account=account, pk=after).first()
        if last is not None:
            at = last.created_at
            earlier = Q(created_at__lt=at) | Q(created_at=at, pk__lt=last.pk)
            orders = orders.filter(earlier, created_at__lte=at)
    rows = orders.select_related("instrument", "brokerage_account").order_by("-created_at", "-id")
    found = list(rows[: settings.PAGE_SIZE + 1])
    shown = found[: settings.PAGE_SIZE]
    return OrdersPage(shown, shown[-1].pk if len(found) > len(shown) else None)


def orders_cancelable(account: BrokerageAccount) -> QuerySet[Order]:
    """Open orders that nobody has asked to cancel yet, oldest first."""
    return (
        Order.objects.filter(brokerage_account=account, state__in=OPEN_VALUES)
        .exclude(state=OrderState.PENDING_CANCEL.value)
        .select_related("instrument", "brokerage_account")
        .order_by("id")
    )


def cancelable_counts(account: BrokerageAccount) -> list[tuple[str, int]]:
    """(symbol, how many orders a cancel of everything would ask to cancel), by symbol."""
    rows = (
        orders_cancelable(account)
        .order_by("instrument__symbol")
        .values("instrument__symbol")
        .annotate(orders=Count("id"))
        .values_list("instrument__symbol", "orders")
    )
    return [(symbol, count) for symbol, count in rows]


def order_events(order: Order) -> QuerySet[OrderEvent]:
    """The steps of an order's life, first to last."""
    return OrderEvent.objects.filter(order=order).select_related("actor").order_by("id")


def order_twin(*, account: BrokerageAccount, intent: OrderIntent, now: datetime) -> Order | None:
    """The same order, placed a moment ago: a page asks whether a second one is meant."""
    return (
        Order.objects.filter(
            brokerage_account=account,
            instrument__symbol=intent.symbol,
            side=intent.side.value,
            order_type=intent.order_type.value,
            qty=intent.qty,
            notional=intent.notional,
            limit_price=intent.limit_price,
            created_at__gte=now - settings.RISK_DUPLICATE_WINDOW,
        )
        .order_by("-id")
        .first()
    )


def funds_now(
    *,
    account: BrokerageAccount,
    instrument: Instrument,
    now: datetime,
    without: Order | None = None,
    hold: Decimal = ZERO,
) -> tuple[Funds, Books]:
    """What the account has free and has asked for today. Exact only under the account's lock.

    `without`: an order that is about to be replaced, whose `hold` becomes free and which counts no
    more.
    """
    books = Books(account)
    cash_key, shares_key = (
        (LedgerKind.CASH, account.currency),
        (LedgerKind.POSITION, instrument.symbol),
    )
    books.load([cash_key, shares_key], make=False)
    cash, shares = books.seen(*cash_key), books.seen(*shares_key)
    buying = hold if without is not None and without.side == Side.BUY else ZERO
    selling = hold - buying
    funds = Funds(
        buying_power=cash.balance - cash.reserved + buying,
        free_qty=shares.balance - shares.reserved + selling,
        position_qty=shares.balance,
        **asked_for(account, instrument, now, without=without),
    )
    return funds, books


def _asked() -> QuerySet[Order, tuple[Decimal | None, int, Decimal | None, Decimal | None]]:
    today = Q(created_at__gte=Given("midnight", DateTimeField()))
    is_open = Q(state__in=OPEN_VALUES)
    buying = is_open & Q(side=Side.BUY, instrument=Given("instrument_id", BigIntegerField()))
    return (
        Order.objects.filter(
            is_open | today, brokerage_account=Given("account_id", BigIntegerField())
        )
        .exclude(pk=Given("without", BigIntegerField()))
        .order_by()
        .values("brokerage_account")
        .annotate(
            day=Sum("risk_notional", filter=today & ~Q(state__in=DEAD_VALUES)),
            open=Count("id", filter=is_open),
            buying_qty=Sum(F("qty") - F("filled_qty"), filter=buying),
            buying_notional=Sum(F("notional") - F("filled_notional"), filter=buying),
        )
        .values_list("day", "open", "buying_qty", "buying_notional")
    )


_ASKED = Compiled(_asked)
_NOTHING_ASKED = (None, 0, None, None)


def asked_for(
    account: BrokerageAccount, instrument: Instrument, now: datetime, without: Order | None = None
) -> Asked:
    """What the account's orders ask for: today's total, and what is open. One query.

    Units of open purchases are those still to come; of a purchase for an amount of money it is the
    money that is left. An order that is being replaced counts beside its successor, because until
    the broker answers either may be the one that works on; `without` is an order that does not.
    """
    rows = _ASKED.tuples(
        account_id=account.pk,
        instrument_id=instrument.pk,
        midnight=now.replace(hour=0, minute=0, second=0, microsecond=0),
        without=without.pk if without else 0,
    )
    day, count, qty, notional = rows[0] if rows else _NOTHING_ASKED
    return Asked(
        day_notional=day or ZERO,
        open_orders=count,
        buying_qty=max(qty or ZERO, ZERO),
        buying_notional=max(notional or ZERO, ZERO),
    )


def market_now(instrument: Instrument, quote: Quote | None, now: datetime) -> Market:
    """The quote as the risk checks see it."""
    return Market(
        bid=quote.bid if quote else None,
        ask=quote.ask if quote else None,
        fresh=quote is not None and not quote.is_stale(now, settings.QUOTE_STALE_AFTER),
        is_open=market_hours().is_open(instrument.asset_type, now),
    )


def rules_of(instrument: Instrument) -> Rules:
    crypto = instrument.asset_type == AssetType.CRYPTO
    return Rules(
        symbol=instrument.symbol,
        price_tick=instrument.price_tick,
        qty_step=instrument.qty_step,
        min_qty=instrument.min_qty,
        min_notional=instrument.min_notional,
        tradable=instrument.tradable,
        halted=instrument.halted_at is not None,
        fee_rate=settings.CRYPTO_FEE_RATE if crypto else settings.STOCK_FEE_RATE,
    )


def limits(account: BrokerageAccount | None = None) -> Limits:
    """The caps of the settings, and of an account's owner where they set a lower one."""
    own = (account.order_cap, account.day_cap) if account else (None, None)
    order, own_order = _lower(settings.RISK_MAX_ORDER_NOTIONAL, own[0])
    day, own_day = _lower(settings.RISK_MAX_DAY_NOTIONAL, own[1])
    return Limits(
        max_order_notional=order,
        max_day_notional=day,
        max_position_notional=settings.RISK_MAX_POSITION_NOTIONAL,
        max_open_orders=settings.RISK_MAX_OPEN_ORDERS,
        collar_warn=settings.RISK_COLLAR_WARN,
        collar_deny=settings.RISK_COLLAR_DENY,
        market_band=settings.RISK_MARKET_BAND,
        own_order=own_order,
        own_day=own_day,
    )


def _lower(house: Decimal, own: Decimal | None) -> tuple[Decimal, bool]:
    """(the cap that holds, whether it is the owner's)."""
    return (own, True) if own is not None and own < house else (house, False)


def switches_now(account: BrokerageAccount, now: datetime, halted: str | None = None) -> Switches:
    """Whether trading is stopped, for all or for this account, and what its broker takes.

    `halted` is the reason of the kill switch where the caller has read it (`halt_reason`).
    """
    if halted is None:
        halt = halt_open()
        halted = halt.reason if halt else ""
    reason = ""
    if account.status != AccountStatus.ACTIVE:
        reason = f"The account is {account.get_status_display().lower()}"
        reason += f": {account.status_reason}" if account.status_reason else "."
    elif account.stopped_at:
        reason = "You have stopped this account: let it go on in its settings."
    return Switches(
        halted=halted,
        account=reason,
        blind=blind_words(account, now),
        venue=venue_of(account),
    )


BLIND: Final = "We have had no word from the broker for a while, so no new orders. Cancels work."


def blind_words(account: BrokerageAccount, now: datetime) -> str:
    """Why we cannot see what goes on in an account at a broker; nothing where we can."""
    if account.broker == BrokerKind.PAPER:
        return ""
    heard = BrokerLink.objects.filter(brokerage_account=account).values_list("orders_at", flat=True)
    at = heard.first()
    return "" if at is not None and now - at <= settings.BLIND_AFTER else BLIND


def venue_of(account: BrokerageAccount) -> Venue | None:
    """What the account's broker takes; None for the paper market, which takes what is offered."""
    if account.broker == BrokerKind.PAPER:
        return None
    caps = caps_of(account.broker, account.exchange)
    return Venue(
        name=account.venue,
        asset_types=caps.asset_types,
        order_types=caps.order_types,
        times_in_force=caps.times_in_force,
        notional=caps.notional,
        fraction_tifs=caps.fraction_tifs,
        currency=account.currency,
    )


def halt_open() -> TradingHalt | None:
    """The kill switch that is on, or None. A row: it is read with Redis and brokers away."""
    return TradingHalt.objects.filter(lifted_at__isnull=True).order_by("-id").first()


def halt_reason() -> Combinable:
    """The reason of the kill switch that is on, else "": for a query that reads something else."""
    reasons = TradingHalt.objects.filter(lifted_at__isnull=True).order_by("-id").values("reason")
    return Coalesce(Subquery(reasons[:1]), Value(""))


#: Somebody must answer before such an order goes on.
FLIGHT_STATES = (
    OrderState.PENDING,
    OrderState.SUBMITTING,
    OrderState.LOST,
    OrderState.PENDING_CANCEL,
)


def stuck_orders(*, now: datetime, older_than: timedelta) -> QuerySet[Order]:
    """Orders in flight for too long: what support looks at first."""
    return (
        Order.objects.filter(
            state__in=[state.value for state in FLIGHT_STATES], updated_at__lt=now - older_than
        )
        .select_related("instrument", "brokerage_account")
        .order_by("updated_at")
    )


def lost_orders() -> QuerySet[Order]:
    """Orders that were sent and that the broker does not know: their holds stay, a person looks."""
    return Order.objects.filter(state=OrderState.LOST.value)


def tasks_parked() -> QuerySet[ParkedTask]:
    """Work that ended its worker again and again, and that nobody has looked at."""
    return ParkedTask.objects.filter(released_at__isnull=True)


def differences_open() -> QuerySet[Difference]:
    """Where our books and a broker's disagree, seen often enough to be no passing moment."""
    return Difference.objects.filter(
        ended_at__isnull=True, sightings__gte=settings.DIFFERENCE_CONFIRMED
    )


def lines_down(*, now: datetime) -> tuple[int, int]:
    """(lines to brokers without a word for too long, all lines in use)."""
    used = BrokerLink.objects.filter(
        brokerage_account__status__in=[AccountStatus.ACTIVE, AccountStatus.ERROR]
    )
    heard = used.filter(orders_at__gte=now - settings.BLIND_AFTER).count()
    total = used.count()
    return total - heard, total


def clocks_off() -> QuerySet[BrokerLink]:
    """Lines to brokers whose clock was too far off when the key was last looked at."""
    most = settings.BROKER_CLOCK_MOST
    off = Q(clock_offset__gt=most) | Q(clock_offset__lt=-most)
    shut = [AccountStatus.DISCONNECTED, AccountStatus.CLOSED]
    return BrokerLink.objects.filter(off).exclude(brokerage_account__status__in=shut)


def orders_rejected_on(*, now: datetime) -> QuerySet[Order]:
    """What brokers refused since midnight UTC."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return Order.objects.filter(state=OrderState.REJECTED.value, closed_at__gte=midnight)


def stuck_submissions(*, now: datetime, older_than: timedelta) -> QuerySet[Submission]:
    """What a broker should have been told, and should have answered, long ago."""
    return Submission.objects.filter(done_at__isnull=True, created_at__lt=now - older_than)


def average_price(order: Order) -> Decimal | None:
    """Average price of the fills so far: from the fills where they were read along with the order.

    The order's own total is rounded to what money is kept in, which shows in a small quantity.
    """
    if not order.filled_qty:
        return None
    fills = getattr(order, "_prefetched_objects_cache", {}).get("fills")
    exact = sum((times(fill.qty, fill.price) for fill in fills), ZERO) if fills else None
    return (exact or order.filled_notional) / order.filled_qty
