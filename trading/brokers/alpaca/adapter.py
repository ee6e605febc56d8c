"""One account at Alpaca behind the broker interface."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from django.conf import settings
from django.utils import timezone

from accounts.keys import BrokerKey
from speedtrade.lib.money import plain
from speedtrade.lib.times import rfc3339
from trading.brokers.alpaca import errors, parse
from trading.brokers.alpaca.cash import KINDS, cash_event
from trading.brokers.alpaca.client import AlpacaClient, Missing, Refused
from trading.brokers.alpaca.holdings import blocked_words, holdings_of
from trading.brokers.base import (
    CLOCK_GUESS,
    AuthFailed,
    Booked,
    BrokerFill,
    BrokerOrder,
    BrokerRequest,
    Budget,
    CashEvent,
    Holdings,
    KeyFacts,
    NotCancelable,
    OrderRef,
    OrderRejected,
    OutcomeUnknown,
    nothing_booked,
)
from trading.brokers.capabilities import ALPACA

ORDERS_PAGE = 500  # the most that Alpaca gives in one list
ACTIVITIES_PAGE = 100
FILL_LOOKUPS = 5  # orders whose fills are asked for one by one; for more, one list is cheaper
OVERLAP = timedelta(milliseconds=1)  # between pages: an order at the edge comes twice, not never
LATE = timedelta(days=3)  # an entry is made at night, dated by the day of what it is about
T = TypeVar("T")
CRYPTO_TIFS = frozenset({"gtc", "ioc"})


class AlpacaBroker:
    """Sends exact texts, reads exact texts, keeps no state but its connection."""

    caps = ALPACA

    def __init__(self, account_id: int, key: BrokerKey, mode: str) -> None:
        self.account_id, self.mode = account_id, mode
        self._key = key
        self._client = AlpacaClient(key, mode)

    @property
    def budget(self) -> Budget:
        return self._client.budget

    def submit_order(self, request: BrokerRequest) -> BrokerOrder:
        """One POST. A reply without our id, or one that cannot be read, leaves it unknown."""
        body = order_body(request)
        reply = self._client.send_order(body)
        try:
            made = parse.order(reply, now=timezone.now())
        except parse.Unreadable as error:
            raise OutcomeUnknown(f"Alpaca's answer cannot be read: {error}") from error
        if made.client_order_id != request.client_order_id:
            raise OutcomeUnknown("Alpaca's answer is about another order")
        return replace(made, sent=sent_of(body))

    def find_order(self, ref: OrderRef) -> BrokerOrder | None:
        found = self._lookup(ref)
        return None if found is None else self._with_fills([found], {})[0]

    def _lookup(self, ref: OrderRef) -> BrokerOrder | None:
        try:
            reply = self._client.read(
                "/orders:by_client_order_id", client_order_id=ref.client_order_id
            )
            made = parse.order(reply, now=timezone.now())
        except Missing:
            return None
        except parse.Unreadable as error:
            raise OutcomeUnknown(f"Alpaca's answer cannot be read: {error}") from error
        if made.client_order_id != ref.client_order_id:
            raise OutcomeUnknown("Alpaca's answer is about another order")
        return made

    def cancel_order(self, ref: OrderRef) -> None:
        """Ask; 204 says only that it was heard."""
        order_id = ref.broker_order_id
        if not order_id:
            found = self._lookup(ref)
            if found is None:
                raise OutcomeUnknown("Alpaca does not know the order yet")
            order_id = found.broker_order_id
        try:
            self._client.delete(f"/orders/{order_id}")
        except (Refused, Missing) as error:
            raise NotCancelable(str(error)) from error

    def list_orders(self, refs: Sequence[OrderRef]) -> Sequence[BrokerOrder]:
        """One list of the open ones, a look-up for each of the rest, fills where there are new.

        At most so many look-ups in one call; those left over are looked up by a later one.
        """
        if not refs:
            return []
        wanted = {ref.client_order_id: ref for ref in refs}
        found = {
            order.client_order_id: order
            for order in self._pages(status="open")
            if order.client_order_id in wanted
        }
        rest = [ref for name, ref in wanted.items() if name not in found]
        for ref in rest[: settings.BROKER_LOOKUPS_MAX]:
            order = self._lookup(ref)
            if order is not None:
                found[ref.client_order_id] = order
        have = {name: ref.filled_qty for name, ref in wanted.items()}
        return self._with_fills(list(found.values()), have)

    def list_since(self, since: datetime, booked: Booked = nothing_booked) -> Sequence[BrokerOrder]:
        found = {order.broker_order_id: order for order in self._pages(status="open")}
        # The second list wins: between the two an order may have ended.
        for order in self._pages(status="all", after=rfc3339(since - OVERLAP)):
            found[order.broker_order_id] = order
        filled = [order.client_order_id for order in found.values() if order.filled_qty > 0]
        return self._with_fills(list(found.values()), booked(filled) if filled else {})

    def _pages(self, **query: str) -> list[BrokerOrder]:
        """Every page of a list of orders, oldest first, each order once."""
        found: dict[str, BrokerOrder] = {}
        now = timezone.now()
        for _ in range(settings.BROKER_PAGES_MAX):
            page = self._read(
                parse.rows, "/orders", limit=str(ORDERS_PAGE), direction="asc", **query
            )
            known = len(found)
            try:
                for row in page:
                    order = parse.order(row, now=now, strict=False)
                    found[order.broker_order_id] = order
                if len(page) < ORDERS_PAGE:
                    return list(found.values())
                last = parse.moment(page[-1].get("submitted_at"))
            except parse.Unreadable as error:
                raise OutcomeUnknown(f"Alpaca's list cannot be read: {error}") from error
            if len(found) == known:
                break  # 500 orders of one moment, or a server that does not page
            query["after"] = rfc3339(last - OVERLAP)
        raise OutcomeUnknown("Alpaca's list of orders does not end")

    def _with_fills(
        self, orders: list[BrokerOrder], have: Mapping[str, Decimal]
    ) -> list[BrokerOrder]:
        """The orders, with their fills where more is filled than we have booked.

        The oldest are asked for theirs, the rest found in one list: it begins with the oldest of
        them, for it may hold thousands of fills of other orders.
        """
        news = [
            order
            for order in orders
            if order.filled_qty > have.get(order.client_order_id, Decimal(0))
        ]
        if not news:
            return orders
        news.sort(key=_made_at)
        fills: dict[str, tuple[BrokerFill, ...]] = {}
        if rest := news[FILL_LOOKUPS:]:
            first = rfc3339(_made_at(rest[0]) - OVERLAP)
            fills = parse.fills_by_order(self._activities("/FILL", after=first))
        for order in news[:FILL_LOOKUPS]:
            rows = self._activities("/FILL", order_id=order.broker_order_id)
            fills |= parse.fills_by_order(rows)
        asked = {order.broker_order_id for order in news}
        return [
            replace(order, fills=fills.get(order.broker_order_id, ()))
            if order.broker_order_id in asked
            else order
            for order in orders
        ]

    def _activities(self, kind: str = "", **query: str) -> list[Mapping[str, Any]]:
        """Every page of a list of activities; none where the endpoint does not exist."""
        found: dict[str, Mapping[str, Any]] = {}
        for _ in range(settings.BROKER_PAGES_MAX):
            try:
                page = self._client.read(
                    f"/account/activities{kind}",
                    direction="asc",
                    page_size=str(ACTIVITIES_PAGE),
                    **query,
                )
                rows = parse.rows(page)
                known = len(found)
                for place, row in enumerate(rows):
                    found[str(row.get("id") or f"{known}+{place}")] = row
                if len(rows) < ACTIVITIES_PAGE:
                    return list(found.values())
                query["page_token"] = parse.word(rows[-1].get("id"))
            except Missing:
                return []
            except parse.Unreadable as error:
                raise OutcomeUnknown(f"Alpaca's list cannot be read: {error}") from error
            if len(found) == known:
                break
        raise OutcomeUnknown("Alpaca's list of activities does not end")

    def holdings(self) -> Holdings:
        """The account before and after the positions: where cash moved in between, once more."""
        account = self._read(parse.row, "/account")
        for _ in range(3):
            places = self._read(parse.rows, "/positions")
            after = self._read(parse.row, "/account")
            if after.get("cash") == account.get("cash"):
                break
            account = after
        else:
            raise OutcomeUnknown("Alpaca's cash moves while it is read")
        try:
            return holdings_of(after, places)
        except parse.Unreadable as error:
            raise OutcomeUnknown(f"Alpaca's account cannot be read: {error}") from error

    def cash_events(self, since: datetime) -> Sequence[CashEvent]:
        """Those since then, and some from before, which their ids tell from new ones."""
        rows = self._activities(activity_types=",".join(KINDS), after=rfc3339(since - LATE))
        events = (cash_event(row) for row in rows)
        return [event for event in events if event is not None]

    def check(self) -> KeyFacts:
        """What the key may do, and how far Alpaca's clock is from ours."""
        try:
            account = self._read(parse.row, "/account")
        except AuthFailed as error:
            raise AuthFailed(self._key_words()) from error
        try:
            offset, doubt = self._clock()
            cash = f"{parse.number(account.get('cash')):,.2f} {account.get('currency', 'USD')}"
        except parse.Unreadable as error:
            raise OutcomeUnknown(f"Alpaca's account cannot be read: {error}") from error
        blocked = blocked_words(account)
        number = str(account.get("account_number") or "without a number")[:40]
        kind = "Paper" if self.mode == "paper" else "Live"
        words = blocked or f"{kind} account {number} with {cash} in cash; the key may trade."
        name = str(account.get("id") or account.get("account_number") or "")[:64]
        return KeyFacts(not blocked, words, offset, doubt, name)

    def _clock(self) -> tuple[timedelta, timedelta | None]:
        """(Alpaca's clock less ours, at the least; how much more it may be) as `KeyFacts` has."""
        before = timezone.now()
        try:
            clock = parse.row(self._client.read("/clock"))
        except (Missing, errors.NotFound):  # it has no clock to ask: ours, with room to both sides
            return -CLOCK_GUESS, 2 * CLOCK_GUESS
        after = timezone.now()
        return parse.moment(clock.get("timestamp")) - after, after - before

    def _key_words(self) -> str:
        """Paper keys begin with PK and live keys with AK: a swap is the commonest mistake."""
        begins = self._key.api_key[:2].upper()
        if self.mode == "live" and begins == "PK":
            return "Alpaca does not know this key: it looks like one of a paper account."
        if self.mode == "paper" and begins == "AK":
            return "Alpaca does not know this key: it looks like one of a live account."
        return (
            f"Alpaca does not know this key for {self.mode} trading. Check both parts, or make"
            " a new key on Alpaca's page."
        )

    def _read(self, shape: Callable[[object], T], path: str, **query: str) -> T:
        """A thing that is always there; raises OutcomeUnknown where it is not, or is no such."""
        try:
            return shape(self._client.read(path, **query))
        except Missing as error:
            raise OutcomeUnknown(f"Alpaca has no {path}") from error
        except parse.Unreadable as error:
            raise OutcomeUnknown(f"Alpaca's answer cannot be read: {error}") from error


