"""Read orders. Users see their own rows only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db.models import (
    BigIntegerField,
    Count,
    Prefetch,
    Q,
    QuerySet,
)

from accounts.models import BrokerageAccount, User
from marketdata.models import AssetType
from speedtrade.lib.compiled import Compiled, Given, attach, given
from speedtrade.lib.errors import InvalidInput, NotFound
from speedtrade.lib.money import ZERO, times
from trading.domain.orders import FINAL_STATES, OPEN_STATES, OrderIntent, OrderState
from trading.models import (
    Fill,
    Order,
    OrderEvent,
)

OPEN_VALUES = [state.value for state in OPEN_STATES]
FINAL_VALUES = [state.value for state in FINAL_STATES]


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
    side: str | None = None,
    asset_type: str | None = None,
) -> QuerySet[Order]:
    """Orders of an account, newest first. Raises InvalidInput for a filter that makes no sense."""
    orders = Order.objects.filter(brokerage_account=account)
    if status not in {"open", "closed", "all"}:
        raise InvalidInput.field("status", "Choose open, closed or all.")
    if side is not None and side not in {"buy", "sell"}:
        raise InvalidInput.field("side", "Choose buy or sell.")
    if asset_type is not None and asset_type not in AssetType.values:
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


def average_price(order: Order) -> Decimal | None:
    """Average price of the fills so far: from the fills where they were read along with the order.

    The order's own total is rounded to what money is kept in, which shows in a small quantity.
    """
    if not order.filled_qty:
        return None
    fills = getattr(order, "_prefetched_objects_cache", {}).get("fills")
    exact = sum((times(fill.qty, fill.price) for fill in fills), ZERO) if fills else None
    return (exact or order.filled_notional) / order.filled_qty
