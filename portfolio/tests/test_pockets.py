"""Pockets, holds and fills one by one: what is refused, and what each row says of what was done."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import AuditEvent
from portfolio.models import (
    CashTransfer,
    Direction,
    EntryKind,
    Hold,
    JournalEntry,
    LedgerAccount,
    LedgerKind,
    Lot,
    Transfer,
    WelcomeDismissal,
)
from portfolio.services import fills, transfers
from portfolio.services.books import Books, account_lock
from portfolio.services.checks import ledger_check_request
from portfolio.services.holds import (
    InsufficientFunds,
    InsufficientPosition,
    hold_change,
    hold_new,
    hold_open,
)
from portfolio.services.rebuild import DETAILS_LIMIT, Difference, ledger_check, ledger_differences
from portfolio.services.welcome import welcome_dismiss
from portfolio.tests.ledger import Ledger
from speedtrade.lib.errors import InvalidInput, InvariantBroken, NotFound

D = Decimal
CASH, OUTSIDE = (LedgerKind.CASH, "USD"), (LedgerKind.EXTERNAL, "USD")
MARKET, SHARES = (LedgerKind.MARKET, "USD"), (LedgerKind.POSITION, "AAPL")


def locked(ledger: Ledger) -> Books:
    return Books(account_lock(ledger.account.pk))


def pocket_count(ledger: Ledger) -> int:
    return LedgerAccount.objects.filter(brokerage_account=ledger.account).count()


def entry(ledger: Ledger, amount: str = "-5") -> JournalEntry:
    return JournalEntry.objects.create(
        brokerage_account=ledger.account,
        kind=EntryKind.WITHDRAWAL,
        reference="of the test",
        effective_at=ledger.now,
        created_at=ledger.now,
        amount=D(amount),
    )


# ── the lock ─────────────────────────────────────────────────────────────────
def test_an_account_that_is_none_is_not_found(ledger: Ledger):
    with pytest.raises(NotFound, match=r"^There is no such account\.$"):
        account_lock(0)


@pytest.mark.django_db(transaction=True)
def test_an_account_is_locked_inside_a_transaction_and_alone():
    from speedtrade.testing.cast import account_of, make_user

    account = account_of(make_user("alice"))
    words = "^an account is locked inside a transaction only$"
    with pytest.raises(InvariantBroken, match=words):
        account_lock(account.pk)
    with transaction.atomic():
        assert account_lock(account.pk) == account
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT mode FROM pg_locks WHERE pid = pg_backend_pid()"
                " AND relation = 'accounts_brokerageaccount'::regclass AND mode LIKE 'Row%'"
            )
            assert cursor.fetchall() == [("RowShareLock",)]


# ── pockets ──────────────────────────────────────────────────────────────────
def test_who_looks_at_a_pocket_leaves_nothing_behind(ledger: Ledger):
    before = pocket_count(ledger)
    books = Books(ledger.account)
    assert (books.seen(*SHARES).balance, books.seen(*SHARES).pk) == (0, None)
    assert books.seen(*CASH).balance == D(100_000)
    assert pocket_count(ledger) == before
    assert books.pocket(*SHARES).pk is not None and pocket_count(ledger) == before + 1
    assert Books(ledger.account).pocket(*SHARES).pk == books.pocket(*SHARES).pk


def test_pockets_are_read_in_one_query_and_once(ledger: Ledger, django_assert_num_queries: Any):
    books = Books(ledger.account)
    with django_assert_num_queries(1):
        books.load([CASH, OUTSIDE])
        books.load([OUTSIDE])
        assert books.seen(*CASH).balance == D(100_000)


def test_pockets_of_several_assets_are_read_and_made_together(ledger: Ledger):
    """One of them is there, one is read for its asset, and nobody's balance is anybody else's."""
    ledger.fill("buy", "2", "10")
    books = Books(ledger.account)
    books.load([CASH, SHARES, (LedgerKind.POSITION, "BTC/USD")])
    found = [books.seen(*one).balance for one in (CASH, SHARES, (LedgerKind.POSITION, "BTC/USD"))]
    assert found == [D(99_980), D(2), D(0)]
    assert ledger.pocket("position", "BTC/USD").balance == 0


@pytest.mark.parametrize("broker, overdraft", [("paper", False), ("alpaca", True)])
def test_a_new_pocket_may_go_below_zero_only_where_a_broker_keeps_it(
    ledger: Ledger, broker: str, overdraft: bool
):
    ledger.account.broker = broker
    assert Books(ledger.account).pocket(*SHARES).overdraft is overdraft


def test_a_move_is_one_transfer_between_two_pockets(ledger: Ledger):
    books, journal = locked(ledger), entry(ledger)
    books.move(journal, CASH, OUTSIDE, D(5))
    assert (ledger.cash, ledger.pocket().version) == (D(100_000), 1), "not before `save`"
    books.save()
    cash, outside = ledger.pocket(), ledger.pocket("external")
    assert (cash.balance, cash.version) == (D(99_995), 2)
    assert (outside.balance, outside.version) == (D(-99_995), 2)
    row = Transfer.objects.get(journal=journal)
    assert (row.source, row.target, row.asset, row.amount) == (cash, outside, "USD", D(5))
    assert (row.source_balance, row.target_balance) == (cash.balance, outside.balance)
    assert (row.source_version, row.target_version) == (2, 2)
    books.save()
    assert Transfer.objects.filter(journal=journal).count() == 1
    assert ledger.differences() == []


@pytest.mark.parametrize(
    "target, amount, words",
    [
        (SHARES, "1", "cannot move 1 from .*USD.* to .*AAPL"),
        (OUTSIDE, "0", "cannot move 0 from"),
        (OUTSIDE, "-1", "cannot move -1 from"),
    ],
)
def test_a_move_that_has_no_sense_is_refused(ledger: Ledger, target: Any, amount: str, words: str):
    books, journal = locked(ledger), entry(ledger)
    with pytest.raises(InvariantBroken, match=words):
        books.move(journal, CASH, target, D(amount))
    books.move(journal, CASH, OUTSIDE, D("0.00000001"))


def test_nobody_spends_what_is_not_there(ledger: Ledger):
    books = locked(ledger)
    books.move(entry(ledger), CASH, OUTSIDE, D("100000.5"))
    with pytest.raises(InvariantBroken, match=r"cash:USD would have -0\.50* with 0\S* reserved$"):
        books.save()


@pytest.mark.parametrize(
    "change, passes", [("100000", True), ("100000.00000001", False), ("-0.00000001", False)]
)
def test_no_more_and_no_less_is_reserved_than_there_is(ledger: Ledger, change: str, passes: bool):
    books = locked(ledger)
    books.reserve(CASH, D(change))
    if not passes:
        with pytest.raises(InvariantBroken):
            books.save()
        return
    books.save()
    assert ledger.pocket().reserved == D(change)


def test_where_a_broker_keeps_the_account_more_may_be_reserved_and_never_less_than_nothing(
    ledger: Ledger,
):
    LedgerAccount.objects.filter(pk=ledger.pocket().pk).update(overdraft=True)
    books = locked(ledger)
    books.reserve(CASH, D(100_001))
    books.save()
    books.reserve(CASH, D(-100_002))
    with pytest.raises(InvariantBroken):
        books.save()


def test_what_nobody_owns_goes_below_zero(ledger: Ledger):
    books = locked(ledger)
    books.move(entry(ledger, "5"), OUTSIDE, CASH, D(5))
    books.save()
    assert ledger.pocket("external").balance == D(-100_005)


def test_reserving_nothing_touches_no_pocket(ledger: Ledger):
    books = locked(ledger)
    books.reserve(CASH, D(0))
    assert books.reserved_rows() == []
    books.reserve(CASH, D(3))
    books.reserve(CASH, D(-1))
    [row] = books.reserved_rows()
    assert (row.pk, row.reserved) == (ledger.pocket().pk, D(2))
    assert books.reserved_rows() == []


def test_books_in_which_money_has_moved_are_saved_whole(ledger: Ledger):
    books = locked(ledger)
    books.move(entry(ledger), CASH, OUTSIDE, D(5))
    with pytest.raises(InvariantBroken, match=r"^books in which money has moved are saved$"):
        books.reserved_rows()
    books.save()
    books.reserve(CASH, D(100_000))
    with pytest.raises(InvariantBroken, match="would have"):
        books.reserved_rows()


# ── holds ────────────────────────────────────────────────────────────────────
def test_a_hold_says_what_when_and_for_whom(ledger: Ledger):
    ledger.hold("12.5", order_ref=7)
    hold = Hold.objects.get()
    assert (hold.order_ref, hold.amount, hold.ledger_account) == (7, D("12.5"), ledger.pocket())
    assert hold.created_at == hold.updated_at == ledger.now


@pytest.mark.parametrize(
    "asset, amount, error, words",
    [
        (
            "USD",
            "100000.5",
            InsufficientFunds,
            "The order needs $100000.50, $99000.00 is free: $1000.50 is missing.",
        ),
        ("AAPL", "10.25", InsufficientPosition, "The order sells 10.25 AAPL, 10 is free."),
    ],
)
def test_who_has_too_little_is_told_how_much(
    ledger: Ledger, asset: str, amount: str, error: Any, words: str
):
    ledger.fill("buy", "10", "100")
    with pytest.raises(error) as refusal:
        ledger.hold(amount, order_ref=1, asset=asset)
    assert refusal.value.detail == words


def test_an_order_that_is_at_the_broker_is_not_asked_whether_there_is_enough(ledger: Ledger):
    LedgerAccount.objects.filter(pk=ledger.pocket().pk).update(overdraft=True)
    books = locked(ledger)
    given = {"books": books, "kind": CASH[0], "asset": "USD", "now": ledger.now}
    hold_open(**given, order_ref=9, amount=D(100_001), asked=False)
    books.save()
    assert (ledger.pocket().reserved, Hold.objects.get().order_ref) == (D(100_001), 9)
    with pytest.raises(InsufficientFunds):
        hold_open(**given, order_ref=10, amount=D(1))
    with pytest.raises(InsufficientFunds):
        hold_new(**given, amount=D(1))
    assert hold_new(**given, amount=D(1), asked=False).pk is None


@pytest.mark.parametrize("amount, left", [("3", "3"), ("25", "25"), ("0", "0"), ("-1", "0")])
def test_a_hold_follows_its_order_and_never_goes_below_nothing(
    ledger: Ledger, amount: str, left: str
):
    ledger.hold("10", order_ref=1)
    ledger.hold("100", order_ref=2)
    made = ledger.now
    ledger.wait(5)
    books = locked(ledger)
    hold_change(books=books, order_ref=1, amount=D(amount), now=ledger.now)
    books.save()
    hold = Hold.objects.get(order_ref=1)
    assert (hold.amount, hold.created_at, hold.updated_at) == (D(left), made, ledger.now)
    assert ledger.pocket().reserved == D(left) + 100
    assert Hold.objects.get(order_ref=2).updated_at == made
    assert ledger.differences() == []


def test_a_hold_of_units_is_of_their_pocket(ledger: Ledger):
    ledger.fill("buy", "10", "100")
    ledger.hold("4", order_ref=1, asset="AAPL")
    books = locked(ledger)
    hold_change(books=books, order_ref=1, amount=D(1), now=ledger.now)
    books.save()
    assert (ledger.pocket("position", "AAPL").reserved, ledger.pocket().reserved) == (D(1), 0)


def test_a_hold_that_stays_is_not_written(ledger: Ledger):
    ledger.hold("10", order_ref=1)
    made = ledger.now
    ledger.wait(5)
    books = locked(ledger)
    hold_change(books=books, order_ref=1, amount=D(10), now=ledger.now)
    assert Hold.objects.get().updated_at == made and books.reserved_rows() == []


def test_an_order_without_a_hold_is_a_bug(ledger: Ledger):
    with pytest.raises(InvariantBroken, match=r"^order 77 has no hold$"):
        hold_change(books=locked(ledger), order_ref=77, amount=D(1), now=ledger.now)


# ── fills ────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("side, cash", [("buy", "-201.5"), ("sell", "198.5")])
def test_a_fill_is_written_down_whole(ledger: Ledger, side: str, cash: str):
    ledger.fill("buy", "5", "90")
    ledger.hold("500", order_ref=3)
    before, made = ledger.cash, ledger.wait(60)
    fact = ledger.fact(side, "2", "100", "1.5", order_ref=3, executed_at=made)
    ledger.wait(9)
    row = ledger.book(fact)
    row.refresh_from_db()
    assert (row.kind, row.reference, row.amount) == ("fill", fact.reference, D(cash))
    assert (row.effective_at, row.created_at) == (made, ledger.now)
    assert (row.instrument, row.order_ref, row.side) == (ledger.instrument(), 3, side)
    assert (row.qty, row.price, row.notional, row.fee) == (2, 100, 200, D("1.5"))
    assert fills.fact_of(row) == fact
    assert ledger.cash - before == D(cash)
    assert ledger.pocket("fees").balance == D("1.5")
    supply = LedgerAccount.objects.get(
        brokerage_account=ledger.account, kind="market", asset="AAPL"
    )
    assert supply.balance == -ledger.position().qty
    assert (ledger.pocket().reserved, Hold.objects.get().amount) == (0, 0)
    position = ledger.position()
    assert (position.last_fill_at, position.last_fill_reference) == (made, fact.reference)
    assert position.updated_at == ledger.now
    assert ledger.differences() == []


def test_a_fill_leaves_what_its_order_still_holds(ledger: Ledger):
    ledger.hold("500", order_ref=3)
    fact = ledger.fact("buy", "2", "100", order_ref=3)
    with transaction.atomic():
        fills.fill_book(
            account=account_lock(ledger.account.pk),
            instrument=ledger.instrument(),
            fact=fact,
            hold_left=D(300),
            now=ledger.now,
        )
    assert (Hold.objects.get().amount, ledger.pocket().reserved) == (300, 300)
    lot = Lot.objects.get()
    assert (lot.reference, lot.order_ref, lot.opened_at) == (fact.reference, 3, fact.executed_at)
    assert (lot.qty, lot.price, lot.remaining, lot.cost) == (2, 100, 2, 200)


def test_a_fill_for_nothing_moves_units_alone(ledger: Ledger):
    fact = replace(ledger.fact("buy", "2", "0.01"), notional=D(0))
    row = ledger.book(fact)
    assert [one.asset for one in Transfer.objects.filter(journal=row)] == ["AAPL"]
    assert ledger.cash == D(100_000) and ledger.differences() == []


def test_two_fills_of_one_moment_keep_the_order_of_their_references(ledger: Ledger):
    """The later reference came first: the other is put before it, and is sold first."""
    late = ledger.fact("buy", "1", "100", reference="B")
    early = ledger.fact("buy", "1", "50", reference="A")
    ledger.book(late)
    ledger.book(early)
    assert ledger.position().last_fill_reference == "B"
    ledger.wait(1)
    ledger.fill("sell", "1", "100")
    assert ledger.position().realized_pl == 50
    lots = Lot.objects.order_by("reference").values_list("reference", "remaining", "cost")
    assert list(lots) == [("A", 0, 0), ("B", 1, 100)]
    assert ledger.differences() == []


def test_a_rebuilt_lot_says_what_the_first_one_said(ledger: Ledger):
    ledger.fill("buy", "3", "100", order_ref=None)
    ledger.wait(60)
    ledger.fill("buy", "1", "90")
    ledger.wait(60)
    ledger.fill("sell", "3.5", "110")
    names = ("reference", "order_ref", "opened_at", "qty", "price", "remaining", "cost")
    before = list(Lot.objects.order_by("reference").values(*names))
    position = ledger.position()
    told = (position.last_fill_at, position.last_fill_reference, position.opened_at)
    ledger.wait(60)
    fills.position_rebuild(position=position, now=ledger.now)
    position.refresh_from_db()
    assert list(Lot.objects.order_by("reference").values(*names)) == before
    assert (position.last_fill_at, position.last_fill_reference, position.opened_at) == told
    assert position.updated_at == ledger.now


@pytest.mark.parametrize("name", ["qty", "price", "notional"])
def test_half_a_fill_is_a_bug(ledger: Ledger, name: str):
    row = ledger.fill("buy", "3", "100")
    setattr(row, name, None)
    with pytest.raises(InvariantBroken, match=f"^journal entry {row.pk} is no whole fill$"):
        fills.fact_of(row)


# ── cash ─────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "direction, sign, kind", [("deposit", 1, "deposit"), ("withdrawal", -1, "withdrawal")]
)
def test_a_transfer_is_written_down_whole(ledger: Ledger, direction: str, sign: int, kind: str):
    made, new = ledger.transfer(direction, "12.5", key="monday")
    row = CashTransfer.objects.get()
    assert new and made == row
    assert (row.brokerage_account, row.requested_by) == (ledger.account, ledger.user)
    assert (row.direction, row.amount, row.intent_key) == (direction, D("12.5"), "monday")
    assert row.intent_hash == transfers.digest_of(ledger.account.pk, direction, "12.5")
    assert (row.created_at, len(row.intent_hash)) == (ledger.now, 64)
    entry = row.journal
    assert (entry.kind, entry.amount) == (kind, sign * D("12.5"))
    assert entry.reference == f"transfer:{transfers.digest_of(ledger.user.pk, 'monday')}"
    assert (entry.effective_at, entry.created_at) == (ledger.now, ledger.now)


def test_a_digest_tells_its_parts_apart():
    assert transfers.digest_of(1, "2") == transfers.digest_of("1", 2)
    assert len({transfers.digest_of(*parts) for parts in ((1, 23), (12, 3), (123,))}) == 3


def test_refusals_of_transfers_say_why(ledger: Ledger):
    with pytest.raises(InvalidInput) as wrong:
        ledger.deposit("0")
    [error] = wrong.value.errors
    assert (error.field, error.code) == ("amount", "invalid")
    assert error.detail == "Write an amount above 0 and up to 1000000."
    with pytest.raises(transfers.InsufficientCash) as short:
        ledger.withdraw("100000.5")
    assert short.value.detail == "$100000.00 is free to withdraw; $100000.50 was asked for."
    ledger.account.broker = "alpaca"
    ledger.account.save()
    with pytest.raises(transfers.TransferRefused) as refused:
        ledger.deposit("1")
    assert refused.value.detail == "Paper cash moves in an active paper account only."


def test_a_broker_takes_out_more_than_is_free(ledger: Ledger):
    LedgerAccount.objects.filter(pk=ledger.pocket().pk).update(overdraft=True)
    with transaction.atomic():
        transfers.cash_post(
            account=account_lock(ledger.account.pk),
            direction=Direction.WITHDRAWAL,
            amount=D(100_001),
            reference="theirs",
            now=ledger.now,
        )
    assert ledger.cash == -1


def test_a_new_account_at_a_broker_gets_nothing_of_us(ledger: Ledger, monkeypatch: Any):
    monkeypatch.setattr(transfers, "OPENING", "second")
    ledger.account.broker = "alpaca"
    with transaction.atomic():
        transfers.account_fund(ledger.account, ledger.now)
        assert JournalEntry.objects.count() == 1
        ledger.account.broker = "paper"
        transfers.account_fund(ledger.account, ledger.now + timedelta(seconds=1))
    entry = JournalEntry.objects.get(reference="second")
    assert (entry.amount, entry.created_at) == (100_000, ledger.now + timedelta(seconds=1))


# ── the check ────────────────────────────────────────────────────────────────
def test_a_difference_says_what_is_where_and_what_should_be(ledger: Ledger):
    assert str(Difference("I0", "here", "1", "2")) == "I0 here: 1, expected 2"
    ledger.fill("buy", "2", "10", "1")
    position, opened = ledger.position(), ledger.now
    position.fees, position.opened_at = D("1.5"), None
    position.save()
    place = f"position {position.pk}"
    assert list(ledger_differences()) == [
        Difference("I8 fees", f"{place} fees", "1.5", "1"),
        Difference("I7 position is its fills", f"{place} opened_at", "None", str(opened)),
    ]


def test_lots_that_differ_are_told_as_they_are(ledger: Ledger):
    ledger.fill("buy", "2", "10")
    lot = Lot.objects.get()
    Lot.objects.update(cost=D(19))
    [found] = ledger_differences()
    assert (found.invariant, found.where) == (
        "I7 lots are its fills",
        f"position {lot.position_id}",
    )
    assert lot.reference in found.found and "19" in found.found
    assert lot.reference in found.expected and "20" in found.expected


def test_a_check_keeps_no_more_words_than_it_may(ledger: Ledger, monkeypatch: Any):
    many = [Difference("I0", str(number), "1", "2") for number in range(DETAILS_LIMIT + 5)]
    monkeypatch.setattr("portfolio.services.rebuild.ledger_differences", lambda *_: iter(many))
    check = ledger_check(now=ledger.now)
    check.refresh_from_db()
    assert (check.ran_at, check.differences) == (ledger.now, DETAILS_LIMIT + 5)
    assert check.details == [str(one) for one in many[:DETAILS_LIMIT]]


def test_a_check_that_a_person_asks_for_is_written_down(ledger: Ledger, bob: Any):
    with pytest.raises(InvalidInput):
        ledger_check_request(actor=bob, reason=" ", now=ledger.now)
    ledger.fill("buy", "2", "10")
    Lot.objects.update(cost=D(19))
    check = ledger_check_request(actor=bob, reason=" To be sure. ", now=ledger.now)
    assert (check.differences, check.ran_at) == (1, ledger.now)
    event = AuditEvent.objects.get(action="ledger.check")
    assert (event.actor, event.target) == (bob, f"ledgercheck:{check.pk}")
    assert (event.reason, event.data, event.at) == ("To be sure.", {"differences": 1}, ledger.now)


def test_the_first_steps_are_put_away_once(ledger: Ledger):
    put_away = ledger.now
    welcome_dismiss(user=ledger.user, now=put_away)
    ledger.wait(5)
    welcome_dismiss(user=ledger.user, now=ledger.now)
    row = WelcomeDismissal.objects.get()
    assert (row.user, row.at) == (ledger.user, put_away)
