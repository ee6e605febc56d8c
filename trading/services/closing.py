"""Close a position: sell all of it at the market."""

from datetime import datetime

from accounts.models import User
from marketdata import quote_store
from marketdata.models import AssetType
from portfolio.models import Position
from portfolio.selectors import position_for_user
from speedtrade.lib.money import floor_to
from trading.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from trading.models import Order
from trading.services.orders import Placed, Source, order_place


def position_close(
    *, user: User, position_id: int, key: str | None, source: Source, now: datetime
) -> Placed:
    """Place the order that sells the whole position.

    The same key again gives the first order, also when the position has changed or is gone by then:
    that is what the order did. Raises NotFound and all that `order_place` raises.
    """
    known = _closed_before(user, position_id, key)
    if known is not None:
        return Placed(known, False)
    row = position_for_user(user=user, position_id=position_id)
    crypto = row.instrument.asset_type == AssetType.CRYPTO
    intent = OrderIntent(
        symbol=row.instrument.symbol,
        side=Side.SELL,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.GTC if crypto else TimeInForce.DAY,
        # A broker's fills may be finer than what it takes orders for: the crumb stays.
        qty=floor_to(row.qty, row.instrument.qty_step),
        asset_type=row.instrument.asset_type,
    )
    return order_place(
        account=row.brokerage_account,
        instrument=row.instrument,
        intent=intent,
        quote=quote_store.quote_get(row.instrument.symbol),
        key=key,
        placed_by=user,
        source=source,
        now=now,
    )


def _closed_before(user: User, position_id: int, key: str | None) -> Order | None:
    """The market sale of this very position that the key made, if it made one."""
    if not key:
        return None
    order = Order.objects.filter(
        placed_by=user, intent_key=f"key:{key}", side=Side.SELL, order_type=OrderType.MARKET
    ).first()
    if order is None:
        return None
    same = Position.objects.filter(
        pk=position_id,
        brokerage_account_id=order.brokerage_account_id,
        instrument_id=order.instrument_id,
    )
    return order if same.exists() else None
