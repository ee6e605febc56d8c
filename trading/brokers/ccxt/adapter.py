"""An account at an exchange, as a broker. The rules of the interface; the venue's are elsewhere."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Protocol, TypeVar

from django.conf import settings
from django.utils import timezone

from accounts.keys import BrokerKey
from trading.brokers.base import (
    CLOCK_GUESS,
    Booked,
    BrokerError,
    BrokerOrder,
    BrokerRequest,
    Budget,
    Capabilities,
    CashEvent,
    Holdings,
    KeyFacts,
    NotCancelable,
    OrderRef,
    OutcomeUnknown,
    nothing_booked,
)
from trading.brokers.ccxt.client import Client
from trading.brokers.ccxt.errors import Gone, Refusal
from trading.brokers.ccxt.ids import our_ids, venue_id
from trading.brokers.ccxt.kraken import KrakenDesk
from trading.brokers.ccxt.money import holdings_of
from trading.brokers.ccxt.others import BinanceDesk, CoinbaseDesk
from trading.brokers.ccxt.parse import exact, moment, order_report
from trading.brokers.ccxt.rules import bound_on_grid, order_check, price_tick
from trading.domain.orders import OrderState

logger = logging.getLogger(__name__)
Raw = Mapping[str, Any]
T = TypeVar("T")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TRADE_LOOKUPS = 2  # orders that are asked for their trades; for more, one list is cheaper


class Desk(Protocol):
    """Reads of one account, in the venue's way."""

    def find(self, told_id: str, broker_id: str, symbol: str, since: datetime) -> Raw | None: ...
    def client_id(self, order: Raw) -> str: ...
    def open(self) -> Sequence[Raw]: ...
    def closed(self, since: datetime) -> Sequence[Raw]: ...
    def by_ids(self, ids: Sequence[str]) -> Sequence[Raw]: ...
    def trades(self, order: Raw) -> Sequence[Raw]: ...
    def trades_since(self, since: datetime) -> Sequence[Raw] | None: ...
    def balances(self) -> Mapping[str, Decimal]: ...
    def cash_events(self, currency: str, since: datetime) -> Sequence[CashEvent]: ...
    def check(self) -> KeyFacts: ...


_DESKS: dict[str, type[KrakenDesk] | type[BinanceDesk] | type[CoinbaseDesk]] = {
    "kraken": KrakenDesk,
    "binance": BinanceDesk,
    "coinbase": CoinbaseDesk,
}


