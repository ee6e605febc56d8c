"""A trading desk in one process: an order's whole life, step by step, at a clock of the test's own.

Each step is the service that the real processes call: `order_place` (web), `submission_process`
(worker), `PaperVenue` (venue process), `report_apply` (venue and poller).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import time_machine

from accounts.models import BrokerageAccount, User
from marketdata import quote_store
from marketdata.domain.quotes import Quote
from marketdata.hours import market_hours
from marketdata.models import Instrument
from portfolio.models import Hold, LedgerAccount, LedgerKind, Position
from portfolio.services.rebuild import ledger_differences
from speedtrade.testing import market
from trading.brokers.paper.venue import BrokerReport, PaperVenue
from trading.domain.orders import FINAL_STATES, OrderIntent, OrderType, Side, TimeInForce
from trading.models import Order, PaperOrder, Submission, SubmissionAction
from trading.services.executions import report_apply
from trading.services.orders import Placed, order_cancel, order_place
from trading.services.reconciliation import orders_poll, submissions_sweep
from trading.services.submissions import submission_process

D = Decimal


def dec(value: Any) -> Decimal | None:
    return None if value is None else D(str(value))


@dataclass
class Desk:
    """One user at the paper venue. Figures go in as text, so that no float ever touches money."""

    user: User
    account: BrokerageAccount
    clock: time_machine.Traveller
    instruments: dict[str, Instrument] = field(default_factory=dict)
    venue: PaperVenue = field(default_factory=lambda: PaperVenue(market_hours()))
    reports: list[BrokerReport] = field(default_factory=list)
    _seq: Any = field(default_factory=lambda: count(1))

    # ── the world ────────────────────────────────────────────────────────────
    @property
    def now(self) -> datetime:
        return datetime.now(tz=market.NOON.tzinfo)

    def wait(self, seconds: float) -> datetime:
        """Let time pass on the test's clock."""
        self.clock.shift(timedelta(seconds=seconds))
        return self.now

    def instrument(self, symbol: str = "AAPL", **rules: Any) -> Instrument:
        if symbol not in self.instruments:
            found = Instrument.objects.filter(symbol=symbol).first()
            self.instruments[symbol] = found or market.instrument(symbol, **rules)
        return self.instruments[symbol]

    def quote(self, bid: str, ask: str, *sizes: str, symbol: str = "AAPL", **more: Any) -> Quote:
        """A new price, where every reader finds it. Nothing trades before `tick` or `look`."""
        self.instrument(symbol)
        return market.put_quote(
            market.quote(
                symbol, bid, ask, now=self.now, sizes=sizes or ("100",), seq=next(self._seq), **more
            )
        )

    def market(self, bid: str, ask: str, *sizes: str, symbol: str = "AAPL", **more: Any) -> None:
        """A new price, and what the venue's resting orders make of it."""
        made = self.quote(bid, ask, *sizes, symbol=symbol, **more)
        self.apply(self.venue.tick([symbol], {symbol: made}, lambda: self.now))

    # ── an order's life ──────────────────────────────────────────────────────
    def intent(
        self,
        side: str = "buy",
        qty: str | None = None,
        *,
        notional: str | None = None,
        limit: str | None = None,
        tif: str = "day",
        symbol: str = "AAPL",
        client_order_id: str | None = None,
    ) -> OrderIntent:
        return OrderIntent(
            symbol=symbol,
            side=Side(side),
            order_type=OrderType.LIMIT if limit else OrderType.MARKET,
            time_in_force=TimeInForce(tif),
            qty=dec(qty),
            notional=dec(notional),
            limit_price=dec(limit),
            asset_type="crypto" if "/" in symbol else "stock",
            client_order_id=client_order_id,
        )

    def ask(
        self, side: str = "buy", qty: str | None = None, *, key: str | None = None, **terms: Any
    ) -> Placed:
        """`order_place` as a door calls it: the order is ours alone yet."""
        intent = self.intent(side, qty, **terms)
        return order_place(
            account=self.account,
            instrument=self.instrument(intent.symbol),
            intent=intent,
            quote=quote_store.quote_get(intent.symbol),
            key=key,
            placed_by=self.user,
            source="api",
            now=self.now,
        )

    def place(self, side: str = "buy", qty: str | None = None, **terms: Any) -> Order:
        return self.ask(side, qty, **terms).order

    def send(self, order: Order) -> Order:
        """The worker tells the broker what waits to be told of this order."""
        for pk in Submission.objects.filter(order=order, done_at=None).values_list("pk", flat=True):
            submission_process(submission_id=pk, now=self.now)
        return self.fresh(order)

    def look(self, order: Order) -> Order:
        """The venue takes the order in and tries it against the newest quote."""
        paper = self.paper(order)
        self.apply(self.venue.look(paper.pk, self.now))
        return self.fresh(order)

    def work(self, order: Order) -> Order:
        self.send(order)
        return self.look(order)

    def trade(self, side: str = "buy", qty: str | None = None, **terms: Any) -> Order:
        """Place, send and match."""
        return self.work(self.place(side, qty, **terms))

    def cancel(self, order: Order, *, send: bool = True) -> Order:
        order_cancel(order=order, actor=self.user, source="api", now=self.now)
        return self.send(order) if send else self.fresh(order)

    def apply(self, reports: Iterable[BrokerReport]) -> None:
        """Bring reports into the books, and keep them for whoever wants to repeat them."""
        for report in reports:
            self.reports.append(report)
            self.tell(report)

    def tell(self, report: BrokerReport) -> Order | None:
        return report_apply(
            account_id=report.account_id, report=report.order, source="venue", now=self.now
        )

    def sweep(self) -> int:
        return submissions_sweep(
            now=self.now, wake=lambda pk: submission_process(submission_id=pk, now=self.now)
        )

    def poll(self) -> int:
        return orders_poll(now=self.now)

    def expire(self) -> None:
        self.apply(self.venue.poll(lambda: self.now))

    # ── what is there ────────────────────────────────────────────────────────
    def fresh(self, order: Order) -> Order:
        return Order.objects.select_related("instrument", "brokerage_account").get(pk=order.pk)

    def paper(self, order: Order) -> PaperOrder:
        return PaperOrder.objects.get(
            account_ref=self.account.pk, client_order_id=order.client_order_id
        )

    def pocket(self, kind: str = "cash", asset: str = "USD") -> LedgerAccount:
        return LedgerAccount.objects.get(brokerage_account=self.account, kind=kind, asset=asset)

    @property
    def cash(self) -> Decimal:
        return self.pocket().balance

    @property
    def reserved(self) -> Decimal:
        return self.pocket().reserved

    def shares(self, symbol: str = "AAPL") -> Decimal:
        row = LedgerAccount.objects.filter(
            brokerage_account=self.account, kind=LedgerKind.POSITION, asset=symbol
        ).first()
        return row.balance if row else D(0)

    def position(self, symbol: str = "AAPL") -> Position:
        return Position.objects.get(brokerage_account=self.account, instrument__symbol=symbol)

    def hold(self, order: Order) -> Decimal:
        return Hold.objects.get(order_ref=order.pk).amount

    def submission(self, order: Order, action: str = SubmissionAction.SUBMIT) -> Submission:
        return Submission.objects.get(order=order, action=action)

    def check(self) -> None:
        """The promises that hold after every step, whatever happened (I1-I8, I11, I12)."""
        found = [str(difference) for difference in ledger_differences()]
        assert found == []
        holds = dict(Hold.objects.values_list("order_ref", "amount"))
        for order in Order.objects.prefetch_related("fills"):
            fills = list(order.fills.all())
            assert order.filled_qty == sum((fill.qty for fill in fills), D(0))
            assert order.fees == sum((fill.fee for fill in fills), D(0))
            assert order.filled_notional == sum((fill.qty * fill.price for fill in fills), D(0))
            if order.qty is not None:
                assert order.filled_qty <= order.qty
            if order.notional is not None:
                assert order.filled_notional <= order.notional
            for fill in fills:
                buys = order.side == "buy"
                assert fill.price <= order.price_bound if buys else fill.price >= order.price_bound
            if order.state in {state.value for state in FINAL_STATES}:
                assert holds[order.pk] == 0, f"{order} is {order.state} and holds something"
