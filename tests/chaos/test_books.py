"""The ledger's check over a large book: BOOK_ORDERS of them, 100,000 in `make chaos`.

One account lives through a hundred orders by the paths of the product; the others are copies of all
its rows, so that what is checked adds up, and takes minutes to make instead of an hour.
"""

import os
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, models
from django.utils import timezone

from accounts.models import BrokerageAccount
from portfolio.models import Hold, JournalEntry, LedgerAccount, Lot, Position, Transfer
from portfolio.services.rebuild import ledger_differences
from speedtrade.testing.cast import account_of, make_user
from speedtrade.testing.lives import D, Life, instrument_make, order_live
from trading.domain.orders import OrderState
from trading.models import Fill, Order, OrderEvent, Submission

pytestmark = pytest.mark.django_db

ORDERS = int(os.environ.get("BOOK_ORDERS", "1000"))
EACH = 100  # orders of one account
WITHIN = 60  # seconds for the check
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
    with connection.cursor() as cursor:
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


def test_the_check_finds_nothing_in_a_large_book_in_a_minute_and_what_is_planted_there() -> None:
    account = account_of(make_user("book"))
    life_make(account)
    assert Order.objects.count() == EACH
    copies_make(ORDERS // EACH - 1)
    assert Order.objects.count() == ORDERS
    began = time.monotonic()
    found = list(ledger_differences())
    took = time.monotonic() - began
    print(f"{ORDERS} orders, {Transfer.objects.count()} transfers: checked in {took:.1f} s")
    assert found == []
    assert took <= WITHIN
    last = Position.objects.latest("id")
    Position.objects.filter(pk=last.pk).update(cost_basis=last.cost_basis + D("0.01"))
    assert [one.where for one in ledger_differences()] == [f"position {last.pk} cost_basis"]
