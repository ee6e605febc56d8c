"""What the database itself refuses, whatever code asks for it: I1, I3, I5, I11, I13."""

from decimal import Decimal

import pytest
from django.db import DataError, IntegrityError, connection, transaction

from portfolio.models import (
    CashTransfer,
    Hold,
    JournalEntry,
    LedgerAccount,
    LedgerKind,
    Lot,
    Position,
    Transfer,
)
from portfolio.services.books import Books
from portfolio.tests.ledger import Ledger
from speedtrade.lib.errors import InvariantBroken

D = Decimal


def refused(sql: str, *params: object) -> str:
    """The database's words when it refuses; fails the test when it does not."""
    with (
        pytest.raises((IntegrityError, DataError)) as refusal,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql, params)
    return str(refusal.value)


@pytest.fixture
def bought(ledger: Ledger) -> Ledger:
    """Ten shares in the books, and two kinds of holds."""
    ledger.fill("buy", "10", "100", "1")
    ledger.hold("500", order_ref=1)
    ledger.hold("4", order_ref=2, asset="AAPL")
    return ledger


@pytest.mark.parametrize("table", ["transfer", "journalentry", "cashtransfer"])
@pytest.mark.parametrize(
    "verb",
    [
        "UPDATE portfolio_{} SET id = id",
        "DELETE FROM portfolio_{}",
        "TRUNCATE portfolio_{} CASCADE",
    ],
)
def test_what_is_written_in_the_ledger_stays(bought: Ledger, table: str, verb: str):
    """I13; fails without the trigger."""
    bought.deposit("1")
    connection.check_constraints()  # what is deferred to the commit would stand in a TRUNCATE's way
    assert "append-only" in refused(verb.format(table))


