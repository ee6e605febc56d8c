"""What happens behind the answer: a Celery task that writes, and a tick that fills an order."""

import statistics
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from speedtrade.testing.waiting import wait_until
from tests.bench.context import Bench
from tests.bench.table import Limit, Row, judge
from tests.bench.world import FRESH_FOR

D = Decimal
TASKS = Limit(50, 65, "%", least=True)
MATCHING = Limit(1.5, 1.1)
FEW, MANY, FAR = 10, 10_000, "50.00"


# ── Celery ───────────────────────────────────────────────────────────────────
def celery(bench: Bench) -> Iterator[Row]:
    """celery_db_task: tasks a second that write one row, beside tasks that do nothing."""
    from tests.bench import celery_app

    count = 300 if bench.quick else 800
    accounts = [trader.account.pk for trader in bench.world.traders]
    ours, floors = [], []
    with bench.stack.worker(app="tests.bench.celery_app"):
        _drain(celery_app.app, celery_app.write, [(pk,) for pk in accounts[:100]])
        for _ in range(bench.repetitions):
            floors.append(_drain(celery_app.app, celery_app.nothing, [()] * count))
            arguments = [(accounts[n % len(accounts)],) for n in range(count)]
            ours.append(_drain(celery_app.app, celery_app.write, arguments))
    yield judge(
        "celery_db_task",
        statistics.median(ours),
        TASKS,
        unit="/s",
        floor=statistics.median(floors),
        note=f"{count} tasks that wait, taken by one worker with two processes; "
        "floor: a task that does nothing",
    )


def _drain(app: Any, task: Any, arguments: list[tuple[Any, ...]]) -> float:
    """Queue so many, let the worker at them, and say how many it did a second."""
    from speedtrade.lib.redis import redis_client
    from tests.bench.celery_app import QUEUE

    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for one in arguments:
            task.apply_async(one, queue=QUEUE, producer=producer)
    client, prefix = redis_client(), app.conf.broker_transport_options["global_keyprefix"]
    waiting, held = f"{prefix}{QUEUE}", f"{prefix}unacked"
    assert client.llen(waiting) == len(arguments)
    app.control.add_consumer(QUEUE)
    wait_until(lambda: client.llen(waiting) < len(arguments), 20, "no worker takes the tasks")
    began, left = time.perf_counter(), client.llen(waiting)

    def done() -> bool:
        return not client.llen(waiting) and not client.hlen(held)

    while not done():
        time.sleep(0.005)
        if time.perf_counter() - began > 120:
            raise RuntimeError("the worker does not come to an end")
    wall = time.perf_counter() - began
    app.control.cancel_consumer(QUEUE)
    return left / wall


# ── the venue ────────────────────────────────────────────────────────────────
def matching(bench: Bench) -> Iterator[Row]:
    """tick_to_fill_10000: from a published price to the booked fill, in the venue's own steps."""
    bench.world.fresh()
    few, many = bench.world.stocks[60], bench.world.stocks[61]
    rest_add(few, 0, FEW)
    rest_add(many, 0, MANY)
    ticks = Ticks(bench)
    times: dict[str, list[float]] = {few: [], many: []}
    for number in range(bench.repetitions * 4 + 1):
        for symbol in (few, many):
            taken = ticks.fill(symbol, number)
            if number:
                times[symbol].append(taken)
    yield judge(
        "tick_to_fill_10000",
        statistics.median(times[many]) * 1000,
        MATCHING,
        unit="ms",
        floor=statistics.median(times[few]) * 1000,
        note=f"one order fills beside {MANY:,} that rest in its symbol; floor: beside {FEW}",
    )


def rest_add(symbol: str, first: int, last: int) -> None:
    """Orders at the venue that no price here reaches, numbered from `first` up to `last`."""
    from marketdata.models import Instrument
    from trading.models import PaperOrder

    instrument, now = Instrument.objects.get(symbol=symbol), timezone.now()
    long_ago = now - timedelta(hours=1)
    PaperOrder.objects.bulk_create(
        (
            PaperOrder(
                account_ref=1,
                client_order_id=f"rest-{symbol}-{n}",
                instrument=instrument,
                side="buy",
                order_type="limit",
                time_in_force="gtc",
                qty=D(1),
                limit_price=D(FAR) - D(n % 4000) / 100,
                price_bound=D(FAR) - D(n % 4000) / 100,
                fee_rate=D(0),
                status="new",
                expires_at=now + timedelta(days=30),
                received_at=long_ago,
                updated_at=long_ago,
            )
            for n in range(first, last)
        ),
        batch_size=2000,
    )


class Ticks:
    """A venue of our own, as its process runs it, and prices that come down to an order."""

    def __init__(self, bench: Bench) -> None:
        from trading.management.commands.run_brokers import apply
        from trading.services.matching import VenueRunner

        self._bench, self._apply, self._runner = bench, apply, VenueRunner()
        self._apply(self._runner.start(timezone.now()))
        self._apply(self._runner.step())  # subscribed, and its reminders are of this second

    def fill(self, symbol: str, number: int) -> float:
        """Place an order below the market, let the market come down; seconds from tick to fill."""
        from marketdata import quote_store
        from speedtrade.testing.market import quote
        from trading.models import Order, PaperOrder

        sizes, seq, now = ("100000000",), int(time.time() * 1000), timezone.now()
        high = quote(symbol, "99.99", "100.00", now=now + FRESH_FOR, sizes=sizes, seq=seq)
        quote_store.quotes_put([high])
        order = self._placed(symbol, number, high)
        paper = PaperOrder.objects.filter(client_order_id=order.client_order_id)
        while paper.get().status != "new":
            self._apply(self._runner.step())
        low = quote(symbol, "94.98", "94.99", now=now + FRESH_FOR, sizes=sizes, seq=seq + 1)
        began = time.perf_counter()
        quote_store.quotes_put([low])
        while not Order.objects.filter(pk=order.pk, state="filled").exists():
            self._apply(self._runner.step())
            if time.perf_counter() - began > 20:
                raise RuntimeError("the order does not fill")
        return time.perf_counter() - began

    def _placed(self, symbol: str, number: int, high: Any) -> Any:
        """An order for one share at 95, sent to the venue."""
        from marketdata.models import Instrument
        from trading.domain.orders import OrderIntent, OrderType, Side, TimeInForce
        from trading.services.orders import order_place
        from trading.services.submissions import submission_process

        trader = self._bench.world.traders[number]
        intent = OrderIntent(
            symbol=symbol,
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            qty=D(1),
            notional=None,
            limit_price=D("95.00"),
            asset_type="stock",
            extended_hours=False,
            client_order_id=None,
        )
        now = timezone.now()
        placed = order_place(
            account=trader.account,
            instrument=Instrument.objects.get(symbol=symbol),
            intent=intent,
            quote=high,
            key=None,
            placed_by=trader.user,
            source="command",
            now=now,
        )
        submission_process(submission_id=placed.order.submissions.get().pk, now=now)
        return placed.order
