"""Real threads on real PostgreSQL: no cent is spent twice, no order is made or sent twice.

The clock runs here: a lock that is waited for needs no standing time.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from accounts.models import BrokerageAccount
from marketdata import quote_store
from marketdata.hours import market_hours
from portfolio.models import Hold, LedgerAccount
from portfolio.services import books, transfers
from portfolio.services.rebuild import ledger_differences
from portfolio.services.transfers import InsufficientCash, transfer_make
from speedtrade.lib.errors import Conflict, DomainError
from speedtrade.testing.cast import ApiClient, account_of, make_user
from speedtrade.testing.market import instrument, put_quote, quote
from speedtrade.testing.races import race
from trading.brokers.paper.venue import PaperVenue
from trading.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from trading.models import Fill, Order, OrderEvent, PaperFill, PaperOrder, Submission
from trading.selectors.facts import halt_reason
from trading.services import orders
from trading.services.executions import report_apply
from trading.services.orders import order_cancel, order_place
from trading.services.submissions import submission_process

D = Decimal
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.serial]
THREADS, TRIES = 8, 40


@dataclass
class Floor:
    """Alice, her account, and a market that is open now."""

    user: Any
    account: BrokerageAccount
    instrument: Any

    def quote(self, bid: str = "99.99", ask: str = "100.00", size: str = "100000") -> None:
        put_quote(quote("AAPL", bid, ask, now=timezone.now(), sizes=(size,)))

    def cash(self, amount: str) -> None:
        """Leave her this much."""
        transfer_make(
            account=self.account,
            direction="withdrawal",  # type: ignore[arg-type]
            amount=D(100_000) - D(amount),
            key="to the starting line",
            requested_by=self.user,
            now=timezone.now(),
        )

    def place(self, qty: str, limit: str, key: str | None = None, side: str = "buy") -> Order:
        now = timezone.now()
        intent = OrderIntent(
            symbol="AAPL",
            side=Side(side),
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            qty=D(qty),
            limit_price=D(limit),
            asset_type="stock",
        )
        return order_place(
            account=self.account,
            instrument=self.instrument,
            intent=intent,
            quote=quote_store.quote_get("AAPL"),
            key=key,
            placed_by=self.user,
            source="api",
            now=now,
        ).order

    @property
    def pocket(self) -> LedgerAccount:
        return LedgerAccount.objects.get(brokerage_account=self.account, kind="cash")


@pytest.fixture
def floor() -> Floor:
    user = make_user("alice")
    made = Floor(user, account_of(user), instrument("AAPL"))
    made.quote()
    return made


def grants(
    ask: Callable[[int, int], object], enough: int = THREADS * TRIES, *, locked: bool = True
) -> int:
    """How many of THREADS x TRIES tries were granted; no thread goes on after `enough`.

    Where the lock is out, two may wait for each other's pockets, and the database ends one: for the
    deadlock, or on a busy machine because it has waited long enough.
    """
    granted: list[int] = []  # appending is atomic

    def runner(thread: int) -> Callable[[], None]:
        def run() -> None:
            for number in range(TRIES):
                if len(granted) >= enough:
                    return
                try:
                    ask(thread, number)
                except DomainError:
                    continue
                except OperationalError as error:
                    if locked or not re.search("deadlock|lock timeout", str(error)):
                        raise
                    continue
                granted.append(thread)

        return run

    race([runner(thread) for thread in range(THREADS)])
    return len(granted)


@contextmanager
def without_lock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The account is read, not locked: what the lock protects is protected no more."""

    def read(account_id: int, *_: Any) -> BrokerageAccount:
        return BrokerageAccount.objects.annotate(halted=halt_reason()).get(pk=account_id)

    with monkeypatch.context() as patch:
        for module in (orders, transfers, books):
            patch.setattr(module, "account_lock", read)
        yield


@contextmanager
def without_checks() -> Iterator[None]:
    """The last line of defence taken away, so that what the lock alone does can be seen."""
    drops = (
        "ALTER TABLE portfolio_ledgeraccount DROP CONSTRAINT ledger_available_not_negative",
        "ALTER TABLE portfolio_transfer DROP CONSTRAINT transfer_source_version",
        "ALTER TABLE portfolio_transfer DROP CONSTRAINT transfer_target_version",
    )
    adds = (
        """ALTER TABLE portfolio_ledgeraccount ADD CONSTRAINT ledger_available_not_negative
           CHECK (kind NOT IN ('cash', 'position') OR (balance >= reserved AND reserved >= 0))
           NOT VALID""",
        """ALTER TABLE portfolio_transfer ADD CONSTRAINT transfer_source_version
           UNIQUE (source_id, source_version)""",
        """ALTER TABLE portfolio_transfer ADD CONSTRAINT transfer_target_version
           UNIQUE (target_id, target_version)""",
    )
    with connection.cursor() as cursor:
        for statement in drops:
            cursor.execute(statement)
    try:
        yield
    finally:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = 'replica'")
            cursor.execute("TRUNCATE portfolio_transfer")
            for statement in adds:
                cursor.execute(statement)


