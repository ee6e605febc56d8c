"""The books in the database: facts go in, figures come out, and every lie is found."""

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from portfolio.domain.lots import FillFact, Holding, OpenLot
from portfolio.models import (
    Hold,
    JournalEntry,
    LedgerAccount,
    LedgerCheck,
    Lot,
    Position,
    Transfer,
)
from portfolio.services.holds import InsufficientFunds, InsufficientPosition
from portfolio.services.rebuild import ledger_differences, positions_rebuild
from portfolio.tests.ledger import Ledger
from portfolio.tests.test_lots import assert_agrees, dice_history, trades
from trading.simulation.oracle import solve

D = Decimal


# ── facts ────────────────────────────────────────────────────────────────────
def test_a_new_account_holds_its_opening_cash(ledger: Ledger):
    assert ledger.cash == D(100_000)
    assert ledger.pocket("external").balance == D(-100_000)
    [entry] = JournalEntry.objects.all()
    assert (entry.kind, entry.reference, entry.amount) == ("deposit", "opening", D(100_000))
    assert ledger.differences() == []


def test_deposits_and_withdrawals_move_cash(ledger: Ledger):
    ledger.deposit("250.50")
    ledger.withdraw("100.25")
    assert ledger.cash == D("100150.25")
    assert ledger.pocket("external").balance == -ledger.cash
    assert ledger.differences() == []


def test_each_entry_starts_where_the_last_one_ended(ledger: Ledger):
    for amount in ("1", "2", "3"):
        ledger.deposit(amount)
    cash = ledger.pocket()
    entries = Transfer.objects.filter(target=cash).order_by("target_version")
    assert [entry.target_version for entry in entries] == [1, 2, 3, 4]
    assert [entry.target_balance for entry in entries] == [
        D(100_000),
        D(100_001),
        D(100_003),
        D(100_006),
    ]
    assert cash.version == 4


def test_a_purchase_and_a_sale_leave_lots_position_and_fees(ledger: Ledger):
    ledger.fill("buy", "10", "100", "1")
    ledger.wait(60)
    ledger.fill("buy", "10", "110", "1.10")
    ledger.wait(60)
    ledger.fill("sell", "15", "120", "1.80")
    position = ledger.position()
    assert (position.qty, position.cost_basis) == (D(5), D(550))
    assert (position.realized_pl, position.fees) == (D(250), D("3.90"))
    assert ledger.cash == D(100_000) - 1000 - 1100 + 1800 - D("3.90")
    assert [(lot.remaining, lot.cost) for lot in Lot.objects.order_by("opened_at")] == [
        (0, 0),
        (D(5), D(550)),
    ]
    assert ledger.differences() == []


def test_a_position_is_open_since_it_was_last_flat(ledger: Ledger):
    opened = ledger.now
    ledger.fill("buy", "10", "100")
    ledger.wait(60)
    ledger.fill("buy", "5", "100")
    ledger.wait(60)
    ledger.fill("sell", "12", "100")  # the first lot is gone, the position is not
    assert ledger.position().opened_at == opened
    ledger.wait(60)
    ledger.fill("sell", "3", "100")
    assert ledger.position().opened_at is None
    reopened = ledger.wait(60)
    ledger.fill("buy", "1", "100")
    assert ledger.position().opened_at == reopened


def test_a_late_fill_takes_its_place_in_time(ledger: Ledger):
    """The cheaper purchase happened first and is told last: FIFO must sell it first."""
    early = ledger.fact("buy", "1", "90")
    ledger.wait(60)
    ledger.fill("buy", "1", "100")
    ledger.wait(60)
    ledger.fill("sell", "1", "110")
    assert ledger.position().realized_pl == D(10)
    ledger.book(early)
    position = ledger.position()
    assert (position.realized_pl, position.qty, position.cost_basis) == (D(20), D(1), D(100))
    assert position.opened_at == early.executed_at
    assert ledger.differences() == []


@pytest.mark.fault("F15")
def test_a_clock_that_ran_backwards_stops_no_booking(ledger: Ledger):
    """The venue's clock was set back by a minute between a purchase and its sale."""
    ledger.fill("buy", "2", "100")
    ledger.wait(-60)
    ledger.fill("sell", "1", "110")
    assert (ledger.position().qty, ledger.position().realized_pl) == (1, D(10))
    ledger.wait(120)
    ledger.fill("buy", "1", "105")
    ledger.fill("sell", "2", "120")
    assert (ledger.position().qty, ledger.position().realized_pl) == (0, D(45))
    assert ledger.differences() == []
    positions_rebuild(now=ledger.now)
    assert ledger.differences() == []


def test_a_coin_and_a_share_do_not_mix(ledger: Ledger):
    ledger.fill("buy", "1", "100")
    ledger.fill("buy", "0.5", "50000", "25", symbol="BTC/USD")
    assert ledger.position("AAPL").qty == 1
    assert ledger.position("BTC/USD").cost_basis == D(25_000)
    assert ledger.differences() == []


