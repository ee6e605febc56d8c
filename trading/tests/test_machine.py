"""Any sequence of what can happen to an account, and after each step every promise of the books."""

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
import time_machine
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from marketdata.hours import market_hours
from portfolio.services.transfers import transfer_make
from speedtrade.lib.crash import Killed
from speedtrade.lib.errors import DomainError
from speedtrade.testing.cast import account_of, make_user
from speedtrade.testing.market import NOON
from trading.brokers.paper.adapter import PaperBroker
from trading.brokers.paper.venue import PaperVenue
from trading.models import Fill, Order, PaperFill, PaperOrder
from trading.tests.desk import Desk

D = Decimal
SYMBOLS = ["AAPL", "BTC/USD"]
EXAMPLES, STEPS = 60, 30
submit = PaperBroker.submit_order


class Account:
    """One account with its worker, venue and poller, which run in whatever order a test says."""

    def __init__(self, clock: time_machine.Traveller) -> None:
        user = make_user("alice")
        self.desk = Desk(user, account_of(user), clock)
        self.placed: list[tuple[str, dict[str, Any]]] = []
        self.number = 0
        self.mid = {"AAPL": 10_000, "BTC/USD": 10_000}  # in cents
        for symbol in SYMBOLS:
            self.price(symbol, 0, ["50"])

    # ── what can happen ──────────────────────────────────────────────────────
    def transfer(self, direction: str, amount: int, again: bool) -> None:
        self.number += 1
        for _ in range(2 if again else 1):
            with suppress(DomainError):
                transfer_make(
                    account=self.desk.account,
                    direction=direction,  # type: ignore[arg-type]
                    amount=D(amount).scaleb(-2),
                    key=f"transfer{self.number}",
                    requested_by=self.desk.user,
                    now=self.desk.now,
                )

    def place(self, symbol: str, side: str, amount: tuple[str, str], **how: Any) -> None:
        """An order: at the market or `offset` cents from it, told to the broker by `fate`."""
        self.number += 1
        if how["fresh"]:
            self.price(symbol, 0, ["50", "100"])
        offset = how["offset"]
        limit = None if offset is None else str(D(self.mid[symbol] + offset).scaleb(-2))
        terms = {"side": side, "symbol": symbol, "tif": how["tif"], "limit": limit}
        terms |= {amount[0]: amount[1]}
        key = f"key{self.number}"
        try:
            order = self.desk.ask(key=key, **terms).order
        except DomainError:
            return
        self.placed.append((key, terms))
        self.send(order, how["fate"])
        self.look(order)

    def place_again(self, which: int) -> None:
        """The same key again: the first order, whatever has become of it."""
        if self.placed:
            key, terms = self.placed[which % len(self.placed)]
            before = Order.objects.count()
            assert not self.desk.ask(key=key, **terms).created
            assert Order.objects.count() == before

    def cancel(self, which: int, send: bool) -> None:
        if order := self.order(which):
            try:
                self.desk.cancel(order, send=send)
            except DomainError as refusal:
                assert refusal.code in {"order_final", "order_busy"}

    def work(self, which: int, fate: str) -> None:
        """A worker takes what waits of an order, and may die over it."""
        if order := self.order(which):
            self.send(order, fate)

    def tick(self, symbol: str, move: int, sizes: list[str], told: bool) -> None:
        """New prices; now and then the venue dies before it tells what it matched."""
        quote = self.price(symbol, move, sizes)
        reports = list(self.desk.venue.tick([symbol], {symbol: quote}, self.desk.now))
        if told:
            self.desk.apply(reports)

    def hear_again(self, which: int) -> None:
        """A report that came before comes once more, late."""
        if self.desk.reports:
            before = Fill.objects.count()
            self.desk.tell(self.desk.reports[which % len(self.desk.reports)])
            assert Fill.objects.count() == before

    def wait(self, seconds: int) -> None:
        self.desk.wait(seconds)

    def run(self, duty: str) -> None:
        """One of the periodic duties; or the venue's process begins anew."""
        if duty == "venue starts":
            self.desk.venue = PaperVenue(market_hours())
            self.desk.apply(self.desk.venue.load(self.desk.now))
        else:
            {"sweep": self.desk.sweep, "poll": self.desk.poll, "expire": self.desk.expire}[duty]()

    # ── the end ──────────────────────────────────────────────────────────────
    def settle(self) -> None:
        """The faults stop and everybody runs: then ours is the venue's truth (I9, I12)."""
        for _ in range(3):
            self.desk.wait(40)
            self.desk.sweep()
            self.desk.poll()
        self.desk.check()
        theirs = {paper.client_order_id: paper for paper in PaperOrder.objects.all()}
        for order in Order.objects.all():
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

    def order(self, which: int) -> Order | None:
        orders = list(Order.objects.order_by("id"))
        return orders[which % len(orders)] if orders else None

    def send(self, order: Order, fate: str) -> None:
        """The broker is told, by a worker that lives, or dies before or after the call."""
        if fate == "waits":
            return

        def die(broker: PaperBroker, request: Any) -> Any:
            if fate == "dies after":
                submit(broker, request)
            raise Killed()

        call = submit if fate == "lives" else die
        with mock.patch.object(PaperBroker, "submit_order", call), suppress(Killed):
            self.desk.send(order)

    def look(self, order: Order) -> None:
        """The venue hears of the order, if it got there."""
        paper = PaperOrder.objects.filter(client_order_id=order.client_order_id).first()
        if paper is not None:
            self.desk.apply(self.desk.venue.look(paper.pk, self.desk.now))


