"""What is read: a portfolio at today's prices, and the minutes of a day."""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
from django.db import connection
from django.utils import timezone
from redis import Redis

from tests.bench.context import Bench
from tests.bench.http_client import load, request_bytes
from tests.bench.table import Limit, Row, judge

D = Decimal
ON_READ, BARS = Limit(3, 1.5), Limit(6, 3)
FEW_HELD, LAST = 20, 390


# ── a portfolio ──────────────────────────────────────────────────────────────
#: One statement with the figures of an account at prices that are handed in: no ORM can beat it.
ON_READ_SQL = """
SELECT sum(p.qty * q.price), sum(p.qty * q.price - p.cost_basis), sum(p.realized_pl),
       max(l.balance), max(l.reserved), count(*)
FROM portfolio_position p JOIN marketdata_instrument i ON i.id = p.instrument_id
JOIN unnest(%(symbols)s::text[], %(prices)s::numeric[]) AS q(symbol, price) ON q.symbol = i.symbol
JOIN portfolio_ledgeraccount l ON l.brokerage_account_id = p.brokerage_account_id
     AND l.kind = 'cash'
WHERE p.brokerage_account_id = %(account)s AND p.qty > 0
"""


def portfolio(bench: Bench) -> Iterator[Row]:
    """portfolio_on_read: 20 positions at today's prices."""
    from accounts.models import User
    from accounts.selectors import account_for_user
    from marketdata.quote_store import QUOTES_KEY
    from portfolio.selectors import book_load, summary_get
    from speedtrade.testing.states import full_make

    bench.world.fresh()
    full_make(timezone.now(), "benchtwenty", positions=FEW_HELD, working=1, orders=40)
    account = account_for_user(user=User.objects.get(username="benchtwenty"))
    summary = summary_get(account=account, now=timezone.now())
    assert len(summary.positions) == FEW_HELD
    symbols = [row.held.symbol for row in summary.positions]
    ours, floors, books = [], [], []
    with (
        psycopg.connect(bench.environment["DATABASE_URL"], autocommit=True) as raw,
        Redis.from_url(bench.environment["REDIS_URL"], decode_responses=True) as redis,
    ):
        cursor = raw.cursor()

        def bare() -> None:
            texts = redis.hmget(QUOTES_KEY, symbols)
            prices = [json.loads(text)["last"] for text in texts]
            asked = {"symbols": symbols, "prices": prices, "account": account.pk}
            found = cursor.execute(ON_READ_SQL, asked, prepare=True).fetchone()
            assert found is not None and found[-1] == FEW_HELD

        for _ in range(bench.repetitions):
            ours.append(_p50(lambda: summary_get(account=account, now=timezone.now()), 60))
            floors.append(_p50(bare, 60))
            books.append(_p50(lambda: book_load(account=account, now=timezone.now()), 60))
    yield judge(
        "portfolio_on_read",
        statistics.median(ours) * 1000,
        ON_READ,
        unit="ms",
        floor=statistics.median(floors) * 1000,
        note=f"{FEW_HELD} positions with every figure that pages show; floor: their last prices "
        "from Redis, which ours has to read as well, and one prepared statement for the totals; "
        "the book alone is "
        f"{statistics.median(books) * 1000:.1f} ms",
    )


def _p50(work: Callable[[], object], count: int) -> float:
    work()
    times = []
    for _ in range(count):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


# ── bars ─────────────────────────────────────────────────────────────────────
BARS_SQL = """SELECT t, o, h, l, c, v FROM marketdata_bar
WHERE instrument_id = %s AND timeframe = '1m' AND t <= now() ORDER BY t DESC LIMIT %s"""


def bars(bench: Bench) -> Iterator[Row]:
    """bars_390: the last day of minutes through the API, beside the query."""
    instrument = _bars_make()
    request = request_bytes(
        "GET",
        f"/api/v1/market/bars/{instrument.symbol}?timeframe=1m&limit={LAST}",
        token=bench.world.traders[0].token,
    )
    ours, floors = [], []
    with (
        bench.stack.web(MARKET_DATA_FEEDS="simulated,ccxt:kraken") as web,
        psycopg.connect(bench.environment["DATABASE_URL"], autocommit=True) as raw,
    ):
        cursor = raw.cursor()

        def bare() -> None:
            found = cursor.execute(BARS_SQL, [instrument.pk, LAST], prepare=True).fetchall()
            assert len(found) == LAST

        stream = iter(lambda: request, None)
        load(web.port, [stream], count=20)
        for _ in range(bench.repetitions):
            series_renew(instrument)
            ours.append(load(web.port, [stream], count=40).p50)
            floors.append(_p50(bare, 60))
    yield judge(
        "bars_390",
        statistics.median(ours) * 1000,
        BARS,
        unit="ms",
        floor=statistics.median(floors) * 1000,
        note="GET of one client; floor: the same rows by one prepared statement, fetched",
    )


def _bars_make() -> Any:
    """A coin of a vendor with a week of minutes, so that the table has what a series has."""
    from marketdata.models import Bar, Instrument
    from speedtrade.testing.lives import instrument_make

    now = timezone.now().replace(second=0, microsecond=0)
    made = instrument_make("BARS/USD", "Bars", D("100"), "0.01", as_of=now + timedelta(hours=3))
    Instrument.objects.filter(pk=made.pk).update(feed="ccxt:kraken")
    rows = (
        Bar(
            instrument=made,
            timeframe="1m",
            t=now - timedelta(minutes=n),
            o=D("100.10"),
            h=D("100.90"),
            l=D("99.80"),
            c=D("100.20"),
            v=D("12.5"),
        )
        for n in range(10_000)
    )
    Bar.objects.bulk_create(rows, batch_size=2000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE marketdata_bar")
    return made


def series_renew(instrument: Any) -> None:
    """Say that the vendor was asked just now: a wait for one is no part of the figure."""
    from marketdata.models import BarSeries

    now = timezone.now()
    BarSeries.objects.update_or_create(
        instrument=instrument,
        timeframe="1m",
        defaults={"begins": now - timedelta(minutes=9_900), "ends": now, "asked_at": now},
    )