class CcxtBroker:
    """One account at one exchange."""

    def __init__(self, account_id: int, key: BrokerKey, exchange: str, mode: str) -> None:
        """Raises KeyError for an exchange or a mode that is not offered. Nothing is called yet."""
        self.account_id = account_id
        self.client = Client.of(exchange, mode, key)
        self.venue = self.client.venue
        self.caps: Capabilities = self.venue.caps
        self.desk: Desk = _DESKS[exchange](self.client)

    @property
    def budget(self) -> Budget:
        return self.client.budget

    # ── orders out ─────────────────────────────────────────────────────────

    def submit_order(self, request: BrokerRequest) -> BrokerOrder:
        """Send it, once, in strings. What the venue did not surely refuse stays unknown."""
        leave_by = self.client.order_deadline()  # reading the markets may take its time as well
        market = self.client.market(request.symbol)
        order_check(self.venue, market, request)
        told_id = venue_id(self.venue, request.client_order_id)
        params = {self.venue.cid_param: told_id, **self.venue.order_params}
        kind, price, tif = request.order_type, request.limit_price, request.time_in_force
        if kind == "market" and self.venue.market_as_ioc and market is not None:
            kind, tif = "limit", "ioc"
            price = bound_on_grid(request.price_bound, price_tick(market), request.side)
        if kind == "limit":
            params["timeInForce"] = tif.upper()
        reply = self.client.call(
            "create_order",
            request.symbol,
            kind,
            request.side,
            f"{request.qty:f}",
            None if price is None else f"{price:f}",
            params,
            submit_by=leave_by,
        )
        try:
            return self._taken(request, reply, told_id)
        except Exception as error:  # it is there: whatever its reply lacks, it must be looked up
            raise OutcomeUnknown(f"{self.venue.name} took it and answered oddly.") from error

    def _taken(self, request: BrokerRequest, reply: Raw, told_id: str) -> BrokerOrder:
        """What follows from the reply to a submit that was no refusal."""
        broker_id = reply.get("id")
        if not isinstance(broker_id, str) or not broker_id:
            raise OutcomeUnknown("no order id")
        echoed = self.desk.client_id(reply)
        if echoed and echoed != told_id:
            raise OutcomeUnknown("an order id that is not ours")
        word = (reply.get("info") or {}).get(self.venue.info_status)
        state = self.venue.states.get(word, OrderState.NEW) if word else OrderState.NEW
        if state not in {OrderState.ACCEPTED, OrderState.NEW, OrderState.REJECTED}:
            state = OrderState.NEW  # its fills are told by the next look, with their trades
        return BrokerOrder(
            client_order_id=request.client_order_id,
            broker_order_id=broker_id,
            state=state,
            filled_qty=Decimal(0),
            fills=(),
            at=timezone.now(),
            raw_status=word if isinstance(word, str) else "",
            sent=self.client.sent_body(),
        )

    def cancel_order(self, ref: OrderRef) -> None:
        """Ask to cancel, by the venue's id where it is known, else by ours."""
        told_id = venue_id(self.venue, ref.client_order_id)
        broker_id = ref.broker_order_id
        if not broker_id and self.venue.id == "coinbase":  # it cancels by its own id only
            found = self.find_order(ref)
            if found is None:
                raise NotCancelable(ref.client_order_id)
            broker_id = found.broker_order_id
        params = {} if broker_id else {"clientOrderId": told_id}
        try:
            self.client.call("cancel_order", broker_id, ref.symbol, params)
        except Gone as error:
            raise NotCancelable(ref.client_order_id) from error
        reply = self.client.reply
        result = reply.get("result") if isinstance(reply, dict) else None
        if isinstance(result, dict) and str(result.get("count")) == "0":
            raise NotCancelable(ref.client_order_id)

    # ── orders back ────────────────────────────────────────────────────────

    def find_order(self, ref: OrderRef) -> BrokerOrder | None:
        """The order of this reference, with its fills where it has more than we booked."""
        told_id = venue_id(self.venue, ref.client_order_id)
        found = self._safely(
            lambda: self.desk.find(told_id, ref.broker_order_id, ref.symbol, ref.since)
        )
        return None if found is None else self._report(found, ref)

    def list_orders(self, refs: Sequence[OrderRef]) -> Sequence[BrokerOrder]:
        """One list of what is open, and a few questions about what is not in it."""
        if not refs:
            return ()
        orders = self._safely(self.desk.open)
        by_id = {order.get("id"): order for order in orders}
        by_told = {told: order for order in orders if (told := self.desk.client_id(order))}
        found: list[tuple[Raw, OrderRef]] = []
        missing: list[OrderRef] = []
        for ref in refs:
            told_id = venue_id(self.venue, ref.client_order_id)
            order = by_id.get(ref.broker_order_id) or by_told.get(told_id)
            if order is None:
                missing.append(ref)
            else:
                found.append((order, ref))
        named = {ref.broker_order_id: ref for ref in missing if ref.broker_order_id}
        for order in self._safely(lambda: self.desk.by_ids(list(named))):
            ref = named.pop(str(order.get("id")))
            found.append((order, ref))
            missing.remove(ref)
        reports = [self._readable(order, ref) for order, ref in found]
        reports.extend(self.find_order(ref) for ref in missing[: settings.BROKER_LOOKUPS_MAX])
        return [report for report in reports if report is not None]

    def list_since(self, since: datetime, booked: Booked = nothing_booked) -> Sequence[BrokerOrder]:
        """Every order that is open or ended since then, whoever made it."""
        orders = {
            str(order.get("id")): order
            for order in (
                *self._safely(lambda: self.desk.closed(since)),
                *self._safely(self.desk.open),
            )
            if order.get("id")
        }
        ours = our_ids(self.venue, self.account_id, map(self.desk.client_id, orders.values()))
        named: dict[str, Raw] = {}
        for order in sorted(orders.values(), key=lambda one: _made_at(one) or since):
            told = self.desk.client_id(order)
            name = ours.get(told, told) or str(order["id"])
            if name in named:  # the venue lets an id be used again once its order has ended
                name = str(order["id"])
            named[name] = order
        filled = [name for name, order in named.items() if self._filled(order)]
        have = booked(filled) if filled else {}
        news = [
            named[name] for name in filled if self._filled(named[name]) > have.get(name, Decimal(0))
        ]
        trades = self._trades_of(news, since)
        return [
            self._told(order, name, trades.get(order["id"], ())) for name, order in named.items()
        ]

    def _filled(self, order: Raw) -> Decimal:
        """How much of an order has filled; nothing where it does not say so."""
        info: Raw = order.get("info") or {}
        return exact(info.get(self.venue.info_filled)) or Decimal(0)

    def _trades_of(self, orders: Sequence[Raw], since: datetime) -> Mapping[str, Sequence[Raw]]:
        """The trades of orders that come oldest first, by the ids of the orders.

        The oldest are asked for theirs, the rest found in one list, where the venue has one: it
        begins with the oldest of the rest, for it may hold thousands of trades of other orders.
        """
        rest = orders[TRADE_LOOKUPS:]
        every: Sequence[Raw] | None = None
        if rest:
            start = (_made_at(rest[0]) or since) - timedelta(minutes=5)
            every = self._safely(lambda: self.desk.trades_since(start))
        asked = orders if every is None else orders[:TRADE_LOOKUPS]
        found = {order["id"]: self._safely(partial(self.desk.trades, order)) for order in asked}
        listed: dict[Any, list[Raw]] = {}
        for trade in every or ():
            if trade.get("order") not in found:
                listed.setdefault(trade.get("order"), []).append(trade)
        return found | listed

    def _report(self, order: Raw, ref: OrderRef) -> BrokerOrder:
        report = self._told(order, ref.client_order_id, ())
        if report.filled_qty <= ref.filled_qty:
            return report
        trades = self._safely(lambda: self.desk.trades(order))
        return self._told(order, ref.client_order_id, trades)

    def _readable(self, order: Raw, ref: OrderRef) -> BrokerOrder | None:
        """One of many: an order that cannot be read must not hide the others."""
        try:
            return self._report(order, ref)
        except OutcomeUnknown:
            logger.warning("order_unreadable", extra={"exchange": self.venue.id})
            return None

    def _told(self, order: Raw, name: str, trades: Sequence[Raw]) -> BrokerOrder:
        market = self.client.market(str(order.get("symbol"))) or {}
        return self._safely(
            lambda: order_report(
                self.venue,
                order,
                name,
                now=timezone.now(),
                trades=trades,
                base=market.get("base", ""),
                quote=market.get("quote", ""),
            )
        )

    # ── money and the key ──────────────────────────────────────────────────

    def holdings(self) -> Holdings:
        """Cash is the account's currency; a coin with a market in it is a position."""
        return self._safely(lambda: holdings_of(self.client, self.desk.balances()))

    def cash_events(self, since: datetime) -> Sequence[CashEvent]:
        """Money that moved without an order, where the venue tells it."""
        return self._safely(lambda: self.desk.cash_events(self.venue.currency, since))

    def check(self) -> KeyFacts:
        """What the key may do, and how far the venue's clock is from ours."""
        facts = self._safely(self.desk.check)
        # It may have no clock to ask: ours, with room to both sides.
        guess = replace(facts, clock_offset=-CLOCK_GUESS, clock_doubt=2 * CLOCK_GUESS)
        if not self.client.exchange.has.get("fetchTime"):
            return guess
        before = timezone.now()
        try:
            told = timedelta(milliseconds=int(self.client.public("fetch_time")))
        except Refusal:
            return guess
        except (BrokerError, TypeError, ValueError, OverflowError):
            return replace(facts, clock_doubt=None)
        after = timezone.now()
        offset = told - (after - EPOCH)
        return replace(facts, clock_offset=offset, clock_doubt=after - before)

    def _safely(self, read: Callable[[], T]) -> T:
        """A read whose answer may have any shape: what cannot be read is no answer."""
        try:
            return read()
        except BrokerError:
            raise
        except Exception as error:
            raise OutcomeUnknown(f"{self.venue.name} answered oddly.") from error


def _made_at(order: Raw) -> datetime | None:
    return moment(order.get("timestamp"))