# ── holds ────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "asset, free, error",
    [("USD", "99000", InsufficientFunds), ("AAPL", "10", InsufficientPosition)],
)
def test_no_more_is_put_on_hold_than_is_free(
    ledger: Ledger, asset: str, free: str, error: type[Exception]
):
    """The last word under the lock, for whoever comes past the risk checks."""
    ledger.fill("buy", "10", "100")
    with pytest.raises(error):
        ledger.hold(str(D(free) + D("0.00000001")), order_ref=1, asset=asset)
    ledger.hold(free, order_ref=2, asset=asset)
    with pytest.raises(error):
        ledger.hold("0.00000001", order_ref=3, asset=asset)
    assert [hold.order_ref for hold in Hold.objects.all()] == [2]
    assert ledger.differences() == []


# ── any history ──────────────────────────────────────────────────────────────
def arrivals(dice: random.Random, facts: list[FillFact]) -> list[FillFact]:
    """The fills as reports may bring them: purchases in any order between two sales.

    A sale is never told before the purchases it sells from: its shares were put on hold first.
    """
    told, bunch = [], list[FillFact]()
    for fact in [*facts, None]:
        if fact is None or (bunch and fact.side != bunch[-1].side):
            dice.shuffle(bunch)
            told += bunch
            bunch = []
        if fact is not None:
            bunch.append(fact)
    return told


@pytest.mark.parametrize("number", range(12))
def test_any_history_in_the_database_agrees_with_the_oracle(ledger: Ledger, number: int):
    """Fills out of order, cash, lots, P&L: the tables against fractions, to the last digit."""
    dice = random.Random(f"books:{number}")
    facts = [replace(fact, order_ref=None) for fact in dice_history(dice, dice.randint(1, 12))]
    rich = ledger.pocket()  # the opening cash is no match for what dice buy
    LedgerAccount.objects.filter(pk=rich.pk).update(balance=D(10) ** 17)
    before = ledger.cash
    for fact in arrivals(dice, facts):
        ledger.book(fact)
    position, answer = ledger.position(), solve(trades(facts))
    assert Fraction(ledger.cash - before) == answer.cash
    assert_agrees(stored_holding(position), facts, answer)
    assert Fraction(position.qty) == answer.qty
    assert Fraction(position.cost_basis) == answer.cost
    assert [str(lie) for lie in position_lies(position)] == []


def position_lies(position: Position) -> list[Any]:
    where = f"position {position.pk}"
    return [difference for difference in ledger_differences() if where in difference.where]


def stored_holding(position: Position) -> Holding:
    """The tables as the domain's value."""
    rows = Lot.objects.filter(position=position, remaining__gt=0).order_by("opened_at", "reference")
    lots = tuple(
        OpenLot(r.reference, None, r.opened_at, r.qty, r.price, r.remaining, r.cost) for r in rows
    )
    return Holding(lots, position.realized_pl, position.fees, position.opened_at)


# ── the check ────────────────────────────────────────────────────────────────
@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    """Two positions, three lots, two holds, a deposit."""
    ledger.fill("buy", "10", "100", "1")
    ledger.wait(60)
    ledger.fill("buy", "10", "110")
    ledger.wait(60)
    ledger.fill("sell", "5", "120")
    ledger.fill("buy", "0.5", "50000", "25", symbol="BTC/USD")
    ledger.hold("500", order_ref=1)
    ledger.hold("4", order_ref=2, asset="AAPL")
    ledger.deposit("77")
    return ledger


def plant(model: Any, pk: int, **lie: Any) -> None:
    """Write a lie past all code, as a bug or a person with a database shell would."""
    model.objects.filter(pk=pk).update(**lie)


def test_honest_books_show_no_difference(books: Ledger):
    assert list(ledger_differences()) == []


def test_a_wrong_balance_is_found(books: Ledger):
    plant(LedgerAccount, books.pocket().pk, balance=books.cash + D("0.00000001"))
    assert books.differences() == ["I1 sums to zero", "I2 balance is history"]


def test_money_that_was_shifted_between_pockets_is_found(books: Ledger):
    """The sum is right, the balances are not."""
    plant(LedgerAccount, books.pocket("market").pk, balance=books.pocket("market").balance - 1)
    plant(LedgerAccount, books.pocket("fees").pk, balance=books.pocket("fees").balance + 1)
    assert books.differences() == ["I2 balance is history"]


def test_a_wrong_version_is_found(books: Ledger):
    plant(LedgerAccount, books.pocket().pk, version=99)
    assert books.differences() == ["I2 balance is history"]


@pytest.mark.parametrize(
    "lie, found",
    [
        ({"qty": D(16)}, {"I7 position is its fills", "I7 position is the pocket"}),
        ({"cost_basis": D(1)}, {"I8 cost is its lots"}),
        ({"realized_pl": D(1)}, {"I8 realised P&L"}),
        ({"fees": D(2)}, {"I8 fees"}),
        ({"opened_at": None}, {"I7 position is its fills"}),
    ],
)
def test_a_wrong_position_is_found_and_mended(books: Ledger, lie: dict[str, Any], found: set[str]):
    plant(Position, books.position().pk, **lie)
    assert set(books.differences()) == found
    assert positions_rebuild(now=books.now) == 2
    assert books.differences() == []


