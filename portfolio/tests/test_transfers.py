"""Paper money in and out: once per key, never more than is free."""

from decimal import Decimal

import pytest

from accounts.services.accounts import account_freeze
from portfolio.models import CashTransfer, JournalEntry, LedgerAccount
from portfolio.services.transfers import InsufficientCash, KeyReused, TransferRefused
from portfolio.tests.ledger import Ledger
from speedtrade.lib.errors import InvalidInput
from speedtrade.testing.cast import account_of

D = Decimal


def test_the_same_key_gives_the_same_transfer(ledger: Ledger):
    """Fails without the look at the key: the money would come twice."""
    first, created = ledger.transfer("deposit", "100", key="monday")
    again, repeated = ledger.transfer("deposit", "100.00", key="monday")
    assert (created, repeated) == (True, False)
    assert again.pk == first.pk
    assert ledger.cash == D(100_100)
    assert ledger.differences() == []


@pytest.mark.parametrize("direction, amount", [("deposit", "101"), ("withdrawal", "100")])
def test_the_same_key_with_another_body_is_refused(ledger: Ledger, direction: str, amount: str):
    ledger.deposit("100", key="monday")
    with pytest.raises(KeyReused):
        ledger.transfer(direction, amount, key="monday")
    assert ledger.cash == D(100_100)


def test_a_key_belongs_to_its_user(ledger: Ledger, charlie):
    ledger.deposit("100", key="monday")
    other = Ledger(charlie, account_of(charlie), ledger.clock)
    other.deposit("200", key="monday")
    assert (ledger.cash, other.cash) == (D(100_100), D(100_200))


@pytest.mark.parametrize(
    "amount, passes", [("499.99", True), ("500", True), ("500.00000001", False)]
)
def test_what_is_reserved_cannot_be_withdrawn(ledger: Ledger, amount: str, passes: bool):
    ledger.hold("99500", order_ref=1)
    if passes:
        ledger.withdraw(amount)
    else:
        with pytest.raises(InsufficientCash) as refusal:
            ledger.withdraw(amount)
        assert refusal.value.code == "insufficient_cash"
        assert "500.00" in refusal.value.detail
        assert CashTransfer.objects.count() == 0 and JournalEntry.objects.count() == 1
    assert ledger.differences() == []


def test_a_refused_key_may_be_used_again(ledger: Ledger):
    with pytest.raises(InsufficientCash):
        ledger.withdraw("100001", key="monday")
    ledger.withdraw("100000", key="monday")
    assert ledger.cash == 0


@pytest.mark.parametrize(
    "amount, passes",
    [
        ("0", False),
        ("-1", False),
        ("0.00000001", True),
        ("0.000000001", False),
        ("999999.99", True),
        ("1000000", True),
        ("1000000.00000001", False),
    ],
)
def test_an_amount_is_above_zero_and_within_the_limit(ledger: Ledger, amount: str, passes: bool):
    if passes:
        ledger.deposit(amount)
        assert ledger.cash == D(100_000) + D(amount)
        return
    with pytest.raises(InvalidInput) as refusal:
        ledger.deposit(amount)
    assert [error.field for error in refusal.value.errors] == ["amount"]


@pytest.mark.parametrize("direction", ["deposit", "withdrawal"])
def test_a_frozen_account_moves_no_paper_money(ledger: Ledger, bob, direction: str):
    account_freeze(account_id=ledger.account.pk, actor=bob, reason="asked by phone", now=ledger.now)
    with pytest.raises(TransferRefused) as refusal:
        ledger.transfer(direction, "1")
    assert refusal.value.code == "account_not_active"


def test_a_transfer_that_was_made_is_told_again_after_the_freeze(ledger: Ledger, bob):
    made = ledger.deposit("5", key="monday")
    account_freeze(account_id=ledger.account.pk, actor=bob, reason="asked by phone", now=ledger.now)
    assert ledger.transfer("deposit", "5", key="monday") == (made, False)


def test_only_paper_accounts_take_paper_money(ledger: Ledger):
    ledger.account.broker = "alpaca"
    ledger.account.save()
    with pytest.raises(TransferRefused):
        ledger.deposit("1")
    assert LedgerAccount.objects.get(pk=ledger.pocket().pk).balance == D(100_000)
