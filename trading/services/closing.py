"""Close a position: sell all of it at the market."""

import hashlib
from datetime import datetime

from accounts.models import User
from marketdata import quote_store
from marketdata.models import AssetType
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
    digest = hashlib.sha256(f"close:{position_id}".encode()).hexdigest()
    known = _closed_before(user, key, digest)
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
        digest=digest,
    )


def _closed_before(user: User, key: str | None, digest: str) -> Order | None:
    """The order that the key made when it closed this very position, if it did."""
    if not key:
        return None
    made = Order.objects.filter(placed_by=user, intent_key=f"key:{key}", intent_hash=digest)
    return made.first()
