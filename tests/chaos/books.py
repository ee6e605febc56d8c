"""A large house: BOOK_ORDERS orders in it, 100,000 in `make chaos`.

One account lives through a hundred orders by the paths of the product; the others are copies of all
its rows, so that the books add up, and take minutes to make instead of an hour.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone

from accounts.models import BrokerageAccount
from portfolio.models import Hold, JournalEntry, LedgerAccount, Lot, Position, Transfer
from speedtrade.testing.cast import account_of, make_user
from speedtrade.testing.lives import D, Life, instrument_make, order_live
from trading.domain.orders import OrderState
from trading.models import Fill, Order, OrderEvent, Submission

ORDERS = int(os.environ.get("BOOK_ORDERS", "1000"))
EACH = 100  # orders of one account
STRIDE = 10_000_000  # between the ids of two copies
#: Tables with rows of an account, those they refer to first.
COPIED: Sequence[type[models.Model]] = (
    BrokerageAccount,
    LedgerAccount,
    Order,
    OrderEvent,
    Submission,
    Fill,
    JournalEntry,
    Transfer,
    Hold,
    Position,
    Lot,
)
OWN_WORDS = {"client_order_id", "intent_key", "broker_order_id", "trade_id", "label"}


def copied(column: "models.Field[Any, Any]") -> str:
    """The SQL of a column in copy `n` of its row."""
    name = connection.ops.quote_name(column.column or "")
    target = column.remote_field.model if column.remote_field else None
    if column.primary_key or target in COPIED or column.name == "order_ref":
        return f"{name} + n * {STRIDE}"
    if column.name in OWN_WORDS:
        return f"left({name}, 20) || '-' || n"
    return "FALSE" if column.name == "is_default" else name


def copies_make(count: int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")  # a request would not write so much
        for model in COPIED:
            columns = model._meta.concrete_fields
            names = ", ".join(connection.ops.quote_name(one.column or "") for one in columns)
            sql = (
                f"INSERT INTO {model._meta.db_table} ({names})"  # noqa: S608 - our own names
                f" SELECT {', '.join(map(copied, columns))}"
                f" FROM {model._meta.db_table}, generate_series(1, %s::bigint) n"
            )
            cursor.execute(sql, [count])
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # each copy refers to rows that there are
        cursor.execute("ANALYZE")


def life_make(account: BrokerageAccount) -> None:
    """A hundred orders: filled, canceled in part, resting, sold again, in three instruments."""
    now = timezone.now()
    for symbol, price in (("AAPL", "184.32"), ("MSFT", "402.10"), ("BTC/USD", "30123.45")):
        instrument_make(symbol, symbol, D(price), "0.01", as_of=now)
    stocks = [instrument_make(name, name, D(100), "0.01", as_of=now) for name in ("AAPL", "MSFT")]
    for number in range(EACH):
        stock, ago = stocks[number % 2], timedelta(minutes=EACH - number)
        price = D("10.01") + D(number) / 100
        if number % 10 == 9:
            life = Life(stock, D(3), price, OrderState.NEW, limit=price)
        elif number % 10 == 8:
            life = Life(stock, D(3), price, OrderState.CANCELED, limit=price, filled=D("1.5"))
        else:
            life = Life(stock, D("2.333"), price, side="sell" if number % 3 == 2 else "buy")
        order_live(account, life, now - ago)


def books_make() -> None:
    """Fill the house of the test with ORDERS orders and all that belongs to them."""
    life_make(account_of(make_user("book")))
    assert Order.objects.count() == EACH
    copies_make(ORDERS // EACH - 1)
    assert Order.objects.count() == ORDERS
