"""Bugs that somebody could make, each planted in the real code for the length of a `with`.

The proof that the net catches fish: `trading/tests/test_bugs.py` runs the simulation with each and
wants a promise to break. A bug that nothing notices is a promise that is missing.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from decimal import ROUND_UP, Decimal
from typing import Any
from unittest import mock
from uuid import uuid4

from portfolio.domain import lots
from portfolio.models import Hold, LedgerKind
from portfolio.services import books, fills, holds, transfers
from speedtrade.lib.rows import rows_update
from trading.brokers.paper import venue
from trading.brokers.paper.venue import PaperVenue
from trading.domain import risk
from trading.domain.orders import OrderState, TimeInForce
from trading.models import Order
from trading.services import executions, moves, orders, reconciliation, submissions

BUGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {}


def bug(make: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
    """Put a bug on the list, under the name of its function in words."""
    BUGS[make.__name__.replace("_", " ")] = contextmanager(make)
    return make


def put(where: Any, name: str, bad: Any) -> AbstractContextManager[Any]:
    return mock.patch.object(where, name, bad)


# ── intents, and what the broker is told ─────────────────────────────────────
@bug
def the_key_is_ignored() -> Iterator[None]:
    with put(orders, "_intent_key", lambda intent, key: f"new:{uuid4().hex}"):
        yield


@bug
def another_users_key_is_taken_for_ones_own() -> Iterator[None]:
    def known(user: Any, intent_key: str, digest: str) -> Order | None:
        return Order.objects.filter(intent_key=intent_key).first()

    with put(orders, "_known", known):
        yield


@bug
def another_body_under_a_key_is_taken() -> Iterator[None]:
    with put(orders, "intent_digest", lambda account_id, intent: "the same"):
        yield


@bug
def a_second_try_has_a_new_id() -> Iterator[None]:
    real, tries = submissions.request_of, Counter[int]()

    def request_of(order: Order) -> Any:
        tries[order.pk] += 1
        request = real(order)
        return request if tries[order.pk] == 1 else replace(request, client_order_id=uuid4().hex)

    with put(submissions, "request_of", request_of):
        yield


@bug
def sent_again_without_a_look() -> Iterator[None]:
    with put(reconciliation, "order_adopt", lambda order, submission, broker: False):
        yield


@bug
def no_word_counts_as_a_refusal() -> Iterator[None]:
    real = submissions.order_submit

    def order_submit(order: Order, submission: Any) -> None:
        real(order, submission)
        submission.refresh_from_db()
        if submission.last_error and submission.done_at is None:
            answer = submissions._refused(order, "timeout", submission.last_error)
            submissions._record(order, submission, answer, "worker")

    with put(submissions, "order_submit", order_submit):
        yield


@bug
def the_sweeper_skips_what_is_unknown() -> Iterator[None]:
    with put(reconciliation, "_recover", lambda submission, now: None):
        yield


# ── states ───────────────────────────────────────────────────────────────────
@bug
def a_final_state_is_overwritten() -> Iterator[None]:
    def next_state(current: OrderState, reported: OrderState | None, **_: Any) -> OrderState:
        return reported or current

    with put(executions, "next_state", next_state), put(moves, "check_transition", _nothing):
        yield


@bug
def a_filled_order_is_canceled() -> Iterator[None]:
    with put(orders, "FINAL_STATES", frozenset()), put(moves, "check_transition", _nothing):
        yield


@bug
def a_step_leaves_no_event() -> Iterator[None]:
    def rows_write(event: Any, changed: Any) -> None:
        for row, names in changed:
            rows_update([row], names)

    with put(moves, "rows_write", rows_write):
        yield


# ── fills ────────────────────────────────────────────────────────────────────
@bug
def a_fill_counts_each_time_it_is_told() -> Iterator[None]:
    def fresh(order: Order, report: Any) -> list[Any]:
        return [replace(one, trade_id=uuid4().hex) for one in report.fills]

    with put(executions, "_fresh", fresh):
        yield


@bug
def the_last_fills_of_a_canceled_order_are_dropped() -> Iterator[None]:
    real = executions._fresh

    def fresh(order: Order, report: Any) -> list[Any]:
        over = report.state in {OrderState.CANCELED, OrderState.EXPIRED}
        return [] if over else real(order, report)

    with put(executions, "_fresh", fresh):
        yield


@bug
def money_is_rounded_up_to_the_cent() -> Iterator[None]:
    def money_round(value: Decimal) -> Decimal:
        return value.quantize(Decimal("0.01"), ROUND_UP)

    with put(executions, "money_round", money_round):
        yield


@bug
def the_fee_is_charged_twice() -> Iterator[None]:
    real = executions._fact

    def fact(order: Order, fill: Any, notional: Decimal) -> Any:
        made = real(order, fill, notional)
        return replace(made, fee=made.fee * 2)

    with put(executions, "_fact", fact):
        yield


@bug
def the_fee_is_paid_in_shares() -> Iterator[None]:
    real = fills._post

    def post(pockets: Any, journal: Any, symbol: str, fact: Any) -> None:
        real(pockets, journal, symbol, replace(fact, fee=Decimal(0)))
        if fact.fee:
            shares, fees = (LedgerKind.POSITION, symbol), (LedgerKind.FEES, symbol)
            pockets.move(journal, shares, fees, min(fact.fee, fact.qty))

    with put(fills, "_post", post):
        yield


# ── lots and profit ──────────────────────────────────────────────────────────
@bug
def the_newest_lots_are_sold_first() -> Iterator[None]:
    real = lots._consume

    def consume(held: Any, qty: Decimal) -> Any:
        left, cost = real(held[::-1], qty)
        return left[::-1], cost

    with put(lots, "_consume", consume):
        yield


@bug
def a_sale_leaves_the_cost_where_it_was() -> Iterator[None]:
    real = lots.lot_take

    def lot_take(lot: Any, qty: Decimal) -> Any:
        part, rest = real(lot, qty)
        return part, rest and replace(rest, cost=lot.cost)

    with put(lots, "lot_take", lot_take):
        yield


@bug
def a_gain_is_booked_as_a_loss() -> Iterator[None]:
    real = lots.apply

    def apply(holding: Any, fill: Any) -> Any:
        made = real(holding, fill)
        return replace(made, realized_pl=2 * holding.realized_pl - made.realized_pl)

    with put(lots, "apply", apply), put(fills, "apply", apply):
        yield


# ── the ledger ───────────────────────────────────────────────────────────────
@bug
def only_one_side_of_a_transfer_moves() -> Iterator[None]:
    real = books.Books.move

    def move(self: Any, journal: Any, source: Any, target: Any, amount: Decimal) -> None:
        real(self, journal, source, target, amount)
        self.pocket(*target).balance -= amount

    with put(books.Books, "move", move):
        yield


@bug
def a_balance_moves_without_its_entry() -> Iterator[None]:
    real = books.Books.save

    def save(self: Any) -> None:
        del self._transfers[1:]
        real(self)

    with put(books.Books, "save", save):
        yield


@bug
def more_is_withdrawn_than_is_free() -> Iterator[None]:
    class Generous(books.Books):
        def pocket(self, kind: LedgerKind, asset: str) -> Any:
            row = super().pocket(kind, asset)
            row.overdraft = True
            return row

    with put(transfers, "Books", Generous):
        yield


# ── holds ────────────────────────────────────────────────────────────────────
@bug
def a_hold_outlives_its_order() -> Iterator[None]:
    real = holds.hold_change

    def hold_change(*, amount: Decimal, **rest: Any) -> None:
        if amount:
            real(amount=amount, **rest)

    with put(moves, "hold_change", hold_change):
        yield


@bug
def a_replaced_order_keeps_its_hold() -> Iterator[None]:
    real = holds.hold_change

    def hold_change(*, order_ref: int, **rest: Any) -> None:
        if Order.objects.get(pk=order_ref).state != OrderState.PENDING_REPLACE:
            real(order_ref=order_ref, **rest)

    with put(moves, "hold_change", hold_change):
        yield


@bug
def a_hold_does_not_shrink_with_a_fill() -> Iterator[None]:
    def order_hold(order: Order) -> Decimal:
        return Hold.objects.get(order_ref=order.pk).amount

    with put(executions, "order_hold", order_hold):
        yield


@bug
def money_is_multiplied_as_floats() -> Iterator[None]:
    def times(left: Decimal, right: Decimal) -> Decimal:
        return Decimal(float(left) * float(right))

    with put(risk, "times", times):
        yield


@bug
def more_is_sold_than_is_held() -> Iterator[None]:
    real = holds.hold_new

    def hold_new(**rest: Any) -> Any:
        return real(**rest | {"asked": False})

    with ExitStack() as stack:
        stack.enter_context(put(risk, "_check_funds", _nothing))
        stack.enter_context(put(orders, "hold_new", hold_new))
        yield


# ── the venue ────────────────────────────────────────────────────────────────
@bug
def an_old_quote_fills_orders() -> Iterator[None]:
    def may_trade(self: Any, order: Any, quote: Any, now: Any) -> bool:
        instrument = order.instrument
        open_now = self._hours.is_open(instrument.asset_type, now)
        return instrument.halted_at is None and bool(open_now)

    with put(PaperVenue, "_may_trade", may_trade):
        yield


@bug
def an_ioc_is_left_in_the_book() -> Iterator[None]:
    real = venue.match

    def match(order: Any, offers: Any) -> Any:
        patient = order.time_in_force == TimeInForce.IOC
        return real(replace(order, time_in_force=TimeInForce.GTC) if patient else order, offers)

    with put(venue, "match", match):
        yield


@bug
def a_day_order_never_expires() -> Iterator[None]:
    with put(PaperVenue, "_expire", lambda self, now: iter(())):
        yield


def _nothing(*args: Any, **rest: Any) -> None:
    """In the place of a check, or of a row."""
