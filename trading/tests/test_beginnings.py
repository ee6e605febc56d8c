"""The moment at which books begin: what the first reading shows counts once, however it is told."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.utils import timezone

from accounts.models import User
from accounts.services.syncs import account_fail
from speedtrade.testing import market
from speedtrade.testing.vendors.alpaca import AlpacaVendor
from speedtrade.testing.vendors.alpaca_book import VendorOrder
from trading.brokers.registry import broker_for
from trading.models import BrokerLink, Difference, Fill, Order
from trading.selectors.watch import clocks_off
from trading.services.keys import key_check_run
from trading.services.syncs import accounts_due
from trading.tests.test_line_cases import unopened
from trading.tests.test_syncs import Line, vendor  # noqa: F401 (a fixture)

D = Decimal
SLOW = 8  # seconds from the vendor's look at its clock to our having its answer


class Opening:
    """An account that is read for the first time; the vendor's clock answers slowly."""

    def __init__(self, line: Line, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.line, self.clock, self.hidden = line, clock, list[dict[str, Any]]()
        client: Any = broker_for(line.account)._inner._client  # type: ignore[attr-defined]
        self._read, self.meanwhile = client.read, lambda: None
        self.odd = False  # the list of orders does not say what has filled
        monkeypatch.setattr(client, "read", self._slowly)

    def _slowly(self, path: str, **query: str) -> Any:
        told = self._read(path, **query)
        self.clock.shift(SLOW if path == "/clock" else 0.01)
        if path == "/clock":
            self.meanwhile()
        if self.odd and path == "/orders":
            told = [row | {"status": "partially_filled", "filled_qty": None} for row in told]
        return told

    def fill_untold(self, order: VendorOrder, qty: str) -> None:
        """A fill that the order and the balances show, and the list of trades does not yet."""
        self.line.theirs.fill(order, qty, "100")
        self.hidden += [self.line.theirs.activities.pop()]

    def settle(self) -> None:
        """The list of trades tells all; we read twice, with all that is held."""
        self.line.theirs.activities += self.hidden
        self.hidden = []
        for _ in range(2):
            self.clock.shift(10)
            self.line.compare()
        self.line.agree()
        assert not Difference.objects.exists()


@pytest.fixture
def opening(
    alice: User,
    vendor: AlpacaVendor,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    with time_machine.travel(market.NOON, tick=False) as clock:
        yield Opening(unopened(alice, vendor), clock, monkeypatch)


@pytest.mark.parametrize("end", ["filled", "canceled", "open"])
def test_a_fill_that_the_balances_show_and_no_list_tells_yet_counts_once(
    opening: Opening, end: str
):
    """Fails where only time tells what was before: by a slow clock it came after."""
    line = opening.line
    order = line.theirs.external("AAPL", "buy", "4", limit_price=D(100))
    opening.clock.shift(1)

    def meanwhile() -> None:
        opening.fill_untold(order, "4" if end == "filled" else "3")
        if end == "canceled":
            line.theirs.cancel(order)

    opening.meanwhile = meanwhile
    assert line.sync()
    opening.settle()
    assert not Fill.objects.exists()
    if end == "open":
        line.theirs.fill(order, "1", "99")
        opening.settle()
        assert Fill.objects.get().qty == 1


def test_of_an_order_that_had_ended_only_what_fills_later_is_booked(opening: Opening):
    """Fails where an order that was over is passed over for ever, or is booked whole."""
    line = opening.line
    order = line.theirs.external("AAPL", "buy", "4", limit_price=D(100))

    def meanwhile() -> None:
        opening.fill_untold(order, "2")
        line.theirs.cancel(order)

    opening.meanwhile = meanwhile
    assert line.sync()
    opening.clock.shift(1)
    line.theirs.fill(order, "1", "98")
    opening.settle()
    row = Order.objects.get(broker_order_id=order.id)
    assert (row.cum_base, row.filled_qty) == (2, 1)


def test_an_order_that_could_not_be_read_at_first_is_told_by_its_stamps(opening: Opening):
    """Fails where the nothing that it shows counts as what was seen: all of it is booked again."""
    line = opening.line
    order = line.theirs.external("AAPL", "buy", "4", limit_price=D(100))
    line.theirs.fill(order, "3", "100")
    opening.clock.shift(60)
    opening.odd = True
    assert line.sync()
    opening.odd = False
    line.theirs.fill(order, "1", "99")
    opening.settle()
    assert Fill.objects.get().qty == 1


def test_a_fill_that_is_never_told_costs_what_it_cost_and_not_the_average(opening: Opening):
    """Fails where the price of the part in the opening balance is taken for that of the rest."""
    line = opening.line
    order = line.theirs.external("AAPL", "buy", "4", limit_price=D(100))
    opening.meanwhile = lambda: opening.fill_untold(order, "2")
    assert line.sync()
    opening.meanwhile = lambda: None
    opening.hidden.clear()
    line.theirs.fill(order, "1", "50")
    line.theirs.activities.pop()
    for _ in range(8):
        opening.clock.shift(10)
        line.compare()
    row = Fill.objects.get()
    assert (row.qty, row.synthetic) == (1, True)
    assert abs(row.price - 50) < D("0.000001")  # the average comes rounded
    line.agree()


def test_what_is_made_at_the_very_stamp_with_which_the_books_begin_comes_after(
    alice: User,
    vendor: AlpacaVendor,  # noqa: F811
):
    """Fails where equal stamps decide: the first reading did not show it, so it is new."""
    with time_machine.travel(market.NOON, tick=False) as clock:
        line = unopened(alice, vendor)
        assert line.sync()
        line.theirs.fill(line.theirs.external("AAPL", "buy", "2"), "2", "100")
        for _ in range(2):
            clock.shift(timedelta(seconds=61))
            line.compare()
        line.agree()
        assert not Difference.objects.exists()
        assert Fill.objects.get().qty == 2


# ── clocks ───────────────────────────────────────────────────────────────────
@pytest.mark.fault("F15")
@pytest.mark.parametrize("seconds", [-31, 31, 3 * 3600, -2 * 86_400, -57 * 365 * 86_400, 10**9])
def test_a_clock_that_makes_no_sense_opens_no_books_and_says_so(
    alice: User,
    vendor: AlpacaVendor,  # noqa: F811
    seconds: int,
):
    """Fails where it is believed: no order could be told from one of before, or would be listed."""
    with time_machine.travel(market.NOON, tick=False) as clock:
        line = unopened(alice, vendor)
        vendor.clock_offset = timedelta(seconds=seconds)
        assert not line.sync()
        link = BrokerLink.objects.get()
        assert (line.account.status, link.began_at) == ("error", None)
        words = line.account.status_reason
        assert ("ahead" if seconds > 0 else "behind") in words and "NTP" in words
        assert link.clock_offset == vendor.clock_offset
        key_check_run(account_id=line.account.pk, now=timezone.now())
        link.refresh_from_db()
        assert link.check_words == words
        vendor.clock_offset = timedelta(0)
        clock.shift(61)
        assert accounts_due(now=timezone.now()) == [line.account.pk]
        assert line.sync()
        assert line.account.status == "active"
        line.agree()


def test_an_account_in_error_does_not_trade_again_by_a_clock_that_makes_no_sense(
    alice: User,
    vendor: AlpacaVendor,  # noqa: F811
):
    """Fails where only the first reading looks at the clock, or where orders are not heard of."""
    with time_machine.travel(market.NOON, tick=False) as clock:
        line = unopened(alice, vendor)
        assert line.sync()
        order = line.theirs.external("AAPL", "buy", "1", limit_price=D(100))
        assert line.sync()
        account_fail(account_id=line.account.pk, reason="once", now=timezone.now())
        hour = timedelta(hours=1)  # it is our clock that jumps, and the broker's goes on
        clock.shift(hour)
        vendor.clock_offset = -hour
        line.theirs.fill(order, "1", "100")
        assert not line.sync()
        assert line.account.status == "error" and "behind" in line.account.status_reason
        assert Fill.objects.get().qty == 1, "what became of its orders is heard all the same"
        clock.shift(-hour)
        vendor.clock_offset = timedelta(0)
        assert line.sync()
        assert line.account.status == "active"


def test_the_clock_of_an_account_that_trades_is_looked_at_now_and_then(
    alice: User,
    vendor: AlpacaVendor,  # noqa: F811
):
    """Fails where it is looked at once: the doctor would go on saying what is long over."""
    with time_machine.travel(market.NOON, tick=False) as clock:
        line = unopened(alice, vendor)
        assert line.sync()
        vendor.clock_offset = timedelta(hours=1)
        clock.shift(settings.BROKER_CLOCK_PERIOD - timedelta(seconds=1))
        assert line.sync() and not clocks_off().exists()
        clock.shift(61)
        assert line.sync() and line.account.status == "active"
        assert clocks_off().get().brokerage_account_id == line.account.pk
        vendor.clock_offset = timedelta(0)
        clock.shift(settings.BROKER_CLOCK_PERIOD)
        assert line.sync() and not clocks_off().exists()


@pytest.mark.fault("F15")
@pytest.mark.parametrize("seconds", [-30, -10, 10, 30])
def test_a_clock_that_is_a_little_off_doubles_and_loses_nothing(
    opening: Opening,
    seconds: int,
):
    line = opening.line
    line.vendor.clock_offset = timedelta(seconds=seconds)
    opening.clock.shift(60)  # what was made by the former clock is not in its future
    order = line.theirs.external("AAPL", "buy", "4", limit_price=D(100))
    opening.meanwhile = lambda: opening.fill_untold(order, "4")
    assert line.sync()
    line.theirs.fill(line.theirs.external("AAPL", "buy", "1"), "1", "100")
    opening.settle()
    assert Fill.objects.get().qty == 1
