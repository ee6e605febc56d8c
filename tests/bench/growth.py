"""`make growth`: what grows slower when there is ten, a hundred, a thousand times as much.

Rows are added to one database step by step; after each step the same work is timed, in the process
that holds the clock, so that a curve is the database's and ours and no server's. Prints p50 in
milliseconds and writes docs/benchmarks.md; nothing here fails, a curve is for people.
"""

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import django

from tests.bench.context import Bench
from tests.bench.stack import Stack
from tests.bench.table import number, section_write

BASE_ORDERS, BASE_BARS, BASE_RESTING, BASE_LOTS = 1_000, 5_000, 10, 10
STEPS, STEPS_QUICK = (1, 10, 100, 1000), (1, 10)
TIMES = 30
MINE = 100  # of so many orders one is the measured user's
RESTING_MOST = 10_000

BARS_SQL = """
INSERT INTO marketdata_bar (instrument_id, timeframe, t, o, h, l, c, v)
SELECT i.id, '1m', now() - n * interval '1 minute', 100.1, 100.9, 99.8, 100.2, 12.5
FROM (SELECT id FROM marketdata_instrument ORDER BY id LIMIT 50) i,
     generate_series(%s::int, %s::int) n
"""


def grown(bench: Bench, step: int, before: int) -> None:
    """Bring the tables from `before` times the base to `step` times it."""
    from django.db import connection
    from django.utils import timezone

    from accounts.selectors import account_for_user
    from marketdata.models import Instrument
    from speedtrade.testing.lives import D, Life, order_live
    from speedtrade.testing.states import orders_copy
    from tests.bench.work import rest_add
    from trading.domain.orders import OrderState

    instruments = list(Instrument.objects.order_by("id")[:50])
    ago = timezone.now() - timedelta(days=30)
    for number_of, share in ((0, MINE), (1, MINE / (MINE - 1))):
        account = account_for_user(user=bench.world.traders[number_of].user)
        ended = Life(instruments[0], D(2), D("1.25"), OrderState.CANCELED, limit=D("1.25"))
        template = order_live(account, ended, ago)
        orders_copy(template, int((step - before) * BASE_ORDERS / share), instruments)
    with connection.cursor() as cursor:
        each = BASE_BARS // 50
        cursor.execute(BARS_SQL, [before * each, step * each - 1])
    symbol = bench.world.stocks[70]
    resting = min(RESTING_MOST, step * BASE_RESTING)
    rest_add(symbol, min(RESTING_MOST, before * BASE_RESTING), resting)
    lots_add(bench, before * BASE_LOTS, step * BASE_LOTS)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def lots_add(bench: Bench, before: int, after: int) -> None:
    """Let the measured user hold the last instrument in so many lots of one unit."""
    from django.db.models import F

    from marketdata.models import Instrument
    from portfolio.models import Lot, Position

    position, _ = Position.objects.get_or_create(
        brokerage_account=bench.world.traders[0].account,
        instrument=Instrument.objects.order_by("-id")[0],
        defaults={"updated_at": _now()},
    )
    began = _now() - timedelta(days=30)
    Lot.objects.bulk_create(
        Lot(
            position=position,
            reference=f"lot-{number:07d}",
            opened_at=began + timedelta(seconds=number),
            qty=1,
            price=10,
            remaining=1,
            cost=10,
        )
        for number in range(before, after)
    )
    new = after - before
    Position.objects.filter(pk=position.pk).update(
        qty=F("qty") + new, cost_basis=F("cost_basis") + 10 * new
    )


def fills_book(bench: Bench) -> Callable[[], object]:
    """A purchase of one unit and the sale of one, booked together."""
    from django.db import transaction

    from marketdata.models import Instrument
    from portfolio.domain.lots import FillFact
    from portfolio.services.books import account_lock
    from portfolio.services.fills import fill_book

    held = Instrument.objects.order_by("-id")[0]
    one, ten, none = Decimal(1), Decimal(10), Decimal(0)

    def book() -> None:
        with transaction.atomic():
            account = account_lock(bench.world.traders[0].account.pk)
            for side in ("buy", "sell"):
                now = _now()
                name = f"growth-{time.time_ns()}"
                fact = FillFact(name, None, side, one, ten, ten, none, now)
                fill_book(account=account, instrument=held, fact=fact, hold_left=none, now=now)

    return book


def works(bench: Bench) -> dict[str, Callable[[], object]]:
    """Name of a curve -> the work that is timed."""
    from django.test import Client

    from marketdata.bar_store import Range, bars_written
    from marketdata.models import Instrument
    from portfolio.selectors import summary_get
    from tests.bench.reads import series_renew

    trader = bench.world.traders[0]
    page, api = Client(), Client(headers={"Authorization": f"Bearer {trader.token}"})
    page.force_login(trader.user)
    body = {"symbol": bench.world.stocks[0], "side": "buy", "qty": "1", "order_type": "limit"}
    body |= {"limit_price": "90.00", "time_in_force": "gtc"}
    first = Instrument.objects.order_by("id")[0]
    series_renew(first)

    def ask(client: Any, path: str) -> None:
        assert client.get(path).status_code == 200, path

    def place() -> None:
        answer = api.post("/api/v1/orders", body, content_type="application/json")
        assert answer.status_code == 201, answer.content

    return {
        "place an order": place,
        "page of orders": lambda: ask(page, "/orders?status=all"),
        "portfolio": lambda: summary_get(account=trader.account, now=_now()),
        "book two fills": fills_book(bench),
        "search": lambda: ask(api, "/api/v1/market/search?q=a"),
        "last 390 bars": lambda: bars_written(
            Range(first, "1m", None, _now(), 390), now=_now(), wait=False
        ),
    }


def _now() -> Any:
    from django.utils import timezone

    return timezone.now()


def timed(work: Callable[[], object]) -> float:
    """p50 in milliseconds."""
    work()
    found = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return statistics.median(found) * 1000


def curves(bench: Bench, steps: tuple[int, ...]) -> dict[str, list[float]]:
    """Name of a curve -> its p50 at each step."""
    from tests.bench.work import Ticks

    bench.world.fresh()
    before, found = 0, {name: [] for name in [*works(bench), "tick to fill"]}
    for step in steps:
        grown(bench, step, before)
        before = step
        for name, work in works(bench).items():
            found[name].append(timed(work))
        ticks = Ticks(bench)
        taken = [ticks.fill(bench.world.stocks[70], number) for number in range(6)]
        found["tick to fill"].append(statistics.median(taken[1:]) * 1000)
        print(f"{step}×", {name: number(line[-1]) for name, line in found.items()}, flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ten times as much at most")
    asked = parser.parse_args()
    steps = STEPS_QUICK if asked.quick else STEPS
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # all that runs ends with us
    with Stack() as stack:
        django.setup()
        found = curves(Bench(stack), steps)
        head = " | ".join(f"{step:,}×" for step in steps)
        lines = [f"| p50 ms | {head} | last / first |", f"|---|{'---|' * (len(steps) + 1)}"]
        for name, line in found.items():
            cells = " | ".join(number(value) for value in line)
            lines.append(f"| {name} | {cells} | {number(line[-1] / line[0])}× |")
        table = "\n".join(lines)
        print(table)
        if not asked.quick:
            from tests.bench.machine import machine_lines

            base = f"{BASE_ORDERS:,} orders, {BASE_BARS:,} bars, {BASE_RESTING} resting orders"
            base += f", {BASE_LOTS} lots"
            section_write("Growth", f"{machine_lines()}\n- 1× is {base}\n\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
