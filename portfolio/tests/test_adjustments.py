"""What a broker says is there: each booking to the last column, for nobody ordered it."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.keys import BrokerKey
from accounts.services.connections import account_connect
from accounts.services.syncs import account_activate
from portfolio.domain.lots import SoldTooMuch
from portfolio.domain.pnl import EquityPoint, Summary
from portfolio.domain.returns import step_return
from portfolio.models import EntryKind, JournalEntry, Lot
from portfolio.selectors import summary_get
from portfolio.services import adjustments
from portfolio.services.books import account_lock
from portfolio.tests.ledger import Ledger
from speedtrade.testing.market import put_quote, quote

D = Decimal


@pytest.fixture
def at_broker(alice: Any, clock: Any) -> Ledger:
    """Her account at a broker: it begins with nothing, and what happened there is booked."""
    books = Ledger(alice, alice.brokerage_accounts.get(), clock)
    account = account_connect(
        user=alice, broker="alpaca", mode="paper", key=BrokerKey("PKALICE", "s" * 40), now=books.now
    )
    account_activate(account_id=account.pk, now=books.now)
    account.refresh_from_db()
    books.account = account
    return books


def booked(ledger: Ledger, act: Callable[..., Any], **given: Any) -> Any:
    """Do this to the locked account."""
    with transaction.atomic():
        return act(account=account_lock(ledger.account.pk), now=ledger.now, **given)


def shift(ledger: Ledger, qty: str, cost: str | None = None, key: str = "k") -> None:
    amount = None if cost is None else D(cost)
    booked(
        ledger,
        adjustments.holding_shift,
        instrument=ledger.instrument(),
        qty=D(qty),
        cost=amount,
        key=key,
    )


def event(ledger: Ledger, kind: EntryKind, amount: str, reference: str = "E1") -> Any:
    at = ledger.now - timedelta(hours=2)
    return booked(
        ledger,
        adjustments.cash_event_book,
        kind=kind,
        amount=D(amount),
        reference=reference,
        at=at,
    )


def journal(ledger: Ledger) -> list[tuple[str, str, Decimal]]:
    rows = JournalEntry.objects.filter(brokerage_account=ledger.account).order_by("id")
    return list(rows.values_list("kind", "reference", "amount"))


def balances(ledger: Ledger, *pockets: tuple[str, str]) -> list[Decimal]:
    return [ledger.pocket(*pocket).balance for pocket in pockets]


# ── cash ─────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("amount, kind", [("250.5", "deposit"), ("-250.5", "withdrawal")])
def test_the_cash_that_an_account_begins_with_may_be_a_debt(
    at_broker: Ledger, amount: str, kind: str
):
    booked(at_broker, adjustments.cash_open, amount=D(amount))
    assert journal(at_broker) == [(kind, "opening", D(amount))]
    assert balances(at_broker, ("cash", "USD"), ("external", "USD")) == [D(amount), -D(amount)]
    assert at_broker.differences() == []


def test_no_cash_is_no_entry(at_broker: Ledger):
    booked(at_broker, adjustments.cash_open, amount=D(0))
    assert journal(at_broker) == []


@pytest.mark.parametrize("amount, kind", [("0.4", "deposit"), ("-0.4", "withdrawal")])
def test_cash_that_came_or_went_says_so(at_broker: Ledger, amount: str, kind: str):
    row = booked(at_broker, adjustments.cash_shift, amount=D(amount), reference="R1")
    assert (row.kind, row.reference, row.amount) == (kind, "R1", D(amount))
    assert (row.effective_at, row.created_at) == (at_broker.now, at_broker.now)
    assert at_broker.cash == D(amount)
    with pytest.raises(IntegrityError), transaction.atomic():
        booked(at_broker, adjustments.cash_shift, amount=D(amount), reference="R1")


@pytest.mark.parametrize("amount", ["0.75", "-0.75"])
@pytest.mark.parametrize("kind, other", [(EntryKind.FEE, "fees"), (EntryKind.DIVIDEND, "market")])
def test_income_and_cost_are_no_deposit(
    at_broker: Ledger, kind: EntryKind, other: str, amount: str
):
    row = event(at_broker, kind, amount)
    assert (row.kind, row.reference, row.amount) == (kind, "E1", D(amount))
    assert (row.created_at, row.effective_at) == (at_broker.now, at_broker.now - timedelta(hours=2))
    assert balances(at_broker, ("cash", "USD"), (other, "USD")) == [D(amount), -D(amount)]
    assert at_broker.differences() == []


@pytest.mark.parametrize(
    "kind, amount", [(EntryKind.DEPOSIT, "7"), (EntryKind.WITHDRAWAL, "-7"), (EntryKind.FEE, "-7")]
)
def test_an_event_is_booked_once(at_broker: Ledger, kind: EntryKind, amount: str):
    assert event(at_broker, kind, amount).kind == kind
    assert event(at_broker, kind, amount) is None
    assert journal(at_broker) == [(kind, "E1", D(amount))]
    assert event(at_broker, kind, amount, "E2") is not None


def test_an_event_of_another_account_is_another(at_broker: Ledger, ledger: Ledger):
    assert event(ledger, EntryKind.DIVIDEND, "1") is not None
    assert event(at_broker, EntryKind.DIVIDEND, "1") is not None


# ── units ────────────────────────────────────────────────────────────────────
def test_units_come_at_their_cost_and_leave_cash_as_it_was(at_broker: Ledger):
    shift(at_broker, "3", "100.123456785")  # rounded to the even neighbour
    value = D("100.12345678")
    assert journal(at_broker) == [
        ("deposit", "brought:k:AAPL:value", value),
        ("fill", "brought:k:AAPL", -value),
    ]
    fill = JournalEntry.objects.get(reference="brought:k:AAPL")
    assert (fill.side, fill.qty, fill.notional, fill.fee) == ("buy", D(3), value, 0)
    assert (fill.price, fill.order_ref) == (D("33.3744855933"), None)
    assert (fill.effective_at, fill.created_at) == (at_broker.now, at_broker.now)
    position = at_broker.position()
    assert (position.qty, position.cost_basis, position.realized_pl) == (D(3), value, 0)
    assert balances(at_broker, ("cash", "USD"), ("external", "USD")) == [0, -value]
    assert at_broker.differences() == []


def test_units_go_at_what_the_oldest_had_cost(at_broker: Ledger):
    shift(at_broker, "2", "20", "one")
    at_broker.wait(1)
    shift(at_broker, "2", "60", "two")
    at_broker.wait(1)
    shift(at_broker, "-3", "999", "three")  # the gain on them is none that was realised
    assert journal(at_broker)[4:] == [
        ("fill", "brought:three:AAPL", D(50)),
        ("withdrawal", "brought:three:AAPL:value", D(-50)),
    ]
    fill = JournalEntry.objects.get(reference="brought:three:AAPL")
    assert (fill.side, fill.qty, fill.notional) == ("sell", D(3), D(50))
    position = at_broker.position()
    assert (position.qty, position.cost_basis, position.realized_pl) == (D(1), D(30), 0)
    assert balances(at_broker, ("cash", "USD"), ("external", "USD")) == [0, D(919)]
    assert at_broker.differences() == []


@pytest.mark.parametrize("worth", ["5000", "400", "1000"], ids=["won", "lost", "even"])
def test_units_that_go_take_out_what_they_are_worth(at_broker: Ledger, worth: str):
    """10 that cost 1,000: what was won or lost with them by then stays, and so does the return."""

    def seen() -> Summary:
        return summary_get(account=at_broker.account, now=at_broker.now)

    def points(one: Summary) -> EquityPoint:
        return EquityPoint(one.as_of, one.portfolio_value, one.net_deposits)

    shift(at_broker, "10", "1000")
    put_quote(quote("AAPL", "1", str(D(worth) / 10), now=at_broker.now))
    before = seen()
    at_broker.wait(1)
    shift(at_broker, "-10", worth, "away")
    after = seen()
    assert before.total_pl == after.total_pl == D(worth) - 1000
    assert step_return(points(before), points(after)) == 0
    assert (after.portfolio_value, at_broker.position().realized_pl, at_broker.cash) == (0, 0, 0)
    assert at_broker.differences() == []


def test_units_that_came_for_nothing_take_out_what_they_are_worth(at_broker: Ledger):
    shift(at_broker, "2")
    shift(at_broker, "-2", "60", "away")
    assert journal(at_broker)[-1] == ("withdrawal", "brought:away:AAPL:value", D(0))
    assert at_broker.pocket("external").balance == D(60)
    assert at_broker.differences() == []


def test_units_without_a_cost_come_for_nothing(at_broker: Ledger):
    shift(at_broker, "2")
    assert journal(at_broker) == [("fill", "brought:k:AAPL", D(0))]
    fill = JournalEntry.objects.get(kind="fill")
    assert (fill.notional, fill.price) == (0, D("0.0000000001"))
    shift(at_broker, "-2", key="away")
    assert [kind for kind, _, _ in journal(at_broker)] == ["fill", "fill"]
    assert at_broker.differences() == []


def test_units_below_a_dollar_come_and_go_too(at_broker: Ledger):
    shift(at_broker, "0.5", "0.25")
    assert journal(at_broker)[0] == ("deposit", "brought:k:AAPL:value", D("0.25"))
    shift(at_broker, "-0.5", key="away")
    assert journal(at_broker)[-1] == ("withdrawal", "brought:away:AAPL:value", D("-0.25"))
    assert at_broker.position().qty == 0 and at_broker.differences() == []


def test_no_units_are_no_entry_and_the_same_units_come_once(at_broker: Ledger):
    shift(at_broker, "0", "5")
    assert journal(at_broker) == []
    shift(at_broker, "1", "5")
    with pytest.raises(IntegrityError), transaction.atomic():
        shift(at_broker, "1", "5")


def test_paper_cash_pays_for_no_units_that_come(ledger: Ledger):
    """Their value comes before they are paid for, and goes after they are sold."""
    ledger.withdraw("100000")
    shift(ledger, "1", "100")
    shift(ledger, "-1", key="away")
    assert ledger.cash == 0 and ledger.differences() == []


@pytest.mark.parametrize("held", ["0", "2"])
def test_more_units_than_are_held_cannot_go(at_broker: Ledger, held: str):
    shift(at_broker, held, "10")
    with pytest.raises(SoldTooMuch, match="would go" if held == "0" else None):
        shift(at_broker, "-2.5", key="away")
    assert len(journal(at_broker)) == (2 if held != "0" else 0)


# ── fees in units ────────────────────────────────────────────────────────────
def fee(ledger: Ledger, qty: str, event: str = "F1") -> bool:
    return booked(
        ledger, adjustments.fee_in_kind, instrument=ledger.instrument(), qty=D(qty), event=event
    )


def test_units_that_a_broker_took_are_a_loss_of_their_cost_once(at_broker: Ledger):
    shift(at_broker, "4", "10")
    at_broker.wait(1)
    assert fee(at_broker, "1") is True
    assert fee(at_broker, "1") is False
    row = JournalEntry.objects.get(reference="brought:fee:F1")
    assert (row.kind, row.side, row.qty, row.amount) == ("fill", "sell", D(1), 0)
    assert (row.notional, row.fee, row.price, row.order_ref) == (0, 0, D("2.5"), None)
    assert (row.effective_at, row.created_at) == (at_broker.now, at_broker.now)
    position = at_broker.position()
    assert (position.qty, position.cost_basis) == (D(3), D("7.5"))
    assert (position.realized_pl, position.fees) == (D("-2.5"), 0)
    assert at_broker.cash == 0 and at_broker.differences() == []


def test_a_long_name_of_a_fee_fits_its_column(at_broker: Ledger):
    shift(at_broker, "4", "10")
    assert fee(at_broker, "1", "f" * 200) is True
    assert fee(at_broker, "1", "f" * 200) is False
    [row] = JournalEntry.objects.filter(reference__startswith="brought:fee:")
    assert row.reference == "brought:fee:" + "f" * 88


def test_a_fee_belongs_to_its_account(at_broker: Ledger, ledger: Ledger):
    for books in (at_broker, ledger):
        shift(books, "4", "10")
        assert fee(books, "1") is True


def test_a_fee_of_more_than_is_held_is_refused(at_broker: Ledger):
    with pytest.raises(SoldTooMuch):
        fee(at_broker, "1")
    shift(at_broker, "0.5", "10")
    with pytest.raises(SoldTooMuch):
        fee(at_broker, "1")
    assert Lot.objects.get().remaining == D("0.5")
