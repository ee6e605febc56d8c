"""The processor time of a page with 50 holdings and 50 orders, beside f-strings of its rows."""

import statistics
import time
from collections.abc import Iterator
from typing import Any

from django.template.backends.django import Template
from django.utils import timezone

from tests.bench.context import Bench
from tests.bench.fstrings import rows_page
from tests.bench.table import Limit, Row, judge

PAGE = Limit(10, 6)
HELD, ORDERS = 50, 50


def rows(bench: Bench) -> Iterator[Row]:
    """page_cpu: the portfolio with 50 holdings and the page of 50 orders, rendered."""
    from django.test import Client

    from accounts.models import User
    from speedtrade.testing.states import full_make

    bench.world.fresh()
    full_make(timezone.now(), "benchfull", positions=HELD, working=ORDERS, orders=200)
    user = User.objects.get(username="benchfull")
    client, rendering = Client(), _Rendering()
    client.force_login(user)
    lines = _lines(user)
    ours, whole, floors = [], [], []
    with rendering:
        for paths in [("/portfolio", "/orders?status=all")] * (bench.repetitions * 3 + 2):
            rendering.seconds, began = 0.0, time.thread_time()
            for path in paths:
                answer = client.get(path)
                assert answer.status_code == 200, path
            whole.append(time.thread_time() - began)
            ours.append(rendering.seconds)
            began = time.thread_time()
            size = len(rows_page(*lines))
            floors.append(time.thread_time() - began)
    assert size > 10_000, "the floor shows no rows"
    yield judge(
        "page_cpu",
        statistics.median(ours[2:]) * 1000,
        PAGE,
        unit="ms",
        floor=statistics.median(floors[2:]) * 1000,
        note=f"templates of two whole pages, {HELD} holdings and {ORDERS} orders; floor: f-strings "
        "of the same rows with the same markup and numbers, without the rest of the pages; with "
        f"queries and middleware the two take {statistics.median(whole[2:]) * 1000:.0f} ms",
    )


class _Rendering:
    """Adds up the processor time inside templates of whole pages while it is entered."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._plain = Template.render
        self._inside = False

    def __enter__(self) -> None:
        def render(template: Any, *args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return self._plain(template, *args, **kwargs)
            self._inside, began = True, time.thread_time()
            try:
                return self._plain(template, *args, **kwargs)
            finally:
                self.seconds += time.thread_time() - began
                self._inside = False

        Template.render = render  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        Template.render = self._plain  # type: ignore[method-assign]


def _lines(user: Any) -> tuple[list[Any], list[Any]]:
    """What the rows of both pages say, as values."""
    from accounts.selectors import account_for_user
    from portfolio.holdings import holdings_shown, positions_sorted
    from portfolio.selectors import summary_get
    from trading.selectors import orders_page

    account, now = account_for_user(user=user), timezone.now()
    summary = summary_get(account=account, now=now)
    holdings = list(holdings_shown(positions_sorted(summary)[:HELD], now))
    return holdings, orders_page(account, tab="all").orders
