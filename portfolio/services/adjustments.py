"""What a broker says is there, taken into the books without an order: at the start, or by a person.

The caller holds the account's lock. Each is booked once per key; a second time is an
IntegrityError of the journal.
"""

from datetime import datetime
from decimal import Decimal

from accounts.models import BrokerageAccount
from marketdata.models import Instrument
from portfolio.domain.lots import FillFact, SoldTooMuch, apply
from portfolio.models import (
    BROUGHT,
    BROUGHT_FEE,
    OPENING,
    Direction,
    EntryKind,
    JournalEntry,
    LedgerKind,
)
from portfolio.models.positions import Position
from portfolio.services.books import Books
from portfolio.services.fills import fill_book, holding_of
from portfolio.services.transfers import cash_post
from speedtrade.lib.money import ZERO, money_round


def cash_open(*, account: BrokerageAccount, amount: Decimal, now: datetime) -> None:
    """The cash that an account begins with; negative where the broker has lent some."""
    if amount == ZERO:
        return
    cash_shift(account=account, amount=amount, reference=OPENING, now=now)


def cash_shift(
    *, account: BrokerageAccount, amount: Decimal, reference: str, now: datetime
) -> JournalEntry:
    """Cash that came (+) or went (-) between the account and the world outside."""
    return cash_post(
        account=account,
        direction=Direction.DEPOSIT if amount > 0 else Direction.WITHDRAWAL,
        amount=abs(amount),
        reference=reference,
        now=now,
    )


def holding_shift(
    *,
    account: BrokerageAccount,
    instrument: Instrument,
    qty: Decimal,
    cost: Decimal | None,
    key: str,
    now: datetime,
) -> None:
    """Units that came (+, at `cost` in money) or went (-, at what they had cost).

    No gain or loss comes of it: what was won with units that go stays won, so their owner took out
    what they are worth then, which is `cost` where it is known. Raises SoldTooMuch when more go
    than are held.
    """
    if qty == ZERO:
        return
    reference = f"{BROUGHT}{key}:{instrument.symbol}"
    value = money_round(cost or ZERO) if qty > 0 else cost_of(account, instrument, -qty, now)
    if qty > 0 and value:  # what pays for the units comes before them, what they leave goes after
        cash_shift(account=account, amount=value, reference=f"{reference}:value", now=now)
    fill_book(
        account=account,
        instrument=instrument,
        fact=FillFact(
            reference=reference,
            order_ref=None,
            side="buy" if qty > 0 else "sell",
            qty=abs(qty),
            price=_unit_price(value, abs(qty)),
            notional=value,
            fee=ZERO,
            executed_at=now,
        ),
        hold_left=ZERO,
        now=now,
    )
    if qty < 0:
        worth = money_round(cost) if cost else value
        _taken_out_post(account, value, worth, f"{reference}:value", now)


def _taken_out_post(
    account: BrokerageAccount, cost: Decimal, worth: Decimal, reference: str, now: datetime
) -> None:
    """The withdrawal of units that went: the cash of their cost, and what they were worth beyond it
    from the market, which is where the gain on them would have come from.
    """
    if not cost and not worth:
        return
    books, currency = Books(account), account.currency
    market, outside = (LedgerKind.MARKET, currency), (LedgerKind.EXTERNAL, currency)
    journal = JournalEntry.objects.create(
        brokerage_account=account,
        kind=EntryKind.WITHDRAWAL,
        reference=reference,
        effective_at=now,
        created_at=now,
        amount=-cost,
    )
    if cost:
        books.move(journal, (LedgerKind.CASH, currency), outside, cost)
    if worth != cost:
        way = (market, outside) if worth > cost else (outside, market)
        books.move(journal, *way, abs(worth - cost))
    books.save()


def cost_of(
    account: BrokerageAccount, instrument: Instrument, qty: Decimal, now: datetime
) -> Decimal:
    """What the oldest `qty` units of a position had cost."""
    position = Position.objects.filter(brokerage_account=account, instrument=instrument).first()
    if position is None:
        raise SoldTooMuch(f"{qty} {instrument.symbol} would go, none is held")
    before = holding_of(position, qty)
    probe = FillFact("probe", None, "sell", qty, Decimal(1), ZERO, ZERO, now)
    return before.cost_basis - apply(before, probe).cost_basis


def cash_event_book(
    *,
    account: BrokerageAccount,
    kind: EntryKind,
    amount: Decimal,
    reference: str,
    at: datetime,
    now: datetime,
) -> JournalEntry | None:
    """A fee or a dividend at the broker: income and cost, not money that its owner moved.

    None where it has been booked already.
    """
    if JournalEntry.objects.filter(brokerage_account=account, reference=reference).exists():
        return None
    if kind in {EntryKind.DEPOSIT, EntryKind.WITHDRAWAL}:
        return cash_shift(account=account, amount=amount, reference=reference, now=now)
    books = Books(account)
    cash = (LedgerKind.CASH, account.currency)
    other_kind = LedgerKind.FEES if kind == EntryKind.FEE else LedgerKind.MARKET
    other = (other_kind, account.currency)
    journal = JournalEntry.objects.create(
        brokerage_account=account,
        kind=kind,
        reference=reference,
        effective_at=at,
        created_at=now,
        amount=amount,
    )
    books.move(journal, *((other, cash) if amount > 0 else (cash, other)), abs(amount))
    books.save()
    return journal


def fee_in_kind(
    *,
    account: BrokerageAccount,
    instrument: Instrument,
    qty: Decimal,
    event: str,
    now: datetime,
) -> bool:
    """Units that a broker took as its fee: they go for nothing, so their cost is a loss.

    False where it has been booked already. Raises SoldTooMuch when more go than are held.
    """
    reference = f"{BROUGHT_FEE}{event}"[:100]
    if JournalEntry.objects.filter(brokerage_account=account, reference=reference).exists():
        return False
    cost = cost_of(account, instrument, qty, now)
    fill_book(
        account=account,
        instrument=instrument,
        fact=FillFact(
            reference=reference,
            order_ref=None,
            side="sell",
            qty=qty,
            price=_unit_price(cost, qty),
            notional=ZERO,
            fee=ZERO,
            executed_at=now,
        ),
        hold_left=ZERO,
        now=now,
    )
    return True


def _unit_price(value: Decimal, qty: Decimal) -> Decimal:
    """Per unit, for the record; no price is nothing."""
    least = Decimal("0.0000000001")
    return max((value / qty).quantize(least), least)
