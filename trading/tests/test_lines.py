"""Accounts at a loopback vendor under every fault, by dice: in the end ours is the vendor's truth.

Every fifth life is at the Kraken-like vendor, the others at the Alpaca-like one. A seed that fails
says how to run it again, and tells its story.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest
import time_machine
from django.db import transaction

from accounts.models import User
from speedtrade.lib.redis import redis_client
from speedtrade.testing.coin_lines import COINS, CoinLine
from speedtrade.testing.line_vendor import SYMBOLS
from speedtrade.testing.line_verdict import verdict
from speedtrade.testing.line_wire import crashing
from speedtrade.testing.lines import BEAT, Line
from speedtrade.testing.market import NOON, instrument
from speedtrade.testing.vendors.alpaca import AlpacaVendor
from speedtrade.testing.vendors.kraken import KrakenVendor
from trading.brokers.alpaca.stream import update
from trading.brokers.ccxt import lease
from trading.models import Order

FIRST, _, LAST = os.environ.get("LINE_SEEDS", "").partition("-")
RUNS = int(os.environ.get("LINE_RUNS", "150"))
SEEDS = range(int(FIRST), int(LAST or FIRST) + 1) if FIRST else range(RUNS)
PARTS = min(10, len(SEEDS))  # tests that the runs are cut into, for several workers
STEPS = 20
COIN = 1  # the remainder by five of the seeds that live at Kraken
CONVERGED = 60  # seconds after the last fault, those of an order that was never found included
CALLS_A_MINUTE = 200  # of one account at Alpaca; here nobody refuses more
pytestmark = pytest.mark.lives


@contextmanager
def world() -> Iterator[time_machine.Traveller]:
    """A database that is forgotten afterwards, and a clock that only the steps move."""
    around = transaction.atomic()
    around._from_testcase = True  # services that insist on the outermost transaction may nest here
    redis_client().flushdb()
    with around, time_machine.travel(NOON, tick=False) as clock:
        yield clock
        transaction.set_rollback(True)


@dataclass
class Vendors:
    """Where a life may be lived."""

    alpaca: AlpacaVendor
    kraken: KrakenVendor
    settings: Any

    def line(
        self, user: User, seed: int, clock: time_machine.Traveller, dice: random.Random
    ) -> Line:
        """The life of a seed; every fifth of each vendor's goes over HTTP."""
        http = "LINE_HTTP" in os.environ
        self.alpaca.forget()
        if seed % 5 == COIN:
            self.kraken.wire.requests.clear()
            folded = self._fold(seed % 25 != COIN and not http)
            return CoinLine(user, self.kraken, clock, dice, folded=folded)
        self.alpaca.drift[:] = []
        folded = self._fold(seed % 5 != 0 and not http)
        return Line(user, self.alpaca, clock, dice, folded=folded, read=update)

    def _fold(self, folded: bool) -> bool:
        """Set the time-outs: a folded answer comes at once, so only a busy machine would be late.

        What others do meanwhile counts into the time of a call. Over HTTP a slow drip must end.
        """
        self.settings.BROKER_TIMEOUT = (60.0, 0.3) if folded else (2.0, 0.3)
        return folded


def run(user: User, vendors: Vendors, seed: int) -> int:
    """One life; after how many seconds of quiet it had converged. Fails with its story."""
    dice = random.Random(seed)
    with world() as clock:
        line = vendors.line(user, seed, clock, dice)
        with crashing(line.crash):
            line.harm = dice.random() < 0.2  # now and then from the very first reading on
            line.act("sync")
            line.harm = True
            for _ in range(dice.randint(5, STEPS)):
                line.step()
            line.quiet()
            allowed = CONVERGED + line.told_to_wait()
            passed, wrong = 0, ["not looked yet"]
            while wrong and passed < allowed:
                line.beat()
                passed += BEAT
                wrong = list(islice(verdict(line), 1))
            wrong = list(verdict(line)) if wrong else []
            busiest = vendors.alpaca.busiest()
            if busiest > CALLS_A_MINUTE:
                wrong.append(f"{busiest} calls in one minute")
        again = f"LINE_SEEDS={seed} .venv/bin/pytest trading/tests/test_lines.py -n0"
        story = "\n".join([again, *line.story, *wrong])
        assert not wrong, f"not right after {passed} s of quiet; to see it again:\n{story}"
    return passed


def _hasty(made: Callable[[], Any]) -> Callable[[], Any]:
    """Nobody waits for a key here, as who holds it stands still; orders leave in their time."""

    def connection() -> Any:
        found = made()
        found.execute("SET lock_timeout = '20ms'")
        return found

    return connection


@pytest.fixture
def vendors(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendors]:
    monkeypatch.setattr(lease, "_connection", _hasty(lease._connection))
    with AlpacaVendor() as alpaca, KrakenVendor() as kraken:
        alpaca.per_minute = 100_000
        settings.ALPACA_TRADING_URL = alpaca.url
        settings.CCXT_URLS = {"kraken": kraken.urls}
        settings.CCXT_PACE = 10_000  # the loopback counts nothing
        yield Vendors(alpaca, kraken, settings)


@pytest.fixture
def user(alice: User) -> User:
    for symbol in (*SYMBOLS, *COINS):
        instrument(symbol)
    return alice


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_the_line_does_ours_is_the_vendors_truth(user: User, vendors: Vendors, part: int):
    failed, took, busiest = [], Counter[int](), 0
    for seed in SEEDS[part::PARTS]:
        try:
            took[run(user, vendors, seed)] += 1
            busiest = max(busiest, vendors.alpaca.busiest())
        except AssertionError as error:
            failed.append(str(error))
    print(f"at most {busiest} calls in a minute")
    print(f"converged after so many seconds of quiet: {sorted(took.items())}")
    assert not failed, f"{len(failed)} failed; the first:\n{failed[0]}"


@pytest.mark.parametrize("nth", [1, 2], ids=["seen", "not seen"])
def test_the_verdict_begins_where_the_books_begin(user: User, vendors: Vendors, nth: int):
    """Of the questions after the balances none moves a figure: what fills in them comes after.

    Fails where the verdict takes all for of before that is there when the books are written.
    """
    with world() as clock:
        line = CoinLine(user, vendors.kraken, clock, random.Random(1), folded=True)
        order = vendors.kraken.external_order("SOL/USD", "buy", "10", "95")
        meet, asked = line.wire.before, Counter[str]()

        def before(request: Any) -> None:
            meet(request)
            asked[request.path_url] += 1
            if request.path_url.endswith("/SystemStatus") and asked[request.path_url] == nth:
                line.book.fill(order.txid, Decimal(4), Decimal(95))

        line.wire.before = before
        line.act("sync")
        line.quiet()
        for _ in range(3):
            line.beat()
        assert list(verdict(line)) == []
        row = Order.objects.get(brokerage_account=line.account, broker_order_id=order.txid)
        assert (row.cum_base, row.filled_qty) == ((4, 0) if nth == 1 else (0, 4))
        assert line.before[order.txid] == row.cum_base, "and no less than the rest is demanded"
