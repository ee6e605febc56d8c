"""What the first reading of an account at a broker showed of each order: it is in the books."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from speedtrade.lib.money import plain
from trading.brokers.base import BrokerOrder
from trading.models import BrokerLink


@dataclass(frozen=True, slots=True)
class Seen:
    """What had filled of an order by then, and at which price on average, where that was told."""

    qty: Decimal
    avg_price: Decimal | None


def seen_write(orders: Iterable[BrokerOrder]) -> dict[str, list[str | None]]:
    """For `BrokerLink.seen`.

    An order that could not be read is not in it: the nothing that it shows is no quantity.
    """
    return {
        key: [plain(one.filled_qty), None if one.avg_price is None else plain(one.avg_price)]
        for one in orders
        if (key := _key(one))
    }


def seen_read(link: BrokerLink, report: BrokerOrder) -> Seen | None:
    """What the first reading showed of this order, or None."""
    qty, price = link.seen.get(_key(report), (None, None))
    if qty is None:
        return None
    return Seen(Decimal(qty), None if price is None else Decimal(price))


def _key(report: BrokerOrder) -> str:
    """Some exchanges number the orders of each symbol by themselves."""
    return f"{report.terms.symbol} {report.broker_order_id}" if report.terms else ""
