"""An account's life at a loopback vendor, by dice: everything that can happen, and then the truth.

Each step is what one of our processes does, or what the vendor, the network or the market does to
them. Time stands still but for the steps. Around any request the process may be killed, or others
may act while it waits. `settle` ends the faults and lets everybody run; `verdict` compares.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import time_machine

from accounts.keys import BrokerKey
from accounts.models import User
from accounts.services.connections import account_connect
from marketdata.models import Instrument
from speedtrade.lib.crash import Killed
from speedtrade.lib.errors import DomainError
from speedtrade.testing import market
from speedtrade.testing.line_faults import fault_any
from speedtrade.testing.line_vendor import SYMBOLS, OtherEnd
from speedtrade.testing.line_wire import FoldedCall, Wire
from speedtrade.testing.vendors import alpaca_wire
from speedtrade.testing.vendors.alpaca import AlpacaVendor
from speedtrade.testing.vendors.alpaca_book import VendorOrder
from trading.brokers.base import BrokerOrder
from trading.brokers.registry import broker_for
from trading.domain.orders import Changes, OrderIntent, OrderType, Side, TimeInForce
from trading.models import BrokerLink, Order, Submission
from trading.services.lost import lost_release
from trading.services.orders import order_cancel, order_place
from trading.services.reconciliation import submission_recover, submissions_sweep
from trading.services.replacements import order_replace
from trading.services.streams import stream_gap, stream_report
from trading.services.submissions import submission_process
from trading.services.syncs import account_sync, accounts_due

D = Decimal
HIDING = timedelta(seconds=5)  # so late a vendor may show what it has accepted
BEAT = 5  # seconds
KILLS, MEETS = 0.02, 0.12  # at how many of all points somebody is killed, or met
#: Read a frame of the stream as the adapter of the account does.
Reader = Callable[[dict[str, Any], datetime], BrokerOrder]


class Line(OtherEnd):
    """One account, its vendor and its processes."""

    def __init__(
        self,
        user: User,
        vendor: AlpacaVendor,
        clock: time_machine.Traveller,
        dice: random.Random,
        *,
        folded: bool,
        read: Reader,
    ) -> None:
        self.user, self.vendor, self.clock, self.dice, self.read = user, vendor, clock, dice, read
        self.folded = folded
        self.story: list[str] = []
        self.frames: list[dict[str, Any]] = []
        self.harm = False  # nobody is killed and nothing happens meanwhile, until it is on
        self.depth = 0
        key = BrokerKey(f"PK{dice.getrandbits(60):020d}", "secret-of-alice")
        self.theirs = vendor.open_account(key.api_key, key.secret_key, cash="50000")
        self.theirs.listeners[:] = [self._told]
        vendor.clock_offset = timedelta(seconds=dice.choice([-10, 0, 0, 10]))
        for symbol in SYMBOLS:
            self.theirs.fill(self.theirs.external(symbol, "buy", "20"), "20", "90")
        self._base_orders()
        self._remember()
        self.wait(0.05)
        self.account = account_connect(
            user=user, broker="alpaca", mode="paper", key=key, now=self.now
        )
        self.wire = Wire(partial(FoldedCall, vendor) if folded else None)
        session: Any = broker_for(self.account)._inner._client._session  # type: ignore[attr-defined]
        session.mount("http://", self.wire)
        session.trust_env = False  # no proxy stands between the two, and asking costs
        vendor.checked = not folded
        self.wire.before, self.wire.after = self._around, self._around

    # ── time ─────────────────────────────────────────────────────────────────
    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def wait(self, seconds: float) -> None:
        self.clock.shift(timedelta(seconds=seconds))

    # ── what can happen around a request ─────────────────────────────────────
    def _around(self, request: Any) -> None:
        self._remember()
        self._meet(request)

    def _meet(self, request: Any) -> None:
        self.wait(0.001)
        if not self.harm or self.depth:
            return
        roll = self.dice.random()
        if roll < KILLS:
            self.story.append(f"  killed at {request.method} {request.path_url[:40]}")
            raise Killed()
        if roll < MEETS:
            self.depth += 1
            try:
                step = self.dice.choice(MEANWHILE)
                self.story.append(f"  meanwhile {step}")
                self.act(step)
            finally:
                self.depth -= 1

    def crash(self, name: str) -> None:
        """In the place of `crash_point`: here a process may die."""
        self.wait(0.001)
        if self.harm and self.dice.random() < KILLS:
            self.story.append(f"  killed at {name}")
            raise Killed()

    def act(self, step: str) -> None:
        """One step; a process that is killed in it is gone, whatever it was about to do."""
        with suppress(Killed):
            getattr(self, step)()

    def step(self) -> None:
        step = self.dice.choices(STEPS, WEIGHTS)[0]
        self.story.append(step)
        self.act(step)
        self.wait(self.dice.choice([0.05, 0.05, 0.7, 2]))

    # ── us: the web process, the workers ─────────────────────────────────────
    def place(self) -> None:
        dice, symbol = self.dice, self.dice.choice(self.symbols)
        crypto = "/" in symbol
        amount = dice.choice(["10", "3", "0.5", "$100"])
        limit = None if amount[0] == "$" else dice.choice([None, "100.00", "99.50", "101.25"])
        tif = TimeInForce.GTC if crypto else TimeInForce.DAY
        intent = OrderIntent(
            symbol=symbol,
            side=Side(dice.choice(["buy", "buy", "sell"])),
            order_type=OrderType.LIMIT if limit else OrderType.MARKET,
            time_in_force=tif,
            qty=None if amount[0] == "$" else D(amount),
            notional=D(amount[1:]) if amount[0] == "$" else None,
            limit_price=D(limit) if limit else None,
            asset_type="crypto" if crypto else "stock",
        )
        quote = market.put_quote(market.quote(symbol, "99.99", "100.00", now=self.now))
        with suppress(DomainError):
            order = order_place(
                account=self._fresh_account(),
                instrument=Instrument.objects.get(symbol=symbol),
                intent=intent,
                quote=quote,
                key=None,
                placed_by=self.user,
                source="api",
                now=self.now,
            ).order
            if dice.random() < 0.8:
                self._work(order)

    def _fresh_account(self) -> Any:
        self.account.refresh_from_db()
        return self.account

    def _work(self, order: Order) -> None:
        for pk in Submission.objects.filter(order=order, done_at=None).values_list("pk", flat=True):
            submission_process(submission_id=pk, now=self.now)

    def work(self) -> None:
        if order := self._any():
            self._work(order)

    def cancel(self) -> None:
        if order := self._any():
            with suppress(DomainError):
                order_cancel(order=order, actor=self.user, source="api", now=self.now)
            if self.dice.random() < 0.7:
                self._work(order)

    def change(self) -> None:
        if order := self._any():
            changes = Changes(limit_price=D(self.dice.choice(["98.00", "100.50"])))
            quote = market.put_quote(
                market.quote(order.instrument.symbol, "99.99", "100.00", now=self.now)
            )
            with suppress(DomainError):
                order_replace(
                    order=order,
                    changes=changes,
                    quote=quote,
                    actor=self.user,
                    source="api",
                    now=self.now,
                )
            if self.dice.random() < 0.7:
                self._work(order)

    def sweep(self) -> None:
        submissions_sweep(
            now=self.now,
            wake=lambda pk: submission_process(submission_id=pk, now=self.now),
            recover=lambda pk: submission_recover(submission_id=pk, now=self.now),
        )

    def sync(self) -> None:
        try:
            account_sync(account_id=self.account.pk, now=self.now)
        finally:
            links = BrokerLink.objects.filter(brokerage_account=self.account)
            self.opened = links.filter(began_at__isnull=False).exists()

    def give_up(self) -> None:
        for order in Order.objects.filter(brokerage_account=self.account, state="lost"):
            with suppress(DomainError):
                lost_release(
                    order=order, actor=self.user, reason="gone", source="admin", now=self.now
                )

    def _any(self) -> Order | None:
        rows = list(
            Order.objects.filter(brokerage_account=self.account)
            .select_related("instrument", "brokerage_account")
            .order_by("id")
        )
        return self.dice.choice(rows[-6:]) if rows else None

    # ── the line: the stream, the network, the clock ─────────────────────────
    def _told(self, event: str, order: VendorOrder, fill: Any) -> None:
        self.frames.append(alpaca_wire.update(event, order, fill, self.vendor.now()))

    def hear(self) -> None:
        """The stream tells: in order, or not, or twice, or swallows some."""
        for _ in range(self.dice.randint(1, 3)):
            if not self.frames:
                return
            place = 0 if self.dice.random() < 0.6 else self.dice.randrange(len(self.frames))
            frame = self.frames[place]
            if self.dice.random() < 0.8:
                del self.frames[place]  # else it comes again
            if self.dice.random() < 0.7:
                report = self.read(frame, self.now)
                if self.dice.random() < 0.3:  # another channel may name a fill otherwise
                    names = [replace(one, trade_id=f"else:{one.trade_id}") for one in report.fills]
                    report = replace(report, fills=tuple(names))
                stream_report(self.account.pk, report)

    def gap(self) -> None:
        self.frames.clear()
        stream_gap(self.account.pk, self.now)

    def fault(self) -> None:
        door, fault = fault_any(self.dice, seconds=0 if self.folded else 5)
        times = self.dice.choice([1, 1, 1, 2, 4])
        self.story.append(f"  {door} x{times}: {fault.reply!r:.40} {fault.status} {fault.accept}")
        self.vendor.faults.add(door, fault, nth=self.dice.choice([1, 1, 2]), times=times)

    def down(self) -> None:
        self.wire.down = not self.wire.down

    def hide(self) -> None:
        self.vendor.hides_for = HIDING if self.dice.random() < 0.7 else timedelta(0)

    def slow(self) -> None:
        self.vendor.cancels_at_once = self.dice.random() < 0.5

    def pause(self) -> None:
        self.wait(self.dice.choice([6, 6, 20, 70]))

    # ── the end ──────────────────────────────────────────────────────────────
    def quiet(self) -> None:
        """The faults end: from now on the vendor, the line and all processes are well."""
        self.harm, self.wire.down = False, False
        self.vendor.faults.clear()
        self.vendor.hides_for, self.vendor.cancels_at_once = timedelta(0), True
        for order in list(self.theirs.orders.values()):
            if order.status == "pending_cancel":
                self.theirs.set_status(order, "canceled")
        self.gap()

    def told_to_wait(self) -> float:
        """For how many seconds more the vendor has asked us to be quiet (429), at the most."""
        link = BrokerLink.objects.filter(brokerage_account=self.account).first()
        if link is None or link.paused_until is None or link.paused_until < self.now:
            return 0
        return (link.paused_until - self.now).total_seconds() + BEAT

    def beat(self) -> None:
        """What the beat starts every few seconds."""
        self.wait(BEAT)
        self.sweep()
        if accounts_due(now=self.now):
            self.sync()


WEIGHED = {"place": 16, "fill": 14, "sync": 8, "hear": 10, "sweep": 8, "fault": 14, "cancel": 7}
WEIGHED |= {"work": 4, "change": 4, "late_fill": 3, "ends": 2, "unrest": 2, "elsewhere": 4}
WEIGHED |= {"money": 3, "gap": 1, "down": 2, "hide": 2, "slow": 2, "pause": 6}
WEIGHED |= {"give_up": 1}
STEPS, WEIGHTS = list(WEIGHED), list(WEIGHED.values())
MEANWHILE = ["fill", "fill", "hear", "cancel", "sync", "sweep", "ends", "elsewhere", "money"]
MEANWHILE += ["work", "work"]  # another worker with the same submissions
