"""The processor time of a page with 50 holdings and 50 orders, beside f-strings of its rows."""

import re
import statistics
import time
from collections.abc import Iterator
from typing import Any

from django.template.backends.django import Template
from django.utils import timezone

from tests.bench.context import Bench
from tests.bench.fstrings import rows_page
from tests.bench.table import Limit, Row, judge
from trading import context

PAGE = Limit(10, 6)
HELD, ORDERS = 50, 50
PATHS = ("/portfolio", "/orders?status=all")


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
    lines = lines_of(user)
    ours, whole, floors, shown = [], [], [], ""
    with rendering:
        for _ in range(bench.repetitions * 3 + 2):
            rendering.seconds, began = 0.0, time.thread_time()
            answers = [client.get(path) for path in PATHS]
            whole.append(time.thread_time() - began)
            ours.append(rendering.seconds)
            shown = "".join(answer.content.decode() for answer in answers)
            token = token_of(shown)
            began = time.thread_time()
            floor = rows_page(*lines, token)
            floors.append(time.thread_time() - began)
            assert bare(floor) == bare(rows_shown(shown)), "the floor shows other rows"
    yield judge(
        "page_cpu",
        statistics.median(ours[2:]) * 1000,
        PAGE,
        unit="ms",
        floor=statistics.median(floors[2:]) * 1000,
        note=f"templates of two whole pages, {HELD} holdings and {ORDERS} orders, less the query "
        "of the shell; floor: f-strings of their rows, the same to the letter, without the rest of "
        f"the pages; with queries and middleware the two take "
        f"{statistics.median(whole[2:]) * 1000:.0f} ms",
    )


class _Rendering:
    """Adds up the processor time inside templates of whole pages while it is entered.

    The shell asks whether trading is halted when it is drawn; a query is no part of drawing.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._plain, self._halt = Template.render, context._halt
        self._inside = False

    def __enter__(self) -> None:
        def halt() -> Any:
            began = time.thread_time()
            try:
                return self._halt()
            finally:
                self.seconds -= time.thread_time() - began

        def render(template: Any, *args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return self._plain(template, *args, **kwargs)
            self._inside, began = True, time.thread_time()
            try:
                return self._plain(template, *args, **kwargs)
            finally:
                self.seconds += time.thread_time() - began
                self._inside = False

        Template.render, context._halt = render, halt  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        Template.render, context._halt = self._plain, self._halt  # type: ignore[method-assign]


def token_of(pages: str) -> str:
    """The word against forged forms in the last form."""
    return pages.rpartition('csrfmiddlewaretoken" value="')[2][:64]


def rows_shown(pages: str) -> str:
    """The rows of holdings and of orders on the two pages."""
    holdings = pages[pages.index("<tr data-row") :].partition("</table>")[0]
    orders = pages[pages.index('<table class="table hover orders">') :].partition("<tbody>")[2]
    return f"<tbody>{holdings}{orders.partition('</tbody>')[0]}"


def bare(markup: str) -> str:
    """Without the white space between elements, which nobody sees."""
    return re.sub(r"\s*([<>])\s*", r"\1", re.sub(r"\s+", " ", markup))


def lines_of(user: Any) -> tuple[list[Any], list[Any]]:
    """What the rows of both pages say, as values."""
    from accounts.selectors import account_for_user
    from portfolio.holdings import holdings_shown, positions_sorted
    from portfolio.selectors import summary_get
    from trading.selectors.orders import orders_page

    account, now = account_for_user(user=user), timezone.now()
    summary = summary_get(account=account, now=now)
    holdings = list(holdings_shown(positions_sorted(summary)[:HELD], now))
    return holdings, orders_page(account, tab="all").orders