AMOUNTS = [("qty", qty) for qty in ("1", "2.5", "0.020001", "40", "150", "700")]
AMOUNTS += [("notional", money) for money in ("33.33", "5000", "20000")]


def dice_step(dice: random.Random) -> tuple[str, dict[str, Any]]:
    """What happens next: mostly orders and prices, and now and then everything else."""
    which, pick = dice.randint(0, 30), dice.choice
    fate = pick(["lives", "lives", "lives", "waits", "dies before", "dies after"])
    name = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    fields: dict[str, dict[str, Any]] = {
        "place": {
            "symbol": pick(SYMBOLS),
            "side": pick(["buy", "buy", "sell"]),
            "amount": pick(AMOUNTS),
            "offset": pick([None, dice.randint(-300, 300)]),
            "tif": pick(["day", "gtc", "gtc", "ioc", "fok"]),
            "fate": fate,
            "fresh": dice.random() < 0.8,
        },
        "tick": {
            "symbol": pick(SYMBOLS),
            "move": dice.randint(-200, 200),
            "sizes": dice.choices(["0.5", "3", "40", "200"], k=dice.randint(1, 3)),
            "told": dice.random() < 0.7,
        },
        "cancel": {"which": which, "send": dice.random() < 0.5},
        "work": {"which": which, "fate": fate},
        "hear_again": {"which": which},
        "place_again": {"which": which},
        "transfer": {
            "direction": pick(["deposit", "withdrawal"]),
            "amount": pick([1, 5_000, 9_000_000]),
            "again": dice.random() < 0.5,
        },
        "wait": {"seconds": pick([1, 1, 6, 6, 40, 86_400])},
        "run": {"duty": pick(["sweep", "sweep", "poll", "expire", "venue starts"])},
    }
    return name, fields[name]


WEIGHTS = {"place": 9, "tick": 7, "cancel": 3, "run": 4, "wait": 2, "work": 2}
WEIGHTS |= {"hear_again": 1, "place_again": 1, "transfer": 1}


@contextmanager
def world() -> Iterator[Account]:
    """An account in a world that is forgotten afterwards."""
    around = transaction.atomic()
    around._from_testcase = True  # services that insist on the outermost transaction may nest here
    with around, time_machine.travel(NOON, tick=False) as clock:
        yield Account(clock)
        transaction.set_rollback(True)


@pytest.mark.django_db
@given(seed=st.integers(0, 2**63))
@settings(
    max_examples=EXAMPLES,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # a smaller seed is no simpler life
)
def test_whatever_happens_the_books_keep_their_promises(seed: int):
    dice = random.Random(seed)
    with world() as account:
        for _ in range(dice.randint(5, STEPS)):
            name, fields = dice_step(dice)
            note(f"{name} {fields}")
            getattr(account, name)(**fields)
            account.desk.check()
        account.settle()