# ── cash ─────────────────────────────────────────────────────────────────────
@pytest.mark.fault("F16")
def test_a_hundred_dollars_are_granted_a_hundred_times_and_more_without_the_lock(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
):
    """8 threads x 40 tries for a dollar: exactly 100 holds; with the lock taken out, more.

    This test fails without the lock of the account: that is its second half.
    """
    floor.cash("100")
    granted = grants(lambda thread, number: floor.place("0.01", "100.00", f"{thread}-{number}"))
    assert granted == 100
    assert Order.objects.count() == Hold.objects.count() == 100
    assert (floor.pocket.balance, floor.pocket.reserved) == (D(100), D(100))
    assert list(ledger_differences()) == []

    floor.account = account_of(make_user("without"))
    floor.user = floor.account.user
    floor.cash("100")
    LedgerAccount.objects.create(brokerage_account=floor.account, kind="position", asset="AAPL")
    with without_lock(monkeypatch):
        granted = grants(
            lambda t, number: floor.place("0.01", "100.00", f"{t}-{number}"), 101, locked=False
        )
    assert granted > 100, "the race is real: without the lock one dollar is held twice"
    held = sum(Hold.objects.filter(ledger_account=floor.pocket).values_list("amount", flat=True))
    assert held == D(granted) > floor.pocket.balance
    assert {d.invariant for d in ledger_differences()} == {"I3 reserved is what orders hold"}


@pytest.mark.fault("F16")
def test_withdrawals_never_overdraw_and_do_without_the_lock(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
):
    """The same with money that leaves: the database's own CHECKs are taken away to see it."""

    def withdraw(thread: int, number: int) -> None:
        transfer_make(
            account=floor.account,
            direction="withdrawal",  # type: ignore[arg-type]
            amount=D(1),
            key=f"{thread}-{number}",
            requested_by=floor.user,
            now=timezone.now(),
        )

    floor.cash("100")
    assert grants(withdraw) == 100
    assert floor.pocket.balance == 0
    assert list(ledger_differences()) == []

    floor.account = account_of(make_user("without"))
    floor.user = floor.account.user
    floor.cash("100")
    with without_checks(), without_lock(monkeypatch):
        assert grants(withdraw, 101, locked=False) > 100


def test_a_withdrawal_and_an_order_do_not_spend_the_same_dollar(floor: Floor):
    floor.cash("100")

    def withdraw() -> str:
        try:
            transfer_make(
                account=floor.account,
                direction="withdrawal",  # type: ignore[arg-type]
                amount=D(60),
                key="out",
                requested_by=floor.user,
                now=timezone.now(),
            )
        except InsufficientCash:
            return "refused"
        return "withdrawn"

    def buy() -> str:
        try:
            floor.place("0.6", "100.00")
        except DomainError as refusal:
            assert refusal.code == "insufficient_buying_power"
            return "refused"
        return "placed"

    assert sorted(race([withdraw, buy])) in (["placed", "refused"], ["refused", "withdrawn"])
    assert floor.pocket.reserved <= floor.pocket.balance
    assert list(ledger_differences()) == []


# ── keys ─────────────────────────────────────────────────────────────────────
@pytest.mark.fault("F17")
def test_a_hundred_posts_of_one_key_make_one_order(floor: Floor, monkeypatch: pytest.MonkeyPatch):
    """Every caller gets that order; fails without the key (or its unique constraint)."""
    # Twenty-five queue for one account: on a slow machine that is longer than anybody waits.
    options = connections.settings["default"]["OPTIONS"]
    patient = re.sub(r"lock_timeout=\d+", "lock_timeout=30000", options["options"])
    monkeypatch.setitem(options, "options", patient)
    client = ApiClient(floor.user)
    body = {
        "symbol": "AAPL",
        "side": "buy",
        "order_type": "limit",
        "qty": "1",
        "limit_price": "90.00",
    }

    def post() -> tuple[int, str]:
        answer = ApiClient(floor.user, token=client.token).post(
            "orders", body, **{"Idempotency-Key": "monday"}
        )
        return answer.status_code, json.dumps(answer.json(), sort_keys=True)

    answers: list[tuple[int, str]] = []
    for _ in range(4):  # 4 x 25: as many connections as a small server has
        answers += race([post] * 25)
    assert len(answers) == 100
    assert sorted({status for status, _ in answers}) == [200, 201]
    assert [status for status, _ in answers].count(201) == 1
    assert len({body for _, body in answers}) == 1, "all bodies are equal"
    assert (Order.objects.count(), Submission.objects.count()) == (1, 1)
    assert floor.pocket.reserved == D(90)


