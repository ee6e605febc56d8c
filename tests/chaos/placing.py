"""Place orders as a web process would; run as a program, so that it can be killed in the middle.

`python -m tests.chaos.placing <account id> <symbol> <side> <qty> <key>`
"""

import os
import sys
from decimal import Decimal

import django


def place(account_id: int, symbol: str, side: str, qty: str, key: str) -> int:
    """Place a market order through the service of both doors; the order's id."""
    from django.utils import timezone

    from accounts.models import BrokerageAccount
    from marketdata import quote_store
    from marketdata.models import Instrument
    from trading.domain.orders import OrderIntent, OrderType, Side, TimeInForce
    from trading.services.orders import order_place

    account = BrokerageAccount.objects.select_related("user").get(pk=account_id)
    instrument = Instrument.objects.get(symbol=symbol)
    intent = OrderIntent(
        symbol=symbol,
        asset_type=instrument.asset_type,
        side=Side(side),
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.GTC,
        qty=Decimal(qty),
    )
    placed = order_place(
        account=account,
        instrument=instrument,
        intent=intent,
        quote=quote_store.quote_get(symbol),
        key=key,
        placed_by=account.user,
        source="api",
        now=timezone.now(),
    )
    return placed.order.pk


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "speedtrade.settings")
    django.setup()
    account, *words = sys.argv[1:]
    place(int(account), *words)
