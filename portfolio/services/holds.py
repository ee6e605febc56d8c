"""Reserve what an open order may still cost, and give it back."""

from datetime import datetime
from decimal import Decimal

from portfolio.models import Hold, LedgerKind
from portfolio.services.books import Books
from speedtrade.lib.compiled import Compiled, given
from speedtrade.lib.errors import DomainError, InvariantBroken
from speedtrade.lib.money import ZERO, money, plain
from speedtrade.lib.rows import rows_update

_HOLD = Compiled(
    lambda: Hold.objects.select_related("ledger_account").filter(order_ref=given(Hold, "order_ref"))
)


class InsufficientFunds(DomainError):
    """Less is free than the order needs."""

    code = "insufficient_buying_power"


class InsufficientPosition(DomainError):
    """Fewer shares are free than the order sells."""

    code = "insufficient_position"


def hold_open(
    *,
    books: Books,
    kind: LedgerKind,
    asset: str,
    order_ref: int,
    amount: Decimal,
    now: datetime,
    asked: bool = True,
) -> Hold:
    """As `hold_new`, for an order that is written already. The caller saves the books."""
    hold = hold_new(books=books, kind=kind, asset=asset, amount=amount, now=now, asked=asked)
    hold.order_ref = order_ref
    hold.save()
    return hold


def hold_new(
    *,
    books: Books,
    kind: LedgerKind,
    asset: str,
    amount: Decimal,
    now: datetime,
    asked: bool = True,
) -> Hold:
    """Reserve `amount` for a new order; raises InsufficientFunds or InsufficientPosition.

    `asked` False: the order is at the broker already, so it is not asked whether there is enough.

    The hold comes back without its order: the caller writes it, and saves the books. The free
    amount is read under the account's lock, so of two orders that race for the same cash one is
    refused.
    """
    pocket = books.pocket(kind, asset)
    free = pocket.balance - pocket.reserved
    if asked and amount > free:
        if kind == LedgerKind.CASH:
            need, have, short = money(amount), money(free), money(amount - free)
            raise InsufficientFunds(
                f"The order needs ${need}, ${have} is free: ${short} is missing."
            )
        raise InsufficientPosition(
            f"The order sells {plain(amount)} {asset}, {plain(free)} is free."
        )
    books.reserve((kind, asset), amount)
    return Hold(ledger_account=pocket, amount=amount, created_at=now, updated_at=now)


def hold_change(*, books: Books, order_ref: int, amount: Decimal, now: datetime) -> None:
    """Set what an order still reserves (zero when it is final). The caller saves the books."""
    hold = _HOLD.first(order_ref=order_ref)
    if hold is None:
        raise InvariantBroken(f"order {order_ref} has no hold")
    if hold.amount == amount:
        return
    pocket = (LedgerKind(hold.ledger_account.kind), hold.ledger_account.asset)
    books.reserve(pocket, max(amount, ZERO) - hold.amount)
    hold.amount, hold.updated_at = max(amount, ZERO), now
    rows_update([hold], ("amount", "updated_at"))
