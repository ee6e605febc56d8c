"""Accounts at a loopback vendor under every fault, by dice: in the end ours is the vendor's truth.

A seed that fails says how to run it again, and tells its story.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pytest
import time_machine
from django.db import transaction

from accounts.models import User
from speedtrade.lib.redis import redis_client
from speedtrade.testing.line_vendor import SYMBOLS
from speedtrade.testing.line_verdict import verdict
from speedtrade.testing.line_wire import crashing
from speedtrade.testing.lines import BEAT, Line
from speedtrade.testing.market import NOON, instrument
from speedtrade.testing.vendors.alpaca import AlpacaVendor
from trading.brokers.alpaca.stream import update
from trading.models import Order

FIRST, _, LAST = os.environ.get("LINE_SEEDS", "").partition("-")
RUNS = int(os.environ.get("LINE_RUNS", "500"))
SEEDS = range(int(FIRST), int(LAST or FIRST) + 1) if FIRST else range(RUNS)
PARTS = min(10, len(SEEDS))  # tests that the runs are cut into, for several workers
STEPS = 20
CONVERGED = 60  # seconds after the last fault
LOST_AFTER = 90  # and so much more where an order was never found
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


def run(user: User, vendor: AlpacaVendor, seed: int, *, folded: bool) -> int:
    """One life; after how many seconds of quiet it had converged. Fails with its story."""
    dice = random.Random(seed)
    vendor.drift[:] = []
    vendor.forget()
    with world() as clock:
        line = Line(user, vendor, clock, dice, folded=folded, read=update)
        with crashing(line.crash):
            line.harm = dice.random() < 0.2  # now and then from the very first reading on
            line.act("sync")
            line.harm = True
            for _ in range(dice.randint(5, STEPS)):
                line.step()
            line.quiet()
            allowed = CONVERGED + line.told_to_wait()
            passed, wrong = 0, ["not looked yet"]
            while wrong and passed < CONVERGED + LOST_AFTER:
                line.beat()
                passed += BEAT
                wrong = list(islice(verdict(line), 1))
            lost = Order.objects.filter(brokerage_account=line.account, state="lost").exists()
            wrong = list(verdict(line)) if wrong else []
            if vendor.busiest() > CALLS_A_MINUTE:
                wrong.append(f"{vendor.busiest()} calls in one minute")
            if passed > allowed + LOST_AFTER * lost:
                wrong.append(f"converged after {passed} s, {allowed} were allowed")
        again = f"LINE_SEEDS={seed} .venv/bin/pytest trading/tests/test_lines.py -n0"
        story = "\n".join([again, *line.story, *wrong])
        assert not wrong, f"not right after {passed} s of quiet; to see it again:\n{story}"
    return passed


@pytest.fixture
def vendor(settings: Any) -> Iterator[AlpacaVendor]:
    with AlpacaVendor() as made:
        made.per_minute = 100_000
        settings.ALPACA_TRADING_URL = made.url
        settings.BROKER_TIMEOUT = (2.0, 0.3)
        yield made


@pytest.fixture
def user(alice: User) -> User:
    for symbol in SYMBOLS:
        instrument(symbol)
    return alice


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_the_line_does_ours_is_the_vendors_truth(
    user: User, vendor: AlpacaVendor, part: int
):
    failed, took, busiest = [], Counter[int](), 0
    for seed in SEEDS[part::PARTS]:
        try:
            took[
                run(user, vendor, seed, folded=seed % 5 != 0 and "LINE_HTTP" not in os.environ)
            ] += 1
            busiest = max(busiest, vendor.busiest())
        except AssertionError as error:
            failed.append(str(error))
    print(f"at most {busiest} calls in a minute")
    print(f"converged after so many seconds of quiet: {sorted(took.items())}")
    assert not failed, f"{len(failed)} failed; the first:\n{failed[0]}"
