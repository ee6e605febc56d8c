"""Write facts into the books of one account without orders or a venue."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import time_machine
from django.db import transaction

from accounts.models import BrokerageAccount, User
from marketdata.models import Instrument
from portfolio.domain.lots import FillFact
from portfolio.models import (
    CashTransfer,
    Direction,
    JournalEntry,
    LedgerAccount,
    LedgerKind,
    Position,
)
from portfolio.services.books import Books, account_lock
from portfolio.services.fills import fill_book
from portfolio.services.holds import hold_open
from portfolio.services.rebuild import ledger_differences
from portfolio.services.transfers import transfer_make
from speedtrade.lib.money import money_round
from speedtrade.testing import market

D = Decimal


@dataclass
class Ledger:
    """The books of one user. Figures go in as text."""

    user: User
    account: BrokerageAccount
    clock: time_machine.Traveller
    instruments: dict[str, Instrument] = field(default_factory=dict)
    _number: Any = field(default_factory=lambda: count(1))

    @property
    def now(self) -> datetime:
        return datetime.now(tz=market.NOON.tzinfo)

    def wait(self, seconds: float) -> datetime:
        self.clock.shift(timedelta(seconds=seconds))
        return self.now

    def instrument(self, symbol: str = "AAPL") -> Instrument:
        if symbol not in self.instruments:
            found = Instrument.objects.filter(symbol=symbol).first()
            self.instruments[symbol] = found or market.instrument(symbol)
        return self.instruments[symbol]

    def transfer(
        self, direction: str, amount: str, key: str | None = None
    ) -> tuple[CashTransfer, bool]:
        return transfer_make(
            account=self.account,
            direction=Direction(direction),
            amount=D(amount),
            key=key or f"key{next(self._number)}",
            requested_by=self.user,
            now=self.now,
        )

    def deposit(self, amount: str, key: str | None = None) -> CashTransfer:
        return self.transfer("deposit", amount, key)[0]

    def withdraw(self, amount: str, key: str | None = None) -> CashTransfer:
        return self.transfer("withdrawal", amount, key)[0]

    def fact(self, side: str, qty: str, price: str, fee: str = "0", **more: Any) -> FillFact:
        units, each = D(qty), D(price)
        terms = {
            "reference": f"T{next(self._number):06d}",
            "order_ref": None,
            "executed_at": self.now,
        } | more
        return FillFact(
            side=side,  # type: ignore[arg-type]
            qty=units,
            price=each,
            notional=money_round(units * each),
            fee=D(fee),
            **terms,
        )

    def book(self, fact: FillFact, symbol: str = "AAPL") -> JournalEntry:
        with transaction.atomic():
            return fill_book(
                account=account_lock(self.account.pk),
                instrument=self.instrument(symbol),
                fact=fact,
                hold_left=D(0),
                now=self.now,
            )

    def fill(
        self, side: str, qty: str, price: str, fee: str = "0", symbol: str = "AAPL", **more: Any
    ) -> JournalEntry:
        return self.book(self.fact(side, qty, price, fee, **more), symbol)

    def hold(self, amount: str, order_ref: int, asset: str = "USD") -> None:
        kind = LedgerKind.CASH if asset == "USD" else LedgerKind.POSITION
        with transaction.atomic():
            books = Books(account_lock(self.account.pk))
            hold_open(
                books=books,
                kind=kind,
                asset=asset,
                order_ref=order_ref,
                amount=D(amount),
                now=self.now,
            )
            books.save()

    def pocket(self, kind: str = "cash", asset: str = "USD") -> LedgerAccount:
        return LedgerAccount.objects.get(brokerage_account=self.account, kind=kind, asset=asset)

    @property
    def cash(self) -> Decimal:
        return self.pocket().balance

    def position(self, symbol: str = "AAPL") -> Position:
        return Position.objects.get(brokerage_account=self.account, instrument__symbol=symbol)

    def differences(self) -> list[str]:
        """What the ledger's check finds, as 'invariant' words only."""
        return sorted({difference.invariant for difference in ledger_differences()})
