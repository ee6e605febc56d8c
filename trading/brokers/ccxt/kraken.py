"""How Kraken is asked about orders, trades and money.

It has no look-up of one order by our id: open and closed orders are filtered by it. A reply
without its list is none, so the reply itself is looked at and not only what ccxt makes of it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings

from trading.brokers.base import AuthFailed, CashEvent, KeyFacts, OutcomeUnknown
from trading.brokers.ccxt.client import Client
from trading.brokers.ccxt.errors import Gone, Refusal
from trading.brokers.ccxt.parse import exact, moment, number_of

logger = logging.getLogger(__name__)
Raw = Mapping[str, Any]
BATCH = 20  # ids in one question
TRADES_BATCH = 19  # ccxt asks an empty question after each full batch of 20
SINCE_SLACK = timedelta(minutes=5)  # clocks differ, and an order is older than its row never is
NEEDED = {
    "query-funds": "read balances",
    "query-open-trades": "read open orders",
    "query-closed-trades": "read closed orders and trades",
    "modify-trades": "place orders",
}
CANCELS = frozenset({"modify-trades", "close-trades"})
_KINDS = {
    "deposit": "deposit",
    "withdrawal": "withdrawal",
    "dividend": "dividend",
    "staking": "dividend",
    "reward": "dividend",
    "earn": "dividend",
    "credit": "deposit",
    "margin": "fee",
    "rollover": "fee",
}


class KrakenDesk:
    """Reads of one account at Kraken; every method raises BrokerError."""

    def __init__(self, client: Client) -> None:
        self.client = client

    # ── orders ─────────────────────────────────────────────────────────────

    def find(self, told_id: str, broker_id: str, symbol: str, since: datetime) -> Raw | None:
        """One order, by its own id or by ours; None where both lists say that it is not there."""
        if broker_id:
            found = self.by_ids([broker_id])
            if found:
                return found[0]
        for order in self._open(clientOrderId=told_id):
            if self.client_id(order) == told_id:
                return order
        for order in self._closed(since, clientOrderId=told_id):
            if self.client_id(order) == told_id:
                return order
        return None

    @staticmethod
    def client_id(order: Raw) -> str:
        """The client id that an order carries, in the venue's form; a userref is none."""
        told = (order.get("info") or {}).get("cl_ord_id")
        return told if isinstance(told, str) else ""

    def open(self) -> Sequence[Raw]:
        """All open orders."""
        return self._open()

    def closed(self, since: datetime) -> Sequence[Raw]:
        """All orders that ended since then."""
        return self._closed(since)

    def by_ids(self, ids: Sequence[str]) -> Sequence[Raw]:
        """Those of these orders that the venue knows."""
        found: list[Raw] = []
        for start in range(0, len(ids), BATCH):
            some = list(ids[start : start + BATCH])
            try:
                orders = self.client.call("fetch_orders_by_ids", some, None, {"trades": "true"})
            except Gone:
                continue
            self._part()
            found += [order for order in orders if order.get("id") in some]
        return found

    def trades(self, order: Raw) -> Sequence[Raw]:
        """The trades that an order names."""
        named = (order.get("info") or {}).get("trades")
        ids = [one for one in named if isinstance(one, str)] if isinstance(named, list) else []
        try:
            return self._trades_named(order, ids) if ids else self._trades_among(order)
        except Refusal:
            return self._trades_among(order)

    def _trades_among(self, order: Raw) -> Sequence[Raw]:
        """An order's trades out of all since it was made."""
        since = moment(order.get("timestamp"))
        every = self.trades_since(since - SINCE_SLACK) if since else []
        return [trade for trade in every if trade.get("order") == order.get("id")]

    def _trades_named(self, order: Raw, ids: Sequence[str]) -> Sequence[Raw]:
        found: list[Raw] = []
        for start in range(0, len(ids), TRADES_BATCH):
            some = ids[start : start + TRADES_BATCH]
            more = self.client.call(
                "fetch_order_trades", order.get("id"), None, None, None, {"trades": some}
            )
            self._part()
            found += [trade for trade in more if trade.get("order") == order.get("id")]
        return found

    def trades_since(self, since: datetime) -> Sequence[Raw]:
        """Every trade since then."""
        start = _milliseconds(since)
        return self._pages(
            "trades",
            lambda at: self.client.call("fetch_my_trades", None, start, None, {"ofs": at}),
        )

    def _open(self, **which: str) -> Sequence[Raw]:
        params = {"trades": "true", **which}
        orders: Sequence[Raw] = self.client.call("fetch_open_orders", None, None, None, params)
        self._part("open")
        return orders

    def _closed(self, since: datetime, **which: str) -> Sequence[Raw]:
        start = _milliseconds(since - SINCE_SLACK)
        params = {"trades": "true", **which}
        return self._pages(
            "closed",
            lambda at: self.client.call(
                "fetch_closed_orders",
                None,
                None,
                None,
                # The venue filters by closing as well as opening; ccxt would drop what opened
                # before, so the start goes past it.
                params | {"ofs": at, "start": start // 1000},
            ),
        )

    def _pages(self, part: str, page: Callable[[int], Iterable[Raw]]) -> Sequence[Raw]:
        """Every page of a list; one that never ends is no answer."""
        found: dict[Any, Raw] = {}
        at = 0
        for _ in range(settings.BROKER_PAGES_MAX):
            rows = {row.get("id"): row for row in page(at)}
            told = self._part(part)
            count = exact(self._result().get("count"))
            fresh = rows.keys() - found.keys()
            found |= rows
            at += len(told)
            if not told or (at >= count if count is not None else not fresh):
                return list(found.values())
            if not fresh and rows:
                break  # the same page again, and there is said to be more
        raise OutcomeUnknown("Kraken's list does not end.")

    def _result(self) -> Mapping[str, Any]:
        result = self.client.reply.get("result") if isinstance(self.client.reply, dict) else None
        if not isinstance(result, dict):
            raise OutcomeUnknown("Kraken's answer has no result.")
        return result

    def _part(self, name: str = "") -> Mapping[str, Any]:
        """The list of the last reply, which must be there and be whole."""
        part = self._result().get(name) if name else self._result()
        if not isinstance(part, dict):
            raise OutcomeUnknown(f"Kraken's answer has no {name}.")
        return part

    # ── money and the key ──────────────────────────────────────────────────

    def balances(self) -> Mapping[str, Decimal]:
        """What is held of each currency, in our words for it, as exact as it was said."""
        self.client.call("fetch_balance")
        held: dict[str, Decimal] = {}
        for asset, told in self._part().items():
            amount = exact(told.get("balance")) if isinstance(told, dict) else None
            if amount is None:
                raise OutcomeUnknown(f"Kraken does not say how much {asset} there is.")
            code = self.client.exchange.safe_currency_code(asset)
            held[code] = held.get(code, Decimal(0)) + amount
        return held

    def cash_events(self, currency: str, since: datetime) -> Sequence[CashEvent]:
        """What moved cash without a trade; nothing where the ledger is not told to this key."""
        start = _milliseconds(since)
        try:
            rows = self._pages(
                "ledger",
                lambda at: self.client.call("fetch_ledger", currency, start, None, {"ofs": at}),
            )
        except (AuthFailed, Refusal):
            logger.warning("ledger_unreadable", extra={"exchange": "kraken"})
            return ()
        events = [event for row in rows if (event := _cash_event(row)) is not None]
        return sorted(events, key=lambda event: (event.at, event.event_id))

    def check(self) -> KeyFacts:
        """What the key may do, by the venue's own list of its rights where it gives one."""
        self.balances()
        try:
            self.client.call("privatePostGetApiKeyInfo")
            info = self._result()
        except (AuthFailed, OutcomeUnknown):
            info = {}
        number, told = number_of(info.get("iban")), info.get("permissions")
        if not isinstance(told, list):
            self._open()
            words = "The key reads balances and orders. Kraken does not say more."
            return KeyFacts(True, words, number=number)
        rights = {one for one in told if isinstance(one, str)}
        lacks = [words for right, words in NEEDED.items() if right not in rights]
        if not rights & CANCELS:
            lacks.append("cancel orders")
        if lacks:
            words = f"The key may not {', '.join(lacks)}. Give it these rights."
            return KeyFacts(False, words, number=number)
        words = "The key may read balances and orders, and place and cancel orders."
        if "query-ledger" not in rights:
            words += " It may not read the ledger, so deposits show as differences."
        if "withdraw-funds" in rights:
            words += " It may also withdraw money, which SpeedTrade never does: take that away."
        return KeyFacts(True, words, number=number)


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _cash_event(row: Raw) -> CashEvent | None:
    """A line of the ledger; None for a trade, which its fills tell."""
    info: Mapping[str, Any] = row.get("info") or {}
    kind, at = info.get("type"), moment(row.get("timestamp"))
    amount, fee = exact(info.get("amount")), exact(info.get("fee")) or Decimal(0)
    if kind == "trade":
        return None
    if not isinstance(kind, str) or at is None or amount is None or not row.get("id"):
        raise OutcomeUnknown("Kraken's ledger has a line that cannot be read.")
    moved = amount - fee
    fallback = "deposit" if moved > 0 else "withdrawal"
    chosen = _KINDS.get(kind, fallback)
    if chosen == "dividend" and moved < 0:
        chosen = "fee"
    return CashEvent(str(row["id"]), chosen, moved, at, words=f"Kraken: {kind}")