def test_the_orm_cannot_rewrite_the_ledger_either(bought: Ledger):
    for change in (
        lambda: JournalEntry.objects.update(amount=1),
        lambda: Transfer.objects.all().delete(),
        lambda: CashTransfer.objects.filter(pk=0).update(
            amount=1
        ),  # not even where nothing matches
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


def transfer_row(source: LedgerAccount, target: LedgerAccount, **other: object) -> str:
    """Insert a transfer past all code; the database's refusal."""
    entry = JournalEntry.objects.first()
    assert entry is not None
    values = {
        "journal_id": entry.pk,
        "source_id": source.pk,
        "target_id": target.pk,
        "asset": source.asset,
        "amount": D(1),
        "source_balance": 0,
        "target_balance": 0,
        "source_version": 10_000,
        "target_version": 10_000,
    } | other
    names = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    sql = f"INSERT INTO portfolio_transfer ({names}) VALUES ({marks})"  # noqa: S608 - our own names
    return refused(sql, *values.values())


def test_a_transfer_stays_in_one_asset(bought: Ledger):
    """I1; fails without the trigger: dollars would turn into shares."""
    cash, shares = bought.pocket(), bought.pocket("position", "AAPL")
    words = "one asset inside one account"
    assert words in transfer_row(cash, shares)
    assert words in transfer_row(cash, bought.pocket("market"), asset="EUR")


def test_a_transfer_stays_in_one_account(bought: Ledger, charlie):
    from speedtrade.testing.cast import account_of

    other = Ledger(charlie, account_of(charlie), bought.clock)
    assert "one asset inside one account" in transfer_row(bought.pocket(), other.pocket("external"))


@pytest.mark.parametrize("amount", [D(0), D("-0.00000001")])
def test_a_transfer_moves_something(bought: Ledger, amount: Decimal):
    assert "transfer_positive" in transfer_row(
        bought.pocket(), bought.pocket("market"), amount=amount
    )


def test_a_transfer_goes_from_one_pocket_to_another(bought: Ledger):
    cash = bought.pocket()
    assert "transfer_moves" in transfer_row(cash, cash)


@pytest.mark.parametrize("end", ["source", "target"])
def test_a_version_of_a_pocket_is_written_once(bought: Ledger, end: str):
    first = Transfer.objects.select_related("source", "target").first()
    assert first is not None
    version = {f"{end}_version": getattr(first, f"{end}_version")}
    assert f"transfer_{end}_version" in transfer_row(first.source, first.target, **version)


# ── balances ─────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("kind, asset", [("cash", "USD"), ("position", "AAPL")])
def test_nobody_owns_less_than_nothing(bought: Ledger, kind: str, asset: str):
    """I11."""
    pocket = bought.pocket(kind, asset)
    sql = "UPDATE portfolio_ledgeraccount SET balance = %s, reserved = 0 WHERE id = %s"
    assert "ledger_available_not_negative" in refused(sql, D("-0.01"), pocket.pk)


@pytest.mark.parametrize("kind, asset", [("cash", "USD"), ("position", "AAPL")])
def test_what_is_reserved_is_there(bought: Ledger, kind: str, asset: str):
    """I3: an overdraw of what is free, and a negative reserve."""
    pocket = bought.pocket(kind, asset)
    sql = "UPDATE portfolio_ledgeraccount SET reserved = %s WHERE id = %s"
    refused(sql, pocket.balance + D("0.0000000001"), pocket.pk)
    refused(sql, D("-0.0000000001"), pocket.pk)
    sql = "UPDATE portfolio_ledgeraccount SET balance = reserved - %s WHERE id = %s"
    assert "ledger_available_not_negative" in refused(sql, D("0.0000000001"), pocket.pk)


@pytest.mark.parametrize("kind", ["market", "external", "fees"])
def test_the_other_side_reserves_nothing(bought: Ledger, kind: str):
    sql = "UPDATE portfolio_ledgeraccount SET reserved = 1 WHERE id = %s"
    assert "ledger_only_owned_reserves" in refused(sql, bought.pocket(kind).pk)


def test_a_pocket_exists_once(bought: Ledger):
    assert "ledger_account_unique" in refused(
        """INSERT INTO portfolio_ledgeraccount
             (brokerage_account_id, kind, asset, balance, reserved, version)
           VALUES (%s, 'cash', 'USD', 0, 0, 0)""",
        bought.account.pk,
    )


def test_a_hold_is_never_negative_and_one_per_order(bought: Ledger):
    assert "hold_not_negative" in refused("UPDATE portfolio_hold SET amount = -1")
    with pytest.raises(IntegrityError), transaction.atomic():
        Hold.objects.create(
            ledger_account=bought.pocket(),
            order_ref=1,
            amount=1,
            created_at=bought.now,
            updated_at=bought.now,
        )


def test_the_books_refuse_an_overdraw_before_the_database_must(bought: Ledger):
    """Even code that holds the lock cannot spend what is on hold."""
    cash = (LedgerKind.CASH, "USD")
    with pytest.raises(InvariantBroken), transaction.atomic():
        books = Books(bought.account)
        books.pocket(*cash).balance = D(499)
        books.reserve(cash, D(1))
        books.save()


# ── facts ────────────────────────────────────────────────────────────────────
def test_a_fact_happens_once(bought: Ledger):
    """I5: a second booking of one fill is refused by the journal."""
    fact = bought.fact("buy", "1", "100")
    bought.book(fact)
    cash = bought.cash
    with pytest.raises(IntegrityError, match="journal_fact_once"):
        bought.book(fact)
    assert bought.cash == cash


@pytest.mark.parametrize(
    "column, value",
    [("side", "hold"), ("qty", 0), ("price", 0), ("notional", -1), ("fee", -1)]
    + [(name, None) for name in ("qty", "price", "notional", "instrument")],
)
def test_a_fill_in_the_journal_is_whole(bought: Ledger, column: str, value: object):
    row = {
        "brokerage_account": bought.account,
        "kind": "fill",
        "reference": "planted",
        "effective_at": bought.now,
        "created_at": bought.now,
        "amount": -1,
        "instrument": bought.instrument(),
        "side": "buy",
        "qty": 1,
        "price": 1,
        "notional": 1,
        "fee": 0,
    } | {column: value}
    with pytest.raises(IntegrityError, match="journal_fill_is_whole"), transaction.atomic():
        JournalEntry.objects.create(**row)


@pytest.mark.parametrize("column", ["qty", "cost_basis", "fees"])
def test_a_position_is_never_short(bought: Ledger, column: str):
    with pytest.raises(IntegrityError, match="position_not_short"), transaction.atomic():
        Position.objects.update(**{column: -1})


def test_a_flat_position_cost_nothing(bought: Ledger):
    assert "position_flat_costs_nothing" in refused("UPDATE portfolio_position SET qty = 0")
    assert Position.objects.get().qty == 10


@pytest.mark.parametrize(
    "change", [{"remaining": -1}, {"remaining": 11}, {"cost": -1}, {"qty": 0}, {"price": 0}]
)
def test_a_lot_stays_within_its_bounds(bought: Ledger, change: dict[str, int]):
    with pytest.raises(IntegrityError, match="lot_within_bounds"), transaction.atomic():
        Lot.objects.update(**change)


def test_a_transfer_key_is_used_once(bought: Ledger):
    made = bought.deposit("1", key="monday")
    assert "cash_transfer_once" in refused(
        """INSERT INTO portfolio_cashtransfer (brokerage_account_id, requested_by_id, direction,
             amount, intent_key, intent_hash, journal_id, created_at)
           SELECT brokerage_account_id, requested_by_id, direction, amount, intent_key, intent_hash,
             (SELECT max(id) - 1 FROM portfolio_journalentry), created_at
           FROM portfolio_cashtransfer WHERE id = %s""",
        made.pk,
    )


def test_shares_that_were_never_bought_are_not_sold(ledger: Ledger):
    with pytest.raises(InvariantBroken):
        ledger.fill("sell", "1", "100")
    assert ledger.differences() == []