@pytest.mark.fault("F17")
def test_different_bodies_under_one_key_make_one_order(floor: Floor):
    def post(qty: int) -> Callable[[], str]:
        def run() -> str:
            try:
                return f"order {floor.place(str(qty), '90.00', 'monday').pk}"
            except DomainError as refusal:
                return refusal.code

        return run

    answers = race([post(qty) for qty in range(1, 9)])
    assert answers.count("idempotency_mismatch") == 7
    assert Order.objects.count() == 1


def test_one_transfer_key_moves_money_once(floor: Floor):
    def deposit() -> int:
        made, _ = transfer_make(
            account=floor.account,
            direction="deposit",  # type: ignore[arg-type]
            amount=D(5),
            key="monday",
            requested_by=floor.user,
            now=timezone.now(),
        )
        return made.pk

    assert len(set(race([deposit] * 10))) == 1
    assert floor.pocket.balance == D(100_005)


# ── workers, venue, cancels ──────────────────────────────────────────────────
def test_two_workers_with_one_submission_make_one_broker_order(floor: Floor):
    """Fails without the claim: the second would ask the venue as well."""
    order = floor.place("1", "90.00")
    pk = Submission.objects.get(order=order).pk
    race([lambda: submission_process(submission_id=pk, now=timezone.now())] * 6)
    assert PaperOrder.objects.count() == 1
    submission = Submission.objects.get(pk=pk)
    assert submission.attempts == 1
    assert submission.done_at is not None
    assert OrderEvent.objects.filter(order=order, new_state="submitting").count() == 1


@pytest.mark.parametrize("attempt", range(4))
@pytest.mark.fault("F25")
def test_a_cancel_that_races_a_fill_leaves_consistent_books(floor: Floor, attempt: int):
    """Whoever wins: the order ends, holds nothing, and the books are those of its fills."""
    order = floor.place("10", "95.00")
    submission_process(submission_id=Submission.objects.get(order=order).pk, now=timezone.now())
    paper = PaperOrder.objects.get()
    venue = venue_now()
    floor.quote("94.00", "94.50", "4" if attempt % 2 else "10")

    def cancel() -> None:
        try:
            order_cancel(order=order, actor=floor.user, source="api", now=timezone.now())
        except Conflict:
            return  # the fill was faster
        for pk in Submission.objects.filter(order=order, done_at=None).values_list("pk", flat=True):
            submission_process(submission_id=pk, now=timezone.now())

    def fill() -> None:
        for report in venue.look(paper.pk, timezone.now()):
            report_apply(
                account_id=report.account_id,
                report=report.order,
                source="venue",
                now=timezone.now(),
            )

    race([cancel, fill])
    order = Order.objects.get()
    assert order.state in {"filled", "canceled"}
    matched = sum(PaperFill.objects.values_list("qty", flat=True))
    assert order.filled_qty == matched == sum(Fill.objects.values_list("qty", flat=True))
    assert (order.state == "filled") == (matched == 10)
    assert Hold.objects.get().amount == floor.pocket.reserved == 0
    assert floor.pocket.balance == D(100_000) - matched * D("94.50")
    assert list(ledger_differences()) == []


def venue_now() -> PaperVenue:
    """A venue process that has read its book."""
    venue = PaperVenue(market_hours())
    list(venue.load(timezone.now()))
    return venue


@pytest.mark.fault("F6")
def test_one_report_told_by_many_at_once_is_booked_once(floor: Floor):
    """The venue, the poll and a look-up bring the same fills in the same moment."""
    order = floor.place("10", "100.00")
    submission_process(submission_id=Submission.objects.get(order=order).pk, now=timezone.now())
    [report] = venue_now().look(PaperOrder.objects.get().pk, timezone.now())

    def tell() -> None:
        report_apply(
            account_id=report.account_id, report=report.order, source="poll", now=timezone.now()
        )

    race([tell] * 8)
    assert Fill.objects.count() == 1
    assert floor.pocket.balance == D(99_000)
    assert list(ledger_differences()) == []


def test_sales_never_sell_one_share_twice(floor: Floor):
    order = floor.place("5", "100.00")
    submission_process(submission_id=Submission.objects.get(order=order).pk, now=timezone.now())
    venue = venue_now()
    for report in venue.look(PaperOrder.objects.get().pk, timezone.now()):
        report_apply(
            account_id=report.account_id, report=report.order, source="venue", now=timezone.now()
        )

    def sell() -> str:
        try:
            floor.place("1", "110.00", side="sell")
        except DomainError as refusal:
            return refusal.code
        return "placed"

    answers = race([sell] * 12)
    assert answers.count("placed") == 5
    assert answers.count("insufficient_position") == 7
