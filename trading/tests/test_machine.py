"""Any sequence of what can happen to an account, and after each step every promise of the books."""

from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
import time_machine
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from marketdata.hours import market_hours
from portfolio.services.transfers import transfer_make
from speedtrade.lib.errors import DomainError
from speedtrade.testing.cast import account_of, make_user
from speedtrade.testing.market import NOON
from speedtrade.testing.vendor import Killed
from trading.brokers.paper.adapter import PaperBroker
from trading.brokers.paper.venue import PaperVenue
from trading.models import Fill, Order, PaperFill, PaperOrder
from trading.tests.desk import Desk

D = Decimal
SYMBOLS = ["AAPL", "BTC/USD"]
EXAMPLES, STEPS = 40, 30
CENTS = st.integers(1, 20_000).map(lambda n: str(D(n).scaleb(-2)))
QTY = st.sampled_from(["1", "2.5", "0.000001", "40", "150", "700"])
SIZES = st.lists(st.sampled_from(["0.5", "3", "40", "200"]), min_size=1, max_size=3)
submit = PaperBroker.submit_order


class Account(RuleBasedStateMachine):
    """One account, the worker, the venue and the poller, in whatever order they come to run."""

    @initialize()
    def open(self) -> None:
        # Each example leaves nothing behind; services that open durable transactions may nest here.
        self.world = transaction.atomic()
        self.world._from_testcase = True
        self.world.__enter__()
        self.travel = time_machine.travel(NOON, tick=False)
        user = make_user("alice")
        self.desk = Desk(user, account_of(user), self.travel.start())
        self.keys: list[tuple[str, dict[str, Any]]] = []
        self.number = 0
        self.mid = {"AAPL": 10_000, "BTC/USD": 10_000}  # in cents
        for symbol in SYMBOLS:
            self.price(symbol, 0, ["50"])

    # ── money ────────────────────────────────────────────────────────────────
    @rule(direction=st.sampled_from(["deposit", "withdrawal"]), amount=CENTS, again=st.booleans())
    def transfer(self, direction: str, amount: str, again: bool) -> None:
        self.number += 1
        for _ in range(2 if again else 1):
            try:
                transfer_make(
                    account=self.desk.account,
                    direction=direction,  # type: ignore[arg-type]
                    amount=D(amount),
                    key=f"transfer{self.number}",
                    requested_by=self.desk.user,
                    now=self.desk.now,
                )
            except DomainError:
                return

    # ── orders ───────────────────────────────────────────────────────────────
    @rule(
        symbol=st.sampled_from(SYMBOLS),
        side=st.sampled_from(["buy", "sell"]),
        qty=QTY,
        in_dollars=st.booleans(),
        offset=st.none() | st.integers(-300, 300),
        tif=st.sampled_from(["day", "gtc", "ioc", "fok"]),
        send=st.booleans(),
    )
    def place(
        self,
        symbol: str,
        side: str,
        qty: str,
        in_dollars: bool,
        offset: int | None,
        tif: str,
        send: bool,
    ) -> None:
        self.number += 1
        limit = None if offset is None else str(D(self.mid[symbol] + offset).scaleb(-2))
        amount = {"notional": str(D(qty) * 20)} if in_dollars and D(qty) >= 1 else {"qty": qty}
        terms = {"side": side, "symbol": symbol, "tif": tif, "limit": limit, **amount}
        key = f"key{self.number}"
        try:
            order = self.desk.ask(key=key, **terms).order
        except DomainError:
            return
        self.keys.append((key, terms))
        if send:
            self.desk.work(order)

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def place_again(self, data: st.DataObject) -> None:
        """The same key again: the first order, whatever has become of it."""
        key, terms = data.draw(st.sampled_from(self.keys))
        before = Order.objects.count()
        again = self.desk.ask(key=key, **terms)
        assert not again.created
        assert Order.objects.count() == before

    @rule(data=st.data(), send=st.booleans())
    def cancel(self, data: st.DataObject, send: bool) -> None:
        if order := self.some_order(data):
            try:
                self.desk.cancel(order, send=send)
            except DomainError as refusal:
                assert refusal.code in {"order_final", "order_busy"}

    @rule(data=st.data(), fate=st.sampled_from(["lives", "dies before", "dies after"]))
    def work(self, data: st.DataObject, fate: str) -> None:
        """A worker takes what waits of an order, and may die over it."""
        order = self.some_order(data)
        if order is None:
            return
        if fate == "lives":
            self.desk.send(order)
            return

        def die(broker: PaperBroker, request: Any) -> Any:
            if fate == "dies after":
                submit(broker, request)
            raise Killed()

        with mock.patch.object(PaperBroker, "submit_order", die):
            try:
                self.desk.send(order)
            except Killed:
                return

    # ── the market and the processes ─────────────────────────────────────────
    @rule(
        symbol=st.sampled_from(SYMBOLS),
        move=st.integers(-200, 200),
        sizes=SIZES,
        told=st.booleans(),
    )
    def tick(self, symbol: str, move: int, sizes: list[str], told: bool) -> None:
        """New prices; now and then the venue dies before it tells what it matched."""
        quote = self.price(symbol, move, sizes)
        reports = list(self.desk.venue.tick([symbol], {symbol: quote}, self.desk.now))
        if told:
            self.desk.apply(reports)

    @precondition(lambda self: self.desk.reports)
    @rule(data=st.data())
    def hear_again(self, data: st.DataObject) -> None:
        """A report that came before comes once more, late."""
        before = Fill.objects.count()
        self.desk.tell(data.draw(st.sampled_from(self.desk.reports)))
        assert Fill.objects.count() == before

    @rule(seconds=st.sampled_from([1, 6, 40, 3600]))
    def wait(self, seconds: int) -> None:
        self.desk.wait(seconds)

    @rule()
    def sweep(self) -> None:
        self.desk.sweep()

    @rule()
    def poll(self) -> None:
        self.desk.poll()

    @rule()
    def venue_polls(self) -> None:
        self.desk.expire()

    @rule()
    def venue_starts_anew(self) -> None:
        self.desk.venue = PaperVenue(market_hours())
        self.desk.apply(self.desk.venue.load(self.desk.now))

    # ── what always holds ────────────────────────────────────────────────────
    @invariant()
    def books_are_clean(self) -> None:
        if hasattr(self, "desk"):
            self.desk.check()

    def teardown(self) -> None:
        """Stop the faults, let everybody run: then ours is the venue's truth (I9, I12)."""
        if not hasattr(self, "desk"):
            return
        try:
            for _ in range(3):
                self.desk.wait(40)
                self.desk.sweep()
                self.desk.poll()
            self.desk.check()
            self.agree_with_the_venue()
        finally:
            transaction.set_rollback(True)
            self.world.__exit__(None, None, None)
            self.travel.stop()

    def agree_with_the_venue(self) -> None:
        theirs = {paper.client_order_id: paper for paper in PaperOrder.objects.all()}
        ours = Order.objects.filter(brokerage_account=self.desk.account)
        for order in ours:
            paper = theirs.pop(order.client_order_id, None)
            if paper is None:
                assert order.state == "canceled", "what never arrived was given up"
                continue
            assert (order.state, order.filled_qty) == (paper.status, paper.filled_qty)
            assert order.fees == paper.fees
        assert not theirs, "the venue has an order that we do not know"
        assert Fill.objects.count() == PaperFill.objects.count()

    # ── tools ────────────────────────────────────────────────────────────────
    def price(self, symbol: str, move: int, sizes: list[str]) -> Any:
        self.mid[symbol] = min(max(self.mid[symbol] + move, 5_000), 20_000)
        bid, ask = D(self.mid[symbol] - 1).scaleb(-2), D(self.mid[symbol] + 1).scaleb(-2)
        return self.desk.quote(str(bid), str(ask), *sizes, symbol=symbol)

    def some_order(self, data: st.DataObject) -> Order | None:
        orders = list(Order.objects.order_by("id"))
        return data.draw(st.sampled_from(orders)) if orders else None


@pytest.mark.django_db
def test_whatever_happens_the_books_keep_their_promises():
    run_state_machine_as_test(
        Account,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
