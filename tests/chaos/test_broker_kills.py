"""Kill -9 in mid-order at a broker out there: one order there, and our books are the broker's.

The vendor is the loopback one with alpaca-py unmodified; it fills what it accepts at once. A few
points are in every run of the tests, the others where CHAOS is set.
"""

import os
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from speedtrade.processes import BEAT, BROKERS, FEED, VENUE, WORKER, Process
from speedtrade.testing.vendors.alpaca import AlpacaVendor
from speedtrade.testing.vendors.alpaca_book import VendorAccount, VendorOrder
from speedtrade.testing.waiting import wait_until
from tests.chaos.fleet import Fleet
from tests.chaos.test_kills import BOOT, KILLED, SYMBOL, fleet  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]

CONVERGED_WITHIN = 60  # seconds after all run again
#: In the process that talks to brokers: before the call, after it, before and after the record.
POINTS = ["after_accept", "after_read_before_commit"]
MORE_POINTS = ["after_claim", "before_call", "after_commit_before_ack", "mid_apply"]
UNSENT = {"before_call"}  # it dies with an order that counts as sent: nobody sends it again
LOST_AFTER = 45  # seconds until such an order is called lost: a person decides
ALL = "CHAOS" in os.environ


class Maker(AlpacaVendor):
    """Fills every order as soon as it is accepted."""

    def on_accept(self, account: VendorAccount, order: VendorOrder) -> None:
        account.fill(order, order.qty or Decimal(0), "100")


class BrokerDesk:
    """One account at the vendor, and the processes that serve it."""

    def __init__(
        self,
        fleet: Fleet,  # noqa: F811
        vendor: AlpacaVendor,
        theirs: VendorAccount,
        account: Any,
    ) -> None:
        self.fleet, self.vendor, self.theirs, self.account = fleet, vendor, theirs, account
        self.orders: list[int] = []
        self.unsent = 0

    def place(self) -> None:
        from tests.chaos.placing import place

        key = f"chaos-{len(self.orders)}"
        self.orders.append(place(self.account.pk, SYMBOL, "buy", "1", key))

    def killed_at(self, process: Process, point: str) -> None:
        """Start the process, give it work, and see it die at its point."""
        doomed = self.fleet.start(process, point)
        if process is VENUE:  # else the other process may book the fill before the stream hears
            wait_until(lambda: self.vendor.stream.listening, BOOT, f"a stream\n{self.words()}")
        self.place()

        def died() -> bool:
            if process is VENUE and doomed.poll() is None and self.all_filled():
                self.place()  # another process has booked that fill already: once more
            return doomed.poll() is not None

        wait_until(
            died,
            BOOT,
            lambda: f"{process.name} dies at {point}\n{self.words()}",
        )
        assert doomed.returncode == KILLED, self.words()
        self.unsent += point in UNSENT

    def all_filled(self) -> bool:
        from trading.models import Order

        return not Order.objects.exclude(state="filled").exists()

    def words(self) -> str:
        from trading.models import Order

        rows = Order.objects.values_list("pk", "state", "filled_qty", "submissions__attempts")
        return f"{list(rows)}\n{self.fleet.words()}"

    def wrong(self) -> list[str]:
        """What is not yet as it must be."""
        from portfolio.models import Hold, LedgerAccount
        from portfolio.services.rebuild import ledger_differences
        from trading.models import Order, Submission

        pockets = LedgerAccount.objects.filter(brokerage_account=self.account)
        cash = pockets.get(kind="cash")
        shares = pockets.filter(kind="position", asset=SYMBOL).first()
        held = self.theirs.positions.get(SYMBOL)
        filled, lost = Order.objects.filter(state="filled"), Order.objects.filter(state="lost")
        names = set(filled.values_list("client_order_id", flat=True))
        held_back = sum(hold.amount for hold in Hold.objects.filter(order_ref__in=lost))
        checks = {
            "orders": len(self.orders) == filled.count() + self.unsent,
            "lost": lost.count() == self.unsent,
            "submissions": not Submission.objects.filter(done_at=None, order__in=filled).exists(),
            "cash": cash.balance == self.theirs.cash and cash.reserved == held_back,
            "shares": bool(held and shares and shares.balance == held.qty),
            "holds": Hold.objects.filter(amount__gt=0).count() == self.unsent,
            "ledger": not list(ledger_differences()),
            "once": set(self.theirs.accepted.values()) == {1},
            "sent": set(self.theirs.accepted) == names,
        }
        return [name for name, right in checks.items() if not right]


@pytest.fixture
def broker_desk(
    fleet: Fleet,  # noqa: F811
    transactional_db: None,
    settings: Any,
) -> Iterator[BrokerDesk]:
    from accounts.keys import BrokerKey
    from accounts.services.connections import account_connect
    from marketdata import quote_store
    from speedtrade.testing.cast import make_user

    # Between two of many kills more than a minute may pass with no reading that came to its end.
    settings.BLIND_AFTER = timedelta(minutes=10)
    with Maker() as vendor:
        theirs = vendor.open_account("PKCHAOS", "secret-of-chaos")
        fleet.surroundings |= {
            "ALPACA_TRADING_URL": vendor.url,
            "ALPACA_STREAM_URL": vendor.stream_url,
        }
        call_command("load_instruments", verbosity=0)
        for process in (FEED, BEAT, WORKER, BROKERS):
            fleet.start(process)
        account = account_connect(
            user=make_user("chaos"),
            broker="alpaca",
            mode="paper",
            key=BrokerKey("PKCHAOS", "secret-of-chaos"),
            now=timezone.now(),
        )
        desk = BrokerDesk(fleet, vendor, theirs, account)

        def ready() -> bool:
            account.refresh_from_db()
            quote = quote_store.quote_get(SYMBOL)
            fresh = quote is not None and (timezone.now() - quote.as_of).total_seconds() < 2
            return account.status == "active" and fresh

        wait_until(ready, 2 * BOOT, lambda: f"an account and a price\n{fleet.words()}")
        fleet.finish(BROKERS)
        yield desk
        fleet.end()  # before the vendor, so that nobody calls it in vain


def settle(desk: BrokerDesk) -> None:
    """Start what nobody kills, and see everything come right in time."""
    desk.fleet.start(BROKERS)
    wait_until(
        lambda: not desk.wrong(),
        BOOT + CONVERGED_WITHIN + (LOST_AFTER if desk.unsent else 0),
        lambda: f"not right: {desk.wrong()}\n{desk.words()}",
    )


def test_a_process_killed_while_it_talks_to_a_broker_loses_and_doubles_nothing(
    broker_desk: BrokerDesk,
):
    for point in [*POINTS, *(MORE_POINTS if ALL else [])]:
        broker_desk.killed_at(BROKERS, point)
    # The sweep takes up an order whose answer was lost, and dies when it has adopted it.
    broker_desk.killed_at(BROKERS, "after_accept")
    broker_desk.killed_at(BROKERS, "after_adopt_before_release")
    settle(broker_desk)


def test_a_stream_killed_while_it_books_a_fill_loses_and_doubles_nothing(broker_desk: BrokerDesk):
    broker_desk.fleet.start(BROKERS)
    for point in ["mid_apply", *(["after_read_before_commit"] if ALL else [])]:
        broker_desk.killed_at(VENUE, point)
    broker_desk.fleet.start(VENUE)
    broker_desk.fleet.finish(BROKERS)
    settle(broker_desk)
