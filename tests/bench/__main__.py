"""`python -m tests.bench [--only NAME] [--quick]`: measure, print, write docs/benchmarks.md."""

import argparse
import importlib
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

import django

from tests.bench.context import Bench
from tests.bench.stack import Stack
from tests.bench.table import Row, failed, markdown, printed, section_write

#: (module, function, the names of its rows)
GROUPS = [
    (
        "orders",
        "rows",
        ("order_post_p50", "orders_per_s_8", "order_p99_over_p50_8", "order_cpu_over_noop"),
    ),
    ("orders", "counts", ("order_sql_statements", "order_new_connections", "order_hops")),
    ("fills", "rows", ("post_to_filled_socket",)),
    ("sockets", "saturated", ("hub_frames",)),
    ("sockets", "ages", ("quote_age_p99_1000", "quote_age_p99_2000", "socket_memory")),
    ("sockets", "groups", ("hub_vs_groups",)),
    ("pages", "rows", ("page_cpu",)),
    ("reads", "portfolio", ("portfolio_on_read",)),
    ("reads", "bars", ("bars_390",)),
    ("work", "celery", ("celery_db_task",)),
    ("work", "matching", ("tick_to_fill_10000",)),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="name of one row, or its beginning")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    asked = parser.parse_args()
    chosen = [group for group in GROUPS if any(n.startswith(asked.only) for n in group[2])]
    if not chosen:
        names = ", ".join(name for group in GROUPS for name in group[2])
        parser.error(f"no row begins with {asked.only!r}; there are {names}")
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # all that runs ends with us
    with Stack() as stack:
        django.setup()
        bench, rows = Bench(stack, quick=asked.quick), []
        for group in chosen:
            for row in _measure(bench, *group):
                rows.append(row)
                print(*row.cells(), row.note, sep="  ", flush=True)
        print(f"\n{printed(rows)}\n\n{time.monotonic() - began:.0f} s", flush=True)
        if not asked.only and not asked.quick:
            from tests.bench.machine import machine_lines

            section_write("Figures", f"{machine_lines()}\n\n{markdown(rows)}")
    return 0 if all(row.held for row in rows) else 1


def _measure(bench: Bench, module: str, function: str, names: tuple[str, ...]) -> Iterator[Row]:
    """The rows of one group; a group that breaks has failed, and the others go on."""
    print(f"# {', '.join(names)}", flush=True)
    left = list(names)
    try:
        group: Any = importlib.import_module(f"tests.bench.{module}")
        for row in getattr(group, function)(bench):
            left.remove(row.name)
            yield row
    except Exception as error:
        traceback.print_exc()
        for name in left:
            yield failed(name, f"{type(error).__name__}: {error}"[:200])


if __name__ == "__main__":
    sys.exit(main())
