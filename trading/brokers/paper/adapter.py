"""The paper venue's door, as an adapter sees a broker: it takes orders in and tells about them.

The venue's book lives in PaperOrder and PaperFill, apart from our orders. An order taken in here is
matched by the venue process (`run_brokers`), which a message wakes and a poll reminds.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from redis.exceptions import RedisError

from marketdata import quote_store
from speedtrade.lib import clock
from speedtrade.lib.redis import redis_client
from speedtrade.lib.rows import rows_write
from trading.brokers.base import (
    Booked,
    BrokerFill,
    BrokerOrder,
    BrokerRequest,
    Budget,
    CashEvent,
    DuplicateClientOrderId,
    Holdings,
    KeyFacts,
    NotCancelable,
    OrderRef,
    nothing_booked,
)
from trading.brokers.capabilities import PAPER
from trading.domain.orders import OrderState
from trading.models import PaperFill, PaperOrder

#: Ids of paper orders that the venue should look at; one channel per Redis database, as for ticks.
VENUE_CHANNEL = f"st:venue{quote_store.TICKS_CHANNEL.removeprefix('st:ticks')}"
OPEN = ("accepted", "new", "partially_filled")


class PaperBroker:
    """One account at the paper venue."""

    caps = PAPER
    budget = Budget()

    def __init__(self, account_id: int) -> None:
        self.account_id = account_id

    def submit_order(self, request: BrokerRequest) -> BrokerOrder:
        """Take the order into the book; raises DuplicateClientOrderId."""
        now = clock.now()
        try:
            with transaction.atomic():
                order = PaperOrder(
                    account_ref=self.account_id,
                    client_order_id=request.client_order_id,
                    instrument_id=request.instrument_id,
                    side=request.side,
                    order_type=request.order_type,
                    time_in_force=request.time_in_force,
                    qty=request.qty,
                    notional=request.notional,
                    max_qty=request.max_qty,
                    limit_price=request.limit_price,
                    price_bound=request.price_bound,
                    fee_rate=request.fee_rate,
                    status=OrderState.ACCEPTED.value,
                    expires_at=request.expires_at,
                    received_at=now,
                    updated_at=now,
                )
                rows_write(order)
        except IntegrityError as error:
            raise DuplicateClientOrderId(request.client_order_id) from error
        venue_wake(order.pk)
        return broker_order(order, ())

    def find_order(self, ref: OrderRef) -> BrokerOrder | None:
        found = self.list_orders([ref])
        return found[0] if found else None

    def cancel_order(self, ref: OrderRef) -> None:
        """Cancel at once, under the lock of the venue's row; raises NotCancelable if final."""
        with transaction.atomic():
            order = (
                PaperOrder.objects.select_for_update()
                .filter(account_ref=self.account_id, client_order_id=ref.client_order_id)
                .first()
            )
            if order is None or order.status not in OPEN:
                raise NotCancelable(ref.client_order_id)
            order.status, order.reason, order.updated_at = (
                OrderState.CANCELED.value,
                "canceled by you",
                clock.now(),
            )
            order.save(update_fields=["status", "reason", "updated_at"])
        venue_wake(order.pk)

    def list_orders(self, refs: Sequence[OrderRef]) -> Sequence[BrokerOrder]:
        return self._orders(client_order_id__in=[ref.client_order_id for ref in refs])

    def list_since(self, since: datetime, booked: Booked = nothing_booked) -> Sequence[BrokerOrder]:
        return self._orders(received_at__gte=since)

    def _orders(self, **which: object) -> list[BrokerOrder]:
        rows = PaperOrder.objects.filter(account_ref=self.account_id, **which).order_by("id")
        return [broker_order(row, row.fills.all()) for row in rows.prefetch_related("fills")]

    def holdings(self) -> Holdings:
        """The paper market keeps no money: our own ledger is its only book."""
        raise NotImplementedError("a paper account is not reconciled: the ledger is its truth")

    def cash_events(self, since: datetime) -> Sequence[CashEvent]:
        return ()

    def check(self) -> KeyFacts:
        return KeyFacts(may_trade=True, words="The paper market takes orders.")


def broker_order(order: PaperOrder, fills: Iterable[PaperFill]) -> BrokerOrder:
    """A row of the venue's book in the words of the broker interface."""
    return BrokerOrder(
        client_order_id=order.client_order_id,
        broker_order_id=str(order.pk),
        state=OrderState(order.status),
        filled_qty=order.filled_qty,
        fills=tuple(
            BrokerFill(
                trade_id=f"P{order.pk}-{fill.sequence:06d}",
                qty=fill.qty,
                price=fill.price,
                fee=fill.fee,
                executed_at=fill.executed_at,
                evidence=fill.evidence,
            )
            for fill in sorted(fills, key=lambda fill: fill.sequence)
        ),
        at=order.updated_at,
        reason=order.reason,
        complete=order.status == OrderState.FILLED.value,
    )


def venue_wake(order_id: int) -> None:
    """Tell the venue process to look at an order now; it finds it in a second anyway."""
    try:
        redis_client().publish(VENUE_CHANNEL, str(order_id))
    except RedisError:
        return  # the venue polls its table
