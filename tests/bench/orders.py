"""An order at the door of the web process, beside pgbench and beside a view that does nothing.

The worker and the venue rest, so that the core is the web process's own; what an order costs with
all of them at work is `post_to_filled_socket` and `make load`.
"""

import itertools
import statistics
from collections.abc import Iterator

import psycopg

from tests.bench.context import Bench
from tests.bench.floor import PgBench
from tests.bench.http_client import Connection, Load, load, request_bytes
from tests.bench.stack import EXTRAS, Child
from tests.bench.table import Limit, Row, judge

NOTHING = request_bytes("GET", "/bench/nothing")
P50 = Limit(8, 4)
RATE = Limit(8, 18, "%", least=True)
TAIL = Limit(6, 4)
CPU = Limit(5, 3)
STATEMENTS, CONNECTIONS, HOPS = Limit(8, 4, ""), Limit(0, 0, ""), Limit(1, 1, "")
CLIENTS = 8


def rows(bench: Bench) -> Iterator[Row]:
    """order_post_p50, orders_per_s_8, order_p99_over_p50_8, order_cpu_over_noop."""
    bench.world.fresh()
    floor = PgBench(bench.environment["DATABASE_URL"], bench.folder)
    seconds = 2 if bench.quick else 3
    ones, eights, floors_one, floors_eight, order_cpu, noop_cpu = [], [], [], [], [], []
    with bench.stack.web() as web:
        streams = [bench.world.orders(n, CLIENTS) for n in range(CLIENTS)]
        load(web.port, streams, count=15)  # warm: statements prepared, modules read
        for _ in range(bench.repetitions):
            floors_one.append(floor.run(1, seconds))
            ones.append(load(web.port, [streams[0]], seconds=seconds))
            floors_eight.append(floor.run(CLIENTS, seconds))
            used, made = _with_cpu(web, streams, seconds)
            eights.append(made)
            order_cpu.append(used)
            noops = [itertools.repeat(NOTHING) for _ in range(CLIENTS)]
            noop_cpu.append(_with_cpu(web, noops, seconds / 2)[0])
    share = max(made.share for made in [*ones, *eights])
    client = f"the client used {share:.0%} of its core at most"
    yield judge(
        "order_post_p50",
        statistics.median(one.p50 for one in ones) * 1000,
        P50,
        unit="ms",
        floor=statistics.median(one.p50 for one in floors_one) * 1000,
        note=f"one client; floor: pgbench, six round trips, prepared; {client}",
    )
    yield judge(
        "orders_per_s_8",
        statistics.median(made.rate for made in eights),
        RATE,
        unit="/s",
        floor=statistics.median(one.tps for one in floors_eight),
        note=f"{CLIENTS} clients, one web process; floor: pgbench, {CLIENTS} clients; {client}",
    )
    yield judge(
        "order_p99_over_p50_8",
        statistics.median(made.quantile(0.99) for made in eights) * 1000,
        TAIL,
        unit="ms",
        floor=statistics.median(made.p50 for made in eights) * 1000,
        note=f"p99 beside p50, {CLIENTS} clients",
    )
    yield judge(
        "order_cpu_over_noop",
        statistics.median(order_cpu) * 1000,
        CPU,
        unit="ms",
        floor=statistics.median(noop_cpu) * 1000,
        note="processor time of the web process per request; floor: an empty view, same middleware",
    )


def _with_cpu(web: Child, streams: list[Iterator[bytes]], seconds: float) -> tuple[float, Load]:
    """(processor seconds of the web process per request, the load)."""
    before = web.cpu()
    made = load(web.port, streams, seconds=seconds)
    # One request a client came before the clock of the load began.
    return (web.cpu() - before) / (len(made.latencies) + len(streams)), made


def counts(bench: Bench) -> Iterator[Row]:
    """order_sql_statements, order_new_connections, order_hops: counted, not timed."""
    asked = 200 if bench.quick else 1000
    with bench.stack.web(EXTRAS) as web:
        streams = [bench.world.orders(n, CLIENTS) for n in range(CLIENTS)]
        load(web.port, streams, count=10)
        before, hops_before = _sessions(bench), _hops(web)
        load(web.port, streams, count=asked // CLIENTS)
        opened, hops = _sessions(bench) - before - 1, _hops(web) - hops_before
        made = (asked // CLIENTS + 1) * CLIENTS
    statements = statements_of_post(bench)
    said = [one for one in statements if one not in {"BEGIN", "COMMIT"}]
    yield judge(
        "order_sql_statements",
        len(said),
        STATEMENTS,
        unit="",
        note=f"without BEGIN and COMMIT, which make {len(statements)} round trips",
    )
    yield judge(
        "order_new_connections",
        opened * 1000 / made,
        CONNECTIONS,
        unit="",
        note="database connections per 1,000 requests",
    )
    yield judge("order_hops", round(hops / made, 3), HOPS, unit="", note="hand-overs to a thread")


def statements_of_post(bench: Bench) -> list[str]:
    """Every statement of one POST, BEGIN and COMMIT too, as the request's own thread sends them."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from speedtrade.lib.later import later_done

    client, trader = Client(), bench.world.traders[0]
    body = {"symbol": bench.world.stocks[0], "side": "buy", "qty": "1", "order_type": "limit"}
    body |= {"limit_price": "90.00", "time_in_force": "gtc"}
    headers = {"Authorization": f"Bearer {trader.token}"}
    for _ in range(2):  # what a process reads once does not count
        with CaptureQueriesContext(connection) as captured:
            answer = client.post(
                "/api/v1/orders", body, content_type="application/json", headers=headers
            )
        assert answer.status_code == 201, answer.content
    later_done(10)  # the servers outlive what the two orders left to do
    return [one["sql"] for one in captured.captured_queries]


def _sessions(bench: Bench) -> int:
    """How many sessions the product's database has had, the one that asks among them."""
    with psycopg.connect(bench.environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        row = connection.execute(
            "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    return int(row[0]) if row else 0


def _hops(web: Child) -> int:
    connection = Connection(web.port)
    _, body = connection.ask(request_bytes("GET", "/bench/hops"))
    connection.close()
    return int(body)
