"""One key at one moment in two accounts, where no lock stands between: the constraint does."""

import threading
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import BrokerageAccount
from accounts.services.openings import openers_run
from marketdata import quote_store
from speedtrade.testing.cast import account_of, make_user
from speedtrade.testing.market import instrument, put_quote, quote
from speedtrade.testing.races import race
from trading.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from trading.models import Order, Submission
from trading.services import orders
from trading.services.orders import KeyReused, order_place

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.serial]


def test_a_key_that_comes_into_two_accounts_at_one_moment_is_one_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both have looked for the key and found none. Fails without the unique constraint."""
    user, now = make_user("alice"), timezone.now()
    second = BrokerageAccount.objects.create(user=user, label="Second", created_at=now)
    with transaction.atomic():
        openers_run(second, now)
    stock = instrument("AAPL")
    put_quote(quote("AAPL", now=now))
    line = threading.Barrier(2, timeout=10)

    def wait(point: str) -> None:
        if point == "after_idempotency_row":
            line.wait()

    monkeypatch.setattr(orders, "crash_point", wait)

    def place(account: BrokerageAccount) -> Any:
        intent = OrderIntent(
            symbol="AAPL",
            side=Side.BUY,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
            notional=Decimal(100),
            asset_type="stock",
        )
        try:
            return order_place(
                account=account,
                instrument=stock,
                intent=intent,
                quote=quote_store.quote_get("AAPL"),
                key="monday",
                placed_by=user,
                source="api",
                now=timezone.now(),
            ).created
        except KeyReused as refusal:
            return refusal.code

    answers = race([lambda: place(account_of(user)), lambda: place(second)])
    assert sorted(map(str, answers)) == ["True", "idempotency_mismatch"]
    assert (Order.objects.count(), Submission.objects.count()) == (1, 1)