@pytest.mark.parametrize(
    "lie", [{"remaining": D(4)}, {"cost": D(1)}, {"price": D(1)}, {"qty": D(11)}]
)
def test_a_wrong_lot_is_found_and_mended(books: Ledger, lie: dict[str, Any]):
    lot = Lot.objects.filter(position=books.position(), remaining__gt=0).first()
    assert lot is not None
    plant(Lot, lot.pk, **lie)
    assert books.differences() == ["I7 lots are its fills"]
    positions_rebuild(now=books.now)
    assert books.differences() == []


def test_a_lot_that_is_gone_is_found_and_mended(books: Ledger):
    before = stored_holding(books.position())
    Lot.objects.filter(position=books.position()).delete()
    assert books.differences() == ["I7 lots are its fills"]
    positions_rebuild(now=books.now)
    assert stored_holding(books.position()) == before


def test_a_position_that_is_gone_is_found_and_mended(books: Ledger):
    """Shares in a pocket without a position were invisible to the user, and to the check."""
    lost = books.position()
    before = stored_holding(lost)
    lost.delete()
    assert books.differences() == ["I7 shares have a position"]
    assert positions_rebuild(now=books.now) == 2
    assert books.differences() == []
    assert stored_holding(books.position()) == before


@pytest.mark.parametrize("order_ref, kind, asset", [(1, "cash", "USD"), (2, "position", "AAPL")])
def test_a_wrong_hold_is_found(books: Ledger, order_ref: int, kind: str, asset: str):
    hold = Hold.objects.get(order_ref=order_ref)
    plant(Hold, hold.pk, amount=hold.amount - 1)
    assert books.differences() == ["I3 reserved is what orders hold"]
    plant(Hold, hold.pk, amount=hold.amount)
    pocket = books.pocket(kind, asset)
    plant(LedgerAccount, pocket.pk, reserved=0)
    assert books.differences() == ["I3 reserved is what orders hold"]


def unguarded(sql: str, *params: object) -> None:
    """Change the ledger itself, with its triggers off."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = 'replica'")
        cursor.execute(sql, params)
        cursor.execute("SET LOCAL session_replication_role = 'origin'")


@pytest.mark.parametrize(
    "change, found",
    [
        ("amount = amount + 1", "I2 balance is history"),
        ("target_balance = target_balance + 1", "I2 no gap in the entries"),
        ("source_version = source_version + 100", "I2 no gap in the entries"),
    ],
)
def test_a_rewritten_transfer_is_found(books: Ledger, change: str, found: str):
    last = Transfer.objects.filter(journal__kind="deposit").latest("id")
    unguarded(f"UPDATE portfolio_transfer SET {change} WHERE id = %s", last.pk)  # noqa: S608
    assert found in books.differences()


@pytest.mark.parametrize(
    "change, found",
    [
        ("amount = amount - 1", "journal cash is the transfers"),
        ("qty = qty + 1", "journal shares are the transfers"),
    ],
)
def test_a_rewritten_fact_is_found(books: Ledger, change: str, found: str):
    fact = JournalEntry.objects.filter(kind="fill").latest("id")
    unguarded(f"UPDATE portfolio_journalentry SET {change} WHERE id = %s", fact.pk)  # noqa: S608
    assert found in books.differences()


def test_a_history_that_sells_too_much_is_found_and_not_a_crash(books: Ledger):
    fact = JournalEntry.objects.filter(kind="fill", side="sell").latest("id")
    unguarded("UPDATE portfolio_journalentry SET qty = 500 WHERE id = %s", fact.pk)
    assert "I11 nothing is short" in books.differences()


# ── the commands ─────────────────────────────────────────────────────────────
def test_the_command_is_content_with_honest_books(books: Ledger, capsys):
    call_command("check_ledger")
    assert "0 differences" in capsys.readouterr().out
    check = LedgerCheck.objects.get()
    assert (check.differences, check.details, check.ran_at) == (0, [], books.now)


def test_the_command_fails_loudly_on_a_difference(books: Ledger, capsys):
    plant(Position, books.position().pk, fees=D(2))
    with pytest.raises(CommandError, match="1 difference"):
        call_command("check_ledger")
    words = capsys.readouterr().err
    assert "I8 fees" in words and "2" in words and "expected 1" in words
    assert LedgerCheck.objects.get().differences == 1


def test_the_rebuild_command_mends(books: Ledger, capsys):
    plant(Position, books.position().pk, fees=D(2))
    call_command("rebuild_positions")
    assert "2 positions" in capsys.readouterr().out
    call_command("check_ledger")


def test_a_rebuild_of_honest_books_changes_nothing(books: Ledger):
    before = [stored_holding(position) for position in Position.objects.order_by("id")]
    books.wait(timedelta(days=1).total_seconds())
    positions_rebuild(now=books.now)
    assert [stored_holding(position) for position in Position.objects.order_by("id")] == before


def test_the_check_reads_one_consistent_view(transactional_db):
    """Outside a transaction it opens one of its own, read only: it can lock and change nothing."""
    assert list(ledger_differences()) == []
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("read committed",)
