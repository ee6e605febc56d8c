"""Lock an order, and move it from state to state with all that belongs to it: event and hold."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from django.db.models import BigIntegerField

from accounts.models import User
from portfolio.models import LedgerKind
from portfolio.services.books import Books, account_lock
from portfolio.services.holds import hold_change
from speedtrade.lib.compiled import Compiled, Given, given
from speedtrade.lib.errors import NotFound
from speedtrade.lib.money import ZERO
from speedtrade.lib.rows import Changed, rows_write
from trading.domain.orders import FINAL_STATES, OrderState, Side, check_transition
from trading.domain.risk import Remaining, hold_left
from trading.models import Order, OrderEvent


def order_lock(order: Order) -> Order:
    """The order read anew, with its account's row and its own locked; as `order_lock_named`."""
    found = order_lock_named(order.brokerage_account_id, pk=order.pk)
    if found is None:
        raise NotFound("There is no such order.")
    return found


def order_lock_named(account_id: int, **names: object) -> Order | None:
    """The one order of the account that `names` fit, with its instrument; None where none does.

    Always in this sequence, account and then order, so that no two of us wait for each other. Both
    rows stay locked until the transaction ends. Raises NotFound where there is no such account, and
    InvariantBroken outside a transaction.
    """
    account = account_lock(account_id)
    order = _locked(tuple(names)).first(account_id=account_id, **names)
    if order is not None:
        order.brokerage_account = account
    return order


@lru_cache(maxsize=8)
def _locked(names: tuple[str, ...]) -> Compiled[Order]:
    wanted = {name: given(Order, name) for name in names}
    return Compiled(
        lambda: (
            Order.objects.select_for_update(no_key=True, of=("self",))
            .select_related("instrument")
            .filter(brokerage_account=Given("account_id", BigIntegerField()), **wanted)
            .order_by("pk")
        )
    )


def hold_renew(order: Order, now: datetime) -> None:
    """Hold what a locked order is still worth, which is nothing once it is final."""
    books = Books(order.brokerage_account)
    hold_change(books=books, order_ref=order.pk, amount=order_hold(order), now=now)
    books.save()


def order_move(
    *,
    order: Order,
    new: OrderState,
    source: str,
    now: datetime,
    reason: str = "",
    actor: User | None = None,
    sent: Mapping[str, str] | None = None,
    beside: Sequence[Changed] = (),
) -> None:
    """Move a locked order to `new`, leave the event, release the hold of a final one.

    `sent` is the body that a broker was sent, for the record. An order that comes back from its
    end gets its hold back. The caller saves the order, or names what to write of it (and of other
    rows) in `beside`, which goes with the event in one statement. Raises InvariantBroken for a move
    that is not in the table.
    """
    old = OrderState(order.state)
    check_transition(old, new)
    order.state = new.value
    if new in {OrderState.ACCEPTED, OrderState.NEW, OrderState.PARTIALLY_FILLED, OrderState.FILLED}:
        order.accepted_at = order.accepted_at or now
    if new == OrderState.FILLED:
        order.filled_at = now
    if new == OrderState.CANCELED:
        order.canceled_at = now
    if new in FINAL_STATES or old in FINAL_STATES:
        order.closed_at = now if new in FINAL_STATES else None
        hold_renew(order, now)
    data: dict[str, object] = {"filled_qty": str(order.filled_qty)} if order.filled_qty else {}
    if sent:
        data["sent"] = dict(sent)
    event = OrderEvent(
        order=order,
        at=now,
        old_state=old.value,
        new_state=new.value,
        source=source,
        actor=actor,
        reason=reason[:300],  # a broker may say more than a row keeps
        data=data,
    )
    rows_write(event, changed=beside)


def order_hold(order: Order) -> Decimal:
    """What the order may still cost after its fills so far."""
    if OrderState(order.state) in FINAL_STATES:
        return ZERO
    return hold_left(
        Remaining(
            side=Side(order.side),
            qty=order.qty,
            notional=order.notional,
            max_qty=order.max_qty,
            price_bound=order.price_bound,
            fee_rate=order.fee_rate,
            filled_qty=order.filled_qty,
            filled_notional=order.filled_notional,
            fees=order.fees,
        )
    )


def hold_kind(order_side: str, currency: str, symbol: str) -> tuple[LedgerKind, str]:
    """Which pocket an order reserves: cash for a purchase, the shares for a sale."""
    return (LedgerKind.CASH, currency) if order_side == Side.BUY else (LedgerKind.POSITION, symbol)