def _made_at(order: BrokerOrder) -> datetime:
    return order.terms.created_at if order.terms else order.at


def order_body(request: BrokerRequest) -> dict[str, str | bool]:
    """The order as Alpaca wants it: numbers as texts, and only the fields that it has.

    Raises OrderRejected for what Alpaca does not have, before anything is sent.
    """
    tif = request.time_in_force
    if request.asset_type == "crypto" and tif not in CRYPTO_TIFS:
        if request.order_type != "market" or tif != "day":
            raise OrderRejected(
                "order_type_unsupported",
                "Alpaca takes coins with time in force gtc or ioc only.",
            )
        tif = "gtc"  # a market order for coins fills at once, whatever its time
    body: dict[str, str | bool] = {
        "client_order_id": request.client_order_id,
        "symbol": request.symbol,
        "side": request.side,
        "type": request.order_type,
        "time_in_force": tif,
    }
    amounts = {"qty": request.qty, "notional": request.notional, "limit_price": request.limit_price}
    body |= {name: plain(value) for name, value in amounts.items() if value is not None}
    if request.extended_hours:
        body["extended_hours"] = True
    return body


def sent_of(body: Mapping[str, str | bool]) -> dict[str, str]:
    return {name: "true" if value is True else str(value) for name, value in body.items()}
