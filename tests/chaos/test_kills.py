"""Kill -9 in mid-order, at every named point: nothing lost or doubled, all well within 30 s."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import Sum
from django.utils import timezone

from speedtrade.processes import BEAT, FEED, VENUE, WORKER, Process
from speedtrade.testing.waiting import wait_until
from tests.chaos.fleet import Fleet

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]

SYMBOL = "AAPL"
CONVERGED_WITHIN = 30  # seconds after a process that nobody kills is running again
KILLED = -9
BOOT = 60  # seconds for a process to start and reach its point, on a busy machine

WORKER_POINTS = (
    "after_claim",
    "before_call",
    "after_accept",
    "after_read_before_commit",
    "after_commit_before_ack",
)
VENUE_POINTS = ("venue_after_match", "mid_apply", "after_read_before_commit")
WEB_POINTS = (
    "after_idempotency_row",
    "after_hold",
    "before_commit",
    "after_commit_before_wakeup",
    "after_wakeup_before_response",
)
TIMES = (1, 2)


class Desk:
    """One account that trades, and the processes that serve it."""

    def __init__(self, fleet: Fleet, account: Any) -> None:
        self.fleet, self.account = fleet, account
        self.orders: list[int] = []
        self._keys = itertools.count(1)

    def place(self, count: int = 1) -> None:
        from tests.chaos.placing import place

        for _ in range(count):
            key = f"chaos-{next(self._keys)}"
            self.orders.append(place(self.account.pk, SYMBOL, "buy", "1", key))

    def killed_at(self, process: Process, point: str, nth: int) -> None:
        """Start the process, give it work, and see it die at its point."""
        doomed = self.fleet.start(process, f"{point}:{nth}")
        self.place(nth)
        wait_until(
            lambda: doomed.poll() is not None,
            BOOT,
            lambda: f"{process.name} dies at {point}:{nth}\n{self.words()}",
        )
        assert doomed.returncode == KILLED, self.words()

    def converged(self) -> bool:
        from trading.models import Order, Submission

        unfinished = Order.objects.exclude(state="filled").exists()
        return not unfinished and not Submission.objects.filter(done_at__isnull=True).exists()

    def words(self) -> str:
        from trading.models import Order

        rows = Order.objects.values_list("pk", "state", "filled_qty", "submissions__attempts")
        return f"{list(rows)}\n{self.fleet.words()}"

    def prove(self) -> None:
        """All orders there once, here and at the venue, and every balance equal to its history."""
        from portfolio.models import Hold, LedgerAccount
        from portfolio.services.rebuild import ledger_check
        from trading.models import Fill, Order, PaperFill, PaperOrder

        placed = len(self.orders)
        assert len(set(self.orders)) == placed
        assert Order.objects.count() == placed, self.words()
        assert PaperOrder.objects.count() == placed, self.words()
        ids = set(Order.objects.values_list("client_order_id", flat=True))
        assert set(PaperOrder.objects.values_list("client_order_id", flat=True)) == ids
        assert Fill.objects.aggregate(Sum("qty"))["qty__sum"] == placed
        assert PaperFill.objects.aggregate(Sum("qty"))["qty__sum"] == placed
        assert Fill.objects.count() == PaperFill.objects.count()
        cash = LedgerAccount.objects.get(brokerage_account=self.account, kind="cash")
        shares = LedgerAccount.objects.get(
            brokerage_account=self.account, kind="position", asset=SYMBOL
        )
        assert shares.balance == placed
        assert cash.reserved == shares.reserved == 0
        assert not Hold.objects.filter(amount__gt=0).exists()
        assert ledger_check(now=timezone.now()).details == []


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.end()


@pytest.fixture
def desk(fleet: Fleet, transactional_db: None) -> Desk:
    from marketdata import quote_store
    from speedtrade.testing.cast import account_of, make_user

    call_command("load_instruments", verbosity=0)
    account = account_of(make_user("chaos"))
    for process in (FEED, BEAT):
        fleet.start(process)

    def priced() -> bool:
        quote = quote_store.quote_get(SYMBOL)
        return quote is not None and (timezone.now() - quote.as_of).total_seconds() < 2

    wait_until(priced, BOOT, lambda: f"a fresh price\n{fleet.words()}")
    return Desk(fleet, account)


def settle(desk: Desk, *healthy: Process) -> None:
    """Start what nobody kills, and see everything come right in time."""
    began = time.monotonic()
    for process in healthy:
        desk.fleet.start(process)
    wait_until(desk.converged, CONVERGED_WITHIN, lambda: f"convergence\n{desk.words()}")
    print(f"converged after {time.monotonic() - began:.1f} s")
    desk.prove()


@pytest.mark.fault("F1", "F2", "F3")
def test_a_worker_killed_at_any_point_loses_and_doubles_nothing(desk: Desk) -> None:
    desk.fleet.start(VENUE)
    for point, nth in itertools.product(WORKER_POINTS, TIMES):
        desk.killed_at(WORKER, point, nth)
    # The sweep takes up an order whose answer was lost, and dies when it has adopted it.
    desk.killed_at(WORKER, "after_accept", 1)
    desk.killed_at(WORKER, "after_adopt_before_release", 1)
    settle(desk, WORKER)


def test_a_venue_killed_at_any_point_loses_and_doubles_nothing(desk: Desk) -> None:
    desk.fleet.start(WORKER)
    for point, nth in itertools.product(VENUE_POINTS, TIMES):
        desk.killed_at(VENUE, point, nth)
    settle(desk, VENUE)


def test_a_web_process_killed_at_any_point_makes_one_order_of_one_key(
    desk: Desk, python: Callable[..., int]
) -> None:
    from trading.models import Order

    desk.fleet.start(VENUE)
    desk.fleet.start(WORKER)
    for number, point in enumerate(WEB_POINTS):
        key = f"web-{number}"
        assert python(desk, key, crash=point) == KILLED, desk.words()
        committed = point.startswith(("after_commit", "after_wakeup"))
        assert Order.objects.filter(intent_key=f"key:{key}").count() == int(committed)
        assert python(desk, key) == 0, desk.words()
        desk.orders.append(Order.objects.get(intent_key=f"key:{key}").pk)
    settle(desk)


@pytest.fixture
def python() -> Callable[..., int]:
    """Place one order in a process of its own; its exit code."""

    def run(desk: Desk, key: str, crash: str = "") -> int:
        words = [str(desk.account.pk), SYMBOL, "buy", "1", key]
        process = desk.fleet.run("web", ["-m", "tests.chaos.placing", *words], crash)
        return process.wait(BOOT)

    return run
